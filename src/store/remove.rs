//! Removes a tree by descriptors, whatever its depth: no recursion, one open directory at a time.

use crate::error::Result;
use crate::sys::fs;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;

/// A directory on the way down.
struct Level {
    /// Its name in the directory above.
    name: CString,
    /// Directories in it that are still there.
    left: Vec<CString>,
}

/// Removes `name` in `parent` and everything in it; symlinks are removed, never followed.
/// Nobody else may move directories meanwhile: the way back up is `..`.
pub fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    remove_seen(parent, name, &mut |_, _, _| Ok(()))
}

/// Who sees something last: the directory it is in, its name there, and the path that leads there
/// from what is removed.
pub type LastLook<'a> = &'a mut dyn FnMut(BorrowedFd<'_>, &CStr, &[u8]) -> Result<()>;

/// The same; `look` sees everything that is no directory before it goes.
pub fn remove_seen(parent: BorrowedFd<'_>, name: &CStr, look: LastLook<'_>) -> Result<()> {
    if !is_dir(parent, name, libc::DT_UNKNOWN)? {
        look(parent, name, b"")?;
        return fs::unlinkat(parent, name, 0);
    }
    if removed(parent, name)? {
        return Ok(());
    }
    let mut dir = fs::openat(parent, name, DIRECTORY | libc::O_NOFOLLOW, 0)?;
    let mut path = Vec::new();
    let mut levels = vec![Level { name: name.to_owned(), left: emptied(dir.as_fd(), &path, look)? }];
    while let Some(level) = levels.last_mut() {
        if let Some(inner) = level.left.pop() {
            if !removed(dir.as_fd(), &inner)? {
                dir = fs::openat(dir.as_fd(), &inner, DIRECTORY | libc::O_NOFOLLOW, 0)?;
                path.push(b'/');
                path.extend_from_slice(inner.to_bytes());
                levels.push(Level { name: inner, left: emptied(dir.as_fd(), &path, look)? });
            }
            continue;
        }
        let done = levels.pop();
        if let (Some(done), false) = (done, levels.is_empty()) {
            dir = fs::openat(dir.as_fd(), c"..", DIRECTORY, 0)?;
            path.truncate(path.len() - done.name.count_bytes() - 1);
            fs::unlinkat(dir.as_fd(), &done.name, libc::AT_REMOVEDIR)?;
        }
    }
    fs::unlinkat(parent, name, libc::AT_REMOVEDIR)
}

/// Whether something is a directory, which is only asked when reading the directory has not told.
fn is_dir(dir: BorrowedFd<'_>, name: &CStr, kind: u8) -> Result<bool> {
    match kind {
        libc::DT_UNKNOWN => fs::fstatat(dir, name, libc::AT_SYMLINK_NOFOLLOW).map(|stat| stat.is_dir()),
        kind => Ok(kind == libc::DT_DIR),
    }
}

/// Removes an empty directory; false if it is not empty.
fn removed(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    match fs::unlinkat(dir, name, libc::AT_REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.errno(), Some(libc::ENOTEMPTY | libc::EEXIST)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Unlinks all in `dir`, which is at `path`, that is no directory; gives the directories.
fn emptied(dir: BorrowedFd<'_>, path: &[u8], look: LastLook<'_>) -> Result<Vec<CString>> {
    let mut left = Vec::new();
    loop {
        let entries = fs::getdents(dir)?;
        if entries.is_empty() {
            return Ok(left);
        }
        for entry in entries {
            if is_dir(dir, &entry.name, entry.kind)? {
                left.push(entry.name);
            } else {
                look(dir, &entry.name, &[path, b"/", entry.name.to_bytes()].concat())?;
                fs::unlinkat(dir, &entry.name, 0)?;
            }
        }
    }
}
