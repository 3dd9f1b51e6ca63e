//! Namespaces: what of the kernel a container has for itself (namespaces(7)).
//!
//! All are made by one clone3(2), so that the child is inside all of them from its
//! first instruction and the user namespace owns the others: container root may
//! then mount, name the host and bring the network up in them, and nowhere else.

use crate::error::Error;
use crate::sys::process::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS,
};

/// The namespaces of a container: all that clone3 can make but the network's, which it shares with the host
/// under `--network host`, and that of cgroups if the container has some of its own: clone3 would make it with
/// the supervisor's as its root.
pub fn flags(own_network: bool, own_cgroup: bool) -> i32 {
    let all = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    all | if own_network { CLONE_NEWNET } else { 0 } | if own_cgroup { 0 } else { CLONE_NEWCGROUP }
}

/// Adds to a failed clone, map or first mount the setting of this host that forbids user namespaces.
/// The errno alone misleads: it is EPERM, EACCES, EINVAL or ENOSPC for the same answer "not allowed here".
pub fn explain(error: Error) -> Error {
    let setting = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let denied = error.errno().is_none_or(|errno| [libc::EPERM, libc::EACCES].contains(&errno));
    if error.errno() == Some(libc::ENOSPC) || setting("/proc/sys/user/max_user_namespaces") == "0" {
        return error.hint(
            "user namespaces are switched off or used up on this host: as root, sysctl user.max_user_namespaces=15000",
        );
    }
    if denied && setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return error
            .hint("this host lets only root make user namespaces: as root, sysctl kernel.unprivileged_userns_clone=1");
    }
    if denied && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        let exe = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or("/path/to/ccrun".into());
        return error.hint(format!(
            "Ubuntu's AppArmor (kernel.apparmor_restrict_unprivileged_userns) forbids user namespaces to programs \
             without a profile: once, as root, printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile ccrun {exe} \
             flags=(unconfined) {{\\n  userns,\\n}}\\n' > /etc/apparmor.d/ccrun && apparmor_parser -r \
             /etc/apparmor.d/ccrun; or run ccrun with sudo"
        ));
    }
    match error.errno() {
        Some(libc::EINVAL) => error.hint("this kernel may have been built without user namespaces (CONFIG_USER_NS)"),
        Some(libc::EUSERS) => error.hint("user namespaces are nested too deeply here"),
        Some(libc::EPERM) => {
            error.hint("user namespaces are not allowed here; inside a chroot or another container they often are not")
        }
        _ => error,
    }
}
