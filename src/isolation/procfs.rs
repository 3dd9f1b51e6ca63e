//! /proc and /sys: windows into the kernel, some of which are shut.
//!
//! A fresh proc shows the processes of the PID namespace that mounts it (proc(5)),
//! and sysfs the devices of the network namespace (sysfs(5)). But neither is
//! wholly namespaced: the files listed here speak of the whole machine, so they
//! are covered or made read-only, as Docker does it.

use super::mounts;
use crate::error::{Error, Result};
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_PATH, RESOLVE_NO_SYMLINKS};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const QUIET: libc::c_ulong = MS_NOSUID | MS_NODEV | MS_NOEXEC;

/// Covered: secrets of the host, or clocks to spy on its other work by (moby, daemon/pkg/oci/defaults.go).
const MASKED_PROC: [&std::ffi::CStr; 10] = [
    c"acpi",
    c"asound",
    c"interrupts",
    c"kcore",
    c"keys",
    c"latency_stats",
    c"sched_debug",
    c"scsi",
    c"timer_list",
    c"timer_stats",
];
const MASKED_SYS: [&std::ffi::CStr; 2] = [c"devices/virtual/powercap", c"firmware"];

/// Read-only: switches of the host.
const READ_ONLY_PROC: [&std::ffi::CStr; 5] = [c"bus", c"fs", c"irq", c"sys", c"sysrq-trigger"];

/// Mounts /proc of this PID namespace inside `root` and shuts what is not the container's. `null` covers files:
/// the host's /dev/null, for the *image's* could be anything (CVE-2025-31133).
pub fn mount_proc(root: BorrowedFd<'_>, null: BorrowedFd<'_>) -> Result<()> {
    let place = mounts::plain_directory(root, c"proc")?;
    mount::mount(c"proc", &mounts::on(place.as_fd()), c"proc", QUIET, c"").map_err(|error| {
        let hint = "a fresh /proc is refused where parts of the host's are covered, as inside another container";
        if error.errno() == Some(libc::EPERM) { error.hint(hint) } else { error }
    })?;
    let proc = mounts::plain_directory(root, c"proc")?;
    for name in READ_ONLY_PROC {
        // Bound on itself, then the new mount alone is made read-only.
        let Some(place) = find(proc.as_fd(), name)? else { continue };
        let copy = mount::open_tree(place.as_fd(), c"", false)?;
        mount::mount_setattr(copy.as_fd(), false, MOUNT_ATTR_RDONLY, None)?;
        mount::move_mount(copy.as_fd(), place.as_fd())?;
    }
    mask(proc.as_fd(), &MASKED_PROC, null)
}

/// Mounts /sys read-only inside `root`: our own network namespace's, if it is ours, else the host's.
/// Where the kernel refuses both, an empty directory stands in.
pub fn mount_sys(root: BorrowedFd<'_>, own_network: bool, null: BorrowedFd<'_>) -> Result<()> {
    let place = mounts::plain_directory(root, c"sys")?;
    let mounted = if own_network {
        mount::mount(c"sysfs", &mounts::on(place.as_fd()), c"sysfs", QUIET | MS_RDONLY, c"")
    } else {
        // sysfs belongs to the network namespace's owner, so that the host's can only be shown, with all
        // that is mounted in it: the kernel keeps those mounts together.
        mount::open_tree(root, c"/sys", true).and_then(|host| {
            mount::mount_setattr(host.as_fd(), true, MOUNT_ATTR_RDONLY, None)?;
            mount::move_mount(host.as_fd(), place.as_fd())
        })
    };
    match mounted {
        Ok(()) => {
            let sys = mounts::plain_directory(root, c"sys")?;
            mask(sys.as_fd(), &MASKED_SYS, null)
        }
        Err(error) if [Some(libc::EPERM), Some(libc::ENOENT), Some(libc::EINVAL)].contains(&error.errno()) => {
            mounts::tmpfs(place.as_fd(), QUIET | MS_RDONLY, "size=0,mode=555")
        }
        Err(error) => Err(error),
    }
}

fn mask(dir: BorrowedFd<'_>, names: &[&std::ffi::CStr], null: BorrowedFd<'_>) -> Result<()> {
    for name in names {
        let Some(place) = find(dir, name)? else { continue };
        if fs::fstat(place.as_fd())?.is_dir() {
            mounts::tmpfs(place.as_fd(), QUIET | MS_RDONLY, "size=0,mode=555")?;
        } else {
            mount::mount(&mounts::on(null), &mounts::on(place.as_fd()), c"", MS_BIND, c"")?;
        }
    }
    Ok(())
}

/// Opens a file of the kernel's own, `None` where this kernel has no such file.
fn find(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<Option<OwnedFd>> {
    match fs::openat2(dir, name, O_PATH, 0, RESOLVE_NO_SYMLINKS) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if [Some(libc::ENOENT), Some(libc::EACCES)].contains(&error.errno()) => Ok(None),
        Err(error) => Err(Error::context(error, format!("cover {name:?}"))),
    }
}
