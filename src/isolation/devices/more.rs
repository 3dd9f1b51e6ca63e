//! More devices than every container has: `--device`, and what `--privileged` shows.
//!
//! They too are the host's nodes, bound. Who may open one is decided by its owner and
//! mode on the host, and root inside is not root there: what a user may not open himself
//! his container may not either. Root of the host, who may open all, gives the container
//! a node of its own. There is no device cgroup in a user namespace, so a node
//! cannot be given for reading alone; and nobody can make another (mknod(2) answers EPERM).

use crate::error::{Error, Result};
use crate::isolation::mounts::{self, Kind};
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount};
use libc::{AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_PATH, R_OK, S_IFBLK, S_IFCHR, W_OK};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A device of the host's and its place in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub source: PathBuf,
    /// Absolute, inside the container.
    pub target: PathBuf,
}

/// Of a host's /dev, what a container has of its own, or should not have.
const OWN: [&str; 15] = [
    "pts",
    "ptmx",
    "shm",
    "fd",
    "mqueue",
    "console",
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    ".lxc",
    ".lxd-mounts",
    ".udev",
];

/// The device at `source`, or if that is a directory, all in it and below.
pub fn gather(source: &Path, target: &Path) -> Result<Vec<Device>> {
    let wrong = |why: &str| {
        let source = source.display();
        Error::new(format_args!("error gathering device information while adding custom device \"{source}\": {why}"))
    };
    let found = fs::open(&crate::sys::cstr(source)?, O_PATH, 0).and_then(|node| fs::fstat(node.as_fd()));
    let stat = found.map_err(|error| match error.errno() {
        Some(libc::ENOENT) => wrong("no such file or directory").with_status(127),
        Some(libc::EACCES) => wrong("permission denied").with_status(126),
        _ => wrong(&error.to_string()),
    })?;
    let all = match stat.kind() {
        S_IFCHR | S_IFBLK => vec![Device { source: source.to_owned(), target: target.to_owned() }],
        libc::S_IFDIR => below(source, target),
        _ => Vec::new(),
    };
    if all.is_empty() { Err(wrong("not a device node")) } else { Ok(all) }
}

/// The devices below the directory `source`.
fn below(source: &Path, target: &Path) -> Vec<Device> {
    let mut devices = Vec::new();
    let mut directories = VecDeque::from([source.to_owned()]);
    while let Some(directory) = directories.pop_front() {
        for fs::DirEntry { name, kind } in fs::entries(&directory).unwrap_or_default() {
            let name = OsStr::from_bytes(name.to_bytes());
            let path = directory.join(name);
            match kind {
                _ if OWN.iter().any(|own| name == *own) => {}
                libc::DT_DIR => directories.push_back(path),
                libc::DT_CHR | libc::DT_BLK => {
                    let inside = path.strip_prefix(source).unwrap_or(&path);
                    devices.push(Device { target: target.join(inside), source: path });
                }
                _ => {}
            }
        }
    }
    devices
}

/// Makes in `dir` a node for each device, for the container of the host's root. Its owner is the same number inside
/// as the host's is outside, where inside begins at `root`; the directory is `owner`'s, as all of the store.
pub fn remake(devices: &[Device], dir: &Path, owner: (u32, u32), root: (u32, u32)) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let path = dir.join("devices");
    fs::mkdir(&path, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))?;
    let dir = fs::open(&crate::sys::cstr(&path)?, O_PATH | O_DIRECTORY, 0)?;
    fs::fchownat(dir.as_fd(), c".", owner.0, owner.1, 0)?;
    for (at, device) in devices.iter().enumerate() {
        let (name, stat) = (crate::sys::cstr(at.to_string())?, fs::fstat(open(device)?.as_fd())?);
        let inside = |id: u32, root: u32| root + if id < 65536 { id } else { 0 };
        let numbers = (libc::major(stat.rdev), libc::minor(stat.rdev));
        fs::mknodat(dir.as_fd(), &name, stat.mode, numbers)?;
        fs::fchmodat(dir.as_fd(), &name, stat.mode & 0o777)?;
        let (uid, gid) = (inside(stat.uid, root.0), inside(stat.gid, root.1));
        fs::fchownat(dir.as_fd(), &name, uid, gid, AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn open(device: &Device) -> Result<OwnedFd> {
    let node = fs::open(&crate::sys::cstr(&device.source)?, O_PATH, 0)?;
    // It was one a moment ago.
    match fs::fstat(node.as_fd())?.kind() {
        S_IFCHR | S_IFBLK => Ok(node),
        _ => Err(Error::new(format_args!("{} is no device any more", device.source.display()))),
    }
}

/// The nodes, opened (O_PATH) in the mount namespace of the container, each with its place inside.
pub struct MoreDevices(Vec<(PathBuf, OwnedFd)>);

impl MoreDevices {
    /// Opens them as the user who called; those that [`remake`] made in `remade`, if that is given.
    pub fn open(devices: &[Device], remade: Option<&Path>) -> Result<MoreDevices> {
        let one = |(at, device): (usize, &Device)| {
            let node = match remade {
                Some(dir) => fs::open(&crate::sys::cstr(dir.join("devices").join(at.to_string()))?, O_PATH, 0),
                None => open(device),
            };
            Ok((device.target.clone(), node?))
        };
        devices.iter().enumerate().map(one).collect::<Result<_>>().map(MoreDevices)
    }

    /// Those that container root, which we are, can do nothing with.
    pub fn useless(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|(_, node)| !is_of_use(node.as_fd())).map(|(target, _)| target.as_path())
    }

    /// Adds all of the host's /dev that container root, which we are, may open.
    pub fn add_openable(&mut self) {
        let dev = Path::new("/dev");
        let opened = |device: Device| open(&device).ok().map(|node| (device.target, node));
        self.0.extend(below(dev, dev).into_iter().filter_map(opened).filter(|(_, node)| is_of_use(node.as_fd())));
    }

    /// Binds each at its place inside `root`.
    pub fn mount(&self, root: BorrowedFd<'_>) -> Result<()> {
        self.0.iter().try_for_each(|(target, node)| bind(node.as_fd(), root, target))
    }
}

fn is_of_use(node: BorrowedFd<'_>) -> bool {
    [R_OK, W_OK].into_iter().any(|way| fs::faccessat2(node, c"", way, libc::AT_EMPTY_PATH | libc::AT_EACCESS).is_ok())
}

fn bind(node: BorrowedFd<'_>, root: BorrowedFd<'_>, target: &Path) -> Result<()> {
    let said = |error: Error| error.context(format_args!("device {}", target.display()));
    let place = mounts::mount_point(root, target, Kind::File).map_err(said)?;
    let copy = mounts::clone_tree(node, false, mount::MOUNT_ATTR_NOSUID, None)?;
    mounts::attach(copy.as_fd(), place.as_fd()).map_err(said)
}
