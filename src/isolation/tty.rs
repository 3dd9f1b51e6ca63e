//! The container's terminal (pty(7), devpts(5)).
//!
//! A pty is a pair: what is written to the *master* is what somebody types at the
//! *peer*. It is made in the container's own devpts, so that programs inside find
//! it under /dev/pts; the master goes to the supervisor outside. The host's own
//! terminal never enters the container: whoever holds it could type into the
//! user's shell (TIOCSTI, CVE-2017-5226).

use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount, tty};
use libc::{O_CREAT, O_EXCL, O_NOCTTY, O_RDWR, O_WRONLY};
use std::os::fd::{AsFd, BorrowedFd};

/// A terminal for the container: the end to keep outside, and the end for its programs.
pub struct Terminal {
    pub master: OwnedFd,
    pub peer: OwnedFd,
}

impl Terminal {
    /// Makes a pty in the devpts of the container's `dev`, and binds it as /dev/console.
    pub fn open(dev: BorrowedFd<'_>) -> Result<Terminal> {
        let master = fs::openat(dev, c"pts/ptmx", O_RDWR | O_NOCTTY, 0)?;
        let peer = tty::open_peer(master.as_fd())?;
        let console = fs::openat(dev, c"console", O_CREAT | O_EXCL | O_WRONLY, 0o600)?;
        // The descriptor is bound, not its name.
        mount::move_mount(mount::open_tree(peer.as_fd(), c"", false)?.as_fd(), console.as_fd())?;
        // Without this the first program would start in a window of no size.
        if let Some(size) = tty::callers_window() {
            tty::set_window_size(master.as_fd(), size)?;
        }
        Ok(Terminal { master, peer })
    }
}
