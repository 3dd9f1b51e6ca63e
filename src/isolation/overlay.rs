//! The container's own view of a tree that it must not change (overlayfs).
//!
//! The *lower* directories are what is shared, the *upper* one takes every write:
//! a file is copied up when it is first changed, and a character device 0:0 in the
//! upper directory marks a lower name as removed. `userxattr` keeps overlay's own
//! notes in user.* attributes, which a user namespace may write (Linux 5.11;
//! Documentation/filesystems/overlayfs.rst).

use super::mounts;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount, process};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY};
use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Component, Path};

/// The directories of one overlay.
pub struct Overlay<'a> {
    /// What is seen through, the topmost first.
    pub lower: &'a [OwnedFd],
    pub upper: OwnedFd,
    /// An empty directory on the upper one's file system, for overlay's own use.
    pub work: OwnedFd,
    /// Never wait for the disk: for what is thrown away with the container anyway (Linux 5.10).
    pub volatile: bool,
}

/// Makes the directories on the way to `path` in the upper directory, where container root owns them. In the
/// lower one they may belong to somebody whom the id map does not have: overlay then could not copy them up, and
/// nothing could be written in them, not even by their entries' owners. What cannot be read there is left out
/// by marking ours as opaque.
pub fn adopt(lower: BorrowedFd<'_>, upper: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let mut way: Vec<(CString, OwnedFd, fs::Stat)> = Vec::new();
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        let name = crate::sys::cstr(name)?;
        let parent = way.last().map_or(lower, |(_, dir, _)| dir.as_fd());
        let Ok(dir) = fs::openat(parent, &name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0) else { break };
        let stat = fs::fstat(dir.as_fd())?;
        way.push((name, dir, stat));
    }
    // Below the last foreign one overlay copies up by itself.
    let is_foreign = |stat: &fs::Stat| stat.uid == NOBODY || stat.gid == NOBODY;
    let needed = way.iter().rposition(|(_, _, stat)| is_foreign(stat)).map_or(0, |last| last + 1);
    let mut upper = fs::openat(upper, c".", O_PATH | O_DIRECTORY, 0)?;
    for (name, dir, stat) in way.into_iter().take(needed) {
        let (made, is_new) = make_like(upper.as_fd(), &name, &stat)?;
        if is_new && stat.uid == NOBODY && fs::openat(dir.as_fd(), c".", O_RDONLY | O_DIRECTORY, 0).is_err() {
            fs::fsetxattr(made.as_fd(), OPAQUE, b"y")?;
        }
        upper = made;
    }
    Ok(())
}

/// Hides what the lower directory has at `path`: nothing is seen in a directory or file there.
pub fn hide(lower: BorrowedFd<'_>, upper: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let open = |dir: BorrowedFd<'_>, name: &CStr| fs::openat(dir, name, O_PATH | O_NOFOLLOW, 0);
    let (mut lower, mut upper) = (open(lower, c".")?, open(upper, c".")?);
    for part in parent.components() {
        let name = crate::sys::cstr(part.as_os_str())?;
        let Ok(below) = open(lower.as_fd(), &name) else { return Ok(()) };
        let stat = fs::fstat(below.as_fd())?;
        if !stat.is_dir() {
            return Ok(());
        }
        (lower, upper) = (below, make_like(upper.as_fd(), &name, &stat)?.0);
    }
    let name = crate::sys::cstr(name)?;
    let Ok(hidden) = open(lower.as_fd(), &name) else { return Ok(()) };
    let stat = fs::fstat(hidden.as_fd())?;
    match stat.kind() {
        libc::S_IFDIR => {
            let (made, _) = make_like(upper.as_fd(), &name, &stat)?;
            fs::fsetxattr(made.as_fd(), OPAQUE, b"y")
        }
        libc::S_IFREG => fs::openat(upper.as_fd(), &name, O_CREAT | O_EXCL | O_WRONLY, 0o444).map(drop),
        _ => Ok(()),
    }
}

/// Makes the directory `name` with the owner and mode of the lower one, as far as the id map has them. Returns it
/// opened, and whether it is new.
fn make_like(upper: BorrowedFd<'_>, name: &CStr, like: &fs::Stat) -> Result<(OwnedFd, bool)> {
    let is_new = fs::mkdirat(upper, name, 0o700).is_ok();
    let made = fs::openat(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)?;
    if is_new {
        let known = |id: u32| if id == NOBODY { UNCHANGED } else { id };
        fs::fchown(made.as_fd(), known(like.uid), known(like.gid))?;
        fs::fchmod(made.as_fd(), like.mode & 0o7777)?;
    }
    Ok((made, is_new))
}

/// Overlay shows nothing of the lower directories in a directory with this attribute.
const OPAQUE: &CStr = c"user.overlay.opaque";

/// How an id without a place in the map is shown (user_namespaces(7), "Unmapped user and group IDs").
const NOBODY: u32 = 65534;

/// What chown(2) takes for "leave it".
const UNCHANGED: u32 = u32::MAX;

impl Overlay<'_> {
    /// Mounts it on `target`. The directories are named by descriptor: their paths may be long, hold
    /// commas and colons, and lie where container root may not go.
    pub fn mount(&self, target: BorrowedFd<'_>) -> Result<()> {
        let mut options = see_through(self.lower);
        if self.volatile {
            options.push_str(",volatile");
        }
        let (upper, work) = (self.upper.as_fd().as_raw_fd(), self.work.as_fd().as_raw_fd());
        let _ = write!(options, ",upperdir={upper},workdir={work}");
        mount_overlay(options, target)
    }
}

/// Mounts directories that lie over each other on `target`, the topmost first, for reading only. There must be
/// more than one of them. The upper directory of a running container may be among them.
pub fn mount_read_only(lower: &[OwnedFd], target: BorrowedFd<'_>) -> Result<()> {
    mount_overlay(see_through(lower), target)
}

/// The options of every overlay of ours.
fn see_through(lower: &[OwnedFd]) -> String {
    let mut options = String::from("userxattr");
    let mut separator = ",lowerdir=";
    for dir in lower {
        let _ = write!(options, "{separator}{}", dir.as_raw_fd());
        separator = ":";
    }
    options
}

/// From the directory of descriptors a number is name enough, so that as many layers as overlay takes (500)
/// fit into the one page that mount(2) has for options. Afterwards this process is in `/`: it may not be able to
/// come back to where it was, for that may be a directory of the caller's that container root cannot enter.
fn mount_overlay(options: String, target: BorrowedFd<'_>) -> Result<()> {
    let options = crate::sys::cstr(options)?;
    process::chdir(c"/proc/self/fd")?;
    let mounted = mount::mount(c"overlay", &mounts::on(target), c"overlay", 0, &options);
    process::chdir(c"/")?;
    mounted
}
