//! Calls about users: who the caller is, and who it becomes.

use super::caller::{Caller, Step};
use super::credentials::{Credentials, Ids, MOST_GROUPS, Table};
use crate::sys::notify::Answer;

/// Which of root's powers the container has.
#[derive(Clone, Copy, Debug)]
pub struct Powers {
    pub chown: bool,
    pub setuid: bool,
    pub setgid: bool,
    pub mknod: bool,
}

/// Answers with ids, or the whole of them at the addresses that the arguments are.
pub fn get(caller: &Caller<'_>, table: &Table) -> Step<Answer> {
    let who = table.get(caller.number(table));
    let id = match caller.call.number {
        libc::SYS_getuid => who.user.real,
        libc::SYS_geteuid => who.user.effective,
        libc::SYS_getgid => who.group.real,
        libc::SYS_getegid => who.group.effective,
        libc::SYS_getresuid => return get_each(caller, who.user),
        libc::SYS_getresgid => return get_each(caller, who.group),
        _ => return get_groups(caller, &who.groups),
    };
    Ok(Answer::Value(id.into()))
}

fn get_each(caller: &Caller<'_>, ids: Ids) -> Step<Answer> {
    for (argument, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
        caller.write(caller.address(argument), &id.to_ne_bytes())?;
    }
    Ok(Answer::Value(0))
}

fn get_groups(caller: &Caller<'_>, groups: &[u32]) -> Step<Answer> {
    let room = caller.int(0);
    if room < 0 || (room > 0 && (room as usize) < groups.len()) {
        return Err(Answer::Errno(libc::EINVAL));
    }
    if room > 0 && !groups.is_empty() {
        let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
        caller.write(caller.address(1), &bytes)?;
    }
    Ok(Answer::Value(groups.len() as i64))
}

/// Gives the caller other credentials, if it may have them.
pub fn set(caller: &Caller<'_>, table: &mut Table, powers: Powers) -> Step<Answer> {
    let before = table.get(caller.number(table));
    let (setuid, setgid) = (before.is_root() && powers.setuid, before.is_root() && powers.setgid);
    let (first, second, third) = (caller.word(0), caller.word(1), caller.word(2));
    let mut after = Credentials::clone(&before);
    let mut value = 0;
    let done = match caller.call.number {
        libc::SYS_setuid => before.user.set(first, setuid).map(|ids| after.set_user(ids)),
        libc::SYS_setgid => before.group.set(first, setgid).map(|ids| after.group = ids),
        libc::SYS_setreuid => before.user.set_real_effective(first, second, setuid).map(|ids| after.set_user(ids)),
        libc::SYS_setregid => before.group.set_real_effective(first, second, setgid).map(|ids| after.group = ids),
        libc::SYS_setresuid => before.user.set_each([first, second, third], setuid).map(|ids| after.set_user(ids)),
        libc::SYS_setresgid => before.group.set_each([first, second, third], setgid).map(|ids| after.group = ids),
        libc::SYS_setfsuid => {
            value = before.user.file.into();
            after.set_file_user(before.user.set_file(first, setuid));
            Ok(())
        }
        libc::SYS_setfsgid => {
            value = before.group.file.into();
            after.group = before.group.set_file(first, setgid);
            Ok(())
        }
        _ => new_groups(caller, setgid).map(|groups| after.groups = groups),
    };
    done.map_err(Answer::Errno)?;
    if after != *before {
        let number = table.number(after).ok_or(Answer::Errno(libc::EAGAIN))?;
        caller.set_number(number)?;
    }
    Ok(Answer::Value(value))
}

/// The argument of setgroups(2).
fn new_groups(caller: &Caller<'_>, privileged: bool) -> std::result::Result<Vec<u32>, i32> {
    if !privileged {
        return Err(libc::EPERM);
    }
    let count = caller.word(0) as usize;
    if count > MOST_GROUPS {
        return Err(libc::EINVAL);
    }
    let mut bytes = vec![0; count * 4];
    if count > 0 {
        caller.read(caller.address(1), &mut bytes).map_err(|_| libc::EFAULT)?;
    }
    let number = |word: &[u8]| u32::from_ne_bytes(word.try_into().unwrap_or_default());
    let mut groups: Vec<u32> = bytes.chunks_exact(4).map(number).collect();
    if groups.contains(&super::credentials::UNCHANGED) {
        return Err(libc::EINVAL);
    }
    groups.sort_unstable();
    Ok(groups)
}
