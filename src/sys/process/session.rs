//! Process groups and sessions of other processes: getpgid(2), getsid(2).

use super::{getpid, parent_of, pid_t};
use crate::error::Result;
use crate::sys::returned;

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

/// Whether a shell could continue this process's group after a stop: the first process above it that is of another
/// group is of its session (_exit(2), "orphaned process group").
pub fn has_job_control() -> bool {
    let own = (getpgid(0).ok(), getsid(0).ok());
    let parents = std::iter::successors(Some(getpid()), |pid| parent_of(*pid).filter(|pid| *pid > 0));
    let above = parents.take(64).find(|pid| getpgid(*pid).ok() != own.0);
    above.is_some_and(|pid| getsid(pid).ok() == own.1)
}
