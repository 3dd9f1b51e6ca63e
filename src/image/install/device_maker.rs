//! Device nodes, which only the host's root may make: mknod(2) asks for CAP_MKNOD in the first user namespace.
//!
//! So when the host's root unpacks a layer, a process that stays outside the sandbox makes them, each in the
//! directory whose descriptor the unpacker sends. Nobody can open what it makes: the sandbox is mounted
//! `nodev`, and a file system that is mounted in a user namespace, as containers' overlays are, opens no devices.

use crate::error::{Error, Result};
use crate::sys::channel::{self, Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, process};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// The process that makes devices; it ends when this is dropped.
pub struct DeviceMaker {
    child: process::Child,
    /// None only while this is dropped.
    channel: Option<Channel>,
}

impl DeviceMaker {
    /// Starts it if we are the host's root, as far as that can be told. What it makes belongs to `owner`,
    /// the host's ids of container root.
    pub fn start(owner: (u32, u32)) -> Result<Option<DeviceMaker>> {
        if cred::geteuid() != 0 {
            return Ok(None);
        }
        let (child, channel) = channel::fork(0, None, |parent| i32::from(serve(&parent, owner).is_err()))?;
        Ok(Some(DeviceMaker { child, channel: Some(channel) }))
    }

    /// As [`fs::mknodat`], also from inside the sandbox.
    pub fn mknodat(&self, dir: BorrowedFd<'_>, name: &CStr, mode: u32, (major, minor): (u32, u32)) -> Result<()> {
        const MAKER: &str = "the process that makes devices";
        let channel = self.channel.as_ref().ok_or_else(|| Error::new(format!("{MAKER} ended")))?;
        channel.send(&Message::MakeDevice { mode, major, minor, name: name.to_owned() }, &[dir])?;
        channel.expect(MAKER).map(drop)
    }
}

impl Drop for DeviceMaker {
    fn drop(&mut self) {
        // The end of this side is the end of its work.
        self.channel = None;
        let _ = self.child.wait();
    }
}

/// The maker's own life: one request after another until nobody is left to ask.
fn serve(parent: &Channel, owner: (u32, u32)) -> Result<()> {
    cred::set_pdeathsig(libc::SIGKILL)?;
    fs::umask(0);
    while let Some((request, dirs)) = parent.receive()? {
        let made = make(&request, &dirs, owner);
        parent.send(&made.map_or_else(Message::Failed, |()| Message::Go), &[])?;
    }
    Ok(())
}

fn make(request: &Message, dirs: &[OwnedFd], (uid, gid): (u32, u32)) -> Result<()> {
    let bad = || Error::new("no request for a device");
    let (Message::MakeDevice { mode, major, minor, name }, [dir]) = (request, dirs) else { return Err(bad()) };
    // Devices and nothing else, and in this very directory.
    if name.to_bytes().contains(&b'/') || !matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
        return Err(bad());
    }
    fs::mknodat(dir.as_fd(), name, *mode, (*major, *minor))?;
    fs::fchownat(dir.as_fd(), name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)
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
