//! Reads tar archives: V7, ustar, PAX and GNU, as image layers use them.
//!
//! Pure: bytes in, entries out, no file system. Nothing is allocated because a
//! header says so: metadata records are capped, bodies are handed out as slices
//! of the source's own buffer. Where two headers speak of the same thing, PAX
//! wins over GNU's long names and these over the plain header, as in GNU tar; a
//! reader that chose otherwise would see other entries than the one that
//! scanned the image.

#[cfg(test)]
pub mod fixture;
mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;
pub mod writer;

use crate::error::{Error, Result};
use crate::sys::fs::Time;
use header::{BLOCK, Format, Header};
use pax::Records;
pub use sparse::Segment;
use std::io::BufRead;

/// The longest body of a metadata entry (PAX records, a GNU long name).
const METADATA: u64 = 1 << 20;
/// The longest path and the longest name in it: what Linux takes without the final NUL.
const PATH: usize = 4095;
const NAME: usize = 255;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// One thing in an archive. Names are bytes, just as they came.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    /// The target of a symlink or a hard link.
    pub link: Vec<u8>,
    pub kind: Kind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// How long the file is in the end, holes counted.
    pub size: u64,
    pub mtime: Time,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Names and values of extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where in the file the body's bytes belong, when it has holes.
    pub sparse: Option<Vec<Segment>>,
    /// Where in the archive its header is.
    pub offset: u64,
}

impl Entry {
    /// An entry of root's, from the beginning of 1970, that everybody may read.
    pub fn plain(name: impl Into<Vec<u8>>, kind: Kind) -> Entry {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        let (link, xattrs, mtime) = (Vec::new(), Vec::new(), Time::default());
        let name = name.into();
        Entry {
            name,
            link,
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime,
            device: (0, 0),
            xattrs,
            sparse: None,
            offset: 0,
        }
    }

    /// Says which entry an error is about.
    pub fn blame(&self, error: Error) -> Error {
        error.context(at(&self.name, self.offset))
    }
}

fn at(name: &[u8], offset: u64) -> String {
    format!("tar entry '{}' at byte {offset}", String::from_utf8_lossy(name))
}

/// An archive being read, one entry after another.
pub struct Archive<R> {
    source: R,
    /// Bytes taken from the source so far.
    offset: u64,
    /// Bytes of the present body not yet taken, and the zeros after it.
    body: u64,
    padding: u64,
    ended: bool,
}

impl<R: BufRead> Archive<R> {
    pub fn new(source: R) -> Archive<R> {
        Archive { source, offset: 0, body: 0, padding: 0, ended: false }
    }

