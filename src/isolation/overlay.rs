//! The container's own view of a tree that it must not change (overlayfs).
//!
//! The *lower* directories are what is shared, the *upper* one takes every write:
//! a file is copied up when it is first changed, and a character device 0:0 in the
//! upper directory marks a lower name as removed. `userxattr` keeps overlay's own
//! notes in user.* attributes, which a user namespace may write (Linux 5.11;
//! Documentation/filesystems/overlayfs.rst).

use super::mounts;
use crate::error::Result;
use crate::sys::mount;
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The directories of one overlay.
pub struct Overlay<'a> {
    /// What is seen through, the topmost first.
    pub lower: &'a [OwnedFd],
    pub upper: OwnedFd,
    /// An empty directory on the upper one's file system, for overlay's own use.
    pub work: OwnedFd,
    /// Never wait for the disk: for what is thrown away with the container anyway (Linux 5.10).
    pub volatile: bool,
}

impl Overlay<'_> {
    /// Mounts it on `target`. The directories are named by descriptor: their paths may be long, hold
    /// commas and colons, and lie where container root may not go.
    pub fn mount(&self, target: BorrowedFd<'_>) -> Result<()> {
        let mut options = String::from("userxattr");
        if self.volatile {
            options.push_str(",volatile");
        }
        let mut separator = ",lowerdir=";
        for dir in self.lower {
            let _ = write!(options, "{separator}/proc/self/fd/{}", dir.as_raw_fd());
            separator = ":";
        }
        let (upper, work) = (self.upper.as_fd().as_raw_fd(), self.work.as_fd().as_raw_fd());
        let _ = write!(options, ",upperdir=/proc/self/fd/{upper},workdir=/proc/self/fd/{work}");
        let options = crate::sys::cstr(options)?;
        mount::mount(c"overlay", &mounts::on(target), c"overlay", 0, &options)
    }
}
