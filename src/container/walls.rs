//! The walls behind which layers are unpacked and trees removed: the same user
//! namespace as a container's, and a file system that is one directory.

use crate::error::{Error, Result};
use crate::isolation::idmap::IdMap;
use crate::isolation::{namespaces, rootfs};
use crate::store::{Walled, Walls};
use crate::sys::{cred, process, socket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Walls made of namespaces, with the ids of the containers that will use the files.
pub struct NamespaceWalls {
    pub map: IdMap,
}

impl Walls for NamespaceWalls {
    fn spawn(&self, dir: &Path, inside: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Walled> {
        let (ours, theirs) = socket::socketpair()?;
        let flags = process::CLONE_NEWUSER | process::CLONE_NEWNS | process::CLONE_NEWNET | process::CLONE_NEWIPC;
        let child = process::clone3(flags, None, || {
            process::close(&ours);
            let outcome = enter(dir, &theirs, self.map.is_single()).and_then(|()| inside());
            i32::from(Walled::report(&theirs, outcome).is_err())
        });
        let child = child.map_err(namespaces::explain)?;
        drop(theirs);
        self.map.write(child.pid())?;
        socket::send(ours.as_fd(), b"go", &[])?;
        Ok(Walled { child, result: ours })
    }

    fn root_ids(&self) -> (u32, u32) {
        self.map.root_ids()
    }
}

/// The child's way in.
fn enter(dir: &Path, socket: &OwnedFd, single: bool) -> Result<()> {
    // 1. Nothing is ours before the id map is written; an empty message means that the parent gave up.
    if socket::receive(socket.as_fd(), &mut [0; 8])?.0 == 0 {
        return Err(Error::new("the parent process ended"));
    }
    cred::set_undumpable()?;
    // 2. The directory is opened while we still are the caller: the store lets nobody else in.
    let dir = rootfs::open_directory(dir)?;
    // 3. Become container root, so that what is made here has an owner on the host.
    rootfs::become_root(single)?;
    cred::set_pdeathsig(libc::SIGKILL)?;
    // 4. The directory becomes all there is.
    rootfs::pivot_into(&dir).map_err(namespaces::explain)
}
