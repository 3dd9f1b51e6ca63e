//! Sessions, process groups and parents: setsid(2), setpgid(2), getpgid(2), getsid(2), getppid(2).

use super::{getpid, pid_t};
use crate::error::Result;
use crate::sys::proc::stat::Stat;
use crate::sys::{report, returned};

/// setsid(2): a session of our own, without a controlling terminal.
pub fn setsid() -> Result<()> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::setsid() }.into(), format_args!("setsid()")).map(drop)
}

/// setpgid(2) of this process: it leads a new process group.
pub fn lead_group() -> Result<()> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::setpgid(0, 0) }.into(), format_args!("setpgid(0, 0)")).map(drop)
}

/// getpgid(2) of this process.
pub fn getpgrp() -> pid_t {
    // SAFETY: no memory is involved; it cannot fail.
    report::infallible(unsafe { libc::getpgid(0) }, format_args!("getpgid(0)"))
}

/// The parent of a process, read from /proc/PID/stat (proc_pid_stat(5)).
pub fn parent_of(pid: pid_t) -> Option<pid_t> {
    Stat::of(pid)?.number(4)
}

/// getppid(2): 0 if the parent is outside this PID namespace.
pub fn getppid() -> pid_t {
    // SAFETY: no memory is involved; it cannot fail.
    report::infallible(unsafe { libc::getppid() }, format_args!("getppid()"))
}

/// getpgid(2).
pub fn getpgid(pid: pid_t) -> Result<pid_t> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::getpgid(pid) }.into(), format_args!("getpgid({pid})")).map(|group| group as pid_t)
}

/// getsid(2).
pub fn getsid(pid: pid_t) -> Result<pid_t> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::getsid(pid) }.into(), format_args!("getsid({pid})")).map(|session| session as pid_t)
}

/// Whether a shell could continue this process's group after a stop: the nearest ancestor in another group is in the same
/// session (_exit(2), "orphaned process group").
pub fn has_job_control() -> bool {
    let own = (getpgid(0).ok(), getsid(0).ok());
    let parents = std::iter::successors(Some(getpid()), |pid| parent_of(*pid).filter(|pid| *pid > 0));
    let above = parents.take(64).find(|pid| getpgid(*pid).ok() != own.0);
    above.is_some_and(|pid| getsid(pid).ok() == own.1)
}
