//! What a container may use at most, in the words of the OCI runtime specification
//! (config-linux.md, `linux.resources`). Nothing here knows of files or of versions.

/// Each `None` means "not asked for".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub memory: Memory,
    pub cpu: Cpu,
    /// Processes and threads; -1: as many as there are to be had.
    pub pids: Option<i64>,
    /// The same where nobody has asked for it, and it may be left out where there is no cgroup.
    pub default_pids: Option<i64>,
    pub block_io: BlockIo,
}

/// In bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub limit: Option<u64>,
    /// Memory and swap together, -1: any amount of swap. Not asked for, swap does not add to `limit`.
    pub swap: Option<i64>,
    /// What is left to the container when others want memory.
    pub reservation: Option<u64>,
    /// How readily it is swapped out, 0 to 100. Only cgroup v1 knows it.
    pub swappiness: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    /// The share of a busy machine, beside others' 1024.
    pub shares: Option<u64>,
    /// Microseconds of CPU time in each `period`; -1: all there are.
    pub quota: Option<i64>,
    /// In microseconds; [`PERIOD`] if not asked for.
    pub period: Option<u64>,
    /// The CPUs and memory nodes to run on: `0-2,4`.
    pub cpus: Option<String>,
    pub mems: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIo {
    /// The share of a busy disk, 10 to 1000.
    pub weight: Option<u16>,
    pub weight_device: Vec<(Device, u16)>,
    pub throttle: Vec<Throttle>,
}

/// A block device by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// So many bytes or operations of one device in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub device: Device,
    pub what: Rate,
    pub rate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    ReadBps,
    WriteBps,
    ReadIops,
    WriteIops,
}

/// The kernel's own period of CPU time, in microseconds.
pub const PERIOD: u64 = 100_000;

/// A part of the kernel that limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Memory,
    Cpu,
    Cpuset,
    Pids,
    BlockIo,
}

impl Controller {
    pub const ALL: [Controller; 5] =
        [Controller::Memory, Controller::Cpu, Controller::Cpuset, Controller::Pids, Controller::BlockIo];

    /// What v1 calls it; the one whose name has changed is `io` in v2.
    pub fn v1_name(self) -> &'static str {
        match self {
            Controller::BlockIo => "blkio",
            other => other.name(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Pids => "pids",
            Controller::BlockIo => "io",
        }
    }
}

impl Limits {
    /// Those without which it cannot be done.
    pub fn controllers(&self) -> Vec<Controller> {
        Controller::ALL.into_iter().filter(|controller| self.needs(*controller)).collect()
    }

    fn needs(&self, controller: Controller) -> bool {
        let Cpu { shares, quota, period, cpus, mems } = &self.cpu;
        match controller {
            Controller::Memory => self.memory != Memory::default(),
            Controller::Cpu => shares.is_some() || quota.is_some() || period.is_some(),
            Controller::Cpuset => cpus.is_some() || mems.is_some(),
            // As many as there are needs nobody to count them.
            Controller::Pids => self.pids.is_some_and(|limit| limit > 0),
            Controller::BlockIo => self.block_io != BlockIo::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_needs_a_controller() {
        let limits = Limits {
            memory: Memory { limit: Some(1), ..Memory::default() },
            cpu: Cpu { mems: Some("0".into()), ..Cpu::default() },
            pids: Some(-1),
            ..Limits::default()
        };
        assert_eq!(limits.controllers(), [Controller::Memory, Controller::Cpuset]);
    }
}
