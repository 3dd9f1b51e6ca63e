//! /proc and /sys: windows into the kernel, some of which are shut.
//!
//! A fresh proc shows the processes of the PID namespace that mounts it (proc(5)),
//! and sysfs the devices of the network namespace (sysfs(5)). But neither is
//! wholly namespaced: the files listed here speak of the whole machine, so they
//! are covered or made read-only, as Docker does it.

use super::{mounts, sysctl};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_PATH, O_RDONLY, O_WRONLY, RESOLVE_NO_SYMLINKS};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

const QUIET: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Covered: secrets of the host, or clocks to spy on its other work by (moby, daemon/pkg/oci/defaults.go).
const MASKED_PROC: [&CStr; 10] = [
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
const MASKED_SYS: [&CStr; 2] = [c"devices/virtual/powercap", c"firmware"];

/// Read-only: switches of the host.
const READ_ONLY_PROC: [&CStr; 5] = [c"bus", c"fs", c"irq", c"sys", c"sysrq-trigger"];

/// What a mount of the user's may cover in /proc (runc, libcontainer/rootfs_linux.go): lxcfs and its like show a
/// container's own share there.
const COVERABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// What hidden things are covered with.
pub struct Cover<'a> {
    /// For files: the host's /dev/null, for the *image's* could be anything (CVE-2025-31133).
    null: BorrowedFd<'a>,
    /// For directories: one empty file system, mounted once and then copied.
    empty: Option<OwnedFd>,
}

impl Cover<'_> {
    pub fn new(null: BorrowedFd<'_>) -> Cover<'_> {
        Cover { null, empty: None }
    }

    /// Covers what lies at `path` below `dir`, if this kernel has it.
    fn hide(&mut self, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
        let Some(place) = find(dir, path)? else { return Ok(()) };
        if !fs::fstat(place.as_fd())?.is_dir() {
            return mount::move_mount(mount::open_tree(self.null, c"", false)?.as_fd(), place.as_fd());
        }
        let tree = match &self.empty {
            Some(empty) => mount::open_tree(empty.as_fd(), c"", false)?,
            None => mounts::fresh(c"tmpfs", "size=0,mode=555", QUIET | MOUNT_ATTR_RDONLY)?,
        };
        mount::move_mount(tree.as_fd(), place.as_fd())?;
        self.empty.get_or_insert(tree);
        Ok(())
    }
}

/// Mounts /proc of this PID namespace inside `root`, sets the switches of the container's own namespaces, and shuts
/// what is not the container's; without `cover` nothing is. All goes by the new mount's descriptor, wherever somebody
/// may move it to.
pub fn mount_proc(root: BorrowedFd<'_>, switches: &sysctl::Switches, cover: Option<&mut Cover<'_>>) -> Result<()> {
    let proc = fresh()?;
    mounts::attach_below(root, c"proc", proc.as_fd())?;
    switches.set(proc.as_fd())?;
    let Some(cover) = cover else { return Ok(()) };
    for name in READ_ONLY_PROC {
        // Bound on itself, then the new mount alone is made read-only.
        let Some(place) = find(proc.as_fd(), name)? else { continue };
        let copy = mounts::clone_tree(place.as_fd(), false, MOUNT_ATTR_RDONLY, None)?;
        mount::move_mount(copy.as_fd(), place.as_fd())?;
    }
    MASKED_PROC.iter().try_for_each(|name| cover.hide(proc.as_fd(), name))
}

/// A proc of this PID namespace, as it comes.
pub fn fresh() -> Result<OwnedFd> {
    mounts::fresh(c"proc", "", QUIET).map_err(|error| {
        let hint = "a fresh /proc is refused where parts of the host's are covered, as inside another container";
        if error.errno() == Some(libc::EPERM) { error.hint(hint) } else { error }
    })
}

