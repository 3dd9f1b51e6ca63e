//! Names in a layer's tar: split into parent and last name, and what whiteouts mean by theirs.

use crate::error::{Error, Result};

/// Where an entry goes, below the layer's root.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The root itself: `./`, `/`.
    Root,
    /// A name in a directory; the directory's path has no `.`, `..` or empty parts, and is empty for the root.
    Below { parent: Vec<u8>, name: &'a [u8] },
}

/// Splits an entry's name. One from the root (`/etc/passwd`) is refused: the image specification has names
/// relative to the layer's root only, and one that is not tries to be somewhere else. `/` is that root itself.
pub fn entry(path: &[u8]) -> Result<Place<'_>> {
    let place = place(path)?;
    if path.starts_with(b"/") && place != Place::Root {
        return Err(Error::new("the name is an absolute path, and a layer's are relative to its root"));
    }
    Ok(place)
}

/// Splits the name of an entry or of a hard link's target, which may be written from the root. `..` is refused
/// wherever it stands: no tool that makes layers writes it.
pub fn place(path: &[u8]) -> Result<Place<'_>> {
    let mut parent = Vec::with_capacity(path.len());
    let mut name: &[u8] = b"";
    for part in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if part == b".." {
            return Err(Error::new("the name leads out of the layer"));
        }
        if !name.is_empty() {
            if !parent.is_empty() {
                parent.push(b'/');
            }
            parent.extend_from_slice(name);
        }
        name = part;
    }
    Ok(if name.is_empty() { Place::Root } else { Place::Below { parent, name } })
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
        match entry(path.as_bytes()) {
            Ok(Place::Root) => Some((String::new(), String::new())),
            Ok(Place::Below { parent, name }) => {
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
        ] {
            assert_eq!(split(path), Some((parent.into(), name.into())), "{path}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for path in ["..", "../x", "a/../b", "a/..", "/..", "./..//x", "/etc/passwd", "//a", "/a/"] {
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
