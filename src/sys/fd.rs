//! A file descriptor that is closed when its owner goes, by a call that is reported like all others.

use super::shown::Fd;
use super::{report, returned};
use crate::error::Result;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::process::Stdio;

/// As std's type of this name, which closes without a word. It is kept as what [`AsFd`] returns in hundreds of places.
#[derive(Debug)]
pub struct OwnedFd(BorrowedFd<'static>);

impl OwnedFd {
    /// fcntl(2) F_DUPFD_CLOEXEC: another descriptor of the same open file.
    pub fn try_clone(&self) -> Result<OwnedFd> {
        // Not one of the standard streams' numbers.
        duplicate(self.as_fd(), 3)
    }
}

/// fcntl(2) F_DUPFD_CLOEXEC: another descriptor of the same open file, with a number from `least` on.
pub fn duplicate(fd: BorrowedFd<'_>, least: i32) -> Result<OwnedFd> {
    // SAFETY: no memory is passed; `fd` is open by its type.
    let ret = unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    let call = format_args!("fcntl({}, F_DUPFD_CLOEXEC, {least})", Fd(fd.as_raw_fd()));
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    returned(ret, call).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// close_range(2) of all descriptors from 3 on but `kept`, in a clone that uses no other of its parent's.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd > 2).collect();
    kept.sort();
    let mut first = 3;
    for last in kept.into_iter().chain([u32::MAX]) {
        if first < last {
            // SAFETY: the caller owns no descriptor in this range that it uses again or drops.
            let ret = unsafe { libc::syscall(libc::SYS_close_range, first, last - 1, 0) };
            // Before Linux 5.9 they stay open until this process ends.
            report::call(format_args!("close_range({first}, {}, 0)", last - 1), ret, 0);
        }
        first = last.saturating_add(1);
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor, and nobody uses it afterwards.
        let ret = unsafe { libc::syscall(libc::SYS_close, self.as_raw_fd()) };
        report::call(format_args!("close({})", self.as_raw_fd()), ret, 0);
    }
}

// Inlined, as a call would take more bytes than what it does.
impl AsFd for OwnedFd {
    #[inline(always)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl AsRawFd for OwnedFd {
    #[inline(always)]
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        let fd = self.as_raw_fd();
        std::mem::forget(self);
        fd
    }
}

impl FromRawFd for OwnedFd {
    // SAFETY: the caller's, who owns the descriptor and gives it away.
    unsafe fn from_raw_fd(fd: RawFd) -> OwnedFd {
        // SAFETY: open as long as this value lives, which no borrow from it outlives.
        OwnedFd(unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

impl From<OwnedFd> for std::os::fd::OwnedFd {
    fn from(fd: OwnedFd) -> std::os::fd::OwnedFd {
        // SAFETY: the descriptor is open, and this hands its ownership on.
        unsafe { std::os::fd::OwnedFd::from_raw_fd(fd.into_raw_fd()) }
    }
}

impl From<std::os::fd::OwnedFd> for OwnedFd {
    fn from(fd: std::os::fd::OwnedFd) -> OwnedFd {
        // SAFETY: this takes the ownership over.
        unsafe { OwnedFd::from_raw_fd(fd.into_raw_fd()) }
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        std::os::fd::OwnedFd::from(fd).into()
    }
}

impl From<File> for OwnedFd {
    fn from(file: File) -> OwnedFd {
        std::os::fd::OwnedFd::from(file).into()
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Stdio {
        std::os::fd::OwnedFd::from(fd).into()
    }
}
