//! What processes use, as /proc tells of each (proc_pid_stat(5), proc_pid_status(5)): for containers that no cgroup
//! counts.
//!
//! A process that has been waited for lives on in its parent's sums, and orphans
//! come to the container's PID 1, so that the times of those that are left are the
//! times of all. Memory is what each has for itself: pages of files, and those that
//! processes share, could not be told apart without power over them.

use super::cgroup::usage::Usage;
use crate::sys::proc::{self, stat::Stat};
use crate::sys::process::pid_t;
use std::time::Duration;

/// The unit of times in /proc, which is the same on every machine.
const TICK: Duration = Duration::from_millis(10);

/// All processes of this moment.
pub struct ProcessTable(Vec<ProcessStat>);

struct ProcessStat {
    pid: pid_t,
    parent: pid_t,
    ticks: u64,
    threads: u64,
}

impl ProcessTable {
    pub fn read() -> ProcessTable {
        ProcessTable(proc::pids().into_iter().filter_map(|pid| ProcessStat::read(pid, &Stat::of(pid)?)).collect())
    }

    /// What `init` and all that descend from it use together; nothing is known of it if it cannot be seen.
    pub fn usage_of(&self, init: pid_t) -> Usage {
        let Some(init) = self.0.iter().find(|process| process.pid == init) else { return Usage::default() };
        let mut found = vec![init];
        let mut at = 0;
        while let Some(process) = found.get(at) {
            let pid = process.pid;
            found.extend(self.0.iter().filter(|child| child.parent == pid));
            at += 1;
        }
        let ticks: u64 = found.iter().map(|process| process.ticks).sum();
        Usage {
            cpu: Some(TICK * u32::try_from(ticks).unwrap_or(u32::MAX)),
            memory: Some(found.iter().map(|process| own_memory(process.pid)).sum()),
            pids: Some(found.iter().map(|process| process.threads).sum()),
            ..Usage::default()
        }
    }
}

impl ProcessStat {
    fn read(pid: pid_t, stat: &Stat) -> Option<ProcessStat> {
        // Its own time in user and kernel mode, and that of its children who are gone.
        let ticks = (14..=17).map(|field| stat.number::<u64>(field)).sum::<Option<u64>>()?;
        Some(ProcessStat { pid, parent: stat.number(4)?, ticks, threads: stat.number(20)? })
    }
}

/// Bytes of anonymous memory.
fn own_memory(pid: pid_t) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    proc::bytes(&status, "RssAnon").unwrap_or(0)
}

/// All memory of this machine.
pub fn memory_of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    proc::bytes(&text, "MemTotal")
}

/// Bytes that the network namespace of a process has received and sent, but for its own loopback; none are known
/// in that of the host, which is everybody's.
pub fn network_of(pid: pid_t) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let path = format!("/proc/{pid}/net/dev");
    // Each namespace has files of its own.
    let file = |path: &str| std::fs::metadata(path).map(|meta| meta.ino()).ok();
    if file(&path)? == file("/proc/self/net/dev")? {
        return None;
    }
    Some(sum_of_interfaces(&std::fs::read_to_string(path).ok()?))
}

/// Two lines of headings, then for each interface eight numbers of what came and eight of what went.
fn sum_of_interfaces(text: &str) -> (u64, u64) {
    let rows = text.lines().filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        if name.trim() == "lo" { None } else { Some((*numbers.first()?, *numbers.get(8)?)) }
    });
    rows.fold((0, 0), |(received, sent), row| (received + row.0, sent + row.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_its_fields() {
        let read = |stat: &str| ProcessStat::read(7, &Stat::from(stat.as_bytes()));
        let process = read("7 (a) S 1 (b) S 3 7 7 0 -1 0 0 0 0 0 11 12 13 14 20 0 5 0 99").unwrap();
        assert_eq!((process.parent, process.ticks, process.threads), (3, 50, 5));
        for damaged in ["", "7 (a", "7 (a) S 3", "7 (a) S x 7 7 0 -1 0 0 0 0 0 1 1 1 1 20 0 5 0"] {
            assert!(read(damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn the_tree_is_summed() {
        let process = |pid, parent, ticks| ProcessStat { pid, parent, ticks, threads: 1 };
        let all = ProcessTable(vec![process(5, 4, 1), process(4, 3, 10), process(3, 1, 100), process(9, 1, 1000)]);
        let usage = all.usage_of(3);
        assert_eq!((usage.cpu, usage.pids), (Some(TICK * 111), Some(3)));
        assert_eq!(all.usage_of(8), Usage::default());
    }

    #[test]
    fn interfaces_are_summed_without_the_loopback() {
        let text = "Inter-|   Receive   |  Transmit\n face |bytes packets|bytes\n\
                    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n eth0: 10 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n\
                    wlan0:32 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n";
        assert_eq!(sum_of_interfaces(text), (42, 12));
    }
}
