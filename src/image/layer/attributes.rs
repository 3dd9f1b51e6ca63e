//! Owners, modes, xattrs and times, always in that order: chown clears set-id bits and
//! file capabilities, and everything before it changes a time.

use super::name::split;
use super::root;
use super::tree::{DIRECTORY, Tree, c};
use super::xattr::{CAPABILITY, capability, is_acl, is_allowed};
use super::{Nobody, Unpacked};
use crate::error::{Error, Result};
use crate::image::tar::Entry;
use crate::sys::fs::{self, Time};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What all remembered directories together may take of the memory, roughly.
const REMEMBERED: usize = 40 << 20;
/// What a directory takes besides its path: the map's slots are not all used.
const OVERHEAD: usize = 2 * (size_of::<Vec<u8>>() + size_of::<Attributes>());

/// Gives an open file, made by us as root with the entry's permission bits, the rest of its attributes.
pub fn set(file: BorrowedFd<'_>, entry: &Entry, result: &mut Unpacked) -> Result<()> {
    let (uid, gid) = own(entry.uid, entry.gid, |uid, gid| fs::fchown(file, uid, gid), result)?;
    let mode = kept_mode(entry.mode, (uid, gid));
    if mode & 0o7000 != 0 {
        fs::fchmod(file, mode)?;
    }
    set_xattrs(file, &entry.xattrs, result);
    fs::futimens(file, entry.mtime, entry.mtime)
}

/// A mode without the set-id bits whose owner could not be kept: they would lend out somebody else's rights.
fn kept_mode(mode: u32, (uid, gid): (bool, bool)) -> u32 {
    let lost = if uid { 0 } else { libc::S_ISUID } | if gid { 0 } else { libc::S_ISGID };
    mode & !lost
}

/// The same for what cannot be opened without side effects: symlinks, FIFOs, devices. They have no xattrs
/// that the allow list knows, and no mode but the one they were made with.
pub fn set_by_name(dir: BorrowedFd<'_>, name: &CStr, entry: &Entry, result: &mut Unpacked) -> Result<()> {
    const SELF: i32 = libc::AT_SYMLINK_NOFOLLOW;
    result.xattrs_lost += entry.xattrs.len() as u64;
    own(entry.uid, entry.gid, |uid, gid| fs::fchownat(dir, name, uid, gid, SELF), result)?;
    fs::utimensat(dir, name, entry.mtime, entry.mtime, SELF)
}

/// Gives something that is 0:0 its owner and group; returns for each whether it could be kept. An id that the
/// user namespace does not map (EINVAL, or EPERM without the right to give away) is lost, and nobody's id takes its
/// place.
fn own(uid: u64, gid: u64, chown: impl Fn(u32, u32) -> Result<()>, result: &mut Unpacked) -> Result<(bool, bool)> {
    // For chown, -1 means "as it is".
    const KEEP: u32 = u32::MAX;
    if (uid, gid) == (0, 0) {
        return Ok((true, true));
    }
    let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != KEEP);
    let attempt = |uid, gid| match chown(uid, gid) {
        Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EPERM)) => Ok(false),
        done => done.map(|()| true),
    };
    let one = |wanted: Option<u32>, nobody: &mut Nobody, give: &dyn Fn(u32) -> Result<bool>| match wanted {
        Some(0) => Ok(true),
        Some(id) if give(id)? => Ok(true),
        _ => nobody.give(give).map(|()| false),
    };
    let kept = match (id(uid), id(gid)) {
        (Some(uid), Some(gid)) if attempt(uid, gid)? => (true, true),
        (uid, gid) => {
            let uid = one(uid, &mut result.no_user, &|uid| attempt(uid, KEEP))?;
            (uid, one(gid, &mut result.no_group, &|gid| attempt(KEEP, gid))?)
        }
    };
    result.owners_lost += u64::from(kept != (true, true));
    Ok(kept)
}

/// An extended attribute's name and value.
type Xattr = (Vec<u8>, Vec<u8>);

/// Sets the extended attributes that an image may have: file capabilities, access control lists, and users' own,
/// among which overlay's are not (with them a layer could redirect directories). What the file system refuses, as
/// lists of ids that are not mapped, is counted.
pub fn set_xattrs<'x>(file: BorrowedFd<'_>, xattrs: impl IntoIterator<Item = &'x Xattr>, result: &mut Unpacked) {
    for (name, value) in xattrs {
        let value = if name == CAPABILITY { &capability(value) } else { value };
        let set = is_allowed(name) && c(name).and_then(|name| fs::fsetxattr(file, &name, value)).is_ok();
        result.xattrs_lost += u64::from(!set);
    }
}

/// Sets a directory's extended attributes, but not yet what its files would inherit.
pub fn set_early_xattrs(dir: BorrowedFd<'_>, entry: &Entry, result: &mut Unpacked) {
    set_xattrs(dir, entry.xattrs.iter().filter(|(name, _)| !is_acl(name)), result);
}

