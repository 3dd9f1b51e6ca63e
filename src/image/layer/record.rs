//! The record of a layer: its tar stream without the bodies of the files, gzipped.
//!
//! It is a list of parts, which one after another make the stream:
//!
//! ```text
//! L length bytes           bytes of the stream, as they came
//! F path count segments     what the file at this path has in these segments
//! R path size, then        the file at this path is about to be replaced: what the parts
//!   D offset length bytes    before this one say of it is meant of the bytes that follow
//! E length                 the end; how long the stream is
//! X                        given up: too many replaced files
//! ```
//! Numbers are 8 bytes, little-endian; a path is its length and its bytes, from the layer's
//! root without symlinks. So whoever rebuilds the stream only copies, and the digest of what
//! comes out tells whether it is right.

use crate::error::{Error, Result};
use crate::image::gzip::Inflate;
use crate::image::tar::Segment;
use std::io::{self, Read};

/// What a record begins with.
pub const MAGIC: &[u8] = b"ccrun record 1\n";
/// Literal bytes come in parts no longer than this.
pub const LITERAL: usize = 64 << 10;
/// No path and no list of segments is longer; what claims to be is damaged.
const PATH: u64 = 4096;
const SEGMENTS: u64 = 1 << 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(Vec<u8>),
    File { path: Vec<u8>, segments: Vec<Segment> },
    Replaced { path: Vec<u8>, size: u64 },
    Data { offset: u64, bytes: Vec<u8> },
    End { length: u64 },
    GivenUp,
}

/// A file's contents as a part.
pub fn file(path: &[u8], segments: &[Segment]) -> Vec<u8> {
    let mut part = with_path(b'F', path);
    part.extend((segments.len() as u64).to_le_bytes());
    for Segment { offset, length } in segments {
        part.extend(offset.to_le_bytes());
        part.extend(length.to_le_bytes());
    }
    part
}

/// The beginning of a replaced file.
pub fn replaced(path: &[u8], size: u64) -> Vec<u8> {
    let mut part = with_path(b'R', path);
    part.extend(size.to_le_bytes());
    part
}

fn with_path(tag: u8, path: &[u8]) -> Vec<u8> {
    [&[tag], &(path.len() as u64).to_le_bytes()[..], path].concat()
}

/// What comes before the bytes of a `L` part.
pub fn literal(length: usize) -> [u8; 9] {
    tagged(b'L', length as u64)
}

/// What comes before the bytes of a `D` part.
pub fn data(offset: u64, length: usize) -> Vec<u8> {
    [&tagged(b'D', offset)[..], &(length as u64).to_le_bytes()].concat()
}

pub fn end(length: u64) -> [u8; 9] {
    tagged(b'E', length)
}

pub const GIVEN_UP: &[u8] = b"X";

fn tagged(tag: u8, number: u64) -> [u8; 9] {
    let mut part = [tag; 9];
    part[1..].copy_from_slice(&number.to_le_bytes());
    part
}

/// A record being read. It is our own file, so anything wrong with it is damage.
pub struct Parts<'a>(Inflate<'a>);

impl<'a> Parts<'a> {
    pub fn new(record: impl Read + 'a) -> Result<Parts<'a>> {
        let mut parts = Parts(Inflate::new(record));
        if parts.bytes(MAGIC.len() as u64, MAGIC.len() as u64)? != MAGIC {
            return Err(damaged());
        }
        Ok(parts)
    }

    /// The next part; the caller stops after [`Part::End`].
    pub fn next(&mut self) -> Result<Part> {
        let mut tag = [0];
        self.0.read_exact(&mut tag).map_err(unreadable)?;
        Ok(match tag[0] {
            b'L' => Part::Literal(self.counted(LITERAL as u64)?),
            b'F' => {
                let path = self.counted(PATH)?;
                let count = Some(self.number()?).filter(|&count| count <= SEGMENTS).ok_or_else(damaged)?;
                let segment = |_| Ok(Segment { offset: self.number()?, length: self.number()? });
                Part::File { path, segments: (0..count).map(segment).collect::<Result<_>>()? }
            }
            b'R' => Part::Replaced { path: self.counted(PATH)?, size: self.number()? },
            b'D' => Part::Data { offset: self.number()?, bytes: self.counted(LITERAL as u64)? },
            b'E' => {
                let length = self.number()?;
                // So the checksum has been looked at, and nothing follows.
                match self.0.read(&mut tag).map_err(unreadable)? {
                    0 => Part::End { length },
                    _ => return Err(damaged()),
                }
            }
            b'X' => Part::GivenUp,
            _ => return Err(damaged()),
        })
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = [0; 8];
        self.0.read_exact(&mut number).map_err(unreadable)?;
        Ok(u64::from_le_bytes(number))
    }

    fn counted(&mut self, most: u64) -> Result<Vec<u8>> {
        let length = self.number()?;
        self.bytes(length, most)
    }

    fn bytes(&mut self, length: u64, most: u64) -> Result<Vec<u8>> {
        if length > most {
            return Err(damaged());
        }
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

fn damaged() -> Error {
    Error::new("the layer's record is damaged")
}

fn unreadable(error: io::Error) -> Error {
    Error::io("read the layer's record", &error)
}
