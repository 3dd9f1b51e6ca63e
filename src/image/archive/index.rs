//! Where in an archive its members are, by name.
//!
//! Names are looked up, never followed on a disk: whatever an archive calls its members and
//! wherever its links lead, nothing outside of it is meant.

use crate::error::{Error, Result};
use crate::image::tar::{Archive, Entry, Kind};
use std::collections::BTreeMap;
use std::io::BufRead;

/// How many bytes of names are kept. An image has a few of them for each layer.
const NAMES_MAX: usize = 8 << 20;
/// How many links are followed from one to the next.
const LINKS_MAX: usize = 8;

/// A member's bytes in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub offset: u64,
    pub length: u64,
}

enum Member {
    File(Span),
    /// The name that a link leads to.
    Link(String),
}

/// The members of an archive. Of several with one name the last one counts, as for tar.
#[derive(Default)]
pub struct Index {
    members: BTreeMap<String, Member>,
    /// Bytes of names in all.
    names: usize,
}

impl Index {
    /// Reads a tar archive up to the end of what holds it.
    pub fn read(source: &mut dyn BufRead) -> Result<Index> {
        let mut archive = Archive::new(source);
        let mut index = Index::default();
        let begin = |error: Error| error.context("this begins as no tar archive does");
        let mut next = archive.next().map_err(begin)?;
        while let Some(entry) = next {
            index.add(&entry, archive.position()).map_err(|error| entry.blame(error))?;
            next = archive.next()?;
        }
        archive.finish()?;
        Ok(index)
    }

    fn add(&mut self, entry: &Entry, offset: u64) -> Result<()> {
        // What is no text is no name that an image's documents could mean.
        let (Ok(name), Ok(link)) = (std::str::from_utf8(&entry.name), std::str::from_utf8(&entry.link)) else {
            return Ok(());
        };
        let name = resolve("", name).ok_or_else(|| Error::new("its name leads out of the archive"))?;
        let member = match entry.kind {
            Kind::File if entry.sparse.is_some() => return Err(Error::new("a file with holes")),
            Kind::File => Some(Member::File(Span { offset, length: entry.size })),
            Kind::HardLink => resolve("", link).map(Member::Link),
            Kind::Symlink if link.starts_with('/') => None,
            Kind::Symlink => resolve(parent(&name), link).map(Member::Link),
            Kind::Directory | Kind::Character | Kind::Block | Kind::Fifo => return Ok(()),
        };
        self.names += name.len() + link.len();
        if self.names > NAMES_MAX {
            return Err(Error::new("too many members for an archive of images"));
        }
        // A link that leads out leads nowhere.
        match member {
            Some(member) => self.members.insert(name, member),
            None => self.members.remove(&name),
        };
        Ok(())
    }

    /// The member of this name, through links.
    pub fn find(&self, name: &str) -> Result<Option<Span>> {
        let Some(mut at) = resolve("", name) else {
            return Err(Error::new(format_args!("the name '{name}' leads out of the archive")));
        };
        for _ in 0..=LINKS_MAX {
            match self.members.get(&at) {
                None => return Ok(None),
                Some(Member::File(span)) => return Ok(Some(*span)),
                Some(Member::Link(target)) => at.clone_from(target),
            }
        }
        Err(Error::new(format_args!("the links of '{name}' lead in a circle or through more than {LINKS_MAX} others")))
    }
}

/// The name that `path` means in the directory `base`, without dots and double slashes; None when it leads out.
pub fn resolve(base: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;
    use crate::image::tar::writer::Writer;

    fn entry(name: &str, kind: Kind, link: &str, size: u64) -> Entry {
        Entry { size, link: link.into(), ..Entry::plain(name, kind) }
    }

    fn archive(entries: &[Entry]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for entry in entries {
            writer.append(entry, &mut std::io::Read::take(std::io::repeat(b'x'), entry.size)).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Index> {
        Index::read(&mut &*bytes)
    }

    #[test]
    fn members_are_found_by_name_and_through_links() {
        let index = read(&archive(&[
            entry("./a/layer.tar", Kind::File, "", 700),
            entry("b/", Kind::Directory, "", 0),
            entry("b//layer.tar", Kind::Symlink, "../a/layer.tar", 0),
            entry("c", Kind::HardLink, "./b/layer.tar", 0),
            entry("d", Kind::File, "", 1),
            entry("d", Kind::File, "", 2),
        ]))
        .unwrap();
        let first = Span { offset: 512, length: 700 };
        for name in ["a/layer.tar", "/a/./layer.tar", "b/layer.tar", "c", "b/../c"] {
            assert_eq!(index.find(name).unwrap(), Some(first), "{name}");
        }
        assert_eq!(index.find("d").unwrap().unwrap().length, 2);
        for name in ["b", "a", "", "layer.tar"] {
            assert_eq!(index.find(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn nothing_outside_is_ever_meant() {
        let index = read(&archive(&[
            entry("up", Kind::Symlink, "../etc/passwd", 0),
            entry("absolute", Kind::Symlink, "/etc/passwd", 0),
            entry("hard", Kind::HardLink, "../x", 0),
            entry("circle", Kind::Symlink, "round", 0),
            entry("round", Kind::Symlink, "circle", 0),
            entry("file", Kind::File, "", 1),
            entry("file", Kind::Symlink, "/etc/passwd", 0),
        ]))
        .unwrap();
        for name in ["up", "absolute", "hard", "file"] {
            assert_eq!(index.find(name).unwrap(), None, "{name}");
        }
        assert!(index.find("circle").unwrap_err().to_string().contains("circle"));
        assert!(index.find("../file").is_err());
        let error = read(&archive(&[entry("a/../../x", Kind::File, "", 1)])).err().unwrap().to_string();
        assert!(error.ends_with("its name leads out of the archive"), "{error}");
    }

    #[test]
    fn names_take_no_more_memory_than_images_need() {
        let many: Vec<Entry> =
            (0..3000).map(|n| entry(&format!("{n:04}/").repeat(600), Kind::Symlink, "x", 0)).collect();
        assert!(read(&archive(&many)).err().unwrap().to_string().contains("too many members"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = archive(&[
            entry("a", Kind::File, "", 100),
            entry("b", Kind::Symlink, "a", 0),
            entry("c", Kind::HardLink, "b", 0),
        ]);
        mutation::each(&[good], 2000, |bytes| {
            if let Ok(index) = read(bytes) {
                for name in ["a", "b", "c"] {
                    let _ = index.find(name);
                }
            }
        });
    }
}
