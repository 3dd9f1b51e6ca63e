//! What a container is to be, every default filled in: made from what the user
//! asked for and what the image says, before anything is done. The words are
//! those of the OCI runtime specification (config.md).

use crate::error::{Error, Result};
use crate::image::config::Config;
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
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// podman's word for the caller's own supplementary groups.
const KEEP_GROUPS: &str = "keep-groups";

pub const DEFAULT_UMASK: u32 = 0o022;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    /// What judges its system calls, if anything.
    pub filter: Option<Filter>,
    /// Whether it sees all devices that it may open.
    pub privileged: bool,
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

impl Kernel {
    /// As in Docker. `single_id`: there is no group 5 (tty) to give terminals to. `shm_size`: the bytes that /dev/shm
    /// may take.
    pub fn docker(single_id: bool, shm_size: u64, privileged: bool) -> Kernel {
        let fresh = |options: &str, attributes| Fresh { options: options.to_owned(), attributes };
        let quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
        let quietest = quiet | MOUNT_ATTR_NODEV;
        let pts = "newinstance,ptmxmode=0666,mode=0620";
        Kernel {
            proc: fresh("", quietest),
            sys: Some(fresh("", quietest | if privileged { 0 } else { MOUNT_ATTR_RDONLY })),
            dev: Dev {
                top: fresh("mode=755,size=65536k", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME),
                pts: fresh(&if single_id { pts.to_owned() } else { format!("{pts},gid=5") }, quiet),
                shm: Some(fresh(&format!("mode=1777,size={shm_size}"), quietest)),
                mqueue: Some(fresh("", quietest)),
            },
            cgroup: true,
        }
    }
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
    /// What `inspect` shows of it (see [`Record`](crate::store::containers::Record)).
    pub shown: serde_json::Value,
    /// The bundle's document, kept beside the record.
    pub document: Option<serde_json::Value>,
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

/// What the user asked for, as far as an image may have a say in it too.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub command: Vec<OsString>,
    /// `--entrypoint`; empty: none, not even the image's.
    pub entrypoint: Option<OsString>,
    /// `-e` and `--env-file`: a value, or `None` to take the variable away.
    pub env: Vec<(OsString, Option<OsString>)>,
    pub workdir: Option<PathBuf>,
    pub user: Option<String>,
    pub groups: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub streams: [Stream; 3],
    pub explicit: bool,
    pub interactive: bool,
    pub oom_score_adj: Option<i32>,
}

impl Process {
    /// Whether the container has a terminal.
    pub fn has_terminal(&self) -> bool {
        self.streams.contains(&Stream::Terminal)
    }
}

impl Request {
    /// Whether the command starts as the container's root, as far as can be told without its /etc/passwd.
    pub fn is_root(&self, config: Option<&Config>) -> bool {
        let user = self.user.as_deref().or(config.map(|config| config.user.as_str())).unwrap_or_default();
        ["", "0", "root"].contains(&user.split(':').next().unwrap_or_default())
    }

    /// The process that `self` and the image's `config` make together. `here`: the working directory
    /// where neither names one.
    pub fn process(self, config: Option<&Config>, hostname: &str, here: &Path) -> Result<Process> {
        let strings = |list: &[String]| list.iter().map(OsString::from).collect::<Vec<_>>();
        // An entrypoint of the user's takes the image's command away too (moby, daemon/commit.go).
        let (mut args, default) = match (self.entrypoint, config) {
            (Some(entrypoint), _) if entrypoint.is_empty() => (Vec::new(), Vec::new()),
            (Some(entrypoint), _) => (vec![entrypoint], Vec::new()),
            // Docker writes `--entrypoint ""` of a commit and `ENTRYPOINT [""]` so.
            (None, Some(config)) if config.entrypoint == [""] => (Vec::new(), strings(&config.cmd)),
            (None, Some(config)) => (strings(&config.entrypoint), strings(&config.cmd)),
            (None, None) => (Vec::new(), Vec::new()),
        };
        args.extend(if self.command.is_empty() { default } else { self.command });
        if args.first().is_none_or(|program| program.is_empty()) {
            return Err(Error::new("No command specified").hint("name a program behind the image"));
        }
        let mut env = Environment(vec![DEFAULT_PATH.into(), format!("HOSTNAME={hostname}").into()]);
        if self.streams.contains(&Stream::Terminal) {
            env.set("TERM=xterm".into());
        }
        for entry in config.map(|config| &config.env[..]).unwrap_or_default() {
            env.set(entry.into());
        }
        for (name, value) in self.env {
            match value {
                Some(value) => env.set([name.as_os_str(), OsStr::new("="), &value].into_iter().collect()),
                None => env.remove(&name),
            }
        }
        let of_image = config.map(|config| config.working_dir.as_str()).filter(|dir| !dir.is_empty());
        let of_user = self.workdir.filter(|dir| !dir.as_os_str().is_empty());
        let cwd = of_user.or_else(|| of_image.map(PathBuf::from)).unwrap_or_else(|| here.to_owned());
        if !cwd.is_absolute() {
            return Err(Error::new(format_args!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                cwd.display()
            )));
        }
        let cwd = cleaned(&cwd);
        let user = self.user.or_else(|| config.map(|config| config.user.clone())).unwrap_or_default();
        let keep_groups = self.groups.iter().any(|group| group == KEEP_GROUPS);
        if keep_groups && self.groups.len() > 1 {
            return Err(Error::new(format_args!(
                "the '--group-add {KEEP_GROUPS}' option is not allowed with any other --group-add options"
            )));
        }
        let groups = if keep_groups { Vec::new() } else { self.groups };
        let Request { ulimits, streams, explicit, interactive, oom_score_adj, .. } = self;
        Ok(Process {
            args,
            env: env.0,
            cwd,
            user,
            groups,
            keep_groups,
            only_groups: false,
            umask: DEFAULT_UMASK,
            ulimits,
            streams,
            explicit,
            interactive,
            oom_score_adj,
        })
    }
}

