//! How PID 1 gets the mounts of the process between (see [`super::outer`]): it finds them attached to places below the
//! container's directory.

use super::id_mapped::{self, Handed};
use super::plan::Plan;
use crate::error::Result;
use crate::isolation::host_mounts::{Copy, Shown};
use crate::isolation::rootfs::open_directory;
use crate::sys::channel::Channel;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount};
use std::os::fd::AsFd;
use std::path::Path;

/// Where the mounts are attached, below the container's directory.
pub const PLACES: &str = "outer";

/// Makes the places that the mounts will be attached to.
pub fn make_places(dir: &Path, handed: &Handed, host: &[Copy]) -> Result<()> {
    let dir = dir.join(PLACES);
    fs::mkdir(&dir, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", dir.display())))?;
    let parent = open_directory(&dir)?;
    for (at, tree) in handed.mounts().chain(files(host)).enumerate() {
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
pub fn take(between: &Channel, supervisor: &Channel, plan: &Plan<'_>) -> Result<(Handed, Vec<OwnedFd>)> {
    let (dir, host) = (plan.dir, plan.host);
    let (keys, _) = id_mapped::receive(between, "the process that makes PID 1")?;
    supervisor.receive_from("the supervisor")?;
    let take = |at: usize| {
        let place = fs::open(&crate::sys::cstr(dir.join(PLACES).join(at.to_string()))?, libc::O_PATH, 0)?;
        mount::open_tree(place.as_fd(), c"", true)
    };
    let count = keys.len();
    let all = keys.into_iter().enumerate().map(|(at, key)| Ok((key, take(at)?))).collect::<Result<Handed>>()?;
    let files = (count..count + files(host).count()).map(take).collect::<Result<_>>()?;
    Ok((all, files))
}
