//! Merges the user's request with the image's config into the process, and lists what Docker mounts in every container.

use crate::container::spec::{DEFAULT_UMASK, Kernel, Process, Stream};
use crate::error::{Error, Result};
use crate::image::config::Config;
use crate::isolation::devices::Dev;
use crate::isolation::mounts::Fresh;
use crate::isolation::rlimit::Ulimit;
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// podman's word for the caller's own supplementary groups.
const KEEP_GROUPS: &str = "keep-groups";

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The part of the user's request for which an image has defaults.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub command: Vec<OsString>,
    /// `--entrypoint`; empty: no entrypoint, not even the image's.
    pub entrypoint: Option<OsString>,
    /// `-e` and `--env-file`: a value, or `None` to remove the variable.
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

impl Request {
    /// Whether the command starts as the container's root, as far as is known without its /etc/passwd.
    pub fn is_root(&self, config: Option<&Config>) -> bool {
        let user = self.user.as_deref().or(config.map(|config| config.user.as_str())).unwrap_or_default();
        ["", "0", "root"].contains(&user.split(':').next().unwrap_or_default())
    }

    /// Merges `self` and the image's `config`. `here`: the working directory if neither names one.
    pub fn process(self, config: Option<&Config>, hostname: &str, here: &Path) -> Result<Process> {
        let strings = |list: &[String]| list.iter().map(OsString::from).collect::<Vec<_>>();
        // The user's entrypoint also drops the image's command (moby, daemon/commit.go).
        let (mut args, default) = match (self.entrypoint, config) {
            (Some(entrypoint), _) if entrypoint.is_empty() => (Vec::new(), Vec::new()),
            (Some(entrypoint), _) => (vec![entrypoint], Vec::new()),
            // Docker stores `--entrypoint ""` of a commit and `ENTRYPOINT [""]` this way.
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

/// An absolute path without `.`, `..` and double slashes, like Go's path.Clean: links are not followed.
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

/// Variables in the order in which they were first set; the last value wins.
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

/// The part before the `=`.
pub fn name_of(entry: &OsStr) -> &OsStr {
    OsStr::from_bytes(entry.as_bytes().split(|b| *b == b'=').next().unwrap_or_default())
}

/// The kernel's file systems as in Docker. `single_id`: terminals cannot belong to group 5 (tty). `shm_size`: the size of
/// /dev/shm in bytes.
pub fn kernel(single_id: bool, shm_size: u64, privileged: bool) -> Kernel {
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
        // One empty word in an image's config means nothing.
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
    fn the_users_request_overrides_the_image() {
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
