//! What is not a file: the network, the terminal's reader, other processes, and what all have to share.

use super::{all_are, times};
use crate::pty::Pty;
use crate::sandbox::{Mode, Out, Sandbox};
use crate::tar::Tar;
use crate::{cases, procs};
use serde_json::json;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

cases! {
    Every:
        e18_escapes_in_text,
        e19_abstract_sockets,
        e24_a_strangers_number,
        e31_using_up_the_host,
        e32_services_of_the_host;
}

const EVIL: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{7f}";

#[track_caller]
fn harmless(out: &Out, text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.chars().any(bad), "{}: {text:?}", out.shown);
}

/// Names and words from outside are shown, and do not act.
fn e18_escapes_in_text(t: &Sandbox) {
    // In every error, whatever was named.
    let commands: &[&[&str]] = &[
        &["run", "--rm", "IMAGE-EVIL"],
        &["run", "--rm", "--name", "EVIL", "--rootfs", "BUSYBOX", "true"],
        &["run", "--rm", "--user", "EVIL", "--rootfs", "BUSYBOX", "true"],
        &["run", "--rm", "-w", "EVIL", "--rootfs", "BUSYBOX", "true"],
        &["run", "--rm", "-v", "EVIL:/EVIL:EVIL", "--rootfs", "BUSYBOX", "true"],
        &["run", "--rm", "--rootfs", "BUSYBOX", "EVIL"],
        &["run", "--EVIL"],
        &["EVIL"],
        &["rm", "EVIL"],
        &["rmi", "EVIL"],
        &["inspect", "EVIL"],
        &["tag", "EVIL", "EVIL"],
        &["load", "-i", "EVIL"],
    ];
    for words in &commands[..times(commands.len())] {
        let words: Vec<String> =
            words.iter().map(|word| word.replace("EVIL", EVIL).replace("BUSYBOX", &t.busybox)).collect();
        let out = t.ccrun(&words.iter().map(String::as_str).collect::<Vec<_>>()).out();
        assert_ne!(out.status, 0, "{}", out.shown);
        harmless(&out, &out.stderr);
    }
    // In every list, on a terminal: what the image says of itself, and what was run.
    t.load("evil", Tar::new(), &[("Labels", json!({ EVIL: EVIL })), ("Env", json!([format!("A={EVIL}")]))]);
    t.ccrun(&["run", "--name", "job", "evil", "/bin/true", EVIL]).ok();
    let shown: [&[&str]; 5] = [
        &["ps", "-a", "--no-trunc"],
        &["images"],
        &["history", "evil"],
        &["inspect", "evil"],
        &["inspect", "-f", "{{.Config.Labels}} {{.Config.Env}}", "evil"],
    ];
    for words in shown {
        let mut command = Command::new(&t.ccrun);
        command.args(words).env_clear().current_dir(&t.dir).env("CCRUN_ROOT", &t.store).env("HOME", &t.dir);
        let (status, seen) = Pty::spawn(command).wait();
        assert_eq!(status, 0, "{words:?}: {seen}");
        let bad = |c: char| (c.is_control() && !"\r\n\t".contains(c)) || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!seen.chars().any(bad), "{words:?}: {seen:?}");
    }
    t.ccrun(&["rm", "job"]).ok();
}

/// CVE-2020-15257: they have no file, and the network namespace alone keeps them apart.
fn e19_abstract_sockets(t: &Sandbox) {
    let name = format!("ccrun-it-{}-{}", std::process::id(), t.mode.name());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("bind");
    let section = format!("abstract={name}");
    // It is there to be found.
    t.command(&t.it, &["--inside", "probe", &section]).ok().prints("abstract done\n");
    for flags in [&[][..], &["--no-init"], &["--network", "none"]] {
        assert_eq!(t.probe(flags, &[&section]).get("abstract"), "ECONNREFUSED", "{flags:?}");
    }
    // Who gives the host's network gives these as well, and is told so.
    let out = t.inside(&["--network", "host"], &["probe", &section]).ok();
    assert_eq!(out.stdout, "abstract done\n");
    out.says("abstract sockets");
}

