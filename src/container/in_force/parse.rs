//! Parsers for the kernel's files about a process.

use super::{Capabilities, Mounts};
use crate::isolation::capabilities::Set;
use crate::isolation::idmap::Extent;
use crate::sys::proc::{self, mountinfo};
use crate::sys::process::pid_t;
use std::path::Path;
use std::str::FromStr;

/// The numbers after `name:` in a /proc/PID/status.
fn numbers<T: FromStr>(status: &str, name: &str) -> Vec<T> {
    let words = proc::value(status, name).unwrap_or_default().split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// A /proc/PID/status. Ids are those of the reader's user namespace.
pub struct Status {
    /// Its pid in each PID namespace, the outermost first.
    pub pids: Vec<pid_t>,
    /// Its session and process group in its own PID namespace, 0 if their leaders are outside.
    pub session: pid_t,
    pub group: pid_t,
    /// Real, effective, saved and file system uid.
    pub uids: Vec<u32>,
    pub gids: Vec<u32>,
    pub groups: Vec<u32>,
    pub capabilities: Capabilities,
    pub no_new_privileges: bool,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp_mode: u32,
    /// The number of filters; older kernels do not report it.
    pub seccomp_filters: Option<u32>,
    /// The blocked signals: the bits of SigBlk.
    pub blocked_signals: u64,
}

impl Status {
    pub fn parse(text: &str) -> Status {
        let last = |name| numbers(text, name).last().copied().unwrap_or(0);
        Status {
            pids: numbers(text, "NSpid"),
            session: last("NSsid"),
            group: last("NSpgid"),
            uids: numbers(text, "Uid"),
            gids: numbers(text, "Gid"),
            groups: numbers(text, "Groups"),
            capabilities: capabilities(text),
            no_new_privileges: numbers::<u32>(text, "NoNewPrivs") == [1],
            seccomp_mode: numbers(text, "Seccomp").first().copied().unwrap_or(0),
            seccomp_filters: numbers(text, "Seccomp_filters").first().copied(),
            blocked_signals: u64::from_str_radix(proc::value(text, "SigBlk").unwrap_or_default(), 16).unwrap_or(0),
        }
    }
}

fn capabilities(status: &str) -> Capabilities {
    let set = |name| proc::value(status, name).and_then(Set::from_hex).unwrap_or_default();
    Capabilities {
        inheritable: set("CapInh"),
        permitted: set("CapPrm"),
        effective: set("CapEff"),
        bounding: set("CapBnd"),
        ambient: set("CapAmb"),
    }
}

/// A /proc/PID/uid_map.
pub fn id_map(text: &str) -> Vec<Extent> {
    let extent = |numbers: [u64; 3]| {
        let [inside, outside, count] = numbers.map(|number| u32::try_from(number).ok());
        Some(Extent { inside: inside?, outside: outside?, count: count? })
    };
    proc::id_map(text).filter_map(extent).collect()
}

/// The paths below /proc and /sys that a /proc/PID/mountinfo shows as read-only or as covered by another file system.
/// Only the last mount on a mount point counts.
pub fn mounts(mountinfo: &[u8]) -> Mounts {
    let mut found = Mounts::default();
    for mount in mountinfo::mounts(mountinfo) {
        let (place, read_only) = (mount.point(), mount.is_read_only());
        if place == Path::new("/") {
            found.read_only_root = read_only;
        }
        // The container's own cgroups are not files of the host.
        if !["/proc", "/sys"].iter().any(|top| place.starts_with(top)) || place.starts_with("/sys/fs/cgroup") {
            continue;
        }
        let place = place.to_string_lossy().into_owned();
        found.masked.retain(|other| *other != place);
        found.read_only.retain(|other| *other != place);
        match mount.kind {
            b"tmpfs" | b"devtmpfs" => found.masked.push(place),
            _ if read_only => found.read_only.push(place),
            _ => {}
        }
    }
    crate::sort::all(&mut found.masked);
    crate::sort::all(&mut found.read_only);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_found_by_their_whole_name() {
        let status = "Name:\tx\nUid:\t1\t2\t3\t4\nGroups:\t5 6 \nNSpid:\t70\t2\nCapInh:\t0000000000000000\n\
                      CapBnd:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(numbers::<u32>(status, "Uid"), [1, 2, 3, 4]);
        let names = ["Groups", "NSpid", "Seccomp", "Seccomp_filters", "Nothing"];
        let found = names.map(|name| numbers::<i32>(status, name));
        assert_eq!(found, [vec![5, 6], vec![70, 2], vec![2], vec![1], vec![]]);
        let sets = capabilities(status);
        assert_eq!((sets.bounding, sets.ambient), (Set::docker(), Set::default()));
    }

    #[test]
    fn maps_are_read() {
        let extent = |inside, outside, count| Extent { inside, outside, count };
        let map = "         0       1000          1\n         1    1000000      65535\n";
        assert_eq!(id_map(map), [extent(0, 1000, 1), extent(1, 1_000_000, 65535)]);
    }

    #[test]
    fn masked_and_read_only_paths_are_found() {
        let mountinfo = "\
1 0 0:1 / / rw,relatime - overlay overlay ro,lowerdir=x
2 1 0:2 / /proc rw,nosuid - proc proc rw
3 2 0:2 /sys /proc/sys ro,nosuid - proc proc rw
4 2 0:3 /null /proc/kcore rw - devtmpfs devtmpfs rw
5 2 0:4 / /proc/acpi ro - tmpfs tmpfs rw
6 1 0:5 / /sys ro - sysfs sysfs rw
7 6 0:6 / /sys/fs/cgroup ro - tmpfs none rw
17 7 0:6 / /sys/fs/cgroup/pids ro - cgroup none rw
8 1 0:7 / /process ro - tmpfs tmpfs rw
9 2 0:2 /irq /proc/irq ro - proc proc rw
10 9 0:2 /irq /proc/irq rw - proc proc rw
";
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let wanted = Mounts {
            masked: texts(&["/proc/acpi", "/proc/kcore"]),
            read_only: texts(&["/proc/sys", "/sys"]),
            read_only_root: true,
        };
        assert_eq!(mounts(mountinfo.as_bytes()), wanted);
        assert_eq!(mounts(b"nonsense\n\n - \n"), Mounts::default());
    }
}
