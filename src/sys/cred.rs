//! Who a process is: ids, capabilities and the prctl(2)s that guard it.
//!
//! The raw system calls, not libc's: libc's versions first stop all threads of a
//! process, and ccrun calls these in a fresh clone that has just one.

use super::{report, returned};
use crate::error::Result;

pub fn geteuid() -> u32 {
    // SAFETY: no memory is involved; it cannot fail.
    report::infallible(unsafe { libc::geteuid() }, format_args!("geteuid()"))
}

pub fn getegid() -> u32 {
    // SAFETY: no memory is involved; it cannot fail.
    report::infallible(unsafe { libc::getegid() }, format_args!("getegid()"))
}

/// setresuid(2), all three ids.
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    returned(ret, format_args!("setresuid({uid}, {uid}, {uid})")).map(drop)
}

/// setresgid(2), all three ids.
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    returned(ret, format_args!("setresgid({gid}, {gid}, {gid})")).map(drop)
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the count are of one slice.
    let ret = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    returned(ret, format_args!("setgroups({groups:?})")).map(drop)
}

/// prctl(2) PR_SET_DUMPABLE 0: nobody without privilege over this memory's user namespace
/// may open our /proc/PID/{mem,exe,fd} or trace us.
pub fn set_undumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE, 0")
}

/// prctl(2) PR_SET_DUMPABLE 1: our /proc files are our own again.
pub fn set_dumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 1, "PR_SET_DUMPABLE, 1")
}

/// prctl(2) PR_GET_DUMPABLE: whether our /proc files are our own.
pub fn is_dumpable() -> Result<bool> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) };
    returned(ret.into(), format_args!("prctl(PR_GET_DUMPABLE)")).map(|answer| answer == 1)
}

/// prctl(2) PR_SET_KEEPCAPS: the permitted set outlives a change from root to another user, until execve.
pub fn keep_capabilities() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, "PR_SET_KEEPCAPS, 1")
}

/// prctl(2) PR_SET_PDEATHSIG: the signal that we get when our parent ends.
/// Cleared by changes of ids, so it comes after them.
pub fn set_pdeathsig(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, &format!("PR_SET_PDEATHSIG, {signal}"))
}

/// prctl(2) PR_SET_NAME: the name that `ps` shows, at most 15 bytes.
pub fn set_name(name: &std::ffi::CStr) -> Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong, &format!("PR_SET_NAME, {name:?}"))
}

/// prctl(2) PR_CAPBSET_DROP: no program that we start can gain `capability` again.
pub fn drop_bounding(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), &format!("PR_CAPBSET_DROP, {capability}"))
}

/// prctl(2) PR_CAPBSET_READ: whether the kernel knows a capability of this number; it answers EINVAL if not.
pub fn has_capability(number: u32) -> bool {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) };
    returned(ret.into(), format_args!("prctl(PR_CAPBSET_READ, {number})")).is_ok()
}

/// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: a session keyring of our own, empty and without a name.
pub fn join_session_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: the name may be null: it is then a new keyring that nobody else can find.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    returned(ret, format_args!("keyctl(KEYCTL_JOIN_SESSION_KEYRING)")).map(drop)
}

/// prctl(2) PR_SET_NO_NEW_PRIVS: set-user-id bits and file capabilities count no more, for us and our children.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS, 1")
}

fn prctl(option: i32, value: libc::c_ulong, call: &str) -> Result<()> {
    // SAFETY: of the options used here only PR_SET_NAME takes a pointer, and its caller gives a live C string.
    let ret = unsafe { libc::prctl(option, value, 0, 0, 0) };
    returned(ret.into(), format_args!("prctl({call})")).map(drop)
}

/// capset(2): effective and permitted become `capabilities` (a bit each), inheritable becomes empty.
pub fn capset(capabilities: u64) -> Result<()> {
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let (low, high) = (capabilities as u32, (capabilities >> 32) as u32);
    let data = [[low, low, 0], [high, high, 0]];
    // SAFETY: version 3 takes a header of two words and two triples of words; 0 means this process.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const data) };
    let header = "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}";
    let call = format_args!("capset({header}, {{effective={0:#x}, permitted={0:#x}, inheritable=0}})", capabilities);
    returned(ret, call).map(drop)
}
