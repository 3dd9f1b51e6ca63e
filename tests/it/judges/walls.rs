//! The isolation of ccrun beside that of Docker, podman and bubblewrap, on the same machine, with the
//! same root file system and the same probe: nowhere may it be weaker than Docker's or podman's.

use super::engine::Engine;
use crate::cases;
use crate::probe::Vector;
use crate::sandbox::{Cmd, Sandbox};
use crate::users::{self, WITH, WITHOUT};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

cases! {
    Root: no_wall_is_lower_than_dockers_or_podmans
}

/// Something that a stranger's program should have little of, and how much of it there is.
struct Measure {
    name: &'static str,
    of: fn(&Vector) -> usize,
    /// Why ccrun and Docker or podman differ in it; "" where they may not.
    why: &'static str,
}

#[rustfmt::skip]
const MEASURES: &[Measure] = &[
    Measure { name: "capabilities", of: capabilities,
        why: "podman leaves out MKNOD, NET_RAW and AUDIT_WRITE; ccrun has Docker's, but in a user namespace" },
    Measure { name: "the host's root", of: |seen| usize::from(seen.get("uid-map").starts_with("0 0 ")),
        why: "Docker's and podman's root is the host's; ccrun's never is" },
    Measure { name: "namespaces of the host's", of: shared_namespaces,
        why: "user: theirs is the host's. cgroup: on v1 theirs is the host's" },
    Measure { name: "gain by set-user-id", of: |seen| usize::from(seen.get("gain") == "0"),
        why: "with one id there is no other user to gain from" },
    Measure { name: "no filter", of: |seen| usize::from(seen.get("status.Seccomp") != "2"), why: "" },
    Measure { name: "calls of the kernel's own", of: |seen| calls(seen, "native ").len(), why: "see calls_are_no_more" },
    Measure { name: "calls of i386", of: |seen| calls(seen, "i386 ").len(), why: "see calls_are_no_more" },
    Measure { name: "calls of x32", of: |seen| calls(seen, "x32 ").len(), why: "see calls_are_no_more" },
    Measure { name: "attempts that succeed", of: |seen| succeeded(seen).len(), why: "see SUCCESSES" },
    Measure { name: "nested user namespaces", of: |seen| done(seen, "unshare-user"), why: "see SUCCESSES" },
    Measure { name: "typing into a terminal", of: |seen| done(seen, "tiocsti") + done(seen, "tiocsti-high"),
        why: "they leave it to the kernel's sysctl; ccrun's filter forbids it" },
    Measure { name: "keyring", of: |seen| done(seen, "keyctl") + usize::from(seen.get("keys") != "0"), why: "see SUCCESSES" },
    Measure { name: "families of sockets", of: families,
        why: "AF_VSOCK: profiles of before 2022 allow it" },
    Measure { name: "kernel files to write", of: |seen| seen.list("writable.proc").len() + seen.list("writable.sys").len(),
        why: "the host's root may open whatever is mounted for writing; ccrun's is nobody there" },
    Measure { name: "kernel secrets to read", of: secrets, why: "their lists of masks are older: /proc/interrupts" },
    Measure { name: "devices", of: |seen| seen.list("devices").len(), why: "" },
    Measure { name: "inherited descriptors", of: |seen| seen.list("descriptors").len(),
        why: "podman hands on what LISTEN_FDS speaks of" },
    Measure { name: "variables of the host", of: |seen| unusual_variables(seen).len(),
        why: "the same" },
    Measure { name: "the host's sockets", of: reached, why: "" },
    Measure { name: "others looked into", of: |seen| seen.list("looked-into").len(), why: "" },
    Measure { name: "mounts with set-user-id", of: |seen| seen.list("mounts.suid").len(),
        why: "masks and read-only places keep what proc and sysfs were mounted with" },
    Measure { name: "mounts with devices", of: |seen| seen.list("mounts.dev").len(), why: "the same; volumes are nodev in ccrun" },
    Measure { name: "shared mounts", of: |seen| seen.list("mounts.shared").len(), why: "" },
];

