//! Inflates gzip streams of any number of members, and passes plain ones through.
//!
//! Made to be read with `fill_buf` and `consume`: the slices that come out lie in
//! the one window that deflate's own back references need, and what the source
//! gives is inflated from where it was read to. So a caller can hash both sides
//! without a byte being copied for it. The window is a ring of a power of two.

mod crc;
mod deflate;
#[cfg(test)]
mod tests;

use crc::Crc;
pub use deflate::Deflate;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flag};
use std::io::{self, BufRead, ErrorKind, Read};
use std::ops::Range;

/// What is read at once. Large enough that reading costs nothing, small enough for the cache.
const INPUT: usize = 128 << 10;
/// Deflate looks back 32 KiB; more room means larger slices for those who write them.
const WINDOW: usize = 256 << 10;

/// A gzip stream (or, with [`or_plain`](Inflate::or_plain), a plain one) as the bytes it stands for.
pub struct Inflate<'a> {
    source: Box<dyn Read + 'a>,
    input: Box<[u8]>,
    /// What is in `input` and not yet used.
    unused: Range<usize>,
    /// Bytes of the source that came before `unused`, for errors.
    offset: u64,
    inflater: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// What is in `window` and not yet handed out.
    ready: Range<usize>,
    /// This member has filled the window once: from now on the whole of it may be looked back at.
    wrapped: bool,
    crc: Crc,
    length: u32,
    part: Part,
}

/// Which part of the stream comes next.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// The first bytes, which tell whether this is gzip at all.
    Unknown,
    Plain,
    Header,
    Deflate,
    Trailer,
    AfterMember,
    End,
}

