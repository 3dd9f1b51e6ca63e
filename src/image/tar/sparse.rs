//! Files with holes: GNU's old format and its PAX formats 0.0, 0.1 and 1.0. All
//! end as one list of segments, whose bytes follow each other in the body.

use super::Archive;
use super::header::{BLOCK, Header, decimal, natural};
use crate::error::{Error, Result};
use std::io::BufRead;

/// More parts than any honest file has: 1 MiB of memory.
const SEGMENTS: usize = 1 << 16;

/// A run of the file's bytes that are in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub length: u64,
}

/// A sparse file's name (where it has one of its own), real size and segments.
pub struct Map {
    pub name: Option<Vec<u8>>,
    pub size: u64,
    pub segments: Vec<Segment>,
}

/// The `GNU.sparse.*` records of a PAX header.
#[derive(Clone, Debug, Default)]
pub struct Records {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// The offset of a pair whose length is still to come (0.0).
    offset: Option<u64>,
    /// The segments of 0.0 and 0.1.
    segments: Option<Vec<Segment>>,
}

impl Records {
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"numblocks" => _ = self.segments.get_or_insert_default(),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or_else(|| Error::new("a length without an offset"))?;
                push(self.segments.get_or_insert_default(), offset, decimal(value)?)?;
            }
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(decimal).collect::<Result<Vec<u64>>>()?;
                let mut segments = Vec::new();
                for pair in numbers.chunks(2) {
                    let [offset, length] = *pair else { return Err(Error::new("an offset without a length")) };
                    push(&mut segments, offset, length)?;
                }
                self.segments = Some(segments);
            }
            _ => {}
        }
        Ok(())
    }

    /// The map that these records give, if they do; `body` reads the one of format 1.0 from the body.
    pub fn map(self, body: impl FnOnce(Option<Vec<u8>>, u64) -> Result<Map>) -> Result<Option<Map>> {
        let size = || self.size.ok_or_else(|| Error::new("a sparse file without its real size"));
        match (self.major, self.minor) {
            (Some(1), Some(0)) => body(self.name.clone(), size()?).map(Some),
            (None, None) | (Some(0), Some(0 | 1)) => match &self.segments {
                None => Ok(None),
                Some(segments) => Ok(Some(Map { size: size()?, segments: segments.clone(), name: self.name.clone() })),
            },
            _ => Err(Error::new("a sparse file of an unknown format")),
        }
    }
}

fn push(segments: &mut Vec<Segment>, offset: u64, length: u64) -> Result<()> {
    if segments.len() == SEGMENTS {
        return Err(Error::new(format_args!("a sparse file of more than {SEGMENTS} parts")));
    }
    segments.push(Segment { offset, length });
    Ok(())
}

/// Segments are in order, do not overlap, end within the file, and are just the body's `stored` bytes.
pub fn check(map: &Map, stored: u64) -> Result<()> {
    let mut end = 0;
    let mut total = 0u64;
    for segment in &map.segments {
        let next = segment.offset.checked_add(segment.length).filter(|&next| segment.offset >= end && next <= map.size);
        end = next.ok_or_else(|| Error::new("a sparse file whose parts overlap or leave it"))?;
        total = total.saturating_add(segment.length);
    }
    if total != stored {
        return Err(Error::new(format_args!("a sparse file whose parts are {total} bytes, but {stored} are stored")));
    }
    Ok(())
}

impl<R: BufRead> Archive<R> {
    /// The old format: four pairs in the header, 21 in each block that follows it, before the body.
    pub(super) fn old_sparse(&mut self, header: &Header) -> Result<Map> {
        let (pairs, mut more, size) = header.sparse()?;
        let mut segments = Vec::new();
        old_pairs(pairs, &mut segments)?;
        while more {
            let block = self.block()?.ok_or_else(|| super::truncated(self.offset))?;
            old_pairs(&block[..504], &mut segments)?;
            more = block[504] != 0;
        }
        Ok(Map { name: None, size, segments })
    }

    /// Format 1.0: the body begins with decimal lines (how many pairs, then offset and
    /// length of each), filled up with zeros to a whole block.
    pub(super) fn sparse_1_0(&mut self, name: Option<Vec<u8>>, size: u64) -> Result<Map> {
        let mut segments = Vec::new();
        let mut line = Vec::new();
        let (mut left, mut offset) = (None, None);
        while left != Some(0) {
            let ended = || Error::new("a sparse file whose map does not end");
            self.body = self.body.checked_sub(BLOCK as u64).ok_or_else(ended)?;
            let block = self.block()?.ok_or_else(|| super::truncated(self.offset))?;
            for byte in block {
                if left == Some(0) {
                    break;
                }
                if byte != b'\n' {
                    line.push(byte);
                    if line.len() > 20 {
                        return Err(Error::new("a sparse file with a number of more than 20 digits"));
                    }
                    continue;
                }
                let number = decimal(&line)?;
                line.clear();
                match (left, offset.take()) {
                    (None, _) => left = Some(number),
                    (Some(_), None) => offset = Some(number),
                    (Some(pairs), Some(offset)) => {
                        push(&mut segments, offset, number)?;
                        left = Some(pairs - 1);
                    }
                }
            }
        }
        Ok(Map { name, size, segments })
    }
}

/// Pairs of two 12-byte numbers up to an empty one.
fn old_pairs(pairs: &[u8], segments: &mut Vec<Segment>) -> Result<()> {
    for pair in pairs.chunks_exact(24) {
        let (offset, length) = pair.split_at(12);
        if length.first() == Some(&0) {
            break;
        }
        push(segments, natural(offset, "offset")?, natural(length, "length")?)?;
    }
    Ok(())
}
