//! What the tests' own binary does inside a container, where it is mounted as
//! /it: `it --inside WORD …`. Static, so that it runs in any root file system.

use crate::emulation::{ids, own_walls};
use crate::image::sha256;
use crate::judges::tree::Tree;
use crate::sandbox::{Cmd, Sandbox};
use crate::sys;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

impl Sandbox {
    /// `ccrun run FLAGS --rootfs BUSYBOX /it --inside WORDS`.
    pub fn inside(&self, flags: &[&str], words: &[&str]) -> Cmd {
        let mount = format!("{}:/it:ro", self.it);
        let run = ["run", "--rm", "--rootfs", &self.busybox, "-v", &mount];
        self.ccrun(&[&run, flags, &["/it", "--inside"], words].concat())
    }
}

pub fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["list", dir] => list(Path::new(dir), Path::new(dir)),
        ["tree", dir] => print!("{}", Tree::read(Path::new(dir))),
        ["as", id, program, ref args @ ..] => return as_user(id.parse().expect("an id"), program, args),
        ["ids"] => println!("{} {}", sys::real_uid(), sys::uid()),
        ["network-rights"] => network_rights(),
        ["connect", socket] => match std::os::unix::net::UnixStream::connect(socket) {
            Ok(_) => println!("connected"),
            Err(error) => println!("refused: {error}"),
        },
        ["escape"] => return escape(),
        ["peek"] => return crate::privileges::peek::run(),
        ["with-key", name, ref command @ ..] => return crate::privileges::peek::with_key(name, command),
        ["read-key", name] => return crate::privileges::peek::read_key(name),
        ["burn", seconds] => burn(Instant::now(), Duration::from_secs(seconds.parse().expect("seconds"))),
        ["burn-from", start, ms] => burn_from(start.parse().expect("ms"), ms.parse().expect("ms")),
        ["measured", file, program, ref args @ ..] => return measured(file, program, args),
        ["ids", ref words @ ..] => ids::run(words),
        ["own-walls", ref words @ ..] => own_walls::run(words),
        ["forks", count] => forks(count.parse().expect("count")),
        ["syscalls"] => crate::seccomp::prober::run(),
        ["keyring"] => println!("{:?}", crate::probe::session_keyring()),
        ["euid"] => println!("{}", sys::uid()),
        ["probe", ref sections @ ..] => crate::probe::run(sections),
        ["with-path-descriptor", stream, program, ref args @ ..] => {
            return crate::streams::with_path_descriptor(stream, program, args);
        }
        ["with-pipe-of", uid, program, ref args @ ..] => {
            return crate::streams::with_pipe_of(uid.parse().expect("a uid"), program, args);
        }
        ["eat", megabytes] => eat(megabytes.parse().expect("megabytes")),
        _ => panic!("--inside {words:?}?"),
    }
    ExitCode::SUCCESS
}

/// Runs a command and writes to `file` how much memory it took (KiB, of its largest process). In
/// a small process of our own, as what a process weighs before it becomes another counts as well.
fn measured(file: &str, program: &str, args: &[&str]) -> ExitCode {
    let status = std::process::Command::new(program).args(args).status().expect("start");
    std::fs::write(file, sys::peak_of_children().to_string()).expect("write");
    ExitCode::from(status.code().unwrap_or(255) as u8)
}

/// Runs a command with all of this id's power over the host, and no more.
fn as_user(id: u32, program: &str, args: &[&str]) -> ExitCode {
    sys::become_user(id, id).expect("become the user");
    let status = std::process::Command::new(program).args(args).status().expect("start");
    println!("{}", sys::uid());
    ExitCode::from(status.code().unwrap_or(255) as u8)
}

/// What needs a capability where nobody has set the network's switches.
fn network_rights() {
    let yes = |can: bool| if can { "yes" } else { "no" };
    println!("echo socket: {}", yes(sys::can_ping()));
    println!("port 80: {}", yes(std::net::TcpListener::bind("127.0.0.1:80").is_ok()));
}

/// One line for each file: all that a layer can say about it.
fn list(root: &Path, dir: &Path) {
    let mut names: Vec<_> = std::fs::read_dir(dir).expect("read_dir").flatten().map(|e| e.path()).collect();
    names.sort();
    for path in names {
        let meta = path.symlink_metadata().expect("lstat");
        let kind = meta.file_type();
        let (letter, more) = if kind.is_dir() {
            ('d', String::new())
        } else if kind.is_symlink() {
            ('l', format!("{:?}", std::fs::read_link(&path).expect("readlink")))
        } else if kind.is_file() {
            let digest = std::fs::read(&path).map_or("unreadable".into(), |bytes| sha256(&bytes)[7..23].to_owned());
            ('f', format!("{} {digest} links {}", meta.size(), meta.nlink()))
        } else if kind.is_fifo() {
            ('p', String::new())
        } else {
            ('?', format!("{:x}", meta.rdev()))
        };
        let xattr = sys::lgetxattr(&path, "user.test").map(|value| format!(" user.test={value:?}")).unwrap_or_default();
        let below = path.strip_prefix(root).expect("below").as_os_str().as_bytes().escape_ascii();
        // The mode of a link means nothing, and a link's time is not kept by every tar.
        let (mode, time) = if kind.is_symlink() { (0, 0) } else { (meta.mode() & 0o7777, meta.mtime()) };
        println!("{letter} {mode:04o} {}:{} {time} {below} {more}{xattr}", meta.uid(), meta.gid());
        if kind.is_dir() {
            list(root, &path);
        }
    }
}

/// The old way out of a chroot: enter a deeper one without going there, then climb.
fn escape() -> ExitCode {
    let identity = |path: &str| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).expect("stat");
    let before = identity("/");
    std::fs::create_dir_all("/tmp/deeper").expect("mkdir");
    std::os::unix::fs::chroot("/tmp/deeper").expect("chroot");
    for _ in 0..64 {
        std::env::set_current_dir("..").expect("chdir");
    }
    std::os::unix::fs::chroot(".").expect("chroot");
    let stayed = identity("/") == before;
    println!("{}", if stayed { "still inside" } else { "ESCAPED" });
    let names: Vec<_> = std::fs::read_dir("/").expect("/").flatten().map(|entry| entry.file_name()).collect();
    println!("{names:?}");
    if stayed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Keeps one CPU busy and prints how many milliseconds of it were had.
fn burn(start: Instant, span: Duration) {
    let before = sys::cpu_time();
    while Instant::now() < start + span {
        std::hint::black_box((0..10_000u64).fold(0, |sum, n| sum ^ n.wrapping_mul(sum)));
    }
    println!("{}", (sys::cpu_time() - before).as_millis());
}

/// The same from a time on (milliseconds since 1970), so that several do it at once.
fn burn_from(start: u64, ms: u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let wait = Duration::from_millis(start).checked_sub(now).expect("started in time");
    std::thread::sleep(wait);
    burn(Instant::now(), Duration::from_millis(ms));
}

/// Starts that many sleeping processes; prints how many there were.
fn forks(count: usize) {
    let mut children = Vec::new();
    for _ in 0..count {
        match std::process::Command::new("/bin/sleep").arg("30").spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                println!("{error}");
                break;
            }
        }
    }
    println!("{} started", children.len());
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Takes memory, and uses it.
fn eat(megabytes: usize) {
    let mut all = Vec::new();
    for n in 0..megabytes {
        all.push(vec![n as u8 | 1; 1 << 20]);
    }
    println!("ate {} MB", std::hint::black_box(&all).len());
}
