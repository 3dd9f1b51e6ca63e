//! What may be handed into a container as stdin, stdout and stderr, and what stands between where it may not.

use crate::cases;
use crate::image::Image;
use crate::sandbox::{Mode, Out, Sandbox};
use crate::sys;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

cases! {
    Every:
        directories_and_their_like_are_refused,
        a_closed_stream_is_dev_null,
        an_image_reads_stdin_only_with_i,
        dev_stdout_can_be_opened_again,
        a_file_keeps_its_owner_and_mode,
        what_a_file_takes_is_all_there,
        a_file_that_refuses_bytes_is_told_of,
        sockets_and_devices_are_handed_on;
    Root:
        a_pipe_of_another_user_stays_his,
}

/// A line of the host's shell, where `$C` is ccrun and `$R` runs on busybox.
fn sh(t: &Sandbox, script: &str) -> Out {
    let run = format!("{} run --rm --rootfs {}", t.ccrun, t.busybox);
    t.command("/bin/sh", &["-c", script]).env("CCRUN_ROOT", &t.store).env("C", &t.ccrun).env("R", run).out()
}

fn image(t: &Sandbox, name: &str) {
    let dir = t.dir.join("layout");
    Image::busybox(&t.busybox).write_layout(&dir);
    let id = t.ccrun(&["load", "-q", "-i", dir.to_str().expect("UTF-8")]).ok().stdout;
    let id = id.trim().rsplit(' ').next().expect("an id").to_owned();
    t.ccrun(&["tag", &id, name]).ok();
}

fn directories_and_their_like_are_refused(t: &Sandbox) {
    for (redirected, stream) in [("</", "stdin"), ("< .", "stdin"), ("1</etc", "stdout"), ("2</etc", "stderr")] {
        let out = sh(t, &format!("$R ls -l /proc/self/fd {redirected}")).exit(125);
        if stream != "stderr" {
            assert_eq!(out.stderr.lines().count(), 1, "{redirected}: {}", out.stderr);
            assert!(out.stderr.contains(&format!("{stream} is a directory")), "{}", out.stderr);
        }
        assert_eq!(out.stdout, "");
    }
    // A descriptor that stands for a path and no file. The tests' binary opens it, as no shell does.
    for stream in ["0", "1"] {
        let args =
            ["--inside", "with-path-descriptor", stream, &t.ccrun, "run", "--rm", "--rootfs", &t.busybox, "true"];
        let out = t.command(&t.it, &args).env("CCRUN_ROOT", &t.store).out().exit(125);
        assert!(out.stderr.contains("O_PATH") && out.stderr.lines().count() == 1, "{}", out.stderr);
    }
    // Also where it would not be used.
    image(t, "own");
    let out = sh(t, "$C run --rm own true </etc").exit(125);
    assert!(out.stderr.contains("stdin is a directory"), "{}", out.stderr);
    t.nothing_left();
}

fn a_closed_stream_is_dev_null(t: &Sandbox) {
    for closed in ["<&-", "<&- >&-", "<&- >&- 2>&-", "2>&-", ">&- 2>&-"] {
        let out =
            sh(t, &format!("$R sh -c 'readlink /proc/self/fd/0; cat; echo x; echo y >&2; exit 3' {closed}")).exit(3);
        if !closed.contains('>') {
            assert_eq!(out.stdout, "/dev/null\nx\n");
        }
    }
    t.nothing_left();
}

fn an_image_reads_stdin_only_with_i(t: &Sandbox) {
    image(t, "own");
    sh(t, "echo x | $C run --rm own cat").exit(0).prints("");
    sh(t, "echo x | $C run --rm -i own cat").exit(0).prints("x\n");
    sh(t, "echo x | $C run --rm -i=false own cat").exit(0).prints("");
    sh(t, "echo x >f; $C run --rm -i own cat <f").exit(0).prints("x\n");
    sh(t, "echo x | $C run --rm own readlink /proc/self/fd/0").exit(0).prints("/dev/null\n");
    // So a loop over lines reads all of them.
    sh(t, "printf '1\\n2\\n3\\n' | while read line; do $C run --rm own echo $line; done").exit(0).prints("1\n2\n3\n");
    // Nobody reads more of it than the command does, whoever may open it.
    let lines = "for n in 1 2 3; do read a; echo $a; $R true; done";
    sh(t, &format!("umask 077; printf 'a\\nb\\nc\\n' >lines; {{ {lines}; }} <lines")).exit(0).prints("a\nb\nc\n");
    sh(t, &format!("mkfifo -m 600 fifo; printf 'a\\nb\\nc\\n' >fifo & {{ {lines}; }} <fifo"))
        .exit(0)
        .prints("a\nb\nc\n");
    // The challenge pipes into commands on a directory and on the host's files.
    sh(t, "echo x | $R cat").exit(0).prints("x\n");
    sh(t, "echo x | CCRUN_ROOTFS=$PWD/../busybox; echo x | $C run --rm cat").exit(0).prints("x\n");
    let out = t.ccrun(&["run", "--rm", "cat"]).env("CCRUN_ROOTFS", &t.busybox).stdin("x\n").out();
    out.exit(0).prints("x\n");
    t.nothing_left();
}

