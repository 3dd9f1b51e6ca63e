//! Where a process is: chdir(2), getcwd(2), chroot(2).

use crate::error::Result;
use crate::sys::returned;
use crate::sys::shown::Fd;
use std::ffi::{CStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: the path ends with NUL and is only read.
    returned(unsafe { libc::chdir(path.as_ptr()) }.into(), format_args!("chdir({path:?})")).map(drop)
}

/// getcwd(2): the path of the working directory from the root of this process; `(unreachable)…` if there is none.
pub fn getcwd() -> Result<PathBuf> {
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most as many bytes as `path` has.
    let size = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
    let size = returned(size, format_args!("getcwd()"))? as usize;
    // The NUL at the end is counted.
    Ok(OsString::from_vec(path[..size.saturating_sub(1)].to_vec()).into())
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: the path ends with NUL and is only read.
    returned(unsafe { libc::chroot(path.as_ptr()) }.into(), format_args!("chroot({path:?})")).map(drop)
}

/// fchdir(2).
pub fn fchdir(dir: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::fchdir(dir.as_raw_fd()) }.into(), format_args!("fchdir({})", Fd(dir.as_raw_fd()))).map(drop)
}
