//! Hard links whose target is not there yet: it comes later in the stream, or lies in a lower layer.

use super::attributes::copy_attributes;
use super::lower::Merged;
use super::tree::{Dir, Tree, c};
use super::unpacked::Link;
use crate::error::{Error, Result};
use crate::sys::fs;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// What all deferred links together may take of the memory, roughly.
const REMEMBERED: usize = 8 << 20;

/// The links of a layer that have to wait.
#[derive(Default)]
pub struct Deferred {
    links: Vec<Link>,
    size: usize,
}

impl Deferred {
    pub fn push(&mut self, link: Link) -> Result<()> {
        self.size += size_of::<Link>() + link.target_parent.len() + link.target.len() + link.parent.len();
        if self.size > REMEMBERED {
            return Err(Error::new(format_args!("more links to lower layers than fit into {} MiB", REMEMBERED >> 20)));
        }
        self.links.push(link);
        Ok(())
    }

    /// Makes the links whose target has come meanwhile, and gives the others.
    pub fn resolve(&mut self, tree: &mut Tree<'_>) -> Result<Vec<Link>> {
        let mut missing = Vec::new();
        for link in std::mem::take(&mut self.links) {
            match target(tree, &link)? {
                None => missing.push(link),
                Some((target_dir, target)) => {
                    let dir = tree.make(&link.parent)?;
                    match fs::linkat(target_dir.as_fd(), &target, dir.as_fd(), &c(&link.name)?, 0) {
                        // A later entry has taken the name.
                        Err(error) if error.errno() == Some(libc::EEXIST) => {}
                        made => made.map_err(|error| link.blame(error))?,
                    }
                }
            }
        }
        Ok(missing)
    }
}

/// The directory and the name of a link's target, if it is in this tree. Symlinks in the directory's path
/// are followed inside the root; a target that is a symlink is linked to itself.
pub fn target(tree: &mut Tree<'_>, link: &Link) -> Result<Option<(Rc<Dir>, CString)>> {
    let Some(dir) = tree.find(&link.target_parent)? else { return Ok(None) };
    let name = c(&link.target)?;
    match fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
        Ok(stat) if stat.is_dir() => Err(link.blame(Error::new("the target is a directory"))),
        Ok(stat) if stat.is_whiteout() => Err(link.blame(Error::new("the target is removed by the same layer"))),
        Ok(_) => Ok(Some((dir, name))),
    }
}

/// Makes the links that [`unpack`](super::unpack) had to leave: each becomes a copy of the file that the layers
/// below (the topmost first) have under the target's name, and links to one file stay links to one file.
/// Runs where `unpack` did: as the container's root, with the lower layers' directories opened beforehand.
pub fn link_from_lower(lowers: &[BorrowedFd<'_>], root: BorrowedFd<'_>, deferred: &[Link]) -> Result<()> {
    let mut tree = Tree::new(root);
    let mut copied: HashMap<(u64, u64), (Rc<Dir>, CString)> = HashMap::new();
    for link in deferred {
        let blame = |error| link.blame(error);
        let dir = tree.make(&link.parent).map_err(blame)?;
        let name = c(&link.name)?;
        // The directory's own time is told by the layer; what is put into it now must not change it.
        let before = fs::fstat(dir.as_fd())?;
        if let Some((first_dir, first)) = target(&mut tree, link)? {
            // A link to one of these links, which is there by now.
            fs::linkat(first_dir.as_fd(), &first, dir.as_fd(), &name, 0).map_err(blame)?;
        } else {
            let missing = || blame(Error::new("neither this layer nor one below it has the target"));
            let found = Merged::open(lowers, &link.target_parent).and_then(|merged| merged.find(&link.target, 0));
            let (from, target, stat) = found.map_err(blame)?.filter(|found| !found.2.is_dir()).ok_or_else(missing)?;
            match copied.get(&(stat.dev, stat.ino)) {
                Some((first_dir, first)) => fs::linkat(first_dir.as_fd(), first, dir.as_fd(), &name, 0),
                None => copy(from.as_fd(), &target, &stat, dir.as_fd(), &name),
            }
            .map_err(blame)?;
            copied.entry((stat.dev, stat.ino)).or_insert((dir.clone(), name));
        }
        fs::futimens(dir.as_fd(), before.atime, before.mtime)?;
    }
    Ok(())
}

/// Copies one thing that is no directory, with all its attributes.
fn copy(from: BorrowedFd<'_>, target: &CStr, stat: &fs::Stat, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    const CREATE: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    match stat.kind() {
        libc::S_IFREG => {
            let source = File::from(fs::openat(from, target, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?);
            let file = File::from(fs::openat(dir, name, CREATE, 0o600)?);
            if fs::ficlone(file.as_fd(), source.as_fd()).is_err() {
                std::io::copy(&mut &source, &mut &file).map_err(|error| Error::io("copy the target", &error))?;
            }
            return copy_attributes(source.as_fd(), stat, file.as_fd());
        }
        libc::S_IFLNK => {
            fs::symlinkat(&c(&fs::readlinkat(from, target)?)?, dir, name)?;
        }
        kind => fs::mknodat(dir, name, kind | stat.mode & 0o777, (libc::major(stat.rdev), libc::minor(stat.rdev)))?,
    }
    fs::fchownat(dir, name, stat.uid, stat.gid, libc::AT_SYMLINK_NOFOLLOW)?;
    fs::utimensat(dir, name, stat.atime, stat.mtime, libc::AT_SYMLINK_NOFOLLOW)
}
