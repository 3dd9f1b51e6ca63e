//! The tightest limits of several groups: what a group must have that takes their processes over.

use super::files::{read, write};
use super::limits::Controller;
use crate::error::Result;
use std::path::{Path, PathBuf};

/// How a file writes a limit.
#[derive(Clone, Copy)]
enum Form {
    /// A number; `max` or -1 for none.
    Number,
    /// A list of numbers and ranges; empty for all.
    List,
    /// A line for each device with one number, or with several `KEY=NUMBER`.
    Devices,
}

const V1: &[(Controller, &str, Form)] = &[
    // In this order: memory and swap together may never be less than memory.
    (Controller::Memory, "memory.limit_in_bytes", Form::Number),
    (Controller::Memory, "memory.memsw.limit_in_bytes", Form::Number),
    (Controller::Pids, "pids.max", Form::Number),
    (Controller::Cpuset, "cpuset.cpus", Form::List),
    (Controller::Cpuset, "cpuset.mems", Form::List),
    (Controller::BlockIo, "blkio.throttle.read_bps_device", Form::Devices),
    (Controller::BlockIo, "blkio.throttle.write_bps_device", Form::Devices),
    (Controller::BlockIo, "blkio.throttle.read_iops_device", Form::Devices),
    (Controller::BlockIo, "blkio.throttle.write_iops_device", Form::Devices),
];

const V2: &[(Controller, &str, Form)] = &[
    (Controller::Memory, "memory.max", Form::Number),
    (Controller::Memory, "memory.high", Form::Number),
    (Controller::Memory, "memory.swap.max", Form::Number),
    (Controller::Pids, "pids.max", Form::Number),
    (Controller::Cpuset, "cpuset.cpus", Form::List),
    (Controller::Cpuset, "cpuset.mems", Form::List),
    (Controller::BlockIo, "io.max", Form::Devices),
];

/// Gives `dir` the tightest limits that it and `groups` have; returns those that were tightened, as file and value.
pub fn take_over(dir: &Path, is_v2: bool, controllers: &[Controller], groups: &[PathBuf]) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let files = if is_v2 { V2 } else { V1 };
    for (_, file, form) in files.iter().filter(|(controller, ..)| controllers.contains(controller)) {
        let Ok(own) = read(&dir.join(file)) else { continue };
        let others: Vec<String> = groups.iter().filter_map(|group| read(&group.join(file)).ok()).collect();
        for value in form.tighter(&own, &others) {
            write(dir, file, &value)?;
            done.push(format!("{file} {value}"));
        }
    }
    if controllers.contains(&Controller::Cpu) {
        let own = Share::read(dir, is_v2);
        let tightest = groups.iter().filter_map(|group| Share::read(group, is_v2)).min();
        if let Some(share) = tightest.filter(|share| own.as_ref().is_none_or(|own| share < own)) {
            share.write(dir, is_v2)?;
            done.push(format!("cpu {}/{}", share.quota, share.period));
        }
    }
    Ok(done)
}

impl Form {
    /// What is to be written so that `own` is as tight as `others`.
    fn tighter(self, own: &str, others: &[String]) -> Vec<String> {
        match self {
            Form::Number => {
                let tightest = others.iter().filter_map(|text| number(text)).min();
                let own = number(own).unwrap_or(u64::MAX);
                tightest.filter(|limit| *limit < own).map(|limit| limit.to_string()).into_iter().collect()
            }
            Form::List => {
                // What no two groups have in common cannot be had.
                let narrow = |all: Option<Vec<u32>>, text: &str| match (all, list(text)) {
                    (Some(mut all), Some(one)) if all.iter().any(|number| one.contains(number)) => {
                        all.retain(|number| one.contains(number));
                        Some(all)
                    }
                    (all, one) => all.or(one),
                };
                let before = list(own);
                let after = others.iter().fold(before.clone(), |all, text| narrow(all, text));
                let words = |all: Vec<u32>| all.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                after.filter(|after| before.as_ref() != Some(after)).map(words).into_iter().collect()
            }
            Form::Devices => {
                let before = devices(own);
                let mut tightest: Vec<Limit> = Vec::new();
                for (name, limit) in others.iter().flat_map(|text| devices(text)) {
                    match tightest.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, least)) => *least = limit.min(*least),
                        None => tightest.push((name, limit)),
                    }
                }
                let own = |name| before.iter().find(|(known, _)| *known == name).map(|(_, limit)| *limit);
                tightest.retain(|(name, limit)| own(*name).is_none_or(|own| *limit < own));
                crate::sort::all(&mut tightest);
                let line = |((device, key), limit): &Limit| match *key {
                    "" => format!("{device} {limit}"),
                    key => format!("{device} {key}={limit}"),
                };
                tightest.iter().map(line).collect()
            }
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The numbers of a list such as `0-2,4`, in ascending order.
fn list(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    crate::sort::all(&mut all);
    all.dedup();
    Some(all).filter(|all| !all.is_empty())
}

