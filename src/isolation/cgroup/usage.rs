//! What the processes of a group have used, as its files tell.

use super::Cgroup;
use crate::decimal;
use crate::sys::fs;
use std::time::Duration;

/// What could be read; `None` where nobody counts it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu: Option<Duration>,
    /// Bytes in use, without the page cache that would be given back first, as Docker counts them.
    pub memory: Option<u64>,
    pub memory_peak: Option<u64>,
    /// `None` for no limit, too.
    pub memory_limit: Option<u64>,
    pub pids: Option<u64>,
    pub pids_peak: Option<u64>,
    pub pids_limit: Option<u64>,
    /// Bytes of block devices.
    pub read: Option<u64>,
    pub written: Option<u64>,
    pub pressure: Pressure,
}

/// How much of the last ten seconds some process waited for it, in percent (PSI; only v2 tells).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub io: Option<f64>,
}

impl Cgroup {
    pub fn usage(&self) -> Usage {
        let number = |file: &str| self.text(file)?.trim().parse::<u64>().ok();
        let first = |files: [&str; 2]| files.into_iter().find_map(number);
        let cpu = self.text("cpu.stat").and_then(|text| number_of("usage_usec", &text)).map(Duration::from_micros);
        let cpu = cpu.or_else(|| number("cpuacct.usage").map(Duration::from_nanos));
        let memory = first(["memory.current", "memory.usage_in_bytes"]).map(|bytes| {
            let text = self.text("memory.stat").unwrap_or_default();
            let cache = ["total_inactive_file", "inactive_file"].into_iter().find_map(|name| number_of(name, &text));
            bytes.saturating_sub(cache.unwrap_or(0))
        });
        let (read, written) = self.block_io();
        Usage {
            cpu,
            memory,
            memory_peak: first(["memory.peak", "memory.max_usage_in_bytes"]),
            memory_limit: first(["memory.max", "memory.limit_in_bytes"]).filter(|limit| *limit < UNLIMITED),
            pids: number("pids.current"),
            pids_peak: number("pids.peak"),
            pids_limit: number("pids.max"),
            read,
            written,
            pressure: Pressure {
                cpu: self.pressure("cpu.pressure"),
                memory: self.pressure("memory.pressure"),
                io: self.pressure("io.pressure"),
            },
        }
    }

    /// How many processes of the group the kernel has killed because it was full.
    pub fn oom_kills(&self) -> u64 {
        let events = self.text("memory.events").or_else(|| self.text("memory.oom_control")).unwrap_or_default();
        number_of("oom_kill", &events).unwrap_or(0)
    }

    /// The first of the group's directories that has the file.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        self.paths().find_map(|dir| fs::read_text(dir.join(file)).ok())
    }

    fn pressure(&self, file: &str) -> Option<f64> {
        decimal::parse(self.text(file)?.split_once("some avg10=")?.1.split(' ').next()?)
    }

    /// Bytes read and written, of all devices together.
    fn block_io(&self) -> (Option<u64>, Option<u64>) {
        if let Some(text) = self.text("io.stat") {
            return (Some(sum_of(&text, "rbytes=")), Some(sum_of(&text, "wbytes=")));
        }
        let Some(text) = self.text("blkio.throttle.io_service_bytes") else { return (None, None) };
        (Some(sum_of(&text, "Read ")), Some(sum_of(&text, "Write ")))
    }
}

/// v1 writes "no limit" as the greatest number of whole pages.
pub const UNLIMITED: u64 = 1 << 62;

/// The number behind `name`, of lines that each have both.
fn number_of(name: &str, text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The sum of the numbers that stand behind `key`.
fn sum_of(text: &str, key: &str) -> u64 {
    let digits = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<u64>().ok());
    text.split(key).skip(1).filter_map(digits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_is_summed_over_devices() {
        let v2 = "8:0 rbytes=10 wbytes=7 rios=1 wios=1 dbytes=0 dios=0\n259:0 rbytes=32 wbytes=0 rios=1 wios=0\n";
        assert_eq!((sum_of(v2, "rbytes="), sum_of(v2, "wbytes=")), (42, 7));
        let v1 = "8:0 Read 10\n8:0 Write 7\n8:0 Total 17\n8:16 Read 32\nTotal 49\n";
        assert_eq!((sum_of(v1, "Read "), sum_of(v1, "Write ")), (42, 7));
    }

    #[test]
    fn tables_are_read() {
        assert_eq!(number_of("oom_kill", "low 0\noom_kill 3\n"), Some(3));
        assert_eq!(number_of("oom_kill", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), Some(1));
    }
}