    /// The next entry; what is left of the former one's body is skipped. None at the archive's end.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        self.skip()?;
        let mut local = None;
        let (mut long_name, mut long_link) = (None, None);
        while !self.ended {
            let at = self.offset;
            let Some(block) = self.header()? else { break };
            let header =
                Header::check(&block).map_err(|error| error.context(format_args!("tar header at byte {at}")))?;
            let size = header.size().map_err(|error| error.context(self::at(&header.name(), at)))?;
            match header.kind() {
                b'x' if local.is_some() => {
                    return Err(Error::new(format_args!("tar header at byte {at}: two PAX headers for one entry")));
                }
                b'x' => local = Some(self.metadata(at, size, |body| Records::default().with(body, false))?),
                b'g' => _ = self.metadata(at, size, |body| Records::default().with(body, true))?,
                b'L' => long_name = Some(self.metadata(at, size, |body| Ok(header::until_nul(body).to_vec()))?),
                b'K' => long_link = Some(self.metadata(at, size, |body| Ok(header::until_nul(body).to_vec()))?),
                // A volume's label holds no file.
                b'V' => self.start(size),
                _ => {
                    let records = local.take().unwrap_or_default();
                    let mut name = long_name.take().unwrap_or_else(|| header.name());
                    let link = long_link.take().unwrap_or_else(|| header.link());
                    if let Some(path) = &records.path {
                        name.clone_from(path);
                    }
                    let blamed = self::at(&name, at);
                    return self.entry(&header, at, name, link, records).map(Some).map_err(|e| e.context(blamed));
                }
            }
            self.skip()?;
        }
        if local.is_some() || long_name.is_some() || long_link.is_some() {
            return Err(Error::new(format_args!(
                "the tar archive ends at byte {} before an announced entry",
                self.offset
            )));
        }
        Ok(None)
    }

    /// The next bytes of the present entry's body, as many as lie ready; empty at its end.
    pub fn body(&mut self) -> Result<&[u8]> {
        if self.body == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.body).unwrap_or(usize::MAX);
        let offset = self.offset;
        let ready = fill(&mut self.source, offset)?;
        if ready.is_empty() {
            return Err(truncated(offset));
        }
        Ok(ready.get(..left).unwrap_or(ready))
    }

    /// How many bytes of the archive are used: after [`next`](Self::next), where the entry's body begins.
    pub fn position(&self) -> u64 {
        self.offset
    }

    /// Marks `count` bytes of what [`body`](Self::body) gave as used.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(usize::try_from(self.body).unwrap_or(usize::MAX));
        self.body -= count as u64;
        self.take(count);
    }

    /// Reads what follows the archive's end (padding up to the record size, or anything
    /// at all: other tools ignore it too), so that whoever writes the stream can finish.
    /// Gives the length of the whole stream.
    pub fn finish(&mut self) -> Result<u64> {
        loop {
            let ready = fill(&mut self.source, self.offset)?.len();
            if ready == 0 {
                return Ok(self.offset);
            }
            self.take(ready);
        }
    }

    fn take(&mut self, count: usize) {
        self.source.consume(count);
        self.offset += count as u64;
    }

    /// A body of `size` bytes begins here.
    fn start(&mut self, size: u64) {
        self.body = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// Goes over the rest of the body and its padding.
    fn skip(&mut self) -> Result<()> {
        loop {
            let ready = self.body()?.len();
            if ready == 0 {
                break;
            }
            self.consume(ready);
        }
        self.body = std::mem::take(&mut self.padding);
        while self.body > 0 {
            let ready = self.body()?.len();
            self.consume(ready);
        }
        Ok(())
    }

    /// One block, or None where the source ends cleanly.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let ready = fill(&mut self.source, self.offset)?;
            let count = ready.len().min(rest.len());
            match (rest.get_mut(..count), ready.get(..count)) {
                (Some(to), Some(from)) if count > 0 => to.copy_from_slice(from),
                _ if filled == 0 => return Ok(None),
                _ => return Err(truncated(self.offset)),
            }
            filled += count;
            self.take(count);
        }
        Ok(Some(block))
    }

    /// The next header block. The end is two blocks of zeros, or where the source ends.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = self.block()?;
        if block == Some([0; BLOCK]) {
            block = self.block()?;
            if block.is_some_and(|block| block != [0; BLOCK]) {
                return Err(Error::new(format_args!(
                    "tar header at byte {}: comes after a block of zeros",
                    self.offset
                )));
            }
            block = None;
        }
        self.ended = block.is_none();
        Ok(block)
    }

    /// Reads the whole body of a metadata entry and makes something of it.
    fn metadata<T>(&mut self, at: u64, size: u64, parse: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let blame = |error: Error| error.context(format_args!("tar metadata at byte {at}"));
        if size > METADATA {
            return Err(blame(Error::new(format_args!("{size} bytes, more than {METADATA}"))));
        }
        self.start(size);
        let mut body = Vec::new();
        loop {
            let ready = self.body().map_err(blame)?;
            if ready.is_empty() {
                return parse(&body).map_err(blame);
            }
            body.extend_from_slice(ready);
            let count = ready.len();
            self.consume(count);
        }
    }

    /// Puts an entry together from its header and what was announced for it.
    fn entry(&mut self, header: &Header, at: u64, name: Vec<u8>, link: Vec<u8>, records: Records) -> Result<Entry> {
        let kind = match header.kind() {
            // Before ustar a directory was a file with a slash at the end.
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(Error::new(format_args!("entry type '{}' is unknown", other.escape_ascii()))),
        };
        let mut entry = Entry {
            name,
            link: records.link.unwrap_or(link),
            kind,
            mode: header.mode()?,
            uid: records.uid.map_or_else(|| header.uid(), Ok)?,
            gid: records.gid.map_or_else(|| header.gid(), Ok)?,
            size: 0,
            mtime: records.mtime.map_or_else(|| header.mtime(), Ok)?,
            device: if matches!(kind, Kind::Character | Kind::Block) { header.device()? } else { (0, 0) },
            xattrs: records.xattrs,
            sparse: None,
            offset: at,
        };
        if kind == Kind::File {
            // Only files have a body, whatever the size field of a link or a directory says (as in Go, so in Docker).
            let stored = records.size.map_or_else(|| header.size(), Ok)?;
            self.start(stored);
            entry.size = stored;
            let map = match header.kind() {
                b'S' if header.format == Format::Gnu => Some(self.old_sparse(header)?),
                b'S' => return Err(Error::new("a GNU sparse file in an archive that is not GNU's")),
                _ => records.sparse.map(|body, size| self.sparse_1_0(body, size))?,
            };
            if let Some(map) = map {
                sparse::check(&map, self.body)?;
                entry.name = map.name.unwrap_or(entry.name);
                entry.size = map.size;
                entry.sparse = Some(map.segments);
            }
        }
        check_length(&entry.name)?;
        if entry.link.len() > PATH || entry.link.contains(&0) {
            return Err(Error::new(format_args!("a link target of {} bytes or with a NUL in it", entry.link.len())));
        }
        Ok(entry)
    }
}

/// A name that Linux can take.
fn check_length(name: &[u8]) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new("no name"));
    }
    if name.contains(&0) {
        return Err(Error::new("a NUL byte in the name"));
    }
    if name.len() > PATH || name.split(|&byte| byte == b'/').any(|part| part.len() > NAME) {
        return Err(Error::new(format_args!("a path longer than {PATH} bytes or a name in it longer than {NAME}")));
    }
    Ok(())
}

fn truncated(offset: u64) -> Error {
    Error::new(format_args!("the tar archive is truncated at byte {offset}"))
}

/// `fill_buf` that starts again after a signal.
fn fill<R: BufRead>(source: &mut R, offset: u64) -> Result<&[u8]> {
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io(format_args!("read the tar archive at byte {offset}"), &error)),
        }
    }
    // The buffer is full now: the borrow checker does not let the loop return what it borrowed.
    source.fill_buf().map_err(|error| Error::io(format_args!("read the tar archive at byte {offset}"), &error))
}
