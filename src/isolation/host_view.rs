//! The host's own root as a container's: everything is there, nothing can be changed.
//!
//! An overlay over `/` would do, were it not that the kernel refuses one over a
//! tree that other mounts cover in part: in a user namespace those mounts are
//! *locked*, for what they cover might be a secret (mount_namespaces(7)). So the
//! view is put together. Root's supervisor sends a copy of each real file system,
//! alone and under the container's ids; an overlay goes over each. For a user,
//! directories without mounts inside get an overlay each, and those with mounts
//! are gone through entry by entry.

use super::mounts::{self, Kind};
use super::overlay::{self, Overlay};
use super::rootfs::open_directory;
use crate::error::{Error, Result};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_PATH};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a container has of its own, or should not see: running services' sockets are under /run.
const NOT_SHOWN: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

const READ_ONLY: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;

/// The host's file systems, ready to be shown.
pub enum HostView {
    /// Detached copies, in the order of [`real_mounts`].
    Copies(Vec<(PathBuf, OwnedFd)>),
    /// The host's tree as this mount namespace has it, with all its mount points.
    Walk(Vec<PathBuf>),
}

/// The mount points of the host's real file systems, `/` first: what the supervisor makes copies of.
pub fn real_mounts() -> Result<Vec<PathBuf>> {
    let mut points = mount_points()?;
    points.retain(|point| !NOT_SHOWN.iter().any(|dir| point.starts_with(dir)));
    // The last of several mounts on one point is the one that is seen.
    points.sort();
    points.dedup();
    Ok(points)
}

fn mount_points() -> Result<Vec<PathBuf>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read(path).map_err(|e| Error::io(format!("read {path}"), &e))?;
    let lines = text.split(|b| *b == b'\n');
    let points = lines.filter_map(|line| line.split(|b| *b == b' ').nth(4)).map(unescape);
    Ok(points.collect())
}

/// Blanks and their like stand as three octal digits in mountinfo (proc_pid_mountinfo(5)).
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsStr::from_bytes(&bytes).into()
}

impl HostView {
    /// Takes the copies that a supervisor with root sent, or this namespace's own tree.
    pub fn open(copies: impl Iterator<Item = OwnedFd>) -> Result<HostView> {
        let points = real_mounts()?;
        let copies: Vec<(PathBuf, OwnedFd)> = points.iter().cloned().zip(copies).collect();
        Ok(if copies.is_empty() { HostView::Walk(points) } else { HostView::Copies(copies) })
    }

    /// Mounts the view on `place`; `dir` is the container's directory, where what is written goes to.
    /// `cwd` is where the command will run, and so will want to write.
    pub fn mount(&self, dir: BorrowedFd<'_>, place: BorrowedFd<'_>, cwd: &Path, volatile: bool) -> Result<()> {
        let mut builder = Builder { dir, uppers: 0, volatile, written: [cwd, Path::new("/var/tmp")] };
        match self {
            HostView::Copies(copies) => builder.show_copies(copies, place),
            HostView::Walk(points) => builder.show_root(points, place),
        }
    }
}

struct Builder<'a> {
    dir: BorrowedFd<'a>,
    /// How many overlays there are already: each has directories of its own for what is written.
    uppers: usize,
    volatile: bool,
    /// Directories that are written to, whoever owns those above them.
    written: [&'a Path; 2],
}

