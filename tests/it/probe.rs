//! What a program can see and do where it is: `it --inside probe SECTION…`, as amicontained and
//! its like tell, in lines that a test can read: `name value`.

mod attempts;

use crate::sys::raw::{self, apart, of};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

/// What a probe has told, by name.
pub struct Vector(pub BTreeMap<String, String>);

impl Vector {
    pub fn parse(text: &str) -> Vector {
        let pairs = text.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        Vector(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("the probe did not tell of {name}: {:#?}", self.0))
    }

    /// Each of `names` has this answer; all that do not are named.
    #[track_caller]
    pub fn all(&self, names: &[&str], answer: &str) {
        let others: Vec<_> =
            names.iter().map(|name| (name, self.get(name))).filter(|(_, got)| *got != answer).collect();
        assert!(others.is_empty(), "should be {answer}: {others:?}");
    }

    /// The words of a list.
    #[track_caller]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).split_whitespace().collect()
    }
}

/// The number of the keyring that our session has.
pub fn session_keyring() -> raw::Answer {
    raw::syscall(libc::SYS_keyctl, [0, -3i64 as u64, 0, 0, 0, 0])
}

/// A session keyring of our own, as a login gives one.
pub fn join_session_keyring() {
    let joined = raw::syscall(libc::SYS_keyctl, [1, 0, 0, 0, 0, 0]);
    assert!(matches!(joined, raw::Answer::Value(_)), "keyctl(KEYCTL_JOIN_SESSION_KEYRING): {joined}");
}

/// All sections but those that need to be told more.
pub const ALL: &[&str] =
    &["status", "namespaces", "sockets", "files", "devices", "process", "mounts", "gain", "attempts"];

pub fn run(words: &[&str]) {
    let tell = |name: &str, value: &dyn std::fmt::Display| println!("{name} {value}");
    for word in words {
        match word.split_once('=') {
            None if *word == "all" => run(ALL),
            None if *word == "status" => status(&tell),
            None if *word == "namespaces" => namespaces(&tell),
            None if *word == "sockets" => tell("sockets", &attempts::socket_families()),
            None if *word == "attempts" => attempts::all(&tell),
            None if *word == "tty" => attempts::on_standard_input(&tell),
            None if *word == "files" => files(&tell),
            None if *word == "devices" => tell("devices", &devices(Path::new("/dev")).join(" ")),
            None if *word == "process" => process(&tell),
            None if *word == "mounts" => mounts(&tell),
            None if *word == "gain" => gain(&tell),
            // Last, as it puts a filter of its own on this process; `ABI CALL ANSWER` in a line.
            None if *word == "syscalls" => crate::seccomp::prober::run(),
            Some(("try", name)) => attempts::one(name, &tell),
            Some(("abstract", name)) => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
                let answer = UnixStream::connect_addr(&address).map_or_else(|e| of(&e).to_string(), |_| "done".into());
                tell("abstract", &answer);
            }
            Some(("tcp", address)) => {
                let to: SocketAddr = address.parse().expect("an address");
                let answer = TcpStream::connect_timeout(&to, Duration::from_secs(2));
                tell(&format!("tcp.{address}"), &answer.map_or_else(|e| of(&e).to_string(), |_| "done".into()));
            }
            _ => panic!("probe {word}?"),
        }
    }
}

