//! The sandbox in which layers are unpacked and directories removed: the same user
//! namespace as a container's, and a file system that is one directory.

use crate::error::Result;
use crate::isolation::idmap::IdMap;
use crate::isolation::{namespaces, rootfs};
use crate::store::{Sandbox, Sandboxed};
use crate::sys::channel::{self, Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, process};
use std::path::Path;

/// Sandbox made of namespaces, with the ids of the containers that will use the files.
pub struct NamespaceSandbox {
    pub map: IdMap,
}

impl NamespaceSandbox {
    /// Forks a child as [`Sandbox::spawn`] does, which finds its file system by itself: `open` is run as the user who
    /// called, whom alone the store lets in, `root` as container root, in a mount namespace of its own.
    pub fn spawn_on<T>(
        &self,
        open: impl Fn() -> Result<T>,
        root: impl Fn(T) -> Result<OwnedFd>,
        inside: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Sandboxed> {
        let flags = process::CLONE_NEWUSER | process::CLONE_NEWNS | process::CLONE_NEWNET | process::CLONE_NEWIPC;
        let forked = channel::fork(flags, None, |parent| {
            let outcome = enter(&open, &root, &parent, self.map.is_single()).and_then(|()| inside());
            i32::from(Sandboxed::report(&parent, outcome).is_err())
        });
        let (child, channel) = forked.map_err(namespaces::explain)?;
        self.map.write(child.pid())?;
        channel.send(&Message::Go, &[])?;
        Ok(Sandboxed { child, channel })
    }
}

impl Sandbox for NamespaceSandbox {
    fn spawn(&self, dir: &Path, inside: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Sandboxed> {
        self.spawn_on(|| rootfs::open_directory(dir), Ok, inside)
    }

    fn root_ids(&self) -> (u32, u32) {
        self.map.root_ids()
    }
}

/// The child's way in.
fn enter<T>(
    open: impl Fn() -> Result<T>,
    root: impl Fn(T) -> Result<OwnedFd>,
    parent: &Channel,
    single: bool,
) -> Result<()> {
    // 1. Nothing is ours before the id map is written.
    parent.expect("the parent process")?;
    cred::set_undumpable()?;
    // 2. The directories are opened while we still are the caller: the store lets nobody else in.
    let opened = open()?;
    // 3. Become container root, so that what is made here has an owner on the host.
    rootfs::become_root(single)?;
    cred::set_pdeathsig(libc::SIGKILL)?;
    // 4. The directory becomes all there is.
    rootfs::make_private()?;
    rootfs::pivot_into(&root(opened)?).map_err(namespaces::explain)
}
