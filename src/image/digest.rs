//! Digests: how an image names its parts, and the only proof that they are right.

use crate::error::{Error, Result};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read};

/// A sha256 digest. Being 32 bytes and no text, it can never be a surprising path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Reads `sha256:` and 64 lower-case hexadecimal digits; nothing else is a digest here.
    pub fn parse(text: &str) -> Result<Digest> {
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err(Error::new(format_args!("invalid digest '{text}'")));
        };
        if algorithm != "sha256" {
            return Err(Error::new(format_args!("digest '{text}': unsupported digest algorithm")));
        }
        Digest::from_hex(hex)
    }

    /// Reads the 64 hexadecimal digits alone, as they stand in the names of the store's directories.
    pub fn from_hex(hex: &str) -> Result<Digest> {
        let invalid = || Error::new(format_args!("invalid digest 'sha256:{hex}'"));
        let digits: &[u8; 64] = hex.as_bytes().try_into().map_err(|_| invalid())?;
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0]).ok_or_else(invalid)? << 4 | value(pair[1]).ok_or_else(invalid)?;
        }
        Ok(Digest(bytes))
    }

    /// The digest of some bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hexadecimal digits without the algorithm.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first 12 digits, as Docker shows an id.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes bytes as they come and ends in their digest.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    pub fn new() -> Hasher {
        Hasher::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// A reader that hashes and counts what is read through it, and fails as soon
/// as there is more of it than was declared.
pub struct Hashing<R> {
    source: R,
    hasher: Hasher,
    count: u64,
    limit: u64,
}

impl<R: Read> Hashing<R> {
    /// Reads at most `limit` bytes from `source`; one more is an error.
    pub fn new(source: R, limit: u64) -> Hashing<R> {
        Hashing { source, hasher: Hasher::new(), count: 0, limit }
    }

    /// The source again, with the count and digest of all that was read.
    pub fn finish(self) -> (R, u64, Digest) {
        (self.source, self.count, self.hasher.finish())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.count += length as u64;
        if self.count > self.limit {
            return Err(io::Error::other(format!("longer than the {} bytes it was declared with", self.limit)));
        }
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_read_and_written_alike() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(digest, Digest::of(b""));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:../../x",
            &EMPTY[..70],
            &EMPTY.to_uppercase(),
            &EMPTY.replace('e', "E"),
            &format!("{EMPTY}0"),
            &EMPTY.replace("sha256", "sha512"),
            &format!(" {EMPTY}"),
            "sha256:/3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:ééééééééééééééééééééééééééééééé",
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_byte_more_than_declared_is_an_error() {
        let mut reader = Hashing::new(&b"12345"[..], 5);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let (_, count, digest) = reader.finish();
        assert_eq!((count, digest), (5, Digest::of(b"12345")));
        assert!(io::copy(&mut Hashing::new(&b"12345"[..], 4), &mut io::sink()).is_err());
    }
}
