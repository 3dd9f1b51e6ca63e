//! The owner of a container with the user's terminal, and the client in front of it.

use crate::pty::Pty;
use crate::sandbox::{Sandbox, eventually, pause};
use crate::{cases, procs, sys};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

cases! {
    Every:
        a_user_who_detaches_leaves_the_container_running,
        other_keys_than_those_to_detach_go_through,
        a_client_that_dies_hangs_the_terminal_up,
        a_client_that_dies_early_leaves_nothing,
        a_client_tells_of_a_killed_supervisor,
        an_owner_has_nothing_of_the_callers,
        what_is_said_at_the_end_comes_after_the_terminal,
        the_control_socket_is_its_owners,
        nobody_waits_for_a_client_that_does_not_read,
        a_container_cannot_flood_its_supervisor,
        removal_needs_no_state,
        lost_output_of_a_terminal_is_told,
        a_terminal_whose_reader_has_gone_hangs_up;
    Root:
        a_detached_container_holds_no_lock_on_images,
}

fn on_a_terminal(t: &Sandbox, args: &[&str]) -> Pty {
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "-it"]).args(args).env_clear().current_dir(&t.dir);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    Pty::spawn(command)
}

fn shell(t: &Sandbox, flags: &[&str]) -> Pty {
    let of_shell = ["-e", "PS1=prompt> ", "--rootfs", &t.busybox, "/bin/sh"];
    let mut pty = on_a_terminal(t, &[flags, &of_shell].concat());
    pty.expect("prompt> ");
    pty
}

fn status_of(t: &Sandbox, name: &str) -> String {
    t.ccrun(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]).ok().line().to_owned()
}

fn a_user_who_detaches_leaves_the_container_running(t: &Sandbox) {
    let mut pty = shell(t, &["--name", "box"]);
    let before = pty.flags();
    pty.send("while :; do echo 93.1; sleep 0.05; done\r");
    pty.expect("93.1\r\n93.1");
    pty.send("\x10\x11");
    let (status, _) = pty.wait();
    assert_eq!(status, 0);
    assert_ne!(pty.flags(), before, "the terminal is raw still");
    // It writes on and does not wait for anybody.
    pause(300);
    assert_eq!(status_of(t, "box"), "running 0");
    t.ccrun(&["ps", "--format", "{{.Names}}"]).ok().prints("box\n");
    t.ccrun(&["rm", "box"]).out().error(1, "You cannot remove a running container");
    t.ccrun(&["rm", "-f", "box"]).ok();
    t.nothing_left();
    // With --rm it goes when it ends.
    let mut pty = shell(t, &["--rm", "--name", "box"]);
    pty.send("sleep 1\r");
    pty.send("exit 7\r");
    pty.send("\x10\x11");
    assert_eq!(pty.wait().0, 0);
    assert_eq!(status_of(t, "box"), "running 0");
    eventually("it is gone", || t.names_in("containers").is_empty() && t.names_in("tmp").is_empty());
    t.nothing_left();
}

