//! Id-mapped mounts: detached copies of the host's mounts whose files show the container's ids. Only the host's root may
//! make them, and only in the host's own namespaces. So the supervisor makes them, and sends them to PID 1 as descriptors.

use super::notice::Notice;
use super::spec::{ContainerSpec, Direct, Mount, Root, Source};
use crate::error::{Error, Result};
use crate::image::local::images::Stack;
use crate::isolation::host_mounts::Copy;
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::clone_tree;
use crate::isolation::ranges::{self, Range, Shift};
use crate::isolation::rootfs::open_directory;
use crate::store::{Store, tree};
use crate::sys::channel::{Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use crate::sys::process::Child;
use crate::sys::{fs, mount, socket};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The container's own ids, and mounts of the store's directories that show them.
pub struct OwnIds {
    pub map: IdMap,
    /// Held as long as the container runs, if the ids are from the pool.
    pub range: Option<Range>,
    shift: Shift,
    /// The container's directory, and the directory of all layers if it has any: one mount for all of them.
    dirs: DetachedMounts,
}

/// Takes a range of ids for the container, if the store's files can be mapped to it. `map`: the store's.
pub fn take_range(store: &Store, spec: &ContainerSpec, dir: &Path, map: &IdMap) -> Result<Option<OwnIds>> {
    let (base, _) = map.root_ids();
    if !ranges::are_possible() {
        return Ok(None);
    }
    let Some(range) = Range::take(base)? else { return Ok(None) };
    let shift = range.shift(base)?;
    let mut dirs = DetachedMounts::default();
    let shown = clone_tree(open_directory(dir)?.as_fd(), false, MOUNT_ATTR_NODEV, Some(shift.as_fd()))?;
    dirs.add(DetachedMounts::DIRECTORY, shown);
    if let Root::Image(Stack { layers, .. }) = &spec.root
        && !layers.is_empty()
    {
        let path = store.dir("layers")?;
        let layers = open_directory(&path)?;
        // Nobody can enter a directory whose owner is outside the id-mapped mount's map.
        if fs::fstat(layers.as_fd())?.uid != base {
            store.give_to_root(&path)?;
        }
        let attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
        dirs.add(DetachedMounts::LAYERS, clone_tree(layers.as_fd(), false, attributes, Some(shift.as_fd()))?);
    }
    Ok(Some(OwnIds { map: range.map(), range: Some(range), shift, dirs }))
}

/// The container's directory mapped to the given `ids`, for a container that uses nothing else of the store.
pub fn with_ids(dir: &Path, map: &IdMap, ids: &IdMap) -> Result<OwnIds> {
    let shift = Shift::of_roots(map, ids)?;
    let mut dirs = DetachedMounts::default();
    let shown = clone_tree(open_directory(dir)?.as_fd(), false, MOUNT_ATTR_NODEV, Some(shift.as_fd()))?;
    dirs.add(DetachedMounts::DIRECTORY, shown);
    Ok(OwnIds { map: ids.clone(), range: None, shift, dirs })
}

/// A copy of the mount of a file or directory, without an id map.
fn clone_as_is(wanted: &Direct) -> Result<OwnedFd> {
    let source = fs::open(&crate::sys::cstr(&wanted.path)?, libc::O_PATH, 0)?;
    let tree = clone_tree(source.as_fd(), wanted.recursive, wanted.attributes_below, None)?;
    mount::mount_setattr(tree.as_fd(), false, wanted.attributes, None)?;
    Ok(tree)
}

/// Makes all detached mounts that `spec` asks for.
pub fn make_mounts(
    store: &Store,
    spec: &ContainerSpec,
    child: &Child,
    dir: &Path,
    (map, own): (&IdMap, Option<&mut OwnIds>),
    host: &[Copy],
    notify: &mut dyn FnMut(Notice),
) -> Result<DetachedMounts> {
    let (mut detached, shift) = match own {
        Some(own) => (std::mem::take(&mut own.dirs), Some(own.shift.as_fd())),
        None => (DetachedMounts::default(), None),
    };
    let directory = match &spec.root {
        Root::Directory { path, .. } => Some(path),
        Root::Image(_) | Root::Host => None,
    };
    let is_bind = |wanted: &Mount| matches!(wanted.source, Source::Bind(_));
    if directory.is_none() && host.is_empty() && !spec.mounts.iter().any(|wanted| is_bind(wanted) || shift.is_some()) {
        return Ok(detached);
    }
    // The host's own files are mapped by the container's user namespace.
    let userns = fs::open(&crate::sys::cstr(format!("/proc/{}/ns/user", child.pid()))?, libc::O_RDONLY, 0)?;
    map_host_owners(host, userns.as_fd(), &spec.process.cwd, notify);
    if let Some(path) = directory {
        let source = fs::open(&crate::sys::cstr(path)?, libc::O_PATH, 0)?;
        let tree = match spec.ids {
            Some(_) => clone_tree(source.as_fd(), true, 0, None),
            None => clone_tree(source.as_fd(), false, MOUNT_ATTR_NODEV, Some(userns.as_fd())),
        };
        let shown = match tree {
            Err(error) if spec.ids.is_some() => return Err(error),
            Err(error) if matches!(spec.root, Root::Directory { writable: false, .. }) => {
                notify(Notice::Copied { path: path.clone(), error });
                let copy = tree::copy_shifted(path, &dir.join("shifted"), map.root_ids())?;
                clone_tree(copy.as_fd(), false, MOUNT_ATTR_NODEV, shift)?
            }
            Err(error) => {
                clone_unmapped(source.as_fd(), (path, userns.as_fd()), (false, MOUNT_ATTR_NODEV), error, notify)?
            }
            Ok(tree) => tree,
        };
        detached.add(DetachedMounts::ROOT, shown);
    }
    for (at, wanted) in spec.mounts.iter().enumerate() {
        let target = wanted.target.as_os_str();
        // PID 1 fills a volume before it makes it read-only.
        let read_only = wanted.read_only && !wanted.is_filled();
        let attributes = MOUNT_ATTR_NODEV | if read_only { MOUNT_ATTR_RDONLY } else { 0 };
        let (path, map) = match (volume_dir(store, dir, at, &wanted.source)?, &wanted.source) {
            // Without ids of its own the container uses volumes unmapped, and PID 1 opens them.
            (Some(path), _) if shift.is_some() => (path, shift),
            (None, Source::Bind(path)) => (path.clone(), Some(userns.as_fd())),
            (None, Source::Direct(wanted)) => {
                let on = |error: Error| error.context(format_args!("mount on {}", target.display()));
                detached.add(target, clone_as_is(wanted).map_err(on)?);
                continue;
            }
            _ => continue,
        };
        let source = fs::open(&crate::sys::cstr(&path)?, libc::O_PATH, 0)?;
        let shown = match clone_tree(source.as_fd(), true, attributes, map) {
            Err(error) if is_bind(wanted) => {
                clone_unmapped(source.as_fd(), (&path, userns.as_fd()), (true, attributes), error, notify)?
            }
            other => other?,
        };
        detached.add(target, shown);
    }
    Ok(detached)
}

/// Maps the owners of the host's files, as far as their file systems can. Gives notice only of the file system with the
/// command's working directory.
fn map_host_owners(host: &[Copy], userns: BorrowedFd<'_>, cwd: &Path, notify: &mut dyn FnMut(Notice)) {
    for Copy { point, tree, .. } in host {
        let Some(tree) = tree else { continue };
        if let Err(error) = mount::mount_setattr(tree.as_fd(), false, 0, Some(userns))
            && cwd.starts_with(point)
        {
            notify(Notice::Unmapped { path: point.clone(), error });
        }
    }
}

/// Copies a mount that cannot be id-mapped as a whole: maps at least the top mount, and gives notice.
fn clone_unmapped(
    source: BorrowedFd<'_>,
    (path, userns): (&Path, BorrowedFd<'_>),
    (recursive, attributes): (bool, u64),
    error: Error,
    notify: &mut dyn FnMut(Notice),
) -> Result<OwnedFd> {
    let tree = clone_tree(source, recursive, attributes, None)?;
    let top = mount::mount_setattr(tree.as_fd(), false, 0, Some(userns));
    notify(match (recursive, top) {
        (true, Ok(())) => Notice::UnmappedBelow(path.to_owned()),
        _ => Notice::Unmapped { path: path.to_owned(), error },
    });
    Ok(tree)
}

/// The directory of an anonymous volume (the mount number `at`), below the container's.
pub fn anonymous_volume(at: usize) -> PathBuf {
    Path::new("volumes").join(at.to_string())
}

/// The directory of a volume (the mount number `at`); `None` for other kinds of mounts.
pub fn volume_dir(store: &Store, dir: &Path, at: usize, source: &Source) -> Result<Option<PathBuf>> {
    Ok(match source {
        Source::Volume(name) => Some(store.dir("volumes")?.join(name).join("_data")),
        Source::Anonymous => Some(dir.join(anonymous_volume(at))),
        Source::Bind(_) | Source::Direct(_) | Source::Device(_) | Source::Tmpfs(_) => None,
    })
}

/// Detached mounts for the container, by key: one of the constants, or the mount's target.
#[derive(Default)]
pub struct DetachedMounts(Vec<(OsString, OwnedFd)>);

impl DetachedMounts {
    /// The container's directory in the store.
    pub const DIRECTORY: &str = "directory";
    /// The directory of all layers.
    pub const LAYERS: &str = "layers";
    /// The root file system itself.
    pub const ROOT: &str = "root";

    pub fn add(&mut self, key: impl Into<OsString>, mount: OwnedFd) {
        self.0.push((key.into(), mount));
    }

    /// Removes and returns the mount for `key`, if there is one.
    pub fn take(&mut self, key: impl AsRef<OsStr>) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(own, _)| own == key.as_ref())?;
        Some(self.0.remove(at).1)
    }

    pub fn mounts(&self) -> impl Iterator<Item = &OwnedFd> {
        self.0.iter().map(|(_, mount)| mount)
    }

    pub fn keys(&self) -> Vec<OsString> {
        self.0.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Sends them to PID 1, which waits for all of them.
    pub fn send(&self, channel: &Channel) -> Result<()> {
        send(channel, &self.keys(), &self.mounts().map(AsFd::as_fd).collect::<Vec<_>>())
    }

    /// Receives them, in PID 1.
    pub fn receive(channel: &Channel) -> Result<DetachedMounts> {
        let (keys, mounts) = receive(channel, "the supervisor")?;
        Ok(keys.into_iter().zip(mounts).collect())
    }
}

/// Sends the keys of mounts, in as many messages as they need. `mounts`: one for each key, or none at all where the
/// receiver finds them in another way.
pub fn send(channel: &Channel, keys: &[OsString], mounts: &[BorrowedFd<'_>]) -> Result<()> {
    let (mut keys, mut mounts) = (keys, mounts);
    loop {
        let (part, later) = keys.split_at(count_in_one(keys));
        let (theirs, others) = mounts.split_at(part.len().min(mounts.len()));
        channel.send(&Message::Mounts { keys: part.to_vec(), is_last: later.is_empty() }, theirs)?;
        if later.is_empty() {
            return Ok(());
        }
        (keys, mounts) = (later, others);
    }
}

/// How many of the first `keys` fit into one message.
fn count_in_one(keys: &[OsString]) -> usize {
    let mut bytes = 0;
    let fits = |key: &&OsString| {
        bytes += key.len() + 1;
        bytes <= Message::MOST_KEYS
    };
    // A key that is too long for any message goes alone, and the channel refuses it.
    keys.iter().take(socket::MAX_FDS).take_while(fits).count().max(1).min(keys.len())
}

/// Waits for everything that `who` sends with [`send`].
pub fn receive(channel: &Channel, who: &str) -> Result<(Vec<OsString>, Vec<OwnedFd>)> {
    let (mut all_keys, mut mounts) = (Vec::new(), Vec::new());
    loop {
        let (Message::Mounts { keys, is_last }, fds) = channel.receive_from(who)? else {
            return Err(Error::new(format_args!("{who} sent an unexpected message instead of mounts")));
        };
        all_keys.extend(keys);
        mounts.extend(fds);
        if is_last {
            return Ok((all_keys, mounts));
        }
    }
}

impl FromIterator<(OsString, OwnedFd)> for DetachedMounts {
    fn from_iter<I: IntoIterator<Item = (OsString, OwnedFd)>>(mounts: I) -> DetachedMounts {
        DetachedMounts(mounts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_take_more_messages_and_none_is_cut() {
        let (one, other) = Channel::pair().unwrap();
        for (count, length) in [(0, 0), (1, 9), (64, 1), (65, 1), (60, 400), (130, 4096)] {
            let keys: Vec<OsString> = (0..count).map(|at| format!("{at:x<0$}", length + 1).into()).collect();
            for mounts in [Vec::new(), vec![one.as_fd(); count]] {
                std::thread::scope(|scope| {
                    scope.spawn(|| send(&one, &keys, &mounts).unwrap());
                    let (got, fds) = receive(&other, "one").unwrap();
                    assert_eq!((got, fds.len()), (keys.clone(), mounts.len()));
                });
            }
        }
    }
}
