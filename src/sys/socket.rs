//! Sockets of this machine alone: pairs, and those with a name in the file system (unix(7)).

use super::shown::Fd;
use super::{fs, returned};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

/// The most descriptors that one message carries here (the kernel allows 253).
pub const MAX_FDS: usize = 64;

/// socketpair(2) of SOCK_SEQPACKET: each message arrives whole, and the end of one side reads as an empty one.
pub fn socketpair() -> Result<(OwnedFd, OwnedFd)> {
    pair(libc::SOCK_SEQPACKET, "SOCK_SEQPACKET")
}

/// The same of SOCK_STREAM: bytes both ways.
pub fn stream_pair() -> Result<(OwnedFd, OwnedFd)> {
    pair(libc::SOCK_STREAM, "SOCK_STREAM")
}

fn pair(kind: i32, name: &str) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors.
    let ret = unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
    let call = format_args!("socketpair(AF_UNIX, {name}|SOCK_CLOEXEC, 0, [{}, {}])", fds[0], fds[1]);
    returned(ret.into(), call)?;
    // SAFETY: the kernel has just made both descriptors for us.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// The address of a socket in the file system.
fn address(path: &CStr) -> Result<libc::sockaddr_un> {
    // SAFETY: sockaddr_un is plain data; zero is an empty path.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let bytes = path.to_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(Error::new(format_args!("{}: the path is too long for a socket", path.to_string_lossy())));
    }
    for (to, byte) in address.sun_path.iter_mut().zip(bytes) {
        *to = byte.cast_signed() as _;
    }
    Ok(address)
}

fn socket() -> Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let ret = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) };
    returned(ret.into(), format_args!("socket(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0)"))?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(ret) })
}

/// socket(2), bind(2) to a new file at `path`, and listen(2).
pub fn listen(path: &CStr) -> Result<OwnedFd> {
    let (socket, address) = (socket()?, address(path)?);
    let (fd, size) = (socket.as_raw_fd(), std::mem::size_of_val(&address) as libc::socklen_t);
    // Linux gives the file the mode that the socket has (unix(7)).
    fs::fchmod(socket.as_fd(), 0o600)?;
    // SAFETY: the address lives for the time of the call.
    let ret = unsafe { libc::bind(fd, (&raw const address).cast(), size) };
    returned(ret.into(), format_args!("bind({}, {path:?})", Fd(fd)))?;
    // SAFETY: no memory is passed.
    let ret = unsafe { libc::listen(fd, 16) };
    returned(ret.into(), format_args!("listen({}, 16)", Fd(fd)))?;
    Ok(socket)
}

/// socket(2), and connect(2) to the one that listens at `path`.
pub fn connect(path: &CStr) -> Result<OwnedFd> {
    let (socket, address) = (socket()?, address(path)?);
    let (fd, size) = (socket.as_raw_fd(), std::mem::size_of_val(&address) as libc::socklen_t);
    // SAFETY: the address lives for the time of the call.
    let ret = unsafe { libc::connect(fd, (&raw const address).cast(), size) };
    returned(ret.into(), format_args!("connect({}, {path:?})", Fd(fd))).map(|_| socket)
}

/// accept4(2), and the effective uid of who has connected (SO_PEERCRED).
pub fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, u32)> {
    let fd = listener.as_raw_fd();
    // SAFETY: no address is asked for.
    let ret = unsafe { libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
    returned(ret.into(), format_args!("accept4({}, NULL, NULL, SOCK_CLOEXEC)", Fd(fd)))?;
    // SAFETY: the kernel has just made it for us.
    let peer = unsafe { OwnedFd::from_raw_fd(ret) };
    let mut who = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = std::mem::size_of_val(&who) as libc::socklen_t;
    let fd = peer.as_raw_fd();
    // SAFETY: `who` has room for `size` bytes.
    let ret =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut who).cast(), &raw mut size) };
    returned(ret.into(), format_args!("getsockopt({}, SOL_SOCKET, SO_PEERCRED)", Fd(fd)))?;
    Ok((peer, who.uid))
}

/// Room for the header and [`MAX_FDS`] descriptors, aligned as cmsghdr wants it.
#[repr(C, align(8))]
struct Control([u8; 16 + 4 * MAX_FDS]);

/// sendmsg(2): one message of `bytes` with `fds` (at most [`MAX_FDS`]); a gone reader is an error, not a SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut control = Control([0; 16 + 4 * MAX_FDS]);
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data; zero means absent in every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    let sent = fds.len().min(MAX_FDS);
    if !fds.is_empty() {
        let fds: Vec<i32> = fds.iter().take(MAX_FDS).map(|fd| fd.as_raw_fd()).collect();
        let size = std::mem::size_of_val(&fds[..]);
        message.msg_control = (&raw mut control).cast();
        // SAFETY: the header is aligned and the control area has room for it and MAX_FDS descriptors.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size as u32) as _;
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), size);
        }
    }
    // SAFETY: `message` points at live memory for the time of the call.
    let ret = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    returned(
        ret as i64,
        format_args!("sendmsg({}, {} bytes, {} descriptors, MSG_NOSIGNAL)", Fd(socket.as_raw_fd()), bytes.len(), sent),
    )
    .map(drop)
}

/// recvmsg(2): the next message, at most `buffer.len()` bytes of it, and its descriptors (close-on-exec).
/// 0 bytes: the other side is gone. One that is longer is an error.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut control = Control([0; 16 + 4 * MAX_FDS]);
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data; zero means absent in every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = std::mem::size_of::<Control>() as _;
    let read = loop {
        // SAFETY: `message` points at live memory for the time of the call.
        let ret = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match returned(
            ret as i64,
            format_args!("recvmsg({}, {} bytes, MSG_CMSG_CLOEXEC)", Fd(socket.as_raw_fd()), ret.max(0)),
        ) {
            Err(error) if error.errno() == Some(libc::EINTR) => {}
            other => break other?,
        }
    };
    let is_cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled the control area in with whole headers, and each descriptor in
    // an SCM_RIGHTS message is new and ours.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let size = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for i in 0..size / 4 {
                    let fd = libc::CMSG_DATA(header).cast::<i32>().add(i).read_unaligned();
                    fds.push(OwnedFd::from_raw_fd(fd));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if is_cut {
        return Err(Error::new("a message is longer than any of ours"));
    }
    Ok((read as usize, fds))
}
