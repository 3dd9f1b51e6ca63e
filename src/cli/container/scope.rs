//! A cgroup for a user who has none: systemd gives away a part of its tree (systemd-run(1), Delegate=).
//!
//! Whoever logs in is put into a group of systemd's own, in which he may make
//! nothing. His service manager has a subtree, but to move there from outside
//! takes power over both. So the manager is asked to start us there: as a *scope*,
//! which keeps our process, terminal and environment as they are.

use super::flags::resources::CGROUP_PARENT;
use crate::cli::args::Parsed;
use crate::error::{Error, Result};
use crate::isolation::cgroup::{Cgroup, Limits};
use crate::sys::{cred, process};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Says that we have been there: if the limits cannot be had even so, asking again will not help.
const BEEN_THERE: &str = "CCRUN_IN_SCOPE";

/// Becomes the same command line in a scope of its own, if `limits` take a cgroup that cannot be had here and can be
/// had there. Does nothing if not: whoever makes the cgroup will say what is missing.
pub fn enter(parsed: &Parsed, limits: &Limits) -> Result<()> {
    let needless = || parsed.one(CGROUP_PARENT).is_some() || std::env::var_os(BEEN_THERE).is_some();
    if cred::geteuid() == 0 || limits.controllers().is_empty() || needless() || !Cgroup::is_for_systemd(limits) {
        return Ok(());
    }
    let Some(runtime) = manager() else { return Ok(()) };
    let Some(systemd_run) = process::find_program("systemd-run") else { return Ok(()) };
    let own = std::env::current_exe().map_err(|e| Error::io("read the link /proc/self/exe", &e))?;
    let words = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"];
    let args = words.iter().map(OsString::from).chain([own.into()]).chain(std::env::args_os().skip(1));
    let set = [(BEEN_THERE.into(), "1".into()), ("XDG_RUNTIME_DIR".into(), runtime.into_os_string())];
    let kept = std::env::vars_os().filter(|(name, _)| name != "XDG_RUNTIME_DIR");
    let env =
        kept.chain(set).map(|(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let args = args.map(crate::sys::cstr).collect::<Result<Vec<CString>>>()?;
    let env = env.filter_map(|entry| CString::new(entry).ok()).collect::<Vec<_>>();
    Err(process::execve(&crate::sys::cstr(systemd_run)?, &args, &env))
}

/// The directory of the user's service manager, if there is one that answers: systemd-run would end with a message
/// and a status of its own.
fn manager() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = named.unwrap_or_else(|| Path::new("/run/user").join(cred::geteuid().to_string()));
    std::os::unix::net::UnixStream::connect(dir.join("bus")).ok().map(|_| dir)
}
