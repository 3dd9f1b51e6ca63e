//! The host's own root as a container's: everything is there, nothing can be changed.
//!
//! An overlay over `/` would do, were it not that the kernel refuses one over a
//! tree that other mounts cover in part: in a user namespace those mounts are
//! *locked*, for what they cover might be a secret (mount_namespaces(7)). So the
//! view is put together. Root's supervisor makes a copy of each real file system,
//! alone and under the container's ids; an overlay goes over each. For a user,
//! directories without mounts inside get an overlay each, and those with mounts
//! are gone through entry by entry.
//!
//! Through an overlay no socket of the host answers: the kernel looks for the
//! inode that the service has bound, and overlay's is another one (unix(7)).

use super::host_mounts::{Copy, HIDDEN_PATHS, Shown, Table, is_hidden_path};
use super::mounts::{self, Kind};
use super::overlay::{self, Overlay};
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_NOFOLLOW, O_PATH};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const READ_ONLY: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;

/// File systems that have no sockets, by their magic numbers: FAT, exFAT, NTFS, ISO 9660, UDF. Overlay refuses
/// most of them.
const WITHOUT_SOCKETS: [i64; 6] = [0x4d44, 0x2011_bab0, 0x7366_746e, 0x5346_544e, 0x9660, 0x1501_3346];

/// Mounts the view on `place`; `dir` is the container's directory, where what is written goes to. `copies`: the
/// host's file systems, if root shows them; else they are taken as this mount namespace has them.
/// `locked`: what is shown for the files among them, if it is not themselves. `cwd` is where the command will run, and so will want to write.
pub fn mount(
    (copies, locked): (&[Copy], &[OwnedFd]),
    dir: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    cwd: &Path,
    volatile: bool,
) -> Result<()> {
    let mut builder = Builder { dir, uppers: 0, volatile, written: [cwd, Path::new("/var/tmp")], store: (0, 0) };
    match copies {
        [] => builder.show_root(place),
        copies => builder.show_copies(copies, locked, place),
    }
}

struct Builder<'a> {
    dir: BorrowedFd<'a>,
    /// How many overlays there are already: each has directories of its own for what is written.
    uppers: usize,
    volatile: bool,
    /// Directories that are written to, whoever owns those above them.
    written: [&'a Path; 2],
    /// The store, by device and inode: an empty directory, for single files of it would be bound as they are.
    store: (u64, u64),
}

