//! Namespaces: unshare(2), sethostname(2), gethostname(2).

use super::returned;
use crate::error::Result;

/// unshare(2): new namespaces (`CLONE_NEW*`) for this process.
pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::unshare(flags) };
    returned(ret.into(), format_args!("unshare({})", super::process::clone_flags(flags))).map(drop)
}

/// setdomainname(2), in the UTS namespace of this process.
pub fn setdomainname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are of one string.
    let ret = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    returned(ret.into(), format_args!("setdomainname({name:?})")).map(drop)
}

/// sethostname(2), in the UTS namespace of this process.
pub fn sethostname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are of one string.
    let ret = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    returned(ret.into(), format_args!("sethostname({name:?})")).map(drop)
}

/// gethostname(2): the name of the machine in the UTS namespace of this process.
pub fn gethostname() -> Result<String> {
    // The kernel's limit is 64 and the NUL.
    let mut name = [0u8; 65];
    // SAFETY: the pointer and the length are of one array, which is ours to write.
    let ret = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    returned(ret.into(), format_args!("gethostname()"))?;
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..length]).into_owned())
}