/// An absolute path without `.`, `..` and double slashes, as its text says (Go's path.Clean): no link is looked at.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Variables in the order in which they were first set; the last value counts.
struct Environment(Vec<OsString>);

impl Environment {
    fn set(&mut self, entry: OsString) {
        let name = name_of(&entry).to_owned();
        match self.0.iter_mut().find(|old| name_of(old) == name) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    fn remove(&mut self, name: &OsStr) {
        self.0.retain(|entry| name_of(entry) != name);
    }
}

/// What is before the `=`.
pub fn name_of(entry: &OsStr) -> &OsStr {
    OsStr::from_bytes(entry.as_bytes().split(|b| *b == b'=').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Config {
        let json = r#"{"config":{"Entrypoint":["/entry"],"Cmd":["a","b"],"Env":["PATH=/x","LANG=C"],
            "WorkingDir":"/srv","User":"bob"},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        Config::parse(json.as_bytes()).unwrap()
    }

    fn process(request: Request) -> Result<Process> {
        request.process(Some(&image()), "container", Path::new("/"))
    }

    #[test]
    fn entrypoint_and_command_merge_as_in_docker() {
        let args = |request| process(request).unwrap().args;
        let command = || vec![OsString::from("c")];
        assert_eq!(args(Request::default()), ["/entry", "a", "b"]);
        assert_eq!(args(Request { command: command(), ..Request::default() }), ["/entry", "c"]);
        assert_eq!(args(Request { entrypoint: Some("/own".into()), ..Request::default() }), ["/own"]);
        assert_eq!(args(Request { entrypoint: Some("".into()), command: command(), ..Request::default() }), ["c"]);
        // What an image says with one empty word is nothing.
        let of = |json: &str, command: &[&str]| {
            let config = Config::parse(json.as_bytes()).unwrap();
            let command = command.iter().map(OsString::from).collect();
            Request { command, ..Request::default() }.process(Some(&config), "c", Path::new("/"))
        };
        for entrypoint in [r#"[""]"#, r#""""#, "[]", "null"] {
            let json = format!(r#"{{"config":{{"Entrypoint":{entrypoint},"Cmd":["a","b"]}}}}"#);
            assert_eq!(of(&json, &[]).unwrap().args, ["a", "b"], "{entrypoint}");
            assert_eq!(of(&json, &["c"]).unwrap().args, ["c"], "{entrypoint}");
            let json = format!(r#"{{"config":{{"Entrypoint":{entrypoint}}}}}"#);
            assert!(of(&json, &[]).is_err(), "{entrypoint}");
        }
        let none = process(Request { entrypoint: Some("".into()), ..Request::default() });
        assert!(none.err().unwrap().to_string().starts_with("No command specified"));
    }

    #[test]
    fn the_environment_keeps_its_order_and_the_last_value() {
        let env = vec![("LANG".into(), None), ("A".into(), Some("1".into())), ("A".into(), Some("2".into()))];
        let made = process(Request { env, streams: [Stream::Terminal; 3], ..Request::default() }).unwrap();
        assert_eq!(made.env, ["PATH=/x", "HOSTNAME=container", "TERM=xterm", "A=2"]);
    }

    #[test]
    fn what_the_user_says_goes_before_the_image() {
        let own = Request { workdir: Some("/w".into()), user: Some("0".into()), ..Request::default() };
        let (own, of_image) = (process(own).unwrap(), process(Request::default()).unwrap());
        assert_eq!((own.cwd.to_str(), own.user.as_str()), (Some("/w"), "0"));
        assert_eq!((of_image.cwd.to_str(), of_image.user.as_str()), (Some("/srv"), "bob"));
        for (wanted, cwd) in [
            ("/a/../b/./c/", "/b/c"),
            ("/../../x", "/x"),
            ("//x//y//", "/x/y"),
            ("/..", "/"),
            ("/a/...", "/a/..."),
            ("", "/srv"),
        ] {
            let made = process(Request { workdir: Some(wanted.into()), ..Request::default() }).unwrap();
            assert_eq!(made.cwd.to_str(), Some(cwd), "{wanted}");
        }
        let relative = process(Request { workdir: Some("rel".into()), ..Request::default() });
        assert!(relative.err().unwrap().to_string().contains("'rel' is invalid, it needs to be an absolute path"));
    }
}
