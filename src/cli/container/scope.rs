//! A cgroup for a user who has none: systemd delegates a part of its hierarchy (systemd-run(1), Delegate=).
//!
//! A login session is in a cgroup of systemd's own, where its user may make nothing. The user's service manager has a
//! subtree, but a process needs write access to both ends to move there. So we ask the manager to start us there, in a
//! *scope*, which keeps our process, terminal and environment.

use super::flags::resources::CGROUP_PARENT;
use crate::cli::args::Parsed;
use crate::error::{Error, Result};
use crate::isolation::cgroup::{Cgroup, Limits};
use crate::sys::{cred, process};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Set in the environment of the second run, so that we do not ask twice.
const BEEN_THERE: &str = "CCRUN_IN_SCOPE";

/// Executes the same command line in a scope of its own, if `limits` need a cgroup that can only be made there. Otherwise
/// does nothing: making the cgroup reports what is missing.
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

/// The runtime directory of the user's service manager, if one answers. Without one systemd-run would fail with a message
/// of its own.
fn manager() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = named.unwrap_or_else(|| Path::new("/run/user").join(cred::geteuid().to_string()));
    std::os::unix::net::UnixStream::connect(dir.join("bus")).ok().map(|_| dir)
}
