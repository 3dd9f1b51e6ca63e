//! Hard links whose target is not there yet: it comes later in the stream, or lies in a lower layer.

use super::tree::{Dir, Tree, c};
use super::unpacked::Link;
use crate::error::{Error, Result};
use crate::sys::fs;
use std::ffi::CString;
use std::os::fd::AsFd;
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
            return Err(Error::new(format!("more links to lower layers than fit into {} MiB", REMEMBERED >> 20)));
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
