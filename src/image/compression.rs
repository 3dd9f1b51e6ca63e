//! How a stream is compressed.

use super::decompressor::{BZIP2, Program, XZ, ZSTD};
use std::io::{self, Read};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    /// A program knows how.
    By(&'static Program),
}

/// The first bytes of a stream, read to look at them, and then once more in their turn.
#[derive(Default)]
pub struct First(io::Cursor<Vec<u8>>);

impl First {
    /// How many they are: enough for [`Compression::sniff`].
    pub const LENGTH: usize = 6;

    /// Reads them; fewer when the stream ends before.
    pub fn of(source: &mut dyn Read) -> io::Result<First> {
        let mut bytes = Vec::new();
        source.take(First::LENGTH as u64).read_to_end(&mut bytes)?;
        Ok(First(io::Cursor::new(bytes)))
    }

    pub fn seen(&self) -> &[u8] {
        self.0.get_ref()
    }

    /// Whether there is something to read once more.
    pub fn is_left(&self) -> bool {
        (self.0.position() as usize) < self.seen().len()
    }
}

impl Read for First {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Compression {
    /// Tells by the first bytes, as Docker does: media types are not always right.
    pub fn sniff(first: &[u8]) -> Compression {
        match first {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::By(&ZSTD),
            // A frame that zstd skips, which some tools put first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::By(&ZSTD),
            // The first block, or the end of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Compression::By(&BZIP2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::By(&XZ),
            _ => Compression::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (first, compression) in [
            (&b"\x1f\x8b\x08\0\0\0"[..], Compression::Gzip),
            (b"\x28\xb5\x2f\xfd\x04\0", Compression::By(&ZSTD)),
            (b"\x50\x2a\x4d\x18\0\0", Compression::By(&ZSTD)),
            (b"BZh91A", Compression::By(&BZIP2)),
            (b"\xfd7zXZ\0", Compression::By(&XZ)),
            (b"BZh9.t", Compression::None),
            (b"bin/\0\0", Compression::None),
            (b"", Compression::None),
        ] {
            assert_eq!(Compression::sniff(first), compression);
        }
    }
}
