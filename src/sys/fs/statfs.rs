//! File systems: their type, their room, how they are mounted.

use crate::error::Result;
use crate::sys::returned;
use crate::sys::shown::Fd;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What fstatfs and statfs tell.
#[derive(Clone, Copy, Debug)]
pub struct StatFs {
    /// The type's magic number (`libc::PROC_SUPER_MAGIC` and its like).
    pub kind: i64,
    /// Bytes that an ordinary user may still write; `u64::MAX` where nobody counts.
    pub available: u64,
}

// The widths differ between architectures.
#[allow(clippy::unnecessary_cast)]
impl From<libc::statfs> for StatFs {
    fn from(stat: libc::statfs) -> StatFs {
        // Some file systems keep no account at all, and tell so by having no blocks.
        let counted = (stat.f_bavail as u64).saturating_mul(stat.f_bsize as u64);
        StatFs { kind: stat.f_type as i64, available: if stat.f_blocks == 0 { u64::MAX } else { counted } }
    }
}

/// `fstatfs(2)`.
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<StatFs> {
    let fd = fd.as_raw_fd();
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `stat` has room for what the kernel writes.
    let done = unsafe { libc::fstatfs(fd, stat.as_mut_ptr()) };
    returned(done.into(), format_args!("fstatfs({})", Fd(fd)))?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    Ok(unsafe { stat.assume_init() }.into())
}

/// `fstatvfs(3)`: how the file system is mounted, `libc::ST_*`. Not every libc shows it in what fstatfs gives.
pub fn mount_flags(fd: BorrowedFd<'_>) -> Result<u64> {
    let fd = fd.as_raw_fd();
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `stat` has room for what the call writes.
    let done = unsafe { libc::fstatvfs(fd, stat.as_mut_ptr()) };
    returned(done.into(), format_args!("fstatfs({})", Fd(fd)))?;
    // SAFETY: the call succeeded, so the structure is filled.
    Ok(unsafe { stat.assume_init() }.f_flag)
}