/// Attempts that succeed in Docker or podman of this machine's age and not in ccrun, and the other way round.
#[rustfmt::skip]
const SUCCESSES: &[(&str, &str)] = &[
    ("unshare-user", "runtimes of before 2022 mask the flags of clone only where the profile says so, and podman's allows unshare"),
    ("unshare-user-and-all", "the same"),
    ("clone-user", "the same"),
    ("clone3-user", "the same"),
    ("keyctl", "podman's profile allows it, with a keyring of the container's own"),
    ("i386-keyctl", "the same"),
    ("i386-unshare", "the same as unshare-user"),
    ("add_key", "the same as keyctl"),
    ("socket-vsock", "forbidden in Docker's profile since 2022"),
    ("io_uring_setup", "forbidden in Docker's profile since 2023"),
    ("personality", "a profile's own choice"),
    ("cgroup", "podman's root may make cgroups on v1"),
    ("tiocsti", "see the measure"),
    ("tiocsti-high", "see the measure"),
];

/// The numbers that no filter answers, in the ABI that stands before them.
fn calls<'a>(seen: &'a Vector, abi: &str) -> Vec<&'a str> {
    let allowed = seen.0.iter().filter(|(_, answer)| *answer == "allowed").map(|(name, _)| name.as_str());
    allowed.filter(|name| name.strip_prefix(abi).is_some_and(|call| call.parse::<u32>().is_ok())).collect()
}

/// Of x86_64 and of i386: what Docker's profile of 2026, which is ours, allows and these of 2020 and 2022 do not.
/// name_to_handle_at, process_vm_readv, process_vm_writev, pkey_mprotect, pkey_alloc, pkey_free; vmsplice, io_pgetevents.
const SINCE_ALLOWED: &[(&str, &[u32])] =
    &[("native ", &[303, 310, 311, 329, 330, 331, 278, 333]), ("i386 ", &[341, 347, 348, 380, 381, 382, 316, 385])];

/// What a judge's filter forbids and ours does not. Of calls that came after its profile a judge knows nothing.
fn calls_are_no_more(our: &Judge, judge: &Judge, offences: &mut Vec<String>) {
    for (abi, since) in SINCE_ALLOWED.iter().filter(|_| cfg!(target_arch = "x86_64")) {
        let theirs = calls(&judge.seen, abi);
        let since: Vec<String> = since.iter().map(|number| format!("{abi}{number}")).collect();
        let more = calls(&our.seen, abi).into_iter().filter(|call| !theirs.contains(call));
        let more = more.filter(|call| judge.seen.get(call) != "ENOSYS" && !since.iter().any(|known| known == call));
        offences.extend(more.map(|call| format!("{} lets {call} through, and {} does not", our.name, judge.name)));
    }
}

fn done(seen: &Vector, attempt: &str) -> usize {
    usize::from(seen.get(&format!("try.{attempt}")) == "done")
}

/// The attempts that succeed; PID 1 may look into itself.
fn succeeded(seen: &Vector) -> Vec<&str> {
    let alone = !seen.get("processes").contains(' ');
    let tries = seen.0.iter().filter(|(_, answer)| *answer == "done").filter_map(|(name, _)| name.strip_prefix("try."));
    tries.filter(|name| !(alone && name.ends_with("-init"))).collect()
}

fn capabilities(seen: &Vector) -> usize {
    u64::from_str_radix(seen.get("status.CapBnd"), 16).expect("a mask").count_ones() as usize
}

/// AF_PACKET and AF_XDP go with CAP_NET_RAW, which is counted already.
fn families(seen: &Vector) -> usize {
    seen.list("sockets").iter().filter(|family| !["17", "44"].contains(family)).count()
}

fn shared_namespaces(seen: &Vector) -> usize {
    let is_ours = |kind: &&&str| {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("readlink");
        own.to_str() == Some(seen.get(&format!("ns.{kind}")))
    };
    ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"].iter().filter(is_ours).count()
}

fn secrets(seen: &Vector) -> usize {
    let told = |name: &str| name.starts_with("secret.") || name.starts_with("names.");
    let numbers = seen.0.iter().filter(|(name, _)| told(name)).filter_map(|(_, value)| value.parse::<usize>().ok());
    numbers.filter(|number| *number > 0).count()
}

fn unusual_variables(seen: &Vector) -> Vec<&str> {
    let usual = ["HOME", "HOSTNAME", "PATH", "TERM", "container", "PWD"];
    seen.list("environment").into_iter().filter(|name| !usual.contains(name)).collect()
}

