//! `-t`: a real terminal inside, and the caller's own as it was before.

use crate::cases;
use crate::pty::Pty;
use crate::sandbox::{Sandbox, eventually};
use crate::sys;
use std::process::Command;

cases! {
    Every:
        a_terminal_has_its_name_size_and_type,
        the_window_size_is_followed,
        ctrl_c_reaches_the_command_alone,
        ctrl_z_stops_a_job_of_the_shell_inside,
        the_terminal_is_restored_on_every_way_out,
        without_t_the_callers_terminal_is_used_as_it_is,
        it_without_a_terminal_is_an_error,
}

fn on_a_terminal(t: &Sandbox, args: &[&str]) -> Pty {
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "--rm"]).args(args).env_clear().current_dir(&t.dir);
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", &t.dir)
        .env("CCRUN_ROOT", &t.store)
        .env("TERM", "vt52");
    Pty::spawn(command)
}

fn shell(t: &Sandbox) -> Pty {
    let mut pty = on_a_terminal(t, &["-it", "-e", "PS1=prompt> ", "--rootfs", &t.busybox, "/bin/sh"]);
    pty.expect("prompt> ");
    pty
}

fn a_terminal_has_its_name_size_and_type(t: &Sandbox) {
    let script = "tty; test -t 0 && test -t 1 && test -t 2 && echo three; stty size; echo $TERM; \
        ls -l /dev/console | cut -c1-10; stat -c %u:%t /dev/console";
    let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
    let (status, seen) = pty.wait();
    assert_eq!(status, 0, "{seen}");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/") || lines[0] == "/dev/console", "{seen}");
    assert_eq!(lines[1..4], ["three", "24 80", "xterm"], "{seen}");
    assert_eq!(lines[4], "crw--w----", "{seen}");
    assert!(lines[5].starts_with("0:88"), "a console that is no pts: {seen}");
    let mut pty = on_a_terminal(t, &["-t", "--rootfs", &t.busybox, "env"]);
    let (_, seen) = pty.wait();
    let mut names: Vec<&str> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort();
    assert_eq!(names, ["HOME", "HOSTNAME", "PATH", "TERM"]);
    // Output is the terminal's: both streams, with its line ends.
    let mut pty = on_a_terminal(t, &["-t", "--rootfs", &t.busybox, "/bin/sh", "-c", "echo out; echo err >&2; exit 4"]);
    let (status, seen) = pty.wait();
    assert_eq!((status, seen.replace("\r\r", "\r").as_str()), (4, "out\r\nerr\r\n"));
}

fn the_window_size_is_followed(t: &Sandbox) {
    let script = "trap 'echo resized to $(stty size)' WINCH; echo ready; for i in $(seq 200); do sleep 0.05; done";
    let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
    pty.expect("ready");
    pty.resize(50, 132);
    pty.expect("resized to 50 132");
    pty.resize(10, 40);
    pty.expect("resized to 10 40");
    pty.send("\x03");
    assert_eq!(pty.wait().0, 130);
}

fn ctrl_c_reaches_the_command_alone(t: &Sandbox) {
    let mut pty = shell(t);
    pty.send("sleep 91.1; echo status $?\r");
    pty.expect("status $?");
    crate::procs::with_args(&["sleep", "91.1"]);
    pty.send("\x03");
    pty.expect("prompt> ");
    pty.send("echo still $((40 + 2))\r");
    pty.expect("still 42");
    // Ctrl-\ and Ctrl-D, too.
    pty.send("sleep 91.5\r");
    crate::procs::with_args(&["sleep", "91.5"]);
    pty.send("\x1c");
    pty.expect("prompt> ");
    pty.send("cat -\r");
    crate::procs::with_args(&["cat", "-"]);
    pty.send("words\r\x04");
    pty.expect("words\r\nwords\r\n");
    pty.expect("prompt> ");
    pty.send("\x04");
    assert_eq!(pty.wait().0, 0);
}

