//! A cgroup that a user may use as his own (cgroups(7), "Delegation").
//!
//! With systemd the user's manager has one, and a drop-in file says which
//! controllers it gets. Without, root makes one in each tree, which lasts until
//! the next boot. On v2 that is not enough: nobody may move even his own process
//! from a place where he may not write. So what the user runs now is moved below
//! his group, where all that it starts will be, too.

use super::{Step, User, make_directory, run, write_file};
use crate::error::Result;
use crate::isolation::cgroup::host::{LOGIN, Place, Trees};
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
    let places = Trees::read()?.for_user(user.uid);
    if places.is_empty() {
        return Ok(Step::Left("no cgroups are mounted here, so that there is none to delegate".into()));
    }
    let mut made = Vec::new();
    for place in &places {
        if !place.is_made_for(user.uid) {
            // The last container of root's there takes the group above away with it.
            place.make(user.uid, user.gid).or_else(|error| match error.errno() {
                Some(libc::ENOENT) => place.make(user.uid, user.gid),
                _ => Err(error),
            })?;
            made.push(place.dir.display().to_string());
        }
    }
    let moved: usize = places.iter().filter(|place| place.is_v2).map(|place| gather(place, user.uid)).sum();
    let moved = match moved {
        0 => String::new(),
        1 => format!("moved a process of {} there", user.name),
        _ => format!("moved {moved} processes of {} there", user.name),
    };
    Ok(match (made.is_empty(), moved.is_empty()) {
        (true, true) => Step::Already(format!("{} has cgroups", user.name)),
        (true, false) => Step::Done(format!("{} has a cgroup; {moved}", user.name)),
        (false, _) => {
            let then = if moved.is_empty() { moved } else { format!(", and {moved}") };
            Step::Done(format!("gave {} the cgroups {} until the next boot{then}", user.name, made.join(" ")))
        }
    })
}

/// Moves what the user runs elsewhere below his group; gives how much that was.
fn gather(place: &Place, uid: u32) -> usize {
    let own = place.dir.strip_prefix(&place.top).unwrap_or(Path::new("")).to_owned();
    let is_elsewhere = |pid: &u32| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        !Path::new(path).starts_with(&own)
    };
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        (entry.metadata().ok()?.uid() == uid).then_some(pid)
    });
    let procs = place.dir.join(LOGIN).join("cgroup.procs");
    pids.filter(is_elsewhere).filter(|pid| std::fs::write(&procs, pid.to_string()).is_ok()).count()
}
