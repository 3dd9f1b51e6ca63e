//! Switches of the container's own namespaces (sysctl(8), proc_sys_net(5), namespaces(7)).
//!
//! Most of /proc/sys is the whole machine's. What belongs to a namespace shows the
//! namespace of who opens it, and its root may set it; so PID 1 does, before /proc/sys
//! is made read-only.

use crate::error::{Error, Result};
use crate::sys::fs;
use libc::{O_WRONLY, RESOLVE_NO_SYMLINKS};
use std::os::fd::{AsFd, BorrowedFd};

/// A switch and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As sysctl(8) writes it: `net.ipv4.ip_forward`.
    pub name: String,
    pub value: String,
    /// Whether a kernel that was built without it is an error.
    pub required: bool,
}

/// No port of the container's own network is more trusted than another; and groups up to `last` may make ICMP echo
/// sockets (icmp(7)), so that ping needs no CAP_NET_RAW. The ids have to be mapped ones.
pub fn of_own_network(last: u32) -> [Setting; 2] {
    [setting("net.ipv4.ip_unprivileged_port_start", "0"), setting("net.ipv4.ping_group_range", &format!("0 {last}"))]
}

/// In a user namespace everybody is root of the rest of the kernel, which is where most of its holes are. The command
/// may make `most`; the system call filter says so too, but can be switched off.
pub fn user_namespaces(most: u32) -> Setting {
    setting("user.max_user_namespaces", &most.to_string())
}

fn setting(name: &str, value: &str) -> Setting {
    Setting { name: name.to_owned(), value: value.to_owned(), required: false }
}

/// The name with dots between its parts: sysctl(8) takes slashes, too, if the first separator is one.
pub fn dotted(name: &str) -> String {
    if name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/')) { swapped(name) } else { name.to_owned() }
}

/// Dots and slashes stand for each other, so that an interface may have a dot in its name.
fn swapped(name: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(other).collect()
}

impl Setting {
    /// Whether it belongs to a namespace that every container has, or to the network if that is `own_network`
    /// (runc, libcontainer/configs/validate).
    pub fn is_of_namespace(&self, own_network: bool) -> bool {
        const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
        let name = &self.name;
        let is_plain = self.path().split('/').all(|part| !part.is_empty() && part != "..");
        let ipc = name.strip_prefix("kernel.").is_some_and(|name| IPC.contains(&name));
        let other = name.starts_with("fs.mqueue.") || name.starts_with("user.");
        is_plain && (ipc || other || own_network && name.starts_with("net."))
    }

    /// Sets it through `proc`, the proc file system itself.
    pub fn write(&self, proc: BorrowedFd<'_>) -> Result<()> {
        let path = crate::sys::cstr(self.path())?;
        let file = match fs::openat2(proc, &path, O_WRONLY, 0, RESOLVE_NO_SYMLINKS) {
            Err(error) if error.errno() == Some(libc::ENOENT) && !self.required => return Ok(()),
            other => other.map_err(|error| error.context(format_args!("sysctl {}", self.name)))?,
        };
        fs::write_all(file.as_fd(), self.value.as_bytes()).map_err(|error| {
            let call = format!("write {:?} to /proc/{}", self.value, path.to_string_lossy());
            Error::call(call, error.errno().unwrap_or(libc::EIO))
        })
    }

    fn path(&self) -> String {
        format!("sys/{}", swapped(&self.name))
    }
}
