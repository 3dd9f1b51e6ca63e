//! The result of unpacking a layer, and how it leaves the sandbox.

use super::name::{EntryPath, entry_path};
use super::root::Root;
use crate::error::{Error, Result};

/// A hard link: where it goes and what it is a link to, both split into directory and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub target_parent: Vec<u8>,
    pub target: Vec<u8>,
    pub parent: Vec<u8>,
    pub name: Vec<u8>,
}

impl Link {
    /// A link called `name` in `parent`. Its target is told by its path in the layer (never relative to
    /// the link), and is refused when it leads out.
    pub fn new(target: &[u8], parent: &[u8], name: &[u8]) -> Result<Link> {
        let shown = || format!("hard link to '{}'", String::from_utf8_lossy(target));
        match entry_path(target).map_err(|error| error.context(shown()))? {
            EntryPath::Root => Err(Error::new(format_args!("{}: not a file", shown()))),
            EntryPath::Below { parent: target_parent, name: target } => {
                Ok(Link { target_parent, target: target.to_vec(), parent: parent.to_vec(), name: name.to_vec() })
            }
        }
    }

    /// Says which link an error is about.
    pub fn blame(&self, error: Error) -> Error {
        let path = |parent: &[u8], name: &[u8]| {
            let slash = if parent.is_empty() { "" } else { "/" };
            format!("{}{slash}{}", String::from_utf8_lossy(parent), String::from_utf8_lossy(name))
        };
        let (target, name) = (path(&self.target_parent, &self.target), path(&self.parent, &self.name));
        error.context(format_args!("hard link '{name}' to '{target}'"))
    }
}

/// What [`unpack`](super::unpack) has done, and what it could not keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub entries: u64,
    /// Bytes of file contents.
    pub bytes: u64,
    /// Length of the whole tar stream.
    pub stream: u64,
    /// Entries whose owner or group is outside the id map; they are nobody's instead.
    pub owners_lost: u64,
    /// Device nodes that could not be made.
    pub devices_lost: u64,
    /// Extended attributes that were not set: not on the allow list, or refused by the file system.
    pub xattrs_lost: u64,
    /// Hard links whose target is not in this layer.
    pub deferred: Vec<Link>,
    /// Directories that no entry tells of, leaves first, the layer's root not among them.
    pub made_up: Vec<Vec<u8>>,
    pub root: Root,
    /// Who takes the place of owners and groups that are lost; not sent on.
    pub no_user: Nobody,
    pub no_group: Nobody,
}

/// The id that takes the place of those outside the id map: 65534 as the kernel shows them, or the last one of a
/// smaller map. With a single id it is root's, as everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nobody(Option<u32>);

impl Nobody {
    /// How the kernel shows an id without a place in the map (user_namespaces(7)).
    pub const ID: u32 = 65534;

    /// Gives a file away; `give` says whether an id is in the map.
    pub fn give(&mut self, give: &dyn Fn(u32) -> Result<bool>) -> Result<()> {
        match self.0 {
            Some(0) => return Ok(()),
            Some(id) => return give(id).map(drop),
            None => {}
        }
        // The first id is known to be in the map, the second not to be.
        let (mut id, mut outside) = if give(Nobody::ID)? { (Nobody::ID, Nobody::ID) } else { (0, Nobody::ID) };
        while id + 1 < outside {
            let middle = id.midpoint(outside);
            if give(middle)? { id = middle } else { outside = middle }
        }
        self.0 = Some(id);
        if id == 0 { Ok(()) } else { give(id).map(drop) }
    }
}

impl Unpacked {
    /// As bytes, to be sent out of the sandbox: seven numbers, the last of which says how many links there are,
    /// the root as text, then four names per link and one per directory, each ended by NUL.
    pub fn encode(&self) -> Vec<u8> {
        let lost = [self.owners_lost, self.devices_lost, self.xattrs_lost];
        let numbers = [&[self.entries, self.bytes, self.stream], &lost[..], &[self.deferred.len() as u64]].concat();
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| format!("{number}\0").into_bytes()).collect();
        bytes.extend(format!("{}\0", self.root).into_bytes());
        for link in &self.deferred {
            for name in [&link.target_parent, &link.target, &link.parent, &link.name] {
                bytes.extend_from_slice(name);
                bytes.push(0);
            }
        }
        for path in &self.made_up {
            bytes.extend_from_slice(path);
            bytes.push(0);
        }
        bytes
    }

    /// The reverse of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Unpacked> {
        let bad = || Error::new("the unpacking process has sent no proper answer");
        let mut fields = bytes.strip_suffix(b"\0").ok_or_else(bad)?.split(|&byte| byte == 0);
        let mut number = || {
            let digits = std::str::from_utf8(fields.next()?).ok()?;
            digits.parse::<u64>().ok()
        };
        let mut next = || number().ok_or_else(bad);
        let mut unpacked = Unpacked {
            entries: next()?,
            bytes: next()?,
            stream: next()?,
            owners_lost: next()?,
            devices_lost: next()?,
            xattrs_lost: next()?,
            ..Unpacked::default()
        };
        let links = usize::try_from(next()?).ok().and_then(|links| links.checked_mul(4)).ok_or_else(bad)?;
        let root = fields.next().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        unpacked.root = root.ok_or_else(bad)?;
        let names: Vec<&[u8]> = fields.collect();
        let (links, made_up) = names.split_at_checked(links).ok_or_else(bad)?;
        unpacked.made_up = made_up.iter().map(|path| path.to_vec()).collect();
        for link in links.chunks(4) {
            let [target_parent, target, parent, name] = *link else { return Err(bad()) };
            unpacked.deferred.push(Link {
                target_parent: target_parent.to_vec(),
                target: target.to_vec(),
                parent: parent.to_vec(),
                name: name.to_vec(),
            });
        }
        Ok(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_survives_the_way_out() {
        let mut unpacked = Unpacked { entries: 3, bytes: u64::MAX, xattrs_lost: 7, ..Unpacked::default() };
        assert_eq!(Unpacked::decode(&unpacked.encode()).unwrap(), unpacked);
        unpacked.deferred.push(Link::new(b"/a/b", b"", b"x\xff\ny").unwrap());
        unpacked.deferred.push(Link::new(b"z", b"p/q", b"r").unwrap());
        unpacked.made_up = vec![b"a/\xff".to_vec(), b"a".to_vec()];
        unpacked.root.opaque = true;
        assert_eq!(Unpacked::decode(&unpacked.encode()).unwrap(), unpacked);
        for bytes in [
            &b""[..],
            b"1",
            b"1\0",
            b"1\x002\x003\x004\x005\x006\x001\x00-\0a\0",
            b"1\x002\x003\x004\x005\x006\x000\x00",
        ] {
            assert!(Unpacked::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_lost_goes_to_nobody_or_to_the_last_id() {
        for (last, wanted) in [(65535, 65534), (65534, 65534), (65533, 65533), (1000, 1000), (2, 2), (1, 1), (0, 0)] {
            let (owner, asked) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
            let give = |id: u32| {
                asked.set(asked.get() + 1);
                if id <= last {
                    owner.set(id);
                }
                Ok(id <= last)
            };
            let mut nobody = Nobody::default();
            nobody.give(&give).unwrap();
            assert_eq!(owner.get(), wanted, "of {last}");
            owner.set(0);
            let before = asked.get();
            nobody.give(&give).unwrap();
            assert!(owner.get() == wanted && asked.get() <= before + 1, "of {last}");
        }
    }
}
