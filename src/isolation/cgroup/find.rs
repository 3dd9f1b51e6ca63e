//! Where the hierarchies of cgroups are, and where in them we may make a group.
//!
//! Nothing is at a fixed path: which hierarchy has a controller, and where it is
//! mounted, stands in /proc/self/mountinfo (proc_pid_mountinfo(5)), and which
//! group we are in in /proc/self/cgroup. A controller is in a hierarchy of v1 or in
//! that of v2, never in both.

use super::files::read;
use super::limits::Controller;
use super::v2;
use crate::error::{Error, Result};
use crate::sys::proc::mountinfo::{self, Mount};
use crate::sys::{cred, fs, process};
use std::path::{Path, PathBuf};

/// Below the top of each hierarchy, where root's containers and what was delegated to users lie.
const OWN: &str = "ccrun";

/// The hierarchies of this machine, and the groups that we are in.
pub struct Host {
    mountinfo: Vec<u8>,
    own: String,
    uid: u32,
    is_there: fn(&Path) -> bool,
}

/// A hierarchy where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub point: PathBuf,
    /// Our own group in it, as a directory.
    pub ours: PathBuf,
    /// The controllers of a v1 hierarchy, as they are named to mount it.
    pub options: String,
}

impl Host {
    pub fn read() -> Result<Host> {
        Host::of("self")
    }

    /// The same with the groups that another process is in as ours.
    pub fn of(process: &str) -> Result<Host> {
        let mountinfo = fs::read_file("/proc/self/mountinfo")?;
        let own = read(Path::new(&format!("/proc/{process}/cgroup")))?;
        Ok(Host { mountinfo, own, uid: cred::geteuid(), is_there: |dir| fs::exists(dir.join("cgroup.procs")) })
    }