impl Builder<'_> {
    fn show_copies(&mut self, copies: &[Copy], locked: &[OwnedFd], place: BorrowedFd<'_>) -> Result<()> {
        let mut locked = locked.iter();
        for (at, copy) in copies.iter().enumerate() {
            let Some(tree) = &copy.tree else { continue };
            let inside = copy.point.strip_prefix("/").unwrap_or(&copy.point);
            if copy.shown == Shown::File {
                let target = mounts::mount_point(self.reopen()?.as_fd(), inside, Kind::File)?;
                mounts::attach(locked.next().unwrap_or(tree).as_fd(), target.as_fd())?;
                continue;
            }
            // Overlay takes lower directories of our own namespace only, so the copy is attached out of the way.
            let hidden = crate::sys::cstr(format!("lower{at}"))?;
            fs::mkdirat(self.dir, &hidden, 0o700)?;
            mount::move_mount(tree.as_fd(), fs::openat(self.dir, &hidden, O_PATH | O_DIRECTORY, 0)?.as_fd())?;
            let below: Vec<&Path> = copies.iter().filter_map(|other| hidden_in(copies, copy, other)).collect();
            if inside.as_os_str().is_empty() {
                self.show(tree, place, &copy.point, &below)?;
                continue;
            }
            let target = mounts::mount_point(self.reopen()?.as_fd(), inside, Kind::Directory)?;
            // What cannot be shown safely is an empty directory.
            let _ = self.show(tree, target.as_fd(), &copy.point, &below);
        }
        Ok(())
    }

    fn show_root(&mut self, place: BorrowedFd<'_>) -> Result<()> {
        // The directory that all is put together in has to be a mount itself, to become the root.
        let skeleton = mount::open_tree(place, c"", false)?;
        mount::move_mount(skeleton.as_fd(), place)?;
        let store = fs::openat(self.dir, c"../..", O_PATH | O_DIRECTORY, 0)?;
        let path = fs::path_of(store.as_fd())?;
        let stat = fs::fstat(store.as_fd())?;
        self.store = (stat.dev, stat.ino);
        // What is mounted in the store is this container's, and no reason to go through what lies around it.
        let table = Table::read()?.without(Path::new(OsStr::from_bytes(&path)));
        self.walk(Path::new("/"), &table, self.reopen()?.as_fd())
    }

    /// Shows the host's directory `path`, which has mounts inside, in `target`.
    fn walk(&mut self, path: &Path, table: &Table, target: BorrowedFd<'_>) -> Result<()> {
        let Ok(entries) = fs::entries(path) else { return Ok(()) };
        for fs::DirEntry { name, kind } in entries {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            // The entry tells of what may be covered by a mount: what counts is what can be opened.
            let Ok(opened) = fs::open(&crate::sys::cstr(&path)?, O_PATH | O_NOFOLLOW, 0) else { continue };
            if kind == libc::DT_LNK {
                if let Ok(link) = fs::readlinkat(opened.as_fd(), c"") {
                    fs::symlinkat(&std::ffi::CString::new(link).unwrap_or_default(), target, &name)?;
                }
                continue;
            }
            let shown = table.judge(opened.as_fd(), &path).unwrap_or(Shown::Nothing);
            if shown == Shown::File {
                let place = mounts::mount_point(target, Path::new(OsStr::from_bytes(name.to_bytes())), Kind::File)?;
                let _ = self.show_read_only(opened.as_fd(), place.as_fd());
            } else if shown == Shown::Directory || kind == libc::DT_DIR {
                fs::mkdirat(target, &name, 0o755)?;
                let place = fs::openat(target, &name, O_PATH | O_DIRECTORY, 0)?;
                let stat = fs::fstat(opened.as_fd())?;
                if shown == Shown::Nothing || (stat.dev, stat.ino) == self.store {
                    continue;
                }
                if table.has_mounts_below(&path) {
                    self.walk(&path, table, place.as_fd())?;
                } else {
                    let _ = self.show(&opened, place.as_fd(), &path, &[]);
                }
            }
        }
        Ok(())
    }

    /// Shows `source`, which is `path` on the host, without what is at the paths `hidden` below it: as an overlay, so
    /// that none of the host's sockets answers. What is written goes to the container, if the store's file system can
    /// take it.
    fn show(&mut self, source: &OwnedFd, place: BorrowedFd<'_>, path: &Path, hidden: &[&Path]) -> Result<()> {
        let hidden = HIDDEN_PATHS.iter().map(Path::new).chain(hidden.iter().copied());
        let mut hidden: Vec<&Path> = hidden.filter(|hidden| *hidden != path && hidden.starts_with(path)).collect();
        let (upper, work) = self.make_upper(source, path)?;
        let lower = std::slice::from_ref(source);
        let again = |upper: &OwnedFd| fs::openat(upper.as_fd(), c".", libc::O_RDONLY | O_DIRECTORY, 0);
        let kept = again(&upper)?;
        // A file system without user.* attributes cannot keep a directory empty by itself.
        let is_open = |path: &Path, hidden: &Path| {
            let inside = hidden.strip_prefix(path).unwrap_or(hidden);
            overlay::hide(source.as_fd(), kept.as_fd(), inside).is_err()
        };
        hidden.retain(|hidden| is_open(path, hidden));
        let mounted = Overlay { lower, upper, work, volatile: self.volatile }.mount(place);
        let Err(error) = mounted else { return self.cover(&hidden) };
        let layers = [kept, again(source).or_else(|_| fs::openat(source.as_fd(), c".", O_PATH | O_DIRECTORY, 0))?];
        if overlay::mount_read_only(&layers, place).is_ok() {
            // Nothing can be made there any more, as the target of a link to /run/resolv.conf must be.
            hidden.extend(HIDDEN_PATHS.iter().map(Path::new).filter(|hidden| hidden.starts_with(path)));
            return self.cover(&hidden);
        }
        if fs::fstatfs(source.as_fd()).is_ok_and(|found| WITHOUT_SOCKETS.contains(&found.kind)) {
            return self.show_read_only(source.as_fd(), place);
        }
        Err(error)
    }

    fn show_read_only(&self, source: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<()> {
        mount::move_mount(mounts::clone_tree(source, false, READ_ONLY, None)?.as_fd(), place)
    }

    /// The directories of one more overlay, over `lower`, which is `path` on the host.
    fn make_upper(&mut self, lower: &OwnedFd, path: &Path) -> Result<(OwnedFd, OwnedFd)> {
        let at = self.uppers;
        self.uppers += 1;
        let make = |name: String| -> Result<OwnedFd> {
            let name = crate::sys::cstr(name)?;
            fs::mkdirat(self.dir, &name, 0o755)?;
            fs::openat(self.dir, &name, libc::O_RDONLY | O_DIRECTORY, 0)
        };
        let (upper, work) = (make(format!("upper{at}"))?, make(format!("work{at}"))?);
        // The directory itself is the upper one's: it takes its mode from what it covers.
        fs::fchmod(upper.as_fd(), fs::fstat(lower.as_fd())?.mode & 0o7777)?;
        for written in self.written.iter().filter_map(|written| written.strip_prefix(path).ok()) {
            overlay::adopt(lower.as_fd(), upper.as_fd(), written)?;
        }
        Ok((upper, work))
    }

    /// Mounts an empty file system on each of these directories.
    fn cover(&self, hidden: &[&Path]) -> Result<()> {
        for path in hidden {
            let Ok(place) = mounts::open_inside(self.reopen()?.as_fd(), path) else { continue };
            if fs::fstat(place.as_fd())?.is_dir() {
                mounts::attach(mounts::fresh(c"tmpfs", "mode=755,size=16m", 0)?.as_fd(), place.as_fd())?;
            }
        }
        Ok(())
    }

    fn reopen(&self) -> Result<OwnedFd> {
        fs::openat(self.dir, c"rootfs", O_PATH | O_DIRECTORY, 0)
    }
}

/// The place of `other`, if it is hidden and lies in `shown` itself, not in another mount below that.
fn hidden_in<'a>(copies: &'a [Copy], shown: &Copy, other: &'a Copy) -> Option<&'a Path> {
    let around = copies.iter().filter(|copy| copy.point != other.point && other.point.starts_with(&copy.point));
    let nearest = around.max_by_key(|copy| copy.point.components().count())?;
    (other.tree.is_none() && nearest.point == shown.point).then_some(other.point.as_path())
}

/// Whether the caller may see `path` at all, so that it can be the working directory inside.
pub fn shows(path: &Path) -> bool {
    // By a name in it, for which the caller has to be able to enter it.
    !is_hidden_path(path) && path.join(".").is_dir()
}
