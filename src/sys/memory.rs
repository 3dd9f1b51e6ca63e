//! Another process's memory: process_vm_readv(2), process_vm_writev(2).

use super::returned;
use crate::error::Result;
use libc::{iovec, pid_t};

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
