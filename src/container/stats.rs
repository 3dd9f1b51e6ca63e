//! The resource use of a running container: counted by its cgroup, and otherwise summed up over its processes.

use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::cgroup::usage::Usage;
use crate::isolation::processes::{self, ProcessTable};
use crate::store::Store;
use std::time::Instant;

/// The use at one moment.
pub struct Sample {
    at: Instant,
    pub usage: Usage,
    /// Bytes received and sent.
    pub network: Option<(u64, u64)>,
    /// The container's memory limit, or all memory of the machine.
    pub memory_limit: Option<u64>,
}

/// The container's use now; `None` if it does not run.
pub fn sample(store: &Store, id: &str, processes: &ProcessTable) -> Result<Option<Sample>> {
    let state = store.state(id)?;
    let Some(init) = state.init.filter(|_| state.is_running()) else { return Ok(None) };
    let counted = Cgroup::from_paths(state.cgroup).usage();
    let seen = processes.usage_of(init.pid);
    let machine = processes::memory_of_machine();
    let sample = Sample {
        at: Instant::now(),
        memory_limit: counted.memory_limit.into_iter().chain(machine).min(),
        usage: Usage {
            cpu: counted.cpu.or(seen.cpu),
            memory: counted.memory.or(seen.memory),
            pids: counted.pids.or(seen.pids),
            ..counted
        },
        network: processes::network_of(init.pid),
    };
    // If it has ended meanwhile, the numbers may be another process's.
    Ok(store.is_alive(id)?.then_some(sample))
}

impl Sample {
    /// The CPU time since `before` in percent of one CPU.
    pub fn cpu_percent(&self, before: &Sample) -> Option<f64> {
        let used = self.usage.cpu?.saturating_sub(before.usage.cpu?).as_secs_f64();
        let passed = self.at.saturating_duration_since(before.at).as_secs_f64();
        (passed > 0.0).then(|| used / passed * 100.0)
    }

    pub fn memory_percent(&self) -> Option<f64> {
        let limit = self.memory_limit.filter(|limit| *limit > 0)?;
        Some(self.usage.memory? as f64 / limit as f64 * 100.0)
    }
}
