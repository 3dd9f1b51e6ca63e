//! Mount points: where a mount may go in a tree that somebody else has made.
//!
//! An image may hold `/etc/resolv.conf -> /../../etc/shadow`, and a path that is
//! checked first and mounted on later can be exchanged in between. So a place is
//! opened once, with the container's root as `/` for every `..` and every link on
//! the way (openat2(2), RESOLVE_IN_ROOT), and the mount then goes onto that
//! descriptor; no path is looked up again.

use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY, RESOLVE_NO_SYMLINKS};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What lies at a mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
}

/// More links than this on one way is a loop (as in the kernel, path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// How a path is looked up in a root that is not ours.
const IN_ROOT: u64 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;

/// Opens the place `path` inside `root`, making what is missing of it: directories with mode 0755, and
/// the last part as `kind` says. Links are followed inside `root` only, dangling ones to where they point.
pub fn mount_point(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd> {
    find_or_make(root, path, kind, MOST_LINKS)
        .map_err(|error| error.context(format_args!("mount point {} in the container", path.display())))
}

fn find_or_make(root: BorrowedFd<'_>, path: &Path, kind: Kind, links: u32) -> Result<OwnedFd> {
    if let Some(found) = find_inside(root, path)? {
        return Ok(found);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::call(format_args!("open {}", path.display()), libc::ENOENT));
    };
    let dir = find_or_make(root, parent, Kind::Directory, links)?;
    // Nothing is made in /proc. What was missing there may have come since, as /proc/self/fd/4 does with `dir`, and
    // then would be taken for a link like any other.
    if fs::fstatfs(dir.as_fd())?.kind == libc::PROC_SUPER_MAGIC {
        return Err(Error::call(format_args!("open {}", path.display()), libc::ENOENT));
    }
    let name = crate::sys::cstr(name)?;
    let made = match kind {
        Kind::Directory => fs::mkdirat(dir.as_fd(), &name, 0o755),
        Kind::File => fs::openat(dir.as_fd(), &name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o644).map(drop),
    };
    match made {
        Ok(()) => fs::openat(dir.as_fd(), &name, O_PATH | O_NOFOLLOW, 0),
        // It is there and yet was not found: a link to something that is missing.
        Err(error) if error.errno() == Some(libc::EEXIST) && links > 0 => {
            let target = fs::readlinkat(dir.as_fd(), &name)?;
            find_or_make(root, &parent.join(OsStr::from_bytes(&target)), kind, links - 1)
        }
        Err(error) => Err(error),
    }
}

/// [`open_inside`] of what may be missing.
pub fn find_inside(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>> {
    fs::openat2_if_there(root, inner(path)?.as_c_str(), O_PATH, IN_ROOT)
}

/// Opens `path` with `root` as its `/`, as a place to mount on or look at.
pub fn open_inside(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    fs::openat2(root, inner(path)?.as_c_str(), O_PATH, 0, IN_ROOT)
}

/// Opens (or makes) the directory `name` right below `root`. A link is refused: /proc, /sys and /dev of an
/// image that point elsewhere would put the kernel's files where the image likes (CVE-2019-19921).
pub fn plain_directory(root: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let open = || fs::openat2(root, name, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_SYMLINKS);
    match open() {
        Err(error) if error.errno() == Some(libc::ENOENT) => {
            fs::mkdirat(root, name, 0o755)?;
            open()
        }
        Err(error) if [Some(libc::ELOOP), Some(libc::ENOTDIR)].contains(&error.errno()) => {
            let name = name.to_string_lossy();
            Err(Error::new(format_args!("/{name} of the image is not a directory"))
                .hint("such an image tries to put the kernel's files elsewhere"))
        }
        other => other,
    }
}

fn inner(path: &Path) -> Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    crate::sys::cstr(OsStr::from_bytes(if bytes.is_empty() { b"." } else { bytes }))
}

/// The open file or directory as a path for mount(2): the kernel goes straight to it.
pub fn on(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}

