//! The host's trees of cgroups, as the tests need them.

use crate::sandbox::{Sandbox, walk};
use std::path::{Path, PathBuf};

/// Where trees are mounted, and which controllers of v1 they have.
pub fn trees() -> Vec<(PathBuf, String)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroups = fields.filter(|fields| fields[2].starts_with("cgroup"));
    cgroups
        .map(|fields| (fields[1].into(), if fields[2] == "cgroup" { fields[3].to_owned() } else { "".into() }))
        .collect()
}

/// Whether all controllers are in the tree of v2, and where that is.
pub fn pure_v2() -> Option<PathBuf> {
    let trees = trees();
    if trees.len() == 1 && trees[0].1.is_empty() { trees.into_iter().next().map(|(point, _)| point) } else { None }
}

/// The directories of the groups that ccrun has made for containers.
pub fn of_containers(ids: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (point, _) in trees() {
        walk(&point, &mut |path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.strip_prefix("ccrun-").is_some_and(|id| ids.iter().any(|known| known == id)) {
                found.push(path.to_owned());
            }
        });
    }
    found
}

/// A group at the top of each tree, for --cgroup-parent; removed when dropped.
pub struct Group {
    pub name: String,
}

impl Group {
    /// One that goes before everything else on the machine when CPU time is shared out.
    pub fn first(t: &Sandbox, name: &str) -> Group {
        let group = Group { name: format!("ccrun-it-{name}-{}", std::process::id()) };
        assert!(!t.dir.as_os_str().is_empty());
        for (point, controllers) in trees() {
            let dir = point.join(&group.name);
            let file = match controllers.as_str() {
                "" => ("cpu.weight", "10000"),
                some if some.split(',').any(|one| one == "cpu") => ("cpu.shares", "262144"),
                _ => continue,
            };
            std::fs::create_dir(&dir).expect("mkdir");
            if controllers.is_empty() {
                let _ = std::fs::write(point.join("cgroup.subtree_control"), "+cpu");
            }
            if dir.join(file.0).exists() {
                std::fs::write(dir.join(file.0), file.1).expect("write");
            }
        }
        group
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (point, _) in trees() {
            let _ = std::fs::remove_dir(Path::new(&point).join(&self.name));
        }
    }
}
