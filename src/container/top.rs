//! The container's own root directory, which overlay takes from the upper directory alone.

use super::spec::Root;
use crate::error::Result;
use crate::image::layer::{Nobody, root::Attributes};
use crate::image::local::images::Stack;
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use libc::{O_DIRECTORY, O_RDONLY};
use std::os::fd::{AsFd, BorrowedFd};

/// Gives the upper directory the owner, mode and extended attributes that `/` has in what it covers, the topmost of
/// `layers` first.
pub fn dress(root: &Root, layers: &[OwnedFd], upper: BorrowedFd<'_>) -> Result<()> {
    match root {
        Root::Image(Stack { root: Some((attributes, at)), .. }) => {
            let layer = layers.get(*at).filter(|_| attributes.xattrs);
            let layer = layer.map(|layer| fs::openat(layer.as_fd(), c".", O_RDONLY | O_DIRECTORY, 0)).transpose()?;
            attributes.give(layer.as_ref().map(AsFd::as_fd), upper)
        }
        Root::Image(_) => fs::fchmod(upper, 0o755),
        Root::Directory { .. } | Root::Host => {
            let Some(top) = layers.first() else { return Ok(()) };
            let fs::Stat { uid, gid, mode, mtime, .. } = fs::fstat(top.as_fd())?;
            // What the id map does not have stays container root's.
            let known = |id| if id == Nobody::ID { 0 } else { id };
            let own = Attributes { uid: known(uid), gid: known(gid), mode: mode & 0o7777, mtime, xattrs: false };
            own.give(None, upper)
        }
    }
}

/// Gives `/` the time that the image says; the last to be done there, for every mount point that is made changes it.
pub fn date(root: &Root, dir: BorrowedFd<'_>) -> Result<()> {
    let Root::Image(Stack { root: Some((Attributes { mtime, .. }, _)), .. }) = root else { return Ok(()) };
    let dir = fs::openat(dir, c".", O_RDONLY | O_DIRECTORY, 0)?;
    fs::futimens(dir.as_fd(), *mtime, *mtime)
}