fn users(t: &Sandbox) -> &'static [&'static str] {
    match t.mode {
        // With a single id nobody else can be there beside the user asked for.
        Mode::Nosubuid => &["", "-u 0", "-u 1000", "-u 65534"],
        _ => &["", "-u 0", "-u 1000", "-u 65534:5", "-u 1"],
    }
}

fn dev_stdout_can_be_opened_again(t: &Sandbox) {
    // Appended, as log files are: who opens a file anew for writing empties it, on any machine.
    let script = "echo o >>/dev/stdout; echo e >>/dev/stderr; echo f >>/proc/self/fd/1";
    for user in users(t) {
        let what = format!("$R {user} sh -c '{script}'");
        let out = sh(t, &what).exit(0);
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("o\nf\n", "e\n"), "pipes, {user}");
        sh(t, &format!("{what} 2>&1 | cat")).prints("o\ne\nf\n");
        sh(t, &format!("umask 077; {what} >>out 2>>err; cat out err; rm out err")).exit(0).prints("o\nf\ne\n");
        sh(t, &format!("umask 077; {what} >>both 2>&1; cat both; rm both")).exit(0).prints("o\ne\nf\n");
        sh(t, &format!("umask 077; echo first >both; {what} >>both 2>&1; cat both; rm both"))
            .prints("first\no\ne\nf\n");
        sh(t, &format!("{what} >/dev/null 2>&1")).exit(0);
        sh(
            t,
            &format!("umask 077; mkfifo fifo; cat <fifo >got & {what} >fifo 2>err; wait; cat got err; rm fifo got err"),
        )
        .exit(0)
        .prints("o\nf\ne\n");
        sh(t, &format!("umask 077; echo in >in; cat in | $R {user} cat /dev/stdin; $R {user} cat <in"))
            .exit(0)
            .prints("in\nin\n");
    }
    t.nothing_left();
}

fn a_file_keeps_its_owner_and_mode(t: &Sandbox) {
    let file = t.file("out", "");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("chmod");
    sh(t, "mkfifo -m 600 fifo");
    let fifo = t.path("fifo");
    let looks = |path: &str| std::fs::metadata(path).map(|meta| (meta.uid(), meta.gid(), meta.mode())).expect("stat");
    let before = [&*file, &*fifo, "/dev/null", "/dev/zero"].map(looks);
    for user in users(t) {
        let what = format!("$R {user} sh -c 'echo x >/dev/stdout; chmod 666 /dev/stderr; chown 7:7 /dev/stderr; :'");
        sh(t, &format!("{what} >>out 2>>out </dev/null")).exit(0);
        sh(t, &format!("cat <fifo >/dev/null & {what} >fifo 2>/dev/null </dev/zero; wait")).exit(0);
    }
    if t.mode == Mode::Root {
        assert_eq!([&*file, &*fifo, "/dev/null", "/dev/zero"].map(looks), before);
    } else {
        // The user's own file is container root's own to change; nothing changes by itself.
        sh(t, "$R -u 1000 sh -c 'echo x >/dev/stdout' >>out").exit(0);
        assert_eq!(["/dev/null", "/dev/zero"].map(looks), before[2..]);
    }
    t.nothing_left();
}

fn what_a_file_takes_is_all_there(t: &Sandbox) {
    sh(t, "umask 077; $R -u 1000 seq 1 200000 >out; seq 1 200000 | cmp - out; wc -l <out").exit(0).prints("200000\n");
    sh(t, "umask 077; seq 1 200000 >in; $R -u 1000 wc -l <in").exit(0).prints("200000\n");
    // The position in the file is shared, as if the command had written itself.
    sh(t, "umask 077; { echo a; $R echo b; echo c; } >out; cat out").exit(0).prints("a\nb\nc\n");
    // The command's status counts, however much is still to be written.
    sh(t, "umask 077; $R sh -c 'seq 1 50000; exit 9' >out; echo $?; wc -l <out").prints("9\n50000\n");
    t.nothing_left();
}

