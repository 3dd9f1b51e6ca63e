//! The network: bringing an interface up (netdevice(7)).

use super::returned;
use super::shown::Fd;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use std::os::fd::{AsRawFd, FromRawFd};

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
