//! What a container is to be, everything settled: made by a front end from what the user asked for and what the image
//! says, or read from a document. The words are those of the OCI runtime specification (config.md).

pub mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::error::Result;
use crate::image::local::images::Stack;
use crate::isolation::capabilities::Set;
use crate::isolation::cgroup::Limits;
use crate::isolation::devices::{Dev, Device, KnownDevice};
use crate::isolation::idmap::IdMap;
use crate::isolation::mounts::Fresh;
use crate::isolation::network::Network;
use crate::isolation::procfs::Shut;
use crate::isolation::rlimit::Ulimit;
use crate::isolation::seccomp::Filter;
use crate::isolation::sysctl::Setting;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub const DEFAULT_UMASK: u32 = 0o022;

/// Where the container's files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The layers of an image.
    Image(Stack),
    /// A directory of the user's; `writable`: writes go through to it.
    Directory { path: PathBuf, writable: bool },
    /// This machine's own root.
    Host,
}

/// What one of the command's standard streams is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// /dev/null.
    Null,
    /// The caller's own, which must not be a terminal.
    #[default]
    Inherit,
    /// A pipe; the supervisor copies between it and the caller's.
    Pipe,
    /// The container's terminal.
    Terminal,
}

/// The program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub args: Vec<OsString>,
    /// `NAME=value`; HOME is added by whoever knows the user.
    pub env: Vec<OsString>,
    pub cwd: PathBuf,
    /// `user`, `uid`, `user:group`, …; empty: root.
    pub user: String,
    /// Names or numbers of the groups that it is in beside its user's own.
    pub groups: Vec<String>,
    /// Whether it keeps the caller's supplementary groups, which have no names or numbers inside.
    pub keep_groups: bool,
    /// Whether `groups` are all that it is in beside its primary group, whatever the files in /etc say.
    pub only_groups: bool,
    pub umask: u32,
    pub ulimits: Vec<Ulimit>,
    /// Its descriptors 0, 1 and 2.
    pub streams: [Stream; 3],
    /// Whether the user asked for stdin or a terminal, and does not only sit at one.
    pub explicit: bool,
    /// Whether what the user types goes to the container's terminal.
    pub interactive: bool,
    /// How readily the kernel ends it when the machine is out of memory, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// What the command may do at most, whoever it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    /// The bounding set; what it runs with as uid 0.
    pub capabilities: Set,
    /// Whether set-user-id programs and file capabilities give nothing inside.
    pub no_new_privileges: bool,
    /// What judges its system calls.
    pub seccomp: Seccomp,
    /// Whether it sees all devices that it may open.
    pub privileged: bool,
}

/// Where the system call filter comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Seccomp {
    /// Docker's default profile.
    Default,
    /// There is none.
    Unconfined,
    /// A profile, in the words of the OCI runtime specification or of Docker.
    Profile(serde_json::Value),
}

impl Seccomp {
    /// The filter for a command that has at most these capabilities.
    pub fn compile(&self, capabilities: Set) -> Result<Option<Filter>> {
        match self {
            Seccomp::Default => Filter::docker(capabilities).map(Some),
            Seccomp::Unconfined => Ok(None),
            Seccomp::Profile(profile) => Filter::of_profile(profile, capabilities).map(Some),
        }
    }
}

/// What is mounted into the container, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub source: Source,
    /// Absolute, inside the container.
    pub target: PathBuf,
    pub read_only: bool,
    /// Whether an empty volume begins with what the image has at its place.
    pub copy: bool,
}

impl Mount {
    /// Whether it is a volume that begins with what the image has at its place.
    pub fn is_filled(&self) -> bool {
        self.copy && matches!(self.source, Source::Volume(_) | Source::Anonymous)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or directory of the host, with its owners mapped to the container's ids.
    Bind(PathBuf),
    /// One as it is.
    Direct(Direct),
    /// A device that every container has.
    Device(KnownDevice),
    /// A volume by name, in the store.
    Volume(String),
    /// A volume of this container's own.
    Anonymous,
    Tmpfs(Tmpfs),
}

/// A file or directory of the host as it is: nothing about it is changed but what is said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    pub path: PathBuf,
    /// Whether what is mounted below it comes along.
    pub recursive: bool,
    /// `MOUNT_ATTR_…` of its mount, and of those below it.
    pub attributes: u64,
    pub attributes_below: u64,
}

