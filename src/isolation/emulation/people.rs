//! Calls about users: who the caller is, and who it becomes.

use super::caller::{Caller, Step};
use super::credentials::{Credentials, MOST_GROUPS, Table};
use super::ids::{Ids, UNCHANGED};
use super::powers::{SETGID, SETUID};
use crate::sys::notify::Answer;

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
pub fn set(caller: &Caller<'_>, table: &mut Table) -> Step<Answer> {
    let before = table.get(caller.number(table));
    let (setuid, setgid) = (before.powers.can(SETUID), before.powers.can(SETGID));
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
    become_another(caller, table, &before, after)?;
    Ok(Answer::Value(value))
}

/// The caller's credentials were `before` and are `after` from here on.
pub fn become_another(caller: &Caller<'_>, table: &mut Table, before: &Credentials, after: Credentials) -> Step<()> {
    if after == *before {
        return Ok(());
    }
    let number = table.number(after).ok_or(Answer::Errno(libc::EAGAIN))?;
    caller.set_number(number)
}

/// prctl(2) with PR_SET_KEEPCAPS. The kernel does it too.
pub fn keep_powers(caller: &Caller<'_>, table: &mut Table) -> Step<Answer> {
    let before = table.get(caller.number(table));
    let mut after = Credentials::clone(&before);
    after.powers.kept = caller.address(1) == 1;
    become_another(caller, table, &before, after)?;
    Ok(Answer::Continue)
}

/// capset(2). What is given up for good the kernel takes away, too; what may come back, as it does with effective
/// uid 0, would not come back from there.
pub fn set_powers(caller: &Caller<'_>, table: &mut Table) -> Step<Answer> {
    let halves = halves(caller)?;
    let mut bytes = [0; 2 * HALF];
    caller.read(caller.address(1), &mut bytes[..halves * HALF])?;
    let word = |at: usize| u64::from(u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap_or_default()));
    let both = |at: usize| word(at) | word(HALF + at) << 32;
    let before = table.get(caller.number(table));
    let mut after = Credentials::clone(&before);
    after.powers = before.powers.after_capset(both(0), both(4)).ok_or(Answer::Errno(libc::EPERM))?;
    let for_good = after.powers.permitted != before.powers.permitted;
    become_another(caller, table, &before, after)?;
    Ok(if for_good || table.has_one() { Answer::Continue } else { Answer::Value(0) })
}

/// capget(2).
pub fn get_powers(caller: &Caller<'_>, table: &Table) -> Step<Answer> {
    if table.has_one() || caller.address(1) == 0 {
        return Ok(Answer::Continue);
    }
    let halves = halves(caller)?;
    let powers = table.get(caller.number(table)).powers;
    let half = |shift: u32| [(powers.effective >> shift) as u32, (powers.permitted >> shift) as u32, 0];
    let bytes: Vec<u8> = [half(0), half(32)].concat().iter().flat_map(|word| word.to_ne_bytes()).collect();
    caller.write(caller.address(1), &bytes[..halves * HALF])?;
    Ok(Answer::Value(0))
}

/// Effective, permitted and inheritable capabilities of 32 numbers, as the calls have them in memory.
const HALF: usize = 12;

/// How many of these the header of capget(2) and capset(2) tells of, if it is about the caller itself.
fn halves(caller: &Caller<'_>) -> Step<usize> {
    let mut header = [0; 8];
    caller.read(caller.address(0), &mut header)?;
    let [a, b, c, d, pid @ ..] = header;
    let pid = i32::from_ne_bytes(pid);
    match u32::from_ne_bytes([a, b, c, d]) {
        _ if pid != 0 && pid != caller.call.pid => Err(Answer::Continue),
        0x1998_0330 => Ok(1),
        0x2007_1026 | 0x2008_0522 => Ok(2),
        _ => Err(Answer::Continue),
    }
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
    if groups.contains(&UNCHANGED) {
        return Err(libc::EINVAL);
    }
    crate::sort::all(&mut groups);
    Ok(groups)
}
