//! Numbers and sizes, as flags take them.

use crate::cli::args::Parsed;
use crate::decimal;
use crate::error::{Error, Result};

/// The value of a flag in bytes; 0 means that it is not given.
pub fn bytes(parsed: &Parsed, long: &str) -> Result<Option<u64>> {
    let Some(text) = parsed.text(long)? else { return Ok(None) };
    let bytes = size(text).ok_or_else(|| {
        invalid(parsed, long, text, &format!("invalid size: '{text}'")).hint("a number and b, k, m or g, such as 64m")
    })?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

/// The value of a flag as a whole number.
pub fn whole(parsed: &Parsed, long: &str) -> Result<Option<i64>> {
    let Some(text) = parsed.text(long)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(parsed, long, text, "not a whole number"))
}

/// The error for a value that a flag does not take.
pub fn invalid(parsed: &Parsed, long: &str, text: &str, why: &str) -> Error {
    let short = parsed.command.flags.iter().find(|flag| flag.long == long).and_then(|flag| flag.short);
    let short = short.map_or(String::new(), |short| format!("-{short}, "));
    Error::new(format_args!("invalid argument \"{text}\" for \"{short}--{long}\" flag: {why}"))
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
