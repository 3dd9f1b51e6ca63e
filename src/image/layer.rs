//! Makes a directory out of a layer's tar stream, as overlay wants its lower layers.
//!
//! Whatever the stream says, nothing outside the directory is touched: parents are
//! reached by descriptors confined to it, the last name is never followed, and a file
//! is only ever written to when it was created by the same call. (The caller locks the
//! process into the directory besides.) Each entry replaces what an earlier one of the
//! same layer has left under its name, as tar does.

mod attributes;
mod links;
mod lower;
mod name;
mod rebuild;
mod record;
mod recorder;
mod reread;
pub mod root;
#[cfg(test)]
mod tests;
mod tree;
mod unpacked;
mod xattr;

use crate::error::{Error, Result};
use crate::image::tar::{Archive, Entry, Kind, Segment};
use crate::store;
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use attributes::Directories;
pub use links::link_from_lower;
pub use lower::adopt;
use name::{EntryPath, Meaning};
pub use rebuild::rebuild;
use recorder::{Recorded, Recorder};
pub use reread::reread_root;
pub use root::Root;
use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use tree::{Dir, Tree, c};
pub use unpacked::{Link, Nobody, Unpacked};

/// What is read from the stream at once.
const BUFFER: usize = 256 << 10;
/// How often the free space is looked at: after so many bytes.
const SPACE_CHECK: u64 = 32 << 20;

/// Where unpacking stops with an error, so that no stream can fill memory or disk.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: u64,
    /// Bytes of the stream.
    pub stream: u64,
    /// Bytes that have to stay free on the disk.
    pub reserve: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 10_000_000, stream: u64::MAX, reserve: 32 << 20 }
    }
}

impl Limits {
    /// For a stream that is compressed to `size` bytes: real files shrink to a hundredth at most, and what
    /// is short does no harm.
    pub fn compressed_to(size: u64) -> Limits {
        Limits { stream: size.saturating_mul(1000).max(1 << 30), ..Limits::default() }
    }
}

/// Reads one uncompressed tar stream to its very end and makes the layer of it in the
/// empty directory `root`.
///
/// A whiteout `.wh.x` becomes a character device 0:0 called x. An opaque directory gets [`xattr::OPAQUE`]; whether the
/// root is opaque is in the result. The caller must be root, or the container's root. Sets the process's umask to 0.
/// The result counts what could not be kept, and lists hard links to files of lower layers, for [`link_from_lower`].
///
/// What the files do not tell again of the stream goes to `record`, for [`rebuild`](rebuild()). Devices are made with
/// `mknodat` where that is allowed (EPERM otherwise).
pub fn unpack(
    source: &mut dyn Read,
    record: &mut dyn Write,
    root: BorrowedFd<'_>,
    limits: &Limits,
    mknodat: &Mknodat<'_>,
) -> Result<Unpacked> {
    unpack_in(Tree::new(root), source, record, root, limits, mknodat)
}

/// [`fs::mknodat`], or what does the same.
pub type Mknodat<'a> = dyn Fn(BorrowedFd<'_>, &CStr, u32, (u32, u32)) -> Result<()> + 'a;

fn unpack_in(
    tree: Tree<'_>,
    source: &mut dyn Read,
    record: &mut dyn Write,
    root: BorrowedFd<'_>,
    limits: &Limits,
    mknodat: &Mknodat<'_>,
) -> Result<Unpacked> {
    // 1. Modes are just as they are told. The root's group must not be inherited by what is made in it.
    fs::umask(0);
    // Refused where somebody else made the directory, who then keeps it.
    _ = fs::fchown(root, 0, 0);
    fs::fchmod(root, 0o755)?;
    // 2. One entry after another.
    let recorder = RefCell::new(Recorder::new(record)?);
    let mut archive = Archive::new(Recorded::new(BufReader::with_capacity(BUFFER, source), &recorder, limits.stream));
    let mut layer = Layer {
        root,
        tree,
        limits,
        mknodat,
        directories: Directories::default(),
        links: links::Deferred::default(),
        result: Unpacked::default(),
        recorder: &recorder,
        unchecked: SPACE_CHECK,
    };
    while let Some(entry) = archive.next()? {
        layer.entry(&entry, &mut archive).map_err(|error| entry.blame(error))?;
        recorder.borrow_mut().check()?;
    }
    layer.result.stream = archive.finish()?;
    // 3. Hard links whose target came after them.
    layer.result.deferred = layer.links.resolve(&mut layer.tree)?;
    layer.note_made_up()?;
    // 4. Directories get their modes and times last: no file can be put into them any more.
    layer.directories.apply(&mut layer.tree, &mut layer.result)?;
    let result = layer.result;
    recorder.into_inner().finish()?;
    Ok(result)
}

