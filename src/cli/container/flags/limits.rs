//! `--memory`, `--cpus` and other limits, which `update` can change too: with Docker's units, checks and messages
//! (moby, daemon/daemon_unix.go).

use super::numbers::{bytes, whole};
use crate::cli::args::{Flag, Parsed, Typed, one};
use crate::decimal;
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::{BlockIo, Cpu, Limits, Memory, PERIOD};
use crate::sys::resource;

const LEAST_MEMORY: u64 = 6 << 20;

pub const MEMORY: Typed<u64> = one(Some('m'), "memory", "BYTES", "Limit of memory, such as 64m or 1g").parsed_by(bytes);
pub const MEMORY_SWAP: Typed<i64> =
    one(None, "memory-swap", "BYTES", "Limit of memory and swap together (default: no swap); -1 for any amount")
        .parsed_by(swap);
pub const MEMORY_RESERVATION: Typed<u64> =
    one(None, "memory-reservation", "BYTES", "Memory that is left to it when others want some").parsed_by(bytes);
pub const CPUS: Typed<f64> = one(None, "cpus", "NUMBER", "Limit of CPU time, such as 0.5")
    .parsed_by(|flag, text| cpus(flag, text, resource::cpus()));
pub const CPU_SHARES: Typed<i64> =
    one(Some('c'), "cpu-shares", "NUMBER", "Share of a busy machine, beside others' 1024").parsed_by(whole);
pub const CPU_QUOTA: Typed<i64> =
    one(None, "cpu-quota", "MICROSECONDS", "Limit of CPU time in each period").parsed_by(whole);
pub const CPU_PERIOD: Typed<i64> =
    one(None, "cpu-period", "MICROSECONDS", "The period of --cpu-quota (default 100000)").parsed_by(whole);
pub const CPUSET_CPUS: Typed<String> = one(None, "cpuset-cpus", "LIST", "CPUs to run on, such as 0-2,4")
    .parsed_by(|flag, text| set(flag, text, "CPUs", "/sys/devices/system/cpu/online"));
pub const CPUSET_MEMS: Typed<String> = one(None, "cpuset-mems", "LIST", "Memory nodes to use")
    .parsed_by(|flag, text| set(flag, text, "memory nodes", "/sys/devices/system/node/online"));
pub const PIDS_LIMIT: Typed<i64> =
    one(None, "pids-limit", "NUMBER", "Limit of processes (default 2048 where there are cgroups); -1 for none")
        .parsed_by(whole);
pub const BLKIO_WEIGHT: Typed<u16> =
    one(None, "blkio-weight", "NUMBER", "Share of a busy disk, 10 to 1000").parsed_by(block_io_weight);

pub fn read(parsed: &Parsed) -> Result<Limits> {
    Ok(Limits {
        memory: memory(parsed)?,
        cpu: cpu(parsed)?,
        pids: parsed.get(PIDS_LIMIT)?.map(|limit| if limit <= 0 { -1 } else { limit }),
        block_io: BlockIo { weight: parsed.get(BLKIO_WEIGHT)?, ..BlockIo::default() },
        ..Limits::default()
    })
}

fn memory(parsed: &Parsed) -> Result<Memory> {
    let limit = parsed.get(MEMORY)?;
    let reservation = parsed.get(MEMORY_RESERVATION)?;
    let swap = parsed.get(MEMORY_SWAP)?;
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
    Ok(Memory { limit, swap, reservation, swappiness: None })
}

fn swap(flag: &Flag, text: &str) -> Result<Option<i64>> {
    match text {
        "-1" => Ok(Some(-1)),
        _ => Ok(bytes(flag, text)?.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))),
    }
}

fn cpu(parsed: &Parsed) -> Result<Cpu> {
    let cpus = parsed.get(CPUS)?.map(|cpus| (cpus * PERIOD as f64).round() as i64);
    let period = parsed.get(CPU_PERIOD)?.filter(|period| *period != 0);
    let quota = parsed.get(CPU_QUOTA)?.filter(|quota| *quota != 0);
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
    // The kernel would silently use the nearest valid value. Like runc, refuse it.
    let shares = match parsed.get(CPU_SHARES)? {
        None | Some(0) => None,
        Some(..2) => return Err(Error::new("the minimum allowed cpu-shares is 2")),
        Some(262_145..) => return Err(Error::new("the maximum allowed cpu-shares is 262144")),
        Some(shares) => u64::try_from(shares).ok(),
    };
    Ok(Cpu {
        shares,
        quota: cpus.or(quota.map(|quota| quota.max(-1))),
        period: period.and_then(|period| u64::try_from(period).ok()),
        cpus: parsed.get(CPUSET_CPUS)?,
        mems: parsed.get(CPUSET_MEMS)?,
    })
}

fn block_io_weight(flag: &Flag, text: &str) -> Result<Option<u16>> {
    match whole(flag, text)? {
        None | Some(0) => Ok(None),
        Some(weight @ 10..=1000) => Ok(u16::try_from(weight).ok()),
        Some(_) => Err(Error::new("Range of blkio weight is from 10 to 1000")),
    }
}

/// A number of CPUs that the machine has; 0 means no limit.
fn cpus(flag: &Flag, text: &str, machine: usize) -> Result<Option<f64>> {
    let wrong = || flag.invalid(text, "not a number of CPUs").hint("such as 0.5 or 2");
    let number = decimal::parse(text).ok_or_else(wrong)?;
    if number == 0.0 {
        return Ok(None);
    }
    if !(0.01..=machine as f64).contains(&number) {
        return Err(Error::new(format_args!(
            "Range of CPUs is from 0.01 to {machine}.00, as there are only {machine} CPUs available"
        )));
    }
    Ok(Some(number))
}

/// A list such as `0-2,4`; the machine must have all of them.
fn set(flag: &Flag, text: &str, what: &str, online: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let ranges = ranges(text).ok_or_else(|| {
        Error::new(format_args!("Invalid value {text} for {}", flag.long.replacen('-', " ", 1))).hint("such as 0-2,4")
    })?;
    // If the file cannot be read, the kernel checks the list itself.
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
        let cpus = |text| super::cpus(&CPUS.flag, text, 2);
        assert_eq!(cpus("0.5").unwrap(), Some(0.5));
        assert_eq!(cpus("2").unwrap(), Some(2.0));
        assert_eq!(cpus("0").unwrap(), None);
        for text in ["99", "-1", "0.001"] {
            let error = cpus(text).unwrap_err().to_string();
            assert_eq!(error, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "{text}");
        }
        for text in ["", "x", "inf", "nan", "1e0"] {
            assert!(cpus(text).is_err(), "{text}");
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
