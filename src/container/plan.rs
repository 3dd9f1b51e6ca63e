//! What the supervisor and its child agree on: the plan that the clone takes along, and the messages
//! that come back over the socket between them.

use super::spec::ContainerSpec;
use super::streams::Streams;
use crate::error::Error;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::host_mounts;
use crate::isolation::seccomp::Filter;
use crate::sys::fd::OwnedFd;
use crate::sys::process::Child;
use crate::sys::socket;
use std::os::fd::AsFd;
use std::path::Path;

/// What the child needs to know beside the specification.
pub struct Plan<'a> {
    pub spec: &'a ContainerSpec,
    /// What judges the command's system calls.
    pub filter: Option<&'a Filter>,
    /// The container's directory in the store.
    pub dir: &'a Path,
    /// Whether container root is the only id.
    pub single_id: bool,
    /// Whether the host's directories come from the supervisor, with their owners mapped to the container's.
    pub mapped: bool,
    /// The host's mounts, if root shows them.
    pub host: &'a [host_mounts::Copy],
    /// The cgroups that it goes into.
    pub cgroup: &'a Cgroup,
    /// What the command's descriptors 0, 1 and 2 are to be.
    pub streams: &'a Streams,
    /// Ready to be read when the supervisor has ended.
    pub supervisor: &'a Child,
}

/// Tells the supervisor that the container cannot be started; returns the status to end with.
pub fn fail(socket: &OwnedFd, error: Error) -> i32 {
    let bytes = error.to_bytes();
    let length = bytes.len().min(message::MOST_BYTES);
    let _ = socket::send(socket.as_fd(), &[&[message::FAILED], &bytes[..length]].concat(), &[]);
    125
}

/// Has the supervisor say something that is no error to the user.
pub fn note(socket: &OwnedFd, text: &str) {
    let _ = socket::send(socket.as_fd(), &[&[message::NOTE], text.as_bytes()].concat(), &[]);
}

/// Messages of the child to the supervisor begin with one of these.
pub mod message {
    /// What the supervisor has room for.
    pub const MOST_BYTES: usize = 8 << 10;
    /// [`crate::error::Error::to_bytes`] follows: the container could not be started.
    pub const FAILED: u8 = b'E';
    /// The master of the container's terminal comes with it.
    pub const TERMINAL: u8 = b'T';
    /// PID 1's number follows, and its pidfd comes with it.
    pub const STARTED: u8 = b'P';
    /// Something to tell the user follows.
    pub const NOTE: u8 = b'N';
}
