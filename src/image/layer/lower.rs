//! The layers below, as overlay would show them: the topmost layer that has a name decides what it is,
//! whiteouts and opaque directories hide what is under them, and no symlink is followed.

use super::attributes::copy_attributes;
use super::name::split;
use super::tree::{DIRECTORY, Tree, c};
use super::xattr::OPAQUE;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// One directory as several layers have it, the topmost first.
pub struct Merged(Vec<OwnedFd>);

impl Merged {
    /// The directory `path` of these layers together.
    pub fn open(layers: &[BorrowedFd<'_>], path: &[u8]) -> Result<Merged> {
        let mut dirs = Vec::new();
        for layer in layers {
            dirs.push(fs::openat(*layer, c".", DIRECTORY, 0)?);
        }
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let part = c(part)?;
            let mut merged = Vec::new();
            for dir in &dirs {
                match fs::openat(dir.as_fd(), &part, DIRECTORY | libc::O_NOFOLLOW, 0) {
                    Ok(dir) => {
                        let opaque = fs::fgetxattr(dir.as_fd(), OPAQUE).is_ok_and(|value| value == b"y");
                        merged.push(dir);
                        if opaque {
                            break;
                        }
                    }
                    Err(error) if error.errno() == Some(libc::ENOENT) => {}
                    Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => break,
                    Err(error) => return Err(error),
                }
            }
            dirs = merged;
        }
        Ok(Merged(dirs))
    }

    /// The layer's directory that has `name`, and what it is there; the first `skip` are not asked.
    pub fn find(self, name: &[u8], skip: usize) -> Result<Option<(OwnedFd, CString, fs::Stat)>> {
        let name = c(name)?;
        for dir in self.0.into_iter().skip(skip) {
            match fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW) {
                Err(error) if error.errno() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
                Ok(stat) if stat.is_whiteout() => return Ok(None),
                Ok(stat) => return Ok(Some((dir, name, stat))),
            }
        }
        Ok(None)
    }
}

/// Gives directories that no entry tells of, which [`unpack`](super::unpack) so had to make up, the attributes
/// that they have in the layers below: overlay would show ours. containerd does the same. (A layer that lies
/// on other layers in another image keeps what it has got from these.)
pub fn adopt(lowers: &[BorrowedFd<'_>], root: BorrowedFd<'_>, made_up: &[Vec<u8>]) -> Result<()> {
    let layers: Vec<BorrowedFd<'_>> = std::iter::once(root).chain(lowers.iter().copied()).collect();
    let mut tree = Tree::new(root);
    for path in made_up {
        let blame = |error: Error| error.context(format_args!("directory '{}'", String::from_utf8_lossy(path)));
        let (parent, name) = split(path);
        let below = Merged::open(&layers, parent).and_then(|merged| merged.find(name, 1)).map_err(blame)?;
        if let Some((dir, name, stat)) = below.filter(|(_, _, stat)| stat.is_dir())
            && let Some(ours) = tree.find(path)?
        {
            let theirs = fs::openat(dir.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0).map_err(blame)?;
            copy_attributes(theirs.as_fd(), &stat, ours.as_fd()).map_err(blame)?;
        }
    }
    Ok(())
}
