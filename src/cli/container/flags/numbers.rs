//! Numbers and sizes, as flags take them.

use crate::cli::args::Flag;
use crate::decimal;
use crate::error::Result;

/// Parses a size; 0 bytes mean the same as no flag.
pub fn bytes(flag: &Flag, text: &str) -> Result<Option<u64>> {
    let bytes = size(text).ok_or_else(|| {
        flag.invalid(text, &format!("invalid size: '{text}'")).hint("a number and b, k, m or g, such as 64m")
    })?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

/// Parses a whole number.
pub fn whole(flag: &Flag, text: &str) -> Result<Option<i64>> {
    text.parse().map(Some).map_err(|_| flag.invalid(text, "not a whole number"))
}

/// Bytes of `64m`, `1.5g`, `1073741824`, `10KiB`: units of 1024, in either case (docker/go-units, RAMInBytes).
pub fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = decimal::parse(&text[..end])?;
    let unit = text[end..].trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number * (1u64 << shift) as f64;
    (bytes < i64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in
            [("64m", 64 << 20), ("64MiB", 64 << 20), ("1.5g", 3 << 29), ("7000000", 7_000_000), ("6 mb", 6 << 20)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "1x", "-1m", "1mm", "1e9", "inf", "99999999999p"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
