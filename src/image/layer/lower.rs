//! What a layer has from the layers below it: the targets of hard links, and the attributes of directories that
//! it takes for granted.

use super::attributes::copy_attributes;
use super::links;
use super::tree::{DIRECTORY, Dir, OPAQUE, Tree, absent, c};
use super::unpacked::{Link, Unpacked};
use crate::error::{Error, Result};
use crate::sys::fs;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Does what [`unpack`](super::unpack) had to leave until the layers below (the topmost first) are there. Runs where
/// `unpack` did: as the container's root, with the lower layers' directories opened beforehand.
pub fn settle(lowers: &[BorrowedFd<'_>], root: BorrowedFd<'_>, unpacked: &Unpacked) -> Result<()> {
    link(lowers, &mut Tree::new(root), &unpacked.deferred)?;
    for path in &unpacked.implied {
        inherit(lowers, root, path).map_err(|error| error.context(String::from_utf8_lossy(path)))?;
    }
    Ok(())
}

/// Makes the links: each becomes a copy of the file that the layers below have under the target's name, and links to
/// one file stay links to one file.
fn link(lowers: &[BorrowedFd<'_>], tree: &mut Tree<'_>, deferred: &[Link]) -> Result<()> {
    let mut copied: HashMap<(u64, u64), (Rc<Dir>, CString)> = HashMap::new();
    for link in deferred {
        let blame = |error| link.blame(error);
        let dir = tree.make(&link.parent)?;
        let name = c(&link.name)?;
        // The directory's own time is told by the layer; what is put into it now must not change it.
        let before = fs::fstat(dir.as_fd())?;
        if let Some((first_dir, first)) = links::target(tree, link)? {
            // A link to one of these links, which is there by now.
            fs::linkat(first_dir.as_fd(), &first, dir.as_fd(), &name, 0).map_err(blame)?;
        } else {
            let missing = || blame(Error::new("neither this layer nor one below it has the target"));
            let (from, target) = lookup(lowers, link).map_err(blame)?.ok_or_else(missing)?;
            let stat = fs::fstatat(from.as_fd(), &target, libc::AT_SYMLINK_NOFOLLOW).map_err(blame)?;
            match copied.get(&(stat.dev, stat.ino)) {
                Some((first_dir, first)) => fs::linkat(first_dir.as_fd(), first, dir.as_fd(), &name, 0),
                None => copy(from.as_fd(), &target, &stat, dir.as_fd(), &name),
            }
            .map_err(blame)?;
            copied.entry((stat.dev, stat.ino)).or_insert((dir.clone(), name));
        }
        fs::futimens(dir.as_fd(), before.atime, before.mtime)?;
    }
    Ok(())
}

/// Gives a directory the attributes that it has in the layers below, if they have it: overlay shows the topmost
/// layer's, and this one has said nothing of them.
fn inherit(lowers: &[BorrowedFd<'_>], root: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let Some(below) = merged(lowers, path)?.into_iter().next() else { return Ok(()) };
    let mut here = fs::openat(root, c".", DIRECTORY, 0)?;
    for part in path.split(|&byte| byte == b'/') {
        // What the layers below have in an opaque directory is hidden, this one too.
        if is_opaque(&here) {
            return Ok(());
        }
        here = match fs::openat(here.as_fd(), &c(part)?, DIRECTORY | libc::O_NOFOLLOW, 0) {
            // A later entry has put something else in its place.
            Err(error) if absent(&error) => return Ok(()),
            opened => opened?,
        };
    }
    copy_attributes(below.as_fd(), &fs::fstat(below.as_fd())?, here.as_fd())
}

fn is_opaque(dir: &OwnedFd) -> bool {
    fs::fgetxattr(dir.as_fd(), OPAQUE).is_ok_and(|value| value == b"y")
}

/// The directories that overlay would merge under a path, the topmost first. Whiteouts and opaque directories hide
/// what is under them. No symlink is followed.
fn merged(lowers: &[BorrowedFd<'_>], path: &[u8]) -> Result<Vec<OwnedFd>> {
    let mut dirs = Vec::new();
    for lower in lowers {
        dirs.push(fs::openat(*lower, c".", DIRECTORY, 0)?);
    }
    for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let part = c(part)?;
        let mut below = Vec::new();
        for dir in &dirs {
            match fs::openat(dir.as_fd(), &part, DIRECTORY | libc::O_NOFOLLOW, 0) {
                Ok(dir) => {
                    let opaque = is_opaque(&dir);
                    below.push(dir);
                    if opaque {
                        break;
                    }
                }
                Err(error) if error.errno() == Some(libc::ENOENT) => {}
                Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => break,
                Err(error) => return Err(error),
            }
        }
        dirs = below;
    }
    Ok(dirs)
}

/// Finds a link's target in the layers below: the topmost layer that has a name decides.
fn lookup(lowers: &[BorrowedFd<'_>], link: &Link) -> Result<Option<(OwnedFd, CString)>> {
    let name = c(&link.target)?;
    for dir in merged(lowers, &link.target_parent)? {
        match fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW) {
            Err(error) if error.errno() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
            Ok(stat) if stat.is_dir() || stat.is_whiteout() => return Ok(None),
            Ok(_) => return Ok(Some((dir, name))),
        }
    }
    Ok(None)
}

/// Copies one thing that is no directory, with all its attributes.
fn copy(from: BorrowedFd<'_>, target: &CStr, stat: &fs::Stat, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    const CREATE: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    match stat.kind() {
        libc::S_IFREG => {
            let source = File::from(fs::openat(from, target, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?);
            let file = File::from(fs::openat(dir, name, CREATE, 0o600)?);
            if fs::ficlone(file.as_fd(), source.as_fd()).is_err() {
                std::io::copy(&mut &source, &mut &file).map_err(|error| Error::io("copy the target", &error))?;
            }
            return copy_attributes(source.as_fd(), stat, file.as_fd());
        }
        libc::S_IFLNK => {
            fs::symlinkat(&c(&fs::readlinkat(from, target)?)?, dir, name)?;
        }
        kind => fs::mknodat(dir, name, kind | stat.mode & 0o777, (libc::major(stat.rdev), libc::minor(stat.rdev)))?,
    }
    fs::fchownat(dir, name, stat.uid, stat.gid, libc::AT_SYMLINK_NOFOLLOW)?;
    fs::utimensat(dir, name, stat.atime, stat.mtime, libc::AT_SYMLINK_NOFOLLOW)
}