type Tell<'a> = &'a dyn Fn(&str, &dyn std::fmt::Display);

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Capabilities and all else that /proc/self/status tells of.
fn status(tell: Tell) {
    for line in read("/proc/self/status").lines() {
        if let Some((name, value)) = line.split_once(':') {
            tell(&format!("status.{name}"), &value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    tell("keys", &std::fs::read("/proc/keys").map_or_else(|e| of(&e).to_string(), |keys| keys.len().to_string()));
}

fn namespaces(tell: Tell) {
    for name in crate::sandbox::list(Path::new("/proc/self/ns")) {
        let link = std::fs::read_link(Path::new("/proc/self/ns").join(&name)).expect("readlink");
        tell(&format!("ns.{name}"), &link.display());
    }
    let map = read("/proc/self/uid_map");
    tell("uid-map", &map.split_whitespace().collect::<Vec<_>>().join(" "));
    tell("setgroups", &read("/proc/self/setgroups").trim());
    let cgroups = read("/proc/self/cgroup");
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    tell("cgroups", &paths.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" "));
}

/// What of the kernel's own files can be written, and what of its secrets can be read.
fn files(tell: Tell) {
    for root in ["/proc", "/sys"] {
        let mut found = Vec::new();
        writable(Path::new(root), &mut found);
        tell(&format!("writable.{}", &root[1..]), &found.join(" "));
    }
    for (name, path) in [
        ("kcore", "/proc/kcore"),
        ("kallsyms", "/proc/kallsyms"),
        ("interrupts", "/proc/interrupts"),
        ("timer_list", "/proc/timer_list"),
        ("sched_debug", "/proc/sched_debug"),
        ("kmsg", "/dev/kmsg"),
        ("mem", "/dev/mem"),
    ] {
        let bytes = apart(|| {
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
            let got = file.and_then(|mut file| std::io::Read::read(&mut file, &mut [0; 64]));
            got.map_or_else(|e| of(&e), |n| raw::Answer::Value(n as i64))
        });
        tell(
            &format!("secret.{name}"),
            &if let raw::Answer::Value(n) = bytes { n.to_string() } else { bytes.to_string() },
        );
    }
    for dir in ["/sys/firmware", "/sys/devices/virtual/powercap", "/proc/acpi", "/proc/scsi", "/proc/asound"] {
        tell(&format!("names.{dir}"), &crate::sandbox::list(Path::new(dir)).len());
    }
}

/// Files below `dir` that open for writing; those of processes are their own affair.
fn writable(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let of_process =
            dir == Path::new("/proc") && (name.starts_with(|c: char| c.is_ascii_digit()) || name.contains("self"));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !of_process => writable(&path, found),
            Ok(kind) if kind.is_file() => {
                // What nobody may write according to its mode opens for a powerful root all the same: so it is tried.
                let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
                let opened = OpenOptions::new().write(true).custom_flags(flags).open(&path);
                // A mask is /dev/null, and takes everything.
                if opened.and_then(|file| file.metadata()).is_ok_and(|meta| meta.is_file()) {
                    found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
    found.sort();
}

/// The device nodes that can be opened, with their numbers.
fn devices(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in crate::sandbox::list(dir) {
        let path = dir.join(name);
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            all.extend(devices(&path));
        } else if meta.file_type().is_char_device() || meta.file_type().is_block_device() {
            let opens =
                |options: &mut OpenOptions| options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&path).is_ok();
            if opens(OpenOptions::new().read(true)) || opens(OpenOptions::new().write(true)) {
                let (major, minor) = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
                all.push(format!("{}={major}:{minor}", path.display()));
            }
        }
    }
    all
}

/// What was handed on, and who else is here.
fn process(tell: Tell) {
    let fds: Vec<String> = {
        let names = crate::sandbox::list(Path::new("/proc/self/fd"));
        // The directory's own descriptor is closed by now.
        let link = |fd: &String| {
            std::fs::read_link(format!("/proc/self/fd/{fd}")).ok().map(|to| format!("{fd}={}", to.display()))
        };
        names.iter().filter(|fd| fd.parse::<i32>().is_ok_and(|fd| fd > 2)).filter_map(link).collect()
    };
    tell("descriptors", &fds.join(" "));
    let mut names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort();
    tell("environment", &names.join(" "));
    let pids: Vec<i32> = crate::sandbox::list(Path::new("/proc")).iter().filter_map(|name| name.parse().ok()).collect();
    let comm = |pid: &i32| format!("{pid}={}", read(&format!("/proc/{pid}/comm")).trim());
    tell("processes", &pids.iter().map(comm).collect::<Vec<_>>().join(" "));
    // What can be looked into of those that are not ours.
    let mut open = Vec::new();
    for pid in pids.iter().filter(|pid| **pid != std::process::id() as i32) {
        for file in ["environ", "mem", "maps", "exe", "cwd", "root", "fd", "syscall", "auxv", "fdinfo", "map_files"] {
            let path = format!("/proc/{pid}/{file}");
            let seen = match file {
                "cwd" | "root" | "exe" => std::fs::read_link(&path).is_ok() || File::open(&path).is_ok(),
                "fd" | "fdinfo" | "map_files" => std::fs::read_dir(&path).is_ok(),
                // It opens, but has nothing to say to those who may not know.
                _ => File::open(&path).is_ok_and(|mut file| {
                    let got = std::io::Read::read(&mut file, &mut [0; 16]);
                    got.is_ok_and(|n| n > 0)
                }),
            };
            if seen {
                open.push(path);
            }
        }
    }
    tell("looked-into", &open.join(" "));
}

/// Mounts on which set-user-id bits or device nodes count, and those that cover something of the kernel's.
fn mounts(tell: Tell) {
    let text = read("/proc/self/mountinfo");
    let (mut suid, mut dev, mut masks, mut shared) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let (left, right) = line.split_once(" - ").expect("mountinfo");
        let left: Vec<&str> = left.split(' ').collect();
        let (place, options) = (left[4], left[5]);
        let fstype = right.split(' ').next().expect("a type");
        // On a single node nothing else can be put.
        let holds = std::fs::metadata(place).is_ok_and(|meta| meta.is_dir() || meta.is_file());
        if holds && !options.split(',').any(|option| option == "nosuid") {
            suid.push(place);
        }
        if holds && !options.split(',').any(|option| option == "nodev") {
            dev.push(place);
        }
        if (place.starts_with("/proc/") || place.starts_with("/sys/")) && ["tmpfs", "devtmpfs"].contains(&fstype) {
            masks.push(place);
        }
        if left.iter().any(|field| field.starts_with("shared:")) {
            shared.push(place);
        }
    }
    tell("mounts.suid", &suid.join(" "));
    tell("mounts.dev", &dev.join(" "));
    tell("mounts.masks", &masks.join(" "));
    tell("mounts.shared", &shared.join(" "));
}

/// Whether a set-user-id file makes root of somebody else.
fn gain(tell: Tell) {
    let own = "/tmp/gain";
    let made = std::fs::create_dir_all("/tmp")
        .and_then(|()| std::fs::copy("/proc/self/exe", own))
        .and_then(|_| std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o4755)));
    let told =
        made.and_then(|()| std::process::Command::new(own).args(["--inside", "euid"]).uid(1000).gid(1000).output());
    let told = told.map_or_else(|e| of(&e).to_string(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let _ = std::fs::remove_file(own);
    tell("gain", &told);
}
