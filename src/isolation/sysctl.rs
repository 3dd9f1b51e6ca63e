//! Switches of the container's own namespaces (sysctl(8), proc_sys_net(5), namespaces(7)).
//!
//! Most of /proc/sys is the whole machine's. What belongs to a namespace shows the
//! namespace of who opens it, and its root may set it; so PID 1 does, before /proc/sys
//! is made read-only.

use crate::error::{Error, Result};
use crate::sys::fs;
use libc::{O_WRONLY, RESOLVE_NO_SYMLINKS};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What the switches are to be set to.
pub struct Switches {
    /// Of a network namespace of its own: the highest group that may ping.
    pub pinging_groups: Option<u32>,
    /// How many user namespaces may be made inside; `None`: as many as on the host.
    pub user_namespaces: Option<u32>,
}

impl Switches {
    /// Sets them through `proc`, the proc file system itself.
    pub fn set(&self, proc: BorrowedFd<'_>) -> Result<()> {
        if let Some(last) = self.pinging_groups {
            // No port of the container's own network is more trusted than another.
            write(proc, c"sys/net/ipv4/ip_unprivileged_port_start", "0")?;
            // ICMP echo sockets (icmp(7)), so that ping needs no CAP_NET_RAW. The ids have to be mapped ones.
            write(proc, c"sys/net/ipv4/ping_group_range", &format!("0 {last}"))?;
        }
        if let Some(most) = self.user_namespaces {
            // In a user namespace everybody is root of the rest of the kernel, which is where most of its holes are.
            // The command may make none; the system call filter says so too, but can be switched off.
            write(proc, c"sys/user/max_user_namespaces", &most.to_string())?;
        }
        Ok(())
    }
}

fn write(proc: BorrowedFd<'_>, path: &CStr, text: &str) -> Result<()> {
    let file = match fs::openat2(proc, path, O_WRONLY, 0, RESOLVE_NO_SYMLINKS) {
        // A kernel built without it.
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(()),
        other => other?,
    };
    fs::write_all(file.as_fd(), text.as_bytes()).map_err(|error| {
        Error::call(format!("write {text:?} to /proc/{}", path.to_string_lossy()), error.errno().unwrap_or(libc::EIO))
    })
}
