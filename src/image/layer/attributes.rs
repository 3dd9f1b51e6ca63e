//! Owners, modes, xattrs and times, always in that order: chown clears set-id bits and
//! file capabilities, and everything before it changes a time.

use super::Unpacked;
use super::name::split;
use super::tree::{DIRECTORY, Tree, absent, c};
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
    // A set-id bit whose owner could not be kept would lend out the rights of root, who has the file instead.
    let lost = if uid { 0 } else { libc::S_ISUID } | if gid { 0 } else { libc::S_ISGID };
    if entry.mode & 0o7000 & !lost != 0 {
        fs::fchmod(file, entry.mode & !lost)?;
    }
    set_xattrs(file, &entry.xattrs, result);
    fs::futimens(file, entry.mtime, entry.mtime)
}

/// The same for what cannot be opened without side effects: symlinks, FIFOs, devices. They have no xattrs
/// that the allow list knows, and no mode but the one they were made with.
pub fn set_by_name(dir: BorrowedFd<'_>, name: &CStr, entry: &Entry, result: &mut Unpacked) -> Result<()> {
    const SELF: i32 = libc::AT_SYMLINK_NOFOLLOW;
    result.xattrs_lost += entry.xattrs.len() as u64;
    own(entry.uid, entry.gid, |uid, gid| fs::fchownat(dir, name, uid, gid, SELF), result)?;
    fs::utimensat(dir, name, entry.mtime, entry.mtime, SELF)
}

/// Gives something that is 0:0 its owner and group; tells for each whether it could be kept.
/// An id that the user namespace does not map (EINVAL, or EPERM without the right to give away) is lost.
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
    let kept = match (id(uid), id(gid)) {
        (Some(uid), Some(gid)) if attempt(uid, gid)? => (true, true),
        (uid, gid) => {
            let uid = uid.map_or(Ok(false), |uid| if uid == 0 { Ok(true) } else { attempt(uid, KEEP) })?;
            let gid = gid.map_or(Ok(false), |gid| if gid == 0 { Ok(true) } else { attempt(KEEP, gid) })?;
            (uid, gid)
        }
    };
    result.owners_lost += u64::from(kept != (true, true));
    Ok(kept)
}

/// Sets the extended attributes that an image may have: file capabilities, and users' own, among which
/// overlay's are not (with them a layer could redirect directories). What the file system refuses is counted.
pub fn set_xattrs(file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)], result: &mut Unpacked) {
    for (name, value) in xattrs {
        let set = match &name[..] {
            b"security.capability" => fs::fsetxattr(file, c"security.capability", &capability(value)),
            name if name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") => {
                c(name).and_then(|name| fs::fsetxattr(file, &name, value))
            }
            _ => Err(Error::new("not for images")),
        };
        result.xattrs_lost += u64::from(set.is_err());
    }
}

/// File capabilities for the user namespace that we are in. Version 3 names the root of some other one
/// (the builder's); version 2 lets the kernel put in ours.
fn capability(value: &[u8]) -> Vec<u8> {
    match *value {
        [flags, a, b, 3, ref rest @ ..] if rest.len() == 20 => [&[flags, a, b, 2], &rest[..16]].concat(),
        _ => value.to_vec(),
    }
}

/// A directory's attributes, kept until all its entries are there.
struct Attributes {
    uid: u64,
    gid: u64,
    mode: u32,
    mtime: Time,
}

/// The directories that entries spoke of, by path.
#[derive(Default)]
pub struct Directories {
    known: BTreeMap<Vec<u8>, Attributes>,
    size: usize,
}

impl Directories {
    pub fn remember(&mut self, path: Vec<u8>, entry: &Entry) -> Result<()> {
        let size = path.len() + OVERHEAD;
        let attributes = Attributes { uid: entry.uid, gid: entry.gid, mode: entry.mode, mtime: entry.mtime };
        if self.known.insert(path, attributes).is_none() {
            self.size += size;
            if self.size > REMEMBERED {
                return Err(Error::new(format!("more directories than fit into {} MiB", REMEMBERED >> 20)));
            }
        }
        Ok(())
    }

    /// Applies them from the leaves to the root, so that a directory that forbids itself to us comes after
    /// those in it.
    pub fn apply(self, tree: &mut Tree<'_>, result: &mut Unpacked) -> Result<()> {
        for (path, attributes) in self.known.into_iter().rev() {
            let Attributes { uid, gid, mode, mtime } = attributes;
            let (parent, name) = split(&path);
            let Some(parent) = tree.find(parent)? else { continue };
            let name = if name.is_empty() { c".".to_owned() } else { c(name)? };
            let dir = match fs::openat(parent.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0) {
                // A later entry has put something else in its place.
                Err(error) if absent(&error) => continue,
                dir => dir?,
            };
            own(uid, gid, |uid, gid| fs::fchown(dir.as_fd(), uid, gid), result)?;
            fs::fchmod(dir.as_fd(), mode)?;
            fs::futimens(dir.as_fd(), mtime, mtime)?;
        }
        Ok(())
    }
}

/// Gives one file all attributes of another.
pub fn copy_attributes(from: BorrowedFd<'_>, stat: &fs::Stat, to: BorrowedFd<'_>) -> Result<()> {
    fs::fchown(to, stat.uid, stat.gid)?;
    fs::fchmod(to, stat.mode & 0o7777)?;
    for name in fs::flistxattr(from)? {
        fs::fsetxattr(to, &name, &fs::fgetxattr(from, &name)?)?;
    }
    fs::futimens(to, stat.atime, stat.mtime)
}
