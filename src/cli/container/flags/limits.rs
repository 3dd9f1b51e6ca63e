//! `--memory`, `--cpus` and their like: Docker's units, checks and words (moby, daemon/daemon_unix.go).

use super::block_io;
use super::numbers::{bytes, whole};
use crate::cli::args::{Flag, Parsed, one};
use crate::decimal;
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::{BlockIo, Cpu, Limits, Memory, PERIOD};
use std::path::{Component, Path, PathBuf};

const LEAST_MEMORY: u64 = 6 << 20;
const SHM_SIZE: u64 = 64 << 20;

// What can be changed while a container runs, too.
pub const MEMORY: Flag = one(Some('m'), "memory", "BYTES", "Limit of memory, such as 64m or 1g");
pub const MEMORY_SWAP: Flag =
    one(None, "memory-swap", "BYTES", "Limit of memory and swap together (default: no swap); -1 for any amount");
pub const MEMORY_RESERVATION: Flag =
    one(None, "memory-reservation", "BYTES", "Memory that is left to it when others want some");
pub const CPUS: Flag = one(None, "cpus", "NUMBER", "Limit of CPU time, such as 0.5");
pub const CPU_SHARES: Flag = one(Some('c'), "cpu-shares", "NUMBER", "Share of a busy machine, beside others' 1024");
pub const CPU_QUOTA: Flag = one(None, "cpu-quota", "MICROSECONDS", "Limit of CPU time in each period");
pub const CPU_PERIOD: Flag = one(None, "cpu-period", "MICROSECONDS", "The period of --cpu-quota (default 100000)");
pub const CPUSET_CPUS: Flag = one(None, "cpuset-cpus", "LIST", "CPUs to run on, such as 0-2,4");
pub const CPUSET_MEMS: Flag = one(None, "cpuset-mems", "LIST", "Memory nodes to use");
pub const PIDS_LIMIT: Flag =
    one(None, "pids-limit", "NUMBER", "Limit of processes (default 2048 where there are cgroups); -1 for none");
pub const BLKIO_WEIGHT: Flag = one(None, "blkio-weight", "NUMBER", "Share of a busy disk, 10 to 1000");

pub fn read(parsed: &Parsed) -> Result<Limits> {
    if parsed.is_on("oom-kill-disable") {
        return Err(Error::new("--oom-kill-disable is not supported").hint(
            "a container at its limit would stand still for ever, and cgroup v2 has no such switch; \
             --oom-score-adj spares one when the machine itself is out of memory",
        ));
    }
    let limits = Limits {
        memory: memory(parsed)?,
        cpu: cpu(parsed)?,
        pids: whole(parsed, "pids-limit")?.map(|limit: i64| if limit <= 0 { -1 } else { limit }),
        block_io: BlockIo { weight: block_io::weight(parsed)?, ..block_io::devices(parsed)? },
    };
    Ok(limits)
}

