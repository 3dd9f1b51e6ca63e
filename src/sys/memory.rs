//! Memory: that of another process, process_vm_readv(2) and process_vm_writev(2), and files in it, memfd_create(2).

use super::returned;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use libc::{iovec, pid_t};
use std::ffi::CStr;
use std::os::fd::FromRawFd;

/// memfd_create(2): a file without a place on any disk; `name` is for people who look at /proc.
pub fn memfd_create(name: &CStr) -> Result<OwnedFd> {
    // SAFETY: the name is a C string that lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
    let fd = returned(fd, format_args!("memfd_create({name:?})"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// process_vm_readv(2) from `address` on; how much of `buffer` was filled before memory that cannot be read.
pub fn process_vm_readv(pid: pid_t, address: u64, buffer: &mut [u8]) -> Result<usize> {
    let local = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = iovec { iov_base: address as usize as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the kernel writes into `buffer` at most its length; the other address is never followed here.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    returned(read as i64, format_args!("process_vm_readv({pid}, {address:#x}, {})", buffer.len()))
        .map(|read| read as usize)
}

/// process_vm_writev(2) to `address`; how much of `bytes` was taken before memory that cannot be written.
pub fn process_vm_writev(pid: pid_t, address: u64, bytes: &[u8]) -> Result<usize> {
    let local = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = iovec { iov_base: address as usize as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the kernel only reads `bytes`; the other address is never followed here.
    let written = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    returned(written as i64, format_args!("process_vm_writev({pid}, {address:#x}, {} bytes)", bytes.len()))
        .map(|written| written as usize)
}
