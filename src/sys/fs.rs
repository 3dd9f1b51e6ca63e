//! Files and directories: the *at calls, descriptors, attributes.
//!
//! Paths are relative to a directory descriptor wherever that matters for
//! safety. Flags and modes are libc's own constants.

mod attributes;
mod directory;
mod io;
mod paths;
mod small;
mod statfs;
mod statx;
mod temporary;

use super::shown::{AtFlags, Fd, FlockOperation, OpenFlags, Resolve};
use super::{answered, report, returned};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

pub use attributes::*;
pub use directory::*;
pub use io::*;
pub use paths::*;
pub use small::*;
pub use statfs::*;
pub use statx::*;
pub use temporary::*;

/// The kernel's resolve flags for [`openat2`].
pub use libc::{RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS};

/// Seconds and nanoseconds since 1970, as file times are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Time {
    fn timespec(self) -> libc::timespec {
        libc::timespec { tv_sec: self.seconds as _, tv_nsec: self.nanoseconds as _ }
    }
}

/// What fstat and fstatat tell.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    /// Type and permission bits together, as in C.
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    /// In bytes, holes counted.
    pub size: u64,
    pub atime: Time,
    pub mtime: Time,
}

impl Stat {
    /// The type bits alone, to compare with `libc::S_IFDIR` and its like.
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// A character device 0:0, overlay's mark for "removed in this layer".
    pub fn is_whiteout(&self) -> bool {
        self.kind() == libc::S_IFCHR && self.rdev == 0
    }
}

