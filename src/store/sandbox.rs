//! The sandbox in which files from outside are handled.
//!
//! The store says here what it needs; how a sandbox is made of namespaces
//! is the container layer's business, which gives the store its [`Sandbox`].

use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message};
use crate::sys::process;
use std::path::Path;

/// Runs code as the container's root, with one directory as its whole file system.
pub trait Sandbox {
    /// Forks a child that sees `dir` as `/` and nothing else of this machine, and runs `inside` there.
    /// Call it from a single-threaded process only (see [`process::clone3`]).
    fn spawn(&self, dir: &Path, inside: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Sandboxed>;

    /// The host's uid and gid that container root is: who must own a directory for the child to fill it.
    fn root_ids(&self) -> (u32, u32);
}

/// A child in the sandbox.
pub struct Sandboxed {
    pub child: process::Child,
    pub channel: Channel,
}

impl Sandboxed {
    /// Waits for the child; gives what `inside` returned.
    pub fn wait(self) -> Result<Vec<u8>> {
        let received = self.channel.receive();
        let status = self.child.wait()?;
        match received? {
            Some((Message::Done(bytes), _)) => Ok(bytes),
            Some((Message::Failed(error), _)) => Err(error),
            _ => Err(Error::new(format!("the unpacking process ended early ({status:?})"))),
        }
    }

    /// What the child sends when `inside` is through: one message, read by [`Sandboxed::wait`].
    pub fn report(parent: &Channel, outcome: Result<Vec<u8>>) -> Result<()> {
        parent.send(&outcome.map_or_else(Message::Failed, Message::Done), &[])
    }
}
