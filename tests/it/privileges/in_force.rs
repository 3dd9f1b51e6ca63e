//! `inspect --security` against what the kernel tells the test and the container itself.

use crate::sandbox::{Mode, Running, Sandbox};
use crate::{cases, procs, sys};
use serde_json::{Value, json};

cases! {
    Every:
        it_tells_what_the_kernel_does,
        without_an_init_the_command_is_pid_1,
        another_user_is_told_inside_and_outside,
        what_is_asked_for_is_in_force,
        only_what_runs_can_be_told_of;
}

/// A container that sleeps, by the name `c`.
fn start(t: &Sandbox, flags: &[&str], seconds: &str) -> Running {
    let script = format!("echo ready; exec sleep {seconds}");
    let run = ["run", "--rm", "--name", "c1", "--rootfs", &t.busybox];
    let running = t.ccrun(&[&run, flags, &["/bin/sh", "-c", &script]].concat()).spawn();
    running.until("ready");
    running
}

fn end(running: Running) {
    running.signal(libc::SIGKILL);
    let _ = running.wait();
}

fn told(t: &Sandbox, args: &[&str]) -> Value {
    let out = t.ccrun(args).ok().quiet();
    let mut all: Value = serde_json::from_str(&out.stdout).expect("JSON");
    all[0].take()
}

fn it_tells_what_the_kernel_does(t: &Sandbox) {
    let running = start(t, &[], "71.001");
    let pid = procs::with_args(&["sleep", "71.001"]);
    let told = told(t, &["inspect", "--security", "c1"]);
    let (command, init) = (&told["Command"], &told["Init"]);
    assert_eq!((&command["Pid"], &init["ContainerPid"], &told["Name"]), (&json!(pid), &json!(1), &json!("/c1")));
    assert_eq!(json!([init["Pid"]]), json!([parent(pid)]));
    let names = command["Capabilities"]["Bounding"].as_array().expect("names");
    assert_eq!((names.len(), &names[0], &names[13]), (14, &json!("CAP_CHOWN"), &json!("CAP_SETFCAP")));
    assert_eq!(command["Capabilities"]["Effective"], command["Capabilities"]["Bounding"]);
    assert_eq!(command["Capabilities"]["Ambient"], json!([]));
    // Who emulates root for others needs more: of what the command has, and to look into its memory.
    let of_init = match t.mode {
        Mode::Nosubuid => "CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SYS_CHROOT CAP_SYS_PTRACE",
        _ => "CAP_KILL",
    };
    assert_eq!(init["Capabilities"]["Effective"], json!(of_init.split(' ').collect::<Vec<_>>()));
    let host = |name: &str| procs::status(pid, name)[1].parse::<u32>().expect("an id");
    assert_eq!((&command["Uid"], &command["HostUid"]), (&json!(0), &json!(host("Uid"))));
    assert_eq!((&command["Gid"], &command["HostGid"]), (&json!(0), &json!(host("Gid"))));
    for (kind, namespace) in command["Namespaces"].as_object().expect("namespaces") {
        let (own, its) = (format!("/proc/self/ns/{kind}"), format!("/proc/{pid}/ns/{kind}"));
        let link = |path: &str| std::fs::read_link(path).expect("readlink").display().to_string();
        assert_eq!(namespace["Id"], json!(link(&its)), "{kind}");
        assert_eq!(namespace["Own"], json!(link(&own) != link(&its)), "{kind}");
        assert!(kind == "time" || namespace["Own"] == true, "{kind}");
    }
    assert!(command["Namespaces"].as_object().expect("namespaces").len() >= 7);
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("uid_map");
    let first: Vec<u64> = map.split_whitespace().take(3).map(|word| word.parse().expect("a number")).collect();
    assert_eq!(told["IdMap"]["Uids"][0], json!({"ContainerID": first[0], "HostID": first[1], "Size": first[2]}));
    assert_eq!(told["IdMap"]["SetGroups"], if t.mode == Mode::Nosubuid { "deny" } else { "allow" });
    for path in ["/proc/keys", "/proc/interrupts"] {
        assert!(told["MaskedPaths"].as_array().expect("paths").contains(&json!(path)), "{}", told["MaskedPaths"]);
    }
    for path in ["/proc/sys", "/proc/bus", "/sys"] {
        assert!(told["ReadonlyPaths"].as_array().expect("paths").contains(&json!(path)), "{}", told["ReadonlyPaths"]);
    }
    assert_eq!((&told["ReadonlyRootfs"], &command["NoNewPrivileges"]), (&json!(false), &json!(false)));
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let nofile = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("nofile");
    let nofile: Vec<i64> = nofile.split_whitespace().take(2).map(|word| word.parse().expect("a number")).collect();
    let ulimits = command["Ulimits"].as_array().expect("limits");
    assert_eq!(ulimits.len(), 15);
    assert!(ulimits.contains(&json!({"Name": "nofile", "Soft": nofile[0], "Hard": nofile[1]})), "{ulimits:?}");
    let filters = procs::status(pid, "Seccomp_filters")[0].parse::<u32>().expect("a number");
    assert_eq!(command["Seccomp"]["Filters"], json!(filters));
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    assert_eq!(told["Cgroup"]["Paths"], json!(cgroup.lines().collect::<Vec<_>>()));
    // PID 1 can be looked into by the host's root alone, and the rest is said to be missing.
    assert_eq!((&command["Dumpable"], &init["Dumpable"]), (&json!(true), &json!(false)));
    assert_eq!(command["NotReadable"], json!([]));
    let missing = init["NotReadable"].as_array().expect("a list");
    if sys::uid() == 0 {
        assert!(missing.is_empty(), "{missing:?}");
    } else {
        assert!(missing[0].as_str().is_some_and(|text| text.contains("/ns/cgroup: Permission denied")), "{missing:?}");
        assert_eq!(init["Namespaces"], json!({}));
    }
    // The other ways to ask.
    let by_group = self::told(t, &["container", "inspect", "--security", "c1"]);
    assert_eq!(by_group["Command"]["Pid"], json!(pid));
    let format = "{{.Command.Pid}} {{len .Command.Capabilities.Bounding}} {{.Command.Seccomp.Mode}}";
    let mode = if filters > 0 { "filter" } else { "disabled" };
    t.ccrun(&["inspect", "--security", "-f", format, "c1"]).ok().prints(&format!("{pid} 14 {mode}\n"));
    end(running);
}

