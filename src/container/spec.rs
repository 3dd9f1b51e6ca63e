//! The specification of a container, with every default applied: made from the command line and the image, or read from a
//! document. The words are those of the OCI runtime specification (config.md).

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
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub const DEFAULT_UMASK: u32 = 0o022;

/// Where the container's files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The layers of an image.
    Image(Stack),
    /// A directory of the user; `writable`: the container writes to it directly.
    Directory { path: PathBuf, writable: bool },
    /// This machine's own root.
    Host,
}

/// The target of one of the command's standard streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// /dev/null.
    Null,
    /// The caller's own stream, which must not be a terminal.
    #[default]
    Inherit,
    /// A pipe; the supervisor copies between it and the caller's stream.
    Pipe,
    /// The container's terminal.
    Terminal,
}

/// The program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub args: Vec<OsString>,
    /// `NAME=value`; HOME is added once the user's home is known.
    pub env: Vec<OsString>,
    pub cwd: PathBuf,
    /// `user`, `uid`, `user:group`, …; empty: root.
    pub user: String,
    /// Names or numbers of additional groups.
    pub groups: Vec<String>,
    /// Whether it keeps the caller's supplementary groups, which have no names or numbers inside.
    pub keep_groups: bool,
    /// Whether `groups` are its only supplementary groups, whatever /etc/group says.
    pub only_groups: bool,
    pub umask: u32,
    pub ulimits: Vec<Ulimit>,
    /// Descriptors 0, 1 and 2.
    pub streams: [Stream; 3],
    /// Whether the user asked for stdin or a terminal by a flag.
    pub explicit: bool,
    /// Whether keys go to the container's terminal.
    pub interactive: bool,
    /// How readily the kernel kills it when the machine is out of memory, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// The limits of the command's privileges, whatever user it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    /// The bounding set, which is also what it has as uid 0.
    pub capabilities: Set,
    /// Whether set-user-id programs and file capabilities have no effect.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Whether it gets all devices that it may open.
    pub privileged: bool,
}

/// Where the system call filter comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Seccomp {
    /// Docker's default profile.
    Default,
    /// No filter.
    Unconfined,
    /// A profile, in the format of the OCI runtime specification or of Docker.
    Profile(serde_json::Value),
}

impl Seccomp {
    /// Compiles the filter for a command with at most these capabilities.
    pub fn compile(&self, capabilities: Set) -> Result<Option<Filter>> {
        match self {
            Seccomp::Default => Filter::docker(capabilities).map(Some),
            Seccomp::Unconfined => Ok(None),
            Seccomp::Profile(profile) => Filter::of_profile(profile, capabilities).map(Some),
        }
    }
}

/// A mount in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub source: Source,
    /// Absolute, inside the container.
    pub target: PathBuf,
    pub read_only: bool,
    /// Whether an empty volume is filled with the image's files.
    pub copy: bool,
}

impl Mount {
    /// Whether it is a volume that is filled with the image's files if it is empty.
    pub fn is_filled(&self) -> bool {
        self.copy && matches!(self.source, Source::Volume(_) | Source::Anonymous)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or directory of the host, with its owners mapped to the container's ids.
    Bind(PathBuf),
    /// A file or directory of the host, without an id map.
    Direct(Direct),
    /// One of the devices that every container has.
    Device(KnownDevice),
    /// A volume by name, in the store.
    Volume(String),
    /// A volume of this container's own.
    Anonymous,
    Tmpfs(Tmpfs),
}

/// A bind of the host's files with exactly these attributes, and without an id map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    pub path: PathBuf,
    /// Whether to include the mounts below it.
    pub recursive: bool,
    /// `MOUNT_ATTR_…` of its mount, and of the mounts below it.
    pub attributes: u64,
    pub attributes_below: u64,
}

/// The kernel's own file systems in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub proc: Fresh,
    pub sys: Option<Fresh>,
    pub dev: Dev,
    /// Whether to mount the container's cgroups on /sys/fs/cgroup.
    pub cgroup: bool,
}

/// A file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tmpfs {
    /// Options of tmpfs(5) itself. The default mode is that of the directory that it covers.
    pub options: String,
    /// Whether to allow programs, set-user-id bits and device nodes; by default none.
    pub exec: bool,
    pub suid: bool,
    pub dev: bool,
    /// More attributes of its mount, `MOUNT_ATTR_…`.
    pub attributes: u64,
}

impl Tmpfs {
    /// All attributes of its mount.
    pub fn all_attributes(&self, read_only: bool) -> u64 {
        let asked = [
            (!self.exec, MOUNT_ATTR_NOEXEC),
            (!self.suid, MOUNT_ATTR_NOSUID),
            (!self.dev, MOUNT_ATTR_NODEV),
            (read_only, MOUNT_ATTR_RDONLY),
        ];
        asked.iter().filter(|(asked, _)| *asked).fold(self.attributes, |all, (_, one)| all | one)
    }
}

/// The specification of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    pub id: String,
    pub name: String,
    /// The image or root file system, as the user named it; for `ps`.
    pub image: String,
    /// The image's id, if it is an image.
    pub image_id: Option<String>,
    /// Empty: the host's.
    pub hostname: String,
    /// The NIS domain name; the host's if there is none.
    pub domainname: Option<String>,
    pub root: Root,
    pub read_only: bool,
    pub process: Process,
    pub kernel: Kernel,
    /// Whether ccrun makes /etc/hosts, /etc/hostname and /etc/resolv.conf, and sorts the mounts so that none hides
    /// another. Otherwise the mounts are made in their order.
    pub own_files: bool,
    pub mounts: Vec<Mount>,
    pub shut: Shut,
    pub settings: Vec<Setting>,
    /// The container's id map, if the document has one. The host's files are then not id-mapped.
    pub ids: Option<IdMap>,
    pub devices: Vec<Device>,
    pub network: Network,
    pub limits: Limits,
    /// The parent of the container's cgroup, from the top of each hierarchy.
    pub cgroup_parent: Option<PathBuf>,
    /// The name of the container's cgroup, if the document has one.
    pub cgroup_name: Option<String>,
    /// Whether the container has a cgroup namespace, in which its own cgroup is the root.
    pub cgroup_namespace: bool,
    /// Whether to print its resource use at its end.
    pub stats: bool,
    pub security: Security,
    /// Whether PID 1 is ccrun; otherwise it is the command itself.
    pub init: bool,
    /// Whether to remove the container when it ends.
    pub remove: bool,
    /// The signal that asks the command to end; SIGTERM if there is none.
    pub stop_signal: Option<String>,
    /// What `inspect` shows of it (see [`Container::shown`](crate::store::containers::Container::shown)).
    pub shown: serde_json::Value,
}

impl ContainerSpec {
    /// The paths of `shut` that can be masked or made read-only only after all mounts: those that are not below one of the
    /// kernel's file systems, and those below another mount.
    pub fn shut_late(&self) -> Vec<&Path> {
        let cgroup = self.kernel.cgroup.then_some(Path::new("/sys/fs/cgroup"));
        let mounted: Vec<&Path> = self.mounts.iter().map(|mount| mount.target.as_path()).chain(cgroup).collect();
        // A path below one of the kernel's file systems is handled as soon as that is mounted.
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
