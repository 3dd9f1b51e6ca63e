//! cgroup v1: a tree for each controller, and each file with a name of its own
//! (the kernel's Documentation/admin-guide/cgroup-v1/).

use super::files::{absent_is_fine, read, write, write_if_there};
use super::limits::{BlockIo, Controller, Cpu, Limits, Memory, PERIOD, Rate};
use crate::error::Result;
use std::path::Path;

/// Writes the limits of one controller into its group `dir`.
pub fn set(dir: &Path, controller: Controller, limits: &Limits) -> Result<()> {
    match controller {
        Controller::Memory => set_memory(dir, &limits.memory),
        Controller::Cpu => set_cpu(dir, &limits.cpu),
        Controller::Cpuset => set_cpuset(dir, &limits.cpu),
        Controller::Pids => match limits.pids {
            Some(limit) if limit > 0 => write(dir, "pids.max", limit),
            Some(_) => write(dir, "pids.max", "max"),
            None => Ok(()),
        },
        Controller::BlockIo => set_block_io(dir, &limits.block_io),
    }
}

fn set_memory(dir: &Path, memory: &Memory) -> Result<()> {
    if let Some(limit) = memory.limit {
        // Memory and swap together may never be less than memory alone, so that a higher limit is refused until
        // that one is higher, too.
        let swap = memory.swap.unwrap_or(i64::try_from(limit).unwrap_or(i64::MAX));
        match write(dir, "memory.limit_in_bytes", limit) {
            Err(error) if error.errno() == Some(libc::EINVAL) => {
                write(dir, "memory.memsw.limit_in_bytes", swap)?;
                write(dir, "memory.limit_in_bytes", limit)?;
            }
            other => other?,
        }
        match write(dir, "memory.memsw.limit_in_bytes", swap) {
            // A kernel that does not count swap can at least be kept from using it.
            Err(error) if error.errno() == Some(libc::ENOENT) && memory.swap.is_none() => {
                write_if_there(dir, "memory.swappiness", 0)?;
            }
            Err(error) => return Err(error.hint("a kernel counts swap if it is booted with swapaccount=1")),
            Ok(()) => {}
        }
    } else if let Some(swap) = memory.swap {
        write(dir, "memory.memsw.limit_in_bytes", swap)?;
    }
    memory.reservation.map_or(Ok(()), |bytes| write(dir, "memory.soft_limit_in_bytes", bytes))?;
    memory.swappiness.map_or(Ok(()), |value| write(dir, "memory.swappiness", value))
}

fn set_cpu(dir: &Path, cpu: &Cpu) -> Result<()> {
    cpu.shares.map_or(Ok(()), |shares| write(dir, "cpu.shares", shares))?;
    if cpu.quota.is_some() || cpu.period.is_some() {
        write(dir, "cpu.cfs_period_us", cpu.period.unwrap_or(PERIOD))?;
    }
    cpu.quota.map_or(Ok(()), |quota| write(dir, "cpu.cfs_quota_us", quota))
}

/// A new group of this controller has no CPUs and no memory nodes, and takes nobody in until it has both.
fn set_cpuset(dir: &Path, cpu: &Cpu) -> Result<()> {
    for (file, asked) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        let inherited = inherit(dir, file)?;
        if let Some(list) = asked.as_ref().filter(|list| **list != inherited) {
            write(dir, file, list)?;
        }
    }
    Ok(())
}

/// Gives `dir` what its parent has, if it has nothing. The top of the tree has all there is.
fn inherit(dir: &Path, file: &str) -> Result<String> {
    let own = read(&dir.join(file))?;
    match (own.trim(), dir.parent()) {
        ("", Some(parent)) => {
            let list = inherit(parent, file)?;
            write(dir, file, &list).map(|()| list)
        }
        (own, _) => Ok(own.to_owned()),
    }
}

fn set_block_io(dir: &Path, block_io: &BlockIo) -> Result<()> {
    if let Some(weight) = block_io.weight {
        set_weight(dir, "weight", &weight.to_string())?;
    }
    for (device, weight) in &block_io.weight_device {
        set_weight(dir, "weight_device", &format!("{device} {weight}"))?;
    }
    for limit in &block_io.throttle {
        let file = match limit.what {
            Rate::ReadBps => "blkio.throttle.read_bps_device",
            Rate::WriteBps => "blkio.throttle.write_bps_device",
            Rate::ReadIops => "blkio.throttle.read_iops_device",
            Rate::WriteIops => "blkio.throttle.write_iops_device",
        };
        write(dir, file, format_args!("{} {}", limit.device, limit.rate)).map_err(super::no_such_disk)?;
    }
    Ok(())
}

/// The file has the name of the I/O scheduler that does it: CFQ's once, today BFQ's.
fn set_weight(dir: &Path, file: &str, value: &str) -> Result<()> {
    let bfq = dir.join(format!("blkio.bfq.{file}"));
    if bfq.exists() {
        return write(dir, &format!("blkio.bfq.{file}"), value);
    }
    let written = write(dir, &format!("blkio.{file}"), value);
    if written.as_ref().is_err_and(|error| error.errno() == Some(libc::ENOENT)) {
        return Err(super::no_weights());
    }
    absent_is_fine(written)
}

/// A file by which the group of a controller is known.
pub fn file_of(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory.limit_in_bytes",
        Controller::Cpu => "cpu.shares",
        Controller::Cpuset => "cpuset.cpus",
        Controller::Pids => "pids.max",
        Controller::BlockIo => "blkio.throttle.read_bps_device",
    }
}
