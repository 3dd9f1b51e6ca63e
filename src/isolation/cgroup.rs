//! Control groups: how much of the machine a container may use (cgroups(7)).
//!
//! A group is a directory; its limits are files in it, and who is in it may use
//! that much together. Two kinds are about. In *v2* one tree holds all
//! controllers, and the child is born in its group: clone3(2) takes the directory.
//! In *v1* each controller has a tree of its own, and the child moves itself, by
//! writing "0" to the file `tasks` of each: a thread that moves nobody but itself
//! need not wait until all others have left their forks and exits behind, which
//! takes the kernel several milliseconds (cgroup.procs does). *Hybrid* machines
//! have v1 controllers and a v2 tree without any.
//!
//! The supervisor never is in the group: it has to live to tell how it ended.

mod files;
mod find;
pub mod host;
pub mod limits;
mod tightest;
mod update;
pub mod usage;
mod v1;
mod v2;
pub mod view;

pub use limits::Limits;

use crate::error::{Error, Result};
use crate::isolation::namespaces::fix;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, signal};
use files::{mkdir, write};
use find::Host;
use limits::Controller;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A container's group: one directory on v2, one in each tree on v1.
#[derive(Debug, Default)]
pub struct Cgroup {
    limits: Limits,
    /// Whether somebody asked for something that takes a group; else a container can do without.
    required: bool,
    unified: Option<Unified>,
    v1: Vec<Hierarchy>,
}

#[derive(Debug)]
struct Unified {
    dir: PathBuf,
    controllers: Vec<Controller>,
}

/// A group in a v1 tree, which may have several controllers.
#[derive(Debug)]
struct Hierarchy {
    dir: PathBuf,
    controllers: Vec<Controller>,
    /// What the tree is mounted with, and what the directory is called on which it is.
    options: String,
    name: PathBuf,
}

impl Cgroup {
    /// Finds the place for a group called `name` that can hold `limits`, below the group `parent` if it is asked
    /// for. It is not made yet, so that the place can be noted first and is found again whatever happens.
    ///
    /// What is not asked for is done where it can be: a limit of processes, and on v2, where it comes almost for
    /// nothing, the counting of everything else.
    pub fn plan(name: &str, asked: &Limits, parent: Option<&Path>) -> Result<Cgroup> {
        let mut limits = asked.clone();
        let needed = asked.controllers();
        let wanted = [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::BlockIo];
        limits.pids = asked.pids.or(asked.default_pids);
        let required = !needed.is_empty() || parent.is_some();
        let mut group = Cgroup { limits, required, ..Cgroup::default() };
        match group.find(name, parent, &needed, &wanted) {
            Err(_) if !required => Ok(Cgroup::default()),
            Err(error) => Err(not_ours(error)),
            Ok(()) => {
                // Nobody asked for it, and there is no place for it.
                if !group.has(Controller::Pids) {
                    group.limits.pids = asked.pids;
                }
                Ok(group)
            }
        }
    }

    /// Whether `limits` take a group in the tree of v2 and there is none where we may make one: then systemd can
    /// help, which gives users nothing of v1.
    pub fn is_for_systemd(limits: &Limits) -> bool {
        let Ok(host) = Host::read() else { return false };
        let in_v2 = limits.controllers().into_iter().any(|controller| host.v1(controller).is_none());
        in_v2 && host.v2().is_some_and(|tree| !host.may_use_v2(&tree))
    }

    fn has(&self, controller: Controller) -> bool {
        let in_v1 = self.v1.iter().any(|hierarchy| hierarchy.controllers.contains(&controller));
        in_v1 || self.unified.as_ref().is_some_and(|unified| unified.controllers.contains(&controller))
    }

    fn find(&mut self, name: &str, parent: Option<&Path>, needed: &[Controller], wanted: &[Controller]) -> Result<()> {
        let host = Host::read()?;
        let mut unified = Vec::new();
        for controller in self.limits.controllers() {
            let Some(tree) = host.v1(controller) else {
                unified.extend(needed.contains(&controller).then_some(controller));
                continue;
            };
            let in_limit = |error: Error| error.context(format_args!("limit {}", controller.v1_name()));
            let dir = match host.v1_parent(&tree, parent).map_err(in_limit) {
                Ok(dir) => dir.join(name),
                Err(_) if !needed.contains(&controller) => continue,
                Err(error) => return Err(error),
            };
            match self.v1.iter_mut().find(|hierarchy| hierarchy.dir == dir) {
                Some(shared) => shared.controllers.push(controller),
                None => {
                    let name = tree.point.file_name().map(PathBuf::from).unwrap_or_default();
                    self.v1.push(Hierarchy { dir, controllers: vec![controller], options: tree.options, name });
                }
            }
        }
        let Some(tree) = host.v2() else { return unified.first().map_or(Ok(()), |first| Err(missing(*first))) };
        let all = v2::available(&tree.point)?;
        if let Some(controller) = unified.iter().find(|controller| !all.contains(controller)) {
            return Err(missing(*controller));
        }
        if all.iter().any(|controller| wanted.contains(controller)) || !unified.is_empty() {
            let in_limit = |error: Error| {
                error.context(format_args!("limit {}", unified.first().map_or("pids", |first| first.name())))
            };
            let (parent, controllers) = host.v2_parent(&tree, parent, &unified, wanted).map_err(in_limit)?;
            self.unified = Some(Unified { dir: parent.join(name), controllers });
        }
        Ok(())
    }

    /// Makes the group with its limits. One that cannot be applied is an error, if it was asked for.
    pub fn make(&mut self) -> Result<()> {
        let made = self.try_make();
        if made.is_err() && !self.required {
            self.remove();
            *self = Cgroup::default();
            return Ok(());
        }
        made
    }