/// The number of a process in a file may be another's by now.
fn e24_a_strangers_number(t: &Sandbox) {
    let mut stranger = Command::new("sleep").arg("300").spawn().expect("sleep");
    let number = stranger.id();
    let alive = |stranger: &mut std::process::Child| stranger.try_wait().expect("wait").is_none();
    let live = |t: &Sandbox| {
        let ids = t.names_in("live");
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids[0].clone()
    };
    // Writes another number in place of its PID 1's, or of both.
    let renumber = |t: &Sandbox, id: &str, names: &[&str]| {
        let path = t.store.join("containers").join(id).join("state.json");
        let text = std::fs::read(&path).expect("read");
        let mut state: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        names.iter().for_each(|name| state[*name]["pid"] = number.into());
        std::fs::write(&path, state.to_string()).expect("write");
    };
    // A container whose supervisor was killed, and whose init's number was given to somebody else.
    let job = t.run(&["/bin/sleep", "71.1"]).spawn();
    procs::with_args(&["/bin/sleep", "71.1"]);
    let id = live(t);
    job.signal(libc::SIGKILL);
    assert_eq!(job.wait().status, 137);
    renumber(t, &id, &["supervisor", "init"]);
    t.ccrun(&["rm", "-f", &id]).out();
    assert!(alive(&mut stranger), "a stranger was killed");
    // One that runs, with wrong numbers on record: another's child is not its init.
    let job = t.run(&["/bin/sleep", "72.2"]).spawn();
    procs::with_args(&["/bin/sleep", "72.2"]);
    let id = live(t);
    renumber(t, &id, &["init"]);
    let removal = t.ccrun(&["rm", "-f", &id]).timeout(30).spawn();
    crate::sandbox::pause(500);
    assert!(alive(&mut stranger), "a stranger was killed");
    job.signal(libc::SIGTERM);
    job.wait();
    removal.wait();
    assert!(alive(&mut stranger), "a stranger was killed");
    stranger.kill().and_then(|()| stranger.wait()).expect("the stranger's end");
}

/// Files in memory end somewhere; processes and memory can be bounded.
fn e31_using_up_the_host(t: &Sandbox) {
    let fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=80 2>&1 | grep -c 'No space left'; wc -c </dev/shm/x; rm /dev/shm/x; \
        dd if=/dev/zero of=/dev/x bs=1M count=80 2>&1 | grep -c 'No space left'; wc -c </dev/x";
    t.sh(fill).ok().prints("1\n67108864\n1\n67108864\n");
    // A bomb is stopped where limits can be had; where not, it is said and nothing is run.
    let bomb = "b() { b | b & }; b; sleep 1; echo over";
    let out = t.run(&["--pids-limit", "64", "/bin/sh", "-c", bomb]).timeout(60).out();
    if t.mode == Mode::Root {
        assert_ne!(out.status, 125, "{}", out.stderr);
    } else if out.status == 125 {
        out.error(125, "");
    } else {
        assert!(crate::sandbox::list("/sys/fs/cgroup".as_ref()).contains(&"cgroup.procs".to_owned()));
    }
    t.nothing_left();
}

fn e32_services_of_the_host(t: &Sandbox) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let own = format!("tcp={}", listener.local_addr().expect("an address"));
    t.command(&t.it, &["--inside", "probe", &own]).ok().has(" done\n");
    let seen = t.probe(&[], &[&own, "tcp=169.254.169.254:80", "tcp=10.0.2.2:80"]);
    assert_eq!(seen.get(&own.replace('=', ".")), "ECONNREFUSED");
    seen.all(&["tcp.169.254.169.254:80", "tcp.10.0.2.2:80"], "ENETUNREACH");
    // Nor by way of a packet of its own making.
    all_are(&t.attempts(&[], &["socket-vsock"]), &["socket-vsock"], &["EPERM"]);
    let links = t.sh("ls /sys/class/net").ok();
    links.prints("lo\n");
}