/// A directory's attributes, kept until all its entries are there.
struct Attributes {
    uid: u64,
    gid: u64,
    mode: u32,
    mtime: Time,
    acls: Vec<Xattr>,
}

/// What remembering a directory takes of the memory, roughly.
fn size(path: &[u8], attributes: &Option<Attributes>) -> usize {
    let acls = attributes.iter().flat_map(|attributes| &attributes.acls);
    path.len() + OVERHEAD + acls.map(|(name, value)| size_of::<Xattr>() + name.len() + value.len()).sum::<usize>()
}

/// The directories that are there, by their paths without symlinks; None for those that no entry told of yet.
#[derive(Default)]
pub struct Directories {
    known: BTreeMap<Vec<u8>, Option<Attributes>>,
    size: usize,
}

impl Directories {
    /// An entry tells of a directory.
    pub fn remember(&mut self, path: Vec<u8>, entry: &Entry) -> Result<()> {
        let Entry { uid, gid, mode, mtime, .. } = *entry;
        let acls = entry.xattrs.iter().filter(|(name, _)| is_acl(name)).cloned().collect();
        self.insert(path, Some(Attributes { uid, gid, mode, mtime, acls }))
    }

    /// A directory had to be made for what lies in it.
    pub fn made_up(&mut self, path: Vec<u8>) -> Result<()> {
        self.insert(path, None)
    }

    fn insert(&mut self, path: Vec<u8>, attributes: Option<Attributes>) -> Result<()> {
        self.remove(&path);
        self.size += size(&path, &attributes);
        if self.size > REMEMBERED {
            return Err(Error::new(format_args!("more directories than fit into {} MiB", REMEMBERED >> 20)));
        }
        self.known.insert(path, attributes);
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        if let Some(attributes) = self.known.remove(path) {
            self.size -= size(path, &attributes);
        }
    }

    /// What is at `path` is going to be removed with all below it.
    pub fn forget(&mut self, path: &[u8]) {
        // The byte after the slash ends the range.
        let below = [path, b"/"].concat()..[path, b"0"].concat();
        let mut gone: Vec<Vec<u8>> = self.known.range(below).map(|(path, _)| path.clone()).collect();
        gone.push(path.to_vec());
        gone.iter().for_each(|path| self.remove(path));
    }

    /// Applies them from the leaves to the root, so that a directory that forbids itself to us comes after
    /// those in it. Those that were made up are listed in the same order.
    pub fn apply(self, tree: &mut Tree<'_>, result: &mut Unpacked) -> Result<()> {
        for (path, attributes) in self.known.into_iter().rev() {
            let Some(Attributes { uid, gid, mode, mtime, acls }) = attributes else {
                result.made_up.push(path);
                continue;
            };
            let (parent, name) = split(&path);
            let Some(parent) = tree.find(parent)? else { continue };
            let name = if name.is_empty() { c".".to_owned() } else { c(name)? };
            let dir = fs::openat(parent.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0)?;
            let kept = own(uid, gid, |uid, gid| fs::fchown(dir.as_fd(), uid, gid), result)?;
            let mode = kept_mode(mode, kept);
            if path.is_empty() {
                result.root.attributes = Some(root_attributes(dir.as_fd(), mode, mtime, &acls, result)?);
                continue;
            }
            fs::fchmod(dir.as_fd(), mode)?;
            set_xattrs(dir.as_fd(), &acls, result);
            fs::futimens(dir.as_fd(), mtime, mtime)?;
        }
        Ok(())
    }
}

/// What becomes of the layer's root entry: the directory, which just got its owner, is given back to container root
/// (see [`root`]).
fn root_attributes(
    dir: BorrowedFd<'_>,
    mode: u32,
    mtime: Time,
    acls: &[Xattr],
    result: &mut Unpacked,
) -> Result<root::Attributes> {
    let fs::Stat { uid, gid, .. } = fs::fstat(dir)?;
    fs::fchown(dir, 0, 0)?;
    fs::fchmod(dir, 0o755)?;
    set_xattrs(dir, acls, result);
    let xattrs = fs::flistxattr(dir).is_ok_and(|names| names.iter().any(|name| is_allowed(name.to_bytes())));
    Ok(root::Attributes { uid, gid, mode, mtime, xattrs })
}

/// Gives one file or directory all attributes of another, but not what overlay notes on it.
pub fn copy_attributes(from: BorrowedFd<'_>, stat: &fs::Stat, to: BorrowedFd<'_>) -> Result<()> {
    fs::fchown(to, stat.uid, stat.gid)?;
    fs::fchmod(to, stat.mode & 0o7777)?;
    for name in fs::flistxattr(from)?.iter().filter(|name| is_allowed(name.to_bytes())) {
        fs::fsetxattr(to, name, &fs::fgetxattr(from, name)?)?;
    }
    fs::futimens(to, stat.atime, stat.mtime)
}
