//! The container's root file system: layers, a directory, or a view of the host's own root.

use super::id_mapped::{DetachedMounts, anonymous_volume};
use super::plan::Plan;
use super::spec::{Direct, Mount, Root, Source};
use crate::error::{Error, Result};
use crate::image::layer::{Nobody, root::Attributes};
use crate::image::local::images::Stack;
use crate::isolation::host_view;
use crate::isolation::mounts::{self, Kind};
use crate::isolation::overlay::{self, Overlay};
use crate::isolation::rootfs::open_directory;
use crate::store::tree;
use crate::sys::channel::{Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_PATH, O_RDONLY};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// All files and directories of the host that the container uses, opened.
pub struct Sources {
    pub dir: OwnedFd,
    lower: Lower,
    /// One for each of the specification's mounts; a tmpfs has none.
    pub mounts: Vec<Option<OwnedFd>>,
    files: Vec<OwnedFd>,
}

enum Lower {
    /// Directories for overlay, the topmost first.
    Layers(Vec<OwnedFd>),
    /// Some of the directories in the supervisor's mount of all layers, the topmost first.
    Named(OwnedFd, Vec<CString>),
    /// A mount that is the root itself.
    Writable(OwnedFd),
    Host,
}

impl Sources {
    /// Opens them as the caller, in the container's mount namespace. `files`: copies of the files among the host's
    /// mounts, if these are locked.
    pub fn open(plan: &Plan<'_>, mut detached: DetachedMounts, files: Vec<OwnedFd>) -> Result<Sources> {
        let mut dir = open_directory(plan.dir)?;
        if let Some(tree) = detached.take(DetachedMounts::DIRECTORY) {
            mount::move_mount(tree.as_fd(), dir.as_fd())?;
            dir = tree;
        }
        let lower = match &plan.spec.root {
            Root::Image(Stack { layers, .. }) => match detached.take(DetachedMounts::LAYERS) {
                Some(tree) => {
                    let names = layers.iter().map(|layer| crate::sys::cstr(layer.file_name().unwrap_or_default()));
                    Lower::Named(tree, names.collect::<Result<_>>()?)
                }
                None => Lower::Layers(layers.iter().map(|layer| open_directory(layer)).collect::<Result<_>>()?),
            },
            Root::Directory { path, writable } => {
                let tree = match detached.take(DetachedMounts::ROOT) {
                    Some(tree) => tree,
                    None if *writable => mount::open_tree(open_directory(path)?.as_fd(), c"", true)?,
                    None => open_directory(path)?,
                };
                if *writable { Lower::Writable(tree) } else { Lower::Layers(vec![tree]) }
            }
            Root::Host => Lower::Host,
        };
        let mounts = plan.spec.mounts.iter().enumerate();
        let mounts = mounts.map(|(at, mount)| open_source(plan, at, mount, &mut detached)).collect::<Result<_>>()?;
        Ok(Sources { dir, lower, mounts, files })
    }
}

/// The detached mount for `wanted`, the specification's mount number `at`; a tmpfs has none.
fn open_source(plan: &Plan<'_>, at: usize, wanted: &Mount, detached: &mut DetachedMounts) -> Result<Option<OwnedFd>> {
    let sent = match &wanted.source {
        Source::Tmpfs(_) => return Ok(None),
        Source::Device(device) => return device.tree(wanted.read_only).map(Some),
        Source::Direct(Direct { path, .. }) => {
            let missing = || Error::new(format_args!("{} of the host: only root can show it as it is", path.display()));
            return detached.take(&wanted.target).ok_or_else(missing).map(Some);
        }
        Source::Bind(_) | Source::Volume(_) | Source::Anonymous => detached.take(&wanted.target),
    };
    if sent.is_some() {
        return Ok(sent);
    }
    let path = match &wanted.source {
        Source::Bind(path) => path.clone(),
        Source::Volume(name) => plan.dir.join("../../volumes").join(name).join("_data"),
        _ => plan.dir.join(anonymous_volume(at)),
    };
    let source = fs::open(&crate::sys::cstr(&path)?, O_PATH, 0)?;
    mounts::bind_source(source.as_fd(), wanted.read_only && !wanted.is_filled()).map(Some)
}

pub const READ_ONLY: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;

/// Detached mounts of the host's files for a user's container: its root file system, and its binds.
pub fn bind_all(plan: &Plan<'_>) -> Result<DetachedMounts> {
    let root = match &plan.spec.root {
        Root::Directory { path, .. } => {
            Some((DetachedMounts::ROOT.into(), mounts::bind_source(open_directory(path)?.as_fd(), false)?))
        }
        _ => None,
    };
    let binds = plan.spec.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Bind(path) => Some((path, mount)),
        _ => None,
    });
    let bind = |(path, mount): (&PathBuf, &Mount)| {
        let bound = mounts::bind_source(fs::open(&crate::sys::cstr(path)?, O_PATH, 0)?.as_fd(), mount.read_only)?;
        Ok((mount.target.clone().into(), bound))
    };
    root.map(Ok).into_iter().chain(binds.map(bind)).collect()
}

