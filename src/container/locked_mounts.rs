//! Mounts whose flags the container cannot clear, for a container that may mount (CAP_SYS_ADMIN).
//!
//! Such a container could make a read-only mount writable again, or allow devices on it, with `mount -o remount`. But
//! the kernel *locks* the flags of all mounts that a mount namespace inherits from one with another owner
//! (mount_namespaces(7), "Restrictions on mount namespaces"). So there are two mount namespaces: a short-lived
//! intermediate process attaches the host's files in the first one, below the container's directory. Then it clones
//! PID 1, as a sibling of its own, into all namespaces of the container, and PID 1 copies the attached mounts. Root's
//! intermediate process stays in the host's user namespace; a user's needs an outer user namespace, with the
//! container's ids.

use super::filesystem;
use super::id_mapped::{self, DetachedMounts};
use super::plan::Plan;
use super::spec::{ContainerSpec, Root, Source};
use crate::error::{Error, Result};
use crate::isolation::host_mounts::{Copy, Shown, Table};
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::{self, clone_tree};
use crate::isolation::rootfs::{self, open_directory};
use crate::sys::channel::{self, Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::process::{CLONE_NEWNS, CLONE_NEWUSER, CLONE_PARENT, Child};
use crate::sys::{fs, mount};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// The new namespaces of the intermediate process. Root's stays in the host's user namespace.
pub fn flags(map: &IdMap) -> i32 {
    if map.is_shifted() { CLONE_NEWNS } else { CLONE_NEWUSER | CLONE_NEWNS }
}

/// Whether the container may mount and has files of the host.
pub fn is_needed(spec: &ContainerSpec) -> bool {
    let is_of_host = matches!(spec.root, Root::Host | Root::Directory { writable: true, .. });
    let is_bound = spec.mounts.iter().any(|mount| matches!(mount.source, Source::Bind(_) | Source::Direct(_)));
    spec.security.capabilities.has("SYS_ADMIN") && (is_of_host || is_bound)
}

/// Runs the intermediate process, until PID 1 has been cloned. PID 1 runs `pid1`, with the namespaces `flags` and in
/// `cgroup`.
pub fn run(
    plan: &Plan<'_>,
    map: &IdMap,
    supervisor: Channel,
    (flags, cgroup): (i32, Option<BorrowedFd<'_>>),
    pid1: &mut dyn FnMut(Channel, Channel) -> i32,
) -> i32 {
    let made = prepare(plan, &supervisor).and_then(|keys| {
        let kept = supervisor.try_clone()?;
        let mut given = Some(supervisor);
        let (child, intermediate) = channel::fork(flags | CLONE_PARENT, cgroup, |intermediate| {
            kept.close_copy();
            given.take().map_or(125, |supervisor| pid1(supervisor, intermediate))
        })?;
        drop(given);
        // The supervisor must know PID 1 before PID 1 sends anything. Root's supervisor writes the map itself.
        let mapped = if plan.mapped { Ok(()) } else { map.nested().write(child.pid()) };
        let started = mapped.and_then(|()| {
            kept.send(&Message::Started(child.pid()), &[child.as_fd()])?;
            id_mapped::send(&intermediate, &keys, &[])
        });
        Ok(started.map_or_else(
            |error| {
                let _ = child.signal(libc::SIGKILL);
                kept.fail(error)
            },
            |()| 0,
        ))
    });
    made.unwrap_or(125)
}

/// Waits for the supervisor's mounts, attaches them, and returns their keys.
fn prepare(plan: &Plan<'_>, supervisor: &Channel) -> Result<Vec<OsString>> {
    let received = DetachedMounts::receive(supervisor)?;
    rootfs::make_private()?;
    let detached = if plan.mapped { received } else { filesystem::bind_all(plan)? };
    if !plan.mapped {
        make_places(plan.dir, &detached, &[])?;
        if plan.spec.root == Root::Host {
            lock_host(plan.dir)?;
        }
    }
    let places = plan.dir.join(PLACES);
    for (at, tree) in detached.mounts().chain(files(plan.host)).enumerate() {
        let place = fs::open(&crate::sys::cstr(places.join(at.to_string()))?, libc::O_PATH, 0)?;
        mounts::attach(tree.as_fd(), place.as_fd())?;
    }
    Ok(detached.keys())
}

/// Makes all mounts of the host read-only but the store: PID 1 binds single files from them.
fn lock_host(dir: &Path) -> Result<()> {
    let store = dir.join("../..");
    let kept = clone_tree(open_directory(&store)?.as_fd(), true, 0, None)?;
    for point in Table::read()?.shown_places() {
        if let Ok(opened) = fs::open(&crate::sys::cstr(point)?, libc::O_PATH, 0) {
            // A mount that cannot be changed is locked already.
            let _ = mount::mount_setattr(opened.as_fd(), false, filesystem::READ_ONLY, None);
        }
    }
    mounts::attach(kept.as_fd(), open_directory(&store)?.as_fd())
}

/// Receives PID 1 in the supervisor, and waits until the intermediate process has ended.
pub fn receive(channel: &Channel, intermediate: &Child) -> Result<Child> {
    let (message, fds) = channel.receive_from("the process that makes PID 1")?;
    let (Message::Started(pid), Some(pidfd)) = (message, fds.into_iter().next()) else {
        return Err(Error::new("the process that makes PID 1 did not send its pidfd"));
    };
    intermediate.wait()?;
    Ok(Child::of_pidfd(pid, pidfd))
}

/// The directory below the container's where the mounts are attached.
pub const PLACES: &str = "outer";

/// Makes the mount points for the detached mounts.
pub fn make_places(dir: &Path, detached: &DetachedMounts, host: &[Copy]) -> Result<()> {
    let dir = dir.join(PLACES);
    fs::mkdir(&dir, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", dir.display())))?;
    let parent = open_directory(&dir)?;
    for (at, tree) in detached.mounts().chain(files(host)).enumerate() {
        let name = crate::sys::cstr(at.to_string())?;
        if fs::fstat(tree.as_fd())?.is_dir() {
            fs::mkdirat(parent.as_fd(), &name, 0o755)?;
        } else {
            fs::openat(parent.as_fd(), &name, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o644)?;
        }
    }
    Ok(())
}

/// The host's mounts that are files. Its directories are only seen through overlays.
pub fn files(host: &[Copy]) -> impl Iterator<Item = &OwnedFd> {
    host.iter().filter(|copy| copy.shown == Shown::File).filter_map(|copy| copy.tree.as_ref())
}

/// Waits in PID 1 for the id maps, and copies the attached mounts. Returns those that were sent, and the files that
/// replace those of `plan.host`.
pub fn take(intermediate: &Channel, supervisor: &Channel, plan: &Plan<'_>) -> Result<(DetachedMounts, Vec<OwnedFd>)> {
    let (dir, host) = (plan.dir, plan.host);
    let (keys, _) = id_mapped::receive(intermediate, "the process that makes PID 1")?;
    supervisor.receive_from("the supervisor")?;
    let take = |at: usize| {
        let place = fs::open(&crate::sys::cstr(dir.join(PLACES).join(at.to_string()))?, libc::O_PATH, 0)?;
        mount::open_tree(place.as_fd(), c"", true)
    };
    let count = keys.len();
    let all = keys.into_iter().enumerate().map(|(at, key)| Ok((key, take(at)?))).collect::<Result<DetachedMounts>>()?;
    let files = (count..count + files(host).count()).map(take).collect::<Result<_>>()?;
    Ok((all, files))
}
