//! The command: the steps between the fork from PID 1 and execve, in an order that leaves no privilege behind.

use super::{COMMAND, Side, run_all};
use crate::container::plan::Plan;
use crate::container::spec::Security;
use crate::container::user::{self, User};
use crate::error::{Error, Result};
use crate::isolation::mounts::{self, Kind};
use crate::isolation::seccomp::Filter;
use crate::isolation::{capabilities, emulation, keyring, procfs, rlimit};
use crate::sys::channel::{Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, namespace, proc, process, signal, tty};
use libc::{O_DIRECTORY, O_PATH};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The state of the command's steps: what one step leaves for the next ones.
pub struct Prepare<'a> {
    plan: &'a Plan<'a>,
    supervisor: &'a Channel,
    terminal: Option<OwnedFd>,
    /// Leads to the process that emulates root, if one does.
    channel: Option<&'a Channel>,
    user: User,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl<'a> Prepare<'a> {
    pub fn new(
        plan: &'a Plan<'a>,
        supervisor: &'a Channel,
        terminal: Option<OwnedFd>,
        channel: Option<&'a Channel>,
    ) -> Prepare<'a> {
        Prepare { plan, supervisor, terminal, channel, user: User::default(), args: Vec::new(), env: Vec::new() }
    }

    /// Runs the steps and becomes the command; returns only if one fails.
    pub fn run(mut self) -> Error {
        let kept = run_all(Side::Command, COMMAND, |step| step(&mut self));
        kept.err().unwrap_or_else(|| Error::new("the command was not executed"))
    }
}

/// Makes a process group. The command has a terminal of its own, so that nothing inside can type into the user's shell.
pub fn lead_job(prepare: &mut Prepare<'_>) -> Result<()> {
    if prepare.plan.spec.init { process::lead_group() } else { Ok(()) }
}

pub fn find_user(prepare: &mut Prepare<'_>) -> Result<()> {
    let process = &prepare.plan.spec.process;
    prepare.user = user::find(process)?;
    if process.user.is_empty() && process.groups.is_empty() {
        return Ok(());
    }
    let User { uid, gid, groups, .. } = &prepare.user;
    prepare.supervisor.send(&Message::User { uid: *uid, gid: *gid, groups: groups.clone() }, &[])
}

pub fn connect_streams(prepare: &mut Prepare<'_>) -> Result<()> {
    let plan = prepare.plan;
    plan.streams.connect(&plan.spec.process.streams, prepare.terminal.as_ref().map(AsFd::as_fd))?;
    if let Some(terminal) = prepare.terminal.take() {
        tty::tcsetpgrp(terminal.as_fd(), process::getpgrp())?;
        if prepare.user.uid != 0 && !plan.single_id {
            let group = fs::fstat(terminal.as_fd())?.gid;
            fs::fchown(terminal.as_fd(), prepare.user.uid, group)?;
        }
    }
    Ok(())
}

pub fn enter_directory(prepare: &mut Prepare<'_>) -> Result<()> {
    enter(&prepare.plan.spec.process.cwd)
}

pub fn become_single(prepare: &mut Prepare<'_>) -> Result<()> {
    let user = &prepare.user;
    match prepare.channel {
        Some(channel) if user.uid == 0 => begin_emulation(channel, user),
        _ if prepare.plan.single_id => {
            make_single(user)?;
            only_own_group(user)
        }
        _ => Ok(()),
    }
}

/// Drops from the bounding set. Our own capabilities are dropped in the last step.
pub fn bound_capabilities(prepare: &mut Prepare<'_>) -> Result<()> {
    capabilities::bound(prepare.plan.spec.security.capabilities)
}

pub fn become_user(prepare: &mut Prepare<'_>) -> Result<()> {
    let (plan, user) = (prepare.plan, &prepare.user);
    if plan.single_id {
        return Ok(());
    }
    let groups = if plan.spec.process.keep_groups { Ok(()) } else { cred::setgroups(&user.groups) };
    groups.and_then(|()| cred::setresgid(user.gid)).map_err(|error| unmapped(error, user))?;
    cred::keep_capabilities()?;
    cred::setresuid(user.uid).map_err(|error| unmapped(error, user))
}

pub fn join_keyring(prepare: &mut Prepare<'_>) -> Result<()> {
    keyring::join_own()?;
    // The change of user has cleared this.
    if prepare.plan.spec.init { Ok(()) } else { cred::set_pdeathsig(libc::SIGKILL) }
}

pub fn clean_up(prepare: &mut Prepare<'_>) -> Result<()> {
    signal::reset_all();
    signal::unblock_all()?;
    fs::umask(prepare.plan.spec.process.umask);
    process::cloexec_from(3);
    let process = &prepare.plan.spec.process;
    let mut env = process.env.clone();
    let has_home = |entry: &OsString| entry.as_bytes().starts_with(b"HOME=") && entry.len() > 5;
    if !env.iter().any(has_home) {
        env.retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
        env.push(format!("HOME={}", prepare.user.home).into());
    }
    let strings = |list: &[OsString]| list.iter().map(crate::sys::cstr).collect::<Result<Vec<CString>>>();
    (prepare.args, prepare.env) = (strings(&process.args)?, strings(&env)?);
    Ok(())
}

pub fn set_limits(prepare: &mut Prepare<'_>) -> Result<()> {
    rlimit::apply(&prepare.plan.spec.process.ulimits)
}

pub fn give_up_power(prepare: &mut Prepare<'_>) -> Result<()> {
    shut(&prepare.plan.spec.security, prepare.plan.filter, prepare.user.uid)
}

pub fn execute(prepare: &mut Prepare<'_>) -> Result<()> {
    Err(run(&prepare.args, &prepare.env))
}

