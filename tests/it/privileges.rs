//! Step 5 in depth: what the command may do, who it is, and how much of it there may be.

pub mod docker;
pub mod in_force;
pub mod peek;

use crate::sandbox::{Mode, Sandbox};
use crate::{cases, sys};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

cases! {
    Every:
        capabilities_merge_as_in_docker,
        unknown_capabilities_are_named,
        privileged_is_all_that_the_namespace_can_have,
        limits_are_what_was_asked_for,
        limits_that_cannot_be_are_told,
        groups_are_the_users_and_those_asked_for,
        users_outside_the_map_are_told_what_is_in_it,
        evil_user_files_neither_hang_nor_lead_away,
        the_callers_keys_stay_outside,
        nothing_of_the_callers_state_is_inherited,
        nobody_looks_into_ccrun,
        devices_are_the_hosts_own,
        devices_go_where_they_should,
        devices_that_are_none_are_told;
    Root:
        a_root_only_device_can_be_given_by_root;
    Users:
        a_root_only_device_stays_roots,
        hard_limits_are_the_callers,
}

const DOCKER: u64 = 0xa804_25fb;

fn all_capabilities() -> u64 {
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("read").trim().parse().expect("n");
    (1 << (last + 1)) - 1
}

/// The sets that a command sees under `flags`: inheritable, permitted, effective, bounding, ambient.
fn sets(t: &Sandbox, flags: &[&str]) -> [u64; 5] {
    let out = t.run(&[flags, &["grep", "^Cap", "/proc/self/status"]].concat()).ok();
    let words: Vec<&str> = out.stdout.split_whitespace().collect();
    ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|name| {
        let at = words.iter().position(|word| *word == name).expect("a set");
        u64::from_str_radix(words[at + 1], 16).expect("hexadecimal")
    })
}

fn capabilities_merge_as_in_docker(t: &Sandbox) {
    let all = all_capabilities();
    let (admin, chown, mknod, raw) = (1 << 21, 1 << 0, 1 << 27, 1 << 13);
    for (flags, set) in [
        (&[][..], DOCKER),
        (&["--cap-add", "SYS_ADMIN"], DOCKER | admin),
        (
            &["--cap-add=cap_sys_admin", "--cap-drop", "Net_Raw", "--cap-drop=CAP_MKNOD"],
            (DOCKER | admin) & !raw & !mknod,
        ),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "all", "--cap-add", "chown"], chown),
        (&["--cap-add", "CHOWN", "--cap-drop", "CHOWN"], DOCKER),
        (&["--cap-add", "ALL"], all),
        (&["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"], all & !admin),
        (&["--cap-add", "ALL", "--cap-drop", "ALL"], all),
        (&["--privileged", "--cap-drop", "ALL"], all),
        (&["--no-init", "--cap-add", "SYS_ADMIN"], DOCKER | admin),
        (&["--security-opt", "no-new-privileges", "--cap-drop=CHOWN"], DOCKER & !chown),
    ] {
        assert_eq!(sets(t, flags), [0, set, set, set, 0], "{flags:?}");
        // Whoever is not root has nothing, but may gain all of it.
        assert_eq!(sets(t, &[flags, &["--user", "app"]].concat()), [0, 0, 0, set, 0], "{flags:?} --user app");
    }
    // What the bounding set has not got, no program gains.
    let script = "grep CapEff /proc/self/status; chown 1:1 /etc/passwd 2>&1";
    let out = t.run(&["--cap-drop", "ALL", "/bin/sh", "-c", script]).out();
    assert!(out.stdout.starts_with("CapEff:\t0000000000000000\n") && out.stdout.contains("chown: "), "{}", out.stdout);
}

fn unknown_capabilities_are_named(t: &Sandbox) {
    let error = |flags: &[&str], text: &str| t.run(&[flags, &["true"]].concat()).out().error(125, text);
    error(&["--cap-add", "bogus"], "invalid CapAdd: unknown capability: \"CAP_BOGUS\"; ALL or one of CHOWN, ");
    error(&["--cap-drop", "CAP_X"], "invalid CapDrop: unknown capability: \"CAP_X\"").says("CHECKPOINT_RESTORE");
    error(&["--privileged", "--cap-add", ""], "invalid CapAdd: unknown capability: \"CAP_\"");
    t.nothing_left();
}

