//! Parsers for the kernel's files about processes (proc(5)). They borrow from the text, and skip damaged lines.

pub mod mountinfo;
pub mod stat;

use super::fs;
use libc::pid_t;

/// The pids of all visible processes.
pub fn pids() -> Vec<pid_t> {
    let entries = fs::entries("/proc").unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.to_str().ok()?.parse().ok()).collect()
}

/// The value after `name:` in a file like /proc/PID/status or /proc/meminfo.
pub fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The value after `name:`, a number of KiB, in bytes.
pub fn bytes(text: &str, name: &str) -> Option<u64> {
    value(text, name)?.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The lines of a /proc/PID/uid_map or gid_map: the first id inside, the first id outside, and the number of ids
/// (user_namespaces(7)).
pub fn id_map(text: &str) -> impl Iterator<Item = [u64; 3]> {
    text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let status = "Name:\tx\nSeccomp_filters:\t1\nSeccomp:\t2\nRssAnon:\t     12 kB\nVmPeak:\t x kB\nGroups:\t \n";
        assert_eq!((value(status, "Seccomp"), value(status, "Groups")), (Some("2"), Some("")));
        assert_eq!((value(status, "Sec"), value(status, "")), (None, None));
        let sizes = ["RssAnon", "VmPeak", "VmSwap"].map(|name| bytes(status, name));
        assert_eq!(sizes, [Some(12 << 10), None, None]);
    }

    #[test]
    fn maps_are_read_line_by_line() {
        let map = "         0       1000          1\n1 100000\n\n x 1 1\n         1    1000000 4294967295\n";
        assert_eq!(id_map(map).collect::<Vec<_>>(), [[0, 1000, 1], [1, 1_000_000, u32::MAX.into()]]);
    }

    #[test]
    fn this_process_is_listed() {
        assert!(pids().contains(&crate::sys::process::getpid()));
    }
}
