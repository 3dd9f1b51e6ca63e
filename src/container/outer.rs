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
use super::plan::{Plan, fail, message};
use super::spec::{ContainerSpec, Root, Source};
use super::trees::Trees;
use crate::error::{Error, Result};
use crate::isolation::host_mounts::Table;
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::{self, clone_tree};
use crate::isolation::rootfs::{self, open_directory};
use crate::sys::fd::OwnedFd;
use crate::sys::process::{self, CLONE_NEWNS, CLONE_NEWUSER, CLONE_PARENT, Child};
use crate::sys::{fs, mount, socket};
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
    socket: OwnedFd,
    reports: Option<OwnedFd>,
    (flags, cgroup): (i32, Option<BorrowedFd<'_>>),
    pid1: fn(&Plan<'_>, OwnedFd, Option<OwnedFd>, Option<OwnedFd>) -> i32,
) -> i32 {
    let made = prepare(plan, &socket).and_then(|ready| {
        let (ours, theirs) = socket::socketpair()?;
        let kept = socket.try_clone()?;
        let child = process::clone3(flags | CLONE_PARENT, cgroup, || {
            process::close(&ours);
            process::close(&kept);
            pid1(plan, socket, reports, Some(theirs))
        })?;
        // It may speak to the supervisor as soon as it goes on, and so is introduced before.
        // Root's supervisor writes the map itself.
        let mapped = if plan.mapped { Ok(()) } else { map.nested().write(child.pid()) };
        let started = mapped.and_then(|()| {
            let introduction = [&[message::STARTED], &child.pid().to_ne_bytes()[..]].concat();
            socket::send(kept.as_fd(), &introduction, &[child.as_fd()])?;
            socket::send(ours.as_fd(), &ready, &[])
        });
        started
            .map_err(|error| {
                let _ = child.signal(libc::SIGKILL);
                fail(&kept, error)
            })
            .map_or_else(Ok, |()| Ok(0))
    });
    made.unwrap_or(125)
}

/// Waits for the supervisor, attaches what it sent, and says what PID 1 has to know: whether the store's directories
/// are among the mounts, and how many there are.
fn prepare(plan: &Plan<'_>, socket: &OwnedFd) -> Result<Vec<u8>> {
    let received = Trees::receive(socket)?;
    let own = received.own;
    rootfs::make_private()?;
    let trees: Vec<OwnedFd> = if plan.mapped { received.collect() } else { filesystem::bind_all(plan)? };
    if !plan.mapped {
        make_places(plan.dir, &trees, &[])?;
        if plan.spec.root == Root::Host {
            lock_host(plan.dir)?;
        }
    }
    let places = plan.dir.join(PLACES);
    let mut count: u32 = 0;
    for tree in trees.iter().chain(files(plan.host)) {
        let place = fs::open(&crate::sys::cstr(places.join(count.to_string()))?, libc::O_PATH, 0)?;
        mounts::attach(tree.as_fd(), place.as_fd())?;
        count += 1;
    }
    Ok([&[u8::from(own)], &count.to_ne_bytes()[..]].concat())
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
pub fn receive(socket: &OwnedFd, between: &Child) -> Result<Child> {
    let mut buffer = vec![0; message::MOST_BYTES + 1];
    let (size, fds) = socket::receive(socket.as_fd(), &mut buffer)?;
    let child = match (buffer[..size].split_first(), fds.into_iter().next()) {
        (Some((&message::STARTED, pid)), Some(pidfd)) => {
            let pid = pid.try_into().map(process::pid_t::from_ne_bytes);
            Child::of_pidfd(pid.map_err(|_| Error::new("PID 1 has no number"))?, pidfd)
        }
        (Some((&message::FAILED, bytes)), _) => return Err(Error::from_bytes(bytes)),
        _ => return Err(Error::new("the process that makes PID 1 ended")),
    };
    between.wait()?;
    Ok(child)
}
