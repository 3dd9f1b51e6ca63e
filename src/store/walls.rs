//! The walls behind which files from outside are handled.
//!
//! The store says here what it needs; how the walls are built out of namespaces
//! is the container layer's business, which gives the store its [`Walls`].

use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::{process, socket};
use std::os::fd::AsFd;
use std::path::Path;

/// Runs code as the container's root, with one directory as its whole file system.
pub trait Walls {
    /// Forks a child that sees `dir` as `/` and nothing else of this machine, and runs `inside` there.
    /// Call it from a single-threaded process only (see [`process::clone3`]).
    fn spawn(&self, dir: &Path, inside: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Walled>;

    /// The host's uid and gid that container root is: who must own a directory for the child to fill it.
    fn root_ids(&self) -> (u32, u32);
}

/// A child behind the walls.
pub struct Walled {
    pub child: process::Child,
    pub result: OwnedFd,
}

impl Walled {
    /// Waits for the child; gives what `inside` returned.
    pub fn wait(self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 128 << 10];
        let received = socket::receive(self.result.as_fd(), &mut buffer);
        let status = self.child.wait()?;
        match received? {
            (0, _) => Err(Error::new(format_args!("the unpacking process ended early ({status:?})"))),
            (size, _) if buffer[0] == OK => Ok(buffer[1..size].to_vec()),
            (size, _) => Err(Error::from_bytes(&buffer[1..size])),
        }
    }
}

const OK: u8 = 0;
const FAILED: u8 = 1;

impl Walled {
    /// What the child sends when `inside` is through: one message, read by [`Walled::wait`].
    pub fn report(socket: &OwnedFd, outcome: Result<Vec<u8>>) -> Result<()> {
        let (tag, bytes) = match outcome {
            Ok(bytes) => (OK, bytes),
            Err(error) => (FAILED, error.to_bytes()),
        };
        socket::send(socket.as_fd(), &[&[tag], &bytes[..]].concat(), &[])
    }
}
