//! The sandbox in which layers are unpacked and directories removed: a user namespace with a container's ids, and one
//! directory as the whole file system.

use crate::error::Result;
use crate::isolation::idmap::IdMap;
use crate::isolation::{namespaces, rootfs};
use crate::store::{Sandbox, Sandboxed};
use crate::sys::channel::{self, Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, process};
use std::path::Path;

/// A sandbox made of namespaces, with the ids of the containers that will use the files.
pub struct NamespaceSandbox {
    pub map: IdMap,
}

impl NamespaceSandbox {
    /// As [`Sandbox::spawn`], with a root that the child makes itself: it calls `open` as the caller, who alone may enter
    /// the store, then `root` as container root, in a mount namespace of its own, and `inside` in the directory that
    /// `root` returns.
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

/// Enters the sandbox, in the child.
fn enter<T>(
    open: impl Fn() -> Result<T>,
    root: impl Fn(T) -> Result<OwnedFd>,
    parent: &Channel,
    single: bool,
) -> Result<()> {
    // 1. Wait for the id map: without it this process owns no files.
    parent.receive_from("the parent process")?;
    cred::set_undumpable()?;
    // 2. Open the directories while we still are the caller: nobody else may enter the store.
    let opened = open()?;
    // 3. Become container root, which will own the files made here.
    rootfs::become_root(single)?;
    cred::set_pdeathsig(libc::SIGKILL)?;
    // 4. Make the directory the whole file system.
    rootfs::make_private()?;
    rootfs::pivot_into(&root(opened)?).map_err(namespaces::explain)
}
