//! The limits of a new container: those that `update` can change, and those that it cannot.

use super::block_io;
use super::limits;
use super::numbers::{bytes, whole};
use crate::cli::args::{Flag, One, Parsed, Switch, Typed, one, switch};
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::{BlockIo, Limits};
use std::path::{Component, Path, PathBuf};

pub const MEMORY_SWAPPINESS: Typed<u64> =
    one(None, "memory-swappiness", "NUMBER", "How readily memory is swapped out, 0 to 100 (cgroup v1 only)")
        .parsed_by(swappiness);
pub const OOM_KILL_DISABLE: Switch = switch(None, "oom-kill-disable", "Refused: use --oom-score-adj");
pub const SHM_SIZE: Typed<u64> = one(None, "shm-size", "BYTES", "Size of /dev/shm (default 64m)").parsed_by(bytes);
pub const CGROUP_PARENT: One =
    one(None, "cgroup-parent", "PATH", "Cgroup of the host, from its top, below which the container's is made");

/// Processes and threads of a container of which nobody said anything: more than any sane program needs, and
/// far from what a fork bomb takes.
const DEFAULT_PIDS: i64 = 2048;

pub fn read(parsed: &Parsed) -> Result<Limits> {
    if parsed.is_on(OOM_KILL_DISABLE) {
        return Err(Error::new("--oom-kill-disable is not supported").hint(
            "a container at its limit would hang forever, and cgroup v2 has no such switch; \
             --oom-score-adj spares one when the machine itself is out of memory",
        ));
    }
    let mut limits = limits::read(parsed)?;
    limits.default_pids = Some(DEFAULT_PIDS);
    limits.memory.swappiness = parsed.get(MEMORY_SWAPPINESS)?;
    limits.block_io = BlockIo { weight: limits.block_io.weight, ..block_io::devices(parsed)? };
    Ok(limits)
}

fn swappiness(flag: &Flag, text: &str) -> Result<Option<u64>> {
    match whole(flag, text)? {
        None | Some(-1) => Ok(None),
        Some(value @ 0..=100) => Ok(u64::try_from(value).ok()),
        Some(value) => Err(Error::new(format_args!("Invalid value: {value}, valid memory swappiness range is 0-100"))),
    }
}

/// The size of /dev/shm in bytes.
pub fn shm_size(parsed: &Parsed) -> Result<u64> {
    Ok(parsed.get(SHM_SIZE)?.unwrap_or(64 << 20))
}

/// A path from the top of the cgroup hierarchy, with or without a leading slash.
pub fn cgroup_parent(parsed: &Parsed) -> Result<Option<PathBuf>> {
    let Some(text) = parsed.text(CGROUP_PARENT)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let path = Path::new(text.trim_start_matches('/'));
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Error::new(format_args!("invalid cgroup parent: '{text}'")).hint("a path without . and .. in it"));
    }
    Ok(Some(path.to_owned()))
}