fn parent(pid: i32) -> i32 {
    procs::all().iter().find(|process| process.pid == pid).expect("a process").parent
}

fn without_an_init_the_command_is_pid_1(t: &Sandbox) {
    let running = start(t, &["--no-init"], "71.002");
    let pid = procs::with_args(&["sleep", "71.002"]);
    let told = told(t, &["inspect", "--security", "c1"]);
    assert_eq!((&told["Init"], &told["Command"]["Pid"]), (&json!(null), &json!(pid)));
    assert_eq!(told["Command"]["ContainerPid"], json!(1));
    assert_eq!(told["Command"]["Namespaces"]["user"]["Own"], json!(true));
    end(running);
}

fn another_user_is_told_inside_and_outside(t: &Sandbox) {
    // An orphan that PID 1 took in is not the command.
    let script = "(sleep 71.1 &); (sleep 71.2 &); sleep 0.2; echo ready; exec sleep 71.003";
    let run = ["run", "--rm", "--name", "c1", "--rootfs", &t.busybox, "--user", "app", "/bin/sh", "-c", script];
    let running = t.ccrun(&run).spawn();
    running.until("ready");
    let pid = procs::with_args(&["sleep", "71.003"]);
    let told = told(t, &["inspect", "--security", "c1"]);
    let command = &told["Command"];
    assert_eq!((&command["Pid"], &command["Uid"], &command["Gid"]), (&json!(pid), &json!(1000), &json!(1000)));
    let host = procs::status(pid, "Uid")[1].parse::<u32>().expect("an id");
    assert_eq!(command["HostUid"], json!(host));
    assert_eq!(
        (&command["Capabilities"]["Effective"], &command["Capabilities"]["Permitted"]),
        (&json!([]), &json!([]))
    );
    let groups = if t.mode == Mode::Nosubuid { json!([]) } else { json!([44, 50, 1000]) };
    assert_eq!(command["Groups"], groups);
    end(running);
}

fn what_is_asked_for_is_in_force(t: &Sandbox) {
    let flags = ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges", "--read-only"];
    let running = start(t, &[&flags[..], &["--ulimit", "nofile=70:80"]].concat(), "71.004");
    let told = told(t, &["inspect", "--security", "c1"]);
    let command = &told["Command"];
    assert_eq!((&command["Capabilities"]["Bounding"], &told["ReadonlyRootfs"]), (&json!(["CAP_CHOWN"]), &json!(true)));
    assert_eq!(command["NoNewPrivileges"], json!(true));
    let ulimits = command["Ulimits"].as_array().expect("limits");
    assert!(ulimits.contains(&json!({"Name": "nofile", "Soft": 70, "Hard": 80})), "{ulimits:?}");
    end(running);
    let mut flags = vec!["--privileged"];
    if t.mode == Mode::Root {
        flags.extend(["-m", "64m", "--pids-limit", "20"]);
    }
    let running = start(t, &flags, "71.005");
    let told = self::told(t, &["inspect", "--security", "c1"]);
    assert_eq!((&told["MaskedPaths"], &told["ReadonlyPaths"]), (&json!([]), &json!([])));
    // The filter that is left asks the emulation of root.
    let mode = if t.mode == Mode::Nosubuid { "filter" } else { "disabled" };
    assert_eq!(told["Command"]["Seccomp"]["Mode"], json!(mode));
    let limits = told["Cgroup"]["Limits"].as_object().expect("limits");
    let holds = |end: &str, value: &str| limits.iter().any(|(path, text)| path.ends_with(end) && text == value);
    if t.mode == Mode::Root {
        assert!(holds("memory.max", "67108864") || holds("memory.limit_in_bytes", "67108864"), "{limits:?}");
        assert!(holds("pids.max", "20"), "{limits:?}");
    } else {
        assert!(limits.is_empty(), "{limits:?}");
    }
    end(running);
}

fn only_what_runs_can_be_told_of(t: &Sandbox) {
    t.ccrun(&["run", "--name", "gone", "--rootfs", &t.busybox, "true"]).ok();
    let out = t.ccrun(&["inspect", "--security", "gone"]).out();
    assert!(out.stderr.starts_with("ccrun: Container ") && out.stderr.ends_with(" is not running\n"), "{}", out.stderr);
    assert_eq!((out.status, out.stdout.as_str()), (1, "[]\n"));
    t.ccrun(&["inspect", "--security", "nobody"]).out().exit(1).says("No such container: nobody");
    t.ccrun(&["inspect", "--security", "--type", "image", "x"]).out().error(1, "not of images");
    t.ccrun(&["image", "inspect", "--security", "x"]).out().exit(1).says("unknown flag: --security");
    t.ccrun(&["rm", "gone"]).ok();
}
