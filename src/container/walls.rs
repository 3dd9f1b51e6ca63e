//! The walls behind which layers are unpacked and trees removed: the same user
//! namespace as a container's, and a file system that is one directory.

use crate::error::{Error, Result};
use crate::isolation::idmap::IdMap;
use crate::isolation::{namespaces, rootfs};
use crate::store::{Walled, Walls};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, process, socket};
use std::os::fd::AsFd;
use std::path::Path;

/// Walls made of namespaces, with the ids of the containers that will use the files.
pub struct NamespaceWalls {
    pub map: IdMap,
}

impl NamespaceWalls {
    /// Forks a child as [`Walls::spawn`] does, which finds its file system by itself: `open` is run as the user who
    /// called, whom alone the store lets in, `root` as container root, in a mount namespace of its own.
    pub fn spawn_on<T>(
        &self,
        open: impl Fn() -> Result<T>,
        root: impl Fn(T) -> Result<OwnedFd>,
        inside: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Walled> {
        let (ours, theirs) = socket::socketpair()?;
        let flags = process::CLONE_NEWUSER | process::CLONE_NEWNS | process::CLONE_NEWNET | process::CLONE_NEWIPC;
        let child = process::clone3(flags, None, || {
            process::close(&ours);
            let outcome = enter(&open, &root, &theirs, self.map.is_single()).and_then(|()| inside());
            i32::from(Walled::report(&theirs, outcome).is_err())
        });
        let child = child.map_err(namespaces::explain)?;
        drop(theirs);
        self.map.write(child.pid())?;
        socket::send(ours.as_fd(), b"go", &[])?;
        Ok(Walled { child, result: ours })
    }
}

impl Walls for NamespaceWalls {
    fn spawn(&self, dir: &Path, inside: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Walled> {
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
    socket: &OwnedFd,
    single: bool,
) -> Result<()> {
    // 1. Nothing is ours before the id map is written; an empty message means that the parent gave up.
    if socket::receive(socket.as_fd(), &mut [0; 8])?.0 == 0 {
        return Err(Error::new("the parent process ended"));
    }
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
