//! Limits and priority of a process: prlimit(2), getpriority(2), setpriority(2).

use super::returned;
use crate::error::Result;

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

/// prlimit(2) on this process, whose old limit is asked for.
pub fn getrlimit(resource: u32) -> Result<Rlimit> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = std::ptr::null::<libc::rlimit64>();
    // SAFETY: `old` has room for what the kernel writes; no new limit is given; 0 means this process.
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, &raw mut old) };
    returned(ret, format_args!("prlimit64({resource})"))?;
    Ok(Rlimit { soft: old.rlim_cur, hard: old.rlim_max })
}

/// prlimit(2) on this process.
pub fn setrlimit(resource: u32, limit: Rlimit) -> Result<()> {
    let Rlimit { soft, hard } = limit;
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the kernel reads `new`, which lives through the call; the old limit is not asked for.
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const new, old) };
    returned(ret, format_args!("prlimit64({resource}, {soft}:{hard})")).map(drop)
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