/// Mounts the root file system, and returns it opened.
pub fn mount_root(plan: &Plan<'_>, sources: &Sources, supervisor: &Channel) -> Result<OwnedFd> {
    let dir = sources.dir.as_fd();
    let place = fs::openat(dir, c"rootfs", O_PATH | O_DIRECTORY, 0)?;
    let opened: Vec<OwnedFd>;
    let layers = match &sources.lower {
        Lower::Layers(layers) => layers,
        Lower::Named(tree, names) => {
            attach(tree, place.as_fd())?;
            let open = |name: &CString| fs::openat(tree.as_fd(), name, O_PATH | O_DIRECTORY, 0);
            opened = names.iter().map(open).collect::<Result<_>>()?;
            &opened
        }
        Lower::Writable(tree) => {
            mount::move_mount(tree.as_fd(), place.as_fd())?;
            return reopen(dir, c"rootfs");
        }
        Lower::Host => {
            host_view::mount(
                (plan.host, &sources.files),
                dir,
                place.as_fd(),
                &plan.spec.process.cwd,
                plan.spec.remove,
            )?;
            let root = reopen(dir, c"rootfs")?;
            if plan.spec.read_only {
                shut_view(plan, sources, root.as_fd())?;
            }
            return Ok(root);
        }
    };
    if matches!(plan.spec.root, Root::Directory { .. }) {
        attach(&layers[0], place.as_fd())?;
    }
    let (upper, work) = (open_dir(dir, c"upper")?, open_dir(dir, c"work")?);
    copy_root_attributes(&plan.spec.root, layers, upper.as_fd())?;
    if matches!(plan.spec.root, Root::Directory { .. }) && !plan.mapped {
        adopt_top(layers[0].as_fd(), upper.as_fd())?;
    }
    let overlay = Overlay { lower: layers, upper, work, volatile: plan.spec.remove };
    match overlay.mount(place.as_fd()) {
        Ok(()) => reopen(dir, c"rootfs"),
        // A copy would need even more space.
        Err(error) if matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT)) => Err(error),
        Err(error) => {
            let _ = supervisor.send(&Message::NoOverlay(error.errno().unwrap_or(0)), &[]);
            for layer in layers.iter().rev() {
                tree::merge(layer.as_fd(), open_dir(dir, c"upper")?.as_fd())?;
            }
            copy_root_attributes(&plan.spec.root, layers, open_dir(dir, c"upper")?.as_fd())?;
            let copy = mount::open_tree(open_dir(dir, c"upper")?.as_fd(), c"", false)?;
            mount::move_mount(copy.as_fd(), place.as_fd())?;
            reopen(dir, c"rootfs")
        }
    }
}

/// Makes all mounts of the host's view read-only (a user's has many). Makes the mount points of later mounts first.
fn shut_view(plan: &Plan<'_>, sources: &Sources, root: BorrowedFd<'_>) -> Result<()> {
    let kind = |source: &Option<OwnedFd>| match source.as_ref().map(|source| fs::fstat(source.as_fd())) {
        Some(Ok(stat)) if !stat.is_dir() => Kind::File,
        _ => Kind::Directory,
    };
    let places = plan.spec.mounts.iter().zip(&sources.mounts).map(|(wanted, source)| (&wanted.target, kind(source)));
    for (place, kind) in places.chain([(&plan.spec.process.cwd, Kind::Directory)]) {
        // An error shows when the mount point is used.
        let _ = mounts::mount_point(root, place, kind);
    }
    mount::mount_setattr(root, true, MOUNT_ATTR_RDONLY, None)
}

/// A user's container may write in the top directories of a root file system, even if they are root's.
fn adopt_top(lower: BorrowedFd<'_>, upper: BorrowedFd<'_>) -> Result<()> {
    let lower = fs::openat(lower, c".", O_RDONLY | O_DIRECTORY, 0)?;
    for entry in fs::entries_of(lower.as_fd()) {
        overlay::adopt(lower.as_fd(), upper, Path::new(OsStr::from_bytes(entry?.name.to_bytes())))?;
    }
    Ok(())
}

/// Attaches a mount of the supervisor's where the root file system will cover it: overlay accepts only layers in our own
/// mount namespace.
fn attach(tree: &OwnedFd, place: BorrowedFd<'_>) -> Result<()> {
    match mount::move_mount(tree.as_fd(), place) {
        // The plain directory of a user, who may not map ids, is in our namespace already.
        Err(error) if error.errno() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    fs::openat(dir, name, O_RDONLY | O_DIRECTORY, 0)
}

/// Opens the new mount on `name`: a descriptor from before still shows the directory below it.
fn reopen(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    fs::openat(dir, name, O_PATH | O_DIRECTORY, 0)
}

/// Gives the upper directory the owner, mode and extended attributes that `/` has in the layers below (overlay takes
/// these from the upper directory alone). `layers`: the topmost first.
fn copy_root_attributes(root: &Root, layers: &[OwnedFd], upper: BorrowedFd<'_>) -> Result<()> {
    match root {
        Root::Image(Stack { root: Some((attributes, at)), .. }) => {
            let layer = layers.get(*at).filter(|_| attributes.xattrs);
            let layer = layer.map(|layer| fs::openat(layer.as_fd(), c".", O_RDONLY | O_DIRECTORY, 0)).transpose()?;
            attributes.give(layer.as_ref().map(AsFd::as_fd), upper)
        }
        Root::Image(_) => fs::fchmod(upper, 0o755),
        Root::Directory { .. } | Root::Host => {
            let Some(top) = layers.first() else { return Ok(()) };
            let fs::Stat { uid, gid, mode, mtime, .. } = fs::fstat(top.as_fd())?;
            // Ids outside the id map become container root's.
            let known = |id| if id == Nobody::ID { 0 } else { id };
            let own = Attributes { uid: known(uid), gid: known(gid), mode: mode & 0o7777, mtime, xattrs: false };
            own.give(None, upper)
        }
    }
}