impl Builder<'_> {
    fn show_copies(&mut self, copies: &[(PathBuf, OwnedFd)], place: BorrowedFd<'_>) -> Result<()> {
        for (at, (point, copy)) in copies.iter().enumerate() {
            let inside = point.strip_prefix("/").unwrap_or(point);
            if !fs::fstat(copy.as_fd())?.is_dir() {
                let target = mounts::mount_point(self.reopen()?.as_fd(), inside, Kind::File)?;
                mount::move_mount(copy.as_fd(), target.as_fd())?;
                mount::mount_setattr(copy.as_fd(), false, READ_ONLY, None)?;
                continue;
            }
            // Overlay takes lower directories of our own namespace only, so the copy is attached out of the way.
            let hidden = crate::sys::cstr(format!("lower{at}"))?;
            fs::mkdirat(self.dir, &hidden, 0o700)?;
            mount::move_mount(copy.as_fd(), fs::openat(self.dir, &hidden, O_PATH | O_DIRECTORY, 0)?.as_fd())?;
            if inside.as_os_str().is_empty() {
                self.overlay(copy, place, point)?;
                continue;
            }
            let target = mounts::mount_point(self.reopen()?.as_fd(), inside, Kind::Directory)?;
            self.show(copy, target.as_fd(), point)?;
        }
        Ok(())
    }

    fn show_root(&mut self, points: &[PathBuf], place: BorrowedFd<'_>) -> Result<()> {
        // The directory that all is put together in has to be a mount itself, to become the root.
        let skeleton = mount::open_tree(place, c"", false)?;
        mount::move_mount(skeleton.as_fd(), place)?;
        self.walk(Path::new("/"), points, self.reopen()?.as_fd())
    }

    /// Shows the host's directory `path`, which has mounts inside, in `target`.
    fn walk(&mut self, path: &Path, points: &[PathBuf], target: BorrowedFd<'_>) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
        for entry in entries.filter_map(std::result::Result::ok) {
            let (path, name) = (entry.path(), crate::sys::cstr(entry.file_name())?);
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_symlink() {
                if let Ok(link) = std::fs::read_link(&path) {
                    fs::symlinkat(&crate::sys::cstr(link)?, target, &name)?;
                }
            } else if kind.is_dir() {
                fs::mkdirat(target, &name, 0o755)?;
                if NOT_SHOWN.iter().any(|hidden| path.as_path() == Path::new(hidden)) {
                    continue;
                }
                let place = fs::openat(target, &name, O_PATH | O_DIRECTORY, 0)?;
                if points.iter().any(|point| point.starts_with(&path) && *point != path) {
                    self.walk(&path, points, place.as_fd())?;
                } else if let Ok(source) = open_directory(&path) {
                    self.show(&source, place.as_fd(), &path)?;
                }
            } else if !kind.is_socket() && !kind.is_fifo() && !kind.is_block_device() && !kind.is_char_device() {
                let place = mounts::mount_point(target, Path::new(&entry.file_name()), Kind::File)?;
                if let Ok(file) = fs::open(&crate::sys::cstr(&path)?, O_PATH, 0) {
                    self.show_read_only(file.as_fd(), place.as_fd())?;
                }
            }
        }
        Ok(())
    }

    /// An overlay, or where the kernel has none for this file system, the thing itself, read-only.
    fn show(&mut self, source: &OwnedFd, place: BorrowedFd<'_>, path: &Path) -> Result<()> {
        if self.overlay(source, place, path).is_ok() {
            return Ok(());
        }
        self.show_read_only(source.as_fd(), place)
    }

    fn show_read_only(&self, source: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<()> {
        let copy = mount::open_tree(source, c"", true)?;
        mount::mount_setattr(copy.as_fd(), true, READ_ONLY, None)?;
        mount::move_mount(copy.as_fd(), place)
    }

    /// An overlay over `lower`, which is `path` on the host.
    fn overlay(&mut self, lower: &OwnedFd, place: BorrowedFd<'_>, path: &Path) -> Result<()> {
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
        Overlay { lower: std::slice::from_ref(lower), upper, work, volatile: self.volatile }.mount(place)
    }

    fn reopen(&self) -> Result<OwnedFd> {
        fs::openat(self.dir, c"rootfs", O_PATH | O_DIRECTORY, 0)
    }
}

/// Whether the caller may see `path` at all, so that it can be the working directory inside.
pub fn shows(path: &Path) -> bool {
    !NOT_SHOWN.iter().any(|dir| path.starts_with(dir))
        && std::fs::metadata(path).is_ok_and(|meta| meta.mode() & libc::S_IFMT == libc::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read() {
        assert_eq!(unescape(br"/mnt/a\040b\134c"), PathBuf::from("/mnt/a b\\c"));
        assert_eq!(unescape(br"/mnt/\04"), PathBuf::from("/mnt/\\04"));
    }
}