fn privileged_is_all_that_the_namespace_can_have(t: &Sandbox) {
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read");
    let script = "echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward
        mkdir -p /tmp/m && mount -t tmpfs none /tmp/m && echo mounted
        grep -E ' /(proc|sys)(/[^ ]*)? ' /proc/self/mountinfo | grep -vc ' /sys/fs/cgroup'
        cut -d ' ' -f 1 /proc/keys | wc -l | grep -q 0 || echo keys
        { echo x >/proc/sys/kernel/core_pattern; } 2>/dev/null || echo not the host";
    let out = t.run(&["--privileged", "/bin/sh", "-c", script]).ok();
    assert_eq!(out.stdout, "1\nmounted\n2\nkeys\nnot the host\n", "{}", out.stderr);
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read"), forwarding);
    let shut = "{ echo 1 >/proc/sys/net/ipv4/ip_forward; } 2>/dev/null || echo no; wc -c </proc/keys";
    t.sh(shut).ok().prints("no\n0\n");
    // Of the host's devices those are shown that can be opened; a shell that is root cannot tell.
    let script = "cd /dev; find . -type c -o -type b";
    let out = t.run(&["--privileged", "/bin/sh", "-c", script]).ok();
    let own = ["null", "zero", "full", "random", "urandom", "tty", "pts/ptmx"];
    let shown: Vec<&str> = out.stdout.lines().filter_map(|line| line.strip_prefix("./")).collect();
    let more: Vec<&&str> = shown.iter().filter(|name| !own.contains(name)).collect();
    for name in &more {
        let meta = std::fs::metadata(Path::new("/dev").join(name)).expect("a device of the host");
        assert!(
            meta.permissions().mode() & 0o006 != 0 || (t.mode != Mode::Root && meta.gid() == sys::gid()),
            "{name} cannot be opened by anybody"
        );
    }
    let kmsg = std::fs::metadata("/dev/kmsg").is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0);
    assert_eq!(more.contains(&&"kmsg"), kmsg, "{shown:?}");
    t.sh("ls /dev/kmsg").out().exit(1);
}

fn limits_are_what_was_asked_for(t: &Sandbox) {
    let shell = |flags: &[&str], script: &str| t.run(&[flags, &["/bin/sh", "-c", script]].concat()).ok().stdout;
    let nofile = "ulimit -n; ulimit -Hn";
    assert_eq!(shell(&["--ulimit", "nofile=100:200"], nofile), "100\n200\n");
    assert_eq!(shell(&["--ulimit", "nofile=100:200", "--ulimit=nofile=50"], nofile), "50\n50\n");
    assert_eq!(shell(&["--no-init", "--ulimit", "nofile=64", "--user", "app"], nofile), "64\n64\n");
    let more = ["--ulimit", "cpu=30", "--ulimit", "fsize=1024:2048", "--ulimit", "stack=1048576", "--ulimit", "core=0"];
    let limits = shell(&more, "cat /proc/self/limits");
    for (name, soft, hard) in [
        ("Max cpu time", "30", "30"),
        ("Max file size", "1024", "2048"),
        ("Max stack size", "1048576", "1048576"),
        ("Max core file size", "0", "0"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [soft, hard], "{name}");
    }
    // Every name of Docker's is one, with a value that everybody may have.
    for name in "core cpu data fsize locks memlock msgqueue nproc rss rttime sigpending stack".split(' ') {
        let value = if ["core", "msgqueue"].contains(&name) { "0" } else { "3000000" };
        let (value, name) = (if name == "nproc" { "400" } else { value }, name);
        let value = if ["sigpending", "memlock"].contains(&name) { "1000" } else { value };
        t.run(&["--ulimit", &format!("{name}={value}"), "true"]).ok();
    }
    t.run(&["--ulimit", "nice=0", "--ulimit", "rtprio=0", "true"]).ok();
    // They are the command's: what is too low for us is set last.
    t.run(&["--ulimit", "nofile=3", "true"]).ok();
    t.run(&["--ulimit", "fsize=0", "/bin/sh", "-c", "echo x >/tmp/x"]).out().exit(153);
    t.run(&["--ulimit", "cpu=1", "/bin/sh", "-c", "while :; do :; done"]).out().exit(137);
    // Nobody leaves core files unasked; what the caller has is inherited otherwise.
    let script =
        format!("ulimit -Sc unlimited; ulimit -Sn 77; exec {} run --rm --rootfs {} /bin/sh -c", t.ccrun, t.busybox);
    let inherited = |flags: &str, inner: &str| {
        let script = script.replace("run --rm", &format!("run --rm {flags}"));
        let run = t.command("sh", &["-c", &format!("{script} '{inner}'")]).env("CCRUN_ROOT", &t.store);
        run.ok().stdout
    };
    assert_eq!(inherited("", "ulimit -c; ulimit -n"), "0\n77\n");
    assert_eq!(inherited("--ulimit core=-1", "ulimit -c"), "unlimited\n");
}