/// A device, a key, and the number behind it.
type Limit<'a> = ((&'a str, &'a str), u64);

fn devices(text: &str) -> Vec<Limit<'_>> {
    let limits = text.lines().flat_map(|line| {
        let mut words = line.split_whitespace();
        let device = words.next().unwrap_or_default();
        words.filter_map(move |word| {
            let (key, value) = word.split_once('=').unwrap_or(("", word));
            Some(((device, key), number(value)?))
        })
    });
    limits.collect()
}

/// How much CPU time a group may take in a period, both in microseconds.
struct Share {
    quota: u64,
    period: u64,
}

impl Share {
    /// None without a limit.
    fn read(dir: &Path, is_v2: bool) -> Option<Share> {
        if is_v2 {
            let text = read(&dir.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            return Some(Share { quota: number(quota)?, period: number(period)? });
        }
        let field = |file: &str| number(&read(&dir.join(file)).ok()?);
        Some(Share { quota: field("cpu.cfs_quota_us")?, period: field("cpu.cfs_period_us")? })
    }

    fn write(&self, dir: &Path, is_v2: bool) -> Result<()> {
        if is_v2 {
            return write(dir, "cpu.max", format_args!("{} {}", self.quota, self.period));
        }
        write(dir, "cpu.cfs_period_us", self.period)?;
        write(dir, "cpu.cfs_quota_us", self.quota)
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Share) -> std::cmp::Ordering {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        product(self.quota, other.period).cmp(&product(other.quota, self.period))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Share) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Share) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Share {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tighter(form: Form, own: &str, others: &[&str]) -> Vec<String> {
        form.tighter(own, &others.iter().map(|text| format!("{text}\n")).collect::<Vec<_>>())
    }

    #[test]
    fn the_least_number_counts() {
        assert_eq!(tighter(Form::Number, "max", &["max", "20", "30"]), ["20"]);
        assert_eq!(tighter(Form::Number, "9223372036854771712", &["67108864"]), ["67108864"]);
        assert!(tighter(Form::Number, "10", &["20"]).is_empty());
        assert!(tighter(Form::Number, "max", &["max", "-1"]).is_empty());
        assert_eq!(tighter(Form::Number, "max", &["0"]), ["0"]);
    }

    #[test]
    fn only_what_all_have_counts() {
        assert_eq!(tighter(Form::List, "0-7", &["0-3", "2-5,7"]), ["2,3"]);
        assert_eq!(tighter(Form::List, "", &["1"]), ["1"]);
        assert!(tighter(Form::List, "0-3", &["", "0-3"]).is_empty());
        assert_eq!(tighter(Form::List, "0-3", &["0", "1"]), ["0"]);
    }

    #[test]
    fn each_device_has_limits_of_its_own() {
        assert_eq!(tighter(Form::Devices, "", &["8:0 100\n8:16 5", "8:0 50"]), ["8:0 50", "8:16 5"]);
        let own = "8:0 rbps=10 wbps=max riops=max wiops=max";
        let other = "8:0 rbps=20 wbps=7 riops=max wiops=max";
        assert_eq!(tighter(Form::Devices, own, &[other]), ["8:0 wbps=7"]);
    }

    #[test]
    fn shares_of_time_are_compared_whatever_the_period() {
        let share = |quota, period| Share { quota, period };
        assert!(share(50_000, 100_000) < share(60_000, 100_000));
        assert!(share(50_000, 100_000) > share(5_000, 20_000));
        assert!(share(50_000, 100_000) == share(25_000, 50_000));
    }
}