fn reached(seen: &Vector) -> usize {
    seen.0
        .iter()
        .filter(|(name, _)| *name == "abstract" || name.starts_with("tcp."))
        .filter(|(_, a)| *a == "done")
        .count()
}

/// The numbers of the runner's user with this name, if there is one now.
fn user(name: &str) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = passwd.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":x:"))?.split(':');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

struct Judge {
    name: String,
    seen: Vector,
}

fn judge(name: &str, cmd: Cmd) -> Judge {
    let out = cmd.env("A_SECRET", "leaked").env("LISTEN_FDS", "1").timeout(120).out();
    println!("{name}: {}", out.shown);
    let out = out.exit(0);
    let mut seen = Vector::parse(&out.stdout);
    // The answers to system calls have names of two words.
    for line in out.stdout.lines() {
        let Some((name, answer)) = line.rsplit_once(' ') else { continue };
        if ["native ", "i386 ", "x32 "].iter().any(|abi| name.starts_with(abi)) {
            seen.0.insert(name.to_owned(), answer.to_owned());
        }
    }
    Judge { name: name.to_owned(), seen }
}

fn no_wall_is_lower_than_dockers_or_podmans(t: &Sandbox) {
    // What there is to be reached on the host.
    let abstract_name = format!("ccrun-it-walls-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
    let _unix = UnixListener::bind_addr(&address).expect("bind");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bind");
    let sections = [
        format!("abstract={abstract_name}"),
        format!("tcp={}", tcp.local_addr().expect("an address")),
        "all".to_owned(),
        "syscalls".to_owned(),
    ];
    let probe: Vec<&str> =
        ["/it", "--inside", "probe"].into_iter().chain(sections.iter().map(String::as_str)).collect();
    let mount = format!("{}:/it:ro", t.it);

    let mut ours = vec![judge("ccrun", t.inside(&[], &probe[2..]))];
    for (mode, name) in [("subuid", WITH), ("nosubuid", WITHOUT)] {
        let root = Path::new(&t.busybox).with_file_name("..").join(mode).join("busybox");
        let Some((uid, gid)) = user(name).filter(|_| root.exists()) else {
            println!("not asked for: {mode}");
            continue;
        };
        std::fs::create_dir(t.path(mode)).expect("mkdir");
        std::os::unix::fs::chown(t.path(mode), Some(uid), Some(gid)).expect("chown");
        let root = root.canonicalize().expect("a path");
        let root = root.to_str().expect("UTF-8");
        let run = |flags: &[&str], probe: &[&str]| {
            let words = [&["run", "--rm", "--rootfs", root, "-v", &mount], flags, probe].concat();
            let cmd = t.command(&t.ccrun, &words).env("CCRUN_ROOT", t.path(&format!("{mode}/store")));
            judge(mode, cmd.env("HOME", t.path(mode)).user(uid, gid))
        };
        // Where root is emulated there is a listener already, and a process can have one only: somebody who is not
        // root has none, and the same filter.
        let (last, others) = probe.split_last().expect("sections");
        let mut own = run(&[], others);
        own.seen.0.extend(run(&["--user", "1000"], &["/it", "--inside", "probe", last]).seen.0);
        ours.push(own);
    }

    let mut judges = Vec::new();
    {
        let engine = Engine::start(t);
        t.command("tar", &["-C", &t.busybox, "-cf", "busybox.tar", "."]).ok();
        engine.docker(&["import", "busybox.tar", "busybox"]).ok();
        let run = ["run", "--rm", "--network", "none", "-v", &mount, "busybox"];
        judges.push(judge("docker", engine.docker(&[&run[..], &probe].concat())));
    }
    if users::have("podman") {
        judges.push(judge("podman", podman(t, &mount, &probe)));
        let _ = std::fs::remove_dir_all(podman_run());
    } else {
        println!("podman is not installed");
    }
    let mut others = Vec::new();
    if users::have("bwrap") {
        others.extend(bwrap(t, &probe).map(|cmd| judge("bwrap", cmd)));
    } else {
        println!("bwrap (bubblewrap) is not installed");
    }
    let missing = 2 - judges.len() + 1 - others.len();

    let all: Vec<&Judge> = ours.iter().chain(&judges).chain(&others).collect();
    println!("{}", table(&all));
    let mut offences = Vec::new();
    for measure in MEASURES {
        for our in &ours {
            for judge in &judges {
                let (own, theirs) = ((measure.of)(&our.seen), (measure.of)(&judge.seen));
                let place = format!("{}: {} {own}, {} {theirs}", measure.name, our.name, judge.name);
                // A capability of a user namespace's is less than one of the host's, whatever its name.
                // What a younger profile knows more is looked at below.
                let lower = own > theirs
                    && !(measure.name == "capabilities" && judge.name == "podman")
                    && !measure.name.starts_with("calls of ");
                if lower {
                    offences.push(format!("weaker isolation: {place}"));
                } else if own != theirs && measure.why.is_empty() {
                    offences.push(format!("a difference without a reason: {place}"));
                }
            }
        }
    }
    for our in &ours {
        let own = succeeded(&our.seen);
        for judge in &judges {
            calls_are_no_more(our, judge, &mut offences);
            let theirs = succeeded(&judge.seen);
            let more = own.iter().filter(|name| !theirs.contains(name));
            offences.extend(more.map(|name| format!("{name} succeeds in {} and not in {}", our.name, judge.name)));
            let known = |name: &&&str| SUCCESSES.iter().any(|(known, _)| *known == **name);
            let fewer = theirs.iter().filter(|name| !own.contains(name)).filter(|name| !known(name));
            offences.extend(fewer.map(|name| format!("{name} succeeds in {} alone, without a reason", judge.name)));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
    if missing > 0 {
        crate::skip!("{missing} of Docker, podman and bwrap are not installed: ccrun was compared with the others");
    }
}

/// Where it keeps what runs; it wants this path short.
fn podman_run() -> String {
    format!("/run/ccrun-it-walls-{}", std::process::id())
}

/// It knows pure hosts only, and may not raise limits here.
fn podman(t: &Sandbox, mount: &str, probe: &[&str]) -> Cmd {
    let script = "mount --make-rprivate /; umount /sys/fs/cgroup/unified 2>/dev/null; exec podman \"$@\"";
    let (root, run) = (t.path("podman"), podman_run());
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let words = [
        &["-m", "sh", "-c", script, "sh", "--cgroup-manager=cgroupfs", "--root", &root, "--runroot", &run],
        &["--storage-driver", "vfs", "run", "--rm", "--cgroups=disabled", "--network", "none"][..],
        &limits,
        &["-v", mount, "--rootfs", &t.busybox],
        probe,
    ];
    t.command("unshare", &words.concat())
}

/// As an ordinary user, for whom it is made.
fn bwrap(t: &Sandbox, probe: &[&str]) -> Option<Cmd> {
    let (uid, gid) = user(WITHOUT).or(user(WITH))?;
    let words = ["--unshare-all", "--die-with-parent", "--new-session", "--uid", "0", "--gid", "0", "--clearenv"];
    let mounts = ["--ro-bind", &t.busybox, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"];
    let it = ["--ro-bind", &t.it, "/tmp/it", "/tmp/it"];
    Some(t.command("bwrap", &[&words[..], &mounts, &it, &probe[1..]].concat()).user(uid, gid))
}

fn table(all: &[&Judge]) -> String {
    let mut text = format!("{:26}", "");
    all.iter().for_each(|judge| text += &format!("{:>10}", judge.name));
    for measure in MEASURES {
        text += &format!("\n{:26}", measure.name);
        all.iter().for_each(|judge| text += &format!("{:>10}", (measure.of)(&judge.seen)));
    }
    let names: std::collections::BTreeSet<&String> =
        all.iter().flat_map(|judge| judge.seen.0.keys()).filter(|name| name.starts_with("try.")).collect();
    for name in names {
        text += &format!("\n{:26}", name.trim_start_matches("try."));
        all.iter().for_each(|judge| text += &format!("{:>10.9}", judge.seen.get(name)));
    }
    for name in ["sockets", "devices", "mounts.suid", "mounts.dev", "mounts.masks", "writable.proc", "environment"] {
        for judge in all {
            text += &format!("\n{name} of {}: {:.300}", judge.name, judge.seen.get(name));
        }
    }
    text
}
