//! Translates `mounts`: the kernel's own file systems, which ccrun mounts first, and then the others in their order.

use super::Missing;
use super::options::{ATIME, CGROUP, Options, SHM};
use crate::container::document::{Extension, Ids, MountEntry, MountKind};
use crate::container::spec::{Direct, Kernel, Mount, Source, Tmpfs};
use crate::isolation::devices::{self, Dev, Harmless};
use crate::isolation::mounts::Fresh;
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
};
use std::path::{Path, PathBuf};

/// The types and mount points of the kernel's file systems.
const KERNEL: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("mqueue", "/dev/mqueue"),
    ("cgroup", "/sys/fs/cgroup"),
];

/// The index of sysfs in [`KERNEL`].
const SYS: usize = 1;

/// The entry's index in [`KERNEL`].
fn of_kernel(entry: &MountEntry) -> Option<usize> {
    let kind = match entry.kind.as_deref() {
        Some("cgroup2") => "cgroup",
        kind => kind.unwrap_or_default(),
    };
    KERNEL.iter().position(|known| *known == (kind, entry.destination.0.to_str().unwrap_or_default()))
}

/// Translates all entries. Relative sources start at `dir`.
pub fn translate(
    entries: &[MountEntry],
    ccrun: &Extension,
    dir: &Path,
    own_network: bool,
    missing: &mut Missing,
) -> (Kernel, Vec<Mount>) {
    let is_ours = ccrun.ids == Some(Ids::Store);
    let mut shm = None;
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
            // Docker's /dev/shm, which ccrun mounts with the rest of /dev.
            if is_ours && entry.source.as_ref().is_some_and(|source| source == SHM) {
                shm = Some(options.fresh());
            } else {
                mounts.extend(other(entry, ccrun, options, &place, dir, missing));
            }
            continue;
        };
        missing.refuse(options.bind, &place, format_args!("a bind of type '{}'", KERNEL[number].0));
        refuse_covered(entries, at, missing);
        let made = options.fresh();
        match KERNEL[number].0 {
            "sysfs" => missing.refuse(
                !own_network && !is_ours,
                &place,
                "sysfs needs a network namespace of the container's own",
            ),
            "cgroup" => {
                let is_ours = made == Fresh { options: String::new(), attributes: CGROUP };
                let why = "cgroups can only have the options ro, nosuid, noexec and nodev";
                missing.refuse(!is_ours, &place, why);
                missing.refuse(kernel[SYS].is_none(), &place, "/sys/fs/cgroup needs a sysfs on /sys before it");
            }
            _ => {}
        }
        kernel[number] = Some(made);
    }
    let [proc, sys, dev, pts, mqueue, cgroup] = kernel;
    let mut needed = |number: usize, made: Option<Fresh>| {
        let (kind, place) = KERNEL[number];
        missing.refuse(made.is_none(), "mounts", format_args!("no {kind} on {place}, which ccrun needs"));
        made.unwrap_or_default()
    };
    let (proc, top, pts) = (needed(0, proc), needed(2, dev), needed(3, pts));
    (Kernel { proc, sys, dev: Dev { top, pts, shm, mqueue }, cgroup: cgroup.is_some() }, mounts)
}

/// Refuses an entry of the kernel's file systems that covers an earlier entry, or that an earlier one covers: ccrun mounts
/// the kernel's file systems first, which would change that.
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

/// Binds, volumes and tmpfs.
fn other(
    entry: &MountEntry,
    ccrun: &Extension,
    options: Options,
    place: &str,
    dir: &Path,
    missing: &mut Missing,
) -> Option<Mount> {
    let destination = entry.destination.0.to_str().unwrap_or_default();
    if let Some(known) = ccrun.mounts.get(destination) {
        let path = PathBuf::from(entry.source.clone().unwrap_or_default());
        let source = match known.kind {
            MountKind::Mapped => Source::Bind(path),
            MountKind::Volume => known.volume.clone().map_or(Source::Anonymous, Source::Volume),
            MountKind::Device => match devices::kind_of(&path) {
                Some(Harmless::Known(device)) => Source::Device(device),
                _ => {
                    let why = format!("{} is not a device that every container has", path.display());
                    missing.push(format_args!("{place}.source"), why);
                    return None;
                }
            },
        };
        let read_only = options.attributes & MOUNT_ATTR_RDONLY != 0;
        return Some(Mount { source, target: destination.into(), read_only, copy: known.copy == Some(true) });
    }
    let target = entry.destination.0.clone();
    let kind = entry.kind.as_deref().unwrap_or_default();
    let Options { attributes, below, bind, recursive, own: file_system } = options;
    let source = match kind {
        _ if bind || kind == "bind" => {
            if let Some(option) = file_system.first() {
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
                options: file_system.join(","),
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
