//! Modes, owners, times and extended attributes.

use super::{CWD, Time};
use crate::error::Result;
use crate::sys::shown::{AccessFlags, AccessMode, AtFlags, Fd};
use crate::sys::{answered, returned};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `fchmod(2)`.
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: no memory is passed.
    let done = unsafe { libc::fchmod(fd, mode) };
    returned(done.into(), format_args!("fchmod({}, 0{mode:o})", Fd(fd))).map(drop)
}

/// `fchmodat(2)`, which follows a symlink: only for names known to be none.
pub fn fchmodat(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::fchmodat(dir, name.as_ptr(), mode, 0) };
    returned(done.into(), format_args!("fchmodat({}, {name:?}, 0{mode:o})", Fd(dir))).map(drop)
}

/// `faccessat2(2)`, Linux 5.8: whether `name` can be read, written or run (R_OK, W_OK, X_OK), a read-only mount counted
/// in; it is not opened. With AT_EACCESS for the effective ids.
pub fn faccessat2(dir: BorrowedFd<'_>, name: &CStr, mode: i32, flags: i32) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_faccessat2, dir, name.as_ptr(), mode, flags) };
    let (shown_mode, flags) = (AccessMode(mode), AccessFlags(flags));
    returned(done, format_args!("faccessat2({}, {name:?}, {shown_mode}, {flags})", Fd(dir))).map(drop)
}

/// Whether we may write at `path` with our effective ids.
pub fn may_write(path: &std::path::Path) -> bool {
    let Ok(path) = crate::sys::cstr(path) else { return false };
    match faccessat2(CWD, &path, libc::W_OK, libc::AT_EACCESS) {
        // Before Linux 5.8, and in sandboxes that are older.
        Err(error) if matches!(error.errno(), Some(libc::ENOSYS | libc::EPERM)) => {
            // SAFETY: the path is a C string that lives through the call.
            unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
        }
        answer => answer.is_ok(),
    }
}

/// `fchown(2)`.
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: no memory is passed.
    let done = unsafe { libc::fchown(fd, uid, gid) };
    returned(done.into(), format_args!("fchown({}, {uid}, {gid})", Fd(fd))).map(drop)
}

/// `fchownat(2)`; with AT_SYMLINK_NOFOLLOW a symlink itself is given away.
pub fn fchownat(dir: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::fchownat(dir, name.as_ptr(), uid, gid, flags) };
    returned(done.into(), format_args!("fchownat({}, {name:?}, {uid}, {gid}, {})", Fd(dir), AtFlags(flags))).map(drop)
}

/// `futimens(3)`: access and modification time of an open file.
pub fn futimens(fd: BorrowedFd<'_>, atime: Time, mtime: Time) -> Result<()> {
    let fd = fd.as_raw_fd();
    let times = [atime.timespec(), mtime.timespec()];
    // SAFETY: the kernel reads the two times, which live through the call.
    let done = unsafe { libc::futimens(fd, times.as_ptr()) };
    returned(done.into(), format_args!("utimensat({}, NULL, {mtime:?}, 0)", Fd(fd))).map(drop)
}

/// `utimensat(2)`; with AT_SYMLINK_NOFOLLOW a symlink's own times are set.
pub fn utimensat(dir: BorrowedFd<'_>, name: &CStr, atime: Time, mtime: Time, flags: i32) -> Result<()> {
    let dir = dir.as_raw_fd();
    let times = [atime.timespec(), mtime.timespec()];
    // SAFETY: the name is a C string; the kernel reads the two times; all live through the call.
    let done = unsafe { libc::utimensat(dir, name.as_ptr(), times.as_ptr(), flags) };
    returned(done.into(), format_args!("utimensat({}, {name:?}, {mtime:?}, {})", Fd(dir), AtFlags(flags))).map(drop)
}

/// `fsetxattr(2)`.
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: the kernel reads `value.len()` bytes of `value`.
    let done = unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    returned(done.into(), format_args!("fsetxattr({}, {name:?}, {} bytes)", Fd(fd), value.len())).map(drop)
}

/// `fgetxattr(2)`. A missing attribute is ENODATA.
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>> {
    let fd = fd.as_raw_fd();
    grown(format_args!("fgetxattr({}, {name:?})", Fd(fd)), |buffer, size| {
        // SAFETY: `grown` gives a buffer that holds `size` bytes, and the kernel writes no more.
        unsafe { libc::fgetxattr(fd, name.as_ptr(), buffer.cast(), size) as i64 }
    })
}

/// `flistxattr(2)`: the names of all attributes.
pub fn flistxattr(fd: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let fd = fd.as_raw_fd();
    let names = grown(format_args!("flistxattr({})", Fd(fd)), |buffer, size| {
        // SAFETY: `grown` gives a buffer that holds `size` bytes, and the kernel writes no more.
        unsafe { libc::flistxattr(fd, buffer.cast(), size) as i64 }
    })?;
    Ok(names.split(|&byte| byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
}

/// Calls with room for 256 bytes, then for the most that the kernel ever answers (64 KiB).
fn grown(call: std::fmt::Arguments<'_>, fill: impl Fn(*mut u8, usize) -> i64) -> Result<Vec<u8>> {
    let mut buffer = vec![0u8; 256];
    let length = match answered(fill(buffer.as_mut_ptr(), buffer.len()), call) {
        Err(libc::ERANGE) => {
            buffer.resize(65536, 0);
            returned(fill(buffer.as_mut_ptr(), buffer.len()), call)?
        }
        Err(errno) => return Err(crate::error::Error::call(call.to_string(), errno)),
        Ok(length) => length,
    };
    buffer.truncate(length as usize);
    Ok(buffer)
}