fn limits_that_cannot_be_are_told(t: &Sandbox) {
    for (value, text) in [
        ("bogus=1", "invalid argument \"bogus=1\" for \"--ulimit\" flag: invalid ulimit type: bogus; core, cpu, "),
        ("nofile", "invalid ulimit argument: nofile"),
        ("nofile=x", "parsing \"x\": invalid syntax"),
        ("nofile=5:4", "ulimit soft limit must be less than or equal to hard limit: 5 > 4"),
        ("nofile=1:2:3", "too many limit value arguments - 1:2:3"),
        ("as=1", "invalid ulimit type: as"),
    ] {
        t.run(&["--ulimit", value, "true"]).out().error(125, text);
    }
    t.nothing_left();
}

fn hard_limits_are_the_callers(t: &Sandbox) {
    let script = format!("ulimit -n 99; exec {} run --rm --rootfs {} --ulimit", t.ccrun, t.busybox);
    let run = |rest: &str| t.command("sh", &["-c", &format!("{script} {rest}")]).env("CCRUN_ROOT", &t.store);
    run("nofile=99 true").ok();
    let out = run("nofile=50:100 true").out();
    out.error(125, "--ulimit nofile: a hard limit of 100 is above this user's of 99; ask for at most 99, or raise it");
    run("nofile=-1 true").out().error(125, "a hard limit of unlimited is above");
    t.nothing_left();
}

fn groups_are_the_users_and_those_asked_for(t: &Sandbox) {
    let groups = |flags: &[&str]| {
        let out = t.run(&[flags, &["grep", "Groups", "/proc/self/status"]].concat()).ok();
        out.line().strip_prefix("Groups:\t").expect("groups").trim().to_owned()
    };
    let error = |flags: &[&str], text: &str| t.run(&[flags, &["true"]].concat()).out().error(125, text);
    error(&["--group-add", "nope"], "Unable to find group nope: no matching entries in group file");
    error(&["--group-add", ""], "Unable to find group : no matching entries in group file");
    error(&["--group-add", "-1"], "uids and gids must be in range 0-2147483647");
    error(&["--group-add", "4294967296"], "uids and gids must be in range 0-2147483647; 4294967296 is not");
    if t.mode == Mode::Nosubuid {
        // One id is all there is, and root's others are emulated.
        t.run(&["--group-add", "video", "--group-add", "77", "id", "-G"]).ok().prints("0 44 77\n");
        error(&["--user", "app", "--group-add", "video"], "only one id exists in this container, group 1000; ")
            .says("/etc/subgid");
        t.run(&["--group-add", "root", "id", "-G"]).ok().prints("0\n");
        t.run(&["--user", "app", "--group-add", "app", "id", "-G"]).ok().prints("1000\n");
        return;
    }
    // Its own group is among them (CVE-2022-36109).
    assert_eq!(groups(&[]), "0");
    assert_eq!(groups(&["--user", "app"]), "44 50 1000");
    assert_eq!(groups(&["--user", "1000:7"]), "7");
    assert_eq!(groups(&["--user", "5000"]), "0");
    assert_eq!(groups(&["--group-add", "video", "--group-add=77", "--group-add", "77"]), "0 44 77");
    assert_eq!(groups(&["--user", "app", "--group-add", "video", "--group-add", "7"]), "7 44 50 1000");
    assert_eq!(groups(&["--user", "app:daemon", "--group-add", "77"]), "1 77");
    error(&["--group-add", "65536"], "group 65536 of user 0:0 is outside this container's id map");
}