fn ctrl_z_stops_a_job_of_the_shell_inside(t: &Sandbox) {
    let mut pty = shell(t);
    pty.send("sleep 91.2\r");
    let sleep = crate::procs::with_args(&["sleep", "91.2"]);
    let is_stopped = || crate::procs::status(sleep, "State").first().is_some_and(|state| state == "T");
    pty.send("\x1a");
    eventually("it stops", is_stopped);
    pty.expect("Stopped");
    pty.expect("prompt> ");
    pty.send("jobs\r");
    pty.expect("sleep 91.2");
    pty.send("fg\r");
    eventually("it goes on", || !is_stopped());
    pty.send("\x03");
    pty.expect("prompt> ");
    pty.send("ps -o comm | grep -c ^sleep; exit 6\r");
    pty.expect("\r\n0\r\n");
    assert_eq!(pty.wait().0, 6);
}

fn the_terminal_is_restored_on_every_way_out(t: &Sandbox) {
    // The command's own end, with the terminal left in disorder inside.
    let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "/bin/sh", "-c", "stty raw -echo; exit 0"]);
    let before = sys_flags_of_a_new_terminal();
    assert_eq!(pty.wait().0, 0);
    assert_eq!(pty.flags(), before, "after a normal end");
    // An error on the way in.
    let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "nosuchprogram"]);
    assert_eq!(pty.wait().0, 127);
    assert_eq!(pty.flags(), before, "after an error");
    // Signals to ccrun itself.
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        let script = "trap 'exit 3' TERM HUP INT QUIT; echo ready; while :; do sleep 0.05; done";
        let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "/bin/sh", "-c", script]);
        pty.expect("ready");
        assert_ne!(pty.flags(), before, "raw while it runs");
        sys::kill(pty.pid(), signal).expect("kill");
        assert_eq!(pty.wait().0, 3, "signal {signal}");
        assert_eq!(pty.flags(), before, "after signal {signal}");
    }
    // The container's sudden death.
    let mut pty = on_a_terminal(t, &["-it", "--rootfs", &t.busybox, "/bin/sh", "-c", "echo ready; exec sleep 91.3"]);
    pty.expect("ready");
    let init = crate::procs::status(crate::procs::with_args(&["sleep", "91.3"]), "PPid")[0].parse().expect("a pid");
    sys::kill(init, libc::SIGKILL).expect("kill");
    assert_ne!(pty.wait().0, 0);
    assert_eq!(pty.flags(), before, "after the container's death");
    t.nothing_left();
}

fn sys_flags_of_a_new_terminal() -> (u32, u32, u32, u32) {
    let (_ours, theirs) = sys::openpty(24, 80).expect("openpty");
    sys::terminal_flags(std::os::fd::AsRawFd::as_raw_fd(&theirs))
}

fn without_t_the_callers_terminal_is_used_as_it_is(t: &Sandbox) {
    let mut pty = on_a_terminal(t, &["-i", "--rootfs", &t.busybox, "/bin/sh", "-c", "echo ready; read x; echo got $x"]);
    pty.expect("ready");
    pty.send("words\n");
    pty.expect("got words");
    assert_eq!(pty.wait().0, 0);
    // Ctrl-C there is the caller's, and reaches the command through ccrun.
    let mut pty = on_a_terminal(t, &["--rootfs", &t.busybox, "/bin/sh", "-c", "echo ready; exec sleep 91.4"]);
    pty.expect("ready");
    pty.send("\x03");
    assert_eq!(pty.wait().0, 130);
    t.nothing_left();
}

fn it_without_a_terminal_is_an_error(t: &Sandbox) {
    let out = t.run(&["-it", "true"]).out();
    assert!(matches!(out.status, 1 | 125) && out.stderr.contains("TTY"), "{} {}", out.status, out.stderr);
    // Output that is no terminal is fine: -t makes one inside all the same.
    t.run(&["-t", "/bin/sh", "-c", "test -t 1 && echo a terminal"]).ok().prints("a terminal\r\n");
    t.nothing_left();
}
