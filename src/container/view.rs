//! A process's own state, read from the kernel by the process itself: no other process can look into PID 1.
//!
//! Nearly all of it is in /proc/self. The container's /proc is missing for most of a start, and the host's is gone after
//! pivot_root. But a descriptor of the host's /proc, opened before the first clone, stays valid in every process that
//! inherits it, and its `self` is always the reader. A process can read its own files even where PR_SET_DUMPABLE has made
//! them root's: they are world-readable, or the kernel lets a process look into itself (proc(5), ptrace(2)). So this
//! needs no privilege that the process may have dropped.

use super::in_force::{NAMESPACES, Status, parse};
use crate::error::{Error, Result};
use crate::isolation::idmap::Extent;
use crate::isolation::rlimit::{self, Ulimit};
use crate::sys::proc::mountinfo;
use crate::sys::process::pid_t;
use crate::sys::{cred, cstr, fs, namespace, process};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// The state of one process now. Fields that could not be read hold the error.
pub struct View {
    /// The kind and id (`kind:[number]`) of each namespace.
    pub namespaces: Vec<(&'static str, Result<String>)>,
    pub uid_map: Result<Vec<Extent>>,
    pub gid_map: Result<Vec<Extent>>,
    pub status: Result<Status>,
    /// Whether others may look into it.
    pub dumpable: Result<bool>,
    pub hostname: Result<String>,
    pub directory: Result<PathBuf>,
    /// The targets of descriptors 0, 1 and 2.
    pub streams: [Result<String>; 3],
    /// The lines of /proc/self/cgroup: `hierarchy:controllers:path`.
    pub cgroups: Result<Vec<String>>,
    pub limits: Result<Vec<Ulimit>>,
    pub mounts: Result<Vec<MountPoint>>,
}

/// A mount that this process sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    pub id: u64,
    pub point: String,
    pub kind: String,
    pub source: String,
    /// The directory of the file system that is mounted.
    pub root: String,
    pub options: String,
    /// Whether mounts below it propagate to other mount namespaces, or from them.
    pub is_shared: bool,
}

impl View {
    /// Reads it all. `proc` is the host's /proc, if it has one.
    pub fn read(proc: Option<BorrowedFd<'_>>) -> View {
        let proc = || proc.ok_or_else(|| Error::new("the host's /proc is not mounted"));
        let text = |name: &str| text(proc()?, name);
        let link = |name: &str| link(proc()?, name);
        View {
            namespaces: NAMESPACES.iter().filter_map(|kind| known(kind, link(&format!("ns/{kind}")))).collect(),
            uid_map: text("uid_map").map(|text| parse::id_map(&text)),
            gid_map: text("gid_map").map(|text| parse::id_map(&text)),
            status: text("status").map(|text| Status::parse(&text)),
            dumpable: cred::is_dumpable(),
            hostname: namespace::gethostname(),
            directory: process::getcwd(),
            streams: [0, 1, 2].map(|fd| link(&format!("fd/{fd}"))),
            cgroups: text("cgroup").map(|text| text.lines().map(str::to_owned).collect()),
            limits: text("limits").map(|text| rlimit::parse(&text)),
            mounts: proc()
                .and_then(|proc| bytes(proc, "mountinfo"))
                .map(|text| mountinfo::mounts(&text).map(MountPoint::of).collect()),
        }
    }
}

/// The number of this process in the PID namespace that `proc` shows.
pub fn own_pid(proc: BorrowedFd<'_>) -> Option<pid_t> {
    String::from_utf8(fs::readlinkat(proc, c"self").ok()?).ok()?.parse().ok()
}

/// Leaves out a kind of namespace that this kernel does not have.
fn known(kind: &'static str, id: Result<String>) -> Option<(&'static str, Result<String>)> {
    match id {
        Err(error) if error.errno() == Some(libc::ENOENT) => None,
        id => Some((kind, id)),
    }
}

fn text(proc: BorrowedFd<'_>, name: &str) -> Result<String> {
    bytes(proc, name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes(proc: BorrowedFd<'_>, name: &str) -> Result<Vec<u8>> {
    let file = fs::openat(proc, &cstr(format!("self/{name}"))?, libc::O_RDONLY, 0);
    let bytes = file.and_then(|file| fs::read_to_end(file.as_fd(), usize::MAX));
    bytes.map_err(|error| error.renamed(format_args!("read /proc/self/{name}")))
}

fn link(proc: BorrowedFd<'_>, name: &str) -> Result<String> {
    let target = fs::readlinkat(proc, &cstr(format!("self/{name}"))?);
    target
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| error.renamed(format_args!("read /proc/self/{name}")))
}

impl MountPoint {
    fn of(mount: mountinfo::Mount<'_>) -> MountPoint {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // Both lists begin with rw or ro; the mount's own wins.
        let own: Vec<&[u8]> = mount.options().collect();
        let of_fs = mount.fs_options().filter(|option| *option != b"rw" && !own.contains(option));
        let options: Vec<&[u8]> = own.iter().copied().chain(of_fs).collect();
        MountPoint {
            id: mount.id,
            point: mount.point().display().to_string(),
            kind: text(mount.kind),
            source: text(mount.source),
            root: mount.root().display().to_string(),
            options: text(&options.join(&b',')),
            is_shared: mount.is_shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read_through_a_descriptor() {
        let proc = crate::isolation::procfs::open().unwrap();
        let view = View::read(Some(proc.as_fd()));
        let status = view.status.unwrap();
        assert_eq!(own_pid(proc.as_fd()), Some(process::getpid()));
        assert_eq!((status.pids.last(), status.session), (Some(&process::getpid()), process::getsid(0).unwrap()));
        assert_eq!(view.namespaces.len(), NAMESPACES.len());
        assert!(view.mounts.unwrap().iter().any(|mount| mount.point == "/"));
        assert!(!view.limits.unwrap().is_empty() && !view.uid_map.unwrap().is_empty() && view.dumpable.unwrap());
        let without = View::read(None);
        assert!(without.status.is_err() && without.mounts.is_err() && without.hostname.is_ok());
    }

    #[test]
    fn a_mounts_options_are_listed_once() {
        let line = b"36 35 98:0 /dir /jail\\040x ro,noatime master:1 - proc none rw,hidepid=2,ro\n";
        let mount = MountPoint::of(mountinfo::mounts(line).next().unwrap());
        let texts = (&*mount.point, &*mount.kind, &*mount.source, &*mount.root, &*mount.options);
        assert_eq!(texts, ("/jail x", "proc", "none", "/dir", "ro,noatime,hidepid=2"));
        assert_eq!((mount.id, mount.is_shared), (36, true));
    }
}