fn users_outside_the_map_are_told_what_is_in_it(t: &Sandbox) {
    for user in ["4294967296", "2147483648", "-1", "0:-1", "99999999999:0"] {
        t.run(&["--user", user, "true"]).out().error(125, "uids and gids must be in range 0-2147483647");
    }
    t.run(&["--user", "0x0", "true"]).out().error(125, "unable to find user 0x0: no matching entries in passwd file");
    if t.mode == Mode::Nosubuid {
        // The one id may have any number.
        t.run(&["--user", "70000:70001", "/bin/sh", "-c", "id -u; id -g"]).ok().prints("70000\n70001\n");
        return;
    }
    let outside = |user: &str| t.run(&["--user", user, "true"]).out();
    outside("70000").error(125, "user 70000:0 is outside this container's id map; uids from 0 to 65535 and gids");
    outside("0:70000").error(125, "70000").says("gids from 0 to 65535 are mapped");
    t.nothing_left();
}

/// A root file system whose `/etc/NAME` is what `make` makes of the path.
fn with_etc(t: &Sandbox, name: &str, make: &str) -> String {
    let root = t.path("evil");
    t.command("rm", &["-rf", &root]).ok();
    t.command("cp", &["-a", &t.busybox, &root]).ok();
    t.command("sh", &["-c", &format!("rm -f $1; {make}"), "sh", &format!("{root}/etc/{name}")]).ok();
    root
}

fn evil_user_files_neither_hang_nor_lead_away(t: &Sandbox) {
    let line = "tr '\\0' x </dev/zero | head -c 70000";
    for (make, passwd, group) in [
        ("mkfifo $1", "is not a regular file", "is not a regular file"),
        ("mkdir $1", "is not a regular file", "is not a regular file"),
        ("ln -s /dev/zero $1", "is not a regular file", "is not a regular file"),
        ("ln -s /proc/1/environ $1", "", ""),
        ("ln -s /proc/self/fd/3 $1", "a link that cannot be followed inside", "a link that cannot be followed inside"),
        ("ln -s ${1##*/} $1", "a link that cannot be followed inside", "a link that cannot be followed inside"),
        ("ln -s $1 $1", "no matching entries", "no matching entries"),
        ("truncate -s 5G $1", "is larger than 1 MiB", "is larger than 1 MiB"),
        (&format!("{line} >$1"), "has a line longer than 64 KiB", "no matching entries"),
        (": >$1", "no matching entries in passwd file", "no matching entries in group file"),
        ("true", "no matching entries in passwd file", "no matching entries in group file"),
    ] {
        for (name, said, user) in [("passwd", passwd, "app"), ("group", group, "0:app")] {
            let root = with_etc(t, name, make);
            let run = ["run", "--rm", "--user", user, "--rootfs", &root, "true"];
            t.ccrun(&run).timeout(20).out().error(125, said);
        }
    }
    // A link that stays inside is followed inside.
    let root = with_etc(
        t,
        "passwd",
        "mv $(dirname $1)/group $(dirname $1)/g; echo app:x:0:7::/x: >${1%/*}/p; ln -s /../../etc/p $1",
    );
    let run = ["run", "--rm", "--user", "app", "--rootfs", &root, "/bin/sh", "-c", "id -u; id -g; echo $HOME"];
    t.ccrun(&run).ok().prints("0\n7\n/x\n");
}

fn the_callers_keys_stay_outside(t: &Sandbox) {
    let with_key = |command: &[&str]| {
        let cmd = t.command(&t.it, &[&["--inside", "with-key", "ccrun-secret"], command].concat());
        cmd.env("CCRUN_ROOT", &t.store).ok().stdout
    };
    assert_eq!(with_key(&[&t.it, "--inside", "read-key", "ccrun-secret"]), "open-sesame\n", "the test's own key");
    // Privileged, as every call about keys is refused otherwise; also for another user, and as PID 1.
    let mount = format!("{}:/it:ro", t.it);
    for flags in [&[][..], &["--user", "app"], &["--no-init"]] {
        let run = [&t.ccrun, "run", "--rm", "--privileged", "--rootfs", &t.busybox, "-v", &mount];
        let inside = ["/it", "--inside", "read-key", "ccrun-secret"];
        assert_eq!(with_key(&[&run, flags, &inside].concat()), "none\n", "{flags:?}");
        // Its own keyring is there, and empty.
        let keys = with_key(&[&run, flags, &["cat", "/proc/keys"]].concat());
        assert!(keys.lines().any(|line| line.contains(" keyring ") && line.ends_with("_ses: empty")), "{keys}");
    }
    t.sh("cat /proc/keys").ok().prints("");
}