/// A detached copy of what `source` is open on, ready to be attached in the container: with everything mounted
/// below it, as Docker's -v gives it, and without device nodes, which a stranger could open there as root.
pub fn bind_source(source: BorrowedFd<'_>, read_only: bool) -> Result<OwnedFd> {
    clone_tree(source, true, MOUNT_ATTR_NODEV | if read_only { MOUNT_ATTR_RDONLY } else { 0 }, None)
}

/// A detached copy of the mount at `source`, and of those below it if `recursive`, with these attributes; its files'
/// owners are seen through the map of `userns`.
pub fn clone_tree(
    source: BorrowedFd<'_>,
    recursive: bool,
    attributes: u64,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let copy = mount::open_tree(source, c"", recursive)?;
    mount::mount_setattr(copy.as_fd(), recursive, attributes, userns)?;
    Ok(copy)
}

/// A file system of the kernel's that a container has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Its own options, separated by commas.
    pub options: String,
    /// Those of the mount, `MOUNT_ATTR_…`.
    pub attributes: u64,
}

impl Fresh {
    pub fn make(&self, fstype: &CStr) -> Result<OwnedFd> {
        fresh(fstype, &self.options, self.attributes)
    }
}

/// A new file system as a detached mount: `options` are its own (`size=64m,mode=755`), `attributes` the mount's.
pub fn fresh(fstype: &CStr, options: &str, attributes: u64) -> Result<OwnedFd> {
    let said = |error: Error| error.context(format_args!("file system {}", fstype.to_string_lossy()));
    make_fresh(fstype, options, attributes).map_err(said)
}

fn make_fresh(fstype: &CStr, options: &str, attributes: u64) -> Result<OwnedFd> {
    let context = mount::fsopen(fstype)?;
    // What stands first in `mount`'s list: programs look there for "proc".
    mount::fsconfig_set(context.as_fd(), c"source", fstype)?;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => {
                mount::fsconfig_set(context.as_fd(), &crate::sys::cstr(key)?, &crate::sys::cstr(value)?)?;
            }
            None => mount::fsconfig_set_flag(context.as_fd(), &crate::sys::cstr(option)?)?,
        }
    }
    mount::fsmount(context.as_fd(), attributes)
}

/// Attaches the detached `tree` on `place`: a directory on a directory, anything else on anything else.
pub fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<()> {
    mount::move_mount(tree, place).map_err(|error| {
        let kinds = fs::fstat(tree).and_then(|tree| Ok((tree, fs::fstat(place)?)));
        match kinds {
            Ok((tree, place)) if tree.is_dir() != place.is_dir() => {
                Error::new(format_args!("{} cannot be mounted on {}", kind_of(&tree), kind_of(&place))).hint(
                    "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host \
                     path exists and is the expected type",
                )
            }
            _ => error,
        }
    })
}

/// The kind of a file, as a message names it.
pub fn kind_of(stat: &fs::Stat) -> &'static str {
    match stat.kind() {
        libc::S_IFDIR => "a directory",
        libc::S_IFREG => "a file",
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFSOCK => "a socket",
        libc::S_IFIFO => "a named pipe",
        _ => "a device",
    }
}

/// Attaches `tree` on the directory `name` right below `root`, and looks whether it is there: whoever writes in the
/// same root (`--rootfs DIR:rw`, twice) may have moved the directory away in between, and put another there.
pub fn attach_below(root: BorrowedFd<'_>, name: &CStr, tree: BorrowedFd<'_>) -> Result<()> {
    mount::move_mount(tree, plain_directory(root, name)?.as_fd())?;
    let (ours, there) = (fs::fstat(tree)?, fs::fstat(plain_directory(root, name)?.as_fd())?);
    if (ours.dev, ours.ino) == (there.dev, there.ino) {
        return Ok(());
    }
    Err(Error::new(format_args!("somebody exchanged /{} while it was mounted", name.to_string_lossy())))
}
