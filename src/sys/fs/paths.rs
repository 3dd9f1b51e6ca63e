//! Files by path, for places that nobody but their user can change: the *at calls from the working directory.

use super::{CWD, DirEntry, Stat, entries_of, fchownat, fstatat, mkdirat, open, readlinkat, symlinkat, unlinkat};
use crate::error::Result;
use crate::sys::cstr;
use libc::{AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// `mkdirat(2)`; EEXIST if something is there.
pub fn mkdir(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    mkdirat(CWD, &cstr(path.as_ref())?, mode)
}

/// [`mkdir`] that takes a directory that is there.
pub fn ensure_dir(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    match mkdir(path, mode) {
        Err(error) if error.errno() == Some(libc::EEXIST) && stat(path).is_ok_and(|stat| stat.is_dir()) => Ok(()),
        made => made,
    }
}

/// Makes a directory and those above it that are missing.
pub fn mkdir_all(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    match (ensure_dir(path, mode), path.parent()) {
        (Err(error), Some(parent)) if error.errno() == Some(libc::ENOENT) => {
            mkdir_all(parent, mode)?;
            ensure_dir(path, mode)
        }
        (made, _) => made,
    }
}

/// `symlinkat(2)`; EEXIST if something is there.
pub fn symlink(target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
    symlinkat(&cstr(target.as_ref())?, CWD, &cstr(path.as_ref())?)
}

/// `readlinkat(2)`.
pub fn readlink(path: impl AsRef<Path>) -> Result<PathBuf> {
    readlinkat(CWD, &cstr(path.as_ref())?).map(|target| OsString::from_vec(target).into())
}

/// `unlinkat(2)`: removes a file.
pub fn unlink(path: impl AsRef<Path>) -> Result<()> {
    unlinkat(CWD, &cstr(path.as_ref())?, 0)
}

/// `unlinkat(2)` with AT_REMOVEDIR: removes an empty directory.
pub fn rmdir(path: impl AsRef<Path>) -> Result<()> {
    unlinkat(CWD, &cstr(path.as_ref())?, AT_REMOVEDIR)
}

/// `newfstatat(2)`: what a path leads to.
pub fn stat(path: impl AsRef<Path>) -> Result<Stat> {
    fstatat(CWD, &cstr(path.as_ref())?, 0)
}

/// `newfstatat(2)` with AT_SYMLINK_NOFOLLOW: what is at a path, a symlink too.
pub fn lstat(path: impl AsRef<Path>) -> Result<Stat> {
    fstatat(CWD, &cstr(path.as_ref())?, AT_SYMLINK_NOFOLLOW)
}

/// Whether a path leads to something that can be looked at.
pub fn exists(path: impl AsRef<Path>) -> bool {
    stat(path).is_ok()
}

/// `fchownat(2)`; a symlink is followed.
pub fn chown(path: impl AsRef<Path>, uid: u32, gid: u32) -> Result<()> {
    fchownat(CWD, &cstr(path.as_ref())?, uid, gid, 0)
}

/// The names in a directory, without `.` and `..`, each with its type.
pub fn entries(path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
    let dir = open(&cstr(path.as_ref())?, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let with_kind = |entry: Result<DirEntry>| {
        let mut entry = entry?;
        // Some file systems do not say it in their directories.
        if entry.kind == libc::DT_UNKNOWN
            && let Ok(stat) = fstatat(dir.as_fd(), &entry.name, AT_SYMLINK_NOFOLLOW)
        {
            entry.kind = (stat.kind() >> 12) as u8;
        }
        Ok(entry)
    };
    entries_of(dir.as_fd()).map(with_kind).collect()
}
