//! Names in a layer's tar: split into parent and last name, and what whiteouts mean by theirs.

use crate::error::{Error, Result};

/// Where an entry goes, below the layer's root.
#[derive(Debug, PartialEq, Eq)]
pub enum EntryPath<'a> {
    /// The root itself: `./`, `/`.
    Root,
    /// A name in a directory; the directory's path has no `.`, `..` or empty parts, and is empty for the root.
    Below { parent: Vec<u8>, name: &'a [u8] },
}

/// Splits the name of an entry or of a hard link's target. As Docker and umoci take it: below the layer's root,
/// also when it is written from `/`, and `..` takes back the name before it, whatever that name is. One that
/// leads above the root is refused.
pub fn entry_path(path: &[u8]) -> Result<EntryPath<'_>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if part != b".." {
            parts.push(part);
        } else if parts.pop().is_none() {
            return Err(Error::new("the name leads out of the layer"));
        }
    }
    Ok(match parts.pop() {
        None => EntryPath::Root,
        Some(name) => EntryPath::Below { parent: parts.join(&b'/'), name },
    })
}

/// Splits a clean path into parent and last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// What a name means by the image specification.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    Plain,
    /// `.wh.x`: x of the layers below is gone.
    Whiteout(&'a [u8]),
    /// `.wh..wh..opq`: all that the layers below have in this directory is gone.
    Opaque,
    /// Book-keeping of aufs that old versions of Docker have left in layers.
    Ignored,
}

const WHITEOUT: &[u8] = b".wh.";

/// What an entry called `name` in `parent` means.
pub fn meaning<'a>(parent: &[u8], name: &'a [u8]) -> Result<Meaning<'a>> {
    for part in parent.split(|&byte| byte == b'/') {
        match part.strip_prefix(WHITEOUT) {
            Some(rest) if rest.starts_with(WHITEOUT) => return Ok(Meaning::Ignored),
            Some(_) => return Err(Error::new("a whiteout cannot be a directory")),
            None => {}
        }
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Plain),
        Some(b".wh..opq") => Ok(Meaning::Opaque),
        Some(rest) if rest.starts_with(WHITEOUT) => Ok(Meaning::Ignored),
        Some(b"" | b"." | b"..") => Err(Error::new("a whiteout of nothing")),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> Option<(String, String)> {
        match entry_path(path.as_bytes()) {
            Ok(EntryPath::Root) => Some((String::new(), String::new())),
            Ok(EntryPath::Below { parent, name }) => {
                Some((String::from_utf8(parent).unwrap(), String::from_utf8_lossy(name).into_owned()))
            }
            Err(_) => None,
        }
    }

    #[test]
    fn names_are_taken_relative_to_the_root() {
        for (path, parent, name) in [
            ("a", "", "a"),
            ("a/b/c", "a/b", "c"),
            ("./a/./b/", "a", "b"),
            (".//a//b//", "a", "b"),
            ("", "", ""),
            ("./", "", ""),
            ("/", "", ""),
            ("...", "", "..."),
            ("a/..b", "a", "..b"),
            ("/etc/passwd", "etc", "passwd"),
            ("//a/", "", "a"),
            ("a/../b", "", "b"),
            ("a/b/../../c/./d", "c", "d"),
            ("a/..", "", ""),
        ] {
            assert_eq!(split(path), Some((parent.into(), name.into())), "{path}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for path in ["..", "../x", "/..", "/../etc/passwd", "./..//x", "a/../..", "a/../../a/x"] {
            assert_eq!(split(path), None, "{path}");
        }
    }

    #[test]
    fn whiteouts_are_told_by_name() {
        let of = |parent: &str, name: &'static str| meaning(parent.as_bytes(), name.as_bytes());
        assert_eq!(of("a", ".wh.x").unwrap(), Meaning::Whiteout(b"x"));
        assert_eq!(of("a", ".wh.x.wh.").unwrap(), Meaning::Whiteout(b"x.wh."));
        assert_eq!(of("", ".wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(of("a", ".wh..wh.plnk").unwrap(), Meaning::Ignored);
        assert_eq!(of(".wh..wh.plnk", "12.34").unwrap(), Meaning::Ignored);
        assert_eq!(of("a", ".who").unwrap(), Meaning::Plain);
        assert_eq!(of("a", "x.wh.").unwrap(), Meaning::Plain);
        for (parent, name) in [("", ".wh."), ("", ".wh.."), ("", ".wh..."), (".wh.a", "b"), ("x/.wh.a/y", "b")] {
            assert!(of(parent, name).is_err(), "{parent} {name}");
        }
    }
}
