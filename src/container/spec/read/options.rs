//! Mount options as in mount(8).

use super::Missing;
use crate::container::document::MountEntry;
use crate::isolation::mounts::Fresh;
use crate::sys::mount::{
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};

/// The source of Docker's /dev/shm.
pub const SHM: &str = "shm";

/// The attributes of cgroups in a container.
pub const CGROUP: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// Options of mount(8) that are attributes of a mount. Options that state the default have the value 0.
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
/// Attributes that exclude each other.
pub const ATIME: u64 = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;
/// Options that mount(8) or runtimes know, but ccrun cannot honor.
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
/// Options that also apply to all mounts below.
const RECURSIVE: [(&str, u64); 5] = [
    ("rro", MOUNT_ATTR_RDONLY),
    ("rnosuid", MOUNT_ATTR_NOSUID),
    ("rnodev", MOUNT_ATTR_NODEV),
    ("rnoexec", MOUNT_ATTR_NOEXEC),
    ("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW),
];

/// A mount's options by kind.
#[derive(Default)]
pub struct Options {
    pub attributes: u64,
    pub below: u64,
    pub bind: bool,
    pub recursive: bool,
    /// Options of the file system itself.
    pub own: Vec<String>,
}

impl Options {
    pub fn read(entry: &MountEntry, place: &str, missing: &mut Missing) -> Options {
        let mut options = Options::default();
        for (at, option) in entry.options.iter().enumerate() {
            let named = |table: &[(&str, u64)]| table.iter().find(|(name, _)| name == option).map(|(_, set)| *set);
            if let Some(set) = named(&ATTRIBUTES) {
                // The last of several contradicting options wins.
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

    pub fn fresh(&self) -> Fresh {
        Fresh { options: self.own.join(","), attributes: self.attributes | self.below }
    }
}

/// The attribute that `rw`, `suid`, `dev` or `exec` clears.
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

/// The options for the attributes of a mount, and of the mounts below it.
pub fn words(attributes: u64, below: u64) -> impl Iterator<Item = String> {
    let set = |table: &'static [(&str, u64)], has: u64| {
        table.iter().filter(move |(_, one)| *one != 0 && has & one == *one).map(|(word, _)| (*word).to_owned())
    };
    set(&ATTRIBUTES, attributes).chain(set(&RECURSIVE, below))
}
