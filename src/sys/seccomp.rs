//! Filters of system calls: seccomp(2).

use super::returned;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use std::os::fd::FromRawFd;

/// One instruction of a filter: the kernel's struct sock_filter.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// How many instructions to skip where the comparison holds, and where it doesn't.
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Refused calls are written to the audit log.
pub const FILTER_FLAG_LOG: u64 = libc::SECCOMP_FILTER_FLAG_LOG;
/// What the filter answers "notify" is asked of whoever holds the listener.
pub const FILTER_FLAG_NEW_LISTENER: u64 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
/// Leaves a guard against reads by speculation (CVE-2018-3639) off.
pub const FILTER_FLAG_SPEC_ALLOW: u64 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;

/// The kernel's struct sock_fprog.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// seccomp(2) SECCOMP_SET_MODE_FILTER: from here on `program` judges each system call of this thread and of
/// what it starts. It needs CAP_SYS_ADMIN in this user namespace, or no_new_privs. With
/// [`FILTER_FLAG_NEW_LISTENER`] among the flags it gives the listener (seccomp_unotify(2)).
pub fn set_mode_filter(program: &[Instruction], flags: u64) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| Error::new("a seccomp filter of more than 65535 steps"))?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the kernel copies `length` instructions from the pointer, which are those of one live slice.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let fd = returned(ret, format_args!("seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {length} instructions)"))?;
    // SAFETY: with this flag the kernel has just made the descriptor for us; without it there is none.
    Ok((flags & FILTER_FLAG_NEW_LISTENER != 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}
