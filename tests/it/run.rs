//! Steps 0 and 1 of the challenge: a command, its words, its streams, its status.

use crate::cases;
use crate::sandbox::{Mode, Sandbox};

cases! {
    Every:
        echo_prints_its_words,
        ls_of_nothing_ends_with_its_own_words,
        statuses_are_the_commands_own,
        a_signal_is_128_and_its_number,
        not_found_is_127,
        not_executable_is_126,
        own_errors_are_125,
        standard_input_comes_through_a_pipe,
        the_three_streams_are_the_callers_own,
        a_gigabyte_through_a_pipe_is_intact,
        a_closed_pipe_ends_the_command,
        nothing_is_inherited_but_the_three_streams,
        what_follows_the_first_operand_is_the_commands,
        the_kind_of_the_first_operand_is_understood;
    Once:
        the_binary_is_static,
        version_and_help_are_printed,
}

fn echo_prints_its_words(t: &Sandbox) {
    t.ccrun(&["run", "echo", "Hello", "Coding", "Challenges!"]).ok().prints("Hello Coding Challenges!\n").quiet();
    t.ccrun(&["run", "--rm", "echo", ""]).ok().prints("\n").quiet();
}

fn ls_of_nothing_ends_with_its_own_words(t: &Sandbox) {
    let own = t.command("ls", &["madeupdir"]).out();
    assert_ne!(own.status, 0);
    let out = t.ccrun(&["run", "ls", "madeupdir"]).out().exit(own.status);
    assert_eq!(out.stderr, own.stderr);
}

fn statuses_are_the_commands_own(t: &Sandbox) {
    for status in [0, 1, 3, 42, 124, 255] {
        t.sh(&format!("exit {status}")).out().exit(status).quiet();
    }
}

fn a_signal_is_128_and_its_number(t: &Sandbox) {
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("USR1", 10)] {
        t.sh(&format!("kill -{name} $$; sleep 5")).out().exit(128 + number);
    }
}

fn not_found_is_127(t: &Sandbox) {
    t.run(&["nosuchprogram"]).out().error(127, "nosuchprogram");
    t.run(&["/no/such/program"]).out().error(127, "/no/such/program");
    t.file("there/rootfs/etc/passwd", "");
    let empty = t.path("there/rootfs");
    t.ccrun(&["run", "--rm", "--rootfs", &empty, "/bin/true"]).out().error(127, "/bin/true");
    // A program whose interpreter is missing is not found either.
    t.sh("printf '#!/no/interpreter\\n' >/tmp/x; chmod 755 /tmp/x; /tmp/x").out().exit(127);
    t.nothing_left();
}

fn not_executable_is_126(t: &Sandbox) {
    t.run(&["/etc/passwd"]).out().error(126, "/etc/passwd");
    t.run(&["/etc"]).out().error(126, "/etc");
    let mount = format!("{}:/garbage", t.file("garbage", b"\x7fELFnot"));
    t.command("chmod", &["755", &t.path("garbage")]).ok();
    t.run(&["-v", &mount, "/garbage"]).out().error(126, "/garbage");
    t.nothing_left();
}

fn own_errors_are_125(t: &Sandbox) {
    t.run(&["--no-such-flag", "true"]).out().error(125, "--no-such-flag");
    // Docker's own status for a command line without an image.
    t.ccrun(&["run"]).out().error(1, "requires at least 1 argument");
    t.ccrun(&["run", "--rootfs", "/no/such/directory", "true"]).out().error(125, "/no/such/directory");
    t.ccrun(&["run", "--rootfs", "/etc/passwd", "true"]).out().error(125, "/etc/passwd");
    t.ccrun(&["run", "--rootfs", &t.busybox]).out().exit(125);
}

fn standard_input_comes_through_a_pipe(t: &Sandbox) {
    t.ccrun(&["run", "cat"]).stdin("hi\n").ok().prints("hi\n").quiet();
    t.run(&["-i", "cat"]).stdin("hi\n").ok().prints("hi\n").quiet();
    t.run(&["-i", "cat"]).stdin("").ok().prints("").quiet();
    // Nothing is swallowed of what the command doesn't read.
    let script = format!("{{ {} run --rm -i --rootfs {} head -n 1; cat; }}", t.ccrun, t.busybox);
    let script = script.replace("head -n 1", "/bin/sh -c 'read x; echo got $x'");
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).stdin("one\ntwo\n").ok();
    assert!(out.stdout == "got one\ntwo\n", "{}", out.stdout);
}

fn the_three_streams_are_the_callers_own(t: &Sandbox) {
    let out = t.sh("echo to stdout; echo to stderr >&2; exit 5").out().exit(5).prints("to stdout\n");
    assert_eq!(out.stderr, "to stderr\n");
    // Not copied, but the very same pipe.
    let out = t.sh("readlink /proc/self/fd/1; readlink /proc/self/fd/2").ok();
    assert_eq!(out.stdout.matches("pipe:[").count(), 2, "{}", out.stdout);
}

