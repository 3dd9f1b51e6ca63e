//! Control groups: how much of the machine a container may use (cgroups(7)).
//!
//! Two kinds are about. In *v2* one tree holds all controllers; a group that hands
//! controllers on to its children may hold no process itself, so a container's
//! group goes into the nearest ancestor of ours that can have one. In *v1* each
//! controller has a tree of its own, and the group is made below ours in each.
//! *Hybrid* machines have v1 controllers and a v2 tree without any. Which it is
//! stands in /proc/self/mountinfo, controller by controller.

use crate::error::{Error, Result};
use crate::sys::{fs, process, signal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a container may use at most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory; swap does not add to it.
    pub memory: Option<u64>,
    /// Microseconds of CPU time in each [`PERIOD`].
    pub cpu_quota: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// The span of time over which `cpu_quota` counts, in microseconds.
pub const PERIOD: u64 = 100_000;

impl Limits {
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    fn controllers(&self) -> Vec<&'static str> {
        let asked = [("memory", self.memory), ("cpu", self.cpu_quota), ("pids", self.pids)];
        asked.into_iter().filter(|(_, limit)| limit.is_some()).map(|(name, _)| name).collect()
    }
}

/// A container's group: one directory on v2, one for each controller on v1.
#[derive(Debug, Default)]
pub struct Cgroup {
    limits: Limits,
    /// The v2 directory with the controllers that are used there.
    unified: Option<(Vec<&'static str>, PathBuf)>,
    /// Controllers with their v1 directories; one directory may serve two.
    v1: Vec<(&'static str, PathBuf)>,
}

impl Cgroup {
    /// Finds the place for a group called `name` that can hold `limits`. It is not made yet, so that the place
    /// can be noted first and is found again whatever happens.
    pub fn plan(name: &str, limits: &Limits) -> Result<Cgroup> {
        let mut group = Cgroup { unified: None, v1: Vec::new(), limits: limits.clone() };
        if limits.is_empty() {
            return Ok(group);
        }
        let mountinfo = read("/proc/self/mountinfo")?;
        let own = read("/proc/self/cgroup")?;
        let mut unified = Vec::new();
        for controller in limits.controllers() {
            match v1_directory(&mountinfo, &own, controller) {
                Some(parent) => group.v1.push((controller, parent.join(name))),
                None => unified.push(controller),
            }
        }
        if !unified.is_empty() {
            let parent = unified_parent(&mountinfo, &own, &unified)?;
            group.unified = Some((unified, parent.join(name)));
        }
        Ok(group)
    }

    /// Makes the group with its limits. One that cannot be applied is an error.
    pub fn make(&self) -> Result<()> {
        for (controller, dir) in &self.v1 {
            make(dir).map_err(|error| not_ours(error, controller))?;
            write_v1(dir, controller, &self.limits)?;
        }
        if let Some((controllers, dir)) = &self.unified {
            make(dir).map_err(|error| not_ours(error, controllers[0]))?;
            controllers.iter().try_for_each(|controller| write_v2(dir, controller, &self.limits))?;
        }
        Ok(())
    }

    /// The v2 directory, for clone3 to start the child inside.
    pub fn open_unified(&self) -> Result<Option<OwnedFd>> {
        let open = |dir: &PathBuf| fs::open(&crate::sys::cstr(dir)?, libc::O_PATH | libc::O_DIRECTORY, 0);
        self.unified.as_ref().map(|(_, dir)| open(dir)).transpose()
    }

    /// Moves the process into the v1 groups.
    pub fn join(&self, pid: process::pid_t) -> Result<()> {
        self.v1.iter().try_for_each(|(_, dir)| write(&dir.join("cgroup.procs"), &pid.to_string()))
    }

    /// Its directories, to be found again by [`Cgroup::from_paths`] when the supervisor has died.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().map(|(_, dir)| dir.as_path());
        self.unified.iter().map(|(_, dir)| dir.as_path()).chain(v1)
    }

    pub fn from_paths(paths: impl IntoIterator<Item = PathBuf>) -> Cgroup {
        Cgroup { v1: paths.into_iter().map(|dir| ("", dir)).collect(), ..Cgroup::default() }
    }

    /// Kills what is left inside and removes the directories. The kernel lets go of a dead process's
    /// group a moment after its end, so that it may take a few tries.
    pub fn remove(&self) {
        for dir in self.paths() {
            let end = Instant::now() + Duration::from_secs(5);
            while let Err(error) = std::fs::remove_dir(dir) {
                if error.raw_os_error() != Some(libc::EBUSY) || Instant::now() > end {
                    break;
                }
                let _ = std::fs::write(dir.join("cgroup.kill"), "1");
                let left = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                for pid in left.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
                    let _ = signal::kill(pid, libc::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn write_v2(dir: &Path, controller: &str, limits: &Limits) -> Result<()> {
    match controller {
        "memory" => {
            write(&dir.join("memory.max"), &limits.memory.unwrap_or(u64::MAX).to_string())?;
            write_if_there(&dir.join("memory.swap.max"), "0")
        }
        "cpu" => write(&dir.join("cpu.max"), &format!("{} {PERIOD}", limits.cpu_quota.unwrap_or(PERIOD))),
        _ => write(&dir.join("pids.max"), &limits.pids.unwrap_or(u64::MAX).to_string()),
    }
}

fn write_v1(dir: &Path, controller: &str, limits: &Limits) -> Result<()> {
    match controller {
        "memory" => {
            let bytes = limits.memory.unwrap_or(u64::MAX).to_string();
            // In this order: memory and swap together may never be less than memory alone.
            write(&dir.join("memory.limit_in_bytes"), &bytes)?;
            write_if_there(&dir.join("memory.memsw.limit_in_bytes"), &bytes)
        }
        "cpu" => {
            write(&dir.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
            write(&dir.join("cpu.cfs_quota_us"), &limits.cpu_quota.unwrap_or(PERIOD).to_string())
        }
        _ => write(&dir.join("pids.max"), &limits.pids.unwrap_or(u64::MAX).to_string()),
    }
}

/// Our own directory in the v1 tree of `controller`, if there is such a tree.
fn v1_directory(mountinfo: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let (root, point) = mounts(mountinfo).find(|m| m.2 == "cgroup" && has(m.3)).map(|m| (m.0, m.1))?;
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        if has(fields.next()?) { fields.next() } else { None }
    })?;
    below(&point, &root, path)
}

/// The nearest group, from our own upwards, that can hand `controllers` on to a child.
fn unified_parent(mountinfo: &str, own: &str, controllers: &[&str]) -> Result<PathBuf> {
    let missing = || {
        Error::new(format!("no cgroup controller '{}' on this host", controllers.join("', '")))
            .hint("limits need /sys/fs/cgroup mounted with it")
    };
    let (root, point) = mounts(mountinfo).find(|m| m.2 == "cgroup2").map(|m| (m.0, m.1)).ok_or_else(missing)?;
    let there = std::fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
    if !controllers.iter().all(|name| there.split_whitespace().any(|word| word == *name)) {
        return Err(missing());
    }
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let ours = below(&point, &root, path).ok_or_else(missing)?;
    let mut refused = None;
    for dir in ours.ancestors().take_while(|dir| dir.starts_with(&point)) {
        match hand_on(dir, controllers).or_else(|error| make_room(dir, &ours, controllers).ok_or(error)) {
            Ok(()) if may_make_children(dir) => return Ok(dir.to_owned()),
            Ok(()) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let error = refused.unwrap_or_else(|| Error::call(format!("mkdir below {}", ours.display()), libc::EACCES));
    Err(not_ours(error, controllers[0]))
}

/// Lets the children of `dir` have `controllers`.
fn hand_on(dir: &Path, controllers: &[&str]) -> Result<()> {
    let control = dir.join("cgroup.subtree_control");
    let on = std::fs::read_to_string(&control).unwrap_or_default();
    let off: Vec<String> = controllers
        .iter()
        .filter(|name| !on.split_whitespace().any(|word| word == **name))
        .map(|name| format!("+{name}"))
        .collect();
    if off.is_empty() { Ok(()) } else { write(&control, &off.join(" ")) }
}

/// A group that was delegated to us holds us ourselves, and so cannot hand anything on (EBUSY) until we
/// have moved into a child of it.
fn make_room(dir: &Path, ours: &Path, controllers: &[&str]) -> Option<()> {
    let alone = std::fs::read_to_string(dir.join("cgroup.procs")).ok()?.trim() == process::getpid().to_string();
    if dir != ours || !alone || dir.parent().is_none() {
        return None;
    }
    let leaf = dir.join("ccrun-supervisor");
    if !leaf.is_dir() {
        std::fs::create_dir(&leaf).ok()?;
    }
    std::fs::write(leaf.join("cgroup.procs"), process::getpid().to_string()).ok()?;
    hand_on(dir, controllers).ok()
}

/// Whether we may make groups in `dir`, tried, as a mode alone does not tell.
fn may_make_children(dir: &Path) -> bool {
    let probe = dir.join(format!("ccrun-probe-{}", process::getpid()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
}

/// Root, mount point, type and super options of each mount (proc_pid_mountinfo(5)).
fn mounts(mountinfo: &str) -> impl Iterator<Item = (String, PathBuf, &str, &str)> {
    mountinfo.lines().filter_map(|line| {
        let (mount, fs) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut fs = fs.split(' ');
        Some((mount.next()?.to_owned(), PathBuf::from(mount.next()?), fs.next()?, fs.nth(1)?))
    })
}

/// Where the group `path` is below a mount at `point` that shows the tree from `root` on.
fn below(point: &Path, root: &str, path: &str) -> Option<PathBuf> {
    let inside = Path::new(path).strip_prefix(root).ok()?;
    Some(point.join(inside))
}

fn make(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(dir).map_err(|e| Error::io(format!("mkdir {}", dir.display()), &e))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io(format!("read {path}"), &e))
}

fn write(path: &Path, text: &str) -> Result<()> {
    // Not fs::write: the kernel makes these files, and a missing one means a missing controller.
    let written = std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| {
        use std::io::Write;
        file.write_all(text.as_bytes())
    });
    written.map_err(|e| Error::io(format!("write {text:?} to {}", path.display()), &e))
}

fn write_if_there(path: &Path, text: &str) -> Result<()> {
    if path.exists() { write(path, text) } else { Ok(()) }
}

fn not_ours(error: Error, controller: &str) -> Error {
    let error = error.context(format!("limit {controller}"));
    match error.errno() {
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => error.hint(
            "no cgroup here may be written by you: run ccrun as root, or through systemd-run --user --scope \
             -p Delegate=yes ccrun …",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const OWN: &str = "4:memory:/docker/x/y\n1:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn controllers_are_found_through_mountinfo() {
        let dir = |controller| v1_directory(HYBRID, OWN, controller);
        assert_eq!(dir("cpu"), Some("/sys/fs/cgroup/cpu".into()));
        assert_eq!(dir("memory"), Some("/sys/fs/cgroup/memory/y".into()));
        assert_eq!(dir("pids"), None);
    }

    #[test]
    fn only_what_was_asked_for_is_limited() {
        let limits = Limits { memory: Some(1), pids: Some(2), ..Limits::default() };
        assert_eq!(limits.controllers(), ["memory", "pids"]);
        assert!(Limits::default().is_empty());
    }
}