// The integer types behind C's stat differ between architectures.
#[allow(clippy::unnecessary_cast)]
impl From<libc::stat> for Stat {
    fn from(stat: libc::stat) -> Stat {
        Stat {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            mode: stat.st_mode as u32,
            nlink: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u64,
            size: stat.st_size as u64,
            atime: Time { seconds: stat.st_atime as i64, nanoseconds: stat.st_atime_nsec as u32 },
            mtime: Time { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        }
    }
}

/// The descriptor that a successful call has just made.
fn owned(fd: i64) -> OwnedFd {
    // SAFETY: only called with a value the kernel has just returned as a new descriptor, which nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// The working directory, for the *at calls.
// SAFETY: the kernel takes this number for the working directory, which nobody can close.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };

/// `open(2)`; O_CLOEXEC is always added.
pub fn open(path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

/// `openat(2)`; O_CLOEXEC is always added. Not by musl, whose open(3) sets it by a second call.
pub fn openat(dir: BorrowedFd<'_>, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_openat, dir, name.as_ptr(), flags | libc::O_CLOEXEC, mode) };
    returned(fd, format_args!("openat({}, {name:?}, {})", Fd(dir), OpenFlags(flags))).map(owned)
}

/// How often openat2 is asked again: after a mount or rename anywhere on the machine it cannot be sure where a `..`
/// leads, and answers EAGAIN. Whoever renames without end shall not hold us up for ever.
const MOST_TRIES: u32 = 10_000;

/// `openat2(2)`, Linux 5.6; O_CLOEXEC is always added. Kernels without it answer ENOSYS.
pub fn openat2(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd> {
    let opened = openat2_quiet(dir, path, flags, mode, resolve);
    opened.map_err(|errno| {
        let (dir, flags, resolve) = (Fd(dir.as_raw_fd()), OpenFlags(flags), Resolve(resolve));
        Error::call(format_args!("openat2({dir}, {path:?}, {flags}, {resolve})"), errno)
    })
}

/// [`openat2`] of what may be missing (`None`): no error is made for it.
pub fn openat2_if_there(dir: BorrowedFd<'_>, path: &CStr, flags: i32, resolve: u64) -> Result<Option<OwnedFd>> {
    match openat2_quiet(dir, path, flags, 0, resolve) {
        Ok(fd) => Ok(Some(fd)),
        Err(libc::ENOENT) => Ok(None),
        Err(_) => openat2(dir, path, flags, 0, resolve).map(Some),
    }
}

fn openat2_quiet(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> std::result::Result<OwnedFd, i32> {
    let dir = dir.as_raw_fd();
    // SAFETY: open_how is three integers, for which all zeros is a valid value.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = mode.into();
    how.resolve = resolve;
    let size = size_of::<libc::open_how>();
    let mut tries = MOST_TRIES;
    loop {
        tries -= 1;
        // SAFETY: the path is a C string and `how` a structure of the size given; both live through the call.
        let fd = unsafe { libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size) };
        let (shown_flags, resolve) = (OpenFlags(flags), Resolve(resolve));
        let call = format_args!("openat2({}, {path:?}, {{flags={shown_flags}, resolve={resolve}}}, {size})", Fd(dir));
        match answered(fd, call) {
            Ok(fd) => return Ok(owned(fd)),
            Err(libc::EAGAIN) if tries > 0 => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// `mkdirat(2)`.
pub fn mkdirat(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::mkdirat(dir, name.as_ptr(), mode) };
    returned(done.into(), format_args!("mkdirat({}, {name:?}, 0{mode:o})", Fd(dir))).map(drop)
}

/// `mknodat(2)`; `mode` holds the type (S_IFIFO, S_IFCHR, S_IFBLK) too.
pub fn mknodat(dir: BorrowedFd<'_>, name: &CStr, mode: u32, (major, minor): (u32, u32)) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::mknodat(dir, name.as_ptr(), mode, libc::makedev(major, minor)) };
    returned(done.into(), format_args!("mknodat({}, {name:?}, 0{mode:o}, {major}:{minor})", Fd(dir))).map(drop)
}

/// `linkat(2)`; without AT_SYMLINK_FOLLOW a link to a symlink is made.
pub fn linkat(old: BorrowedFd<'_>, target: &CStr, new: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<()> {
    let (old, new) = (old.as_raw_fd(), new.as_raw_fd());
    // SAFETY: both names are C strings that live through the call.
    let done = unsafe { libc::linkat(old, target.as_ptr(), new, name.as_ptr(), flags) };
    returned(done.into(), format_args!("linkat({}, {target:?}, {}, {name:?})", Fd(old), Fd(new))).map(drop)
}

/// `symlinkat(2)`.
pub fn symlinkat(target: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: both names are C strings that live through the call.
    let done = unsafe { libc::symlinkat(target.as_ptr(), dir, name.as_ptr()) };
    returned(done.into(), format_args!("symlinkat({target:?}, {}, {name:?})", Fd(dir))).map(drop)
}

/// `unlinkat(2)` of a directory; returns false for one that is not empty, without an error being made of it.
pub fn remove_if_empty(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) };
    let dir = Fd(dir.as_raw_fd());
    match answered(done.into(), format_args!("unlinkat({dir}, {name:?}, AT_REMOVEDIR)")) {
        Err(libc::ENOTEMPTY) => Ok(false),
        Err(errno) => Err(Error::call(format_args!("unlinkat({dir}, {name:?}, AT_REMOVEDIR)"), errno)),
        Ok(_) => Ok(true),
    }
}

/// `renameat2(2)`; RENAME_NOREPLACE answers EEXIST where something has the new name.
pub fn renameat2(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr, flags: u32) -> Result<()> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both names are C strings that live through the call.
    let done = unsafe { libc::syscall(libc::SYS_renameat2, from, name.as_ptr(), to, new.as_ptr(), flags) };
    returned(done, format_args!("renameat2({}, {name:?}, {}, {new:?}, {flags:#x})", Fd(from), Fd(to))).map(drop)
}

/// `unlinkat(2)`; AT_REMOVEDIR removes an empty directory.
pub fn unlinkat(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: the name is a C string that lives through the call.
    let done = unsafe { libc::unlinkat(dir, name.as_ptr(), flags) };
    returned(done.into(), format_args!("unlinkat({}, {name:?}, {})", Fd(dir), AtFlags(flags))).map(drop)
}

/// `readlinkat(2)`; an empty name reads the symlink that `dir` itself is an O_PATH descriptor of.
pub fn readlinkat(dir: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>> {
    let dir = dir.as_raw_fd();
    // Linux keeps no target longer than PATH_MAX - 1, so one call is enough.
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most `target.len()` bytes into `target`.
    let length = unsafe { libc::readlinkat(dir, name.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    let length = returned(length as i64, format_args!("readlinkat({}, {name:?})", Fd(dir)))?;
    target.truncate(length as usize);
    Ok(target)
}

/// `fstat(2)`.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    let fd = fd.as_raw_fd();
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has room for what the kernel writes.
    let done = unsafe { libc::fstat(fd, stat.as_mut_ptr()) };
    returned(done.into(), format_args!("fstat({})", Fd(fd)))?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    Ok(unsafe { stat.assume_init() }.into())
}

/// `fstatat(2)`; with AT_SYMLINK_NOFOLLOW a symlink is told of itself. Not by musl, which chooses among three calls.
pub fn fstatat(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<Stat> {
    let dir = dir.as_raw_fd();
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the name is a C string and `stat` has room for what the kernel writes.
    let done = unsafe { libc::syscall(libc::SYS_newfstatat, dir, name.as_ptr(), stat.as_mut_ptr(), flags) };
    returned(done, format_args!("newfstatat({}, {name:?}, {})", Fd(dir), AtFlags(flags)))?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    Ok(unsafe { stat.assume_init() }.into())
}

/// `ftruncate(2)`.
pub fn ftruncate(fd: BorrowedFd<'_>, size: u64) -> Result<()> {
    let fd = fd.as_raw_fd();
    let Ok(length) = libc::off_t::try_from(size) else {
        return Err(Error::call(format_args!("ftruncate({}, {size})", Fd(fd)), libc::EFBIG));
    };
    // SAFETY: no memory is passed.
    let done = unsafe { libc::ftruncate(fd, length) };
    returned(done.into(), format_args!("ftruncate({}, {size})", Fd(fd))).map(drop)
}

/// `lseek(2)` with SEEK_DATA, then SEEK_HOLE: the first run of a file's bytes from `offset` on that is no
/// hole; None when only a hole follows. Moves the descriptor's position.
pub fn seek_data(fd: BorrowedFd<'_>, offset: u64) -> Result<Option<Range<u64>>> {
    let fd = fd.as_raw_fd();
    let seek = |offset: u64, whence| {
        let from = libc::off_t::try_from(offset).unwrap_or(libc::off_t::MAX);
        // SAFETY: no memory is passed.
        let at = unsafe { libc::lseek(fd, from, whence) };
        returned(at, format_args!("lseek({}, {offset}, {whence})", Fd(fd)))
    };
    match seek(offset, libc::SEEK_DATA) {
        Err(error) if error.errno() == Some(libc::ENXIO) => Ok(None),
        start => {
            let start = start? as u64;
            Ok(Some(start..seek(start, libc::SEEK_HOLE)? as u64))
        }
    }
}

/// `flock(2)` with LOCK_SH, LOCK_EX or LOCK_UN, and LOCK_NB; starts again when a signal interrupts it.
pub fn flock(fd: BorrowedFd<'_>, operation: i32) -> Result<()> {
    let fd = fd.as_raw_fd();
    loop {
        // SAFETY: no memory is passed.
        let done = unsafe { libc::flock(fd, operation) };
        match returned(done.into(), format_args!("flock({}, {})", Fd(fd), FlockOperation(operation))) {
            Err(error) if error.errno() == Some(libc::EINTR) => continue,
            answer => return answer.map(drop),
        }
    }
}

/// `fsync(2)`: a file, or the names in a directory, survive a power loss from now on.
pub fn fsync(fd: BorrowedFd<'_>) -> Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: no memory is passed.
    let done = unsafe { libc::fsync(fd) };
    returned(done.into(), format_args!("fsync({})", Fd(fd))).map(drop)
}

/// `syncfs(2)`: everything written to the file system that holds `fd` reaches the disk.
pub fn syncfs(fd: BorrowedFd<'_>) -> Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: no memory is passed.
    let done = unsafe { libc::syncfs(fd) };
    returned(done.into(), format_args!("syncfs({})", Fd(fd))).map(drop)
}

/// `pipe2(2)`: the reading end, then the writing end; O_CLOEXEC is always added.
pub fn pipe2(flags: i32) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors into `ends`.
    let done = unsafe { libc::pipe2(ends.as_mut_ptr(), flags | libc::O_CLOEXEC) };
    returned(done.into(), format_args!("pipe2({ends:?}, {})", OpenFlags(flags)))?;
    Ok((owned(ends[0].into()), owned(ends[1].into())))
}

/// `fcntl(2)` F_SETPIPE_SZ: how much a pipe holds; the kernel rounds up. EPERM above
/// /proc/sys/fs/pipe-max-size.
pub fn set_pipe_size(pipe: BorrowedFd<'_>, size: usize) -> Result<()> {
    let fd = pipe.as_raw_fd();
    // SAFETY: no memory is passed.
    let done = unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, size as libc::c_int) };
    returned(done.into(), format_args!("fcntl({}, F_SETPIPE_SZ, {size})", Fd(fd))).map(drop)
}

/// `ioctl(2)` FICLONE: `to` shares all blocks of `from`, where the file system can.
pub fn ficlone(to: BorrowedFd<'_>, from: BorrowedFd<'_>) -> Result<()> {
    let (to, from) = (to.as_raw_fd(), from.as_raw_fd());
    // SAFETY: FICLONE takes a descriptor by value.
    let done = unsafe { libc::ioctl(to, libc::FICLONE as _, from) };
    returned(done.into(), format_args!("ioctl({}, FICLONE, {})", Fd(to), Fd(from))).map(drop)
}

/// `copy_file_range(2)` at both files' current positions: how much was copied, 0 at the end.
pub fn copy_file_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> Result<usize> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let none = std::ptr::null_mut::<libc::loff_t>();
    // SAFETY: null offsets mean the files' own positions; no memory is passed.
    let copied = unsafe { libc::syscall(libc::SYS_copy_file_range, from, none, to, none, length, 0) };
    returned(copied, format_args!("copy_file_range({}, {}, {length})", Fd(from), Fd(to))).map(|copied| copied as usize)
}

/// `umask(2)`: sets the bits that new files lose, and gives the former ones. It is the whole process's.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: no memory is passed, and the call cannot fail.
    let old = unsafe { libc::umask(mask as libc::mode_t) };
    report::infallible(old, format_args!("umask(0{mask:o})"))
}
