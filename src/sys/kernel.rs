//! What the kernel itself provides: its version (uname(2)) and random bytes (getrandom(2)).

use super::{report, returned};
use crate::error::{Error, Result};
use std::ffi::CStr;

/// uname(2): the kernel's major and minor version number.
pub fn version() -> (u32, u32) {
    // SAFETY: utsname is arrays of bytes, for which zero is a value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure, which is ours; it cannot fail.
    let ret = unsafe { libc::uname(&mut name) };
    report::infallible(ret, format_args!("uname({{sysname=\"Linux\", ...}})"));
    // SAFETY: the kernel ends the text with a NUL.
    let release = unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// getrandom(2): bytes that nobody can guess. Up to 256 arrive in one call, which waits only while the machine boots.
pub fn getrandom<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the pointer and the length are of one array, which is ours to write.
    let size = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), N, 0) };
    let size = returned(size, format_args!("getrandom({N} bytes)"))?;
    if size as usize == N { Ok(bytes) } else { Err(Error::call("getrandom", libc::EAGAIN)) }
}
