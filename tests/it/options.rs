//! The flags of `ccrun run`, each with Docker's meaning.

use crate::cases;
use crate::sandbox::{Mode, Sandbox};
use std::os::unix::fs::MetadataExt;

cases! {
    Users:
        a_rootfs_that_belongs_to_root_will_do;
    Every:
        the_environment_is_made_from_nothing,
        env_sets_passes_on_and_ignores,
        env_file_is_read_as_docker_reads_it,
        workdir_is_made_when_missing,
        user_is_looked_up_in_the_root,
        entrypoint_goes_before_the_command,
        names_are_unique_and_checked,
        a_bind_mount_shows_the_hosts_files,
        a_read_only_bind_mount_stays_as_it_is,
        bad_mounts_are_refused,
        a_named_volume_outlives_its_containers,
        mount_is_the_long_form_of_volume,
        tmpfs_is_empty_and_gone_afterwards,
        read_only_means_the_root,
        a_rootfs_can_be_written_through_when_asked,
        containers_stay_until_they_are_removed,
        rm_takes_names_ids_and_the_running_only_by_force,
        bad_values_are_refused_before_anything_is_made,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn lines_of(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort();
    lines
}

fn the_environment_is_made_from_nothing(t: &Sandbox) {
    let out = t
        .run(&["env"])
        .env("A_SECRET", "1")
        .env("LISTEN_FDS", "1")
        .env("SSH_AUTH_SOCK", "/x")
        .env("TERM", "vt52")
        .env("PATH", "/home/me/bin:/usr/bin:/bin")
        .ok();
    assert_eq!(lines_of(&out.stdout), ["HOME=/root", "HOSTNAME=container", PATH]);
    // Docker's order, too.
    assert!(out.stdout.starts_with(PATH), "{}", out.stdout);
}

fn env_sets_passes_on_and_ignores(t: &Sandbox) {
    let out = t
        .run(&[
            "-e",
            "A=1",
            "--env",
            "B=two words=x",
            "-e",
            "FROM_HOST",
            "-e",
            "NOT_SET",
            "-e",
            "A=2",
            "-e",
            "E=",
            "env",
        ])
        .env("FROM_HOST", "passed on")
        .ok();
    let want = ["A=2", "B=two words=x", "E=", "FROM_HOST=passed on", "HOME=/root", "HOSTNAME=container", PATH];
    assert_eq!(lines_of(&out.stdout), want);
    t.run(&["-e", "HOME=/elsewhere", "-e", "PATH=/bin", "/bin/env"]).ok().has("HOME=/elsewhere").has("PATH=/bin\n");
    t.run(&["-e", "HOME=", "env"]).ok().has("HOME=/root\n");
    t.run(&["-e", "=x", "env"]).out().error(125, "=x");
    // The program is looked up in the container's PATH, not in the caller's.
    t.run(&["-e", "PATH=/nowhere", "ls"]).out().error(127, "ls");
}

fn env_file_is_read_as_docker_reads_it(t: &Sandbox) {
    let file = t.file("env", "# a comment\n\nA=1\nB=with spaces # and no comment\nFROM_HOST\nNOT_SET\nC=\"quoted\"\n");
    let out = t.run(&["--env-file", &file, "-e", "A=from the flag", "env"]).env("FROM_HOST", "h").ok();
    let want = ["A=from the flag", "B=with spaces # and no comment", "C=\"quoted\"", "FROM_HOST=h"];
    for line in want {
        assert!(out.stdout.lines().any(|one| one == line), "{line:?} in {}", out.stdout);
    }
    assert_eq!(out.stdout.lines().count(), want.len() + 3, "{}", out.stdout);
    t.run(&["--env-file", "/no/such/file", "env"]).out().error(125, "/no/such/file");
}

fn workdir_is_made_when_missing(t: &Sandbox) {
    t.run(&["pwd"]).ok().prints("/\n");
    t.run(&["-w", "/tmp", "pwd"]).ok().prints("/tmp\n");
    t.run(&["--workdir", "/made/for me", "/bin/sh", "-c", "pwd; stat -c %a:%u ."]).ok().prints("/made/for me\n755:0\n");
    t.run(&["-w", "relative", "pwd"]).out().error(125, "relative");
    t.run(&["-w", "/etc/passwd", "pwd"]).out().exit(125).says("/etc/passwd");
    t.run(&["-w", "/proc/self/fd/3", "pwd"]).out().exit(125);
}

fn user_is_looked_up_in_the_root(t: &Sandbox) {
    let id = |user: &str| {
        t.run(&[
            "-u",
            user,
            "/bin/sh",
            "-c",
            "id -u; id -g; id -G | tr ' ' '\n' | sort -n | tr '\n' ' '; echo; echo $HOME",
        ])
    };
    id("0").ok().prints("0\n0\n0 \n/root\n");
    id("root").ok().prints("0\n0\n0 \n/root\n");
    id("bob").out().error(125, "bob");
    id("root:nogroupofthatname").out().error(125, "nogroupofthatname");
    id("4294967296").out().error(125, "4294967296");
    id("-1").out().exit(125);
    if t.mode == Mode::Nosubuid {
        // Only one id exists here: whoever is asked for has it, without the groups of others.
        id("app").ok().prints("1000\n1000\n1000 \n/home/app\n");
        id("1000:7").ok().prints("1000\n7\n7 \n/home/app\n");
        return;
    }
    id("app").ok().prints("1000\n1000\n44 50 1000 \n/home/app\n");
    id("1000").ok().prints("1000\n1000\n44 50 1000 \n/home/app\n");
    id("app:daemon").ok().prints("1000\n1\n1 \n/home/app\n");
    id("1000:7").ok().prints("1000\n7\n7 \n/home/app\n");
    id("5000").ok().prints("5000\n0\n0 \n/\n");
    id(":5").ok().prints("0\n5\n5 \n/root\n");
    t.run(&["-u", "app", "/bin/sh", "-c", "echo x >/etc/passwd"]).out().exit(1);
    t.run(&["-u", "app", "/bin/sh", "-c", "echo mine >/tmp/x && stat -c %u /tmp/x"]).ok().prints("1000\n");
    t.run(&["-u", "70000", "true"]).out().error(125, "70000");
}

fn entrypoint_goes_before_the_command(t: &Sandbox) {
    t.run(&["--entrypoint", "/bin/echo", "a", "b"]).ok().prints("a b\n");
    t.run(&["--entrypoint", "echo"]).ok().prints("\n");
    t.run(&["--entrypoint", "", "echo", "c"]).ok().prints("c\n");
}

fn names_are_unique_and_checked(t: &Sandbox) {
    let running = t.run(&["--name", "web", "/bin/sh", "-c", "echo ready; sleep 31.4"]).spawn();
    running.until("ready");
    t.run(&["--name", "web", "true"]).out().error(125, "web");
    t.ccrun(&["ps"]).ok().has("web").has("Up ");
    running.signal(libc::SIGTERM);
    running.wait();
    t.run(&["--name", "web", "true"]).ok();
    for bad in ["z", "-x", "a b", "a/b", "../../x", ""] {
        let out = t.run(&[&format!("--name={bad}"), "true"]).out();
        assert_eq!(out.status, 125, "--name={bad:?}: {}", out.stderr);
    }
    t.nothing_left();
}

fn a_bind_mount_shows_the_hosts_files(t: &Sandbox) {
    t.file("data/file", "from outside\n");
    let mount = format!("{}:/data", t.path("data"));
    t.run(&["-v", &mount, "cat", "/data/file"]).ok().prints("from outside\n");
    if t.mode == Mode::Root {
        // Root's files are root's inside too, and what is made there is root's outside.
        t.run(&["-v", &mount, "/bin/sh", "-c", "stat -c %u:%g /data/file"]).ok();
    } else {
        t.run(&["-v", &mount, "/bin/sh", "-c", "stat -c %u:%g /data/file; echo x >/data/new"]).ok().prints("0:0\n");
        let meta = std::fs::metadata(t.path("data/new")).expect("made outside");
        assert_eq!(meta.uid(), crate::sys::uid());
    }
    let one = format!("{}:/etc/motd", t.path("data/file"));
    t.run(&["-v", &one, "cat", "/etc/motd"]).ok().prints("from outside\n");
    // Docker makes a directory that isn't there.
    let missing = format!("{}:/m", t.path("missing/dir"));
    t.run(&["-v", &missing, "ls", "/m"]).ok().prints("");
    assert!(t.dir.join("missing/dir").is_dir());
    // A relative path with a slash is a path.
    t.run(&["-v", "./data:/data", "cat", "/data/file"]).ok().prints("from outside\n");
    t.nothing_left();
}

fn a_read_only_bind_mount_stays_as_it_is(t: &Sandbox) {
    t.file("data/file", "before");
    let mount = format!("{}:/data:ro", t.path("data"));
    let script = "echo x >/data/file; rm /data/file; mkdir /data/d; mount -o remount,rw /data; echo y >>/data/file; cat /data/file";
    t.run(&["-v", &mount, "/bin/sh", "-c", script]).ok().prints("before");
    assert_eq!(std::fs::read_to_string(t.path("data/file")).expect("read"), "before");
    let long = format!("type=bind,source={},target=/data,readonly", t.path("data"));
    t.run(&["--mount", &long, "/bin/sh", "-c", "touch /data/x 2>/dev/null || echo no"]).ok().prints("no\n");
}

fn bad_mounts_are_refused(t: &Sandbox) {
    let data = t.path("data");
    t.file("data/file", "");
    t.run(&["-v", &format!("{data}:/d:zz"), "true"]).out().error(125, "zz");
    t.run(&["-v", &format!("{data}:relative"), "true"]).out().error(125, "relative");
    t.run(&["-v", "", "true"]).out().exit(125);
    let missing = format!("type=bind,source={}/nope,target=/d", data);
    t.run(&["--mount", &missing, "true"]).out().error(125, "nope");
    t.run(&["--mount", "type=nonsense,target=/d", "true"]).out().error(125, "nonsense");
    t.run(&["--mount", &format!("type=bind,source={data},targt=/d"), "true"]).out().error(125, "targt");
    t.run(&["-v", "bad/../name:/d", "true"]).out().exit(125);
    t.run(&["--tmpfs", "relative", "true"]).out().error(125, "relative");
    t.nothing_left();
}

fn a_named_volume_outlives_its_containers(t: &Sandbox) {
    t.run(&["-v", "kept:/data", "/bin/sh", "-c", "echo from the first >/data/file"]).ok();
    t.run(&["-v", "kept:/elsewhere", "cat", "/elsewhere/file"]).ok().prints("from the first\n");
    t.run(&["-v", "kept:/data:ro", "/bin/sh", "-c", "echo x >/data/file 2>/dev/null || echo no"]).ok().prints("no\n");
    // A new volume begins with what the image has there.
    t.run(&["-v", "copied:/etc", "/bin/sh", "-c", "grep -c root: /etc/passwd"]).ok().prints("1\n");
    t.run(&["-v", "copied:/x", "/bin/sh", "-c", "ls /x/passwd"]).ok().prints("/x/passwd\n");
    // An anonymous one goes with its container.
    t.run(&["-v", "/anonymous", "/bin/sh", "-c", "echo x >/anonymous/f; cat /anonymous/f"]).ok().prints("x\n");
    assert_eq!(t.names_in("volumes"), ["copied", "kept"]);
    t.nothing_left();
}

fn mount_is_the_long_form_of_volume(t: &Sandbox) {
    t.file("data/file", "long form\n");
    for names in [("source", "target"), ("src", "dst"), ("src", "destination")] {
        let mount = format!("type=bind,{}={},{}=/d", names.0, t.path("data"), names.1);
        t.run(&["--mount", &mount, "cat", "/d/file"]).ok().prints("long form\n");
    }
    t.run(&["--mount", "type=volume,source=vol,target=/v", "touch", "/v/x"]).ok();
    t.run(&["--mount", "source=vol,target=/v", "ls", "/v"]).ok().prints("x\n");
    t.run(&["--mount", "type=tmpfs,target=/t", "/bin/sh", "-c", "mount | grep -c ' /t type tmpfs'"]).ok().prints("1\n");
}

fn tmpfs_is_empty_and_gone_afterwards(t: &Sandbox) {
    let out = t.run(&["--tmpfs", "/etc", "/bin/sh", "-c", "ls /etc; echo x >/etc/y; grep ' /etc ' /proc/mounts"]).ok();
    for word in ["tmpfs", "nosuid", "nodev", "noexec"] {
        assert!(out.stdout.contains(word), "{word} in {}", out.stdout);
    }
    assert!(!out.stdout.contains("passwd"), "{}", out.stdout);
    let sized = t
        .run(&[
            "--tmpfs",
            "/t:size=64k,mode=700,exec",
            "/bin/sh",
            "-c",
            "stat -c %a /t; grep ' /t ' /proc/mounts; head -c 1000000 /dev/zero >/t/x",
        ])
        .out();
    assert!(sized.stdout.starts_with("700\n") && sized.stdout.contains("size=64k"), "{}", sized.stdout);
    assert!(!sized.stdout.contains("noexec"), "{}", sized.stdout);
    assert_ne!(sized.status, 0, "a full tmpfs");
}

fn read_only_means_the_root(t: &Sandbox) {
    let script = "touch /x 2>/dev/null || echo no; touch /etc/x 2>/dev/null || echo no; echo 1 >/dev/null && touch /dev/shm/x && echo yes";
    t.run(&["--read-only", "/bin/sh", "-c", script]).ok().prints("no\nno\nyes\n");
    let script = "touch /t/x && echo yes; mount -o remount,rw / 2>/dev/null; touch /x 2>/dev/null || echo no";
    t.run(&["--read-only", "--tmpfs", "/t", "/bin/sh", "-c", script]).ok().prints("yes\nno\n");
    t.run(&["--read-only", "-v", "vol:/v", "/bin/sh", "-c", "touch /v/x && ls /v"]).ok().prints("x\n");
}

fn a_rootfs_can_be_written_through_when_asked(t: &Sandbox) {
    let copy = t.path("root");
    t.command("cp", &["-a", &t.busybox, &copy]).ok();
    let through = format!("{copy}:rw");
    t.ccrun(&["run", "--rm", "--rootfs", &through, "/bin/sh", "-c", "echo kept >/new"]).ok();
    assert_eq!(std::fs::read_to_string(format!("{copy}/new")).expect("written through"), "kept\n");
    let meta = std::fs::metadata(format!("{copy}/new")).expect("stat");
    assert_eq!(meta.uid(), crate::sys::uid(), "the owner outside");
}

fn a_rootfs_that_belongs_to_root_will_do(t: &Sandbox) {
    let root = std::path::Path::new(&t.busybox).ancestors().nth(2).expect("the base").join("root/busybox");
    if !std::fs::metadata(&root).is_ok_and(|meta| meta.uid() == 0) {
        crate::skip!("no root file system here belongs to root");
    }
    let root = root.to_str().expect("UTF-8");
    t.ccrun(&["run", "--rm", "--rootfs", root, "/bin/sh", "-c", "hostname; cat /etc/hostname"])
        .ok()
        .prints("container\ncontainer\n");
    t.nothing_left();
}

fn containers_stay_until_they_are_removed(t: &Sandbox) {
    t.ccrun(&["run", "--name", "first", "--rootfs", &t.busybox, "/bin/sh", "-c", "exit 3"]).out().exit(3);
    t.ccrun(&["run", "--rootfs", &t.busybox, "true"]).ok();
    let all = t.ccrun(&["ps", "-a"]).ok().quiet();
    let header = all.stdout.lines().next().expect("a header");
    for word in ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"] {
        assert!(header.contains(word), "{word} in {header}");
    }
    let first = all.stdout.lines().find(|line| line.contains("first")).expect("the container by its name");
    assert!(first.contains("Exited (3)") && first.contains("\"/bin/sh -c 'exit 3'\""), "{first}");
    assert_eq!(all.stdout.lines().count(), 3, "{}", all.stdout);
    assert_eq!(t.ccrun(&["ps"]).ok().stdout.lines().count(), 1, "only running ones without -a");
    let id = first.split_whitespace().next().expect("an id");
    assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    t.ccrun(&["rm", "first"]).ok().prints("first\n");
    assert_eq!(t.names_in("containers").len(), 1);
    let other = t.names_in("containers").remove(0);
    assert_eq!(other.len(), 64, "{other}");
    t.ccrun(&["rm", &other[..6]]).ok().prints(&format!("{}\n", &other[..6]));
    t.nothing_left();
}

