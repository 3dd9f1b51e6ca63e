//! The way from the host to the command: what it may take along, and what an image may say about it.

use super::{all_are, snapshot, times};
use crate::cases;
use crate::image::sha256;
use crate::sandbox::{Mode, Sandbox};
use crate::sys;
use crate::tar::Tar;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

cases! {
    Every:
        e01_runtime_overwritten,
        e02_leaked_descriptors_and_workdir,
        e05_helpers_of_the_image,
        e06_every_way_in_has_the_same_limits,
        e07_numbers_of_users,
        e08_groups,
        e09_user_files_as_traps,
        e23_looking_into_ccrun,
        e25_environment,
        e26_inherited_state,
        e30_metadata_is_inert;
}

/// CVE-2019-5736: /proc/PID/exe of the runtime is the host's file.
fn e01_runtime_overwritten(t: &Sandbox) {
    // As a user has it: a file of his own, which the container's root could write if it found it.
    let own = t.path("own-ccrun");
    std::fs::copy(&t.ccrun, &own).expect("copy");
    let before = sha256(&std::fs::read(&own).expect("read"));
    let run = |args: &[&str]| {
        let args = [&["run", "--rm", "--rootfs", &t.busybox], args].concat();
        t.command(&own, &args).env("CCRUN_ROOT", &t.store)
    };
    let write_all = "for e in /proc/[0-9]*/exe; do { true >>$e; } 2>/dev/null && readlink $e; done; echo tried";
    for init in ["--init", "--no-init"] {
        let seen = run(&[init, "/bin/sh", "-c", write_all]).ok();
        seen.lacks("ccrun").has("tried");
        // The image's program is the runtime's own file.
        run(&[init, "/proc/self/exe", "--version"]).out();
        // A script whose interpreter it is.
        let script = t.file("script", "#!/proc/self/exe\n");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        run(&[init, "-v", &format!("{script}:/script"), "/script"]).out();
    }
    // It runs inside as the image's program, and starts a helper of the image's, who waits for its end to write to it.
    let thief = "#!/bin/sh\nexec 9</proc/$PPID/exe\n\
        (for i in 1 2 3 4 5; do sleep 0.1; echo stolen >/proc/self/fd/9 && break; done) </dev/null >/dev/null 2>&1 &\nexit 1\n";
    let thief = t.file("bin/curl", thief);
    std::fs::set_permissions(&thief, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let mount = format!("{thief}:/bin/curl");
    for init in ["--init", "--no-init"] {
        let flags = [init, "-v", &mount, "-e", "PATH=/bin"];
        run(&[&flags[..], &["/proc/self/exe", "pull", "localhost:1/x"]].concat()).out();
        let shell = "/proc/1/exe pull localhost:1/x; /proc/self/exe pull localhost:1/x; sleep 0.6";
        run(&[&flags[..], &["/bin/sh", "-c", shell]].concat()).out();
    }
    assert_eq!(sha256(&std::fs::read(&own).expect("read")), before, "a container wrote to ccrun's own file");
    // Outside a container, where nothing is in the way, the thief succeeds.
    let path = format!("{}:/usr/bin:/bin", t.path("bin"));
    let pull = t.command(&own, &["pull", "localhost:1/x"]).env("CCRUN_ROOT", &t.store).env("PATH", path).spawn();
    crate::sandbox::eventually("the thief's success", || {
        std::fs::read(&own).is_ok_and(|bytes| bytes.starts_with(b"stolen"))
    });
    pull.wait();
}

/// CVE-2024-21626: a working directory, or anything else, by way of a descriptor of the runtime's.
fn e02_leaked_descriptors_and_workdir(t: &Sandbox) {
    for fd in 3..3 + times(10) {
        // Dots are taken out of the text before anything is opened.
        for dir in [format!("/proc/self/fd/{fd}"), format!("/proc/self/fd/x/../{fd}")] {
            let out = t.run(&["-w", &dir, "/bin/pwd"]).out();
            assert!([125, 126].contains(&out.status), "{dir}: {} {}", out.status, out.stdout);
            let status = out.status;
            out.error(status, "");
        }
    }
    let above = t.run(&["-w", "/proc/self/fd/3/../..", "/bin/pwd"]).ok().stdout;
    assert!(above.starts_with("/proc/"), "{above}");
    t.load("evil", Tar::new(), &[("WorkingDir", json!("/proc/self/fd/7"))]);
    let out = t.ccrun(&["run", "--rm", "evil", "/bin/pwd"]).out();
    assert!([125, 126].contains(&out.status), "{} {}", out.status, out.stdout);
    // What the caller has open is not handed on.
    let script = format!("exec {} run --rm --rootfs {} \"$@\" 9</etc 8>>/dev/null", t.ccrun, t.busybox);
    for init in ["--init", "--no-init"] {
        let args = ["-c", &script, "sh", init, "/bin/ls", "/proc/self/fd"];
        t.command("sh", &args).env("CCRUN_ROOT", &t.store).ok().prints("0\n1\n2\n3\n");
    }
}

/// Programs that the host runs are the host's, whatever the image calls so (CVE-2019-14271, 2026-41567).
fn e05_helpers_of_the_image(t: &Sandbox) {
    let evil = "#!/bin/sh\necho $0 >>/marker/$(basename $0)\n";
    let mut tar = Tar::new();
    for name in ["curl", "zstd", "newuidmap", "newgidmap", "ccrun", "tar", "gzip"] {
        for dir in ["usr/bin", "usr/local/bin", "sbin"] {
            tar = tar.file(&format!("{dir}/{name}"), 0o755, evil);
        }
    }
    std::fs::create_dir(t.path("marker")).expect("mkdir");
    t.load("evil", tar, &[("Env", json!(["PATH=/usr/local/bin:/usr/bin:/sbin:/bin", "LD_PRELOAD=/evil.so"]))]);
    let mount = format!("{}:/marker", t.path("marker"));
    t.ccrun(&["run", "--name", "job", "-v", &mount, "evil", "/bin/true"]).ok();
    t.ccrun(&["export", "-o", "job.tar", "job"]).ok();
    t.ccrun(&["save", "-o", "evil.tar", "evil"]).ok();
    t.ccrun(&["inspect", "job"]).ok();
    t.ccrun(&["rm", "job"]).ok();
    assert_eq!(crate::sandbox::list(t.path("marker").as_ref()), [""; 0], "programs of the image were run");
}

/// CVE-2022-27650, 2022-24769: the same power on every way in, and none to hand on.
fn e06_every_way_in_has_the_same_limits(t: &Sandbox) {
    let ways: [&[&str]; 4] = [&["--init"], &["--no-init"], &["-t"], &["-w", "/tmp"]];
    let fields = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups", "Uid", "Gid"];
    let mut first: Option<Vec<String>> = None;
    for way in ways {
        let out = t.inside(way, &["probe", "status"]).ok();
        // A terminal ends lines in its own way.
        let told = crate::probe::Vector::parse(&out.stdout.replace('\r', ""));
        let told: Vec<String> = fields.iter().map(|name| told.get(&format!("status.{name}")).to_owned()).collect();
        assert_eq!((told[0].as_str(), told[4].as_str()), ("0000000000000000", "0000000000000000"), "{way:?}");
        assert_eq!(told[1], "00000000a80425fb", "{way:?}");
        assert_eq!(told[6], "2", "{way:?}: no filter");
        assert_eq!(first.get_or_insert(told.clone()), &told, "{way:?}");
    }
    // Another user has none of it, but the same limits.
    let other = t.probe(&["--user", "1000"], &["status"]);
    other.all(&["status.CapInh", "status.CapPrm", "status.CapEff", "status.CapAmb"], "0000000000000000");
    assert_eq!(other.get("status.CapBnd"), "00000000a80425fb");
    assert_eq!(other.get("status.Seccomp"), "2");
}

/// CVE-2016-3697, 2024-40635, 2026-46680: what overflows or looks like a number is never root.
fn e07_numbers_of_users(t: &Sandbox) {
    let numbers = ["4294967296", "4294967295", "99999999999", "-1", "18446744073709551616"];
    let passwd: String = numbers.iter().map(|number| format!("{number}:x:0:0::/root:/bin/sh\n")).collect();
    let group = passwd.replace(":0:0::/root:/bin/sh", ":0:");
    let root = t.root("root", |root| {
        std::fs::write(root.join("etc/passwd"), &passwd).expect("write");
        std::fs::write(root.join("etc/group"), &group).expect("write");
    });
    let as_user = |user: &str| t.ccrun(&["run", "--rm", "--rootfs", &root, "--user", user, "/bin/id", "-u"]).out();
    for number in &numbers[..times(numbers.len())] {
        as_user(number).error(125, "");
    }
    // Hexadecimal is a name, and there is none such; a group overflows as well.
    for user in ["99999999999:0", "0:4294967296", "0x0", "1000:0x0"] {
        as_user(user).error(125, "");
    }
    let tar = Tar::new().file("etc/passwd", 0o644, &passwd);
    t.load("evil", tar, &[("User", json!("4294967296"))]);
    t.ccrun(&["run", "--rm", "evil", "/bin/id", "-u"]).out().error(125, "4294967296");
}

/// CVE-2022-36109, 2014-8989, 2018-7169: no group of the caller's stays, and none can be dropped to gain by it.
fn e08_groups(t: &Sandbox) {
    let setgroups = if t.mode == Mode::Nosubuid { "deny" } else { "allow" };
    t.sh("id -G; cat /proc/self/setgroups").ok().prints(&format!("0\n{setgroups}\n"));
    if t.mode == Mode::Nosubuid {
        return;
    }
    let root = t.root("root", |root| {
        let group = "root:x:0:\nwheel:x:10:app\ndisk:x:6:other\napp:x:1000:\n";
        std::fs::write(root.join("etc/group"), group).expect("write");
    });
    let groups = |user: &str| t.ccrun(&["run", "--rm", "--rootfs", &root, "--user", user, "/bin/id", "-G"]).ok().stdout;
    let mut of_app: Vec<String> = groups("app").split_whitespace().map(str::to_owned).collect();
    of_app.sort();
    assert_eq!(of_app, ["10", "1000"]);
    assert_eq!(groups("app:1000"), "1000\n");
    assert_eq!(groups("4711"), "0\n");
}

/// CVE-2024-9676, 2026-47262: files of the image that never end, or never begin.
fn e09_user_files_as_traps(t: &Sandbox) {
    type Make = fn(&Path);
    let traps: [(&str, Make); 4] = [
        ("a FIFO", |path| sys::mkfifo(path).expect("mkfifo")),
        ("/dev/zero", |path| symlink("/dev/zero", path).expect("symlink")),
        ("5 GiB", |path| File::create(path).and_then(|file| file.set_len(5 << 30)).expect("sparse")),
        ("a link out", |path| symlink("../../../../../../../../etc/passwd", path).expect("symlink")),
    ];
    for name in ["passwd", "group"] {
        let root = t.root(name, |_| ());
        for (what, make) in traps {
            let file = Path::new(&root).join("etc").join(name);
            std::fs::remove_file(&file).expect("remove");
            make(&file);
            let usage = t.path("usage");
            let run = ["run", "--rm", "--rootfs", &root, "--user", "root:bin", "/bin/id", "-g"];
            let args = [&["--inside", "measured", &usage, &t.ccrun], &run[..]].concat();
            let out = t.command(&t.it, &args).env("CCRUN_ROOT", &t.store).timeout(20).out();
            let peak: u64 = std::fs::read_to_string(&usage).expect("usage").parse().expect("KiB");
            assert!(peak < 50 << 10, "{name} is {what}: took {peak} KiB");
            // The link leads to itself inside.
            assert_eq!(out.status, 125, "{name} is {what}: {} {}", out.stdout, out.stderr);
            out.error(125, "");
        }
    }
}

/// CVE-2016-9962: memory, descriptors and environment of ccrun's processes are the host's.
fn e23_looking_into_ccrun(t: &Sandbox) {
    for _ in 0..times(10) {
        let seen = t.probe(&[], &["process", "try=ptrace-init,pidfd_getfd-init"]);
        assert_eq!(seen.get("looked-into"), "");
        assert!(seen.get("processes").starts_with("1=ccrun "), "{}", seen.get("processes"));
        all_are(&seen, &["ptrace-init", "pidfd_getfd-init"], &["EPERM"]);
    }
    // Even with what it takes to look into another's process.
    let more = ["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"];
    let seen = t.probe(&more, &["process", "try=ptrace-init,pidfd_getfd-init"]);
    assert_eq!(seen.get("looked-into"), "");
    all_are(&seen, &["ptrace-init", "pidfd_getfd-init"], &["EPERM"]);
}

/// CVE-2021-3602, 2020-14370: variables of the host.
fn e25_environment(t: &Sandbox) {
    let with = |flags: &[&str]| {
        let cmd = t.run(&[flags, &["/bin/env"]].concat());
        let names =
            ["A_SECRET", "LISTEN_FDS", "NOTIFY_SOCKET", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "TERM", "LD_PRELOAD"];
        let out = names.iter().fold(cmd, |cmd, name| cmd.env(name, "leaked")).ok();
        let mut names: Vec<String> =
            out.stdout.lines().filter_map(|line| line.split('=').next()).map(str::to_owned).collect();
        names.sort();
        assert!(!out.stdout.contains("leaked"), "{}", out.stdout);
        names
    };
    assert_eq!(with(&[]), ["HOME", "HOSTNAME", "PATH"]);
    assert_eq!(with(&["-t"]), ["HOME", "HOSTNAME", "PATH", "TERM"]);
}

/// What is not a file, and yet is handed on by execve.
fn e26_inherited_state(t: &Sandbox) {
    let script = format!("trap '' PIPE USR1 INT; umask 077; exec {} run --rm --rootfs {} \"$@\"", t.ccrun, t.busybox);
    let look = "grep -E 'Sig(Ign|Blk)' /proc/self/status | sed 's/.*:[^0-9a-f]*//'; umask; pwd";
    for init in ["--init", "--no-init"] {
        let args = ["-c", &script, "sh", init, "/bin/sh", "-c", look];
        let cmd = t.command("sh", &args).env("CCRUN_ROOT", &t.store).with_all_signals_blocked();
        cmd.ok().prints("0000000000000000\n0000000000000000\n0022\n/\n");
    }
}

/// Labels, annotations and volumes of the image's choice are no orders to the host.
fn e30_metadata_is_inert(t: &Sandbox) {
    std::fs::create_dir(t.path("outside")).expect("mkdir");
    let before = snapshot(t.path("outside").as_ref());
    let marker = t.path("outside/marker");
    let labels = json!({
        "containerd.io/restart.status": "running",
        "containerd.io/restart.loguri": format!("binary:///bin/touch?{marker}"),
        "io.containerd.runc.v2.group": "../../../..",
        "run.oci.hooks.stdout": marker.clone(),
        "org.opencontainers.image.base.name": "$(touch outside/marker)",
        "createRuntime": format!("/bin/touch {marker}"),
    });
    let settings = [
        ("Labels", labels),
        ("ExposedPorts", json!({ "22/tcp": {}, "x/../y": {} })),
        ("OnBuild", json!([format!("RUN touch {marker}")])),
        ("Healthcheck", json!({ "Test": ["CMD-SHELL", format!("touch {marker}")] })),
    ];
    t.load("evil", Tar::new(), &settings);
    t.ccrun(&["run", "--rm", "evil", "/bin/true"]).ok();
    t.ccrun(&["inspect", "evil"]).ok();
    // The kernel's own places are not given away.
    for place in ["/proc", "/sys", "/dev", "/", "/proc/self/fd", "/../../outside", "/sys/kernel"] {
        t.load("greedy", Tar::new(), &[("Volumes", json!({ place: {} }))]);
        let mount = format!("{}:/it:ro", t.it);
        let files = "try=core_pattern,sysrq,uevent_helper,mount,mknod-disk";
        let run = ["run", "--rm", "-v", &mount, "greedy", "/it", "--inside", "probe", files, "devices", "namespaces"];
        let out = t.ccrun(&run).out();
        if out.status == 125 {
            out.error(125, "");
            continue;
        }
        let seen = crate::probe::Vector::parse(&out.exit(0).stdout);
        let answers = ["EPERM", "EACCES", "EROFS", "ENOENT", "ENOTTY"];
        all_are(&seen, &["core_pattern", "sysrq", "uevent_helper", "mount", "mknod-disk"], &answers);
        // And /proc is the kernel's, whatever lies there.
        assert!(seen.get("ns.pid").starts_with("pid:") && seen.get("cgroups").contains('/'), "{place}");
    }
    assert_eq!(snapshot(t.path("outside").as_ref()), before);
}
