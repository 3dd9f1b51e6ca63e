//! Makes a layer's record while the layer is unpacked.

use super::record::{self, LITERAL, MAGIC};
use crate::error::{Error, Result};
use crate::image::gzip::Deflate;
use crate::image::tar::Segment;
use crate::sys::fs;
use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

/// What the paths of all replaced files together may take of a rebuilder's memory, roughly.
const REMEMBERED: usize = 8 << 20;

/// What file systems keep files in, mostly.
const BLOCK: u64 = 4096;

/// A record in the making.
pub struct Recorder<'a> {
    out: Deflate<&'a mut dyn Write>,
    literal: Vec<u8>,
    /// So many of the next bytes are in a file.
    filed: u64,
    length: u64,
    /// Bytes that are in files, roughly, less those that replaced files have taken along.
    replaceable: u64,
    remembered: usize,
    given_up: bool,
    failed: Option<io::Error>,
}

impl<'a> Recorder<'a> {
    pub fn new(out: &'a mut dyn Write) -> Result<Recorder<'a>> {
        let mut out = Deflate::new(out).map_err(unwritten)?;
        out.write_all(MAGIC).map_err(unwritten)?;
        Ok(Recorder {
            out,
            literal: Vec::with_capacity(LITERAL),
            filed: 0,
            length: 0,
            replaceable: 0,
            remembered: 0,
            given_up: false,
            failed: None,
        })
    }

    /// The next bytes of the stream are those of the file at `path`: one segment after another.
    pub fn file(&mut self, path: &[u8], segments: &[Segment]) {
        let total = segments.iter().map(|segment| segment.length).sum();
        if total > 0 {
            self.part(&record::file(path, segments));
            self.filed = total;
            // With holes only whole blocks of the disk can be told apart.
            self.replaceable = self.replaceable.saturating_add(total).saturating_add(2 * BLOCK * segments.len() as u64);
        }
    }

    /// Bytes of the stream.
    fn bytes(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let filed = usize::try_from(self.filed).unwrap_or(usize::MAX).min(bytes.len());
        self.filed -= filed as u64;
        bytes = bytes.get(filed..).unwrap_or_default();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(LITERAL - self.literal.len()));
            self.literal.extend_from_slice(piece);
            if self.literal.len() == LITERAL {
                self.flush();
            }
            bytes = rest;
        }
    }

    /// Takes along what is in a file that is about to be removed from `dir`, where it is the last of `path`.
    pub fn replace(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<()> {
        let stat = fs::fstatat(dir, name, libc::AT_SYMLINK_NOFOLLOW)?;
        if stat.kind() != libc::S_IFREG || self.given_up {
            return Ok(());
        }
        let file = File::from(fs::openat(dir, name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?);
        let size = file.metadata().map_err(|error| Error::io("look at what it replaces", &error))?.len();
        if size == 0 {
            return Ok(());
        }
        self.remembered += path.len() + 2 * size_of::<(Vec<u8>, [u64; 3])>();
        self.part(&record::replaced(path, size));
        let mut buffer = vec![0; LITERAL];
        let mut offset = 0;
        // Holes are not read: a file may have more of them than any disk has room.
        while let Some(data) = fs::seek_data(file.as_fd(), offset)? {
            offset = data.start;
            while offset < data.end {
                let most = usize::try_from(data.end - offset).unwrap_or(LITERAL).min(LITERAL);
                let piece = buffer.get_mut(..most).unwrap_or_default();
                let count = file.read_at(piece, offset).map_err(|error| Error::io("read what it replaces", &error))?;
                // Names of one file may be replaced one by one, each with all that is in it.
                if count as u64 > self.replaceable || self.remembered > REMEMBERED {
                    self.given_up = true;
                    return Ok(());
                }
                self.replaceable -= count as u64;
                self.part(&record::data(offset, count));
                self.write(piece.get(..count).unwrap_or_default());
                offset += count as u64;
                if count == 0 {
                    return Err(Error::new("what it replaces has become shorter"));
                }
            }
        }
        Ok(())
    }

    /// Says whether all could be written so far.
    pub fn check(&mut self) -> Result<()> {
        self.failed.take().map_or(Ok(()), |error| Err(unwritten(error)))
    }

    /// Writes the end. The stream has been read to its end.
    pub fn finish(mut self) -> Result<()> {
        if self.given_up {
            self.part(record::GIVEN_UP);
        }
        self.part(&record::end(self.length));
        self.check()?;
        self.out.finish().map_err(unwritten).map(drop)
    }

    fn part(&mut self, part: &[u8]) {
        self.flush();
        self.write(part);
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let literal = std::mem::take(&mut self.literal);
            self.write(&record::literal(literal.len()));
            self.write(&literal);
            self.literal = literal;
            self.literal.clear();
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(bytes).err();
        }
    }
}

fn unwritten(error: io::Error) -> Error {
    Error::io("write the layer's record", &error)
}

/// A stream whose bytes are recorded as they are used, up to `limit` of them.
pub struct Recorded<'r, 'a, R> {
    source: R,
    recorder: &'r RefCell<Recorder<'a>>,
    limit: u64,
}

impl<'r, 'a, R> Recorded<'r, 'a, R> {
    pub fn new(source: R, recorder: &'r RefCell<Recorder<'a>>, limit: u64) -> Recorded<'r, 'a, R> {
        Recorded { source, recorder, limit }
    }
}

impl<R: BufRead> BufRead for Recorded<'_, '_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.recorder.borrow().length > self.limit {
            return Err(io::Error::other(format!("it has more than {} bytes, too many for its blob", self.limit)));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // It lies ready, or it could not be used: nothing is read here.
        if let Some(bytes) = self.source.fill_buf().ok().and_then(|ready| ready.get(..count)) {
            self.recorder.borrow_mut().bytes(bytes);
        }
        self.source.consume(count);
    }
}

impl<R: BufRead> Read for Recorded<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
