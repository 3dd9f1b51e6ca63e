//! Limits and priority of a process, and its CPUs: prlimit(2), getpriority(2), setpriority(2), sched_getaffinity(2).

use super::returned;
use super::shown::LimitCall;
use crate::error::Result;
use libc::pid_t;

/// File locks: a limit that the kernel keeps, and has ignored since Linux 2.4.25. The C libraries number limits in
/// different types.
pub const RLIMIT_LOCKS: u32 = libc::RLIMIT_LOCKS as u32;

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

/// prlimit(2): the limit that process `pid` (0: this one) has; with `new` it gets another.
pub fn prlimit(pid: pid_t, resource: u32, new: Option<Rlimit>) -> Result<Rlimit> {
    let set = new.map(|limit| libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard });
    let set = set.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads the new limit, if there is one, and `old` has room for what it writes.
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, set, &raw mut old) };
    returned(ret, format_args!("prlimit64({pid}, {})", LimitCall(resource, new.map(|new| (new.soft, new.hard)))))?;
    Ok(Rlimit { soft: old.rlim_cur, hard: old.rlim_max })
}

pub fn getrlimit(resource: u32) -> Result<Rlimit> {
    prlimit(0, resource, None)
}

pub fn setrlimit(resource: u32, limit: Rlimit) -> Result<()> {
    prlimit(0, resource, Some(limit)).map(drop)
}

/// getpriority(2) of this process: its nice value, -20 to 19.
pub fn nice() -> Result<i32> {
    // SAFETY: no memory is involved. The kernel's own call answers 20 minus the value, so that no error looks like one.
    let ret = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    returned(ret, format_args!("getpriority(PRIO_PROCESS, 0)")).map(|value| 20 - value as i32)
}

/// setpriority(2) of this process.
pub fn set_nice(value: i32) -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, value) };
    returned(ret, format_args!("setpriority(PRIO_PROCESS, 0, {value})")).map(drop)
}

/// How many CPUs this process may run on: sched_getaffinity(2), as Docker counts them. Not what std counts, which
/// reads through our cgroups for their quota first.
pub fn cpus() -> usize {
    // SAFETY: cpu_set_t is plain bits, for which zero means none.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the kernel writes at most `size` bytes into `set`.
    let ret = unsafe { libc::sched_getaffinity(0, size, &raw mut set) };
    // SAFETY: only counts the bits.
    if ret < 0 { 1 } else { unsafe { libc::CPU_COUNT(&set) as usize } }
}
