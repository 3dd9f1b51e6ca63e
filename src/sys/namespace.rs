//! Namespaces: unshare(2), and what is set up in new ones: the host name (UTS) and the loopback interface (network,
//! netdevice(7)).

use super::returned;
use super::shown::Fd;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use std::os::fd::{AsRawFd, FromRawFd};

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
    returned(ret.into(), format_args!("setdomainname({name:?}, {})", name.len())).map(drop)
}

/// sethostname(2), in the UTS namespace of this process.
pub fn sethostname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are of one string.
    let ret = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    returned(ret.into(), format_args!("sethostname({name:?}, {})", name.len())).map(drop)
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

/// ioctl(SIOCSIFFLAGS, IFF_UP) on `lo`; the kernel gives it 127.0.0.1 and ::1 by itself.
pub fn loopback_up() -> Result<()> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let fd = returned(ret.into(), format_args!("socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0)"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: ifreq is plain data; zero bytes end the name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    returned(
        ret.into(),
        format_args!(
            "ioctl({}, SIOCSIFFLAGS, {{ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_RUNNING}})",
            Fd(socket.as_raw_fd())
        ),
    )
    .map(drop)
}
