//! Translates a specification into a document: the reverse of [`super::read`].

use super::read::options::{CGROUP, SHM, words};
use super::{ContainerSpec, Kernel, Mount, Process, Root, Seccomp, Source, Stream};
use crate::container::document::{
    Absolute, BlockIoLimits, BoundDevice, Bytes, Capabilities, CpuLimits, Document, Extension, Hostname, Id, IdMapping,
    Ids, Linux, Location, MemoryLimits, MountEntry, MountExtension, MountKind, Namespace, NamespaceKind, Percent,
    PidsLimit, ProcessEntry, Quota, Resources, RlimitEntry, RlimitKind, RootEntry, RootKind, Score, SeccompSource,
    Stdio, ThrottleDevice, Umask, UserEntry, Variable, Version, Weight, WeightDevice,
};
use crate::isolation::capabilities::Set;
use crate::isolation::cgroup::limits::{Limits, Rate};
use crate::isolation::idmap::Extent;
use crate::isolation::mounts::Fresh;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use std::ffi::OsString;
use std::path::Path;

impl ContainerSpec {
    /// The document with all of the specification.
    pub fn document(&self) -> Document {
        Document {
            oci_version: Version::ours(),
            hostname: Some(Hostname(self.hostname.clone())).filter(|name| !name.0.is_empty()),
            domainname: self.domainname.clone().map(Hostname),
            annotations: Default::default(),
            root: self.root_entry(),
            process: self.process_entry(),
            mounts: kernel(&self.kernel).into_iter().chain(self.mounts.iter().map(entry)).collect(),
            hooks: Default::default(),
            linux: self.linux(),
            ccrun: self.extension(),
        }
    }

    fn root_entry(&self) -> RootEntry {
        let path = match &self.root {
            Root::Image(_) => "rootfs".into(),
            Root::Directory { path, .. } => path.clone(),
            Root::Host => "/".into(),
        };
        RootEntry { path: Location(path), readonly: self.read_only.then_some(true) }
    }

    fn process_entry(&self) -> ProcessEntry {
        let (process, security) = (&self.process, &self.security);
        let names: Vec<String> = match security.capabilities {
            // The known ones by name; `allCapabilities` stands for the others.
            Set::ALL => Set::known().names(),
            some => some.names(),
        };
        let rlimits = process.ulimits.iter().map(|ulimit| RlimitEntry {
            kind: RlimitKind::of_word(ulimit.name),
            soft: ulimit.limit.soft,
            hard: ulimit.limit.hard,
        });
        ProcessEntry {
            args: process.args.clone(),
            env: process.env.iter().cloned().map(Variable).collect(),
            cwd: Absolute(process.cwd.clone()),
            terminal: process.has_terminal().then_some(true),
            user: user(process),
            capabilities: (!names.is_empty()).then(|| Capabilities {
                bounding: names.clone(),
                effective: names.clone(),
                permitted: names,
                ..Capabilities::default()
            }),
            rlimits: rlimits.collect(),
            no_new_privileges: security.no_new_privileges.then_some(true),
            oom_score_adj: process.oom_score_adj.map(Score),
            ..ProcessEntry::default()
        }
    }

    fn linux(&self) -> Linux {
        use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
        let always = [User, Pid, Mount, Ipc, Uts].into_iter();
        let kinds =
            always.chain(self.network.is_own().then_some(Network)).chain(self.cgroup_namespace.then_some(Cgroup));
        let paths = |list: &[std::path::PathBuf]| list.iter().cloned().map(Absolute).collect();
        let (uids, gids) = self.ids.as_ref().map(|ids| (ids.uids(), ids.gids())).unwrap_or_default();
        let mapping = |extent: &Extent| IdMapping {
            container_id: Id(extent.inside),
            host_id: Id(extent.outside),
            size: extent.count,
        };
        let in_parent = |name: &String| self.cgroup_parent.as_deref().unwrap_or(Path::new("")).join(name);
        Linux {
            namespaces: kinds.map(|kind| Namespace { kind, path: None }).collect(),
            uid_mappings: uids.iter().map(mapping).collect(),
            gid_mappings: gids.iter().map(mapping).collect(),
            cgroups_path: self.cgroup_name.as_ref().map(|name| in_parent(name).to_string_lossy().into_owned()),
            resources: resources(&self.limits),
            sysctl: crate::sort::into(
                self.settings.iter().map(|setting| (setting.name.clone(), setting.value.clone())),
            ),
            seccomp: match &self.security.seccomp {
                Seccomp::Profile(profile) => Some(profile.clone()),
                Seccomp::Default | Seccomp::Unconfined => None,
            },
            masked_paths: paths(&self.shut.masked),
            readonly_paths: paths(&self.shut.read_only),
            ..Linux::default()
        }
    }

