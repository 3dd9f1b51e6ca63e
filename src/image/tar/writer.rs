//! Writes tar archives: ustar, with PAX records for what ustar cannot say.
//!
//! The same entries give the same bytes. The names of users and groups are left
//! out: what a number is called is the reader's affair.

#[cfg(test)]
mod tests;

use super::header::BLOCK;
use super::{Entry, Kind};
use crate::error::{Error, Result};
use crate::sys::fs::Time;
use std::io::{ErrorKind, Read, Write};

/// The longest name and link target of a plain header, and the longest directory part that ustar keeps beside the name.
const NAME: usize = 100;
const PREFIX: usize = 155;
/// The largest numbers of seven and of eleven octal digits.
const SEVEN: u64 = (1 << 21) - 1;
const ELEVEN: u64 = (1 << 33) - 1;

/// An archive being written, one entry after another.
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Writer<W> {
        Writer { out, buffer: vec![0; 64 << 10] }
    }

    /// Writes an entry, and for a file `entry.size` bytes of `body`; one that is shorter or longer is an
    /// error. Holes are written as zeros: `entry.sparse` is not looked at, `body` has them too.
    pub fn append(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<()> {
        self.entry(entry, body)
            .map_err(|error| error.context(format_args!("tar entry '{}'", String::from_utf8_lossy(&entry.name))))
    }

    /// Writes a file whose bytes are not read but written, by `write`, and have to be `entry.size`.
    pub fn append_written(&mut self, entry: &Entry, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let blame = |error: Error| error.context(format_args!("tar entry '{}'", String::from_utf8_lossy(&entry.name)));
        self.announce(entry).map_err(blame)?;
        let mut counted = Counted { out: &mut self.out, count: 0 };
        write(&mut counted).map_err(blame)?;
        if counted.count != entry.size {
            return Err(blame(Error::new(format_args!("{} bytes instead of {}", counted.count, entry.size))));
        }
        self.pad(entry.size)
    }

    /// Ends the archive by two blocks of zeros; gives what it was written to.
    pub fn finish(mut self) -> Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(|error| Error::io("write the tar archive", &error))?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<()> {
        self.announce(entry)?;
        if entry.kind == Kind::File {
            self.body(entry.size, body)?;
            self.pad(entry.size)?;
        }
        Ok(())
    }

    /// Writes the headers of an entry.
    fn announce(&mut self, entry: &Entry) -> Result<()> {
        let (header, records) = describe(entry)?;
        if !records.is_empty() {
            let mut announced = Block::new(b'x');
            announced.text(0, b"PaxHeaders.0/entry");
            announced.number(100, 8, 0o644)?;
            announced.number(124, 12, records.len() as u64)?;
            self.put(&announced.sealed())?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.put(&header)
    }

    /// Copies exactly `size` bytes.
    fn body(&mut self, size: u64, body: &mut dyn Read) -> Result<()> {
        let mut left = size;
        loop {
            let count = match body.read(&mut self.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read the file's bytes", &error)),
            };
            if count == 0 && left > 0 {
                return Err(Error::new(format_args!("the file ends {left} bytes before its size, {size}")));
            }
            if count as u64 > left {
                return Err(Error::new(format_args!("the file is longer than its size, {size}")));
            }
            if count == 0 {
                return Ok(());
            }
            let bytes = self.buffer.get(..count).unwrap_or_default();
            self.out.write_all(bytes).map_err(|error| Error::io("write the tar archive", &error))?;
            left -= count as u64;
        }
    }

    /// Fills up the last block of a body of `size` bytes.
    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.put([0; BLOCK].get(..padding).unwrap_or_default())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io("write the tar archive", &error))
    }
}

