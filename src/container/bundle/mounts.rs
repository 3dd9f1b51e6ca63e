//! What a bundle mounts: the kernel's own file systems, which ccrun makes first, and then the rest in its order.

use super::Missing;
use crate::container::document::MountEntry;
use crate::container::spec::{Direct, Kernel, Mount, Source, Tmpfs};
use crate::isolation::devices::Dev;
use crate::isolation::mounts::Fresh;
use crate::sys::mount::{
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};
use std::path::Path;

/// Options of mount(8) that are attributes of a mount. Those that only say what is so anyway have none.
const ATTRIBUTES: [(&str, u64); 22] = [
    ("ro", MOUNT_ATTR_RDONLY),
    ("nosuid", MOUNT_ATTR_NOSUID),
    ("nodev", MOUNT_ATTR_NODEV),
    ("noexec", MOUNT_ATTR_NOEXEC),
    ("noatime", MOUNT_ATTR_NOATIME),
    ("nodiratime", MOUNT_ATTR_NODIRATIME),
    ("strictatime", MOUNT_ATTR_STRICTATIME),
    ("nosymfollow", MOUNT_ATTR_NOSYMFOLLOW),
    ("defaults", 0),
    ("rw", 0),
    ("suid", 0),
    ("dev", 0),
    ("exec", 0),
    ("atime", 0),
    ("diratime", 0),
    ("relatime", 0),
    ("nostrictatime", 0),
    ("symfollow", 0),
    ("async", 0),
    ("private", 0),
    ("rprivate", 0),
    ("silent", 0),
];
const ATIME: u64 = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;
/// What mount(8) and runtimes know, and ccrun cannot do.
const REFUSED: [&str; 24] = [
    "shared",
    "rshared",
    "slave",
    "rslave",
    "unbindable",
    "runbindable",
    "remount",
    "tmpcopyup",
    "copy-symlink",
    "idmap",
    "ridmap",
    "sync",
    "dirsync",
    "mand",
    "nomand",
    "lazytime",
    "nolazytime",
    "norelatime",
    "iversion",
    "noiversion",
    "loud",
    "rrw",
    "move",
    "rmove",
];
/// The attributes of all mounts below, too.
const RECURSIVE: [(&str, u64); 5] = [
    ("rro", MOUNT_ATTR_RDONLY),
    ("rnosuid", MOUNT_ATTR_NOSUID),
    ("rnodev", MOUNT_ATTR_NODEV),
    ("rnoexec", MOUNT_ATTR_NOEXEC),
    ("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW),
];

/// A mount's options, sorted.
#[derive(Default)]
struct Options {
    attributes: u64,
    below: u64,
    bind: bool,
    recursive: bool,
    /// What the file system itself is told.
    own: Vec<String>,
}

impl Options {
    fn read(entry: &MountEntry, place: &str, missing: &mut Missing) -> Options {
        let mut options = Options::default();
        for (at, option) in entry.options.iter().enumerate() {
            let named = |table: &[(&str, u64)]| table.iter().find(|(name, _)| name == option).map(|(_, set)| *set);
            if let Some(set) = named(&ATTRIBUTES) {
                // The last word counts where two contradict each other.
                let cleared = if set & ATIME != 0 || option.ends_with("atime") { ATIME } else { cleared_by(option) };
                options.attributes = options.attributes & !cleared | set;
            } else if let Some(set) = named(&RECURSIVE) {
                options.below |= set;
            } else if option == "bind" || option == "rbind" {
                (options.bind, options.recursive) = (true, option == "rbind");
            } else if REFUSED.contains(&option.as_str()) {
                missing.push(format_args!("{place}.options[{at}]"), format_args!("'{option}'"));
            } else {
                options.own.push(option.clone());
            }
        }
        options
    }

    fn fresh(&self) -> Fresh {
        Fresh { options: self.own.join(","), attributes: self.attributes | self.below }
    }
}

/// What `rw`, `suid`, `dev` and `exec` take back.
fn cleared_by(option: &str) -> u64 {
    match option {
        "rw" => MOUNT_ATTR_RDONLY,
        "suid" => MOUNT_ATTR_NOSUID,
        "dev" => MOUNT_ATTR_NODEV,
        "exec" => MOUNT_ATTR_NOEXEC,
        "symfollow" => MOUNT_ATTR_NOSYMFOLLOW,
        _ => 0,
    }
}

/// The kernel's file systems at their places.
const KERNEL: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("mqueue", "/dev/mqueue"),
    ("cgroup", "/sys/fs/cgroup"),
];

/// The place of sysfs among them.
const SYS: usize = 1;

