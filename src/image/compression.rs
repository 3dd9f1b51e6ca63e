//! How a stream is compressed.

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// How many bytes [`sniff`](Self::sniff) wants to see.
    pub const FIRST: usize = 6;

    /// Tells by the first bytes, as Docker does: media types are not always right.
    pub fn sniff(first: &[u8]) -> Result<Compression> {
        let other = match first {
            [0x1f, 0x8b, ..] => return Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Ok(Compression::Zstd),
            // A frame that zstd skips, which some tools put first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Compression::Zstd),
            [b'B', b'Z', b'h', ..] => "bzip2",
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
            _ => return Ok(Compression::None),
        };
        Err(Error::new(format!("compressed with {other}, which images cannot be")).hint("use gzip or zstd"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (first, compression) in [
            (&b"\x1f\x8b\x08\0\0\0"[..], Compression::Gzip),
            (b"\x28\xb5\x2f\xfd\x04\0", Compression::Zstd),
            (b"\x50\x2a\x4d\x18\0\0", Compression::Zstd),
            (b"bin/\0\0", Compression::None),
            (b"", Compression::None),
        ] {
            assert_eq!(Compression::sniff(first).unwrap(), compression);
        }
        assert!(Compression::sniff(b"BZh91A").unwrap_err().to_string().contains("bzip2"));
        assert!(Compression::sniff(b"\xfd7zXZ\0").unwrap_err().to_string().contains("xz"));
    }
}
