//! How a container ended, beyond its exit status.

use super::notice::{Biggest, Notice, OutOfMemory, Used};
use super::spec::ContainerSpec;
use crate::error::Error;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::kernel_log::{self, Killed};
use crate::sys::process::{self, Status};
use std::time::Duration;

/// How the command ended.
pub struct Outcome {
    pub code: u8,
    /// Whether the user typed Ctrl-C and the command died of it.
    pub interrupted: bool,
}

/// The status for the caller of a command that ended with `code`, where what of the output is `lost` has an error.
pub fn code_with(code: u8, lost: Option<Error>, tell: &mut dyn FnMut(Notice)) -> u8 {
    // A reader that has gone away (`ccrun run … | head`) is no failure.
    let Some(error) = lost.filter(|error| error.errno() != Some(libc::EPIPE)) else { return code };
    tell(Notice::OutputLost(error));
    // The command could not know.
    code.max(1)
}

/// What there is to tell of a container that has run for `wall`; its group must still be there.
pub fn notices(spec: &ContainerSpec, wall: Duration, cgroup: &Cgroup, status: Status) -> Vec<Notice> {
    let limit = spec.limits.memory.limit.filter(|_| cgroup.oom_kills() > 0);
    let out_of_memory = limit.map(|limit| Notice::OutOfMemory(out_of_memory(spec, limit, status)));
    let used = spec.stats.then(|| Notice::Used(used(wall, cgroup)));
    out_of_memory.into_iter().chain(used).collect()
}

fn out_of_memory(spec: &ContainerSpec, limit: u64, status: Status) -> OutOfMemory {
    let biggest = match kernel_log::killed_in(&spec.id) {
        Some(Killed { name, pid, bytes }) => Some(Biggest { process: Some((name, pid)), bytes }),
        // PID 1 has lived to wait for it: then the kernel has counted what it had, though not its name.
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
