//! Namespaces: unshare(2), sethostname(2); uname(2).

use super::returned;
use crate::error::Result;

/// unshare(2): new namespaces (`CLONE_NEW*`) for this process.
pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::unshare(flags) };
    returned(ret.into(), format_args!("unshare({})", super::process::clone_flags(flags))).map(drop)
}

/// sethostname(2), in the UTS namespace of this process.
pub fn sethostname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are of one string.
    let ret = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    returned(ret.into(), format_args!("sethostname({name:?})")).map(drop)
}

/// The kernel's version, its first two numbers (uname(2)).
pub fn release() -> Option<(u32, u32)> {
    // SAFETY: utsname is arrays of bytes, for which all zeros is a valid value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` has room for what the kernel writes.
    returned(unsafe { libc::uname(&raw mut name) }.into(), format_args!("uname()")).ok()?;
    let text: String = name.release.iter().map(|byte| *byte as u8 as char).take_while(|c| *c != '\0').collect();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}
