//! Whole directory trees: copying them with all that belongs to a file, and removing
//! them, whoever owns what is inside.

use super::remove::{Patience, remove_with};
use super::{Store, remove};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::poll::poll;
use crate::sys::{cstr, fs};
use libc::{AT_SYMLINK_NOFOLLOW, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

const OPAQUE: &CStr = c"user.overlay.opaque";

impl Store {
    /// Removes `path` and all below it; that it is not there is fine. Without root, files that belong
    /// to a container's other users are removed in the sandbox, where we are root of them.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        if self.remove_tree_with(path, Patience::endless())? {
            return Ok(());
        }
        Err(Error::new(format_args!("removing {} was interrupted", path.display()))
            .hint("the next command removes the rest"))
    }

    /// The same until `patience` is over; returns whether all is removed.
    pub fn remove_tree_with(&self, path: &Path, patience: Patience) -> Result<bool> {
        let failed =
            |error: Error| Error::call(format_args!("remove {}", path.display()), error.errno().unwrap_or(libc::EIO));
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Err(Error::new("remove /")) };
        let dir = fs::open(&cstr(dir)?, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
        match dir.and_then(|dir| remove_with(dir.as_fd(), &cstr(name)?, patience)) {
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(true),
            Err(error) if ![Some(libc::EACCES), Some(libc::EPERM)].contains(&error.errno()) => {
                return Err(failed(error));
            }
            Err(_) => {}
            done => return done,
        }
        let sandboxed = self.sandbox().spawn(path, &mut || empty_root().map(|()| Vec::new()))?;
        // The child does not see the signals that come to us.
        while !poll(&[sandboxed.channel.as_fd()], 50)?.contains(&true) {
            if patience.is_over() {
                sandboxed.child.signal(libc::SIGKILL)?;
                sandboxed.child.wait()?;
                return Ok(false);
            }
        }
        sandboxed.wait()?;
        fs::rmdir(path).map_err(|error| error.renamed(format_args!("remove {}", path.display())))?;
        Ok(true)
    }

    /// Makes the directory `path` with its parents, and gives it to container root.
    pub fn make_for_root(&self, path: &Path) -> Result<()> {
        if fs::stat(path).is_ok_and(|stat| stat.is_dir()) {
            return Ok(());
        }
        let made = fs::mkdir_all(path, 0o777).and_then(|()| self.give_to_root(path));
        made.map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))
    }

    /// Gives a file or directory that we have made to container root, if that is not us already.
    pub fn give_to_root(&self, path: &Path) -> Result<()> {
        let (uid, gid) = self.sandbox().root_ids();
        if uid == crate::sys::cred::geteuid() {
            return Ok(());
        }
        fs::chown(path, uid, gid)
    }
}

/// Removes all that is in the directory that is our root.
fn empty_root() -> Result<()> {
    let root = fs::open(c"/", O_RDONLY | O_DIRECTORY, 0)?;
    fs::entries_of(root.as_fd()).try_for_each(|entry| remove(root.as_fd(), &entry?.name))
}

/// Lays the tree `from` over the tree `to`, as overlay would show the two: names that `from` marks as
/// removed go away, opaque directories hide what was there. Owners that cannot be given are left out.
pub fn merge(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let root = fs::openat(to, c".", O_RDONLY | O_DIRECTORY, 0)?;
    Copier { root: root.as_fd(), shift: None, links: BTreeMap::new() }.directory(from, to, b"")
}

/// Copies the tree at `from` into the new directory `to`, its owners moved up by `shift`: what an
/// id-mapped mount would show, made by hand. Gives `to` opened.
pub fn copy_shifted(from: &Path, to: &Path, shift: (u32, u32)) -> Result<OwnedFd> {
    fs::mkdir(to, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", to.display())))?;
    let open = |path: &Path| fs::open(&cstr(path)?, O_RDONLY | O_DIRECTORY, 0);
    let (from, to) = (open(from)?, open(to)?);
    Copier { root: to.as_fd(), shift: Some(shift), links: BTreeMap::new() }.directory(from.as_fd(), to.as_fd(), b"")?;
    Ok(to)
}

struct Copier<'a> {
    /// Where all is copied to; hard links are made from names below it.
    root: BorrowedFd<'a>,
    shift: Option<(u32, u32)>,
    /// Where a file with several names has been copied to.
    links: BTreeMap<(u64, u64), Vec<u8>>,
}

