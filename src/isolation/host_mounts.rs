//! The host's mounts, and which of them a container may see (proc_pid_mountinfo(5)).
//!
//! The list says where something is mounted; what a path leads to may be something
//! else by now, or was covered by a later mount. So each mount is opened, and the
//! kernel is asked what the descriptor is open on (statx(2), STATX_MNT_ID): that
//! number pairs it with its line. Only what was opened is judged and shown.

use super::mounts::clone_tree;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{self, Statx};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::proc::mountinfo::{self, Mount};
use libc::{AT_EMPTY_PATH, AT_STATX_DONT_SYNC, O_NOFOLLOW, O_PATH};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Places that a container has of its own.
const OWN_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Places that it must not see: the sockets of running services are there.
pub const HIDDEN_PATHS: [&str; 2] = ["/run", "/var/run"];

/// File systems that show the kernel, its devices or other processes, wherever they are mounted.
const HIDDEN_KINDS: [&str; 29] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.lxcfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "usbfs",
    "xenfs",
];

/// What may be seen of an opened file: directories and files, no sockets, devices or pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Directory,
    File,
    Nothing,
}

struct Line {
    id: u64,
    point: PathBuf,
    is_hidden: bool,
}

/// The mounts of this process's mount namespace, sorted by their places.
pub struct Table(Vec<Line>);

impl Table {
    pub fn read() -> Result<Table> {
        fs::read_file("/proc/self/mountinfo").map(|text| Table::parse(&text))
    }

    fn parse(text: &[u8]) -> Table {
        let mut lines: Vec<Line> = mountinfo::mounts(text).map(Line::of).collect();
        crate::sort::by(&mut lines, |one, other| one.point.cmp(&other.point));
        Table(lines)
    }

    /// The places of all mounts that a container may see something of.
    pub fn shown_places(&self) -> impl Iterator<Item = &Path> {
        let shown = self.0.iter().filter(|line| !is_hidden_path(&line.point) && !line.is_hidden);
        shown.map(|line| line.point.as_path())
    }

    /// The same without the mounts below the directory `own`, which are a container's.
    pub fn without(mut self, own: &Path) -> Table {
        self.0.retain(|line| !line.point.starts_with(own));
        self
    }

    /// Whether there is a mount below the directory `path`.
    pub fn has_mounts_below(&self, path: &Path) -> bool {
        self.0.iter().any(|line| line.point != path && line.point.starts_with(path))
    }

    /// What may be seen of `opened`, which is `path` on the host.
    pub fn judge(&self, opened: BorrowedFd<'_>, path: &Path) -> Result<Shown> {
        let statx = examine(opened)?;
        let line = self.0.iter().find(|line| line.id == statx.mount());
        if is_hidden_path(path) || line.is_some_and(|line| line.is_hidden) {
            return Ok(Shown::Nothing);
        }
        Ok(shown(&statx))
    }
}

impl Line {
    fn of(mount: Mount<'_>) -> Line {
        let is_hidden = HIDDEN_KINDS.iter().any(|kind| kind.as_bytes() == mount.kind);
        Line { id: mount.id, point: mount.point().into_owned(), is_hidden }
    }
}

pub fn is_hidden_path(path: &Path) -> bool {
    OWN_PATHS.iter().chain(&HIDDEN_PATHS).any(|hidden| path.starts_with(hidden))
}

/// Type, inode and mount, without asking a server that may not answer any more.
fn examine(fd: BorrowedFd<'_>) -> Result<Statx> {
    fs::statx(Some(fd), c"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, libc::STATX_TYPE | fs::STATX_MNT_ID)
}

fn shown(statx: &Statx) -> Shown {
    match statx.mode() & libc::S_IFMT {
        libc::S_IFDIR => Shown::Directory,
        libc::S_IFREG => Shown::File,
        _ => Shown::Nothing,
    }
}

/// A mount of the host for a container of root's.
pub struct Copy {
    pub point: PathBuf,
    /// A detached copy of this mount alone; `None` if the container must not see it.
    pub tree: Option<OwnedFd>,
    pub shown: Shown,
}

/// Copies of all mounts of the host that can be reached by their paths, `/` first. Root makes them before the
/// container, which then finds each with its place.
pub fn copies() -> Result<Vec<Copy>> {
    let mut copies: Vec<Copy> = Vec::new();
    for line in Table::read()?.0 {
        let is_below_hidden = |copy: &Copy| copy.tree.is_none() && line.point.starts_with(&copy.point);
        if is_hidden_path(&line.point) || copies.iter().any(is_below_hidden) {
            continue;
        }
        // Gone meanwhile, or not to be entered even by root.
        let Ok(opened) = fs::open(&crate::sys::cstr(&line.point)?, O_PATH | O_NOFOLLOW, 0) else { continue };
        let Ok(statx) = examine(opened.as_fd()) else { continue };
        if statx.mount() != line.id {
            continue;
        }
        let shown = if line.is_hidden { Shown::Nothing } else { shown(&statx) };
        let attributes = match shown {
            Shown::Directory => MOUNT_ATTR_NODEV,
            _ => MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY,
        };
        let tree = match shown {
            Shown::Nothing => None,
            // An unbindable mount (mount_namespaces(7)) stays where it is.
            _ => clone_tree(opened.as_fd(), false, attributes, None).ok(),
        };
        copies.push(Copy { point: line.point, tree, shown });
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_by_places() {
        let table = Table::parse(
            b"36 35 98:0 /mnt1 /jail/proc rw,noatime master:1 shared:2 - proc /dev/root rw\n\
              22 1 0:1 / / rw - ext4 /dev/vda rw,discard\n\
              broken\n\
              40 36 0:4 / /jail rw - fuse.sshfs a - b rw\n",
        );
        let lines: Vec<_> =
            table.0.iter().map(|line| (line.id, line.point.to_str().unwrap(), line.is_hidden)).collect();
        assert_eq!(lines, [(22, "/", false), (40, "/jail", false), (36, "/jail/proc", true)]);
        assert!(table.has_mounts_below(Path::new("/jail")) && !table.has_mounts_below(Path::new("/jail/proc")));
        assert!(is_hidden_path(Path::new("/var/run/x")) && !is_hidden_path(Path::new("/runner")));
    }
}
