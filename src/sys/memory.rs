//! Memory: that of another process, process_vm_readv(2) and process_vm_writev(2), and files in it, memfd_create(2).

use super::returned;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use libc::{iovec, pid_t};
use std::ffi::CStr;
use std::os::fd::FromRawFd;
use std::sync::atomic::AtomicU64;

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

/// Memory that several processes share.
pub type Shared = [AtomicU64; 4096];

/// mmap(2) MAP_SHARED: zeros that this process and its clones have in common, until they all end.
pub fn shared() -> Result<&'static Shared> {
    let size = size_of::<Shared>();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: the kernel chooses a place where nothing is mapped.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Error::call("mmap(MAP_SHARED|MAP_ANONYMOUS)", errno));
    }
    // SAFETY: a page is aligned for atomics, the memory is as large as all of them, zero is a value of theirs, it is never
    // unmapped, and every process that has it uses atomics alone.
    Ok(unsafe { &*page.cast() })
}
