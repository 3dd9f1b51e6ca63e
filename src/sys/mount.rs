//! Mounts: mount(2), umount2(2), pivot_root(2), and those by descriptor: fsopen(2), fsconfig(2), fsmount(2),
//! open_tree(2), move_mount(2), mount_setattr(2).

use super::returned;
use super::shown::{Detached, Fd, MountAttributes, MountFlags, MountTarget, UmountFlags};
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

pub use libc::{
    MNT_DETACH, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MS_PRIVATE, MS_REC,
};

const OPEN_TREE_CLONE: i32 = 1;

/// mount(2). `data` is what the file system itself understands.
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: libc::c_ulong, data: &CStr) -> Result<()> {
    // SAFETY: all four strings end with NUL and are only read.
    let ret = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr().cast()) };
    returned(
        ret.into(),
        format_args!("mount({source:?}, {}, {fstype:?}, {}, {data:?})", MountTarget(target), MountFlags(flags)),
    )
    .map(drop)
}

/// umount2(2).
pub fn umount2(target: &CStr, flags: i32) -> Result<()> {
    // SAFETY: the string ends with NUL and is only read.
    let ret = unsafe { libc::umount2(target.as_ptr(), flags) };
    returned(ret.into(), format_args!("umount2({target:?}, {})", UmountFlags(flags))).map(drop)
}

/// pivot_root(2): `new_root` becomes `/`, the old root appears at `put_old`.
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<()> {
    // SAFETY: both strings end with NUL and are only read.
    let ret = unsafe { libc::syscall(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) };
    returned(ret, format_args!("pivot_root({new_root:?}, {put_old:?})")).map(drop)
}

/// fsopen(2) (Linux 5.2): a file system of this type, to be configured.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    const FSOPEN_CLOEXEC: i32 = 1;
    // SAFETY: the string ends with NUL and is only read.
    let ret = unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) };
    let fd = returned(ret, format_args!("fsopen({fstype:?}, FSOPEN_CLOEXEC)"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// fsconfig(2) FSCONFIG_SET_STRING: one option that the file system itself understands.
pub fn fsconfig_set(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    const SET_STRING: u32 = 1;
    let fd = context.as_raw_fd();
    // SAFETY: both strings end with NUL and are only read.
    let ret = unsafe { libc::syscall(libc::SYS_fsconfig, fd, SET_STRING, key.as_ptr(), value.as_ptr(), 0) };
    returned(ret, format_args!("fsconfig({}, FSCONFIG_SET_STRING, {key:?}, {value:?}, 0)", Detached(fd, "context")))
        .map(drop)
}

/// fsconfig(2) FSCONFIG_SET_FLAG: an option without a value.
pub fn fsconfig_set_flag(context: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    const SET_FLAG: u32 = 0;
    let (fd, none) = (context.as_raw_fd(), std::ptr::null::<libc::c_char>());
    // SAFETY: the string ends with NUL and is only read; a flag has no value.
    let ret = unsafe { libc::syscall(libc::SYS_fsconfig, fd, SET_FLAG, key.as_ptr(), none, 0) };
    returned(ret, format_args!("fsconfig({}, FSCONFIG_SET_FLAG, {key:?}, NULL, 0)", Detached(fd, "context"))).map(drop)
}

/// fsconfig(2) FSCONFIG_CMD_CREATE, then fsmount(2): the file system as a detached mount with these attributes.
pub fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    const CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    let (fd, none) = (context.as_raw_fd(), std::ptr::null::<libc::c_char>());
    // SAFETY: this command takes neither key nor value.
    let ret = unsafe { libc::syscall(libc::SYS_fsconfig, fd, CREATE, none, none, 0) };
    returned(ret, format_args!("fsconfig({}, FSCONFIG_CMD_CREATE, NULL, NULL, 0)", Detached(fd, "context")))?;
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes) };
    let mount = returned(
        ret,
        format_args!("fsmount({}, FSMOUNT_CLOEXEC, {})", Detached(fd, "context"), MountAttributes(attributes)),
    )?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(mount as i32) })
}

/// open_tree(2) with OPEN_TREE_CLONE (Linux 5.2): a detached copy of the mount at `path` below
/// `dir`, with all mounts below it if `recursive`.
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path ends with NUL and is only read.
    let ret = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) };
    let fd = returned(ret, format_args!("open_tree({}, {path:?}, {})", Fd(dir.as_raw_fd()), TreeFlags(recursive)))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The flags of open_tree(2) that are used here.
struct TreeFlags(bool);

impl Display for TreeFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH")?;
        if self.0 { f.write_str("|AT_RECURSIVE") } else { Ok(()) }
    }
}

/// move_mount(2): attaches the detached `mount` onto the file or directory that `target` is open on.
/// No path is looked up, so that no symbolic link can redirect it.
pub fn move_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    let (from, to) = (mount.as_raw_fd(), target.as_raw_fd());
    let empty = c"".as_ptr();
    // SAFETY: both paths are the empty string: the descriptors themselves are meant.
    let ret = unsafe { libc::syscall(libc::SYS_move_mount, from, empty, to, empty, F_EMPTY_PATH | T_EMPTY_PATH) };
    let flags = "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH";
    returned(ret, format_args!("move_mount({}, \"\", {}, \"\", {flags})", Detached(from, "mount"), Fd(to))).map(drop)
}

/// mount_setattr(2) (Linux 5.12) on the mount that `mount` is open on, and on those below it if `recursive`.
/// They become private: a copy of a mount that the host shares would go on sharing with it.
/// With `idmap`, a user namespace's descriptor, the files' owners are seen through its map.
pub fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, set: u64, idmap: Option<BorrowedFd<'_>>) -> Result<()> {
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let attr = MountAttr {
        attr_set: set | if idmap.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
        attr_clr: 0,
        propagation: MS_PRIVATE,
        userns_fd: idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let fd = mount.as_raw_fd();
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = std::mem::size_of_val(&attr);
    // SAFETY: `attr` has the layout of struct mount_attr and `size` is its own size.
    let ret = unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, &raw const attr, size) };
    let below = if recursive { "|AT_RECURSIVE" } else { "" };
    let set = MountAttributes(attr.attr_set);
    let userns = Detached(attr.userns_fd as RawFd, "userns");
    let attr = format_args!("{{attr_set={set}, attr_clr=0, propagation=MS_PRIVATE, userns_fd={userns}}}");
    returned(ret, format_args!("mount_setattr({}, \"\", AT_EMPTY_PATH{below}, {attr}, {size})", Detached(fd, "mount")))
        .map(drop)
}
