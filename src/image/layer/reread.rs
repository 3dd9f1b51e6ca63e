//! What a layer's record says of the layer's root, for layers that ccrun 0.3 unpacked.

use super::attributes::{self, Directories};
use super::name::{self, EntryPath, Meaning};
use super::record::{Part, Parts};
use super::root::Root;
use super::tree::Tree;
use super::{Unpacked, record};
use crate::error::{Error, Result};
use crate::image::tar::Archive;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::BorrowedFd;

/// Reads a layer's record again, and makes of its root directory what [`unpack`](super::unpack) makes of it today. To be
/// called as the (container's) root. Files that are there already stay as they are.
pub fn reread_root(record: &File, root: BorrowedFd<'_>) -> Result<Root> {
    let mut archive = Archive::new(Outline {
        parts: Parts::new(record)?,
        literal: Vec::new(),
        at: 0,
        blank: vec![0; record::LITERAL],
        zeros: 0,
    });
    let mut result = Unpacked::default();
    let mut directories = Directories::default();
    while let Some(entry) = archive.next()? {
        match name::entry_path(&entry.name)? {
            EntryPath::Root => {
                attributes::set_early_xattrs(root, &entry, &mut result);
                directories.remember(Vec::new(), &entry)?;
            }
            EntryPath::Below { parent, name } => {
                result.root.opaque |= parent.is_empty() && matches!(name::meaning(&parent, name), Ok(Meaning::Opaque));
            }
        }
    }
    directories.apply(&mut Tree::new(root), &mut result)?;
    Ok(result.root)
}

/// The tar stream that a record is of, with zeros in the place of what is in files.
struct Outline<'a> {
    parts: Parts<'a>,
    literal: Vec<u8>,
    /// How much of `literal` has been read.
    at: usize,
    /// Zeros, which a file is read from.
    blank: Vec<u8>,
    /// What is left to read of a file.
    zeros: u64,
}

impl Outline<'_> {
    fn next(&mut self) -> Result<bool> {
        match self.parts.next()? {
            Part::Literal(bytes) => (self.literal, self.at) = (bytes, 0),
            Part::File { segments, .. } => {
                let total = segments.iter().try_fold(0u64, |total, segment| total.checked_add(segment.length));
                self.zeros = total.ok_or_else(|| Error::new("the layer's record is damaged"))?;
            }
            Part::Replaced { .. } | Part::Data { .. } | Part::GivenUp => {}
            Part::End { .. } => return Ok(false),
        }
        Ok(true)
    }
}

impl BufRead for Outline<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.literal.len() && self.zeros == 0 {
            if !self.next().map_err(|error| io::Error::other(error.to_string()))? {
                return Ok(&[]);
            }
        }
        if self.zeros > 0 {
            let length = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(self.blank.len());
            return Ok(self.blank.get(..length).unwrap_or_default());
        }
        Ok(self.literal.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        if self.zeros > 0 {
            self.zeros = self.zeros.saturating_sub(count as u64);
        } else {
            self.at = self.literal.len().min(self.at + count);
        }
    }
}

impl Read for Outline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
