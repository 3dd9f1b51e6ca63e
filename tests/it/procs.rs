//! Processes as the host sees them.

use crate::sandbox::{eventually, pause};
use crate::sys;
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub zombie: bool,
}

pub fn all() -> Vec<Process> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        let stat = String::from_utf8_lossy(&stat);
        let Some(close) = stat.rfind(") ") else { continue };
        let mut rest = stat[close + 2..].split(' ');
        let zombie = rest.next().is_some_and(|state| state == "Z" || state == "X");
        let parent = rest.next().and_then(|ppid| ppid.parse().ok()).unwrap_or(0);
        all.push(Process { pid, parent, zombie });
    }
    all
}

/// All that descend from `root`.
pub fn descendants(root: i32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// Our descendants once the dying have died; those that remain.
pub fn left_behind() -> Vec<Process> {
    let me = std::process::id() as i32;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        while sys::reap() {}
        let left: Vec<Process> = descendants(me).into_iter().filter(|process| !process.zombie).collect();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        pause(5);
    }
}

/// The command lines of all processes, their arguments joined by spaces.
pub fn cmdlines() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

/// Among our descendants, the one with exactly these arguments; waits for it.
#[track_caller]
pub fn with_args(args: &[&str]) -> i32 {
    let mut found = 0;
    eventually(&format!("a process {args:?}"), || {
        found = find_args(args).first().copied().unwrap_or(0);
        found != 0
    });
    found
}

pub fn find_args(args: &[&str]) -> Vec<i32> {
    let wanted: Vec<u8> = args.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
    let is_it = |process: &Process| {
        std::fs::read(format!("/proc/{}/cmdline", process.pid)).is_ok_and(|cmdline| cmdline == wanted)
    };
    descendants(std::process::id() as i32).iter().filter(|process| is_it(process)).map(|process| process.pid).collect()
}

/// A line of /proc/PID/status: the words behind `name:`.
pub fn status(pid: i32, name: &str) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("").split_whitespace().map(str::to_owned).collect()
}

/// The directories of every cgroup that the process is in, on whatever hierarchies this host has.
pub fn cgroup_dirs(pid: i32) -> Vec<std::path::PathBuf> {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut dirs = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        for mount in mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            let [_, target, kind, options, ..] = fields[..] else { continue };
            let same = match kind {
                "cgroup2" => controllers.is_empty(),
                "cgroup" => {
                    !controllers.is_empty() && controllers.split(',').all(|one| options.split(',').any(|o| o == one))
                }
                _ => false,
            };
            if same {
                dirs.push(std::path::Path::new(target).join(path.trim_start_matches('/')));
            }
        }
    }
    dirs
}
