//! Bytes in and out of a descriptor, past any buffer of the standard library's.

use crate::error::Result;
use crate::sys::returned;
use crate::sys::shown::{Fd, Text};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `read(2)`: how many bytes came; 0 at the end.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the pointer and the length are of one slice, which is ours to write.
    let size = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    returned(size as i64, format_args!("read({}, {})", Fd(fd.as_raw_fd()), buffer.len())).map(|size| size as usize)
}

/// `write(2)`: how much was taken.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the pointer and the length are of one live slice.
    let size = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    returned(size as i64, format_args!("write({}, {}, {})", Fd(fd.as_raw_fd()), Text(bytes), bytes.len()))
        .map(|size| size as usize)
}

/// `fcntl(2)` F_GETFL: how the descriptor was opened (O_PATH, O_APPEND, …).
pub fn flags(fd: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: no memory is passed; `fd` is open by its type.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    returned(ret.into(), format_args!("fcntl({}, F_GETFL)", Fd(fd.as_raw_fd()))).map(|flags| flags as i32)
}

/// `fcntl(2)` with O_NONBLOCK: reading and writing answer EAGAIN instead of waiting.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no memory is passed; `fd` is open by its type.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    returned(ret.into(), format_args!("fcntl({}, F_SETFL, O_NONBLOCK)", Fd(fd.as_raw_fd()))).map(drop)
}

/// This process's own stdin, stdout or stderr (0, 1, 2): std opens /dev/null at the start for one that was closed.
pub fn standard_stream(number: usize) -> BorrowedFd<'static> {
    // SAFETY: the first three descriptors are open from the start of the program on, and nobody owns or closes them
    // but a clone that ends or executes another program right after.
    unsafe { BorrowedFd::borrow_raw(number.min(2) as i32) }
}

/// The path that a descriptor is open on, as /proc/self/fd says it.
pub fn path_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let link = crate::sys::cstr(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    // An absolute path is looked up from the root, whatever the directory.
    super::readlinkat(fd, &link)
}
