//! Root emulation: users inside where there is only one id outside.
//!
//! A user without subordinate ids can map one id into a user namespace, his own
//! (user_namespaces(7)). Inside there is only root: chown(2) to anybody else and
//! setuid(2) answer EINVAL, and package managers give up. So these calls are made up:
//! a seccomp filter stops them and asks PID 1, which answers in the kernel's stead
//! (seccomp_unotify(2)). It keeps account of who each process says it is
//! ([`credentials`]) and what it may ([`powers`]), and whose each file is ([`owners`]), so that what a process set it
//! also reads back: `apt` becomes another user, and then makes sure that it can't
//! become root again.
//!
//! Where an account of a process is kept: in the process. Its soft limit of file locks
//! (RLIMIT_LOCKS, which the kernel has ignored since Linux 2.4.25) is the number of its
//! credentials. fork(2), execve(2) and the death of a parent hand it on without any
//! help, and one prlimit(2) reads it. It is one for all threads, as setuid(2) wants it.
//!
//! None of this is a security boundary. The files and processes really are all the one user's, who
//! can read and signal them whatever the account says; a process that changes a path in
//! memory while we look at it deceives nobody but itself, because nothing is done for it
//! that it could not do by itself. The namespaces are the boundary.
//!
//! What a program forbids itself stays forbidden, although it is not the one who makes these calls: it cannot have
//! Landlock's rulesets, which would not hold for us, and a filter of its own is refused if we would be asked before
//! its tracer is ([`own_filter`]).
//!
//! What it cannot hide: a signal whose handler is without SA_RESTART can interrupt any of these calls (EINTR) in
//! the moment before it is received. Who runs as another user may still do with files what root may. Programs for
//! another ABI of the machine (32-bit ones) are asked about no more than their own filters.
//!
//! What costs nothing: calls that are not in the filter, and opening without O_CREAT.

mod caller;
mod create;
pub mod credentials;
mod exec;
mod files;
mod ids;
mod own_filter;
mod owners;
mod people;
mod powers;
mod serve;

pub use serve::Emulator;

use crate::error::{Error, Result};
use crate::isolation::seccomp::abi::ABIS;
use crate::isolation::seccomp::compile::{self, Action, Answer, Case, Condition, Op, Rules};
use crate::sys::notify::Listener;
use crate::sys::resource::{self, RLIMIT_LOCKS, Rlimit};
use crate::sys::seccomp;

/// Calls that are always asked about.
const ASKED: &[i64] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_mkdirat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    // Its flags are in memory, where a filter does not see them.
    libc::SYS_openat2,
    libc::SYS_execve,
    libc::SYS_execveat,
    // These change what a path means.
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_unshare,
];

/// Those that newer architectures have left out.
#[cfg(target_arch = "x86_64")]
const ASKED_TOO: &[i64] = &[
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_symlink,
    libc::SYS_mknod,
    libc::SYS_creat,
];
#[cfg(not(target_arch = "x86_64"))]
const ASKED_TOO: &[i64] = &[];

/// Makes this process and all that it starts ask; gives the end at which their questions arrive. It needs
/// CAP_SYS_ADMIN in this user namespace, or no_new_privs.
pub fn listen() -> Result<Listener> {
    // Nobody's number yet: all are who the container began with.
    let limit = resource::getrlimit(RLIMIT_LOCKS)?;
    resource::setrlimit(RLIMIT_LOCKS, Rlimit { soft: limit.hard, ..limit })?;
    let program = program()?;
    // Without the second flag (Linux 5.19) a signal interrupts a call that has been received, which is then made twice.
    let flags = seccomp::FILTER_FLAG_NEW_LISTENER;
    let patient = flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let listener = match seccomp::set_mode_filter(&program, patient) {
        Err(error) if error.errno() == Some(libc::EINVAL) => seccomp::set_mode_filter(&program, flags),
        other => other,
    };
    listener?.map(Listener::new).ok_or_else(|| Error::new("seccomp(2) gave no listener"))
}

/// Flags of clone(2).
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u32;

/// Rulesets of Landlock, which hold for the calls that a process makes itself: they are said not to be there.
const LANDLOCK: [&str; 3] = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"];

