//! Device nodes, which only the host's root may make: mknod(2) asks for CAP_MKNOD in the first user namespace.
//!
//! So when the host's root unpacks a layer, a process that stays outside the walls makes them, each in the
//! directory whose descriptor the unpacker sends. Nobody can open what it makes: the walls are mounted
//! `nodev`, and a file system that is mounted in a user namespace, as containers' overlays are, opens no devices.

use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, process, socket};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// What the maker answers when all went well; else it is an error's bytes.
const MADE: &[u8] = b"made";

/// The process that makes devices; it ends when this is dropped.
pub struct DeviceMaker {
    child: process::Child,
    /// None only while this is dropped.
    socket: Option<OwnedFd>,
}

impl DeviceMaker {
    /// Starts it if we are the host's root, as far as that can be told. What it makes belongs to `owner`,
    /// the host's ids of container root.
    pub fn start(owner: (u32, u32)) -> Result<Option<DeviceMaker>> {
        if cred::geteuid() != 0 {
            return Ok(None);
        }
        let (ours, theirs) = socket::socketpair()?;
        let mut ours = Some(ours);
        let child = process::fork(|| {
            drop(ours.take());
            i32::from(serve(&theirs, owner).is_err())
        })?;
        Ok(Some(DeviceMaker { child, socket: ours }))
    }

    /// As [`fs::mknodat`], also from behind the walls.
    pub fn mknodat(&self, dir: BorrowedFd<'_>, name: &CStr, mode: u32, device: (u32, u32)) -> Result<()> {
        let socket = self.socket.as_ref().ok_or_else(gone)?.as_fd();
        let numbers = [mode, device.0, device.1].map(u32::to_le_bytes).concat();
        socket::send(socket, &[&numbers[..], name.to_bytes()].concat(), &[dir])?;
        let mut answer = vec![0; 8 << 10];
        let (length, _) = socket::receive(socket, &mut answer)?;
        match answer.get(..length).unwrap_or_default() {
            [] => Err(gone()),
            MADE => Ok(()),
            error => Err(Error::from_bytes(error)),
        }
    }
}

impl Drop for DeviceMaker {
    fn drop(&mut self) {
        // The end of this side is the end of its work.
        self.socket = None;
        let _ = self.child.wait();
    }
}

fn gone() -> Error {
    Error::new("the process that makes devices ended early")
}

/// The maker's own life: one request after another until nobody is left to ask.
fn serve(socket: &OwnedFd, owner: (u32, u32)) -> Result<()> {
    cred::set_pdeathsig(libc::SIGKILL)?;
    fs::umask(0);
    let mut request = vec![0; 4 << 10];
    loop {
        let (length, dirs) = socket::receive(socket.as_fd(), &mut request)?;
        if length == 0 {
            return Ok(());
        }
        let made = make(request.get(..length).unwrap_or_default(), &dirs, owner);
        let answer = made.map_or_else(|error| error.to_bytes(), |()| MADE.to_vec());
        socket::send(socket.as_fd(), &answer, &[])?;
    }
}

fn make(request: &[u8], dirs: &[OwnedFd], (uid, gid): (u32, u32)) -> Result<()> {
    let bad = || Error::new("no request for a device");
    let (numbers, name) = request.split_at_checked(12).ok_or_else(bad)?;
    let number = |at: usize| numbers.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let (Some(mode), Some(major), Some(minor), [dir]) = (number(0), number(4), number(8), dirs) else {
        return Err(bad());
    };
    // Devices and nothing else, and in this very directory.
    if name.contains(&b'/') || !matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
        return Err(bad());
    }
    let name = CString::new(name).map_err(|_| bad())?;
    fs::mknodat(dir.as_fd(), &name, mode, (major, minor))?;
    fs::fchownat(dir.as_fd(), &name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    #[test]
    fn devices_are_made_where_and_as_they_are_asked_for() {
        let Some(maker) = DeviceMaker::start((7, 8)).unwrap() else { return };
        let path = std::env::temp_dir().join(format!("ccrun-devices-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let dir = std::fs::File::open(&path).unwrap();
        let make = |name: &CStr, mode| maker.mknodat(dir.as_fd(), name, mode, (1, 3));
        match make(c"null", libc::S_IFCHR | 0o640) {
            // Root in a user namespace only.
            Err(error) if error.errno() == Some(libc::EPERM) => {}
            made => {
                made.unwrap();
                let meta = std::fs::symlink_metadata(path.join("null")).unwrap();
                assert!(meta.file_type().is_char_device() && meta.rdev() == libc::makedev(1, 3));
                assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o640, 7, 8));
                assert_eq!(make(c"null", libc::S_IFCHR | 0o640).unwrap_err().errno(), Some(libc::EEXIST));
            }
        }
        assert!(make(c"../null", libc::S_IFCHR).is_err() && make(c"file", libc::S_IFREG).is_err());
        drop(maker);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
