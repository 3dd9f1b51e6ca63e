//! `--memory`, `--cpus` and `--pids-limit`: Docker's units and checks.

use super::parse::Parsed;
use crate::error::{Error, Result};
use crate::isolation::cgroup::{Limits, PERIOD};

const LEAST_MEMORY: u64 = 6 << 20;

pub fn read(parsed: &Parsed) -> Result<Limits> {
    let machine = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Limits {
        memory: parsed.text("memory")?.map(memory).transpose()?.filter(|bytes| *bytes > 0),
        cpu_quota: parsed.text("cpus")?.map(|text| cpus(text, machine())).transpose()?.flatten(),
        pids: parsed.text("pids-limit")?.map(pids).transpose()?.flatten(),
    })
}

fn memory(text: &str) -> Result<u64> {
    let bytes = size(text).ok_or_else(|| {
        Error::new(format!("invalid argument \"{text}\" for \"-m, --memory\" flag: invalid size: '{text}'"))
            .hint("a number and b, k, m or g, such as 64m")
    })?;
    if bytes != 0 && bytes < LEAST_MEMORY {
        return Err(Error::new("Minimum memory limit allowed is 6MB"));
    }
    Ok(bytes)
}

/// Bytes of `64m`, `1.5g`, `1073741824`, `10KiB`: units of 1024, in either case (docker/go-units, RAMInBytes).
pub fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number * (1u64 << shift) as f64;
    (bytes < i64::MAX as f64).then_some(bytes as u64)
}

/// The quota for each period; 0 means no limit.
fn cpus(text: &str, machine: usize) -> Result<Option<u64>> {
    let wrong = || {
        Error::new(format!("invalid argument \"{text}\" for \"--cpus\" flag: not a number of CPUs"))
            .hint("such as 0.5 or 2")
    };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    let number: f64 = text.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    if number == 0.0 {
        return Ok(None);
    }
    if !(0.01..=machine as f64).contains(&number) {
        return Err(Error::new(format!(
            "Range of CPUs is from 0.01 to {machine}.00, as there are only {machine} CPUs available"
        )));
    }
    Ok(Some((number * PERIOD as f64).round() as u64))
}

/// 0 and -1 mean no limit.
fn pids(text: &str) -> Result<Option<u64>> {
    let number: i64 = text.parse().map_err(|_| {
        Error::new(format!("invalid argument \"{text}\" for \"--pids-limit\" flag: not a whole number"))
    })?;
    match number {
        -1 | 0 => Ok(None),
        1.. => Ok(Some(number as u64)),
        _ => Err(Error::new(format!("invalid argument \"{text}\" for \"--pids-limit\" flag: below -1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in
            [("64m", 64 << 20), ("64MiB", 64 << 20), ("1.5g", 3 << 29), ("7000000", 7_000_000), ("6 mb", 6 << 20)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "1x", "-1m", "1mm", "1e9", "inf", "99999999999p"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(memory("5m").unwrap_err().to_string(), "Minimum memory limit allowed is 6MB");
    }

    #[test]
    fn cpus_are_within_the_machine() {
        assert_eq!(cpus("0.5", 2).unwrap(), Some(50_000));
        assert_eq!(cpus("2", 2).unwrap(), Some(200_000));
        assert_eq!(cpus("0", 2).unwrap(), None);
        for text in ["99", "-1", "0.001"] {
            let error = cpus(text, 2).unwrap_err().to_string();
            assert_eq!(error, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "{text}");
        }
        for text in ["", "x", "inf", "nan", "1e0"] {
            assert!(cpus(text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn pids_below_one_mean_no_limit() {
        assert_eq!((pids("20").unwrap(), pids("-1").unwrap(), pids("0").unwrap()), (Some(20), None, None));
        assert!(pids("-2").is_err() && pids("x").is_err());
    }
}
