//! Namespaces: what of the kernel a container has for itself (namespaces(7)).
//!
//! All but that of cgroups are made by one clone3(2), so that the child is inside all of them from its
//! first instruction and the user namespace owns the others: container root may
//! then mount, name the host and bring the network up in them, and nowhere else.

use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::proc::{self, mountinfo};
use crate::sys::process::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, pid_t,
};
use std::os::fd::AsFd;
use std::path::Path;

/// The descriptors of a process's namespaces, by which others get in later (setns(2)). The kernel gives them to the user
/// who made the process only until it can be looked into no more; to root always. Of cgroups it has none of its own yet.
pub fn open(pid: pid_t) -> Result<Vec<OwnedFd>> {
    let dir = fs::open(&crate::sys::cstr(format!("/proc/{pid}/ns"))?, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let kinds = [c"user", c"mnt", c"pid", c"net", c"ipc", c"uts"];
    kinds.into_iter().map(|kind| fs::openat(dir.as_fd(), kind, libc::O_RDONLY, 0)).collect()
}

/// The namespaces of a container: all that clone3 can make but the network's, which it shares with the host
/// under `--network host`, and that of cgroups if the container has some of its own: clone3 would make it with
/// the supervisor's as its root.
pub fn flags(own_network: bool, own_cgroup: bool) -> i32 {
    let all = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    all | if own_network { CLONE_NEWNET } else { 0 } | if own_cgroup { 0 } else { CLONE_NEWCGROUP }
}

/// Adds to a failed clone, map or first mount the setting of this host that forbids user namespaces.
pub fn explain(error: Error) -> Error {
    match Bar::behind(&error) {
        Some(bar) => error.hint(bar.hint()),
        None => error,
    }
}

/// What of a host forbids user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// There may be none, or no more.
    UsedUp,
    /// Only root may make them (Debian's own setting of old).
    RootOnly,
    /// Ubuntu's: none for programs without a profile.
    AppArmor,
    NotBuilt,
    TooDeep,
    Chroot,
    /// A seccomp filter, such as other containers have.
    Filter,
    /// Something else: often the isolation of another container.
    Unknown,
}

/// The command by which root gives a user what is missing.
pub fn fix() -> String {
    let exe = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or("ccrun".into());
    format!("once, as root: {exe} check --fix USER")
}

impl Bar {
    /// The errno alone misleads: it is EPERM, EACCES, EINVAL or ENOSPC for the same answer "not allowed here".
    pub fn behind(error: &Error) -> Option<Bar> {
        let setting = |path: &str| fs::read_text(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let denied = error.errno().is_none_or(|errno| [libc::EPERM, libc::EACCES].contains(&errno));
        if error.errno() == Some(libc::ENOSPC) || setting("/proc/sys/user/max_user_namespaces") == "0" {
            return Some(Bar::UsedUp);
        }
        if denied && setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
            return Some(Bar::RootOnly);
        }
        if denied && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
            return Some(Bar::AppArmor);
        }
        match error.errno() {
            Some(libc::EINVAL) => Some(Bar::NotBuilt),
            Some(libc::EUSERS) => Some(Bar::TooDeep),
            Some(libc::EPERM) if in_chroot() => Some(Bar::Chroot),
            Some(libc::EPERM) if is_filtered() => Some(Bar::Filter),
            Some(libc::EPERM) => Some(Bar::Unknown),
            _ => None,
        }
    }

    /// What it is and the way out, as a message ends.
    pub fn hint(self) -> String {
        match self {
            Bar::UsedUp => "user namespaces are switched off or used up on this host: as root, sysctl \
                            user.max_user_namespaces=15000"
                .into(),
            Bar::RootOnly => "this host lets only root make user namespaces: as root, sysctl \
                              kernel.unprivileged_userns_clone=1"
                .into(),
            Bar::AppArmor => format!(
                "Ubuntu's AppArmor (kernel.apparmor_restrict_unprivileged_userns) forbids user namespaces to programs \
                 without a profile: {}; or run ccrun with sudo",
                fix()
            ),
            Bar::NotBuilt => "this kernel may have been built without user namespaces (CONFIG_USER_NS)".into(),
            Bar::TooDeep => "user namespaces are nested too deeply here".into(),
            Bar::Chroot => "the kernel lets nobody make user namespaces in a chroot".into(),
            Bar::Filter => "a seccomp filter forbids user namespaces here, as in another container".into(),
            Bar::Unknown => {
                "user namespaces are not allowed here; inside a chroot or another container they often are not".into()
            }
        }
    }
}

/// In a chroot no mount has our root as its place (proc_pid_mountinfo(5)), unless it was made of a mount.
fn in_chroot() -> bool {
    fs::read_file("/proc/self/mountinfo")
        .is_ok_and(|text| !mountinfo::mounts(&text).any(|mount| mount.point() == Path::new("/")))
}

fn is_filtered() -> bool {
    fs::read_text("/proc/self/status").is_ok_and(|status| proc::value(&status, "Seccomp") == Some("2"))
}