impl Copier<'_> {
    /// Copies what is in `from` into `to`, which is at `path` below the root, then the directory's own attributes.
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let source = fs::openat(from, c".", O_RDONLY | O_DIRECTORY, 0)?;
        for entry in fs::entries_of(source.as_fd()) {
            let name = entry?.name;
            let below = [path, if path.is_empty() { b"" } else { b"/" }, name.to_bytes()].concat();
            self.entry(source.as_fd(), to, &name, &below)
                .map_err(|error| error.context(format_args!("copy {}", String::from_utf8_lossy(&below))))?;
        }
        let to = fs::openat(to, c".", O_RDONLY | O_DIRECTORY, 0)?;
        self.attributes(source.as_fd(), to.as_fd(), &fs::fstat(source.as_fd())?)
    }

    fn entry(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<()> {
        let stat = fs::fstatat(from, name, AT_SYMLINK_NOFOLLOW)?;
        let old = fs::fstatat(to, name, AT_SYMLINK_NOFOLLOW).ok();
        if stat.is_dir() {
            let Some(source) = open_here(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)? else {
                return if old.is_some() { Ok(()) } else { fs::mkdirat(to, name, 0o755) };
            };
            let opaque = fs::fgetxattr(source.as_fd(), OPAQUE).is_ok_and(|value| value == b"y");
            if old.is_some_and(|old| opaque || !old.is_dir()) {
                remove(to, name)?;
            }
            if opaque || !old.is_some_and(|old| old.is_dir()) {
                fs::mkdirat(to, name, 0o700)?;
            }
            let target = fs::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)?;
            return self.directory(source.as_fd(), target.as_fd(), path);
        }
        if old.is_some() {
            remove(to, name)?;
        }
        if stat.is_whiteout() {
            return Ok(());
        }
        if stat.nlink > 1 {
            if let Some(first) = self.links.get(&(stat.dev, stat.ino)) {
                return fs::linkat(self.root, &CString::new(first.clone()).unwrap_or_default(), to, name, 0);
            }
            self.links.insert((stat.dev, stat.ino), path.to_owned());
        }
        match stat.kind() {
            libc::S_IFREG => {
                let Some(source) = open_here(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)? else { return Ok(()) };
                let target = fs::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
                copy_bytes(source.as_fd(), target.as_fd())?;
                self.attributes(source.as_fd(), target.as_fd(), &stat)
            }
            libc::S_IFLNK => {
                let target = CString::new(fs::readlinkat(from, name)?).unwrap_or_default();
                fs::symlinkat(&target, to, name)?;
                self.owner(|uid, gid| fs::fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW), &stat)?;
                fs::utimensat(to, name, stat.atime, stat.mtime, AT_SYMLINK_NOFOLLOW)
            }
            _ => {
                let device = (libc::major(stat.rdev) as u32, libc::minor(stat.rdev) as u32);
                match fs::mknodat(to, name, stat.mode, device) {
                    // A user namespace makes no devices, and the container could not open them anyway.
                    Err(error) if error.errno() == Some(libc::EPERM) => return Ok(()),
                    other => other?,
                }
                self.owner(|uid, gid| fs::fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW), &stat)?;
                fs::fchmodat(to, name, stat.mode & 0o7777)
            }
        }
    }

    /// Owner, then mode (a change of owner clears set-user-id), then the rest; times last.
    fn attributes(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &fs::Stat) -> Result<()> {
        self.owner(|uid, gid| fs::fchown(to, uid, gid), stat)?;
        fs::fchmod(to, stat.mode & 0o7777)?;
        for name in fs::flistxattr(from).unwrap_or_default() {
            if !name.to_bytes().starts_with(b"user.overlay.") {
                // Attributes of a security module, or on a file system without them.
                let _ = fs::fgetxattr(from, &name).and_then(|value| fs::fsetxattr(to, &name, &value));
            }
        }
        fs::futimens(to, stat.atime, stat.mtime)
    }

    fn owner(&self, chown: impl FnOnce(u32, u32) -> Result<()>, stat: &fs::Stat) -> Result<()> {
        let (uid, gid) = self.shift.map_or((stat.uid, stat.gid), |(uids, gids)| {
            let up = |id: u32, by: u32| if id < 65536 { id + by } else { by + 65534 };
            (up(stat.uid, uids), up(stat.gid, gids))
        });
        match chown(uid, gid) {
            Err(error) if self.shift.is_none() && [Some(libc::EINVAL), Some(libc::EPERM)].contains(&error.errno()) => {
                Ok(())
            }
            other => other,
        }
    }
}

/// Opens `name` unless something is mounted there, which is no part of the tree.
fn open_here(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<Option<OwnedFd>> {
    match fs::openat2(dir, name, flags, 0, libc::RESOLVE_NO_XDEV) {
        Err(error) if error.errno() == Some(libc::EXDEV) => Ok(None),
        opened => opened.map(Some),
    }
}

fn copy_by_hand(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match fs::read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(size) => fs::write_all(to, &buffer[..size])?,
            Err(error) if error.errno() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The bytes of a file: shared where the file system can (FICLONE), else copied within the kernel.
fn copy_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    if fs::ficlone(to, from).is_ok() {
        return Ok(());
    }
    loop {
        match fs::copy_file_range(from, to, 1 << 30) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error)
                if [Some(libc::EXDEV), Some(libc::EINVAL), Some(libc::ENOSYS), Some(libc::EOPNOTSUPP)]
                    .contains(&error.errno()) =>
            {
                return copy_by_hand(from, to);
            }
            Err(error) => return Err(error),
        }
    }
}