fn other_keys_than_those_to_detach_go_through(t: &Sandbox) {
    let script = "stty raw -echo; echo ready; head -c 4 | od -An -tx1; echo; echo done";
    let mut pty = on_a_terminal(t, &["--rm", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
    pty.expect("ready");
    for keys in ["\x10", "a", "\x11", "\x10", "b"] {
        pty.send(keys);
        pause(20);
    }
    pty.expect("10 61 11 10");
    pty.expect("done");
    assert_eq!(pty.wait().0, 0);
    t.nothing_left();
}

fn a_client_that_dies_hangs_the_terminal_up(t: &Sandbox) {
    let script = "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done";
    let mut pty = on_a_terminal(t, &["--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
    pty.expect("ready");
    sys::kill(pty.pid(), libc::SIGKILL).expect("kill");
    pty.wait();
    eventually("its end", || status_of(t, "box") != "running 0");
    assert_eq!(status_of(t, "box"), "exited 9");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_client_that_dies_early_leaves_nothing(t: &Sandbox) {
    for wait in 0..30 {
        let command = ["--rm", "--rootfs", &t.busybox, "sleep", "93.2"];
        let mut pty = on_a_terminal(t, &command);
        std::thread::sleep(std::time::Duration::from_micros(500 * wait));
        sys::kill(pty.pid(), libc::SIGKILL).expect("kill");
        pty.wait();
    }
    eventually("all dead", || procs::find_args(&["sleep", "93.2"]).is_empty());
    eventually("all gone", || t.names_in("containers").is_empty() && t.names_in("tmp").is_empty());
    t.nothing_left();
}

fn a_client_tells_of_a_killed_supervisor(t: &Sandbox) {
    let mut pty = shell(t, &["--name", "box"]);
    let before = pty.flags();
    let supervisor = t.ccrun(&["inspect", "-f", "{{.State.Pid}}", "box"]).ok().line().parse().expect("a pid");
    let supervisor: i32 = procs::status(supervisor, "PPid")[0].parse().expect("a pid");
    assert_ne!(supervisor, pty.pid());
    sys::kill(supervisor, libc::SIGKILL).expect("kill");
    let (status, seen) = pty.wait();
    assert_eq!(status, 137, "{seen}");
    assert!(seen.contains("ccrun: the container's supervisor was killed"), "{seen}");
    assert_ne!(pty.flags(), before, "the terminal is raw still");
    eventually("its end", || status_of(t, "box") == "exited 137");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn an_owner_has_nothing_of_the_callers(t: &Sandbox) {
    let mut pty = shell(t, &["--rm", "--name", "box"]);
    let init: i32 = t.ccrun(&["inspect", "-f", "{{.State.Pid}}", "box"]).ok().line().parse().expect("a pid");
    let supervisor: i32 = procs::status(init, "PPid")[0].parse().expect("a pid");
    let link = |name: &str| std::fs::read_link(format!("/proc/{supervisor}/{name}")).expect("a link");
    assert_eq!(link("cwd").to_str(), Some("/"));
    assert_eq!((link("fd/0").to_str(), link("fd/1").to_str()), (Some("/dev/null"), Some("/dev/null")));
    for entry in std::fs::read_dir(format!("/proc/{supervisor}/fd")).expect("fd") {
        let link = std::fs::read_link(entry.expect("an entry").path()).unwrap_or_default();
        assert!(!link.starts_with("/dev/pts") || link.ends_with("ptmx"), "it holds {}", link.display());
    }
    let stat = std::fs::read_to_string(format!("/proc/{supervisor}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    // Its session, and the controlling terminal that it has not.
    assert_eq!((fields[3], fields[4]), (supervisor.to_string().as_str(), "0"));
    pty.send("exit\r");
    assert_eq!(pty.wait().0, 0);
    t.nothing_left();
}

fn what_is_said_at_the_end_comes_after_the_terminal(t: &Sandbox) {
    let args = ["--rm", "--stats", "--rootfs", &t.busybox, "/bin/sh", "-c", "seq 5000; echo last"];
    let (status, seen) = on_a_terminal(t, &args).wait();
    assert_eq!(status, 0);
    let (output, said) = seen.split_once("last\r\n").unwrap_or_else(|| panic!("{seen}"));
    let lines: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!((lines.len(), lines.first(), lines.last()), (5000, Some(&"1"), Some(&"5000")));
    assert!(said.starts_with("ccrun: wall ") && said.ends_with("\r\n"), "{said:?}");
    t.nothing_left();
}

fn the_control_socket_is_its_owners(t: &Sandbox) {
    let mut pty = shell(t, &["--name", "box"]);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "box"]).ok().line().to_owned();
    let path = t.store.join("containers").join(&id).join("control");
    let meta = std::fs::symlink_metadata(&path).expect("a socket");
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.mode() & 0o777, 0o600);
    pty.send("exit\r");
    assert_eq!(pty.wait().0, 0);
    assert!(!path.exists());
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_detached_container_holds_no_lock_on_images(t: &Sandbox) {
    let mut pty = shell(t, &["--name", "box"]);
    t.ccrun(&["image", "prune", "-f"]).timeout(10).ok();
    pty.send("\x10\x11");
    assert_eq!(pty.wait().0, 0);
    t.ccrun(&["image", "prune", "-f"]).timeout(10).ok();
    t.ccrun(&["rm", "-f", "box"]).ok();
    t.nothing_left();
}

/// `ccrun run -it FLAGS… --rootfs BUSYBOX /bin/sh -c SCRIPT`, with its output redirected by the shell.
fn redirected(t: &Sandbox, script: &str, behind: &str) -> (i32, String) {
    let run = format!("'{}' run -it --rm --rootfs '{}' /bin/sh -c '{script}' {behind}", t.ccrun, t.busybox);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &run]).env_clear().current_dir(&t.dir);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    Pty::spawn(command).wait()
}

fn nobody_waits_for_a_client_that_does_not_read(t: &Sandbox) {
    let cases: [(&[&str], &str, i32); 3] = [
        (&["rm", "-f", "box"], "echo ready; yes", 137),
        (&["stop", "-t", "0", "box"], "trap : TERM; echo ready; while :; do yes; done", 137),
        (&["stop", "box"], "echo ready; yes", 143),
    ];
    for (end, script, code) in cases {
        let mut pty = on_a_terminal(t, &["--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
        pty.expect("ready");
        sys::kill(pty.pid(), libc::SIGSTOP).expect("kill");
        pause(300);
        t.ccrun(end).timeout(10).ok();
        sys::kill(pty.pid(), libc::SIGCONT).expect("kill");
        assert_eq!(pty.wait().0, code, "{end:?}");
        t.ccrun(&["rm", "-f", "box"]).ok();
        t.nothing_left();
    }
}

fn a_container_cannot_flood_its_supervisor(t: &Sandbox) {
    // More reports than a socket has room for, and the client reads none.
    let flood =
        "(for at in $(seq 500); do kill -STOP 2; usleep 500; kill -CONT 2; usleep 500; done; echo done >/flooded)";
    let script = format!("echo ready; read x; {flood} & wait; while :; do sleep 0.1; done");
    let command = ["--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", &script];
    let mut pty = on_a_terminal(t, &command);
    pty.expect("ready");
    pty.send("go\r");
    pty.expect("go\r\n");
    sys::kill(pty.pid(), libc::SIGSTOP).expect("kill");
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "box"]).ok().line().to_owned();
    let flooded = t.store.join("containers").join(id).join("upper/flooded");
    eventually("the flood's end", || flooded.exists());
    t.ccrun(&["rm", "-f", "box"]).timeout(10).ok();
    sys::kill(pty.pid(), libc::SIGCONT).expect("kill");
    assert_eq!(pty.wait().0, 137);
    t.nothing_left();
}

fn removal_needs_no_state(t: &Sandbox) {
    let mut pty = shell(t, &["--name", "box"]);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "box"]).ok().line().to_owned();
    std::fs::write(t.store.join("containers").join(id).join("state.json"), "{}").expect("write");
    t.ccrun(&["rm", "-f", "box"]).timeout(10).ok();
    assert_eq!(pty.wait().0, 137);
    t.nothing_left();
}

fn lost_output_of_a_terminal_is_told(t: &Sandbox) {
    let (status, seen) = redirected(t, "trap : HUP; echo lost", ">/dev/full");
    assert_ne!(status, 0, "{seen}");
    assert!(seen.contains("ccrun: output of the container was lost: "), "{seen}");
    t.nothing_left();
}

fn a_terminal_whose_reader_has_gone_hangs_up(t: &Sandbox) {
    let (_, seen) = redirected(t, "echo line; yes", "| head -n 1");
    assert!(seen.starts_with("line"), "{seen}");
    t.nothing_left();
}