    fn try_make(&self) -> Result<()> {
        for hierarchy in &self.v1 {
            // Of --cgroup-parent, that may be the first in the tree.
            fs::mkdir_all(&hierarchy.dir, 0o777)
                .map_err(|error| not_ours(error.renamed(format_args!("mkdir {}", hierarchy.dir.display()))))?;
        }
        if let Some(Unified { dir, controllers }) = &self.unified {
            let mut made = mkdir(dir);
            for _ in 0..3 {
                if let (Err(error), Some(parent)) = (&made, dir.parent())
                    && error.errno() == Some(libc::ENOENT)
                {
                    find::remake(parent, controllers).map_err(not_ours)?;
                    made = mkdir(dir);
                }
            }
            made.map_err(not_ours)?;
        }
        self.set(&self.limits)
    }

    /// Writes those of `limits` that are there into a group that is made.
    pub fn set(&self, limits: &Limits) -> Result<()> {
        limits.controllers().into_iter().try_for_each(|controller| self.set_one(controller, limits))
    }

    fn set_one(&self, controller: Controller, limits: &Limits) -> Result<()> {
        let v1 = self.v1.iter().find(|hierarchy| hierarchy.controllers.contains(&controller));
        let unified = self.unified.iter().find(|unified| unified.controllers.contains(&controller));
        let written = match (v1, unified) {
            (Some(hierarchy), _) => v1::set(&hierarchy.dir, controller, limits),
            (None, Some(unified)) => v2::set(&unified.dir, controller, limits),
            (None, None) => Err(missing(controller)),
        };
        written.map_err(|error| error.context(format_args!("limit {}", controller.name())))
    }

    /// Whether there is a group at all.
    pub fn is_none(&self) -> bool {
        self.unified.is_none() && self.v1.is_empty()
    }

    /// The v2 directory, for clone3 to start the child inside.
    pub fn open_unified(&self) -> Result<Option<OwnedFd>> {
        let open = |unified: &Unified| fs::open(&crate::sys::cstr(&unified.dir)?, libc::O_PATH | libc::O_DIRECTORY, 0);
        self.unified.as_ref().map(open).transpose()
    }

    /// Moves this process into the v1 groups. It has one thread, and still is the user who called.
    pub fn join(&self) -> Result<()> {
        let joined = self.v1.iter().try_for_each(|hierarchy| write(&hierarchy.dir, "tasks", 0));
        if self.required { joined.map_err(not_ours) } else { Ok(()) }
    }

    /// Whether swappiness is asked for and no tree here has it.
    pub fn lacks_swappiness(&self) -> bool {
        let in_v1 = self.v1.iter().any(|hierarchy| hierarchy.controllers.contains(&Controller::Memory));
        self.limits.memory.swappiness.is_some() && !in_v1
    }

    /// Its directories, to be found again by [`Cgroup::from_paths`] when the supervisor has died.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().map(|hierarchy| hierarchy.dir.as_path());
        self.unified.iter().map(|unified| unified.dir.as_path()).chain(v1)
    }

    /// The group of a container that was made by another process, as far as it still is there.
    pub fn from_paths(paths: impl IntoIterator<Item = PathBuf>) -> Cgroup {
        let mut group = Cgroup::default();
        for dir in paths {
            match v2::available(&dir) {
                Ok(controllers) => group.unified = Some(Unified { dir, controllers }),
                Err(_) => {
                    let has = |controller: &Controller| dir.join(v1::file_of(*controller)).exists();
                    let controllers = Controller::ALL.into_iter().filter(has).collect();
                    group.v1.push(Hierarchy { dir, controllers, options: String::new(), name: PathBuf::new() });
                }
            }
        }
        group
    }

    /// Kills what is left inside and removes the directories. The kernel lets go of a dead process's
    /// group a moment after its end, so that it may take a few tries.
    pub fn remove(&self) {
        for dir in self.paths() {
            let end = Instant::now() + Duration::from_secs(5);
            while let Err(error) = fs::rmdir(dir) {
                if error.errno() != Some(libc::EBUSY) || Instant::now() > end {
                    break;
                }
                let _ = write(dir, "cgroup.kill", 1);
                let left = fs::read_text(dir.join("cgroup.procs")).unwrap_or_default();
                for pid in left.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
                    let _ = signal::kill(pid, libc::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if let Some(parent) = self.unified.as_ref().and_then(|unified| unified.dir.parent()) {
            find::remove_empty(parent);
        }
    }
}

fn missing(controller: Controller) -> Error {
    Error::new(format_args!("no cgroup controller '{}' on this host", controller.name()))
        .hint("limits need /sys/fs/cgroup mounted with it")
}

fn no_weights() -> Error {
    Error::new("this kernel shares no disk out by weight")
        .hint("the BFQ scheduler does: as root, modprobe bfq && echo bfq > /sys/block/DISK/queue/scheduler")
}

fn no_such_disk(error: Error) -> Error {
    match error.errno() {
        Some(libc::ENODEV) => error.hint("limits are for whole disks, not for their partitions"),
        _ => error,
    }
}

fn not_ours(error: Error) -> Error {
    match error.errno() {
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => error.hint(format_args!(
            "no cgroup here is yours to use: {}; or run ccrun as root, or through systemd-run --user --scope -p \
                 Delegate=yes ccrun …",
            fix()
        )),
        Some(libc::EBUSY) => error.hint(
            "a cgroup that holds processes cannot limit others: start ccrun in one without any beside it, as \
             systemd-run --scope -p Delegate=yes ccrun … does",
        ),
        _ => error,
    }
}
