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
    if unlinked(parent, name)? || removed(parent, name)? {
        return Ok(());
    }
    let mut dir = fs::openat(parent, name, DIRECTORY | libc::O_NOFOLLOW, 0)?;
    let mut levels = vec![Level { name: name.to_owned(), left: emptied(dir.as_fd())? }];
    while let Some(level) = levels.last_mut() {
        if let Some(inner) = level.left.pop() {
            if !removed(dir.as_fd(), &inner)? {
                dir = fs::openat(dir.as_fd(), &inner, DIRECTORY | libc::O_NOFOLLOW, 0)?;
                levels.push(Level { name: inner, left: emptied(dir.as_fd())? });
            }
            continue;
        }
        let done = levels.pop();
        if let (Some(done), false) = (done, levels.is_empty()) {
            dir = fs::openat(dir.as_fd(), c"..", DIRECTORY, 0)?;
            fs::unlinkat(dir.as_fd(), &done.name, libc::AT_REMOVEDIR)?;
        }
    }
    fs::unlinkat(parent, name, libc::AT_REMOVEDIR)
}

/// Unlinks what is no directory; false if it is one.
fn unlinked(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    match fs::unlinkat(dir, name, 0) {
        Ok(()) => Ok(true),
        // POSIX wants EPERM for a directory, Linux answers EISDIR.
        Err(error) if matches!(error.errno(), Some(libc::EISDIR | libc::EPERM)) => Ok(false),
        Err(error) => Err(error),
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

/// Unlinks all that is no directory, and gives the directories.
fn emptied(dir: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut left = Vec::new();
    loop {
        let entries = fs::getdents(dir)?;
        if entries.is_empty() {
            return Ok(left);
        }
        for entry in entries {
            if entry.kind == libc::DT_DIR || !unlinked(dir, &entry.name)? {
                left.push(entry.name);
            }
        }
    }
}
