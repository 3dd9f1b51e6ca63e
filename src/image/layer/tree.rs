//! Directories below a layer's root, reached so that no path can lead out of it.

use super::xattr::make_opaque;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::{cstr, fs};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// How directories are opened: really, not with O_PATH, so that attributes can be set on them.
pub const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
/// The kernel's own limit for symlinks in one path.
const SYMLINKS: usize = 40;

/// A name as the kernel takes it.
pub fn c(name: &[u8]) -> Result<CString> {
    cstr(OsStr::from_bytes(name))
}

/// The kernel's own limit for a path, and ours for where symlinks lead, without the final NUL.
const PATH: usize = 4095;

/// An open directory of a layer.
pub struct Dir {
    fd: OwnedFd,
    /// Where it is, from the layer's root and without symlinks; the root's is empty.
    path: Vec<u8>,
}

impl Dir {
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    /// Where something in it is.
    pub fn below(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }

    /// Goes into a directory in it, which may not be a symlink.
    fn enter(&self, name: &[u8]) -> Result<Dir> {
        let fd = fs::openat(self.fd.as_fd(), &c(name)?, DIRECTORY | libc::O_NOFOLLOW, 0)?;
        let path = self.below(name);
        if path.len() > PATH {
            return Err(Error::call(format_args!("open {:?}", OsStr::from_bytes(&path)), libc::ENAMETOOLONG));
        }
        Ok(Dir { fd, path })
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A layer's tree. Symlinks on the way to a directory are followed as they would be
/// with the layer's root as `/`: an image may have `var/run -> /run` and write through it.
pub struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The directory that the last entry lay in: entries come directory by directory.
    last: Option<(Vec<u8>, Rc<Dir>)>,
    /// The kernel has openat2.
    openat2: bool,
    /// Where directories had to be made up since somebody took note of it.
    pub made_up: Vec<Vec<u8>>,
}

impl<'a> Tree<'a> {
    pub fn new(root: BorrowedFd<'a>) -> Tree<'a> {
        Tree { root, last: None, openat2: true, made_up: Vec::new() }
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
    pub fn make(&mut self, path: &[u8]) -> Result<Rc<Dir>> {
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
    pub fn find(&mut self, path: &[u8]) -> Result<Option<Rc<Dir>>> {
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

    /// Opens a directory that exists, confined to the root: by the kernel, or where symlinks are on the way, by us.
    fn open(&mut self, path: &[u8]) -> Result<Dir> {
        if path.is_empty() {
            return self.root();
        }
        if self.openat2 {
            let confined = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS | fs::RESOLVE_NO_SYMLINKS;
            match fs::openat2(self.root, &c(path)?, DIRECTORY, 0, confined) {
                // EPERM: a seccomp filter older than the call.
                Err(error) if matches!(error.errno(), Some(libc::ENOSYS | libc::EPERM)) => self.openat2 = false,
                Err(error) if error.errno() == Some(libc::ELOOP) => {}
                opened => return Ok(Dir { fd: opened?, path: path.to_vec() }),
            }
        }
        self.walk(path)
    }

    fn root(&self) -> Result<Dir> {
        Ok(Dir { fd: fs::openat(self.root, c".", DIRECTORY, 0)?, path: Vec::new() })
    }

    /// What openat2 does with RESOLVE_IN_ROOT, name by name: no symlink is ever followed by the kernel.
    /// So it is known where the path leads.
    fn walk(&self, path: &[u8]) -> Result<Dir> {
        let mut here = self.root()?;
        let mut todo: Vec<Vec<u8>> = reversed(path);
        let mut symlinks = 0;
        while let Some(part) = todo.pop() {
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    here = self.parent(&here)?;
                    continue;
                }
                _ => {}
            }
            match here.enter(&part) {
                Ok(dir) => here = dir,
                Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                    let Ok(target) = fs::readlinkat(here.as_fd(), &c(&part)?) else { return Err(error) };
                    symlinks += 1;
                    if symlinks > SYMLINKS {
                        return Err(Error::call(format_args!("walk {:?}", OsStr::from_bytes(path)), libc::ELOOP));
                    }
                    if target.starts_with(b"/") {
                        here = self.root()?;
                    }
                    todo.extend(reversed(&target));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(here)
    }

    /// The directory above, which is found from the root: `..` itself is never opened.
    fn parent(&self, dir: &Dir) -> Result<Dir> {
        let mut above = self.root()?;
        let end = dir.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        for part in dir.path.get(..end).unwrap_or_default().split(|&byte| byte == b'/').filter(|part| !part.is_empty())
        {
            above = above.enter(part)?;
        }
        Ok(above)
    }

    /// Makes what is missing of `path`. The new directories are root's, 0755; see [`adopt`](super::adopt).
    fn make_each(&mut self, path: &[u8]) -> Result<Dir> {
        let mut dir = self.root()?;
        let mut end = 0;
        for part in path.split(|&byte| byte == b'/') {
            end += part.len();
            let so_far = path.get(..end).unwrap_or(path);
            end += 1;
            dir = match dir.enter(part) {
                Err(error) if error.errno() == Some(libc::ENOENT) => {
                    fs::mkdirat(dir.as_fd(), &c(part)?, 0o755)?;
                    self.made_up.push(dir.below(part));
                    dir.enter(part)?
                }
                Err(error) if matches!(error.errno(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                    let name = c(part)?;
                    let stat = fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW)?;
                    if stat.kind() == libc::S_IFLNK {
                        self.open(so_far).map_err(|error| through_symlink(so_far, error))?
                    } else if stat.is_whiteout() {
                        // Removed and made anew by this layer: nothing of it shines through from below.
                        fs::unlinkat(dir.as_fd(), &name, 0)?;
                        fs::mkdirat(dir.as_fd(), &name, 0o755)?;
                        let made = dir.enter(part)?;
                        make_opaque(made.as_fd())?;
                        made
                    } else {
                        return Err(error);
                    }
                }
                entered => entered?,
            };
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
    error.context(format_args!("its parent '{path}' is a symlink that leads to no directory in this layer"))
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect()
}
