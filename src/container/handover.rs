//! How PID 1 gets the mounts of the process between (see [`super::outer`]): it finds them attached to places below the
//! container's directory.

use super::plan::Plan;
use super::trees::Trees;
use crate::error::{Error, Result};
use crate::isolation::host_mounts::{Copy, Shown};
use crate::isolation::rootfs::open_directory;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount, socket};
use std::os::fd::AsFd;
use std::path::Path;

/// Where the mounts are attached, below the container's directory.
pub const PLACES: &str = "outer";

/// Makes the places that `trees` will be attached to.
pub fn make_places(dir: &Path, trees: &[OwnedFd], host: &[Copy]) -> Result<()> {
    let dir = dir.join(PLACES);
    fs::mkdir(&dir, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", dir.display())))?;
    let parent = open_directory(&dir)?;
    for (at, tree) in trees.iter().chain(files(host)).enumerate() {
        let name = crate::sys::cstr(at.to_string())?;
        if fs::fstat(tree.as_fd())?.is_dir() {
            fs::mkdirat(parent.as_fd(), &name, 0o755)?;
        } else {
            fs::openat(parent.as_fd(), &name, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o644)?;
        }
    }
    Ok(())
}

/// Files of the host's that are mounts of their own. Its directories are only seen through overlays.
pub fn files(host: &[Copy]) -> impl Iterator<Item = &OwnedFd> {
    host.iter().filter(|copy| copy.shown == Shown::File).filter_map(|copy| copy.tree.as_ref())
}

/// PID 1's side: waits for its ids, and takes copies of what is attached in `dir`: all that was sent, then the files
/// of `host`, in whose place they come.
pub fn take(between: &OwnedFd, supervisor: &OwnedFd, plan: &Plan<'_>) -> Result<(Trees, Vec<OwnedFd>)> {
    let (dir, host) = (plan.dir, plan.host);
    let mut buffer = [0; 8];
    let (size, _) = socket::receive(between.as_fd(), &mut buffer)?;
    if plan.mapped && socket::receive(supervisor.as_fd(), &mut [0; 8])?.0 == 0 {
        return Err(Error::new("the supervisor ended"));
    }
    let [own, count @ ..] = &buffer[..size] else { return Err(Error::new("the process that makes PID 1 ended")) };
    let count = count.try_into().map(u32::from_ne_bytes).map_err(|_| Error::new("PID 1 was told nothing"))?;
    let take = |at: u32| {
        let place = fs::open(&crate::sys::cstr(dir.join(PLACES).join(at.to_string()))?, libc::O_PATH, 0)?;
        mount::open_tree(place.as_fd(), c"", true)
    };
    let mut all = (0..count).map(take).collect::<Result<Vec<OwnedFd>>>()?;
    let files = all.split_off(all.len().saturating_sub(files(host).count()));
    Ok((Trees::of(*own == 1, all), files))
}
