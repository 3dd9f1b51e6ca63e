//! ccrun's own file, and why no container gets hold of it (CVE-2019-5736, statx(2)).
//!
//! A process's /proc/PID/exe is its program's file itself, wherever that lies. A container
//! that gets at the one of a ccrun gets at the host's file, and where that is the caller's
//! own, container root is its owner: it may change the mode, or overwrite it as soon as no
//! process runs on it any more, and the user would start what the image has left there.
//!
//! What runs inside as a clone of ccrun, PID 1 and the command until its execve, cannot be
//! dumped: its /proc files are closed. But an image may say that its command is
//! /proc/self/exe, or a script with that for an interpreter. Then execve(2) starts ccrun
//! anew, as a process like any other, and every program that it is made to start, such as
//! the image's own `curl`, could open its file. So ccrun looks first from where it was
//! started. From inside, its file lies on a mount of the host's, which is not among those
//! of its own mount namespace; there it ends before it does anything. Nobody can be
//! quicker: a container that begins has no other process.
//!
//! Nothing of ours is started by the file's path on the host. Against a container that is
//! given the directory of it (`-v $HOME:/home`) there is no help: what may write there may
//! replace ccrun as any other file.

use crate::error::Result;
use crate::sys::fs::{self, STATX_BASIC_STATS, STATX_MNT_ID, Statx};
use crate::sys::proc::mountinfo;
use std::ffi::CStr;

/// Whether this program was started by its file's place among the mounts of this namespace, as all are but for
/// one that a container reaches through /proc.
pub fn is_at_home() -> bool {
    let Ok(own) = look(c"/proc/self/exe") else { return true };
    let by_name = fs::readlink("/proc/self/exe").ok().and_then(|path| crate::sys::cstr(path).ok());
    if by_name.and_then(|path| look(&path).ok()).is_some_and(|named| named.is_same_place(&own)) {
        return true;
    }
    // Without a name nobody starts it again: a newer ccrun has replaced it, or it is in memory alone.
    fs::stat("/proc/self/exe").is_ok_and(|stat| stat.nlink == 0) || is_mounted_here(&own)
}

fn look(path: &CStr) -> Result<Statx> {
    fs::statx(None, path, 0, STATX_BASIC_STATS | STATX_MNT_ID)
}

fn is_mounted_here(own: &Statx) -> bool {
    let text = fs::read_file("/proc/self/mountinfo").unwrap_or_default();
    mountinfo::mounts(&text).any(|mount| mount.id == own.mount())
}
