//! Files by path, for places that nobody but their user can change.

use super::{DirEntry, Stat, getdents, open};
use crate::error::Result;
use crate::sys::shown::Fd;
use crate::sys::{cstr, returned};
use libc::{AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW};
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// `mkdirat(2)`; EEXIST if something is there.
pub fn mkdir(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = cstr(path.as_ref())?;
    // SAFETY: the path is a C string that lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_mkdirat, AT_FDCWD, path.as_ptr(), mode) };
    returned(done, format_args!("mkdirat(AT_FDCWD, {path:?}, 0{mode:o})")).map(drop)
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
    let (target, path) = (cstr(target.as_ref())?, cstr(path.as_ref())?);
    // SAFETY: both are C strings that live through the call.
    let done = unsafe { libc::syscall(libc::SYS_symlinkat, target.as_ptr(), AT_FDCWD, path.as_ptr()) };
    returned(done, format_args!("symlinkat({target:?}, AT_FDCWD, {path:?})")).map(drop)
}

/// `readlinkat(2)`.
pub fn readlink(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = cstr(path.as_ref())?;
    // Linux keeps no longer target, so that one call is enough.
    let mut target = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the path is a C string, and the kernel writes at most as many bytes as `target` has.
    let size =
        unsafe { libc::syscall(libc::SYS_readlinkat, AT_FDCWD, path.as_ptr(), target.as_mut_ptr(), target.len()) };
    let size = returned(size, format_args!("readlinkat(AT_FDCWD, {path:?})"))? as usize;
    Ok(OsString::from_vec(target[..size].to_vec()).into())
}

/// `unlinkat(2)`: removes a file.
pub fn unlink(path: impl AsRef<Path>) -> Result<()> {
    remove(path.as_ref(), 0)
}

/// `unlinkat(2)` with AT_REMOVEDIR: removes an empty directory.
pub fn rmdir(path: impl AsRef<Path>) -> Result<()> {
    remove(path.as_ref(), AT_REMOVEDIR)
}

fn remove(path: &Path, flags: i32) -> Result<()> {
    let path = cstr(path)?;
    // SAFETY: the path is a C string that lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_unlinkat, AT_FDCWD, path.as_ptr(), flags) };
    returned(done, format_args!("unlinkat(AT_FDCWD, {path:?}, {})", crate::sys::shown::AtFlags(flags))).map(drop)
}

/// `newfstatat(2)`: what a path leads to.
pub fn stat(path: impl AsRef<Path>) -> Result<Stat> {
    stat_with(path.as_ref(), 0)
}

/// `newfstatat(2)` with AT_SYMLINK_NOFOLLOW: what is at a path, a symlink too.
pub fn lstat(path: impl AsRef<Path>) -> Result<Stat> {
    stat_with(path.as_ref(), AT_SYMLINK_NOFOLLOW)
}

fn stat_with(path: &Path, flags: i32) -> Result<Stat> {
    let path = cstr(path)?;
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the path is a C string, and `stat` has room for what the kernel writes.
    let done = unsafe { libc::syscall(libc::SYS_newfstatat, AT_FDCWD, path.as_ptr(), stat.as_mut_ptr(), flags) };
    let call = format_args!("newfstatat({}, {path:?}, {})", Fd(AT_FDCWD), crate::sys::shown::AtFlags(flags));
    returned(done, call)?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    Ok(unsafe { stat.assume_init() }.into())
}

/// Whether a path leads to something that can be looked at.
pub fn exists(path: impl AsRef<Path>) -> bool {
    stat(path).is_ok()
}

/// `fchownat(2)`; a symlink is followed.
pub fn chown(path: impl AsRef<Path>, uid: u32, gid: u32) -> Result<()> {
    let path = cstr(path.as_ref())?;
    // SAFETY: the path is a C string that lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_fchownat, AT_FDCWD, path.as_ptr(), uid, gid, 0) };
    returned(done, format_args!("fchownat(AT_FDCWD, {path:?}, {uid}, {gid}, 0)")).map(drop)
}

/// The names in a directory, without `.` and `..`.
pub fn entries(path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
    let dir = open(&cstr(path.as_ref())?, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut all = Vec::new();
    loop {
        let some = getdents(dir.as_fd())?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}