fn rm_takes_names_ids_and_the_running_only_by_force(t: &Sandbox) {
    t.ccrun(&["rm", "nobody"]).out().error(1, "nobody");
    t.ccrun(&["rm", "-f", "nobody"]).out().exit(0);
    t.ccrun(&["rm"]).out().exit(1);
    t.ccrun(&["rm", "../../etc"]).out().exit(1);
    let running =
        t.ccrun(&["run", "--name", "busy", "--rootfs", &t.busybox, "/bin/sh", "-c", "echo ready; sleep 55.5"]).spawn();
    running.until("ready");
    t.ccrun(&["rm", "busy"]).out().error(1, "running");
    t.ccrun(&["rm", "-f", "busy"]).ok().prints("busy\n");
    assert_eq!(running.wait().status, 137);
    t.nothing_left();
    // What the container's own ids wrote can be removed too.
    t.ccrun(&[
        "run",
        "--name",
        "mess",
        "--rootfs",
        &t.busybox,
        "/bin/sh",
        "-c",
        "mkdir -p /a/b/c; touch /a/b/c/d; chmod 0 /a/b/c /a/b /a; chown 1000 /etc/passwd; true",
    ])
    .ok();
    t.ccrun(&["rm", "mess"]).ok();
    t.nothing_left();
}

fn bad_values_are_refused_before_anything_is_made(t: &Sandbox) {
    for (flag, value) in [
        ("-m", "1x"),
        ("-m", "-5"),
        ("-m", "1k"),
        ("--cpus", "-1"),
        ("--cpus", "999"),
        ("--cpus", "x"),
        ("--pids-limit", "x"),
        ("--pull", "perhaps"),
        ("--hostname", "a b"),
        ("--platform", "linux/amd64/v2/extra"),
        ("--network", ""),
    ] {
        let out = t.run(&[flag, value, "true"]).out();
        assert_eq!(out.status, 125, "{flag} {value}: {} {}", out.stdout, out.stderr);
        assert!(out.stderr.starts_with("ccrun: "), "{flag} {value}: {}", out.stderr);
    }
    t.run(&["--name"]).out().exit(125);
    t.nothing_left();
}
