//! A container's files as a tar, whether it runs or not: its layers with its own writes on top.
//!
//! They are read in the sandbox, as container root: so owners have the container's ids, and every file can be read.
//! Mounts of the container (`/proc`, volumes) are left out.

use super::sandbox::NamespaceSandbox;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::image::tar::writer::Writer;
use crate::image::tar::{Entry, Kind};
use crate::isolation::idmap::IdMap;
use crate::isolation::overlay;
use crate::isolation::rootfs::open_directory;
use crate::store::Store;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{self, Stat};
use libc::{AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The longest path that an archive may hold: what Linux takes without the final NUL.
const PATH: usize = 4095;

/// Writes the container `id` as a tar to `out`.
pub fn export(store: &Store, map: &IdMap, id: &str, out: &File) -> Result<()> {
    let container = store.container(id)?;
    let image = container.image_id().and_then(images::id_of_record);
    let Some(image) = image.map(|id| images::load(store, &id)).transpose()?.flatten() else {
        return Err(Error::new(format_args!("container {} was not made from an image", container.name()))
            .hint(format_args!("its files are those of {} and what it has written", container.image())));
    };
    let dir = store.container_dir(id);
    let layers = image.overlay(store)?.layers;
    let sandbox = NamespaceSandbox { map: map.clone() };
    let sandboxed = sandbox.spawn_on(|| Opened::open(&dir, &layers), |opened| opened.merged(), &mut || {
        let out = out.try_clone().map_err(|error| Error::io("dup", &error))?;
        write(out).map(|()| Vec::new())
    })?;
    sandboxed.wait()?;
    // Its files may have gone while we read them.
    store.container(id).map(drop).map_err(|_| Error::new("the container was removed while it was exported"))
}

/// A container's directories.
struct Opened {
    dir: OwnedFd,
    /// The topmost first: the container's own writes, then its image's layers.
    layers: Vec<OwnedFd>,
}

impl Opened {
    fn open(dir: &Path, layers: &[PathBuf]) -> Result<Opened> {
        let upper = dir.join("upper");
        let all = std::iter::once(&upper).chain(layers);
        Ok(Opened { dir: open_directory(dir)?, layers: all.map(|dir| open_directory(dir)).collect::<Result<_>>()? })
    }

    /// Opens a read-only mount of them all. It uses the container's mount point, which is empty in our mount namespace.
    fn merged(self) -> Result<OwnedFd> {
        let open = |name| fs::openat(self.dir.as_fd(), name, O_PATH | O_DIRECTORY, 0);
        // Overlay makes work/work. Without it, overlay did not work here, and upper holds a copy of all files.
        let is_copy = fs::fstatat(self.dir.as_fd(), c"work/work", AT_SYMLINK_NOFOLLOW).is_err();
        if is_copy || self.layers.len() == 1 {
            return open(c"upper");
        }
        overlay::mount_read_only(&self.layers, open(c"rootfs")?.as_fd())?;
        open(c"rootfs")
    }
}

/// Writes all files below `/`.
fn write(out: File) -> Result<()> {
    let mut out = BufWriter::with_capacity(128 << 10, out);
    let mut export = Export { tar: Writer::new(&mut out), links: BTreeMap::new() };
    let root = fs::open(c"/", O_RDONLY | O_DIRECTORY, 0)?;
    export.directory(root.as_fd(), b"")?;
    export.tar.finish().map(drop)
}

struct Export<'a> {
    tar: Writer<&'a mut dyn Write>,
    /// The first path of each file that has several.
    links: BTreeMap<(u64, u64), Vec<u8>>,
}

impl Export<'_> {
    /// Writes the entries of the directory at `path`, ordered by name.
    fn directory(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let mut names = fs::entries_of(dir).map(|entry| Ok(entry?.name)).collect::<Result<Vec<CString>>>()?;
        crate::sort::all(&mut names);
        for name in names {
            let path = [path, name.to_bytes()].concat();
            if path.len() >= PATH {
                return Err(Error::new("a path is too long for an archive")
                    .context(String::from_utf8_lossy(path.get(..60).unwrap_or_default()).into_owned() + "…"));
            }
            match self.entry(dir, &name, path) {
                // A running container removes and replaces files.
                Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR)) => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: Vec<u8>) -> Result<()> {
        let stat = fs::fstatat(dir, name, AT_SYMLINK_NOFOLLOW)?;
        let kind = match stat.kind() {
            libc::S_IFREG => Kind::File,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFBLK => Kind::Block,
            libc::S_IFIFO => Kind::Fifo,
            // A socket is useless without the process that listens.
            _ => return Ok(()),
        };
        if kind != Kind::Directory && stat.nlink > 1 {
            if let Some(first) = self.links.get(&(stat.dev, stat.ino)) {
                let entry = Entry { link: first.clone(), ..entry(path, Kind::HardLink, &stat) };
                return self.tar.append(&entry, &mut std::io::empty());
            }
            self.links.insert((stat.dev, stat.ino), path.clone());
        }
        match kind {
            Kind::Directory => {
                let opened = fs::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)?;
                let below = [&path[..], b"/"].concat();
                let entry = Entry { xattrs: xattrs(opened.as_fd()), ..entry(below.clone(), kind, &stat) };
                self.tar.append(&entry, &mut std::io::empty())?;
                self.directory(opened.as_fd(), &below)
            }
            Kind::File => {
                let file = File::from(fs::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)?);
                let stat = fs::fstat(file.as_fd())?;
                let entry = Entry { xattrs: xattrs(file.as_fd()), size: stat.size, ..entry(path, kind, &stat) };
                // The file may grow or shrink meanwhile, but the header has its length.
                self.tar.append(&entry, &mut file.chain(std::io::repeat(0)).take(stat.size))
            }
            Kind::Symlink => {
                let entry = Entry { link: fs::readlinkat(dir, name)?, ..entry(path, kind, &stat) };
                self.tar.append(&entry, &mut std::io::empty())
            }
            _ => self.tar.append(&entry(path, kind, &stat), &mut std::io::empty()),
        }
    }
}

fn entry(name: Vec<u8>, kind: Kind, stat: &Stat) -> Entry {
    let is_device = matches!(kind, Kind::Character | Kind::Block);
    Entry {
        name,
        link: Vec::new(),
        kind,
        mode: stat.mode & 0o7777,
        uid: stat.uid.into(),
        gid: stat.gid.into(),
        size: 0,
        mtime: stat.mtime,
        device: if is_device { (libc::major(stat.rdev) as u32, libc::minor(stat.rdev) as u32) } else { (0, 0) },
        xattrs: Vec::new(),
        sparse: None,
        offset: 0,
    }
}

/// The attributes that images have: file capabilities, and `user.` ones that are not overlay's.
fn xattrs(file: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let is_kept = |name: &[u8]| {
        let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        // A PAX record cannot hold a name with an equals sign.
        (is_users || name == b"security.capability") && !name.contains(&b'=')
    };
    let names = fs::flistxattr(file).unwrap_or_default();
    let kept = names.into_iter().filter(|name| is_kept(name.to_bytes()));
    kept.filter_map(|name| Some((name.to_bytes().to_vec(), fs::fgetxattr(file, &name).ok()?))).collect()
}