fn a_gigabyte_through_a_pipe_is_intact(t: &Sandbox) {
    let size: usize = crate::threats::times(if t.mode == Mode::Root { 1 << 30 } else { 1 << 27 });
    let script = format!(
        "mkfifo copy; sha256sum <copy >expected &
        seq 1 200000000 | head -c {size} | tee copy | {} run --rm -i --rootfs {} cat | sha256sum >got; wait; cat expected got",
        t.ccrun, t.busybox
    );
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).timeout(150).ok();
    let sums: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(sums[0], sums[1]);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(!sums[0].starts_with(empty), "nothing was piped");
}

fn a_closed_pipe_ends_the_command(t: &Sandbox) {
    let script = format!("{} run --rm --rootfs {} yes | head -n 1", t.ccrun, t.busybox);
    t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).timeout(20).ok().prints("y\n");
    t.nothing_left();
}

fn nothing_is_inherited_but_the_three_streams(t: &Sandbox) {
    let inside = "ls /proc/self/fd; grep -E '^Sig(Blk|Ign|Pnd)' /proc/self/status; umask; ulimit -c";
    let script = format!(
        "exec 7</etc/passwd 9</etc; trap '' HUP USR1; umask 077; exec {} run --rm --rootfs {} /bin/sh -c \"{inside}\"",
        t.ccrun, t.busybox
    );
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok();
    let (fds, rest) = out.stdout.split_at(out.stdout.find("Sig").expect("Sig lines"));
    assert_eq!(fds, "0\n1\n2\n3\n", "open files");
    for line in rest.lines().filter(|line| line.starts_with("Sig")) {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    assert!(rest.contains("\n0022\n"), "umask: {rest}");
}

fn what_follows_the_first_operand_is_the_commands(t: &Sandbox) {
    t.run(&["/bin/echo", "--rm", "-it", "--", "--help"]).ok().prints("--rm -it -- --help\n");
    t.run(&["--", "/bin/echo", "-x"]).ok().prints("-x\n");
    t.run(&["/bin/echo", "-n", "--name=x"]).ok().prints("--name=x");
}

fn the_kind_of_the_first_operand_is_understood(t: &Sandbox) {
    // A path is a command on the host's root, in the caller's own directory.
    t.ccrun(&["run", "/bin/pwd"]).ok().prints(&format!("{}\n", t.dir.display()));
    t.file("here/script", "#!/bin/sh\necho from a script\n");
    t.command("chmod", &["755", &t.path("here/script")]).ok();
    t.ccrun(&["run", "./here/script"]).ok().prints("from a script\n");
    // $CCRUN_ROOTFS makes every operand the command's, also one that looks like an image.
    let out = t.ccrun(&["run", "some/app:v1"]).env("CCRUN_ROOTFS", &t.busybox).out();
    out.error(127, "some/app:v1");
    t.ccrun(&["run", "ls", "/bin/busybox"]).env("CCRUN_ROOTFS", &t.busybox).ok().prints("/bin/busybox\n");
    // A word with a tag is an image: never tried as a command.
    let out = t.ccrun(&["run", "--pull", "never", "echo:latest", "x"]).out();
    out.error(125, "echo:latest");
}

fn the_binary_is_static(t: &Sandbox) {
    let out = t.command("ldd", &[&t.ccrun]).out();
    let said = out.stdout + &out.stderr;
    let static_words = ["statically linked", "not a dynamic executable", "Not a valid dynamic program"];
    assert!(static_words.iter().any(|words| said.contains(words)), "{said}");
    // What runs without a single other file needs no other file.
    std::fs::create_dir_all(t.dir.join("empty")).expect("mkdir");
    std::fs::copy(&t.ccrun, t.dir.join("empty/ccrun")).expect("copy");
    if t.mode == Mode::Root {
        t.command("chroot", &[&t.path("empty"), "/ccrun", "version"]).ok().has("ccrun");
    }
    let size = std::fs::metadata(&t.ccrun).expect("stat").len();
    assert!(size <= 1_750_000, "the binary has {size} bytes");
}

fn version_and_help_are_printed(t: &Sandbox) {
    t.ccrun(&["version"]).ok().has(env!("CARGO_PKG_VERSION")).quiet();
    let all = t.ccrun(&["--help"]).timeout(5).ok().quiet();
    for command in ["run", "pull", "images", "rmi", "ps", "rm", "version"] {
        assert!(all.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command} in --help");
        t.ccrun(&[command, "--help"]).ok().has(&format!("ccrun {command}")).quiet();
    }
    let flags = t.ccrun(&["run", "--help"]).ok();
    for flag in [
        "--rootfs",
        "--image",
        "--interactive",
        "--tty",
        "--env",
        "--env-file",
        "--workdir",
        "--user",
        "--name",
        "--hostname",
        "--entrypoint",
        "--rm",
        "--volume",
        "--mount",
        "--tmpfs",
        "--read-only",
        "--init",
        "--no-init",
        "--network",
        "--memory",
        "--cpus",
        "--pids-limit",
        "--pull",
        "--platform",
    ] {
        assert!(flags.stdout.contains(flag), "{flag} in run --help:\n{}", flags.stdout);
    }
}
