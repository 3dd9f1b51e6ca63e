//! What cgroups this host has, and what of them is ours to use. Nothing is changed by looking.

use super::find::{Hierarchy, Host};
use super::limits::Controller;
use super::v2;
use crate::error::Result;
use crate::sys::{cred, fs, process};
use std::path::{Path, PathBuf};

/// The hierarchies that can limit something.
pub struct Hierarchies(Host);

/// A group for a user to make others in, and the groups of root's on the way there.
pub struct DelegatedGroup {
    pub dir: PathBuf,
    /// The hierarchy's top.
    pub top: PathBuf,
    /// The controllers that it is for.
    pub controllers: Vec<Controller>,
    pub is_v2: bool,
}

impl Hierarchies {
    pub fn read() -> Result<Hierarchies> {
        Host::read().map(Hierarchies)
    }

    /// The kind of hierarchy that has the controllers; none without any hierarchy.
    pub fn kind(&self) -> Option<&'static str> {
        let in_v1 = Controller::ALL.into_iter().any(|controller| self.0.v1(controller).is_some());
        match (in_v1, self.0.v2()) {
            (true, Some(_)) => Some("v1 (hybrid)"),
            (true, None) => Some("v1"),
            (false, Some(_)) => Some("v2"),
            (false, None) => None,
        }
    }

    /// Whether a container of ours can be limited by `controller`.
    pub fn is_usable(&self, controller: Controller) -> bool {
        if let Some(hierarchy) = self.0.v1(controller) {
            return self.0.v1_parent(&hierarchy, None).is_ok();
        }
        let Some(hierarchy) = self.0.v2() else { return false };
        self.0.v2_places(&hierarchy).any(|dir| can_hand_on(dir, controller)) || has_manager(&hierarchy, controller)
    }

    /// Where a user's own groups would be: in each hierarchy that has a controller.
    pub fn for_user(&self, uid: u32) -> Vec<DelegatedGroup> {
        let mut groups: Vec<DelegatedGroup> = Vec::new();
        for controller in Controller::ALL {
            let v1 = self.0.v1(controller);
            let is_v2 = v1.is_none();
            let has =
                |hierarchy: &Hierarchy| v2::available(&hierarchy.point).is_ok_and(|all| all.contains(&controller));
            let Some(hierarchy) = v1.or_else(|| self.0.v2().filter(has)) else { continue };
            let dir = super::find::delegated(&hierarchy, uid);
            match groups.iter_mut().find(|group| group.dir == dir) {
                Some(group) => group.controllers.push(controller),
                None => groups.push(DelegatedGroup { dir, top: hierarchy.point, controllers: vec![controller], is_v2 }),
            }
        }
        groups
    }
}

impl DelegatedGroup {
    /// Makes the group with what its user may change: groups below it and who is in them. Its own limits stay
    /// root's. It may be there already.
    pub fn make(&self, uid: u32, gid: u32) -> Result<()> {
        let above = self.dir.parent().unwrap_or(&self.top);
        for dir in [above, &self.dir] {
            if self.is_v2 {
                v2::hand_on(dir.parent().unwrap_or(&self.top), &self.controllers)?;
            }
            super::files::mkdir(dir)?;
        }
        if self.controllers.contains(&Controller::Cpuset) && !self.is_v2 {
            // A group of this controller takes nobody in before it has CPUs, and they come from above.
            super::v1::set(&self.dir, Controller::Cpuset, &super::Limits::default())?;
        }
        let mut own = vec![self.dir.clone()];
        if self.is_v2 {
            // The user's processes have to be below the group before he may use it, but not in it.
            v2::hand_on(&self.dir, &self.controllers)?;
            let login = self.dir.join(LOGIN);
            super::files::mkdir(&login)?;
            own.push(login);
        }
        for dir in own {
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"] {
                let path = if name.is_empty() { dir.clone() } else { dir.join(name) };
                if path.exists() {
                    let file = fs::open(&crate::sys::cstr(&path)?, libc::O_RDONLY, 0)?;
                    fs::fchown(std::os::fd::AsFd::as_fd(&file), uid, gid)?;
                }
            }
        }
        Ok(())
    }

    /// The group that process `pid` is in; none if it is the user's own or below it.
    pub fn elsewhere(&self, pid: i32) -> Option<PathBuf> {
        let host = Host::of(&pid.to_string()).ok()?;
        let hierarchy = if self.is_v2 { host.v2()? } else { host.v1(*self.controllers.first()?)? };
        Some(hierarchy.ours).filter(|group| !group.starts_with(&self.dir))
    }

    /// Gives the group the tightest limits of those that the processes are in, so that the user is rid of none by
    /// going there. Returns what was tightened.
    pub fn limit_as(&self, pids: &[i32]) -> Result<Vec<String>> {
        let mut groups: Vec<PathBuf> = Vec::new();
        for group in pids.iter().filter_map(|pid| self.elsewhere(*pid)) {
            let above = group.ancestors().take_while(|dir| **dir != self.top && dir.starts_with(&self.top));
            groups.extend(above.map(Path::to_owned));
        }
        crate::sort::all(&mut groups);
        groups.dedup();
        super::tightest::take_over(&self.dir, self.is_v2, &self.controllers, &groups)
    }

    pub fn is_made_for(&self, uid: u32) -> bool {
        let last = if self.is_v2 { "login/cgroup.threads" } else { "tasks" };
        fs::stat(self.dir.join(last)).is_ok_and(|stat| stat.uid == uid)
            && (!self.is_v2
                || v2::available(&self.dir).is_ok_and(|all| self.controllers.iter().all(|c| all.contains(c))))
    }
}

/// The group below a user's own on v2 that holds what he has started.
pub const LOGIN: &str = "login";

/// Whether the children of `dir` have the controller, or can get it from us.
fn can_hand_on(dir: &Path, controller: Controller) -> bool {
    let words = |file: &str| {
        let text = fs::read_text(dir.join(file)).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    if words("cgroup.subtree_control").iter().any(|word| word == controller.name()) {
        return true;
    }
    // A group with processes in it hands nothing on, but we could step aside; the top of the hierarchy may.
    let procs = words("cgroup.procs");
    let is_top = !dir.join("cgroup.type").exists();
    let alone = procs.is_empty() || procs == [process::getpid().to_string()];
    let available = v2::available(dir).is_ok_and(|all| all.contains(&controller));
    available && (is_top || alone) && fs::may_write(&dir.join("cgroup.subtree_control"))
}

/// Whether the user's systemd has the controller: it makes groups for those who ask.
fn has_manager(hierarchy: &Hierarchy, controller: Controller) -> bool {
    let uid = cred::geteuid();
    let manager = hierarchy.point.join(format!("user.slice/user-{uid}.slice/user@{uid}.service"));
    process::find_program("systemd-run").is_some() && v2::available(&manager).is_ok_and(|all| all.contains(&controller))
}
