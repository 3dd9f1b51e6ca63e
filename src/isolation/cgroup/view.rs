//! What a container sees of cgroups: its own, as the top of each tree, and read-only.
//!
//! Programs read there how much they may use (a JVM sizes its heap by it). A
//! cgroup namespace hides everything above the group of whoever makes it
//! (cgroup_namespaces(7)), and a tree that is mounted in that namespace begins
//! there. So the order is: move into the groups, then make the namespace, then
//! mount. release_agent, which v1 has at the top of a whole tree and by which
//! containers were left (CVE-2022-0492), does not show.

use super::Cgroup;
use crate::error::Result;
use crate::isolation::mounts;
use crate::isolation::rootfs::open_directory;
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

const QUIET: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const READ_ONLY: u64 = QUIET | MOUNT_ATTR_RDONLY;

impl Cgroup {
    /// Mounts the groups on /sys/fs/cgroup inside `root`. Without any it is empty: the host's are nobody's
    /// business here. `own_namespace`: this process is in a cgroup namespace of its own; else no tree can be mounted,
    /// and the group's directories are bound.
    pub fn mount_view(&self, root: BorrowedFd<'_>, own_namespace: bool) -> Result<()> {
        let place = match mounts::open_inside(root, Path::new("/sys/fs/cgroup")) {
            // Where the kernel refuses a /sys there is no place for it.
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(()),
            other => other?,
        };
        let tree = |fstype, options: &str, dir: Option<&Path>| match dir {
            Some(dir) if !own_namespace => mounts::clone_tree(open_directory(dir)?.as_fd(), false, READ_ONLY, None),
            _ => mounts::fresh(fstype, options, READ_ONLY),
        };
        if self.unified.is_some() && self.v1.is_empty() {
            return mount::move_mount(tree(c"cgroup2", "", self.unified_dir())?.as_fd(), place.as_fd());
        }
        let dir = mounts::fresh(c"tmpfs", "mode=755,size=64k", QUIET)?;
        mount::move_mount(dir.as_fd(), place.as_fd())?;
        let attach = |name: &Path, tree: OwnedFd| {
            let name = crate::sys::cstr(name)?;
            fs::mkdirat(dir.as_fd(), &name, 0o755)?;
            let place = fs::openat(dir.as_fd(), &name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            mount::move_mount(tree.as_fd(), place.as_fd())
        };
        for hierarchy in &self.v1 {
            attach(&hierarchy.name, tree(c"cgroup", &hierarchy.options, Some(&hierarchy.dir))?)?;
            // Of two controllers in one tree, each is found under its own name.
            for alone in hierarchy.options.split(',').filter(|alone| Path::new(alone) != hierarchy.name) {
                fs::symlinkat(&crate::sys::cstr(&hierarchy.name)?, dir.as_fd(), &crate::sys::cstr(alone)?)?;
            }
        }
        if self.unified.is_some() {
            attach(Path::new("unified"), tree(c"cgroup2", "", self.unified_dir())?)?;
        }
        mount::mount_setattr(dir.as_fd(), false, MOUNT_ATTR_RDONLY, None)
    }

    fn unified_dir(&self) -> Option<&Path> {
        self.unified.as_ref().map(|unified| unified.dir.as_path())
    }
}
