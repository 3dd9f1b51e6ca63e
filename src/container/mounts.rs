//! Volumes, binds, tmpfs and the container's own files in /etc, mounted on its root file system.

use super::filesystem::Sources;
use super::host_files;
use super::plan::Plan;
use super::spec::{Direct, Mount, Root, Source, Tmpfs};
use crate::error::{Error, Result};
use crate::image::layer::root::Attributes;
use crate::image::local::images::Stack;
use crate::isolation::mounts::{self, Kind};
use crate::isolation::procfs;
use crate::store::tree;
use crate::sys::fd::OwnedFd;
use crate::sys::mount::MOUNT_ATTR_RDONLY;
use crate::sys::{fs, mount};
use libc::{O_DIRECTORY, O_RDONLY};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// One mount on the root file system.
enum Extra<'a> {
    /// The container's own file in /etc.
    Own(OwnedFd),
    /// A mount of the specification, with its source.
    Asked(&'a Mount, Option<OwnedFd>),
}

/// Mounts volumes, binds, tmpfs and the container's own files in /etc.
pub fn mount_all(plan: &Plan<'_>, sources: Sources, root: BorrowedFd<'_>) -> Result<()> {
    let spec = plan.spec;
    let own = match spec.own_files {
        true => host_files::write(sources.dir.as_fd(), &spec.hostname, spec.network)?,
        false => Vec::new(),
    };
    let mut extras: Vec<(&Path, Extra)> =
        own.into_iter().map(|(target, file)| (Path::new(target), Extra::Own(file))).collect();
    let asked = spec.mounts.iter().zip(sources.mounts);
    extras.extend(asked.map(|(wanted, source)| (wanted.target.as_path(), Extra::Asked(wanted, source))));
    // A mount on /a must not hide one on /a/b, nor one on /etc our files there.
    if spec.own_files {
        crate::sort::by_key(&mut extras, |(target, _)| target.components().count());
    }
    let is_image = spec.root != Root::Host;
    for (target, extra) in extras {
        let mounted = match extra {
            Extra::Own(file) => {
                let is_covered = !is_image || spec.mounts.iter().any(|mount| target.starts_with(&mount.target));
                host_files::mount(root, file.as_fd(), target, is_covered)
            }
            Extra::Asked(wanted, source) => mount_extra(root, wanted, source, is_image),
        };
        mounted.map_err(|error| error.context(format_args!("mount on {}", target.display())))?;
    }
    if spec.read_only {
        // While it can still be made. An error shows when the command enters it.
        let _ = mounts::mount_point(root, &spec.process.cwd, Kind::Directory);
    }
    set_root_time(&spec.root, root)?;
    if spec.read_only {
        mount::mount_setattr(root, false, MOUNT_ATTR_RDONLY, None)?;
    }
    Ok(())
}

/// Mounts `wanted`. `is_image`: whether the root is one mount, and not a view of the host's many.
fn mount_extra(root: BorrowedFd<'_>, wanted: &Mount, source: Option<OwnedFd>, is_image: bool) -> Result<()> {
    let Some(source) = source else {
        let Source::Tmpfs(tmpfs) = &wanted.source else { return Ok(()) };
        return mount_tmpfs(root, wanted, tmpfs);
    };
    let is_dir = fs::fstat(source.as_fd())?.is_dir();
    let place = mounts::mount_point(root, &wanted.target, if is_dir { Kind::Directory } else { Kind::File })?;
    procfs::check_target(place.as_fd(), &wanted.target, Some(source.as_fd()))?;
    if is_root(root, place.as_fd())? {
        return match wanted.source {
            // A volume of an image over the root is ignored.
            Source::Anonymous => Ok(()),
            _ => Err(Error::new("a link of the image leads to '/', where nothing can be mounted")),
        };
    }
    if wanted.is_filled() && fs::fstat(place.as_fd())?.is_dir() {
        fill(source.as_fd(), root, &wanted.target, place.as_fd(), is_image)?;
        if wanted.read_only {
            mount::mount_setattr(source.as_fd(), true, MOUNT_ATTR_RDONLY, None)?;
        }
    }
    let in_context = |error: Error| match &wanted.source {
        Source::Bind(path) | Source::Direct(Direct { path, .. }) => {
            error.context(format_args!("{} of the host", path.display()))
        }
        _ => error,
    };
    mounts::attach(source.as_fd(), place.as_fd()).map_err(in_context)
}

fn mount_tmpfs(root: BorrowedFd<'_>, wanted: &Mount, tmpfs: &Tmpfs) -> Result<()> {
    let covered = mounts::find_inside(root, &wanted.target)?;
    let mode = covered.map_or(Ok(0o1777), |covered| fs::fstat(covered.as_fd()).map(|stat| stat.mode & 0o7777))?;
    let place = mounts::mount_point(root, &wanted.target, Kind::Directory)?;
    procfs::check_target(place.as_fd(), &wanted.target, None)?;
    // A mode in the user's options comes later and wins.
    let options = format!("mode={mode:o},{}", tmpfs.options);
    mounts::attach(mounts::fresh(c"tmpfs", &options, tmpfs.all_attributes(wanted.read_only))?.as_fd(), place.as_fd())
}

/// Whether `place` is the container's root itself, to which a link may lead.
fn is_root(root: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<bool> {
    let statx = |fd| fs::statx(Some(fd), c"", libc::AT_EMPTY_PATH, fs::STATX_BASIC_STATS | fs::STATX_MNT_ID);
    Ok(statx(root)?.is_same_place(&statx(place)?))
}

/// Fills an empty volume with the image's files at `target`, and gives it that directory's owner and mode. Files of
/// other mounts there are left out.
fn fill(
    volume: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    target: &Path,
    place: BorrowedFd<'_>,
    is_image: bool,
) -> Result<()> {
    let open = |fd| fs::openat(fd, c".", O_RDONLY | O_DIRECTORY, 0);
    let volume = open(volume)?;
    if fs::entries_of(volume.as_fd()).next().transpose()?.is_some() {
        return Ok(());
    }
    // The host's view consists of mounts. A user may not be able to copy a root mount without those below it.
    let bare = if is_image { mount::open_tree(root, c"", false).ok() } else { None };
    let from = match &bare {
        Some(bare) => mounts::find_inside(bare.as_fd(), target)?,
        None => Some(open(place)?),
    };
    match from {
        Some(from) if fs::fstat(from.as_fd())?.is_dir() => {
            tree::merge(open(from.as_fd())?.as_fd(), open(volume.as_fd())?.as_fd())
        }
        _ => Ok(()),
    }
}

/// Sets the modification time of `/` to the image's. Must come last: making a mount point changes it.
fn set_root_time(root: &Root, dir: BorrowedFd<'_>) -> Result<()> {
    let Root::Image(Stack { root: Some((Attributes { mtime, .. }, _)), .. }) = root else { return Ok(()) };
    let dir = fs::openat(dir, c".", O_RDONLY | O_DIRECTORY, 0)?;
    fs::futimens(dir.as_fd(), *mtime, *mtime)
}