    fn extension(&self) -> Extension {
        let process = &self.process;
        let is = |yes: bool| yes.then_some(true);
        let stdio = process.streams.iter().map(|stream| match stream {
            Stream::Null => Stdio::Null,
            Stream::Inherit => Stdio::Inherit,
            Stream::Pipe => Stdio::Pipe,
            Stream::Terminal => Stdio::Terminal,
        });
        let optional = self.settings.iter().filter(|setting| !setting.required);
        Extension {
            id: Some(self.id.clone()),
            name: Some(self.name.clone()),
            image: Some(self.image.clone()),
            image_id: self.image_id.clone(),
            root: match &self.root {
                Root::Image(_) => Some(RootKind::Image),
                Root::Directory { writable, .. } => (!writable).then_some(RootKind::Covered),
                Root::Host => Some(RootKind::Host),
            },
            ids: self.ids.is_none().then_some(Ids::Store),
            user: Some(process.user.clone()).filter(|_| !process.only_groups),
            groups: process.groups.clone(),
            keep_groups: is(process.keep_groups),
            stdio: stdio.collect(),
            interactive: is(process.interactive),
            explicit: is(process.explicit),
            init: Some(self.init),
            host_files: is(self.own_files),
            mounts: crate::sort::into(self.mounts.iter().filter_map(mount_extension)),
            devices: self.devices.iter().map(bound).collect(),
            seccomp: Some(match self.security.seccomp {
                Seccomp::Default => SeccompSource::Default,
                Seccomp::Unconfined => SeccompSource::Unconfined,
                Seccomp::Profile(_) => SeccompSource::Profile,
            }),
            all_capabilities: is(self.security.capabilities == Set::ALL),
            privileged: is(self.security.privileged),
            optional_sysctls: optional.map(|setting| setting.name.clone()).collect(),
            cgroup_parent: self.cgroup_parent.clone().filter(|_| self.cgroup_name.is_none()).map(OsString::from),
            default_pids: self.limits.default_pids,
            remove: Some(self.remove),
            stats: is(self.stats),
            stop_signal: self.stop_signal.clone(),
            inspect: Some(self.shown.clone()).filter(|shown| !shown.is_null()),
        }
    }
}

/// The user in numbers, as far as they are known without the root file system.
fn user(process: &Process) -> UserEntry {
    let (uid, gid) = process.user.split_once(':').unwrap_or((&process.user, ""));
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
    let known = number(uid).zip(if process.user.contains(':') || uid.is_empty() { number(gid) } else { None });
    UserEntry {
        uid: known.map(|(uid, _)| Id(uid)),
        gid: known.map(|(_, gid)| Id(gid)),
        umask: Some(Umask(process.umask)),
        ..UserEntry::default()
    }
}

fn bound(device: &crate::isolation::devices::Device) -> BoundDevice {
    BoundDevice { source: Absolute(device.source.clone()), destination: Absolute(device.target.clone()) }
}

fn fresh_entry(kind: &str, source: &str, place: &str, fresh: &Fresh) -> MountEntry {
    let own = fresh.options.split(',').filter(|option| !option.is_empty()).map(str::to_owned);
    MountEntry {
        destination: Absolute(place.into()),
        kind: Some(kind.to_owned()),
        source: Some(source.into()),
        options: words(fresh.attributes, 0).chain(own).collect(),
        unread: Default::default(),
    }
}

/// In Docker's order.
fn kernel(kernel: &Kernel) -> Vec<MountEntry> {
    let dev = &kernel.dev;
    let cgroup = Fresh { options: String::new(), attributes: CGROUP };
    let entries = [
        Some(fresh_entry("proc", "proc", "/proc", &kernel.proc)),
        Some(fresh_entry("tmpfs", "tmpfs", "/dev", &dev.top)),
        Some(fresh_entry("devpts", "devpts", "/dev/pts", &dev.pts)),
        kernel.sys.as_ref().map(|sys| fresh_entry("sysfs", "sysfs", "/sys", sys)),
        kernel.cgroup.then(|| fresh_entry("cgroup", "cgroup", "/sys/fs/cgroup", &cgroup)),
        dev.mqueue.as_ref().map(|mqueue| fresh_entry("mqueue", "mqueue", "/dev/mqueue", mqueue)),
        dev.shm.as_ref().map(|shm| fresh_entry("tmpfs", SHM, "/dev/shm", shm)),
    ];
    entries.into_iter().flatten().collect()
}

