//! Calls about files that are there: whose they are, and who gets them.

use super::caller::{Caller, FileArgument, Step, number_of};
use super::credentials::{Credentials, Table};
use super::ids::UNCHANGED;
use super::owners::{Identity, Owner, Owners};
use super::powers::CHOWN;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{self, STATX_BASIC_STATS, STATX_BTIME, Statx};
use crate::sys::notify::Answer;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use std::os::fd::AsFd;

/// How a call wants to be told.
#[derive(Clone, Copy)]
pub enum Form {
    Stat,
    /// With this mask.
    Statx(u32),
}

/// stat(2) and statx(2). Most files are their real owner's: the kernel tells of those by itself.
pub fn stat(caller: &Caller<'_>, table: &Table, owners: &mut Owners) -> Step<Answer> {
    if owners.is_empty() && table.has_one() {
        return Ok(Answer::Continue);
    }
    let (word, address) = (|at| caller.int(at), |at| caller.address(at));
    let (place, flags, form, target) = match caller.call.number {
        libc::SYS_fstat => (Ok(FileArgument::Descriptor(word(0))), 0, Form::Stat, address(1)),
        libc::SYS_newfstatat => (caller.file_argument(word(0), address(1), word(3)), word(3), Form::Stat, address(2)),
        libc::SYS_statx => {
            (caller.file_argument(word(0), address(1), word(2)), word(2), Form::Statx(caller.word(3)), address(4))
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lstat => (
            caller.file_argument(AT_FDCWD, address(0), AT_SYMLINK_NOFOLLOW),
            AT_SYMLINK_NOFOLLOW,
            Form::Stat,
            address(1),
        ),
        _ => (caller.file_argument(AT_FDCWD, address(0), 0), 0, Form::Stat, address(1)),
    };
    // What cannot be told is the kernel's to say, too.
    let mask = if let Form::Statx(mask) = form { mask } else { 0 };
    let Ok(place) = place else { return Ok(Answer::Continue) };
    let Ok(mut file) = caller.look(&place, flags, mask) else { return Ok(Answer::Continue) };
    let owner = match owners.get(&Identity::of(&file)) {
        None if file.device() == caller.proc_device => owner_in_proc(caller, table, &place, flags),
        owner => owner,
    };
    let Some(owner) = owner else { return Ok(Answer::Continue) };
    file.set_owner((owner.uid, owner.gid));
    if let Some((kind, major, minor)) = owner.device {
        file.set_device(kind, (major, minor));
    }
    match form {
        Form::Stat => caller.write(target, &file.to_stat())?,
        Form::Statx(_) => caller.write(target, file.as_bytes())?,
    }
    Ok(Answer::Value(0))
}

/// The files in /proc that are about a process are its user's, as `ps` and others read it there.
fn owner_in_proc(caller: &Caller<'_>, table: &Table, file: &FileArgument, flags: i32) -> Option<Owner> {
    let number = number_of(caller.process_at(file, flags & AT_SYMLINK_NOFOLLOW != 0)?);
    let who = table.get(number);
    Some(Owner { uid: who.user.effective, gid: who.group.effective, device: None }).filter(|_| number != 0)
}

/// chown(2) and its kin.
pub fn chown(caller: &Caller<'_>, who: &Credentials, owners: &mut Owners) -> Step<Answer> {
    let flags = match caller.call.number {
        libc::SYS_fchownat => caller.int(4),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => AT_SYMLINK_NOFOLLOW,
        _ => 0,
    };
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Answer::Errno(libc::EINVAL));
    }
    let (place, uid, gid) = match caller.call.number {
        libc::SYS_fchown => (FileArgument::Descriptor(caller.int(0)), caller.word(1), caller.word(2)),
        libc::SYS_fchownat => {
            (caller.file_argument(caller.int(0), caller.address(1), flags)?, caller.word(2), caller.word(3))
        }
        _ => (caller.file_argument(AT_FDCWD, caller.address(0), flags)?, caller.word(1), caller.word(2)),
    };
    let file = caller.open(&place, flags & AT_SYMLINK_NOFOLLOW != 0, 0)?;
    let told_before = told(&file)?;
    let before = owner_of(&told_before, owners);
    let mode = told_before.mode();
    // With the bits that it takes away on this occasion it is a change of mode, too, which is the owner's.
    let changes_mode = mode & libc::S_IFMT != libc::S_IFDIR && mode & (libc::S_ISUID | libc::S_ISGID) != 0;
    let as_root = who.powers.can(CHOWN);
    let as_user = who.may_chown((before.uid, before.gid), uid, gid) && (who.user.file == before.uid || !changes_mode);
    if !as_root && !as_user {
        return Err(Answer::Errno(libc::EPERM));
    }
    if !caller.listener.is_valid(caller.call.id) {
        return Err(Answer::Errno(libc::ESRCH));
    }
    // The real thing for the only id that there is: with all that it does besides, such as taking set-user-id bits
    // away, and refusing where a file system is read-only. It also makes overlayfs copy the file up, whose identity
    // changes by that.
    let real = |id| if id == UNCHANGED { UNCHANGED } else { 0 };
    fs::fchownat(file.as_fd(), c"", real(uid), real(gid), AT_EMPTY_PATH)?;
    let chosen = |new, old| if new == UNCHANGED { old } else { new };
    let after = Owner { uid: chosen(uid, before.uid), gid: chosen(gid, before.gid), ..before };
    record(&told(&file)?, after, owners);
    Ok(Answer::Value(0))
}

/// What the kernel tells of an open file.
pub fn told(file: &OwnedFd) -> Step<Statx> {
    Ok(fs::statx(Some(file.as_fd()), c"", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME)?)
}

/// Whose a file is by our account.
pub fn owner_of(file: &Statx, owners: &mut Owners) -> Owner {
    let (uid, gid) = file.owner();
    owners.get(&Identity::of(file)).unwrap_or(Owner { uid, gid, device: None })
}

/// Keeps the owner of a file, if it is not the real one.
pub fn record(file: &Statx, owner: Owner, owners: &mut Owners) {
    let differs = file.owner() != (owner.uid, owner.gid) || owner.device.is_some();
    owners.set(&Identity::of(file), differs.then_some(owner));
}