/// Counts what is written through it.
struct Counted<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.count += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// An entry's header block, and the PAX records that go before it.
fn describe(entry: &Entry) -> Result<([u8; BLOCK], Vec<u8>)> {
    let mut records = Vec::new();
    let mut block = Block::new(match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    });
    match split(&entry.name) {
        Some((prefix, name)) => {
            block.text(0, name);
            block.text(345, prefix);
        }
        None => {
            record(&mut records, b"path", &entry.name);
            block.text(0, &entry.name);
        }
    }
    if entry.link.len() > NAME || is_foreign(&entry.link) {
        record(&mut records, b"linkpath", &entry.link);
    }
    block.text(157, &entry.link);
    block.number(100, 8, (entry.mode & 0o7777).into())?;
    let size = if entry.kind == Kind::File { entry.size } else { 0 };
    for (at, length, most, key, value) in [
        (108, 8, SEVEN, b"uid".as_slice(), entry.uid),
        (116, 8, SEVEN, b"gid", entry.gid),
        (124, 12, ELEVEN, b"size", size),
    ] {
        if value > most {
            record(&mut records, key, value.to_string().as_bytes());
        }
        block.number(at, length, if value > most { 0 } else { value })?;
    }
    match u64::try_from(entry.mtime.seconds) {
        Ok(seconds) if seconds <= ELEVEN && entry.mtime.nanoseconds == 0 => block.number(136, 12, seconds)?,
        whole => {
            record(&mut records, b"mtime", time(entry.mtime).as_bytes());
            block.number(136, 12, whole.ok().filter(|seconds| *seconds <= ELEVEN).unwrap_or(0))?;
        }
    }
    block.number(329, 8, entry.device.0.into())?;
    block.number(337, 8, entry.device.1.into())?;
    for (name, value) in &entry.xattrs {
        if name.contains(&b'=') {
            return Err(Error::new(format_args!("a PAX record cannot hold the attribute '{}'", name.escape_ascii())));
        }
        record(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    Ok((block.sealed(), records))
}

/// The name as ustar keeps it, in two parts where it is long; None where ustar cannot keep it.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if is_foreign(name) {
        return None;
    }
    if name.len() <= NAME {
        return Some((b"", name));
    }
    // The slash between the two is in neither of them, and the second must not be empty.
    let slash = name.iter().enumerate().find(|(at, byte)| **byte == b'/' && name.len() - at - 1 <= NAME)?.0;
    let (prefix, rest) = (name.get(..slash)?, name.get(slash + 1..)?);
    (slash > 0 && slash <= PREFIX && !rest.is_empty()).then_some((prefix, rest))
}

/// Whether a name is UTF-8 but not ASCII: plain headers have no encoding, PAX records have this one.
/// What is not even UTF-8 is best left as it is.
fn is_foreign(name: &[u8]) -> bool {
    !name.is_ascii() && std::str::from_utf8(name).is_ok()
}

/// Adds one PAX record, whose length counts its own digits too.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + b" =\n".len();
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend([length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat());
}

/// `[-]seconds[.fraction]`; before 1970 the fraction counts backwards.
fn time(Time { seconds, nanoseconds }: Time) -> String {
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (true, _) => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A ustar header in the making.
struct Block([u8; BLOCK]);

impl Block {
    fn new(kind: u8) -> Block {
        let mut block = Block([0; BLOCK]);
        block.text(156, &[kind]);
        block.text(257, b"ustar\x0000");
        block
    }

    /// As much of the text as fits there.
    fn text(&mut self, at: usize, text: &[u8]) {
        let most = if at == 345 { PREFIX } else { NAME };
        for (to, from) in self.0.iter_mut().skip(at).zip(text.iter().take(most)) {
            *to = *from;
        }
    }

    /// Octal digits that fill the field up to its final NUL.
    fn number(&mut self, at: usize, length: usize, value: u64) -> Result<()> {
        let digits = format!("{value:0width$o}", width = length - 1);
        if digits.len() >= length {
            return Err(Error::new(format_args!("{value} is too large for a tar header")));
        }
        self.text(at, digits.as_bytes());
        Ok(())
    }

    /// With the sum over all bytes, where its own field counts as spaces.
    fn sealed(mut self) -> [u8; BLOCK] {
        self.text(148, b"        ");
        let sum: u32 = self.0.iter().copied().map(u32::from).sum();
        self.text(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}