    /// The v1 hierarchy that has the controller.
    pub fn v1(&self, controller: Controller) -> Option<Hierarchy> {
        let has = |list: &str| list.split(',').any(|name| name == controller.v1_name());
        let (names, path) = self.own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            fields.next().filter(|names| has(names)).zip(fields.next())
        })?;
        let hierarchy = self.hierarchy(path, |mount| mount.kind == b"cgroup" && has(&mount.fs_options_text()))?;
        Some(Hierarchy { options: names.to_owned(), ..hierarchy })
    }

    /// The hierarchy of v2, which may be there without any controller.
    pub fn v2(&self) -> Option<Hierarchy> {
        let path = self.own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        self.hierarchy(path, |mount| mount.kind == b"cgroup2")
    }

    /// The first of the mounts that shows our own group: others may be mounted deeper, or covered.
    fn hierarchy(&self, path: &str, is_it: impl Fn(&Mount<'_>) -> bool) -> Option<Hierarchy> {
        mountinfo::mounts(&self.mountinfo)
            .filter(is_it)
            .filter_map(|mount| hierarchy_of(&mount, path))
            .find(|hierarchy| (self.is_there)(&hierarchy.ours))
    }

    /// What root has delegated to a user of the machine, once: `ccrun/UID` below the top of the hierarchy.
    fn delegated(&self, hierarchy: &Hierarchy) -> PathBuf {
        delegated(hierarchy, self.uid)
    }

    /// The v1 group in which we may make others: our own, or what was delegated to us. In v1 it takes no more
    /// than the right to write there to move a process of one's own.
    pub fn v1_parent(&self, hierarchy: &Hierarchy, asked: Option<&Path>) -> Result<PathBuf> {
        if let Some(parent) = asked {
            return Ok(hierarchy.point.join(parent));
        }
        let places = [hierarchy.ours.clone(), self.delegated(hierarchy)];
        let place = places.into_iter().find(|dir| fs::may_write(dir));
        place.ok_or_else(|| Error::call(format_args!("mkdir below {}", hierarchy.ours.display()), libc::EACCES))
    }

    /// Our own group in the hierarchy of v2 and those above it, the nearest first, in which we may make others and move
    /// our processes there: that takes the right to write in the nearest group that is above both.
    pub fn v2_places<'a>(&self, hierarchy: &'a Hierarchy) -> impl Iterator<Item = &'a Path> + use<'a> {
        let above = hierarchy.ours.ancestors().take_while(|dir| dir.starts_with(&hierarchy.point));
        above.filter(|dir| fs::may_write(dir) && fs::may_write(&dir.join("cgroup.procs")))
    }

    pub fn may_use_v2(&self, hierarchy: &Hierarchy) -> bool {
        self.v2_places(hierarchy).next().is_some()
    }

    /// The v2 group in which we may make others with `needed`, and all controllers that it then hands on; of
    /// `wanted`, those that there are.
    pub fn v2_parent(
        &self,
        hierarchy: &Hierarchy,
        asked: Option<&Path>,
        needed: &[Controller],
        wanted: &[Controller],
    ) -> Result<(PathBuf, Vec<Controller>)> {
        let hand_on = |dir: &Path| {
            let mut handed = v2::available(dir)?;
            if let Some(controller) = needed.iter().find(|controller| !handed.contains(controller)) {
                return Err(not_handed_on(dir, *controller));
            }
            handed.retain(|controller| needed.contains(controller) || wanted.contains(controller));
            v2::hand_on(dir, &handed).map(|()| handed)
        };
        // Makes the groups on the way from `top` down to `below`, each handing on to the next what the last is to have.
        let try_descend = |top: &Path, below: &Path| {
            let mut found = (top.to_owned(), hand_on(top)?);
            for part in below.components() {
                found.0.push(part);
                super::files::mkdir(&found.0)?;
                found.1 = hand_on(&found.0)?;
            }
            Ok(found)
        };
        let descend = |top: &Path, below: &Path| retry_if_gone(|| try_descend(top, below));
        if let Some(parent) = asked {
            return descend(&hierarchy.point, parent);
        }
        let in_room = |dir: &Path| make_room(dir).then(|| descend(dir, Path::new("")));
        let mut refused = None;
        for dir in self.v2_places(hierarchy) {
            // A group of our own in between: systemd takes controllers away from groups of its own where it does
            // not need them itself, and cannot as long as a group below hands them on.
            let own = if dir.starts_with(hierarchy.point.join(OWN)) { "" } else { OWN };
            let error = match descend(dir, Path::new(own)) {
                Err(error) => error,
                found => return found,
            };
            // A scope or service of systemd's that holds nobody but us was made for us.
            let is_unit = dir.extension().is_some_and(|kind| kind == "scope" || kind == "service");
            if error.errno() == Some(libc::EBUSY)
                && dir == hierarchy.ours
                && is_unit
                && let Some(found) = in_room(dir)
            {
                return found;
            }
            refused = refused.or(Some(error));
        }
        let Some(error) = refused else { return Err(self.nowhere(hierarchy)) };
        let room = if error.errno() == Some(libc::EBUSY) { in_room(&hierarchy.ours) } else { None };
        room.unwrap_or(Err(error))
    }

    fn nowhere(&self, hierarchy: &Hierarchy) -> Error {
        let error = Error::call(format_args!("mkdir below {}", hierarchy.ours.display()), libc::EACCES);
        let delegated = self.delegated(hierarchy);
        if !fs::may_write(&delegated) {
            return error;
        }
        error.hint(format_args!(
            "{0} is yours, but only processes that were started below it may use it: as root, echo PID > \
             {0}/login/cgroup.procs, with your shell's",
            delegated.display()
        ))
    }
}

/// The group that root may delegate to the user of this number.
pub fn delegated(hierarchy: &Hierarchy, uid: u32) -> PathBuf {
    hierarchy.point.join(OWN).join(uid.to_string())
}

fn not_handed_on(dir: &Path, controller: Controller) -> Error {
    let error = Error::new(format_args!("{} has no controller '{}'", dir.display(), controller.name()));
    if !dir.to_string_lossy().contains("/user@") {
        return error;
    }
    error.hint("once, as root: ccrun check --fix USER; then log in anew")
}