impl<'a> Inflate<'a> {
    /// A stream that has to be gzip.
    pub fn new(source: impl Read + 'a) -> Inflate<'a> {
        Inflate::of(Part::Header, Box::new(source))
    }

    /// A stream that is gzip or not compressed at all, whichever its first bytes say.
    pub fn or_plain(source: impl Read + 'a) -> Inflate<'a> {
        Inflate::of(Part::Unknown, Box::new(source))
    }

    fn of(part: Part, source: Box<dyn Read + 'a>) -> Inflate<'a> {
        Inflate {
            source,
            input: vec![0; INPUT].into(),
            unused: 0..0,
            offset: 0,
            inflater: Box::default(),
            window: vec![0; WINDOW].into(),
            ready: 0..0,
            wrapped: false,
            crc: Crc::default(),
            length: 0,
            part,
        }
    }

    /// Makes sure that `input` holds something unused; false at the source's end.
    fn refill(&mut self) -> io::Result<bool> {
        while self.unused.is_empty() {
            match self.source.read(&mut self.input) {
                Ok(0) => return Ok(false),
                Ok(length) => self.unused = 0..length.min(INPUT),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn unused(&self) -> &[u8] {
        self.input.get(self.unused.clone()).unwrap_or_default()
    }

    fn use_up(&mut self, count: usize) {
        self.unused.start += count;
        self.offset += count as u64;
    }

    fn corrupt(&self, what: &str) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, format!("gzip stream: {what} at byte {}", self.offset))
    }

    fn truncated(&self) -> io::Error {
        io::Error::new(ErrorKind::UnexpectedEof, format!("gzip stream: truncated at byte {}", self.offset))
    }

    fn byte(&mut self) -> io::Result<u8> {
        if !self.refill()? {
            return Err(self.truncated());
        }
        let byte = self.unused().first().copied().unwrap_or_default();
        self.use_up(1);
        Ok(byte)
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(u32::from_le_bytes(bytes))
    }

    /// RFC 1952's member header: ten bytes, then what its flags announce.
    fn header(&mut self) -> io::Result<()> {
        let mut crc = Crc::default();
        let mut byte = |this: &mut Self| -> io::Result<u8> {
            let byte = this.byte()?;
            crc.update(&[byte]);
            Ok(byte)
        };
        if (byte(self)?, byte(self)?) != (0x1f, 0x8b) {
            return Err(self.corrupt("no gzip header"));
        }
        if byte(self)? != 8 {
            return Err(self.corrupt("an unknown compression method"));
        }
        let flags = byte(self)?;
        if flags & 0xe0 != 0 {
            return Err(self.corrupt("unknown flags"));
        }
        for _time_and_system in 0..6 {
            byte(self)?;
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([byte(self)?, byte(self)?]);
            for _extra in 0..length {
                byte(self)?;
            }
        }
        for text in [8, 16] {
            // The file's name, then a comment, each up to a NUL.
            while flags & text != 0 && byte(self)? != 0 {}
        }
        if flags & 2 != 0 {
            let sum = crc.sum() as u16;
            if u16::from_le_bytes([self.byte()?, self.byte()?]) != sum {
                return Err(self.corrupt("a damaged header"));
            }
        }
        *self.inflater = DecompressorOxide::new();
        (self.crc, self.length) = (Crc::default(), 0);
        (self.ready, self.wrapped) = (0..0, false);
        Ok(())
    }

    /// Inflates until the window's end, the input's or the member's.
    fn inflate(&mut self) -> io::Result<Part> {
        let more = self.refill()?;
        let at = self.ready.end % WINDOW;
        self.wrapped |= self.ready.end == WINDOW;
        let mut flags = flag::TINFL_FLAG_HAS_MORE_INPUT;
        if !self.wrapped {
            // So the inflater knows that nothing lies before the window's start, and refuses
            // to look back at what an earlier member has left there.
            flags |= flag::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        }
        let input = self.input.get(self.unused.clone()).unwrap_or_default();
        let (status, used, made) = decompress(&mut self.inflater, input, &mut self.window, at, flags);
        self.use_up(used);
        self.ready = at..at + made;
        self.crc.update(self.window.get(self.ready.clone()).unwrap_or_default());
        self.length = self.length.wrapping_add(made as u32);
        match status {
            TINFLStatus::Done => Ok(Part::Trailer),
            TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput if used > 0 || made > 0 => Ok(Part::Deflate),
            TINFLStatus::NeedsMoreInput if !more => Err(self.truncated()),
            _ => Err(self.corrupt("damaged data")),
        }
    }

    fn trailer(&mut self) -> io::Result<()> {
        if self.word()? != self.crc.sum() {
            return Err(self.corrupt("the data do not have the checksum that is told"));
        }
        if self.word()? != self.length {
            return Err(self.corrupt("the data do not have the length that is told"));
        }
        Ok(())
    }

    /// Another member, zeros that fill up a tape block, or nothing; as gzip has it, nothing else.
    fn after_member(&mut self) -> io::Result<Part> {
        let mut padded = false;
        while self.refill()? {
            if self.unused().first() == Some(&0x1f) && !padded {
                return Ok(Part::Header);
            }
            let zeros = self.unused().iter().take_while(|&&byte| byte == 0).count();
            self.use_up(zeros);
            padded = true;
            if !self.unused.is_empty() {
                return Err(self.corrupt("garbage after its end"));
            }
        }
        Ok(Part::End)
    }

    /// Tells by the first bytes what the source is.
    fn detect(&mut self) -> io::Result<Part> {
        // A pipe may give the first bytes one by one; six tell all formats apart.
        while self.unused.end < 6 {
            let rest = self.input.get_mut(self.unused.end..).unwrap_or_default();
            match self.source.read(rest) {
                Ok(0) => break,
                Ok(length) => self.unused.end = (self.unused.end + length).min(INPUT),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
        let other = match self.unused() {
            [0x1f, 0x8b, ..] => return Ok(Part::Header),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
            [b'B', b'Z', b'h', ..] => "bzip2",
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
            _ => return Ok(Part::Plain),
        };
        Err(io::Error::new(ErrorKind::Unsupported, format!("the stream is compressed with {other}, not gzip")))
    }
}

impl BufRead for Inflate<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.ready.is_empty() {
            self.part = match self.part {
                Part::Unknown => self.detect()?,
                Part::Plain => {
                    self.refill()?;
                    return Ok(self.unused());
                }
                Part::Header => {
                    self.header()?;
                    Part::Deflate
                }
                Part::Deflate => self.inflate()?,
                Part::Trailer => {
                    self.trailer()?;
                    Part::AfterMember
                }
                Part::AfterMember => self.after_member()?,
                Part::End => break,
            };
        }
        Ok(self.window.get(self.ready.clone()).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        if self.part == Part::Plain {
            self.use_up(count.min(self.unused.len()));
        } else {
            self.ready.start += count.min(self.ready.len());
        }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