/// The attributes of cgroups in a container.
const CGROUP: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// The entry's place among [`KERNEL`].
fn of_kernel(entry: &MountEntry) -> Option<usize> {
    let kind = match entry.kind.as_deref() {
        Some("cgroup2") => "cgroup",
        kind => kind.unwrap_or_default(),
    };
    KERNEL.iter().position(|known| *known == (kind, entry.destination.0.to_str().unwrap_or_default()))
}

/// `dir`: where relative sources begin.
pub fn translate(entries: &[MountEntry], dir: &Path, own_network: bool, missing: &mut Missing) -> (Kernel, Vec<Mount>) {
    let mut kernel: [Option<Fresh>; KERNEL.len()] = Default::default();
    let mut mounts = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let place = format!("mounts[{at}]");
        let options = Options::read(entry, &place, missing);
        entry
            .unread
            .keys()
            .for_each(|name| missing.push(format_args!("{place}.{name}"), "ccrun does not map ids here"));
        let Some(number) = of_kernel(entry) else {
            mounts.extend(other(entry, options, &place, dir, missing));
            continue;
        };
        missing.refuse(options.bind, &place, format_args!("a bind of type '{}'", KERNEL[number].0));
        refuse_covered(entries, at, missing);
        let made = options.fresh();
        match KERNEL[number].0 {
            "sysfs" => missing.refuse(!own_network, &place, "sysfs without a network namespace of the container's own"),
            "cgroup" => {
                let is_ours = made == Fresh { options: String::new(), attributes: CGROUP };
                let why = "cgroups are shown with the options ro, nosuid, noexec and nodev alone";
                missing.refuse(!is_ours, &place, why);
                missing.refuse(kernel[SYS].is_none(), &place, "/sys/fs/cgroup without a sysfs on /sys before it");
            }
            _ => {}
        }
        kernel[number] = Some(made);
    }
    let [proc, sys, dev, pts, mqueue, cgroup] = kernel;
    let mut needed = |number: usize, made: Option<Fresh>| {
        let (kind, place) = KERNEL[number];
        missing.refuse(
            made.is_none(),
            "mounts",
            format_args!("no {kind} on {place}, without which ccrun starts nothing"),
        );
        made.unwrap_or_default()
    };
    let (proc, top, pts) = (needed(0, proc), needed(2, dev), needed(3, pts));
    (Kernel { proc, sys, dev: Dev { top, pts, shm: None, mqueue }, cgroup: cgroup.is_some() }, mounts)
}

/// The kernel's file systems come first here, whatever their place in the list: where that would change what covers
/// what, the entry is refused.
fn refuse_covered(entries: &[MountEntry], at: usize, missing: &mut Missing) {
    let ours = &entries[at].destination.0;
    for (before, entry) in entries[..at].iter().enumerate() {
        let other = &entry.destination.0;
        let covers = other.starts_with(ours) || of_kernel(entry).is_none() && ours.starts_with(other);
        missing.refuse(
            covers,
            format_args!("mounts[{at}]"),
            format_args!("would come before mounts[{before}], as ccrun makes the kernel's file systems first"),
        );
    }
}

/// Binds and tmpfs.
fn other(entry: &MountEntry, options: Options, place: &str, dir: &Path, missing: &mut Missing) -> Option<Mount> {
    let target = entry.destination.0.clone();
    let kind = entry.kind.as_deref().unwrap_or_default();
    let Options { attributes, below, bind, recursive, own } = options;
    let source = match kind {
        _ if bind || kind == "bind" => {
            if let Some(option) = own.first() {
                missing.push(format_args!("{place}.options"), format_args!("'{option}'"));
            }
            missing.refuse(attributes & ATIME != 0, format_args!("{place}.options"), "times of access of a bind");
            let Some(source) = &entry.source else {
                missing.push(format_args!("{place}.source"), "a bind needs one");
                return None;
            };
            let direct = Direct { path: dir.join(source), recursive, attributes, attributes_below: below };
            Source::Direct(direct)
        }
        "tmpfs" => {
            let set = attributes | below;
            let has = |attribute| set & attribute != 0;
            Source::Tmpfs(Tmpfs {
                options: own.join(","),
                exec: !has(MOUNT_ATTR_NOEXEC),
                suid: !has(MOUNT_ATTR_NOSUID),
                dev: !has(MOUNT_ATTR_NODEV),
                attributes: set & (ATIME | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW),
            })
        }
        _ => {
            let what = format!("'{kind}' on {}", target.display());
            missing.push(format_args!("{place}.type"), what);
            return None;
        }
    };
    let read_only = matches!(source, Source::Tmpfs(_)) && (attributes | below) & MOUNT_ATTR_RDONLY != 0;
    Some(Mount { source, target, read_only, copy: false })
}
