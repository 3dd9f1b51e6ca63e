//! /dev: a small file system with the few devices that every program expects.
//!
//! A user namespace cannot make device nodes (mknod(2) answers EPERM), so the
//! host's are bound one by one. Each was opened before the container's root was
//! entered and is checked to be the device that it should be: a node is what its
//! numbers say, not what its name says (null(4), full(4), random(4), tty(4)).

mod more;

use super::mounts::{self, Fresh};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY};
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use more::{Device, MoreDevices, gather, remake};

/// Name on the host, name inside /dev, major and minor number.
const DEVICES: [(&CStr, &CStr, u32, u32); 6] = [
    (c"/dev/null", c"null", 1, 3),
    (c"/dev/zero", c"zero", 1, 5),
    (c"/dev/full", c"full", 1, 7),
    (c"/dev/random", c"random", 1, 8),
    (c"/dev/urandom", c"urandom", 1, 9),
    (c"/dev/tty", c"tty", 5, 0),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"pts/ptmx", c"ptmx"),
];

/// Whether every container has the character device of these numbers at `path`.
pub fn is_everywhere(path: &Path, major: u32, minor: u32) -> bool {
    DEVICES
        .iter()
        .any(|(host, _, a, b)| path == Path::new(OsStr::from_bytes(host.to_bytes())) && (*a, *b) == (major, minor))
}

/// One of [`DEVICES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice(usize);

/// What a device is to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harmless {
    Known(KnownDevice),
    Other,
}

/// The kind of the device that `path` leads to; `None` for what is no device.
pub fn kind_of(path: &Path) -> Option<Harmless> {
    let stat = fs::stat(path).ok().filter(|stat| [libc::S_IFCHR, libc::S_IFBLK].contains(&stat.kind()))?;
    let number = |major, minor| stat.kind() == libc::S_IFCHR && stat.rdev == libc::makedev(major, minor);
    let known = DEVICES.iter().position(|(_, _, major, minor)| number(*major, *minor));
    Some(known.map_or(Harmless::Other, |at| Harmless::Known(KnownDevice(at))))
}

/// Whether `path` is a directory below /dev with devices in it.
pub fn are_in(path: &Path) -> bool {
    let dir = crate::sys::cstr(path).and_then(|path| fs::open(&path, O_PATH | O_DIRECTORY, 0));
    let place = dir.and_then(|dir| fs::path_of(dir.as_fd()));
    place.is_ok_and(|place| Path::new(OsStr::from_bytes(&place)).starts_with("/dev")) && gather(path, path).is_ok()
}

impl KnownDevice {
    /// Its path on the host.
    pub fn path(self) -> &'static Path {
        Path::new(OsStr::from_bytes(DEVICES[self.0].0.to_bytes()))
    }

    /// A detached mount of the host's node, which is checked as those of /dev are.
    pub fn tree(self, read_only: bool) -> Result<OwnedFd> {
        let (path, _, major, minor) = DEVICES[self.0];
        let read_only = if read_only { MOUNT_ATTR_RDONLY } else { 0 };
        mounts::clone_tree(host_node(path, major, minor)?.as_fd(), false, MOUNT_ATTR_NOSUID | read_only, None)
    }
}

/// The host's device nodes, opened (O_PATH) and checked.
pub struct HostDevices(Vec<OwnedFd>);

impl HostDevices {
    /// Takes the nodes from the host's /dev, before the container's root is entered.
    pub fn open() -> Result<HostDevices> {
        let nodes = DEVICES.iter().map(|(path, _, major, minor)| host_node(path, *major, *minor));
        nodes.collect::<Result<_>>().map(HostDevices)
    }

    /// /dev/null, to cover files with.
    pub fn null(&self) -> BorrowedFd<'_> {
        self.0[0].as_fd()
    }
}

fn host_node(path: &CStr, major: u32, minor: u32) -> Result<OwnedFd> {
    let node = fs::open(path, libc::O_PATH, 0)?;
    let stat = fs::fstat(node.as_fd())?;
    if stat.kind() != libc::S_IFCHR || stat.rdev != libc::makedev(major, minor) {
        return Err(Error::new(format_args!(
            "{} of this host is not the device {major}:{minor}",
            path.to_string_lossy()
        )));
    }
    Ok(node)
}

/// The file systems of /dev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// /dev itself, a tmpfs.
    pub top: Fresh,
    /// /dev/pts, a devpts.
    pub pts: Fresh,
    /// /dev/shm, a tmpfs.
    pub shm: Option<Fresh>,
    /// /dev/mqueue.
    pub mqueue: Option<Fresh>,
}

/// Mounts /dev with all that belongs in it inside `root`; gives it opened.
pub fn mount_dev(root: BorrowedFd<'_>, devices: &HostDevices, wanted: &Dev) -> Result<OwnedFd> {
    let dev = wanted.top.make(c"tmpfs")?;
    mounts::attach_below(root, c"dev", dev.as_fd())?;
    for ((_, name, ..), node) in DEVICES.iter().zip(&devices.0) {
        let file = fs::openat(dev.as_fd(), name, O_CREAT | O_EXCL | O_WRONLY, 0o666)?;
        mount::move_mount(mount::open_tree(node.as_fd(), c"", false)?.as_fd(), file.as_fd())?;
    }
    for (target, name) in LINKS {
        fs::symlinkat(target, dev.as_fd(), name)?;
    }
    let below = [(c"pts", c"devpts", Some(&wanted.pts)), (c"shm", c"tmpfs", wanted.shm.as_ref())];
    for (name, fstype, wanted) in below.into_iter().chain([(c"mqueue", c"mqueue", wanted.mqueue.as_ref())]) {
        wanted.map_or(Ok(()), |wanted| mount_below(dev.as_fd(), name, fstype, wanted))?;
    }
    Ok(dev)
}

/// Makes the directory `name` in `dev` and mounts `fstype` on it.
fn mount_below(dev: BorrowedFd<'_>, name: &CStr, fstype: &CStr, wanted: &Fresh) -> Result<()> {
    fs::mkdirat(dev, name, 0o755)?;
    let place = fs::openat(dev, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
    match wanted.make(fstype) {
        // A kernel without POSIX message queues: programs that want them see it themselves.
        Err(error) if error.errno() == Some(libc::ENODEV) && fstype == c"mqueue" => Ok(()),
        made => mount::move_mount(made?.as_fd(), place.as_fd()),
    }
}
