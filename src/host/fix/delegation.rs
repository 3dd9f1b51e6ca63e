//! A cgroup that a user may use as his own (cgroups(7), "Delegation").
//!
//! With systemd the user's manager has one, and a drop-in file says which
//! controllers it gets. Without, root makes one in each hierarchy, which lasts until
//! the next boot. On v2 that is not enough: nobody may move even his own process
//! from a group where he may not write. So what the user runs now is moved below
//! his group, where all that it starts will be, too.

use super::{Step, User, make_directory, run, write_file};
use crate::error::Result;
use crate::isolation::cgroup::host::{DelegatedGroup, Hierarchies, LOGIN};
use crate::sys::proc;
use crate::sys::process::{self, pid_t};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const DROP_IN: &str = "/etc/systemd/system/user@.service.d/ccrun-delegate.conf";
const DELEGATE: &str = "[Service]\nDelegate=cpu cpuset io memory pids\n";

pub fn delegate(user: &User) -> Result<Step> {
    if Path::new("/run/systemd/system").is_dir() { by_systemd() } else { by_hand(user) }
}

fn by_systemd() -> Result<Step> {
    if std::fs::read_to_string(DROP_IN).is_ok_and(|old| old == DELEGATE) {
        return Ok(Step::Already("systemd delegates all controllers to users".into()));
    }
    let path = Path::new(DROP_IN);
    make_directory(path.parent().unwrap_or(Path::new("/")))?;
    write_file(path, DELEGATE)?;
    run("systemctl", &["daemon-reload"]).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    Ok(Step::Done(format!("told systemd to delegate all controllers to users, in {DROP_IN}; log in anew")))
}

fn by_hand(user: &User) -> Result<Step> {
    let groups = Hierarchies::read()?.for_user(user.uid);
    if groups.is_empty() {
        return Ok(Step::Left("no cgroups are mounted here, so that there is none to delegate".into()));
    }
    let pids = processes_of(user.uid);
    let (mut made, mut limited) = (Vec::new(), Vec::new());
    for group in &groups {
        if !group.is_made_for(user.uid) {
            // The last container of root's there takes the group above away with it.
            group.make(user.uid, user.gid).or_else(|error| match error.errno() {
                Some(libc::ENOENT) => group.make(user.uid, user.gid),
                _ => Err(error),
            })?;
            made.push(group.dir.display().to_string());
        }
        limited.extend(group.limit_as(&pids)?);
    }
    let unified: Vec<&DelegatedGroup> = groups.iter().filter(|group| group.is_v2).collect();
    let moved = pids.iter().filter(|pid| unified.iter().any(|group| adopt(group, user.uid, **pid))).count();
    let mut done = Vec::new();
    if !made.is_empty() {
        done.push(format!("gave {} the cgroups {} until the next boot", user.name, made.join(" ")));
    }
    match moved {
        0 => {}
        1 => done.push(format!("moved a process of {} there", user.name)),
        _ => done.push(format!("moved {moved} processes of {} there", user.name)),
    }
    if !limited.is_empty() {
        done.push(format!("took over the limits of the groups that {} is in: {}", user.name, limited.join(", ")));
    }
    Ok(match done.is_empty() {
        true => Step::Already(format!("{} has cgroups", user.name)),
        false => Step::Done(done.join("; ")),
    })
}

/// The processes that the user runs.
fn processes_of(uid: u32) -> Vec<pid_t> {
    proc::pids().into_iter().filter(|pid| is_run_by(*pid, uid)).collect()
}

fn is_run_by(pid: pid_t, uid: u32) -> bool {
    std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == uid)
}

/// Moves a process of the user's below their group, if it is elsewhere; returns whether it has. The kernel wants its
/// number, which another process may get meanwhile: as long as ours is there, which its pidfd knows, none has.
fn adopt(group: &DelegatedGroup, uid: u32, pid: pid_t) -> bool {
    let Ok(process) = process::pidfd_open(pid) else { return false };
    let procs = group.dir.join(LOGIN).join("cgroup.procs");
    let is_there = || process.signal(0).is_ok();
    if !is_run_by(pid, uid) || group.elsewhere(pid).is_none() || !is_there() {
        return false;
    }
    let moved = std::fs::write(&procs, pid.to_string()).is_ok();
    if moved && !is_there() && !is_run_by(pid, uid) {
        // A stranger, if any: a new process is where its parent is.
        let parent = process::parent_of(pid).and_then(|parent| group.elsewhere(parent));
        let _ = parent.map(|group| std::fs::write(group.join("cgroup.procs"), pid.to_string()));
        return false;
    }
    moved
}
