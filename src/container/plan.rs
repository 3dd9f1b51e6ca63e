//! A container to be run, and the plan that PID 1 takes along when it is cloned: what the supervisor has settled
//! beside the specification.

use super::document::Document;
use super::spec::ContainerSpec;
use super::streams::Streams;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::host_mounts;
use crate::isolation::idmap::IdMap;
use crate::isolation::seccomp::Filter;
use crate::store::Store;
use crate::sys::process::Child;
use std::path::Path;

/// A container to be run.
pub struct NewContainer<'a> {
    pub store: &'a Store,
    /// The ids of the store's files.
    pub map: &'a IdMap,
    pub spec: &'a ContainerSpec,
    /// What `spec` is in ccrun's terms.
    pub document: &'a Document,
}

/// What PID 1 and the command need to know.
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
