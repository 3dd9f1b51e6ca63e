//! The command: what happens between the fork from PID 1 and the first
//! instruction of the program, in an order that leaves no power behind.

use super::emulation;
use super::plan::Plan;
use super::spec::Security;
use super::user::{self, User};
use crate::error::{Error, Result};
use crate::isolation::mounts::{self, Kind};
use crate::isolation::seccomp::Filter;
use crate::isolation::{capabilities, keyring, procfs, rlimit};
use crate::sys::{cred, fs, namespace, process, signal, tty};
use libc::{O_DIRECTORY, O_PATH};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Becomes the command; gives only what kept it from that. At the other end of `channel`, if there is one, somebody
/// is ready to emulate root.
pub fn exec(plan: &Plan<'_>, terminal: Option<OwnedFd>, channel: Option<&OwnedFd>) -> Error {
    match prepare(plan, terminal, channel) {
        Ok((args, env)) => run(&args, &env),
        Err(error) => error,
    }
}

fn prepare(
    plan: &Plan<'_>,
    terminal: Option<OwnedFd>,
    channel: Option<&OwnedFd>,
) -> Result<(Vec<CString>, Vec<CString>)> {
    let process = &plan.spec.process;
    // 1. A process group of its own in the session that PID 1 leads: the foreground one, if there is a terminal.
    //    The caller's terminal is none of its streams, so that nothing inside can type into the user's shell.
    if plan.spec.init {
        process::lead_group()?;
    }
    let user = user::find(process)?;
    plan.streams.connect(&process.streams, terminal.as_ref().map(AsFd::as_fd))?;
    if let Some(terminal) = terminal {
        tty::tcsetpgrp(terminal.as_fd(), process::getpgrp())?;
        if user.uid != 0 && !plan.single_id {
            let group = fs::fstat(terminal.as_fd())?.gid;
            fs::fchown(terminal.as_fd(), user.uid, group)?;
        }
    }

    // 2. The working directory, while we may make it and go anywhere.
    enter(&process.cwd)?;

    // 3. Give up power: first what programs may ever gain, then groups, group and user, in this order, as
    //    each step needs what the next one drops. Our own capabilities are left for the last step.
    match channel {
        Some(channel) if user.uid == 0 => emulation::begin(channel, &user)?,
        _ if plan.single_id => {
            become_single(&user)?;
            only_own_group(&user)?;
        }
        _ => {}
    }
    capabilities::bound(plan.spec.security.capabilities)?;
    if !plan.single_id {
        let groups = if process.keep_groups { Ok(()) } else { cred::setgroups(&user.groups) };
        groups.and_then(|()| cred::setresgid(user.gid)).map_err(|e| unmapped(e, &user))?;
        cred::keep_capabilities()?;
        cred::setresuid(user.uid).map_err(|e| unmapped(e, &user))?;
    }
    keyring::join_own()?;
    if !plan.spec.init {
        // The change of user has cleared it.
        cred::set_pdeathsig(libc::SIGKILL)?;
    }

    // 4. Leave nothing behind that a program would inherit: ignored and blocked signals, descriptors.
    signal::reset_all();
    signal::unblock_all()?;
    fs::umask(process.umask);
    process::cloexec_from(3);

    let mut env = process.env.clone();
    let has_home = |entry: &OsString| entry.as_bytes().starts_with(b"HOME=") && entry.len() > 5;
    if !env.iter().any(has_home) {
        env.retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
        env.push(format!("HOME={}", user.home).into());
    }
    let strings = |list: &[OsString]| list.iter().map(crate::sys::cstr).collect::<Result<Vec<CString>>>();
    let (args, env) = (strings(&process.args)?, strings(&env)?);
    rlimit::apply(&process.ulimits)?;
    shut(&plan.spec.security, user.uid)?;
    Ok((args, env))
}

/// 5. The system call filter, and the end of our own power. A filter judges us too, so that it comes when
///    nothing is left to do that a profile might forbid: capset and execve alone, or with no_new_privs,
///    which allows it without a capability, execve alone. Docker's runtime needs more of a profile.
fn shut(security: &Security, uid: u32) -> Result<()> {
    if security.no_new_privileges {
        capabilities::keep(security.capabilities, uid)?;
        cred::set_no_new_privs()?;
        return security.filter.as_ref().map_or(Ok(()), Filter::load);
    }
    if let Some(filter) = &security.filter {
        if uid != 0 {
            capabilities::keep_admin()?;
        }
        filter.load()?;
    }
    capabilities::keep(security.capabilities, uid)
}

/// With one id there is only one user: whoever is asked for is made in a user namespace of his own, where
/// our single id has his number (user_namespaces(7)).
fn become_single(user: &User) -> Result<()> {
    if (user.uid, user.gid) == (0, 0) {
        return Ok(());
    }
    namespace::unshare(process::CLONE_NEWUSER)?;
    // Our /proc files are the host's root's as long as we cannot be dumped. Nobody is here yet to look in.
    cred::set_dumpable()?;
    for (file, text) in [("uid_map", format!("{} 0 1", user.uid)), ("gid_map", format!("{} 0 1", user.gid))] {
        let written = procfs::open_own(file)?.write_all(text.as_bytes());
        written.map_err(|e| Error::io(format!("write {text:?} to /proc/self/{file}"), &e))?;
    }
    cred::set_undumpable()
}