fn nothing_of_the_callers_state_is_inherited(t: &Sandbox) {
    let inner = "grep -E \"^Sig(Ign|Blk|Pnd)\" /proc/self/status; umask; cut -d \" \" -f 19 /proc/self/stat; pwd; \
        ls /proc/self/fd | tr \"\\n\" \" \"";
    // SIGINT ignored and a strange umask; a file left open; a priority that only makes it less important.
    let script = format!(
        "trap '' INT PIPE USR1; umask 077; cd /; exec 9</etc/passwd; exec nice -n {{nice}} {} run --rm --rootfs {} /bin/sh -c '{inner}'",
        t.ccrun, t.busybox
    );
    let run =
        |nice: &str| t.command("sh", &["-c", &script.replace("{nice}", nice)]).env("CCRUN_ROOT", &t.store).ok().stdout;
    let expected = |nice: i32| {
        let none = "0000000000000000";
        format!("SigPnd:\t{none}\nSigBlk:\t{none}\nSigIgn:\t{none}\n0022\n{nice}\n/\n0 1 2 3 ")
    };
    assert_eq!(run("5"), expected(5));
    if t.mode == Mode::Root {
        assert_eq!(run("-5"), expected(0), "a negative nice value is inherited");
    }
    let score = |own: i32| {
        let run = format!("exec {} run --rm --rootfs {} cat /proc/self/oom_score_adj", t.ccrun, t.busybox);
        let script = format!("echo {own} >/proc/self/oom_score_adj 2>/dev/null || echo refused; {run}");
        t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok().stdout
    };
    assert_eq!(score(500), "500\n");
    // Few may give themselves a negative one, so that it cannot be tried everywhere.
    let negative = score(-5);
    assert!(["0\n", "refused\n0\n"].contains(&negative.as_str()), "{negative}");
}

fn nobody_looks_into_ccrun(t: &Sandbox) {
    for flags in [
        &[][..],
        &["--privileged"],
        &["--cap-add", "SYS_PTRACE", "--cap-add", "SYS_ADMIN"],
        &["--user", "app"],
        &["--privileged", "--user", "app"],
        &["--no-init"],
    ] {
        let out = t.inside(flags, &["peek"]).env("CCRUN_SECRET", "open-sesame").ok();
        assert_eq!(out.stdout, "nothing\n", "{flags:?}: {}", out.stderr);
    }
}

/// A device that nobody but root may open, and that opening does not disturb.
fn root_only() -> &'static str {
    let mode = |path: &Path| std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    let candidates = ["/dev/fuse", "/dev/loop-control", "/dev/hwrng", "/dev/cpu_dma_latency"];
    match candidates.into_iter().find(|path| mode(Path::new(path)).is_ok_and(|mode| mode & 0o077 == 0)) {
        Some(path) => path,
        None => crate::skip!("no device of this machine is root's alone: {candidates:?}"),
    }
}

fn a_root_only_device_can_be_given_by_root(t: &Sandbox) {
    let device = root_only();
    let numbers = t.command("stat", &["-c", "%t:%T", device]).ok().stdout;
    let script = format!("stat -c %t:%T {device}; stat -c %u:%g:%a {device}; : <{device} && echo opened");
    let out = t.run(&["--device", device, "/bin/sh", "-c", &script]).ok().quiet();
    assert_eq!(out.stdout, format!("{numbers}0:0:600\nopened\n"));
    // Its own mode still counts inside, and the host's node is as it was.
    let script = format!(": <{device}");
    t.run(&["--device", device, "--user", "app", "/bin/sh", "-c", &script]).out().exit(1).says("Permission denied");
    t.sh(&script).out().exit(1);
    let meta = std::fs::metadata(device).expect("stat");
    assert_eq!((meta.permissions().mode() & 0o777, meta.uid()), (0o600, 0));
    // Privileged alone does not give what is root's.
    t.run(&["--privileged", "ls", device]).out().exit(1);
    t.nothing_left();
}

fn a_root_only_device_stays_roots(t: &Sandbox) {
    let device = root_only();
    let out = t.run(&["--device", device, "/bin/sh", "-c", &format!("ls {device}; : <{device}")]).out().exit(1);
    let note = format!("ccrun: --device {device} cannot be opened by anybody in the container");
    // On a busy machine the command may be faster than who tells of it.
    assert!(out.stdout == format!("{device}\n") && out.stderr.contains(&note), "{} {}", out.stdout, out.stderr);
    assert!(out.stderr.contains("Permission denied"), "{}", out.stderr);
}

