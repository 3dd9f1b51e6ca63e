//! Directories below a layer's root, reached so that no path can lead out of it.

use crate::error::{Error, Result};
use crate::sys::{cstr, fs};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// How directories are opened: really, not with O_PATH, so that attributes can be set on them.
pub const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
/// The xattr that makes overlay hide what lower layers have in a directory.
pub const OPAQUE: &CStr = c"user.overlay.opaque";
/// The kernel's own limit for symlinks in one path.
const SYMLINKS: usize = 40;

/// A name as the kernel takes it.
pub fn c(name: &[u8]) -> Result<CString> {
    cstr(OsStr::from_bytes(name))
}

/// A layer's tree. Symlinks on the way to a directory are followed as they would be
/// with the layer's root as `/`: an image may have `var/run -> /run` and write through it.
pub struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The directory that the last entry lay in: entries come directory by directory.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// The kernel has openat2.
    openat2: bool,
}

impl<'a> Tree<'a> {
    pub fn new(root: BorrowedFd<'a>) -> Tree<'a> {
        Tree { root, last: None, openat2: true }
    }

    /// A tree whose paths are walked name by name, as on kernels before 5.6.
    #[cfg(test)]
    pub fn without_openat2(root: BorrowedFd<'a>) -> Tree<'a> {
        Tree { openat2: false, ..Tree::new(root) }
    }

    /// Something was removed: paths may lead elsewhere now.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The directory `path`, made with its parents where it is missing.
    pub fn make(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some((known, dir)) = &self.last
            && known == path
        {
            return Ok(dir.clone());
        }
        let dir = match self.open(path) {
            Err(error) if absent(&error) => self.make_each(path)?,
            opened => opened?,
        };
        let dir = Rc::new(dir);
        self.last = Some((path.to_vec(), dir.clone()));
        Ok(dir)
    }

    /// The directory `path`, or None if it is not there.
    pub fn find(&mut self, path: &[u8]) -> Result<Option<Rc<OwnedFd>>> {
        if let Some((known, dir)) = &self.last
            && known == path
        {
            return Ok(Some(dir.clone()));
        }
        match self.open(path) {
            Ok(dir) => {
                let dir = Rc::new(dir);
                self.last = Some((path.to_vec(), dir.clone()));
                Ok(Some(dir))
            }
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a directory that exists, confined to the root by the kernel.
    fn open(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let path: &[u8] = if path.is_empty() { b"." } else { path };
        let name = c(path)?;
        let confined = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
        // EAGAIN: something was renamed anywhere in the system while a `..` was looked at.
        let mut tries = 16;
        while self.openat2 && tries > 0 {
            match fs::openat2(self.root, &name, DIRECTORY, 0, confined) {
                Err(error) if error.errno() == Some(libc::EAGAIN) => tries -= 1,
                // EPERM: a seccomp filter older than the call.
                Err(error) if matches!(error.errno(), Some(libc::ENOSYS | libc::EPERM)) => self.openat2 = false,
                opened => return opened,
            }
        }
        self.walk(path)
    }

    /// What openat2 does with RESOLVE_IN_ROOT, name by name: no symlink is ever followed
    /// by the kernel, and `..` goes back along the directories that were passed.
    fn walk(&self, path: &[u8]) -> Result<OwnedFd> {
        let mut passed: Vec<OwnedFd> = Vec::new();
        let mut todo: Vec<Vec<u8>> = reversed(path);
        let mut symlinks = 0;
        while let Some(part) = todo.pop() {
            let here = passed.last().map_or(self.root, AsFd::as_fd);
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    passed.pop();
                    continue;
                }
                _ => {}
            }
            let name = c(&part)?;
            match fs::openat(here, &name, DIRECTORY | libc::O_NOFOLLOW, 0) {
                Ok(dir) => passed.push(dir),
                Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                    let Ok(target) = fs::readlinkat(here, &name) else { return Err(error) };
                    symlinks += 1;
                    if symlinks > SYMLINKS {
                        return Err(Error::call(format!("walk {:?}", OsStr::from_bytes(path)), libc::ELOOP));
                    }
                    if target.starts_with(b"/") {
                        passed.clear();
                    }
                    todo.extend(reversed(&target));
                }
                Err(error) => return Err(error),
            }
        }
        match passed.pop() {
            Some(dir) => Ok(dir),
            None => fs::openat(self.root, c".", DIRECTORY, 0),
        }
    }

    /// Makes what is missing of `path`. The new directories are root's, 0755.
    fn make_each(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut dir = fs::openat(self.root, c".", DIRECTORY, 0)?;
        let mut end = 0;
        for part in path.split(|&byte| byte == b'/') {
            end += part.len();
            let so_far = path.get(..end).unwrap_or(path);
            end += 1;
            let name = c(part)?;
            let opened = match fs::openat(dir.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0) {
                Err(error) if error.errno() == Some(libc::ENOENT) => {
                    fs::mkdirat(dir.as_fd(), &name, 0o755)?;
                    fs::openat(dir.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0)
                }
                Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                    let stat = fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW)?;
                    if stat.kind() == libc::S_IFLNK {
                        self.open(so_far).map_err(|error| through_symlink(so_far, error))
                    } else if stat.is_whiteout() {
                        // Removed and made anew by this layer: nothing of it shines through from below.
                        fs::unlinkat(dir.as_fd(), &name, 0)?;
                        fs::mkdirat(dir.as_fd(), &name, 0o755)?;
                        let made = fs::openat(dir.as_fd(), &name, DIRECTORY | libc::O_NOFOLLOW, 0)?;
                        make_opaque(made.as_fd())?;
                        Ok(made)
                    } else {
                        Err(error)
                    }
                }
                opened => opened,
            };
            dir = opened?;
        }
        Ok(dir)
    }
}

/// The kernel's ways to say that a path leads to no directory.
pub fn absent(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

/// A parent that is a symlink to nowhere is not made up: what the layer means by it lies
/// outside of it. Docker refuses it as well.
fn through_symlink(path: &[u8], error: Error) -> Error {
    let path = String::from_utf8_lossy(path);
    error.context(format!("its parent '{path}' is a symlink that leads to no directory in this layer"))
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

/// Hides what lower layers have in this directory.
pub fn make_opaque(dir: BorrowedFd<'_>) -> Result<()> {
    fs::fsetxattr(dir, OPAQUE, b"y").map_err(|error| match error.errno() {
        Some(libc::EOPNOTSUPP) => error.hint("the store's file system keeps no user xattrs; move it with --root"),
        _ => error,
    })
}
