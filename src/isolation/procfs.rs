//! /proc and /sys: windows into the kernel, some of which are shut.
//!
//! A fresh proc shows the processes of the PID namespace that mounts it (proc(5)),
//! and sysfs the devices of the network namespace (sysfs(5)). But neither is
//! wholly namespaced: the files listed here speak of the whole machine, so they
//! are covered or made read-only, as Docker does it.

use super::mounts::{self, Fresh};
use super::sysctl::Setting;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_PATH, O_WRONLY, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const QUIET: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Secrets of the host, or clocks to spy on its other work by (moby, daemon/pkg/oci/defaults.go).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Switches of the host.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What of a container's files nobody inside may see or change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shut {
    /// Covered.
    pub masked: Vec<PathBuf>,
    pub read_only: Vec<PathBuf>,
}

impl Shut {
    /// What Docker shuts. How warm each CPU gets tells what the host computes, too.
    pub fn docker() -> Shut {
        let mut masked: Vec<PathBuf> = MASKED.iter().map(PathBuf::from).collect();
        // All CPUs have it or none has it.
        if fs::exists(Path::new(CPUS).join("cpu0/thermal_throttle")) {
            let name = |entry: fs::DirEntry| Path::new(CPUS).join(OsStr::from_bytes(entry.name.to_bytes()));
            let cpus = fs::entries(CPUS).unwrap_or_default().into_iter().map(name);
            let throttles = cpus.map(|cpu| cpu.join("thermal_throttle"));
            masked.extend(throttles.filter(|path| fs::stat(path).is_ok_and(|stat| stat.is_dir())));
        }
        Shut { masked, read_only: READ_ONLY.iter().map(PathBuf::from).collect() }
    }

    /// The paths of `list` that are below `top` and not `late`, as they are called there.
    fn below(list: &[PathBuf], top: &str, late: &[&Path]) -> Result<Vec<CString>> {
        let here =
            list.iter().filter(|path| !late.contains(&path.as_path())).filter_map(|path| path.strip_prefix(top).ok());
        here.filter(|path| !path.as_os_str().is_empty()).map(crate::sys::cstr).collect()
    }
}

const CPUS: &str = "/sys/devices/system/cpu";

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
    /// `empty`: what another one has covered directories with, if it has.
    pub fn new(null: BorrowedFd<'_>, empty: Option<OwnedFd>) -> Cover<'_> {
        Cover { null, empty }
    }

    pub fn into_empty(self) -> Option<OwnedFd> {
        self.empty
    }

    /// Covers what lies at `path` below `dir`, if this kernel has it.
    fn hide(&mut self, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
        find(dir, path)?.map_or(Ok(()), |place| self.cover(place.as_fd()))
    }

    fn cover(&mut self, place: BorrowedFd<'_>) -> Result<()> {
        if !fs::fstat(place)?.is_dir() {
            return mount::move_mount(mount::open_tree(self.null, c"", false)?.as_fd(), place);
        }
        let tree = match &self.empty {
            Some(empty) => mount::open_tree(empty.as_fd(), c"", false)?,
            None => mounts::fresh(c"tmpfs", "size=0,mode=555", QUIET | MOUNT_ATTR_RDONLY)?,
        };
        mount::move_mount(tree.as_fd(), place)?;
        self.empty.get_or_insert(tree);
        Ok(())
    }
}