fn a_file_that_refuses_bytes_is_told_of(t: &Sandbox) {
    if t.mode != Mode::Root {
        return;
    }
    let full = t.path("full");
    let mount = format!("mkdir {full} && mount -t tmpfs -o size=16k tmpfs {full}");
    let out = t
        .command(
            "unshare",
            &[
                "-m",
                "sh",
                "-c",
                &format!(
                    "{mount} && {} run --rm --rootfs {} sh -c 'seq 1 100000; echo $? >&2' >{full}/out",
                    t.ccrun, t.busybox
                ),
            ],
        )
        .env("CCRUN_ROOT", &t.store)
        .out();
    assert!(out.stderr.contains("output of the container was lost"), "{}", out.stderr);
    assert!(out.status != 0 && out.stderr.contains("ENOSPC"), "{} {}", out.status, out.stderr);
    // Also where the command has ended well before that.
    let fill = format!("mount -t tmpfs -o size=16k tmpfs {full} && head -c 16k /dev/zero >{full}/fill");
    let script = format!("{fill}; {} run --rm --rootfs {} echo hi >{full}/out", t.ccrun, t.busybox);
    t.command("unshare", &["-m", "sh", "-c", &script]).env("CCRUN_ROOT", &t.store).out().exit(1);
    t.nothing_left();
}

fn sockets_and_devices_are_handed_on(t: &Sandbox) {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let end = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("dup")));
    let mut command = Command::new(&t.ccrun);
    command.args(["run", "--rm", "--rootfs", &t.busybox, "sh", "-c", "read x; echo got $x; readlink /proc/self/fd/1"]);
    command.env("CCRUN_ROOT", &t.store).stdin(end()).stdout(end()).stderr(Stdio::null());
    let mut child = command.spawn().expect("spawn");
    drop((command, theirs));
    (&ours).write_all(b"words\n").expect("write");
    let mut seen = String::new();
    (&ours).read_to_string(&mut seen).expect("read");
    assert!(child.wait().expect("wait").success());
    assert!(seen.starts_with("got words\nsocket:["), "{seen}");
    sh(t, "$R sh -c 'readlink /proc/self/fd/0; readlink /proc/self/fd/2' </dev/zero 2>/dev/full")
        .exit(0)
        .prints("/dev/zero\n/dev/full\n");
    t.nothing_left();
}

fn a_pipe_of_another_user_stays_his(t: &Sandbox) {
    // As under sudo: the shell that made the pipe is not root.
    let script = format!("{} run --rm --rootfs {} -u 1000 sh -c 'echo x >/dev/stdout'", t.ccrun, t.busybox);
    let args = ["--inside", "with-pipe-of", "4242", "sh", "-c", &script];
    let out = t.command(&t.it, &args).env("CCRUN_ROOT", &t.store).out().exit(0);
    assert_eq!(out.stdout, "x\nowner 4242 mode 600\n", "{}", out.stderr);
    t.nothing_left();
}

/// Runs a command whose stream is a descriptor that was opened with O_PATH.
pub fn with_path_descriptor(stream: &str, program: &str, args: &[&str]) -> ExitCode {
    let file = sys::open_path(c"/etc/passwd").expect("open");
    let mut command = Command::new(program);
    command.args(args);
    match stream {
        "0" => command.stdin(file),
        _ => command.stdout(file),
    };
    ExitCode::from(command.status().expect("start").code().unwrap_or(255) as u8)
}

/// Runs a command whose stdout is a pipe that belongs to `uid`; then says whose it is.
pub fn with_pipe_of(uid: u32, program: &str, args: &[&str]) -> ExitCode {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    std::os::unix::fs::fchown(&writer, Some(uid), Some(uid)).expect("fchown");
    let mut child = Command::new(program).args(args).stdout(writer).spawn().expect("start");
    let mut seen = String::new();
    reader.read_to_string(&mut seen).expect("read");
    let code = child.wait().expect("wait").code().unwrap_or(255);
    let meta = File::from(OwnedFd::from(reader)).metadata().expect("fstat");
    print!("{seen}");
    println!("owner {} mode {:o}", meta.uid(), meta.mode() & 0o7777);
    ExitCode::from(code as u8)
}
