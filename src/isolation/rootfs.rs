//! The root file system: pivot_root(2), and why not chroot(2).
//!
//! chroot only moves the name `/`: the old root stays mounted, and whoever holds a
//! descriptor of a directory outside, or may call chroot again, walks out by `..`.
//! pivot_root swaps the mount itself; once the old one is detached there is
//! nothing outside left to walk to.

use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MNT_DETACH, MOUNT_ATTR_NODEV, MS_PRIVATE, MS_REC};
use crate::sys::{cred, fs, mount, process};
use std::os::fd::AsFd;
use std::path::Path;

/// Opens a directory to be mounted or entered, without reading it.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    let path = crate::sys::cstr(path)?;
    fs::open(&path, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
}

/// Becomes uid and gid 0 of the user namespace, with no other group unless they are to be kept.
/// In a single-id map setgroups(2) is denied, and they must be.
pub fn become_root(keep_groups: bool) -> Result<()> {
    if !keep_groups {
        cred::setgroups(&[])?;
    }
    cred::setresgid(0)?;
    cred::setresuid(0)?;
    fs::umask(0o022);
    Ok(())
}

/// Cuts this mount namespace off from the host's: no mount made here shows there, none made there shows here.
/// It comes before the first mount, for every mount that was shared would still pass on what happens to it.
pub fn make_private() -> Result<()> {
    mount::mount(c"none", c"/", c"", MS_REC | MS_PRIVATE, c"")
}

/// Makes `dir` the root of this mount namespace and drops everything else from it. Devices there cannot be opened.
pub fn pivot_into(dir: &OwnedFd) -> Result<()> {
    make_private()?;
    // pivot_root wants a mount, so the directory is mounted on itself.
    let copy = mount::open_tree(dir.as_fd(), c"", false)?;
    mount::mount_setattr(copy.as_fd(), false, MOUNT_ATTR_NODEV, None)?;
    mount::move_mount(copy.as_fd(), dir.as_fd())?;
    pivot_to(&copy)
}

/// Makes the attached mount `root` the root of this mount namespace.
pub fn pivot_to(root: &OwnedFd) -> Result<()> {
    process::fchdir(root.as_fd())?;
    // With "." twice the old root ends up on top of the new one (pivot_root(2), NOTES), so that no
    // directory has to be made for it …
    mount::pivot_root(c".", c".")?;
    // … and detaching what now lies at "." takes the host's whole tree away.
    mount::umount2(c".", MNT_DETACH)?;
    process::chdir(c"/")
}
