//! The limits and privileges in force for a running container, as the kernel reports them, not as they were planned.
//!
//! They are read from /proc (proc(5)), where not every user may read everything. PID 1 is undumpable, so only root can
//! read those of its files that need ptrace access. The report lists what could not be read.

pub(super) mod parse;

use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;
use crate::isolation::idmap::Extent;
use crate::isolation::rlimit::{self, Ulimit};
use crate::store::Store;
use crate::store::containers::{Container, short};
use crate::sys;
use crate::sys::proc::stat::Stat;
use crate::sys::process::{self, pid_t};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

pub use parse::Status;

/// A running container as it is.
pub struct InForce {
    pub command: RunningProcess,
    /// PID 1, if it is not the command itself.
    pub init: Option<RunningProcess>,
    pub uid_map: Vec<Extent>,
    pub gid_map: Vec<Extent>,
    /// `allow` or `deny`: whether setgroups(2) may be called.
    pub setgroups: String,
    pub mounts: Mounts,
    /// The lines of /proc/PID/cgroup: `hierarchy:controllers:path`.
    pub cgroups: Vec<String>,
    /// The files with the limits of the container's own cgroups, and their contents.
    pub cgroup_limits: Vec<(PathBuf, String)>,
}

/// One process.
pub struct RunningProcess {
    /// Its pid on the host.
    pub pid: pid_t,
    /// Its ids are the host's.
    pub status: Status,
    /// Whether other processes of its user may look into it.
    pub dumpable: Option<bool>,
    pub namespaces: Vec<Namespace>,
    pub limits: Vec<Ulimit>,
    pub oom_score_adj: Option<i32>,
    /// The errors of what could not be read.
    pub unreadable: Vec<String>,
}

/// The five sets of a process (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub inheritable: Set,
    pub permitted: Set,
    pub effective: Set,
    pub bounding: Set,
    pub ambient: Set,
}

pub struct Namespace {
    pub kind: &'static str,
    /// The target of the link in /proc/PID/ns: `pid:[4026531836]`.
    pub id: String,
    /// Whether it is not ours.
    pub own: bool,
}

/// The kernel's files that are hidden or read-only.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    pub masked: Vec<String>,
    pub read_only: Vec<String>,
    pub read_only_root: bool,
}

/// The kinds of namespaces, by their names in /proc/PID/ns.
pub const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Reads it all. The container must be running.
pub fn read(store: &Store, id: &str) -> Result<InForce> {
    let container = store.container(id)?;
    let ended = || Error::new(format_args!("Container {} is not running", short(id)));
    let state = &container.state;
    let processes = state.supervisor.zip(state.init).filter(|_| state.is_running() && state.is_alive);
    let (supervisor, init) = processes.map(|(supervisor, init)| (supervisor.pid, init.pid)).ok_or_else(ended)?;
    // While the supervisor lives, the pid cannot be reused. So it is checked again at the end.
    let is_ours = || process::parent_of(init) == Some(supervisor);
    let command = if container.has_init() { first_child(init) } else { Some(init) };
    let Some(command) = command.filter(|_| is_ours()) else { return Err(ended()) };
    let found = look_at(&container, init, command);
    if is_ours() { found } else { Err(ended()) }
}

fn look_at(container: &Container, init: pid_t, command: pid_t) -> Result<InForce> {
    let map = |file| text(command, file).map(|text| parse::id_map(&text));
    Ok(InForce {
        init: (init != command).then(|| RunningProcess::read(init)).transpose()?,
        uid_map: map("uid_map")?,
        gid_map: map("gid_map")?,
        setgroups: text(command, "setgroups")?.trim().to_owned(),
        mounts: parse::mounts(&bytes(command, "mountinfo")?),
        cgroups: text(command, "cgroup")?.lines().map(str::to_owned).collect(),
        cgroup_limits: cgroup_limits(container),
        command: RunningProcess::read(command)?,
    })
}

/// The command: the oldest of PID 1's children. The others are orphans that it has inherited.
fn first_child(init: pid_t) -> Option<pid_t> {
    let children = text(init, &format!("task/{init}/children")).ok()?;
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let start_time = |pid: &pid_t| Stat::of(*pid)?.number(22);
    pids.min_by_key(|pid| start_time(pid).unwrap_or(u64::MAX))
}

fn cgroup_limits(container: &Container) -> Vec<(PathBuf, String)> {
    let files = ["memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "pids.max"];
    let all = container.state.cgroup.iter().flat_map(|dir| files.map(|file| dir.join(file)));
    let read = |path: PathBuf| std::fs::read_to_string(&path).ok().map(|text| (path, text.trim().to_owned()));
    let mut found: Vec<_> = all.filter_map(read).collect();
    // One directory may serve two controllers of v1.
    found.dedup();
    found
}

impl RunningProcess {
    fn read(pid: pid_t) -> Result<RunningProcess> {
        let status = Status::parse(&text(pid, "status")?);
        let mut unreadable = Vec::new();
        let mut note = |error: Error| unreadable.push(error.to_string());
        let mut namespaces = Vec::new();
        for kind in NAMESPACES {
            match namespace(pid, kind) {
                Ok(found) => namespaces.extend(found),
                Err(error) => note(error),
            }
        }
        // The file belongs to root if the process is undumpable.
        let owner = std::fs::metadata(format!("/proc/{pid}/environ")).map(|meta| meta.uid());
        Ok(RunningProcess {
            pid,
            dumpable: owner.ok().zip(status.uids.get(1)).map(|(owner, uid)| owner == *uid),
            status,
            limits: text(pid, "limits").map(|text| rlimit::parse(&text)).unwrap_or_default(),
            oom_score_adj: text(pid, "oom_score_adj").ok().and_then(|text| text.trim().parse().ok()),
            namespaces,
            unreadable,
        })
    }
}

/// The namespace of that kind, `None` where this kernel has none.
fn namespace(pid: pid_t, kind: &'static str) -> Result<Option<Namespace>> {
    let link = |path: String| {
        let target = std::fs::read_link(&path).map_err(|e| Error::io(format_args!("read {path}"), &e))?;
        Ok(target.display().to_string())
    };
    let Ok::<String, Error>(ours) = link(format!("/proc/self/ns/{kind}")) else { return Ok(None) };
    let id = link(format!("/proc/{pid}/ns/{kind}"))?;
    Ok(Some(Namespace { kind, own: id != ours, id }))
}

fn text(pid: pid_t, file: &str) -> Result<String> {
    bytes(pid, file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes(pid: pid_t, file: &str) -> Result<Vec<u8>> {
    sys::fs::read_file(format!("/proc/{pid}/{file}"))
}