/// The kernel's own file systems in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub proc: Fresh,
    pub sys: Option<Fresh>,
    pub dev: Dev,
    /// Whether the container's cgroups are on /sys/fs/cgroup.
    pub cgroup: bool,
}

/// A file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tmpfs {
    /// Options of tmpfs(5) itself. Without a mode it takes that of the directory that it covers.
    pub options: String,
    /// Whether programs on it may be run, set-user-id bits and device nodes count; by default none of that.
    pub exec: bool,
    pub suid: bool,
    pub dev: bool,
    /// More attributes of its mount, `MOUNT_ATTR_…`.
    pub attributes: u64,
}

/// Everything about a container that is settled before it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    pub id: String,
    pub name: String,
    /// What the user called the image or root file system; for `ps`.
    pub image: String,
    /// The image's id, if it is an image.
    pub image_id: Option<String>,
    /// Empty: the host's.
    pub hostname: String,
    /// Of NIS; the host's if there is none.
    pub domainname: Option<String>,
    pub root: Root,
    pub read_only: bool,
    pub process: Process,
    pub kernel: Kernel,
    /// Whether /etc/hosts, /etc/hostname and /etc/resolv.conf are made by ccrun, and what covers another mount comes
    /// before it. Else the mounts are made in their order.
    pub own_files: bool,
    pub mounts: Vec<Mount>,
    pub shut: Shut,
    pub settings: Vec<Setting>,
    /// The ids of the container, if they are given. The host's files are then as they are, with ids of this map.
    pub ids: Option<IdMap>,
    pub devices: Vec<Device>,
    pub network: Network,
    pub limits: Limits,
    /// Below which group of the host's the container's own is to be, from the top of each tree.
    pub cgroup_parent: Option<PathBuf>,
    /// What that group is called, if that is settled.
    pub cgroup_name: Option<String>,
    /// Whether the container sees its group as the top one.
    pub cgroup_namespace: bool,
    /// Whether the user wants to be told what it has used.
    pub stats: bool,
    pub security: Security,
    /// Whether PID 1 is ccrun (else the command itself).
    pub init: bool,
    /// Whether nothing of the container is kept after its end.
    pub remove: bool,
    /// What asks the command to end; SIGTERM if the image does not say.
    pub stop_signal: Option<String>,
    /// What `inspect` shows of it (see [`Container::shown`](crate::store::containers::Container::shown)).
    pub shown: serde_json::Value,
}

impl ContainerSpec {
    /// What of `shut` can be shut only when everything is mounted, because it is not one of the kernel's files, or a
    /// mount is made on the way to it.
    pub fn shut_late(&self) -> Vec<&Path> {
        let cgroup = self.kernel.cgroup.then_some(Path::new("/sys/fs/cgroup"));
        let mounted: Vec<&Path> = self.mounts.iter().map(|mount| mount.target.as_path()).chain(cgroup).collect();
        // Below a file system of the kernel's own a path is looked up in that, as soon as it is mounted.
        let is_below = |path: &Path| {
            let top = if path.starts_with("/sys") { "/sys" } else { "/proc" };
            let is_there = top == "/proc" || self.kernel.sys.is_some();
            let is_plain = path.components().all(|part| part != std::path::Component::ParentDir);
            is_there && is_plain && path.strip_prefix(top).is_ok_and(|rest| rest != Path::new(""))
        };
        let is_late = |path: &Path| !is_below(path) || mounted.iter().any(|top| path.starts_with(top));
        let mut late: Vec<&Path> = Vec::new();
        for path in self.shut.read_only.iter().chain(&self.shut.masked).map(PathBuf::as_path) {
            if is_late(path) && !late.contains(&path) {
                late.push(path);
            }
        }
        late
    }
}

impl Process {
    /// Whether the container has a terminal.
    pub fn has_terminal(&self) -> bool {
        self.streams.contains(&Stream::Terminal)
    }
}