/// A layer being made.
struct Layer<'a, 'r> {
    root: BorrowedFd<'a>,
    tree: Tree<'a>,
    limits: &'a Limits,
    mknodat: &'a Mknodat<'a>,
    directories: Directories,
    links: links::Deferred,
    result: Unpacked,
    recorder: &'a RefCell<Recorder<'r>>,
    /// Bytes written since the free space was looked at.
    unchecked: u64,
}

impl Layer<'_, '_> {
    fn entry<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        self.result.entries += 1;
        if self.result.entries > self.limits.entries {
            return Err(Error::new(format_args!("more than {} entries", self.limits.entries)));
        }
        // A file's inode takes space as well.
        self.space(512)?;
        let EntryPath::Below { parent, name } = name::entry_path(&entry.name)? else {
            if entry.kind != Kind::Directory {
                return Err(Error::new("the root can only be a directory"));
            }
            attributes::set_early_xattrs(self.root, entry, &mut self.result);
            return self.directories.remember(Vec::new(), entry);
        };
        match name::meaning(&parent, name)? {
            Meaning::Plain => {}
            Meaning::Ignored => return Ok(()),
            Meaning::Opaque => {
                let dir = self.parent(&parent)?;
                // Overlay does not look for a mark on a layer's root.
                self.result.root.opaque |= dir.is_root();
                return if dir.is_root() { Ok(()) } else { xattr::make_opaque(dir.as_fd()) };
            }
            Meaning::Whiteout(hidden) => return self.whiteout(&parent, hidden),
        }
        let dir = &*self.parent(&parent)?;
        let (fd, cname) = (dir.as_fd(), c(name)?);
        match entry.kind {
            Kind::Directory => self.directory(dir, &cname, entry),
            Kind::File => self.file(dir, &cname, entry, archive),
            Kind::Symlink => {
                let target = c(&entry.link)?;
                self.replacing(dir, &cname, || fs::symlinkat(&target, fd, &cname))?;
                attributes::set_by_name(fd, &cname, entry, &mut self.result)
            }
            Kind::HardLink => self.hard_link(dir, &cname, &parent, name, entry),
            Kind::Fifo => {
                self.replacing(dir, &cname, || fs::mknodat(fd, &cname, libc::S_IFIFO | entry.mode & 0o777, (0, 0)))?;
                attributes::set_by_name(fd, &cname, entry, &mut self.result)
            }
            Kind::Character => self.device(dir, &cname, libc::S_IFCHR, entry),
            Kind::Block => self.device(dir, &cname, libc::S_IFBLK, entry),
        }
    }

    /// The directory that an entry lies in.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<Dir>> {
        let dir = self.tree.make(path)?;
        self.note_made_up()?;
        Ok(dir)
    }

    fn note_made_up(&mut self) -> Result<()> {
        self.tree.made_up.drain(..).try_for_each(|path| self.directories.made_up(path))
    }

    /// Makes something under a name; when the name is taken, removes what has it and tries again.
    fn replacing<T>(&mut self, dir: &Dir, name: &CStr, make: impl Fn() -> Result<T>) -> Result<T> {
        match make() {
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                self.remove(dir, name)?;
                make()
            }
            made => made,
        }
    }

    /// Removes what an earlier entry of this layer has made; the record keeps what is in the files.
    fn remove(&mut self, dir: &Dir, name: &CStr) -> Result<()> {
        self.tree.forget();
        let path = dir.below(name.to_bytes());
        self.directories.forget(&path);
        let mut recorder = self.recorder.borrow_mut();
        store::remove_seen(dir.as_fd(), name, &mut |dir, name, below| {
            recorder.replace(dir, name, &[&path, below].concat())
        })
    }

    fn directory(&mut self, dir: &Dir, name: &CStr, entry: &Entry) -> Result<()> {
        // Its final mode may forbid writing, or hand its group on to what is made in it.
        let fd = dir.as_fd();
        match fs::mkdirat(fd, name, 0o700) {
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                let stat = fs::fstatat(fd, name, libc::AT_SYMLINK_NOFOLLOW)?;
                let hidden = stat.is_whiteout();
                if !stat.is_dir() {
                    self.remove(dir, name)?;
                    fs::mkdirat(fd, name, 0o700)?;
                }
                if hidden {
                    // Removed and made anew by this layer: nothing of it shines through from below.
                    xattr::make_opaque(self.open_directory(fd, name)?.as_fd())?;
                }
            }
            made => made?,
        }
        if !entry.xattrs.is_empty() {
            attributes::set_early_xattrs(self.open_directory(fd, name)?.as_fd(), entry, &mut self.result);
        }
        self.directories.remember(dir.below(name.to_bytes()), entry)
    }

    fn open_directory(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
        fs::openat(dir, name, tree::DIRECTORY | libc::O_NOFOLLOW, 0)
    }

    fn file<R: BufRead>(&mut self, dir: &Dir, name: &CStr, entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        const CREATE: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let file = File::from(self.replacing(dir, name, || fs::openat(dir.as_fd(), name, CREATE, entry.mode & 0o777))?);
        let whole = [Segment { offset: 0, length: entry.size }];
        let segments = entry.sparse.as_deref().unwrap_or(&whole);
        self.recorder.borrow_mut().file(&dir.below(name.to_bytes()), segments);
        for segment in segments {
            self.write(&file, *segment, archive)?;
        }
        if entry.sparse.is_some() {
            fs::ftruncate(file.as_fd(), entry.size)?;
        }
        attributes::set(file.as_fd(), entry, &mut self.result)
    }

    /// Writes the next bytes of the body to their place in the file.
    fn write<R: BufRead>(&mut self, file: &File, segment: Segment, archive: &mut Archive<R>) -> Result<()> {
        let Segment { mut offset, length: mut left } = segment;
        while left > 0 {
            let ready = archive.body()?;
            let chunk = usize::try_from(left).ok().and_then(|left| ready.get(..left)).unwrap_or(ready);
            let count = chunk.len();
            if count == 0 {
                return Err(Error::new("the body is shorter than its map"));
            }
            self.space(count as u64)?;
            file.write_all_at(chunk, offset).map_err(|error| Error::io("write its contents", &error))?;
            archive.consume(count);
            self.result.bytes += count as u64;
            offset = offset.saturating_add(count as u64);
            left -= count as u64;
        }
        Ok(())
    }

    /// Looks now and then whether the disk has room for `more` bytes.
    fn space(&mut self, more: u64) -> Result<()> {
        self.unchecked = self.unchecked.saturating_add(more);
        if self.unchecked >= SPACE_CHECK {
            self.unchecked = 0;
            if fs::fstatfs(self.root)?.available < self.limits.reserve.saturating_add(more) {
                return Err(Error::call("keep some space free on the store's disk", libc::ENOSPC));
            }
        }
        Ok(())
    }

    fn device(&mut self, dir: &Dir, name: &CStr, kind: u32, entry: &Entry) -> Result<()> {
        let (fd, mknodat) = (dir.as_fd(), self.mknodat);
        match self.replacing(dir, name, || mknodat(fd, name, kind | entry.mode & 0o777, entry.device)) {
            // Only the host's root may make devices; the record keeps them.
            Err(error) if error.errno() == Some(libc::EPERM) => {
                self.result.devices_lost += 1;
                Ok(())
            }
            made => made.and_then(|()| attributes::set_by_name(fd, name, entry, &mut self.result)),
        }
    }

    /// `.wh.x` hides what lower layers have under x, and nothing of this layer, in whatever order they come.
    fn whiteout(&mut self, parent: &[u8], hidden: &[u8]) -> Result<()> {
        let dir = self.parent(parent)?;
        let name = c(hidden)?;
        match fs::mknodat(dir.as_fd(), &name, libc::S_IFCHR, (0, 0)) {
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                if fs::fstatat(dir.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW)?.is_dir() {
                    xattr::make_opaque(self.open_directory(dir.as_fd(), &name)?.as_fd())?;
                }
                Ok(())
            }
            Err(error) if error.errno() == Some(libc::EPERM) => {
                Err(error.hint("kernels before 5.8 let only root make the mark of a removed file"))
            }
            made => made,
        }
    }

    fn hard_link(&mut self, dir: &Dir, cname: &CStr, parent: &[u8], name: &[u8], entry: &Entry) -> Result<()> {
        let link = Link::new(&entry.link, parent, name)?;
        let target: Option<(Rc<Dir>, _)> = links::target(&mut self.tree, &link)?;
        let Some((target_dir, target)) = target else {
            // It lies in a lower layer or comes later; until then nothing has this name.
            match self.remove(dir, cname) {
                Err(error) if error.errno() != Some(libc::ENOENT) => return Err(error),
                _ => {}
            }
            return self.links.push(link);
        };
        let theirs = fs::fstatat(target_dir.as_fd(), &target, libc::AT_SYMLINK_NOFOLLOW)?;
        if let Ok(ours) = fs::fstatat(dir.as_fd(), cname, libc::AT_SYMLINK_NOFOLLOW)
            && (ours.dev, ours.ino) == (theirs.dev, theirs.ino)
        {
            return Ok(());
        }
        self.replacing(dir, cname, || fs::linkat(target_dir.as_fd(), &target, dir.as_fd(), cname, 0))
    }
}
