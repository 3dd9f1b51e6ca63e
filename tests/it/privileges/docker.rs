//! The same flags to the real Docker Engine: what a command is and may do must be the same, and so must the words of
//! a refusal.

use crate::cases;
use crate::judges::engine::Engine;
use crate::sandbox::{Out, Sandbox};

cases! {
    Root: docker_gives_the_same;
}

/// What differs by design is left out: the soft limit of core files, which ccrun sets to 0.
const LOOK: &str = "grep -E '^(Cap|Groups|NoNewPrivs)' /proc/self/status; id -u; id -g; id -G; echo $HOME; umask
    for hard in -S -H; do ulimit $hard -a | grep -v '^core'; done";

/// Everything that Docker can give on a machine whose root lacks some capabilities itself.
const GIVEN: &[&[&str]] = &[
    &[],
    &["--cap-add", "SYS_ADMIN", "--cap-add", "cap_net_admin"],
    &["--cap-drop", "ALL"],
    &["--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "setuid"],
    &["--cap-drop", "CHOWN", "--cap-drop", "MKNOD", "--cap-add", "SYS_PTRACE"],
    &["--cap-add", "CHOWN", "--cap-drop", "CHOWN"],
    &["--cap-drop", "CAP_NET_RAW", "--user", "app"],
    &["--cap-add", "SYS_ADMIN", "--user", "app"],
    &["--cap-drop", "ALL", "--user", "1000:7"],
    &["--user", "app", "--group-add", "video", "--group-add", "77"],
    &["--user", "app:daemon", "--group-add", "77"],
    &["--user", "daemon", "--group-add", "staff", "--group-add", "44"],
    &["--user", "5000", "--group-add", "staff"],
    &["--user", ":5"],
    &["--user", "5000:app"],
    &["--group-add", "0"],
    &["--security-opt", "no-new-privileges"],
    &["--security-opt", "no-new-privileges", "--user", "app", "--cap-add", "NET_ADMIN"],
    &["--ulimit", "nofile=100:200", "--ulimit", "nproc=400"],
    &["--ulimit", "nofile=64", "--ulimit", "nofile=50:60", "--ulimit", "cpu=30"],
    &["--ulimit", "stack=1048576:2097152", "--ulimit", "fsize=4096", "--ulimit", "memlock=65536", "--user", "app"],
    &["--ulimit", "msgqueue=1000:2000", "--ulimit", "sigpending=100", "--ulimit", "data=100000000"],
];

/// What both refuse.
const REFUSED: &[&[&str]] = &[
    &["--cap-add", "bogus"],
    &["--cap-drop", "CAP_BOGUS"],
    &["--cap-add", ""],
    &["--cap-add", "bogus", "--cap-drop", "worse"],
    &["--group-add", "nope"],
    &["--group-add", ""],
    &["--group-add", "-1"],
    &["--user", "bob"],
    &["--user", "app:grp"],
    &["--user", "-1"],
    &["--user", "4294967296"],
    &["--user", "0x0"],
    &["--ulimit", "bogus=1"],
    &["--ulimit", "nofile"],
    &["--ulimit", "nofile=5:4"],
    &["--ulimit", "nofile=-1:4"],
    &["--ulimit", "nofile=1:2:3"],
    &["--ulimit", "as=1"],
    &["--device", "/dev/nope"],
    &["--device", "/etc/passwd"],
    &["--device", "/etc"],
    &["--device", "/dev/zero:/dev/x:zz"],
    &["--device", "/dev/zero:/dev/x:"],
    &["--device", "/dev/zero:rel"],
    &["--device", "rel"],
    &["--device", "a:b:c:d"],
    &["--device", ""],
];

fn docker_gives_the_same(t: &Sandbox) {
    let engine = Engine::start(t);
    let archive = t.path("busybox.tar");
    t.command("tar", &["-cf", &archive, "-C", &t.busybox, "."]).ok();
    engine.docker(&["import", &archive, "bb:1"]).ok();
    let docker = |flags: &[&str], command: &[&str]| -> Out {
        engine.docker(&[&["run", "--rm", "--network", "none"], flags, &["bb:1"], command].concat()).out()
    };
    for flags in GIVEN {
        let command = ["/bin/sh", "-c", LOOK];
        let theirs = docker(flags, &command).exit(0).stdout;
        let ours = t.run(&[flags, &command[..]].concat()).ok().stdout;
        assert_eq!(ours, theirs, "{flags:?}: ccrun's is left, Docker's right");
    }
    // Devices: the node, its owner and mode.
    for (device, path) in [("/dev/zero:/dev/x", "/dev/x"), ("/dev/full:/a/b:rwm", "/a/b"), ("/dev/fuse", "/dev/fuse")] {
        let command = ["stat", "-c", "%t:%T %a %F", path];
        let theirs = docker(&["--device", device], &command).exit(0).stdout;
        t.run(&[&["--device", device], &command[..]].concat()).ok().prints(&theirs);
    }
    for flags in REFUSED {
        let theirs = docker(flags, &["true"]);
        let ours = t.run(&[*flags, &["true"]].concat()).out().error(theirs.status, "");
        let said = ours.stderr.trim_start_matches("ccrun: ").split("; ").next().expect("a text").trim_end();
        assert!(theirs.stderr.contains(said), "{flags:?}: ccrun says {said:?}, Docker {}", theirs.stderr);
    }
}