fn program() -> Result<Vec<seccomp::Instruction>> {
    let always = Answer::from(Action::Notify);
    let creating = |argument| only(argument, libc::O_CREAT as u32, Op::NotEqual, 0, Action::Notify);
    let (open, openat) = (creating(1), creating(2));
    // A clone with new namespaces; one without a thread's or fork's flags in sight, clone3(2), is said not to be there,
    // as Docker's profile says too.
    let clone = only(0, NEW_NAMESPACES, Op::NotEqual, 0, Action::Notify);
    let absent = Answer::from(Action::Errno(libc::ENOSYS as u16));
    // The limit that holds the numbers is ours.
    let done = Action::Errno(0);
    let setrlimit = only(0, u32::MAX, Op::Equal, RLIMIT_LOCKS, done);
    let mut prlimit = only(1, u32::MAX, Op::Equal, RLIMIT_LOCKS, done);
    prlimit.cases[0].conditions.push(Condition { argument: 2, mask: u64::MAX, op: Op::NotEqual, value: 0 });
    let filter = only(0, u32::MAX, Op::Equal, libc::SECCOMP_SET_MODE_FILTER, Action::Notify);
    let filter_too = only(0, u32::MAX, Op::Equal, libc::PR_SET_SECCOMP as u32, Action::Notify);
    let mut prctl = only(0, u32::MAX, Op::Equal, libc::PR_SET_KEEPCAPS as u32, Action::Notify);
    prctl.cases.extend(filter_too.cases.clone());
    let mut calls: Vec<(u32, &Answer)> = ASKED.iter().chain(ASKED_TOO).map(|n| (*n as u32, &always)).collect();
    calls.push((libc::SYS_openat as u32, &openat));
    calls.push((libc::SYS_prlimit64 as u32, &prlimit));
    calls.push((libc::SYS_clone as u32, &clone));
    calls.push((libc::SYS_prctl as u32, &prctl));
    calls.push((libc::SYS_clone3 as u32, &absent));
    #[cfg(target_arch = "x86_64")]
    calls.push((libc::SYS_open as u32, &open));
    #[cfg(target_arch = "x86_64")]
    calls.push((libc::SYS_setrlimit as u32, &setrlimit));
    #[cfg(not(target_arch = "x86_64"))]
    drop((open, setrlimit));
    let rules: Vec<Rules<'_>> = ABIS
        .iter()
        .enumerate()
        .map(|(at, abi)| {
            let mut calls = if at == 0 { std::mem::take(&mut calls) } else { Vec::new() };
            let mut add = |name: &str, answer| calls.extend(abi.number(name).map(|number| (number, answer)));
            LANDLOCK.iter().for_each(|name| add(name, &absent));
            add("seccomp", &filter);
            if at != 0 {
                add("prctl", &filter_too);
            }
            Rules { abi, calls, unlisted: Action::Allow, newer: None }
        })
        .collect();
    compile::compile(&rules, Action::Allow)
}

/// `action` if an argument's bits under `mask` compare so, else allowed.
fn only(argument: u8, mask: u32, op: Op, value: u32, action: Action) -> Answer {
    let condition = Condition { argument, mask: mask.into(), op, value: value.into() };
    Answer { cases: vec![Case { conditions: vec![condition], action }], otherwise: Action::Allow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::seccomp::interpret::{Call, run};

    /// Whatever numbers a program calls by, the ruleset or the filter would hold for all that it does afterwards.
    #[test]
    fn every_abi_is_without_landlock_and_asked_about_filters() {
        let program = program().unwrap();
        let answer = |abi: &crate::isolation::seccomp::abi::Abi, name: &str, first: u64| {
            let number = abi.bit | abi.number(name).unwrap();
            run(&program, &Call { arch: abi.audit, number, arguments: [first, 0, 0, 0, 0, 0] }).0
        };
        let absent = Action::Errno(libc::ENOSYS as u16).value();
        for abi in ABIS {
            for name in LANDLOCK {
                assert_eq!(answer(abi, name, 0), absent, "{}: {name}", abi.name);
            }
            let filter = libc::SECCOMP_SET_MODE_FILTER.into();
            assert_eq!(answer(abi, "seccomp", filter), Action::Notify.value(), "{}", abi.name);
            assert_eq!(answer(abi, "prctl", libc::PR_SET_SECCOMP as u64), Action::Notify.value(), "{}", abi.name);
            let name = libc::PR_SET_NAME as u64;
            assert_eq!(answer(abi, "prctl", name), Action::Allow.value(), "{}", abi.name);
        }
    }
}
