//! The header block: fields at fixed places, numbers in octal or in GNU's base 256.

use crate::error::{Error, Result};
use crate::sys::fs::Time;

/// Everything in an archive is in units of this.
pub const BLOCK: usize = 512;

/// Which dialect a header speaks, by its magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    V7,
    Ustar,
    /// star's ustar, with a shorter prefix to make room for two more times.
    Star,
    Gnu,
}

/// A header block whose checksum is right.
pub struct Header<'a> {
    block: &'a [u8; BLOCK],
    pub format: Format,
}

impl<'a> Header<'a> {
    /// Checks the sum over all bytes, where the sum's own field counts as spaces. Old
    /// systems added signed bytes, so that sum is right too.
    pub fn check(block: &'a [u8; BLOCK]) -> Result<Header<'a>> {
        let told = number(&block[148..156])?;
        let bytes = || block.iter().enumerate().map(|(i, &byte)| if (148..156).contains(&i) { b' ' } else { byte });
        let unsigned: i64 = bytes().map(i64::from).sum();
        let signed: i64 = bytes().map(|byte| i64::from(byte as i8)).sum();
        if told != unsigned && told != signed {
            return Err(Error::new(format_args!(
                "the checksum is {unsigned:o}, not {told:o}: not a tar archive or damaged"
            )));
        }
        let format = match &block[257..265] {
            b"ustar  \0" => Format::Gnu,
            magic if !magic.starts_with(b"ustar\0") => Format::V7,
            _ if &block[508..512] == b"tar\0" => Format::Star,
            _ => Format::Ustar,
        };
        Ok(Header { block, format })
    }

    pub fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name, with ustar's prefix before it.
    pub fn name(&self) -> Vec<u8> {
        let prefix = match self.format {
            Format::Ustar => until_nul(&self.block[345..500]),
            Format::Star => until_nul(&self.block[345..476]),
            Format::V7 | Format::Gnu => &[],
        };
        let name = until_nul(&self.block[..100]);
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> Vec<u8> {
        until_nul(&self.block[157..257]).to_vec()
    }

    pub fn mode(&self) -> Result<u32> {
        // Some writers put the file type's bits there too.
        Ok((number(&self.block[100..108])? & 0o7777) as u32)
    }

    pub fn uid(&self) -> Result<u64> {
        natural(&self.block[108..116], "owner")
    }

    pub fn gid(&self) -> Result<u64> {
        natural(&self.block[116..124], "group")
    }

    pub fn size(&self) -> Result<u64> {
        natural(&self.block[124..136], "size")
    }

    pub fn mtime(&self) -> Result<Time> {
        Ok(Time { seconds: number(&self.block[136..148])?, nanoseconds: 0 })
    }

    pub fn device(&self) -> Result<(u32, u32)> {
        if self.format == Format::V7 {
            return Err(Error::new("a device without numbers"));
        }
        let number = |field, what| {
            u32::try_from(natural(field, what)?)
                .map_err(|_| Error::new(format_args!("a device's {what} above 32 bits")))
        };
        Ok((number(&self.block[329..337], "major")?, number(&self.block[337..345], "minor")?))
    }

    /// GNU's old sparse format: the first four pairs of offset and length, whether
    /// blocks with more pairs follow, and the real size.
    pub fn sparse(&self) -> Result<(&'a [u8], bool, u64)> {
        Ok((&self.block[386..482], self.block[482] != 0, natural(&self.block[483..495], "real size")?))
    }
}

pub fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Decimal digits and nothing else.
pub fn decimal(digits: &[u8]) -> Result<u64> {
    let bad = || Error::new(format_args!("'{}' is not a number", digits.get(..40).unwrap_or(digits).escape_ascii()));
    if digits.is_empty() {
        return Err(bad());
    }
    digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => {
            value.checked_mul(10).and_then(|value| value.checked_add(u64::from(byte - b'0'))).ok_or_else(bad)
        }
        _ => Err(bad()),
    })
}

/// A number that cannot be negative.
pub fn natural(field: &[u8], what: &str) -> Result<u64> {
    u64::try_from(number(field)?).map_err(|_| Error::new(format_args!("a negative {what}")))
}

/// Octal digits among spaces up to a NUL, or GNU's base 256: the top bit set, the
/// rest a big-endian two's complement. An empty field is 0.
pub fn number(field: &[u8]) -> Result<i64> {
    let bad = || Error::new(format_args!("'{}' is not a number", field.escape_ascii()));
    if let Some((&first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        // Bit 6 is the sign; shifting it up and back down spreads it.
        let mut value = i64::from((first << 1) as i8 >> 1);
        for &byte in rest {
            value = value.checked_mul(256).ok_or_else(bad)? | i64::from(byte);
        }
        return Ok(value);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = until_nul(field.get(start..).unwrap_or_default()).trim_ascii_end();
    digits.iter().try_fold(0, |value: i64, &byte| match byte {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + i64::from(byte - b'0')).ok_or_else(bad),
        _ => Err(bad()),
    })
}