fn devices_are_the_hosts_own(t: &Sandbox) {
    let out =
        t.run(&["--device", "/dev/zero:/dev/x", "/bin/sh", "-c", "stat -c %t:%T /dev/x; head -c 3 /dev/x | wc -c"]);
    out.ok().quiet().prints("1:5\n3\n");
    // A directory stands for all devices in it, but for those that a container has of its own.
    std::fs::create_dir(t.dir.join("devices")).expect("mkdir");
    t.run(&["--device", &t.path("devices"), "true"]).out().error(125, "not a device node");
    let out = t.run(&["--device", "/dev:/host", "/bin/sh", "-c", "ls /host; ls -d /host/pts /host/null"]).out();
    let host = crate::sandbox::list("/dev".as_ref());
    let is_device = |name: &&String| {
        let kind = std::fs::symlink_metadata(Path::new("/dev").join(name)).expect("lstat").file_type();
        kind.is_char_device() || kind.is_block_device()
    };
    let own = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"];
    for name in host.iter().filter(is_device).filter(|name| !own.contains(&name.as_str())) {
        assert!(out.stdout.lines().any(|line| line == name), "{name}: {}", out.stdout);
    }
    assert!(!out.stdout.contains("/host/"), "{}", out.stdout);
    // Volumes have no devices that could be opened, and nobody makes new ones.
    let script = "mknod /tmp/b c 1 5 2>/dev/null && head -c 1 /tmp/b | wc -c; true";
    t.run(&["--privileged", "/bin/sh", "-c", script]).ok().lacks("1");
}

fn devices_go_where_they_should(t: &Sandbox) {
    // Links of the image's end inside; what is in the way is covered, whatever it is.
    let root = t.path("linked");
    t.command("cp", &["-a", &t.busybox, &root]).ok();
    std::os::unix::fs::symlink("../../../../outside", t.dir.join("linked/a")).expect("symlink");
    t.file("linked/file", "in the way");
    let run = |target: &str, script: &str| {
        let device = format!("/dev/zero:{target}");
        t.ccrun(&["run", "--rm", "--rootfs", &root, "--device", &device, "/bin/sh", "-c", script]).ok().stdout
    };
    assert_eq!(run("/a/b", "stat -c %t:%T /a/b /outside/b"), "1:5\n1:5\n");
    assert_eq!(run("/new/dir/z", "stat -c %t:%T /new/dir/z"), "1:5\n");
    assert_eq!(run("/file", "stat -c %t:%T /file"), "1:5\n");
    assert_eq!(run("/dev/null", "head -c 2 /dev/null | wc -c"), "2\n");
    assert_eq!(run("/dev/dir/z", "stat -c %t:%T /dev/dir/z"), "1:5\n");
    assert!(!t.dir.join("outside").exists() && !Path::new("/outside").exists());
    // A read-only root does not matter to it.
    t.run(&["--read-only", "--device", "/dev/zero:/dev/x", "stat", "-c", "%t:%T", "/dev/x"]).ok().prints("1:5\n");
    t.run(&["--device", "/dev/zero:/etc", "true"]).out().exit(125);
}

fn devices_that_are_none_are_told(t: &Sandbox) {
    let error = |device: &str, status: i32, text: &str| t.run(&["--device", device, "true"]).out().error(status, text);
    let gathering = "error gathering device information while adding custom device";
    error("/dev/nope", 127, &format!("{gathering} \"/dev/nope\": no such file or directory"));
    error("/etc/passwd", 125, &format!("{gathering} \"/etc/passwd\": not a device node"));
    error("/etc", 125, &format!("{gathering} \"/etc\": not a device node"));
    error("/dev/zero:/dev/x:zz", 125, "bad mode specified: zz");
    error("/dev/zero:x", 125, "x is not an absolute path");
    error("a:b:c:d", 125, "bad format for path: a:b:c:d");
    // What cannot be kept is not promised.
    error("/dev/zero:r", 125, "a device cannot be limited to r here; there is no device cgroup in a user namespace");
    t.run(&["--device", "/dev/zero:/dev/x:rwm", "true"]).ok();
    if sys::uid() != 0 {
        std::fs::create_dir(t.dir.join("shut")).expect("mkdir");
        std::fs::set_permissions(t.dir.join("shut"), PermissionsExt::from_mode(0o000)).expect("chmod");
        error(&format!("{}/x", t.path("shut")), 126, "permission denied");
    }
    t.nothing_left();
}
