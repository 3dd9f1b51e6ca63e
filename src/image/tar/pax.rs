//! PAX records: `LENGTH KEY=VALUE\n`, one after another, LENGTH counting all of it.

use super::header::decimal;
use super::sparse;
use crate::error::{Error, Result};
use crate::sys::fs::Time;

/// More extended attributes than a file of any image has. (Each is looked for among all others.)
const XATTRS: usize = 256;

/// What PAX headers say about an entry; None where they say nothing.
#[derive(Debug, Default)]
pub struct Records {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Time>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: sparse::Records,
}

impl Records {
    /// These records and those in `body` over them: of a key's values the last one counts.
    ///
    /// A `global` header speaks of every entry after it. Docker does not listen, nor do we: who does has other
    /// owners and times. One that gives all entries the same name, size or attributes would even make other
    /// entries of them, and has no honest use, so that is refused.
    pub fn with(mut self, mut body: &[u8], global: bool) -> Result<Records> {
        while !body.is_empty() {
            let (key, value, rest) = record(body)?;
            self.set(key, value, global).map_err(|error| error.context(format_args!("PAX {}", key.escape_ascii())))?;
            body = rest;
        }
        Ok(self)
    }

    fn set(&mut self, key: &[u8], value: &[u8], global: bool) -> Result<()> {
        let ones_own =
            matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") || xattr(key).is_some();
        if global && ones_own {
            return Err(Error::new("cannot be the same for all entries"));
        }
        let given = !value.is_empty();
        match key {
            b"path" => self.path = given.then(|| without_nul(value)).transpose()?,
            b"linkpath" => self.link = given.then(|| without_nul(value)).transpose()?,
            b"size" => self.size = given.then(|| decimal(value)).transpose()?,
            b"uid" => self.uid = given.then(|| decimal(value)).transpose()?,
            b"gid" => self.gid = given.then(|| decimal(value)).transpose()?,
            b"mtime" => self.mtime = given.then(|| time(value)).transpose()?,
            _ => {
                if let Some(name) = xattr(key) {
                    // An attribute may well be empty.
                    self.xattrs.retain(|(old, _)| old != name);
                    if self.xattrs.len() == XATTRS {
                        return Err(Error::new(format_args!("more than {XATTRS} extended attributes")));
                    }
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(key, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The name of the extended attribute that a key stands for.
fn xattr(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"SCHILY.xattr.")
}

/// Splits the first record off: its key, its value, what follows.
fn record(body: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let bad = || Error::new(format_args!("a damaged PAX record '{}'", body.get(..40).unwrap_or(body).escape_ascii()));
    let space = body.iter().take(10).position(|&byte| byte == b' ').ok_or_else(bad)?;
    let length = decimal(body.get(..space).unwrap_or_default()).map_err(|_| bad())? as usize;
    let text = body.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(bad)?;
    let equals = text.iter().position(|&byte| byte == b'=').filter(|&at| at > 0).ok_or_else(bad)?;
    let (key, value) = text.split_at(equals);
    Ok((key, value.get(1..).unwrap_or_default(), body.get(length..).unwrap_or_default()))
}

fn without_nul(value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) {
        return Err(Error::new("a NUL byte in a name"));
    }
    Ok(value.to_vec())
}

/// `[-]seconds[.fraction]`, to the nanosecond. A time before 1970 counts its fraction backwards.
fn time(text: &[u8]) -> Result<Time> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = decimal(parts.next().unwrap_or_default())?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Error::new(format_args!("'{}' is not a fraction", fraction.escape_ascii())));
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    // Far beyond any file system's range: the kernel clamps what it cannot keep.
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Ok(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds: 0 },
        (true, _) => Time { seconds: (-seconds).saturating_sub(1), nanoseconds: 1_000_000_000 - nanoseconds },
    })
}
