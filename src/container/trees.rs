//! Mounts that the supervisor, being root, makes for the container: detached copies of what lies on the
//! host, whose files show the container's ids. Only root may map ids so, and only in the host's own namespaces;
//! so they are made here, and sent to the child as descriptors.

use super::spec::{ContainerSpec, Direct, Mount, Root, Source};
use crate::error::{Error, Result};
use crate::image::local::images::Stack;
use crate::isolation::host_mounts::Copy;
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::clone_tree;
use crate::isolation::ranges::{self, Range, Shift};
use crate::isolation::rootfs::open_directory;
use crate::store::{Store, tree};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use crate::sys::process::Child;
use crate::sys::{fs, mount, socket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Ids of the container's own, and the store's directories as they show them.
pub struct Own {
    pub map: IdMap,
    /// Held as long as it runs, if the ids are of the pool.
    pub range: Option<Range>,
    shift: Shift,
    /// The container's directory, then the one of all layers if it has any: one mount for however many there are.
    dirs: Vec<OwnedFd>,
}

/// Takes a range for the container, where the store's files can be shown under it. `map`: that of the store.
pub fn own(store: &Store, spec: &ContainerSpec, dir: &Path, map: &IdMap) -> Result<Option<Own>> {
    let (base, _) = map.root_ids();
    if !ranges::are_possible() {
        return Ok(None);
    }
    let Some(range) = Range::take(base)? else { return Ok(None) };
    let shift = range.shift(base)?;
    let mut dirs = vec![clone_tree(open_directory(dir)?.as_fd(), false, MOUNT_ATTR_NODEV, Some(shift.as_fd()))?];
    if let Root::Image(Stack { layers, .. }) = &spec.root
        && !layers.is_empty()
    {
        let path = store.dir("layers")?;
        let layers = open_directory(&path)?;
        // Nobody goes through a directory whose owner an id-mapped mount cannot show.
        if fs::fstat(layers.as_fd())?.uid != base {
            store.give_to_root(&path)?;
        }
        dirs.push(clone_tree(layers.as_fd(), false, MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY, Some(shift.as_fd()))?);
    }
    Ok(Some(Own { map: range.map(), range: Some(range), shift, dirs }))
}

/// The container's own directory under ids that are given, of a container that has nothing else of the store.
pub fn given(dir: &Path, map: &IdMap, ids: &IdMap) -> Result<Own> {
    let shift = Shift::of_roots(map, ids)?;
    let dirs = vec![clone_tree(open_directory(dir)?.as_fd(), false, MOUNT_ATTR_NODEV, Some(shift.as_fd()))?];
    Ok(Own { map: ids.clone(), range: None, shift, dirs })
}

/// A file or directory as it is.
fn direct(wanted: &Direct) -> Result<OwnedFd> {
    let source = fs::open(&crate::sys::cstr(&wanted.path)?, libc::O_PATH, 0)?;
    let tree = clone_tree(source.as_fd(), wanted.recursive, wanted.attributes_below, None)?;
    mount::mount_setattr(tree.as_fd(), false, wanted.attributes, None)?;
    Ok(tree)
}

/// Makes all mounts of `spec` for the container, in the order in which [`Trees`] gives them away.
pub fn make(
    store: &Store,
    spec: &ContainerSpec,
    child: &Child,
    dir: &Path,
    (map, own): (&IdMap, Option<&mut Own>),
    host: &[Copy],
    say: &mut dyn FnMut(&str),
) -> Result<Vec<OwnedFd>> {
    let (mut trees, shift) = match own {
        Some(own) => (std::mem::take(&mut own.dirs), Some(own.shift.as_fd())),
        None => (Vec::new(), None),
    };
    let roots = match &spec.root {
        Root::Image(_) => Vec::new(),
        Root::Directory { path, .. } => vec![path.clone()],
        Root::Host => Vec::new(),
    };
    let is_bind = |wanted: &Mount| matches!(wanted.source, Source::Bind(_));
    if roots.is_empty() && host.is_empty() && !spec.mounts.iter().any(|wanted| is_bind(wanted) || shift.is_some()) {
        return Ok(trees);
    }
    // What is the host's own belongs to the ids that the container's namespace has in it.
    let userns = fs::open(&crate::sys::cstr(format!("/proc/{}/ns/user", child.pid()))?, libc::O_RDONLY, 0)?;
    show_host(host, userns.as_fd(), &spec.process.cwd, say);
    for path in roots {
        let source = fs::open(&crate::sys::cstr(&path)?, libc::O_PATH, 0)?;
        let tree = match spec.ids {
            Some(_) => clone_tree(source.as_fd(), true, 0, None),
            None => clone_tree(source.as_fd(), false, MOUNT_ATTR_NODEV, Some(userns.as_fd())),
        };
        match tree {
            Err(error) if spec.ids.is_some() => return Err(error),
            Err(error) if matches!(spec.root, Root::Directory { writable: false, .. }) => {
                say(&format!("no id-mapped mounts of {} here ({error}): copying it instead", path.display()));
                let copy = tree::copy_shifted(&path, &dir.join("shifted"), map.root_ids())?;
                trees.push(clone_tree(copy.as_fd(), false, MOUNT_ATTR_NODEV, shift)?);
            }
            Err(error) => {
                trees.push(unmapped(source.as_fd(), (&path, userns.as_fd()), (false, MOUNT_ATTR_NODEV), &error, say)?)
            }
            Ok(tree) => trees.push(tree),
        }
    }
    for (at, wanted) in spec.mounts.iter().enumerate() {
        // The child fills a volume before it makes it read-only.
        let read_only = wanted.read_only && !wanted.is_filled();
        let attributes = MOUNT_ATTR_NODEV | if read_only { MOUNT_ATTR_RDONLY } else { 0 };
        let (path, map) = match (stored(store, dir, at, &wanted.source)?, &wanted.source) {
            // Behind the base range it is a directory like any other, which the child opens.
            (Some(path), _) if shift.is_some() => (path, shift),
            (None, Source::Bind(path)) => (path.clone(), Some(userns.as_fd())),
            (None, Source::Direct(wanted)) => {
                trees.push(direct(wanted)?);
                continue;
            }
            _ => continue,
        };
        let source = fs::open(&crate::sys::cstr(&path)?, libc::O_PATH, 0)?;
        match clone_tree(source.as_fd(), true, attributes, map) {
            Err(error) if is_bind(wanted) => {
                trees.push(unmapped(source.as_fd(), (&path, userns.as_fd()), (true, attributes), &error, say)?);
            }
            other => trees.push(other?),
        }
    }
    Ok(trees)
}

/// Maps the owners of the host's files, as far as their file systems can: what is said is only what concerns the
/// command's own directory.
fn show_host(host: &[Copy], userns: BorrowedFd<'_>, cwd: &Path, say: &mut dyn FnMut(&str)) {
    for Copy { point, tree, .. } in host {
        let Some(tree) = tree else { continue };
        if let Err(error) = mount::mount_setattr(tree.as_fd(), false, 0, Some(userns))
            && cwd.starts_with(point)
        {
            say(&format!("no id-mapped mounts of {} here ({error}): its files are nobody's inside", point.display()));
        }
    }
}

/// A copy of what cannot be shown under other ids as a whole: what is mounted below `/` can not, but `/` itself can.
fn unmapped(
    source: BorrowedFd<'_>,
    (path, userns): (&Path, BorrowedFd<'_>),
    (recursive, attributes): (bool, u64),
    error: &Error,
    say: &mut dyn FnMut(&str),
) -> Result<OwnedFd> {
    let tree = clone_tree(source, recursive, attributes, None)?;
    let (path, top) = (path.display(), mount::mount_setattr(tree.as_fd(), false, 0, Some(userns)));
    say(&match (recursive, top) {
        (true, Ok(())) => format!("no id-mapped mounts of all that is mounted below {path}: there files are nobody's"),
        _ => format!("no id-mapped mounts of {path} here ({error}): its files are nobody's inside"),
    });
    Ok(tree)
}

/// The directory of an anonymous volume, the mount at place `at`, below the container's.
pub fn anonymous(at: usize) -> PathBuf {
    Path::new("volumes").join(at.to_string())
}

/// The directory of a volume, the mount at place `at`; `None` for what is not the store's.
pub fn stored(store: &Store, dir: &Path, at: usize, source: &Source) -> Result<Option<PathBuf>> {
    Ok(match source {
        Source::Volume(name) => Some(store.dir("volumes")?.join(name).join("_data")),
        Source::Anonymous => Some(dir.join(anonymous(at))),
        Source::Bind(_) | Source::Direct(_) | Source::Device(_) | Source::Tmpfs(_) => None,
    })
}

const MORE: &[u8] = b"more";
const SHARED: &[u8] = b"shared";
const OWN: &[u8] = b"own";

/// Sends them to the child; it goes on when it has them all.
pub fn send(socket: &OwnedFd, trees: &[OwnedFd], own: bool) -> Result<()> {
    let fds: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
    let mut parts = fds.chunks(socket::MAX_FDS).peekable();
    while let Some(part) = parts.next_if(|part| part.len() == socket::MAX_FDS) {
        socket::send(socket.as_fd(), MORE, part)?;
    }
    socket::send(socket.as_fd(), if own { OWN } else { SHARED }, parts.next().unwrap_or_default())
}

/// The child's side: the mounts in the order in which [`make`] made them. None if the supervisor is not root.
pub struct Trees {
    /// Whether the store's directories are among them.
    pub own: bool,
    sent: std::vec::IntoIter<OwnedFd>,
}

impl Trees {
    pub fn of(own: bool, trees: Vec<OwnedFd>) -> Trees {
        Trees { own, sent: trees.into_iter() }
    }

    /// Waits for them.
    pub fn receive(socket: &OwnedFd) -> Result<Trees> {
        let mut sent = Vec::new();
        loop {
            let mut buffer = [0; 8];
            let (size, fds) = socket::receive(socket.as_fd(), &mut buffer)?;
            sent.extend(fds);
            match &buffer[..size] {
                [] => return Err(Error::new("the supervisor ended")),
                MORE => {}
                last => return Ok(Trees { own: last == OWN, sent: sent.into_iter() }),
            }
        }
    }
}

impl Iterator for Trees {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        self.sent.next()
    }
}