/// Groups cannot be chosen with one id: the kernel refuses setgroups(2), or a process could leave a group that a
/// file's mode excludes (CVE-2014-8989). The image's own memberships are left out; one that was asked for is not.
fn only_own_group(user: &User) -> Result<()> {
    if user.added.iter().all(|group| *group == user.gid) {
        return Ok(());
    }
    Err(Error::new(format!("--group-add: only one id exists in this container, group {}", user.gid)).hint(
        "give your user a range of ids for more: a line in /etc/subuid and in /etc/subgid, and newuidmap (package uidmap)",
    ))
}

/// Says which ids there are, when the kernel refused one that is not in the map.
fn unmapped(error: Error, user: &User) -> Error {
    if error.errno() != Some(libc::EINVAL) {
        return error;
    }
    let ids = |file: &str| {
        let map = fs::read_text(format!("/proc/self/{file}")).unwrap_or_default();
        let numbers = |line: &str| line.split_whitespace().map_while(|n| n.parse().ok()).collect::<Vec<u64>>();
        let ends = map.lines().map(numbers).filter_map(|n| Some(n.first()? + n.get(2)?));
        ends.max().unwrap_or(0).saturating_sub(1)
    };
    let (uids, gids) = (ids("uid_map"), ids("gid_map"));
    let outside = user.groups.iter().find(|group| u64::from(**group) > gids);
    let what = match outside {
        Some(group) => format!("group {group} of user {}:{}", user.uid, user.gid),
        None => format!("user {}:{}", user.uid, user.gid),
    };
    Error::new(format!("{what} is outside this container's id map")).hint(format!(
        "uids from 0 to {uids} and gids from 0 to {gids} are mapped; a user's range stands in /etc/subuid and /etc/subgid"
    ))
}

/// Goes to the working directory, which is made if it is missing. The way there leads through no magic link
/// (/proc/self/fd/7 of an image's config would lead to a descriptor of ours, CVE-2024-21626).
fn enter(cwd: &Path) -> Result<()> {
    let root = fs::open(c"/", O_PATH | O_DIRECTORY, 0)?;
    let dir =
        mounts::mount_point(root.as_fd(), cwd, Kind::Directory).map_err(|error| error.context("working directory"))?;
    if !fs::fstat(dir.as_fd())?.is_dir() {
        return Err(Error::new(format!("Cannot mkdir: {} is not a directory", cwd.display())));
    }
    process::fchdir(dir.as_fd())?;
    // The kernel says "(unreachable)…" of a directory outside our root.
    match std::env::current_dir() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => Err(Error::new(format!("the working directory {} is outside the container", cwd.display()))),
    }
}

/// execve(2) of the first of `args`, looked up in PATH if it has no slash.
fn run(args: &[CString], env: &[CString]) -> Error {
    let name = args[0].as_bytes();
    let shown = String::from_utf8_lossy(name).into_owned();
    if name.contains(&b'/') {
        return explain(process::execve(&args[0], args, env), &args[0], &shown);
    }
    let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    let mut refused = None;
    for dir in path.split(|b| *b == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        let Ok(file) = crate::sys::cstr(OsString::from_vec([dir, b"/", name].concat())) else { continue };
        let error = process::execve(&file, args, env);
        match error.errno() {
            Some(libc::ENOENT | libc::ENOTDIR) if !exists(&file) => {}
            Some(libc::EACCES) => refused = refused.or(Some(file)),
            _ => return explain(error, &file, &shown),
        }
    }
    match refused {
        Some(_) => Error::new(format!("exec: \"{shown}\": permission denied")).with_status(126),
        None => Error::new(format!("exec: \"{shown}\": executable file not found in $PATH")).with_status(127),
    }
}

/// Docker's words and exit statuses for a program that cannot be started.
fn explain(error: Error, file: &CStr, shown: &str) -> Error {
    let said = |text: &str| format!("exec: \"{shown}\": {text}");
    match error.errno() {
        Some(libc::ENOENT) if exists(file) => Error::new(said("no such file or directory"))
            .hint("the file is there, but the interpreter or dynamic loader that it names is not")
            .with_status(127),
        Some(libc::ENOENT | libc::ENOTDIR) => {
            Error::new(said(&format!("stat {shown}: no such file or directory"))).with_status(127)
        }
        Some(libc::EACCES) => Error::new(said("permission denied")).with_status(126),
        Some(libc::ENOEXEC) => Error::new(said("exec format error"))
            .hint("it is made for another kind of processor, or is a script without a #! line")
            .with_status(126),
        _ => error.context(said("cannot be run")).with_status(126),
    }
}

fn exists(file: &CStr) -> bool {
    std::fs::symlink_metadata(OsStr::from_bytes(file.to_bytes())).is_ok()
}
