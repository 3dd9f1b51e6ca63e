//! A container to run, and the plan for its start, which PID 1 and the command inherit when they are cloned.

use super::document::Document;
use super::spec::ContainerSpec;
use super::streams::Streams;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::host_mounts;
use crate::isolation::idmap::IdMap;
use crate::isolation::seccomp::Filter;
use crate::store::Store;
use crate::sys::process::Child;
use crate::sys::tty::WindowSize;
use std::path::Path;

/// A container to run.
pub struct NewContainer<'a> {
    pub store: &'a Store,
    /// The id map of the store's files.
    pub map: &'a IdMap,
    pub spec: &'a ContainerSpec,
    /// The OCI document of `spec`, to be kept in the store.
    pub document: &'a Document,
}

/// What PID 1 and the command need to know.
pub struct Plan<'a> {
    pub spec: &'a ContainerSpec,
    /// The command's system call filter.
    pub filter: Option<&'a Filter>,
    /// The container's directory in the store.
    pub dir: &'a Path,
    /// Whether container root is the only id.
    pub single_id: bool,
    /// Whether the supervisor sends the host's directories, with their owners mapped to the container's ids.
    pub mapped: bool,
    /// Copies of the host's mounts, where root shows them.
    pub host: &'a [host_mounts::Copy],
    /// The container's cgroups.
    pub cgroup: &'a Cgroup,
    /// The command's stdin, stdout and stderr.
    pub streams: &'a Streams,
    /// The size of the container's terminal.
    pub window: Option<WindowSize>,
    /// Readable once the supervisor has ended.
    pub supervisor: &'a Child,
}