/// A group that was delegated to us holds us ourselves, and so cannot hand anything on (EBUSY) until we
/// have moved into a child of it. Only if no others than our children are there: they are not ours to move.
fn make_room(dir: &Path) -> bool {
    let (me, parent) = (process::getpid(), process::getppid());
    let program = |process: &str| fs::stat(format!("/proc/{process}/exe")).map(|stat| (stat.dev, stat.ino)).ok();
    // The client that the supervisor was forked from; it may have a child that asks for `--step`.
    let client = Some(parent).filter(|pid| program(&pid.to_string()).is_some_and(|it| Some(it) == program("self")));
    let us = [Some(me), client];
    let is_ours =
        |pid: i32| us.contains(&Some(pid)) || process::parent_of(pid).is_some_and(|of| us.contains(&Some(of)));
    let procs = fs::read_text(dir.join("cgroup.procs")).unwrap_or_default();
    let alone = !procs.is_empty() && procs.lines().all(|pid| pid.parse().is_ok_and(is_ours));
    let leaf = dir.join("ccrun-supervisor");
    let go = |pid: &str| super::files::write(&leaf, "cgroup.procs", pid).is_ok();
    alone && super::files::mkdir(&leaf).is_ok() && procs.lines().all(go)
}

/// Tries again if another ccrun has removed an empty group at this moment. Opening a file of such a group fails with
/// ENOENT, reading or writing a file that is open already with ENODEV (kernfs_get_active in the kernel's fs/kernfs).
fn retry_if_gone<T>(mut make: impl FnMut() -> Result<T>) -> Result<T> {
    let mut made = make();
    for _ in 0..3 {
        match &made {
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV)) => made = make(),
            _ => break,
        }
    }
    made
}

/// Makes what [`Host::v2_parent`] has found again, if the last container there has taken it away just now.
pub fn remake(parent: &Path, controllers: &[Controller]) -> Result<()> {
    if parent.file_name().is_some_and(|name| name == OWN) {
        retry_if_gone(|| super::files::mkdir(parent).and_then(|()| v2::hand_on(parent, controllers)))?;
    }
    Ok(())
}

/// Removes the group in between when nobody uses it any more.
pub fn remove_empty(parent: &Path) {
    if parent.file_name().is_some_and(|name| name == OWN) {
        let _ = fs::rmdir(parent);
    }
}

/// The hierarchy whose group `path` we are in, if the mount shows it: from its root on.
fn hierarchy_of(mount: &Mount<'_>, path: &str) -> Option<Hierarchy> {
    let (root, point) = (mount.root(), mount.point().into_owned());
    let inside = Path::new(path).strip_prefix(&root).ok()?;
    // Not join of an empty path, which would leave a slash at the end.
    let ours = if inside.as_os_str().is_empty() { point.clone() } else { point.join(inside) };
    Some(Hierarchy { ours, point, options: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let mountinfo = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 31 0:32 /docker/z /mnt/memory rw,relatime shared:4 - cgroup cgroup rw,memory
33 31 0:32 / /gone/memory rw,relatime shared:4 - cgroup cgroup rw,memory
35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory
41 31 0:38 / /elsewhere/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/docker/x/y\n1:cpu,cpuacct:/\n0::/a/b\n";
        let is_there = |dir: &Path| !dir.starts_with("/gone");
        Host { mountinfo: mountinfo.into(), own: own.into(), uid: 7, is_there }
    }

    #[test]
    fn a_group_that_others_remove_is_made_again() {
        let after = |times: u32, errno: i32| {
            let mut tries = 0;
            let made = retry_if_gone(|| {
                tries += 1;
                if tries > times { Ok(()) } else { Err(Error::call("read", errno)) }
            });
            (made.is_ok(), tries)
        };
        assert_eq!((after(0, 0), after(3, libc::ENODEV), after(1, libc::ENOENT)), ((true, 1), (true, 4), (true, 2)));
        assert_eq!((after(9, libc::ENODEV), after(1, libc::EBUSY)), ((false, 4), (false, 1)));
    }

    #[test]
    fn controllers_are_found_through_mountinfo() {
        let hierarchy = |point: &str, ours: &str, options: &str| {
            Some(Hierarchy { point: point.into(), ours: ours.into(), options: options.into() })
        };
        let host = host();
        assert_eq!(host.v1(Controller::Cpu), hierarchy("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu", "cpu,cpuacct"));
        assert_eq!(
            host.v1(Controller::Memory),
            hierarchy("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/y", "memory")
        );
        assert_eq!(host.v1(Controller::Pids), None);
        assert_eq!(host.v2(), hierarchy("/elsewhere/unified", "/elsewhere/unified/a/b", ""));
        assert_eq!(host.delegated(&host.v2().unwrap()), Path::new("/elsewhere/unified/ccrun/7"));
    }
}
