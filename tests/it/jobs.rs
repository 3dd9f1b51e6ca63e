//! The caller's terminal stays the caller's: job control of a real shell on a real terminal, outside and inside.

use crate::cases;
use crate::pty::Pty;
use crate::sandbox::{Sandbox, eventually, pause};
use crate::{procs, sys};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

cases! {
    Every:
        a_command_on_a_terminal_has_one_inside_without_being_asked,
        a_background_job_leaves_what_is_typed_to_the_shell,
        nothing_inside_changes_the_callers_terminal,
        ctrl_z_stops_the_command_and_the_job,
        ctrl_c_ends_a_loop_of_the_shell,
        explicit_it_in_the_background_stops,
        explicit_i_in_the_background_stops,
        every_process_of_the_terminal_is_seen_inside,
        output_to_a_terminal_is_copied_in_order,
        a_stop_without_a_shell_goes_on_at_once,
        a_supervisor_that_waits_takes_no_time,
        a_terminal_that_nobody_reads_holds_no_signal_up,
        a_job_that_waits_for_the_terminal_holds_no_lock,
        a_hang_up_is_told_once,
        a_hang_up_without_a_signal_is_noticed,
        tostop_stops_a_background_job_that_writes,
}

/// An interactive shell on a terminal; its prompt is `host> `.
fn shell(t: &Sandbox) -> Pty {
    let mut command = Command::new("/bin/sh");
    command.arg("-i").env_clear().current_dir(&t.dir);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    command.env("PS1", "host> ").env("ENV", "/dev/null").env("TERM", "dumb");
    let mut pty = Pty::spawn(command);
    pty.expect("host> ");
    pty
}

/// `ccrun run --rm [FLAGS] --rootfs BUSYBOX`.
fn run(t: &Sandbox, flags: &str) -> String {
    format!("{} run --rm {flags} -e PS1='inside> ' --rootfs {}", t.ccrun, t.busybox)
}

fn type_line(pty: &mut Pty, line: &str) {
    pty.send(&format!("{line}\r"));
    // The echo of what was typed, which wraps at the edge of the window.
    pty.expect("\n");
}

/// Types a command line to the shell outside and waits for its prompt; returns what came before.
fn ask(pty: &mut Pty, line: &str) -> String {
    pty.send(&format!("{line}; echo 'do''ne'\r"));
    let seen = pty.expect("done\r\n");
    pty.expect("host> ");
    seen
}

fn alone(t: &Sandbox, args: &[&str]) -> Pty {
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "--rm", "--rootfs", &t.busybox]).args(args).env_clear().current_dir(&t.dir);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
    Pty::spawn(command)
}