fn memory(parsed: &Parsed) -> Result<Memory> {
    let limit = bytes(parsed, "memory")?;
    let reservation = bytes(parsed, "memory-reservation")?;
    let swap = match parsed.text("memory-swap")? {
        Some("-1") => Some(-1),
        _ => bytes(parsed, "memory-swap")?.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
    };
    let swappiness = whole(parsed, "memory-swappiness")?.filter(|value: &i64| *value != -1);
    let least = |what: &str, value: Option<u64>| match value {
        Some(..LEAST_MEMORY) => Err(Error::new(format_args!("Minimum memory {what} allowed is 6MB"))),
        _ => Ok(()),
    };
    least("limit", limit)?;
    least("reservation", reservation)?;
    let wrong = |text: &str| Err(Error::new(text));
    match (limit, swap) {
        (None, Some(1..)) => {
            return wrong("You should always set the Memory limit when using Memoryswap limit, see usage");
        }
        (Some(limit), Some(swap @ 1..)) if (swap as u64) < limit => {
            return wrong("Minimum memoryswap limit should be larger than memory limit, see usage");
        }
        _ => {}
    }
    if limit.zip(reservation).is_some_and(|(limit, reservation)| limit < reservation) {
        return wrong("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    let swappiness = match swappiness.map(u64::try_from) {
        Some(Ok(value @ 0..=100)) => Some(value),
        None => None,
        _ => {
            return wrong(&format!(
                "Invalid value: {}, valid memory swappiness range is 0-100",
                swappiness.unwrap_or_default()
            ));
        }
    };
    Ok(Memory { limit, swap, reservation, swappiness })
}

fn cpu(parsed: &Parsed) -> Result<Cpu> {
    let cpus =
        parsed.text("cpus")?.map(|text| quota_of_cpus(text, crate::sys::resource::cpus())).transpose()?.flatten();
    let period = whole(parsed, "cpu-period")?.filter(|period: &i64| *period != 0);
    let quota = whole(parsed, "cpu-quota")?.filter(|quota: &i64| *quota != 0);
    for (name, given) in [("Period", period.is_some()), ("Quota", quota.is_some())] {
        if cpus.is_some() && given {
            return Err(Error::new(format_args!("Conflicting options: Nano CPUs and CPU {name} cannot both be set")));
        }
    }
    if period.is_some_and(|period| !(1000..=1_000_000).contains(&period)) {
        return Err(Error::new("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"));
    }
    if quota.is_some_and(|quota| (1..1000).contains(&quota)) {
        return Err(Error::new("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    // The kernel would take what is too little or too much for the nearest that it knows (runc says no, too).
    let shares = match whole(parsed, "cpu-shares")? {
        None | Some(0) => None,
        Some(..2) => return Err(Error::new("the minimum allowed cpu-shares is 2")),
        Some(262_145..) => return Err(Error::new("the maximum allowed cpu-shares is 262144")),
        Some(shares) => u64::try_from(shares).ok(),
    };
    Ok(Cpu {
        shares,
        quota: cpus.or(quota.map(|quota| quota.max(-1))),
        period: period.and_then(|period| u64::try_from(period).ok()),
        cpus: set(parsed, "cpuset-cpus", "CPUs", "/sys/devices/system/cpu/online")?,
        mems: set(parsed, "cpuset-mems", "memory nodes", "/sys/devices/system/node/online")?,
    })
}

pub fn oom_score_adj(parsed: &Parsed) -> Result<Option<i32>> {
    match whole(parsed, "oom-score-adj")? {
        None => Ok(None),
        Some(score @ -1000..=1000) => Ok(i32::try_from(score).ok()),
        Some(score) => Err(Error::new(format_args!("Invalid value {score}, range for oom score adj is [-1000, 1000]"))),
    }
}

pub fn shm_size(parsed: &Parsed) -> Result<u64> {
    Ok(bytes(parsed, "shm-size")?.unwrap_or(SHM_SIZE))
}

/// A path from the top of the tree of cgroups, with a slash or without.
pub fn cgroup_parent(parsed: &Parsed) -> Result<Option<PathBuf>> {
    let Some(text) = parsed.text("cgroup-parent")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let path = Path::new(text.trim_start_matches('/'));
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Error::new(format_args!("invalid cgroup parent: '{text}'")).hint("a path without . and .. in it"));
    }
    Ok(Some(path.to_owned()))
}

/// The quota for each period; 0 means no limit.
fn quota_of_cpus(text: &str, machine: usize) -> Result<Option<i64>> {
    let wrong = || {
        Error::new(format_args!("invalid argument \"{text}\" for \"--cpus\" flag: not a number of CPUs"))
            .hint("such as 0.5 or 2")
    };
    let number = decimal::parse(text).ok_or_else(wrong)?;
    if number == 0.0 {
        return Ok(None);
    }
    if !(0.01..=machine as f64).contains(&number) {
        return Err(Error::new(format_args!(
            "Range of CPUs is from 0.01 to {machine}.00, as there are only {machine} CPUs available"
        )));
    }
    Ok(Some((number * PERIOD as f64).round() as i64))
}

/// A list such as `0-2,4`, all of which the machine must have.
fn set(parsed: &Parsed, long: &str, what: &str, online: &str) -> Result<Option<String>> {
    let Some(text) = parsed.text(long)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let ranges = ranges(text).ok_or_else(|| {
        Error::new(format_args!("Invalid value {text} for {}", long.replacen('-', " ", 1))).hint("such as 0-2,4")
    })?;
    // A kernel that does not tell has the last word itself.
    let Ok(available) = std::fs::read_to_string(online) else { return Ok(Some(text.to_owned())) };
    let available = available.trim();
    let there = self::ranges(available).unwrap_or_default();
    let is_there = |(from, to): &(u32, u32)| there.iter().any(|(first, last)| first <= from && to <= last);
    if !ranges.iter().all(is_there) {
        return Err(Error::new(format_args!(
            "Requested {what} are not available - requested {text}, available: {available}"
        )));
    }
    Ok(Some(text.to_owned()))
}

fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number(from)?, number(to)?);
        (from <= to).then_some((from, to))
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_within_the_machine() {
        assert_eq!(quota_of_cpus("0.5", 2).unwrap(), Some(50_000));
        assert_eq!(quota_of_cpus("2", 2).unwrap(), Some(200_000));
        assert_eq!(quota_of_cpus("0", 2).unwrap(), None);
        for text in ["99", "-1", "0.001"] {
            let error = quota_of_cpus(text, 2).unwrap_err().to_string();
            assert_eq!(error, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "{text}");
        }
        for text in ["", "x", "inf", "nan", "1e0"] {
            assert!(quota_of_cpus(text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn sets_are_lists_of_ranges() {
        assert_eq!(ranges("0-2,4"), Some(vec![(0, 2), (4, 4)]));
        for bad in ["", "a", "1-", "-1", "2-1", "1,,2", "+1", "1-2-3", "4294967296"] {
            assert_eq!(ranges(bad), None, "{bad}");
        }
    }
}
