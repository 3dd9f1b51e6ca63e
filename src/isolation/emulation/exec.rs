//! execve(2): set-user-id programs, as `su` is one.

use super::caller::{Caller, Step};
use super::credentials::{Credentials, Table};
use super::files::{owner_of, told};
use super::owners::Owners;
use super::people::become_another;
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::notify::Answer;
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP};
use std::os::fd::AsFd;

/// The program is run by the kernel; only who it runs as is ours to say. It is said before, as nobody is asked
/// afterwards: so not unless the kernel will surely run it.
pub fn execve(caller: &Caller<'_>, table: &mut Table, owners: &mut Owners) -> Step<Answer> {
    if table.has_one() && owners.is_empty() {
        return Ok(Answer::Continue);
    }
    let (dir, path, flags) = match caller.call.number {
        libc::SYS_execveat => (caller.int(0), caller.address(1), caller.int(4)),
        _ => (AT_FDCWD, caller.address(0), 0),
    };
    let before = table.get(caller.number(table));
    let place = caller.file_argument(dir, path, flags)?;
    // What goes wrong is the kernel's to tell.
    let file = caller.open(&place, flags & AT_SYMLINK_NOFOLLOW != 0, 0).map_err(|_| Answer::Continue)?;
    let (mut uid, mut gid) = (before.user.effective, before.group.effective);
    let told = told(&file)?;
    let mode = told.mode();
    if mode & S_IFMT == S_IFREG && mode & (S_ISUID | S_ISGID) != 0 && is_honoured(caller, &file) {
        let owner = owner_of(&told, owners);
        if mode & S_ISUID != 0 {
            uid = owner.uid;
        }
        if mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            gid = owner.gid;
        }
    }
    become_another(caller, table, &before, Credentials::clone(&before).after_exec(uid, gid))?;
    Ok(Answer::Continue)
}

/// Whether the bits count: for a program, not a script, that is on no mount that forbids them, in a process that
/// has not given them up.
fn is_honoured(caller: &Caller<'_>, file: &OwnedFd) -> bool {
    let starts_as_program = || {
        let path = crate::sys::cstr(format!("self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))).ok()?;
        let opened = fs::openat(caller.proc.as_fd(), &path, O_RDONLY | O_NONBLOCK, 0).ok()?;
        let mut magic = [0; 4];
        fs::read(opened.as_fd(), &mut magic).ok()?;
        Some(&magic == b"\x7fELF")
    };
    let counts_here = || fs::mount_flags(file.as_fd()).is_ok_and(|flags| flags & libc::ST_NOSUID == 0);
    !caller.has_no_new_privs() && counts_here() && starts_as_program() == Some(true)
}