fn a_command_on_a_terminal_has_one_inside_without_being_asked(t: &Sandbox) {
    let mut pty = shell(t);
    type_line(&mut pty, &format!("{} /bin/sh", run(t, "")));
    pty.expect("inside> ");
    pty.send("tty; echo $TERM; stty size; exit 5\r");
    let seen = pty.expect("24 80");
    assert!(seen.contains("/dev/pts/") && seen.contains("xterm"), "{seen}");
    pty.expect("host> ");
    assert!(ask(&mut pty, "echo status $?").contains("status 5"));
    // stderr somewhere else stays there.
    let err = t.path("err");
    type_line(&mut pty, &format!("{} /bin/sh -c 'test -t 1 && echo out is one; echo err >&2' 2>{err}", run(t, "")));
    pty.expect("out is one");
    pty.expect("host> ");
    assert_eq!(std::fs::read_to_string(&err).expect("read"), "err\n");
    // With any stream that is no terminal, or when told so, there is none.
    for (flags, redirected) in [("", "< /dev/null"), ("", "| cat"), ("-t=false", ""), ("-i=false", "")] {
        let line = format!("{} /bin/sh -c 'tty; test -t 1 || echo out is none' {redirected}", run(t, flags));
        let seen = ask(&mut pty, &line);
        assert!(seen.contains("not a tty") && seen.contains("out is none"), "{flags} {redirected}: {seen}");
    }
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn a_background_job_leaves_what_is_typed_to_the_shell(t: &Sandbox) {
    let mut pty = shell(t);
    let script = "read a; echo \"got=$a=\"; sleep 0.3; echo late";
    type_line(&mut pty, &format!("{} /bin/sh -c '{script}' &", run(t, "")));
    pty.expect("got==");
    assert!(ask(&mut pty, "read line; echo \"shell has $line\"\rtyped words\recho").contains("shell has typed words"));
    ask(&mut pty, "wait");
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn nothing_inside_changes_the_callers_terminal(t: &Sandbox) {
    let mut pty = shell(t);
    let before = ask(&mut pty, "stty -g");
    let before = before.lines().last().expect("settings").to_owned();
    for (flags, redirected) in
        [("", ""), ("-t", ""), ("-i", ""), ("", "> out"), ("", "< /dev/null"), ("-it", ""), ("", "&")]
    {
        type_line(&mut pty, &format!("{} stty raw -echo {redirected}", run(t, flags)));
        pty.expect("host> ");
        ask(&mut pty, "wait");
        let now = ask(&mut pty, "stty -g");
        assert_eq!(now.lines().last(), Some(before.as_str()), "run {flags} stty raw -echo {redirected}");
    }
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn stopped(pid: i32) -> bool {
    procs::status(pid, "State").first().is_some_and(|state| state == "T")
}

fn ctrl_z_stops_the_command_and_the_job(t: &Sandbox) {
    let mut pty = shell(t);
    let before = ask(&mut pty, "stty -g");
    for flags in ["", "-it"] {
        type_line(&mut pty, &format!("{} sleep 92.1", run(t, flags)));
        let sleep = procs::with_args(&["sleep", "92.1"]);
        pause(200);
        pty.send("\x1a");
        pty.expect("topped");
        pty.expect("host> ");
        assert!(stopped(sleep), "{flags}");
        let now = ask(&mut pty, "stty -g");
        assert_eq!(now.lines().last(), before.lines().last(), "restored while stopped, {flags}");
        pty.send("fg\r");
        eventually("it goes on", || !stopped(sleep));
        eventually("raw again", || pty.flags().3 & libc::ICANON == 0);
        pty.send("\x03");
        pty.expect("host> ");
        assert!(ask(&mut pty, "echo status $?").contains("status 130"), "{flags}");
        let now = ask(&mut pty, "stty -g");
        assert_eq!(now.lines().last(), before.lines().last(), "restored at the end, {flags}");
    }
    // What was not asked for a terminal goes on in the background, and reads no keys there.
    type_line(&mut pty, &format!("{} /bin/sh -c 'sleep 92.2; read a; echo read $a'", run(t, "")));
    let sleep = procs::with_args(&["sleep", "92.2"]);
    pause(200);
    pty.send("\x1a");
    pty.expect("topped");
    pty.expect("host> ");
    eventually("the whole group stops", || stopped(sleep));
    pty.send("bg\r");
    eventually("it goes on in the background", || !stopped(sleep));
    assert!(ask(&mut pty, "echo for the shell").contains("for the shell"));
    sys::kill(sleep, libc::SIGKILL).expect("kill");
    pty.send("fg\r");
    eventually("raw again", || pty.flags().3 & libc::ICANON == 0);
    pty.send("for the job\r");
    pty.expect("read for the job");
    pty.expect("host> ");
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn ctrl_c_ends_a_loop_of_the_shell(t: &Sandbox) {
    let mut pty = shell(t);
    for redirected in ["", "< /dev/null"] {
        let command = format!("{} sleep 92.3 {redirected}", run(t, ""));
        type_line(&mut pty, &format!("for turn in 1 2 3; do echo 'tu''rn' $turn; {command}; done; echo 'af''ter'"));
        pty.expect("turn 1");
        procs::with_args(&["sleep", "92.3"]);
        pause(200);
        pty.send("\x03");
        let seen = pty.expect("host> ");
        assert!(!seen.contains("turn 2"), "the loop went on, {redirected:?}: {seen}");
    }
    pty.send("exit\r");
    pty.wait();
    // The caller sees the signal itself; where a terminal was asked for, the status that Docker gives.
    for (args, signal) in [(&["sleep", "92.4"][..], Some(libc::SIGINT)), (&["-t", "sleep", "92.4"], None)] {
        let mut pty = if args[0] == "-t" {
            let mut command = Command::new(&t.ccrun);
            command.args(["run", "--rm", "-it", "--rootfs", &t.busybox, "sleep", "92.4"]).env_clear();
            command.env("PATH", "/usr/bin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
            Pty::spawn(command)
        } else {
            alone(t, args)
        };
        procs::with_args(&["sleep", "92.4"]);
        pause(200);
        pty.send("\x03");
        let status = pty.wait_status();
        assert_eq!((status.signal(), status.code()), (signal, signal.map_or(Some(130), |_| None)), "{args:?}");
    }
    t.nothing_left();
}

fn explicit_it_in_the_background_stops(t: &Sandbox) {
    let mut pty = shell(t);
    let before = ask(&mut pty, "stty -g");
    type_line(&mut pty, &format!("{} /bin/sh &", run(t, "-it")));
    eventually("it stops", || ask(&mut pty, "jobs").contains("topped"));
    let now = ask(&mut pty, "stty -g");
    assert_eq!(now.lines().last(), before.lines().last());
    pty.send("fg\r");
    pty.expect("inside> ");
    pty.send("echo $((40 + 2))\r");
    pty.expect("42");
    pty.expect("inside> ");
    pty.send("exit 7\r");
    pty.expect("host> ");
    assert!(ask(&mut pty, "echo status $?").contains("status 7"));
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn explicit_i_in_the_background_stops(t: &Sandbox) {
    let mut pty = shell(t);
    type_line(&mut pty, &format!("{} /bin/sh -c 'read a; echo \"got=$a=\"' &", run(t, "-i")));
    eventually("it stops", || ask(&mut pty, "jobs").contains("topped"));
    assert!(ask(&mut pty, "read x; echo \"shell has $x\"\rwords\recho").contains("shell has words"));
    pty.send("fg\r");
    pty.expect("\n");
    pause(300);
    pty.send("for the job\r");
    pty.expect("got=for the job=");
    pty.expect("host> ");
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

fn every_process_of_the_terminal_is_seen_inside(t: &Sandbox) {
    // Not the first terminal of the machine, whose number the container's own has, too.
    let _first = sys::openpty(24, 80).expect("openpty");
    for flags in [&["-it"][..], &["-t"], &[]] {
        let script = "cut -d' ' -f1,5,7 /proc/1/stat; cut -d' ' -f1,5,7,8 /proc/$$/stat";
        let args = [flags, &["/bin/sh", "-c", script]].concat();
        let mut pty = alone(t, &args);
        let (status, seen) = pty.wait();
        assert_eq!(status, 0, "{seen}");
        let lines: Vec<Vec<&str>> = seen.lines().map(|line| line.split_whitespace().collect()).collect();
        let [init, command] = &lines[..] else { panic!("{seen}") };
        // Process, its group, its terminal, the terminal's foreground group.
        assert_eq!((init[0], init[1]), ("1", "1"), "{flags:?}: {seen}");
        assert_eq!(command[0], command[1], "the command leads its group, {flags:?}: {seen}");
        assert_eq!(command[3], command[0], "the command is in the foreground, {flags:?}: {seen}");
        assert!(init[2] == command[2] && init[2] != "0", "one terminal, {flags:?}: {seen}");
    }
    if std::path::Path::new("/bin/ps").exists() && !std::path::Path::new("/bin/ps").is_symlink() {
        let mut command = Command::new(&t.ccrun);
        command.args(["run", "--rm", "/bin/sh", "-c", "ps; :"]).env_clear().current_dir(&t.dir);
        command.env("PATH", "/usr/bin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
        let (status, seen) = Pty::spawn(command).wait();
        let names: Vec<&str> = seen.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!((status, &names[..]), (0, &["ccrun", "sh", "ps"][..]), "{seen}");
    }
    t.nothing_left();
}

fn output_to_a_terminal_is_copied_in_order(t: &Sandbox) {
    let script = "i=0; while [ $i -lt 50 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; test -t 1 || echo none; ls -l /proc/self/fd";
    let mut pty = alone(t, &["-i=false", "/bin/sh", "-c", script]);
    let (status, seen) = pty.wait();
    assert_eq!(status, 0, "{seen}");
    let wanted: String = (0..50).map(|i| format!("o{i}\r\ne{i}\r\n")).collect();
    assert!(seen.starts_with(&(wanted + "none\r\n")), "{seen}");
    assert!(!seen.contains("/dev/pts") && !seen.contains("tty"), "a terminal inside: {seen}");
    // Much of it, and nothing is lost at the end.
    let mut pty = alone(t, &["-i=false", "/bin/sh", "-c", "seq 1 60000"]);
    let (status, seen) = pty.wait();
    assert_eq!((status, seen.lines().count(), seen.lines().last()), (0, 60000, Some("60000")));
    t.nothing_left();
}

fn a_stop_without_a_shell_goes_on_at_once(t: &Sandbox) {
    for signal in ["TSTP", "TTIN", "TTOU"] {
        t.sh(&format!("kill -{signal} $$; echo went on")).ok().prints("went on\n");
    }
    // On a terminal whose session we lead there is nobody to continue us.
    for flags in [&["-it"][..], &[]] {
        let mut pty = alone(t, &[flags, &["/bin/sh", "-c", "echo ready; cat; echo went on"]].concat());
        pty.expect("ready");
        pty.send("\x1a");
        pause(300);
        pty.send("words\r");
        pty.expect("words\r\nwords\r\n");
        pty.send("\x04");
        pty.expect("went on");
        assert_eq!(pty.wait().0, 0);
    }
    t.nothing_left();
}

/// With `--no-init` nobody reports, and with a terminal that takes no bytes nothing can be written.
fn a_supervisor_that_waits_takes_no_time(t: &Sandbox) {
    for flags in [&["--no-init"][..], &["--no-init", "-i=false"], &["-i=false"], &["-it"], &[]] {
        let mut pty = alone(t, &[flags, &["/bin/sh", "-c", "echo ready; exec sleep 92.5"]].concat());
        pty.expect("ready");
        pause(700);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pty.pid())).expect("stat");
        let fields: Vec<u64> =
            stat.rsplit(") ").next().expect("fields").split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        // Of user and system time, in hundredths of a second.
        assert!(fields[11] + fields[12] < 30, "{flags:?}: {} ticks", fields[11] + fields[12]);
        sys::kill(procs::with_args(&["sleep", "92.5"]), libc::SIGKILL).expect("kill");
        pty.wait();
    }
    t.nothing_left();
}

fn a_terminal_that_nobody_reads_holds_no_signal_up(t: &Sandbox) {
    for flags in [&["-t=false"][..], &["-t"], &["-it"], &[]] {
        let mut pty = alone(t, &[flags, &["yes", "92.6"]].concat());
        procs::with_args(&["yes", "92.6"]);
        pause(500);
        let pid = pty.pid();
        // The first one ends the command, the second one gives up what is still to be shown.
        eventually("it ends", || {
            let _ = sys::kill(pid, libc::SIGTERM);
            pause(100);
            procs::status(pid, "State").first().is_none_or(|state| state == "Z")
        });
        pty.wait();
    }
    t.nothing_left();
}

fn a_job_that_waits_for_the_terminal_holds_no_lock(t: &Sandbox) {
    let mut pty = shell(t);
    type_line(&mut pty, &format!("{} /bin/sh &", run(t, "-it --cidfile id")));
    eventually("it stops", || ask(&mut pty, "jobs").contains("topped"));
    t.ccrun(&["image", "prune", "-f"]).timeout(10).ok();
    assert!(!t.dir.join("id").exists());
    pty.send("fg\r");
    pty.expect("inside> ");
    pty.send("exit\r");
    pty.expect("host> ");
    assert!(t.dir.join("id").exists());
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}

const COUNTS: &str = "n=0; trap 'n=$((n+1)); echo $n >/out/hups' HUP; echo ready; i=0; \
    while [ $i -lt 10 ]; do sleep 0.1; i=$((i+1)); done; echo end >>/out/hups";

fn a_hang_up_is_told_once(t: &Sandbox) {
    for flags in ["", "-it", "-t", "-i", "-i=false"] {
        let out = t.dir.join("out");
        std::fs::create_dir_all(&out).expect("mkdir");
        let _ = std::fs::remove_file(out.join("hups"));
        let mut pty = shell(t);
        let flags = format!("{flags} -v {}:/out", out.display());
        type_line(&mut pty, &format!("{} /bin/sh -c \"{}\"", run(t, &flags), COUNTS.replace('$', "\\$")));
        pty.expect("ready");
        pty.hang_up();
        let told = || std::fs::read_to_string(out.join("hups")).unwrap_or_default();
        eventually("the command goes on to its end", || told().ends_with("end\n"));
        assert_eq!(told(), "1\nend\n", "{flags}");
        eventually("everything ends", || t.names_in("containers").is_empty() && t.names_in("tmp").is_empty());
    }
    t.nothing_left();
}

fn a_hang_up_without_a_signal_is_noticed(t: &Sandbox) {
    let out = t.dir.join("out");
    std::fs::create_dir_all(&out).expect("mkdir");
    for flags in [&["-it"][..], &["-i"]] {
        let _ = std::fs::remove_file(out.join("hups"));
        let mut command = Command::new(&t.ccrun);
        command.args(["run", "--rm", "-v"]).arg(format!("{}:/out", out.display())).args(flags);
        command.args(["--rootfs", &t.busybox, "/bin/sh", "-c", COUNTS]).env_clear().current_dir(&t.dir);
        command.env("PATH", "/usr/bin:/bin").env("HOME", &t.dir).env("CCRUN_ROOT", &t.store);
        let mut pty = Pty::spawn_without_control(command);
        pty.expect("ready");
        pty.hang_up();
        let told = || std::fs::read_to_string(out.join("hups")).unwrap_or_default();
        eventually("the command goes on to its end", || told().ends_with("end\n"));
        assert_eq!(told(), "1\nend\n", "{flags:?}");
        pty.wait();
    }
    t.nothing_left();
}

fn tostop_stops_a_background_job_that_writes(t: &Sandbox) {
    let mut pty = shell(t);
    ask(&mut pty, "stty tostop");
    type_line(&mut pty, &format!("{} /bin/sh -c 'sleep 0.2; echo wor''ds' &", run(t, "")));
    eventually("it stops", || ask(&mut pty, "jobs").contains("topped"));
    pty.send("fg\r");
    pty.expect("words");
    pty.expect("host> ");
    pty.send("exit\r");
    pty.wait();
    t.nothing_left();
}
