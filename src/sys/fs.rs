//! Files (the lead's stand-in until UNPACK's sys/fs.rs is merged: take UNPACK's side in a conflict).

use super::returned;
use crate::error::Result;
use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};

/// open(2).
pub fn open(path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: the path ends with NUL and is only read.
    let ret = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode) };
    let fd = returned(ret.into(), format_args!("open({path:?}, {flags:#x})"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// umask(2).
pub fn umask(mask: u32) -> u32 {
    // SAFETY: no memory is involved; it cannot fail.
    unsafe { libc::umask(mask) }
}