/// Mounts /sys read-only inside `root`: our own network namespace's, if it is ours, else the host's.
/// Where the kernel refuses both, an empty directory stands in. Without `cover` our own is shut nowhere.
pub fn mount_sys(root: BorrowedFd<'_>, own_network: bool, cover: Option<&mut Cover<'_>>) -> Result<()> {
    let made = if own_network {
        let read_only = if cover.is_some() { MOUNT_ATTR_RDONLY } else { 0 };
        mounts::fresh(c"sysfs", "", QUIET | read_only)
    } else {
        // sysfs belongs to the network namespace's owner, so that the host's can only be shown, with all
        // that is mounted in it: the kernel keeps those mounts together.
        let host = fs::open(c"/sys", O_PATH | O_DIRECTORY, 0);
        host.and_then(|host| mounts::clone_tree(host.as_fd(), true, MOUNT_ATTR_RDONLY, None))
    };
    let sys = match made {
        Err(error) if [Some(libc::EPERM), Some(libc::ENOENT), Some(libc::EINVAL)].contains(&error.errno()) => {
            let empty = mounts::fresh(c"tmpfs", "size=0,mode=555", QUIET | MOUNT_ATTR_RDONLY)?;
            return mounts::attach_below(root, c"sys", empty.as_fd());
        }
        other => other?,
    };
    mounts::attach_below(root, c"sys", sys.as_fd())?;
    let Some(cover) = cover else { return Ok(()) };
    MASKED_SYS.iter().try_for_each(|name| cover.hide(sys.as_fd(), name))?;
    hide_throttles(sys.as_fd(), cover)
}

/// How warm each CPU gets tells what the host computes. All CPUs have that file or none has it.
fn hide_throttles(sys: BorrowedFd<'_>, cover: &mut Cover<'_>) -> Result<()> {
    if find(sys, c"devices/system/cpu/cpu0/thermal_throttle")?.is_none() {
        return Ok(());
    }
    let cpus = fs::openat(sys, c"devices/system/cpu", O_RDONLY | O_DIRECTORY, 0)?;
    loop {
        let entries = fs::getdents(cpus.as_fd())?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            let name = entry.name.to_bytes();
            if name.strip_prefix(b"cpu").is_some_and(|number| number.iter().all(u8::is_ascii_digit)) {
                let path = [name, b"/thermal_throttle\0"].concat();
                cover.hide(cpus.as_fd(), CStr::from_bytes_with_nul(&path).unwrap_or_default())?;
            }
        }
    }
}

/// Refuses a mount of the user's that would cover what the container's programs and we believe of the kernel
/// (CVE-2019-19921). `place` is what `target` has led to: a link or a neighbour may lead any target into /proc.
pub fn check_target(place: BorrowedFd<'_>, target: &Path, source: Option<BorrowedFd<'_>>) -> Result<()> {
    if !is_proc(place)? || COVERABLE.iter().any(|path| target == Path::new(path)) {
        return Ok(());
    }
    let said = |why: &str| Error::new(format!("\"{}\" cannot be mounted because it is {why}", target.display()));
    match source {
        Some(source) if target == Path::new("/proc") && is_proc(source)? => Ok(()),
        _ if target == Path::new("/proc") => Err(said("not of type proc")),
        _ => Err(said("inside /proc")),
    }
}

/// Opens /proc of the root that we are in, if it is the kernel's.
pub fn open() -> Result<OwnedFd> {
    let proc = fs::open(c"/proc", O_PATH | O_DIRECTORY, 0)?;
    if is_proc(proc.as_fd())? { Ok(proc) } else { Err(Error::new("/proc is not the kernel's")) }
}

/// Opens a file below /proc/self for writing, in whatever root we are: only if it is the kernel's. A file of an
/// image's that stands in for it would take the write for something else (CVE-2019-16884, CVE-2025-52881).
pub fn open_own(name: &str) -> Result<OwnedFd> {
    let path = format!("/proc/self/{name}");
    let file = fs::open(&crate::sys::cstr(&path)?, O_WRONLY, 0)?;
    if is_proc(file.as_fd())? { Ok(file) } else { Err(Error::new(format!("{path} is not the kernel's"))) }
}

fn is_proc(fd: BorrowedFd<'_>) -> Result<bool> {
    Ok(fs::fstatfs(fd)?.kind == libc::PROC_SUPER_MAGIC)
}

/// Opens a file of the kernel's own, `None` where this kernel has no such file.
fn find(dir: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>> {
    match fs::openat2_if_there(dir, path, O_PATH, RESOLVE_NO_SYMLINKS) {
        Err(error) if error.errno() == Some(libc::EACCES) => Ok(None),
        Err(error) => Err(error.context(format!("cover {path:?}"))),
        found => found,
    }
}
