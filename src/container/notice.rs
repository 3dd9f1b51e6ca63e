//! The outcome of a container, and notices: what the user should know although it is not an error. The command line
//! words them.

use super::spec::ContainerSpec;
use crate::error::Error;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::kernel_log::{self, Killed};
use crate::sys::process::{self, Status};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug)]
pub enum Notice {
    /// Memory swappiness was asked for, but no cgroup here has it.
    NoSwappiness,
    /// The container shares its host ids with others, for this reason if it is known.
    SharedIds(Option<Error>),
    /// A directory's files cannot be id-mapped, and are copied.
    Copied {
        path: PathBuf,
        error: Error,
    },
    /// A directory's files cannot be id-mapped, and belong to nobody inside.
    Unmapped {
        path: PathBuf,
        error: Error,
    },
    /// Only the files of mounts below this directory cannot be id-mapped.
    UnmappedBelow(PathBuf),
    /// The store's file system cannot be used for overlay, for this reason (errno); files are copied.
    NoOverlay(i32),
    /// A device that nobody in the container can open.
    UselessDevice(PathBuf),
    /// Some of the container's output could not be written.
    OutputLost(Error),
    /// The container's last state could not be written, or its files not removed.
    Untidy(Error),
    OutOfMemory(OutOfMemory),
    Used(Used),
}

/// A process was killed because the container had reached its memory limit.
#[derive(Debug)]
pub struct OutOfMemory {
    /// In bytes.
    pub limit: u64,
    /// Whether the whole container was killed.
    pub is_whole: bool,
    pub biggest: Option<Biggest>,
}

/// The process that used the most memory.
#[derive(Debug)]
pub struct Biggest {
    /// Its name, and its pid on the host.
    pub process: Option<(String, u32)>,
    pub bytes: u64,
}

/// What a container has used.
#[derive(Debug)]
pub struct Used {
    pub wall: Duration,
    pub cpu: Duration,
    /// In bytes.
    pub peak_memory: u64,
    /// Whether `peak_memory` is the whole container's, and not its biggest process's.
    pub is_of_container: bool,
}

/// How the command ended.
pub struct Outcome {
    pub code: u8,
    /// Whether the user typed Ctrl-C and the command died of it.
    pub interrupted: bool,
}

/// The exit status of a command that ended with `code`. `lost`: the error, if some of its output could not be written.
pub fn code_with(code: u8, lost: Option<Error>, notify: &mut dyn FnMut(Notice)) -> u8 {
    // A reader that has gone away (`ccrun run … | head`) is not a failure.
    let Some(error) = lost.filter(|error| error.errno() != Some(libc::EPIPE)) else { return code };
    notify(Notice::OutputLost(error));
    // The command could not notice that its output was lost.
    code.max(1)
}

/// The notices about a container that has run for `wall`. Its cgroup must still exist.
pub fn at_end(spec: &ContainerSpec, wall: Duration, cgroup: &Cgroup, status: Status) -> Vec<Notice> {
    let limit = spec.limits.memory.limit.filter(|_| cgroup.oom_kills() > 0);
    let out_of_memory = limit.map(|limit| Notice::OutOfMemory(out_of_memory(spec, limit, status)));
    let used = spec.stats.then(|| Notice::Used(used(wall, cgroup)));
    out_of_memory.into_iter().chain(used).collect()
}

fn out_of_memory(spec: &ContainerSpec, limit: u64, status: Status) -> OutOfMemory {
    let biggest = match kernel_log::killed_in(&spec.id) {
        Some(Killed { name, pid, bytes }) => Some(Biggest { process: Some((name, pid)), bytes }),
        // PID 1 has survived and waited for it: then the kernel knows its memory, though not its name.
        None if matches!(status, Status::Exited(_)) => {
            Some(Biggest { process: None, bytes: process::usage_of_children().biggest })
        }
        None => None,
    };
    OutOfMemory { limit, is_whole: status.code() == 137, biggest }
}

fn used(wall: Duration, cgroup: &Cgroup) -> Used {
    let counted = cgroup.usage();
    let ended = process::usage_of_children();
    Used {
        wall,
        cpu: counted.cpu.unwrap_or(ended.user + ended.system),
        peak_memory: counted.memory_peak.unwrap_or(ended.biggest),
        is_of_container: counted.memory_peak.is_some(),
    }
}