/// What to cover with, what to shut, and which of it only when everything is mounted.
pub type Shutting<'a, 'b> = (&'a mut Cover<'b>, &'a Shut, &'a [&'a Path]);

/// Mounts /proc of this PID namespace inside `root`, sets the switches of the container's own namespaces, and shuts
/// what of `shut` is in it and not `late`. All goes by the new mount's descriptor, wherever somebody may move it to.
pub fn mount_proc(
    root: BorrowedFd<'_>,
    wanted: &Fresh,
    settings: &[Setting],
    shutting: Shutting<'_, '_>,
) -> Result<()> {
    let proc = wanted.make(c"proc").map_err(covered)?;
    mounts::attach_below(root, c"proc", proc.as_fd())?;
    settings.iter().try_for_each(|setting| setting.write(proc.as_fd()))?;
    shut_below(proc.as_fd(), "/proc", shutting)
}

/// Shuts what is in `dir`, which is mounted on `top`, and not late.
fn shut_below(dir: BorrowedFd<'_>, top: &str, (cover, shut, late): Shutting<'_, '_>) -> Result<()> {
    for name in Shut::below(&shut.read_only, top, late)? {
        // Bound on itself, then the new mount alone is made read-only.
        let Some(place) = find(dir, &name)? else { continue };
        let copy = mounts::clone_tree(place.as_fd(), false, MOUNT_ATTR_RDONLY, None)?;
        mount::move_mount(copy.as_fd(), place.as_fd())?;
    }
    Shut::below(&shut.masked, top, late)?.iter().try_for_each(|name| cover.hide(dir, name))
}

/// A proc of this PID namespace, as it comes.
pub fn fresh() -> Result<OwnedFd> {
    Fresh { options: String::new(), attributes: QUIET }.make(c"proc").map_err(covered)
}

fn covered(error: Error) -> Error {
    let hint = "a fresh /proc is refused where parts of the host's are covered, as inside another container";
    if error.errno() == Some(libc::EPERM) { error.hint(hint) } else { error }
}

/// Mounts /sys inside `root`: our own network namespace's as `wanted`, if it is ours, else the host's, read-only.
/// Where the kernel refuses both, an empty directory stands in.
pub fn mount_sys(root: BorrowedFd<'_>, wanted: &Fresh, own_network: bool, shutting: Shutting<'_, '_>) -> Result<()> {
    let made = if own_network {
        wanted.make(c"sysfs")
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
    shut_below(sys.as_fd(), "/sys", shutting)
}

/// Shuts `late`, when everything is mounted: by path, with `root` as `/`.
pub fn shut_late(root: BorrowedFd<'_>, (cover, shut, late): Shutting<'_, '_>) -> Result<()> {
    for path in late {
        let Some(place) = mounts::find_inside(root, path)? else { continue };
        if shut.read_only.iter().any(|other| other == path) {
            let copy = mount::open_tree(place.as_fd(), c"", true)?;
            mount::mount_setattr(copy.as_fd(), false, MOUNT_ATTR_RDONLY, None)?;
            mount::move_mount(copy.as_fd(), place.as_fd())?;
        }
        if shut.masked.iter().any(|other| other == path) {
            // What has just been mounted on it, if anything.
            let place = mounts::open_inside(root, path)?;
            cover.cover(place.as_fd())?;
        }
    }
    Ok(())
}

/// Refuses a mount of the user's that would cover what the container's programs and we believe of the kernel
/// (CVE-2019-19921). `place` is what `target` has led to: a link or a neighbour may lead any target into /proc.
pub fn check_target(place: BorrowedFd<'_>, target: &Path, source: Option<BorrowedFd<'_>>) -> Result<()> {
    if !is_proc(place)? || COVERABLE.iter().any(|path| target == Path::new(path)) {
        return Ok(());
    }
    let said = |why: &str| Error::new(format_args!("\"{}\" cannot be mounted because it is {why}", target.display()));
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
    if is_proc(file.as_fd())? { Ok(file) } else { Err(Error::new(format_args!("{path} is not the kernel's"))) }
}

fn is_proc(fd: BorrowedFd<'_>) -> Result<bool> {
    Ok(fs::fstatfs(fd)?.kind == libc::PROC_SUPER_MAGIC)
}

/// Opens a file of the kernel's own, `None` where this kernel has no such file.
fn find(dir: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>> {
    match fs::openat2_if_there(dir, path, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) {
        Err(error) if error.errno() == Some(libc::EACCES) => Ok(None),
        Err(error) => Err(error.context(format_args!("cover {path:?}"))),
        found => found,
    }
}
