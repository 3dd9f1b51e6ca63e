//! The kernel's files about a process, taken apart.

use super::{Capabilities, Mounts};
use crate::isolation::capabilities::Set;
use crate::isolation::idmap::Extent;
use std::str::FromStr;

/// The words behind `name:` in a /proc/PID/status.
pub fn line<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
}

/// The numbers behind `name:` in a /proc/PID/status.
pub fn numbers<T: FromStr>(status: &str, name: &str) -> Vec<T> {
    line(status, name).split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

pub fn capabilities(status: &str) -> Capabilities {
    let set = |name| Set::from_hex(line(status, name)).unwrap_or_default();
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
    let extent = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [inside, outside, count] => Some(Extent { inside, outside, count }),
            _ => None,
        }
    };
    text.lines().filter_map(extent).collect()
}

/// When the process of a /proc/PID/stat was started: field 22, counted from behind the name, which may hold anything.
pub fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// What a /proc/PID/mountinfo says of /proc and /sys: of the kernel's own files what is read-only, and what something
/// else lies over. Only the last mount on a place is seen.
pub fn mounts(mountinfo: &str) -> Mounts {
    let mut found = Mounts::default();
    for line in mountinfo.lines() {
        let (Some((ours, theirs)), mut fields) = (line.split_once(" - "), line.split(' ').skip(4)) else { continue };
        let (Some(place), Some(options)) = (fields.next(), fields.next()) else { continue };
        let read_only = |options: &str| options.split(',').any(|option| option == "ro");
        let options_of_fs = theirs.split(' ').nth(2).unwrap_or_default();
        let read_only = read_only(options) || read_only(options_of_fs);
        let kind = theirs.split(' ').next().unwrap_or_default();
        if place == "/" {
            found.read_only_root = read_only;
        }
        if ours.is_empty() || !["/proc", "/sys"].iter().any(|top| std::path::Path::new(place).starts_with(top)) {
            continue;
        }
        // The container's own groups: nothing of the host's is shut there.
        if std::path::Path::new(place).starts_with("/sys/fs/cgroup") {
            continue;
        }
        found.masked.retain(|other| other != place);
        found.read_only.retain(|other| other != place);
        match kind {
            "tmpfs" | "devtmpfs" => found.masked.push(place.to_owned()),
            _ if read_only => found.read_only.push(place.to_owned()),
            _ => {}
        }
    }
    found.masked.sort();
    found.read_only.sort();
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
    fn maps_and_times_are_read() {
        let extent = |inside, outside, count| Extent { inside, outside, count };
        let map = "         0       1000          1\n         1    1000000      65535\n";
        assert_eq!(id_map(map), [extent(0, 1000, 1), extent(1, 1_000_000, 65535)]);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 1 0 424242 99";
        assert_eq!((start_time(stat), start_time("7 (x)")), (Some(424_242), None));
    }

    #[test]
    fn what_is_shut_is_told_from_what_is_mounted() {
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
        assert_eq!(mounts(mountinfo), wanted);
        assert_eq!(mounts("nonsense\n\n - \n"), Mounts::default());
    }
}