fn entry(mount: &Mount) -> MountEntry {
    let read_only = if mount.read_only { MOUNT_ATTR_RDONLY } else { 0 };
    let bind = |source: &Path, first: &str, attributes: u64, below: u64| MountEntry {
        destination: Absolute(mount.target.clone()),
        kind: Some("bind".to_owned()),
        source: Some(source.into()).filter(|source: &OsString| !source.is_empty()),
        options: std::iter::once(first.to_owned()).chain(words(attributes, below)).collect(),
        unread: Default::default(),
    };
    let no_devices = MOUNT_ATTR_NODEV | read_only;
    match &mount.source {
        Source::Bind(path) => bind(path, "rbind", no_devices, 0),
        Source::Direct(direct) => {
            let first = if direct.recursive { "rbind" } else { "bind" };
            bind(&direct.path, first, direct.attributes, direct.attributes_below)
        }
        Source::Device(device) => bind(device.path(), "bind", MOUNT_ATTR_NOSUID | read_only, 0),
        Source::Volume(name) => bind(Path::new(name), "rbind", no_devices, 0),
        Source::Anonymous => bind(Path::new(""), "rbind", no_devices, 0),
        Source::Tmpfs(tmpfs) => {
            let attributes = tmpfs.all_attributes(mount.read_only);
            let fresh = Fresh { options: tmpfs.options.clone(), attributes };
            MountEntry { destination: Absolute(mount.target.clone()), ..fresh_entry("tmpfs", "tmpfs", "", &fresh) }
        }
    }
}

/// The properties of a mount that the OCI's specification cannot express.
fn mount_extension(mount: &Mount) -> Option<(String, MountExtension)> {
    let (kind, volume) = match &mount.source {
        Source::Bind(_) => (MountKind::Mapped, None),
        Source::Device(_) => (MountKind::Device, None),
        Source::Volume(name) => (MountKind::Volume, Some(name.clone())),
        Source::Anonymous => (MountKind::Volume, None),
        Source::Direct(_) | Source::Tmpfs(_) => return None,
    };
    let target = mount.target.to_string_lossy().into_owned();
    Some((target, MountExtension { kind, volume, copy: mount.copy.then_some(true) }))
}

fn resources(limits: &Limits) -> Option<Resources> {
    let (memory, cpu, disks) = (&limits.memory, &limits.cpu, &limits.block_io);
    let bytes = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).map(Bytes);
    let throttles = |rate: Rate| {
        let of_rate = disks.throttle.iter().filter(move |one| one.what == rate);
        let one = |one: &crate::isolation::cgroup::limits::Throttle| ThrottleDevice {
            major: one.device.major,
            minor: one.device.minor,
            rate: one.rate,
        };
        of_rate.map(one).collect()
    };
    let weight = |(device, weight): &(crate::isolation::cgroup::limits::Device, u16)| WeightDevice {
        major: device.major,
        minor: device.minor,
        weight: Some(Weight(*weight)),
        leaf_weight: None,
    };
    let asked = Limits { default_pids: None, ..limits.clone() };
    (asked != Limits::default()).then(|| Resources {
        memory: Some(MemoryLimits {
            limit: bytes(memory.limit),
            reservation: bytes(memory.reservation),
            swap: memory.swap.map(Bytes),
            swappiness: memory.swappiness.map(Percent),
            ..MemoryLimits::default()
        })
        .filter(|memory| *memory != MemoryLimits::default()),
        cpu: Some(CpuLimits {
            shares: cpu.shares,
            quota: cpu.quota.map(Quota),
            period: cpu.period,
            cpus: cpu.cpus.clone(),
            mems: cpu.mems.clone(),
            ..CpuLimits::default()
        })
        .filter(|cpu| *cpu != CpuLimits::default()),
        pids: limits.pids.map(|limit| PidsLimit { limit: Some(limit) }),
        block_io: Some(BlockIoLimits {
            weight: disks.weight.map(Weight),
            leaf_weight: None,
            weight_device: disks.weight_device.iter().map(weight).collect(),
            read_bps: throttles(Rate::ReadBps),
            write_bps: throttles(Rate::WriteBps),
            read_iops: throttles(Rate::ReadIops),
            write_iops: throttles(Rate::WriteIops),
        })
        .filter(|limits| *limits != BlockIoLimits::default()),
        ..Resources::default()
    })
}
