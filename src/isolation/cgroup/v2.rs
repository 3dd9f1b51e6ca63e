//! cgroup v2: one tree for all controllers (the kernel's
//! Documentation/admin-guide/cgroup-v2.rst). A group gets only those controllers
//! that its parent hands on, and one that hands any on may hold no process itself.

use super::files::{or_max, read, write, write_if_there};
use super::limits::{BlockIo, Controller, Cpu, Limits, Memory, PERIOD, Rate};
use crate::error::Result;
use std::path::Path;

/// Writes the limits of one controller into the group `dir`.
pub fn set(dir: &Path, controller: Controller, limits: &Limits) -> Result<()> {
    match controller {
        Controller::Memory => set_memory(dir, &limits.memory),
        Controller::Cpu => set_cpu(dir, &limits.cpu),
        Controller::Cpuset => {
            limits.cpu.cpus.as_ref().map_or(Ok(()), |list| write(dir, "cpuset.cpus", list))?;
            limits.cpu.mems.as_ref().map_or(Ok(()), |list| write(dir, "cpuset.mems", list))
        }
        Controller::Pids => match limits.pids {
            Some(limit) => write(dir, "pids.max", or_max(if limit == 0 { -1 } else { limit })),
            None => Ok(()),
        },
        Controller::BlockIo => set_block_io(dir, &limits.block_io),
    }
}

/// memory.high, which slows a group down before its limit, is left alone: what cannot be swapped out cannot be
/// given back either, so that a program whose data fill all but the last of its limit would be put to sleep at
/// each allocation for ever, and one that takes too much would die slowly. With memory.max alone the first runs
/// and the second ends at once; the kernel reclaims page cache before it comes to that all the same.
fn set_memory(dir: &Path, memory: &Memory) -> Result<()> {
    if let Some(limit) = memory.limit {
        write(dir, "memory.max", limit)?;
        // Half a container is none: when one process has to go, all do.
        write_if_there(dir, "memory.oom.group", 1)?;
    }
    match (memory.swap, memory.limit) {
        (Some(-1), _) => write(dir, "memory.swap.max", "max")?,
        // v2 counts swap by itself.
        (Some(both), Some(limit)) => write(dir, "memory.swap.max", (both as u64).saturating_sub(limit))?,
        (Some(both), None) => write(dir, "memory.swap.max", both)?,
        // A kernel without swap has no such file.
        (None, Some(_)) => write_if_there(dir, "memory.swap.max", 0)?,
        (None, None) => {}
    }
    memory.reservation.map_or(Ok(()), |bytes| write(dir, "memory.low", bytes))
}

fn set_cpu(dir: &Path, cpu: &Cpu) -> Result<()> {
    cpu.shares.map_or(Ok(()), |shares| write(dir, "cpu.weight", weight_of_shares(shares)))?;
    match (cpu.quota, cpu.period) {
        (None, None) => Ok(()),
        (quota, period) => {
            write(dir, "cpu.max", format_args!("{} {}", or_max(quota.unwrap_or(-1)), period.unwrap_or(PERIOD)))
        }
    }
}

/// v1's shares have 1024 as what everybody gets, v2's weights 100. In proportion, so that 2:1 stays 2:1 among
/// containers, and a container of 1024 stands equal to the host's own services. runc's curve (log 10 quadratic in
/// log 2, since 1.3.2) keeps the whole range from 2 to 262144 apart, but makes 1.7:1 of 1024:512.
fn weight_of_shares(shares: u64) -> u64 {
    (shares.saturating_mul(100).saturating_add(512) / 1024).clamp(1, 10_000)
}

fn set_block_io(dir: &Path, block_io: &BlockIo) -> Result<()> {
    if block_io.weight.is_some() || !block_io.weight_device.is_empty() {
        // BFQ takes the number as it is; the other file, of the cost model, counts to 10000.
        let bfq = dir.join("io.bfq.weight").exists();
        if !bfq && !dir.join("io.weight").exists() {
            return Err(super::no_weights());
        }
        let (file, scale) = if bfq { ("io.bfq.weight", 1) } else { ("io.weight", 10) };
        block_io.weight.map_or(Ok(()), |weight| write(dir, file, u32::from(weight) * scale))?;
        for (device, weight) in &block_io.weight_device {
            write(dir, file, format_args!("{device} {}", u32::from(*weight) * scale)).map_err(super::no_such_disk)?;
        }
    }
    for limit in &block_io.throttle {
        let key = match limit.what {
            Rate::ReadBps => "rbps",
            Rate::WriteBps => "wbps",
            Rate::ReadIops => "riops",
            Rate::WriteIops => "wiops",
        };
        write(dir, "io.max", format_args!("{} {key}={}", limit.device, limit.rate)).map_err(super::no_such_disk)?;
    }
    Ok(())
}

/// Those of all controllers that `dir` may hand on to its children.
pub fn available(dir: &Path) -> Result<Vec<Controller>> {
    let there = read(&dir.join("cgroup.controllers"))?;
    let is_there = |controller: &Controller| there.split_whitespace().any(|name| name == controller.name());
    Ok(Controller::ALL.into_iter().filter(is_there).collect())
}

/// Lets the children of `dir` have `controllers`.
pub fn hand_on(dir: &Path, controllers: &[Controller]) -> Result<()> {
    let on = read(&dir.join("cgroup.subtree_control"))?;
    let is_off = |controller: &&Controller| !on.split_whitespace().any(|name| name == controller.name());
    let off: Vec<String> =
        controllers.iter().filter(is_off).map(|controller| format!("+{}", controller.name())).collect();
    if off.is_empty() { Ok(()) } else { write(dir, "cgroup.subtree_control", off.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_in_proportion_to_shares() {
        for (shares, weight) in [(1024, 100), (512, 50), (2048, 200), (2, 1), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }
}
