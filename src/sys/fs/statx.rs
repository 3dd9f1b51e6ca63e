//! All that a file system tells of a file: statx(2).

use super::Time;
use crate::error::Result;
use crate::sys::returned;
use crate::sys::shown::{AtFlags, Fd};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What stat(2) tells, too.
pub const STATX_BASIC_STATS: u32 = libc::STATX_BASIC_STATS;
/// When the file was made.
pub const STATX_BTIME: u32 = libc::STATX_BTIME;

/// By which mount it was found (Linux 5.8).
pub const STATX_MNT_ID: u32 = libc::STATX_MNT_ID;

/// The kernel's struct statx.
#[derive(Clone, Copy)]
pub struct Statx(libc::statx);

/// `statx(2)`, relative to `dir` or, without one, to the working directory.
pub fn statx(dir: Option<BorrowedFd<'_>>, path: &CStr, flags: i32, mask: u32) -> Result<Statx> {
    let dir = dir.map_or(libc::AT_FDCWD, |dir| dir.as_raw_fd());
    let mut statx = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is a C string and `statx` has room for what the kernel writes. Not libc's function, which
    // asks another call where this one fails.
    let ret = unsafe { libc::syscall(libc::SYS_statx, dir, path.as_ptr(), flags, mask, statx.as_mut_ptr()) };
    returned(ret, format_args!("statx({}, {path:?}, {})", Fd(dir), AtFlags(flags)))?;
    // SAFETY: plain integers, all zeroed before and filled in by the kernel.
    Ok(Statx(unsafe { statx.assume_init() }))
}

impl Statx {
    pub fn device(&self) -> u64 {
        u64::from(self.0.stx_dev_major) << 32 | u64::from(self.0.stx_dev_minor)
    }

    pub fn inode(&self) -> u64 {
        self.0.stx_ino
    }

    /// When the file was made; zeros where the file system does not say.
    pub fn born(&self) -> Time {
        Time { seconds: self.0.stx_btime.tv_sec, nanoseconds: self.0.stx_btime.tv_nsec }
    }

    /// The mount by which it was found, as /proc/self/mountinfo counts them (asked for with [`STATX_MNT_ID`]).
    pub fn mount(&self) -> u64 {
        self.0.stx_mnt_id
    }

    /// Whether it is one file by one mount (both asked for with [`STATX_MNT_ID`]).
    pub fn is_same_place(&self, other: &Statx) -> bool {
        let place = |file: &Statx| (file.device(), file.inode(), file.mount());
        place(self) == place(other)
    }

    /// Type and permission bits together.
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    pub fn owner(&self) -> (u32, u32) {
        (self.0.stx_uid, self.0.stx_gid)
    }

    pub fn set_owner(&mut self, (uid, gid): (u32, u32)) {
        (self.0.stx_uid, self.0.stx_gid) = (uid, gid);
    }

    /// Makes it tell of a device: `kind` is S_IFCHR or S_IFBLK.
    pub fn set_device(&mut self, kind: u32, (major, minor): (u32, u32)) {
        self.0.stx_mode = (kind | self.mode() & !libc::S_IFMT) as u16;
        (self.0.stx_rdev_major, self.0.stx_rdev_minor) = (major, minor);
        (self.0.stx_size, self.0.stx_blocks) = (0, 0);
    }

    /// The structure as a process wants it that has called statx(2).
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: a C structure of integers in which no byte is left uninitialised: it began as zeros.
        unsafe { std::slice::from_raw_parts((&raw const self.0).cast(), size_of::<libc::statx>()) }
    }

    /// What stat(2) would have written.
    #[allow(clippy::unnecessary_cast)] // the integer types of C's stat differ between architectures
    pub fn to_stat(self) -> [u8; size_of::<libc::stat>()] {
        let from = self.0;
        // SAFETY: a C structure of integers, for which all zeros is a valid value.
        let mut to: libc::stat = unsafe { std::mem::zeroed() };
        to.st_dev = libc::makedev(from.stx_dev_major, from.stx_dev_minor);
        to.st_ino = from.stx_ino as _;
        to.st_nlink = from.stx_nlink as _;
        to.st_mode = from.stx_mode as _;
        (to.st_uid, to.st_gid) = (from.stx_uid, from.stx_gid);
        to.st_rdev = libc::makedev(from.stx_rdev_major, from.stx_rdev_minor);
        to.st_size = from.stx_size as _;
        to.st_blksize = from.stx_blksize as _;
        to.st_blocks = from.stx_blocks as _;
        (to.st_atime, to.st_atime_nsec) = (from.stx_atime.tv_sec as _, from.stx_atime.tv_nsec as _);
        (to.st_mtime, to.st_mtime_nsec) = (from.stx_mtime.tv_sec as _, from.stx_mtime.tv_nsec as _);
        (to.st_ctime, to.st_ctime_nsec) = (from.stx_ctime.tv_sec as _, from.stx_ctime.tv_nsec as _);
        // SAFETY: as large as the result by its type, of integers only, and zeroed between them.
        unsafe { std::mem::transmute(to) }
    }
}