/// Loads the system call filter and drops our capabilities. The filter applies to us, too, so it comes when almost no
/// system call is left for a profile to forbid: capset and execve, or execve alone with no_new_privs, which allows a
/// filter without a capability. Docker's runtime needs more system calls after it.
fn shut(security: &Security, filter: Option<&Filter>, uid: u32) -> Result<()> {
    if security.no_new_privileges {
        capabilities::keep(security.capabilities, uid)?;
        cred::set_no_new_privs()?;
        return filter.map_or(Ok(()), Filter::load);
    }
    if let Some(filter) = filter {
        if uid != 0 {
            capabilities::keep_admin()?;
        }
        filter.load()?;
    }
    capabilities::keep(security.capabilities, uid)
}

/// The most supplementary groups that one message carries.
const MOST_GROUPS: usize = 1024;

/// Loads the filter of root emulation and sends its listener: from here on, the process at the other end of `channel`
/// answers our calls.
fn begin_emulation(channel: &Channel, user: &User) -> Result<()> {
    let groups = user.groups[..user.groups.len().min(MOST_GROUPS)].to_vec();
    let listener = emulation::listen()?;
    channel.send(&Message::Listener { uid: user.uid, gid: user.gid, groups }, &[listener.as_fd()])
}

/// With a single id there is only one user. Another user gets a user namespace of their own, which maps their uid and
/// gid to the single ones (user_namespaces(7)).
fn make_single(user: &User) -> Result<()> {
    if (user.uid, user.gid) == (0, 0) {
        return Ok(());
    }
    namespace::unshare(process::CLONE_NEWUSER)?;
    // While we are undumpable, our /proc files belong to the host's root. No other process is here yet to look in.
    cred::set_dumpable()?;
    for (file, text) in [("uid_map", format!("{} 0 1", user.uid)), ("gid_map", format!("{} 0 1", user.gid))] {
        let written = fs::write_all(procfs::open_own(file)?.as_fd(), text.as_bytes());
        written.map_err(|error| error.renamed(format_args!("write {text:?} to /proc/self/{file}")))?;
    }
    cred::set_undumpable()
}

/// Groups cannot be set with a single id: the kernel refuses setgroups(2), because a process could leave a group that a
/// file's mode excludes (CVE-2014-8989). The image's own memberships are ignored; --group-add is an error.
fn only_own_group(user: &User) -> Result<()> {
    if user.added.iter().all(|group| *group == user.gid) {
        return Ok(());
    }
    Err(Error::new(format_args!("--group-add: only one id exists in this container, group {}", user.gid)).hint(
        "give your user a range of ids for more: a line in /etc/subuid and in /etc/subgid, and newuidmap (package uidmap)",
    ))
}

/// Adds the valid ids to the error of an id that is outside the map.
fn unmapped(error: Error, user: &User) -> Error {
    if error.errno() != Some(libc::EINVAL) {
        return error;
    }
    let ids = |file: &str| {
        let map = fs::read_text(format!("/proc/self/{file}")).unwrap_or_default();
        proc::id_map(&map).map(|[inside, _, count]| inside.saturating_add(count)).max().unwrap_or(0).saturating_sub(1)
    };
    let (uids, gids) = (ids("uid_map"), ids("gid_map"));
    let outside = user.groups.iter().find(|group| u64::from(**group) > gids);
    let what = match outside {
        Some(group) => format!("group {group} of user {}:{}", user.uid, user.gid),
        None => format!("user {}:{}", user.uid, user.gid),
    };
    Error::new(format_args!("{what} is outside this container's id map")).hint(format_args!(
        "uids from 0 to {uids} and gids from 0 to {gids} are mapped; a user's range stands in /etc/subuid and /etc/subgid"
    ))
}

/// Enters the working directory, and makes it if it is missing. Follows no magic links: /proc/self/fd/7 in an image's
/// config would lead to one of our descriptors (CVE-2024-21626).
fn enter(cwd: &Path) -> Result<()> {
    let root = fs::open(c"/", O_PATH | O_DIRECTORY, 0)?;
    let dir =
        mounts::mount_point(root.as_fd(), cwd, Kind::Directory).map_err(|error| error.context("working directory"))?;
    if !fs::fstat(dir.as_fd())?.is_dir() {
        return Err(Error::new(format_args!("Cannot mkdir: {} is not a directory", cwd.display())));
    }
    process::fchdir(dir.as_fd())?;
    // The kernel says "(unreachable)…" of a directory outside our root.
    match process::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => Err(Error::new(format_args!("the working directory {} is outside the container", cwd.display()))),
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
        Some(_) => Error::new(format_args!("exec: \"{shown}\": permission denied")).with_status(126),
        None => Error::new(format_args!("exec: \"{shown}\": executable file not found in $PATH")).with_status(127),
    }
}

/// Docker's message and exit status for a program that cannot be started.
fn explain(error: Error, file: &CStr, shown: &str) -> Error {
    let message = |text: &str| format!("exec: \"{shown}\": {text}");
    match error.errno() {
        Some(libc::ENOENT) if exists(file) => Error::new(message("no such file or directory"))
            .hint("the file is there, but the interpreter or dynamic loader that it names is not")
            .with_status(127),
        Some(libc::ENOENT | libc::ENOTDIR) => {
            Error::new(message(&format!("stat {shown}: no such file or directory"))).with_status(127)
        }
        Some(libc::EACCES) => Error::new(message("permission denied")).with_status(126),
        Some(libc::ENOEXEC) => Error::new(message("exec format error"))
            .hint("it is made for another kind of processor, or is a script without a #! line")
            .with_status(126),
        _ => error.context(message("cannot be run")).with_status(126),
    }
}

fn exists(file: &CStr) -> bool {
    fs::lstat(OsStr::from_bytes(file.to_bytes())).is_ok()
}
