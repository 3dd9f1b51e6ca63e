//! Mounts whose flags a container cannot take back: those of a container that may mount (CAP_SYS_ADMIN).
//!
//! Such a container could make a read-only mount writable again, or let the devices on it be opened, with
//! `mount -o remount`. But the kernel *locks* the flags of all mounts that a mount namespace takes over from one with
//! another owner (mount_namespaces(7), "Restrictions on mount namespaces"). So there are two here: a short-lived
//! process between attaches what comes from the host in a mount namespace of its own; then it clones PID 1, a sibling
//! of its own, into all namespaces of the container. Root's is still in the host's user namespace; a user's has to be
//! in an outer one, which has the container's ids.

use super::filesystem;
use super::handover::{PLACES, files, make_places};
use super::id_mapped::{self, Handed};
use super::plan::Plan;
use super::spec::{ContainerSpec, Root, Source};
use crate::error::{Error, Result};
use crate::isolation::host_mounts::Table;
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::{self, clone_tree};
use crate::isolation::rootfs::{self, open_directory};
use crate::sys::channel::{self, Channel, Message};
use crate::sys::process::{CLONE_NEWNS, CLONE_NEWUSER, CLONE_PARENT, Child};
use crate::sys::{fs, mount};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// The namespaces of the process between. Root's is in the host's user namespace itself.
pub fn flags(map: &IdMap) -> i32 {
    if map.is_shifted() { CLONE_NEWNS } else { CLONE_NEWUSER | CLONE_NEWNS }
}

/// Whether the container may mount, and has something of the host's.
pub fn is_needed(spec: &ContainerSpec) -> bool {
    let is_of_host = matches!(spec.root, Root::Host | Root::Directory { writable: true, .. });
    let is_bound = spec.mounts.iter().any(|mount| matches!(mount.source, Source::Bind(_) | Source::Direct(_)));
    spec.security.capabilities.has("SYS_ADMIN") && (is_of_host || is_bound)
}

/// The life of the process between: it ends when PID 1, whose life is `pid1`, is there. `flags` and `cgroup` are its.
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
        let (child, between) = channel::fork(flags | CLONE_PARENT, cgroup, |between| {
            kept.close_copy();
            given.take().map_or(125, |supervisor| pid1(supervisor, between))
        })?;
        drop(given);
        // It may speak to the supervisor as soon as it goes on, and so is introduced before.
        // Root's supervisor writes the map itself.
        let mapped = if plan.mapped { Ok(()) } else { map.nested().write(child.pid()) };
        let started = mapped.and_then(|()| {
            kept.send(&Message::Started(child.pid()), &[child.as_fd()])?;
            id_mapped::send(&between, &keys, &[])
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

/// Waits for the supervisor, attaches what it sent, and says what each is for.
fn prepare(plan: &Plan<'_>, supervisor: &Channel) -> Result<Vec<OsString>> {
    let received = Handed::receive(supervisor)?;
    rootfs::make_private()?;
    let handed = if plan.mapped { received } else { filesystem::bind_all(plan)? };
    if !plan.mapped {
        make_places(plan.dir, &handed, &[])?;
        if plan.spec.root == Root::Host {
            lock_host(plan.dir)?;
        }
    }
    let places = plan.dir.join(PLACES);
    for (at, tree) in handed.mounts().chain(files(plan.host)).enumerate() {
        let place = fs::open(&crate::sys::cstr(places.join(at.to_string()))?, libc::O_PATH, 0)?;
        mounts::attach(tree.as_fd(), place.as_fd())?;
    }
    Ok(handed.keys())
}

/// Makes all of the host read-only but the store: PID 1 binds single files of it.
fn lock_host(dir: &Path) -> Result<()> {
    let store = dir.join("../..");
    let kept = clone_tree(open_directory(&store)?.as_fd(), true, 0, None)?;
    for point in Table::read()?.shown_places() {
        if let Ok(opened) = fs::open(&crate::sys::cstr(point)?, libc::O_PATH, 0) {
            // One of a kind that cannot be changed any more is locked already.
            let _ = mount::mount_setattr(opened.as_fd(), false, filesystem::READ_ONLY, None);
        }
    }
    mounts::attach(kept.as_fd(), open_directory(&store)?.as_fd())
}

/// The supervisor's side: PID 1, which the process between has made, when that has ended.
pub fn receive(channel: &Channel, between: &Child) -> Result<Child> {
    let (message, fds) = channel.receive_from("the process that makes PID 1")?;
    let (Message::Started(pid), Some(pidfd)) = (message, fds.into_iter().next()) else {
        return Err(Error::new("PID 1 was not introduced"));
    };
    between.wait()?;
    Ok(Child::of_pidfd(pid, pidfd))
}
