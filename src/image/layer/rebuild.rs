//! Gives back the exact tar stream that a layer was made of, from its record and its files.

use super::name::split;
use super::record::{Part, Parts};
use super::tree::{Tree, c};
use crate::error::{Error, Result};
use crate::image::tar::Segment;
use crate::sys::fs;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// What is copied at once.
const BUFFER: usize = 256 << 10;

/// Writes the stream to `out`; gives its length. The caller compares its digest with the layer's: files that
/// have been changed since give another stream, not always an error. `scratch` is an empty file for contents
/// that later entries of the layer have replaced.
pub fn rebuild(record: &File, scratch: &File, root: BorrowedFd<'_>, out: &mut dyn Write) -> Result<u64> {
    let mut rebuilt = Rebuilt {
        replaced: Replaced::read(record, scratch)?,
        tree: Tree::new(root),
        buffer: vec![0; BUFFER],
        length: 0,
        out,
    };
    let mut parts = parts(record)?;
    loop {
        match parts.next()? {
            Part::Literal(bytes) => rebuilt.write(&bytes)?,
            Part::File { path, segments } => rebuilt.file(&path, &segments)?,
            Part::Replaced { path, .. } => rebuilt.replaced.pass(&path),
            Part::Data { .. } | Part::GivenUp => {}
            Part::End { length } if length == rebuilt.length => return Ok(length),
            Part::End { length } => {
                return Err(Error::new(format_args!("the record tells of {length} bytes, not of {}", rebuilt.length)));
            }
        }
    }
}

/// The record from its beginning on.
fn parts(mut record: &File) -> Result<Parts<'_>> {
    record.rewind().map_err(|error| Error::io("read the layer's record", &error))?;
    Parts::new(record)
}

struct Rebuilt<'a> {
    replaced: Replaced<'a>,
    tree: Tree<'a>,
    buffer: Vec<u8>,
    length: u64,
    out: &'a mut dyn Write,
}

impl Rebuilt<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.out.write_all(bytes).map_err(unwritten)
    }

    fn file(&mut self, path: &[u8], segments: &[Segment]) -> Result<()> {
        let blame = |error: Error| error.context(format_args!("the layer's file {:?}", OsStr::from_bytes(path)));
        match self.replaced.get(path) {
            Some((file, base)) => self.copy(file, base, segments),
            None => {
                let (parent, name) = split(path);
                let dir = self.tree.find(parent)?.ok_or_else(|| blame(Error::new("is gone")))?;
                let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
                let file = fs::openat(dir.as_fd(), &c(name)?, flags, 0).map_err(blame)?;
                self.copy(&File::from(file), 0, segments)
            }
        }
        .map_err(blame)
    }

    fn copy(&mut self, file: &File, base: u64, segments: &[Segment]) -> Result<()> {
        for &Segment { mut offset, mut length } in segments {
            while length > 0 {
                let most = usize::try_from(length).unwrap_or(BUFFER).min(BUFFER);
                let piece = self.buffer.get_mut(..most).unwrap_or_default();
                let count = match file.read_at(piece, base.saturating_add(offset)) {
                    Ok(0) => return Err(Error::new("is shorter than it was")),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    count => count.map_err(|error| Error::io("read", &error))?,
                };
                self.out.write_all(piece.get(..count).unwrap_or_default()).map_err(unwritten)?;
                offset += count as u64;
                length -= count as u64;
                self.length += count as u64;
            }
        }
        Ok(())
    }
}

fn unwritten(error: io::Error) -> Error {
    Error::io("write the layer's tar", &error)
}

/// The contents that the layer's own later entries have replaced, one after another in a file.
struct Replaced<'a> {
    scratch: &'a File,
    /// Where in it they begin, by path, in the order of replacement.
    at: HashMap<Vec<u8>, VecDeque<u64>>,
}

impl<'a> Replaced<'a> {
    /// Takes them out of the record, which so is read through once before anything is written.
    fn read(record: &File, scratch: &'a File) -> Result<Replaced<'a>> {
        let failed = |error| Error::io("write replaced files of the layer", &error);
        let mut replaced = Replaced { scratch, at: HashMap::new() };
        let (mut begin, mut end) = (0, 0u64);
        let mut parts = parts(record)?;
        loop {
            match parts.next()? {
                Part::Replaced { path, size } => {
                    begin = end;
                    end = begin.saturating_add(size);
                    // What follows its last byte of data is a hole.
                    scratch.set_len(end).map_err(failed)?;
                    replaced.at.entry(path).or_default().push_back(begin);
                }
                Part::Data { offset, bytes } => {
                    scratch.write_all_at(&bytes, begin.saturating_add(offset)).map_err(failed)?;
                }
                Part::GivenUp => return Err(Error::new("it replaces more of its own files than its record keeps")),
                Part::End { .. } => return Ok(replaced),
                Part::Literal(_) | Part::File { .. } => {}
            }
        }
    }

    /// The contents that a path had at this place of the record, if they are replaced later on.
    fn get(&self, path: &[u8]) -> Option<(&'a File, u64)> {
        self.at.get(path).and_then(VecDeque::front).map(|&begin| (self.scratch, begin))
    }

    /// The replacement itself is reached.
    fn pass(&mut self, path: &[u8]) {
        if let Some(begins) = self.at.get_mut(path) {
            begins.pop_front();
        }
    }
}
