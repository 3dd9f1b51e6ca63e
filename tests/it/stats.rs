//! `ccrun stats` and `ccrun update`: what running containers use, and other limits for them.

use crate::judges::engine::Engine;
use crate::pty::Pty;
use crate::sandbox::{Out, Running, Sandbox};
use crate::{cases, procs};
use serde_json::Value;
use std::process::Command;

cases! {
    Every:
        what_a_container_uses_is_shown,
        time_and_memory_are_counted,
        the_network_of_the_host_is_nobodys,
        what_has_ended_uses_nothing,
        a_terminal_is_drawn_over,
        a_reader_that_goes_ends_it;
    Users:
        without_a_cgroup_there_is_nothing_to_change;
    Root:
        memory_is_counted_as_docker_does,
        limits_change_while_it_runs,
        what_is_not_asked_for_stays,
        what_cannot_be_changed_is_told;
}

/// A container called `name` that runs the script to the point where it says "ready".
fn start(t: &Sandbox, name: &str, flags: &[&str], script: &str) -> Running {
    let run = ["run", "--rm", "--name", name, "--rootfs", &t.busybox];
    let running = t.ccrun(&[&run, flags, &["/bin/sh", "-c", script]].concat()).timeout(120).spawn();
    running.until("ready\n");
    running
}

fn end(t: &Sandbox, names: &[&str], running: Vec<Running>) {
    t.ccrun(&[&["rm", "-f"], names].concat()).out();
    running.into_iter().for_each(|running| drop(running.wait()));
}

fn rows(t: &Sandbox, args: &[&str]) -> Vec<Value> {
    let out = t.ccrun(&[&["stats", "--no-stream", "--format", "json"], args].concat()).ok().quiet();
    out.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The number of bytes that `12.5MiB` is.
fn bytes(text: &str) -> f64 {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).expect("a unit");
    let power = ["B", "KiB", "MiB", "GiB"].iter().position(|unit| *unit == &text[end..]).expect("a unit");
    text[..end].parse::<f64>().expect("a number") * 1024f64.powi(power as i32)
}

fn memory(row: &Value) -> f64 {
    bytes(row["MemUsage"].as_str().expect("text").split(" / ").next().expect("two"))
}

fn what_a_container_uses_is_shown(t: &Sandbox) {
    let script = "sleep 61.7 & sleep 61.7 & sleep 61.7 & echo ready; wait";
    let running = vec![start(t, "one", &[], script), start(t, "two", &[], script)];
    let table = t.ccrun(&["stats", "--no-stream"]).ok().quiet();
    let head = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT";
    assert!(table.stdout.starts_with(head), "{}", table.stdout);
    table.has("MEM %     NET I/O   BLOCK I/O").has("PIDS").has("   one       ").has("   two       ").has("iB / ");
    let both = rows(t, &[]);
    assert_eq!(both.len(), 2, "{both:?}");
    // ccrun as PID 1, the shell and three of its children.
    assert!(both.iter().all(|row| row["PIDs"] == "5" && row["NetIO"] == "0B / 0B"), "{both:?}");
    let mut fields: Vec<&String> = both[0].as_object().expect("an object").keys().collect();
    fields.sort();
    let dockers = ["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"];
    assert_eq!(fields, dockers.iter().chain(&["Pressure"]).collect::<Vec<_>>());
    let one = rows(t, &["one"]);
    assert!(one.len() == 1 && one[0]["Name"] == "one" && one[0]["Container"] == "one", "{one:?}");
    t.ccrun(&["container", "stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}"]).ok().has(&id(t, "one"));
    t.ccrun(&["stats", "--no-stream", "one", "nope"]).out().error(1, "No such container: nope");
    end(t, &["one", "two"], running);
    t.nothing_left();
}

fn id(t: &Sandbox, name: &str) -> String {
    t.ccrun(&["inspect", "-f", "{{.Id}}", name]).ok().line().to_owned()
}

fn time_and_memory_are_counted(t: &Sandbox) {
    // 30 MB in a variable, then all the time that is to be had; the other one takes neither.
    let busy = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; while :; do :; done";
    let running = vec![start(t, "busy", &[], busy), start(t, "idle", &[], "echo ready; sleep 62.7; :")];
    let (busy, idle) = (&rows(t, &["busy"])[0], &rows(t, &["idle"])[0]);
    let percent = |row: &Value| row["CPUPerc"].as_str().and_then(|text| text.strip_suffix('%')?.parse::<f64>().ok());
    assert!(percent(busy).expect("a number") > 5.0 && percent(idle).expect("a number") < 5.0, "{busy} {idle}");
    assert!((28e6..120e6).contains(&memory(busy)) && memory(idle) < 10e6, "{busy} {idle}");
    end(t, &["busy", "idle"], running);
}

fn the_network_of_the_host_is_nobodys(t: &Sandbox) {
    let running = vec![start(t, "open", &["--network", "host"], "echo ready; sleep 63.7; :")];
    assert_eq!(rows(t, &["open"])[0]["NetIO"], "--");
    end(t, &["open"], running);
}

fn what_has_ended_uses_nothing(t: &Sandbox) {
    t.ccrun(&["run", "--name", "over", "--rootfs", &t.busybox, "true"]).ok();
    assert_eq!(rows(t, &[]).len(), 0);
    for args in [["-a"], ["over"]] {
        let row = &rows(t, &args)[0];
        for field in ["BlockIO", "CPUPerc", "MemPerc", "NetIO", "PIDs"] {
            assert_eq!(row[field], "--", "{row}");
        }
        assert!(row["Name"] == "over" && row["MemUsage"] == "-- / --", "{row}");
    }
}

fn a_terminal_is_drawn_over(t: &Sandbox) {
    let running = vec![start(t, "seen", &[], "echo ready; sleep 64.7; :")];
    let mut command = Command::new(&t.ccrun);
    command.arg("stats").env_clear().env("CCRUN_ROOT", &t.store).env("HOME", &t.dir);
    let mut pty = Pty::spawn(command);
    for _ in 0..2 {
        pty.expect("\x1b[HCONTAINER ID");
        pty.expect("seen");
        pty.expect("\x1b[J");
    }
    pty.send("\x03");
    assert_eq!(pty.wait().0, 130);
    end(t, &["seen"], running);
}

fn a_reader_that_goes_ends_it(t: &Sandbox) {
    let running = vec![start(t, "read", &[], "echo ready; sleep 65.7; :")];
    let out = t.command("sh", &["-c", "\"$0\" stats | head -n 2", &t.ccrun]).env("CCRUN_ROOT", &t.store).ok().quiet();
    assert_eq!(out.stdout.lines().count(), 2, "{}", out.stdout);
    assert!(!out.stdout.contains('\x1b'), "{:?}", out.stdout);
    end(t, &["read"], running);
}

/// Beside the real one: memory of its own, and a file in the page cache, which counts for neither.
fn memory_is_counted_as_docker_does(t: &Sandbox) {
    let engine = Engine::start(t);
    let script = "head -c 60000000 /dev/zero >/file; cat /file >/dev/null; x=$(head -c 30000000 /dev/zero | tr '\\0' x); \
        echo ready; sleep 66.7; :";
    let tar = t.path("rootfs.tar");
    t.command("tar", &["-C", &t.busybox, "-cf", &tar, "."]).ok();
    engine.docker(&["import", &tar, "busybox:own"]).ok();
    let flags = ["--network", "none", "-m", "500m", "--name", "judge", "--init=false"];
    let theirs =
        engine.docker(&[&["run", "--rm"][..], &flags, &["busybox:own", "/bin/sh", "-c", script]].concat()).spawn();
    theirs.until("ready\n");
    let ours = vec![start(t, "ours", &["-m", "500m"], script)];
    let format = "{{.MemUsage}} {{.PIDs}}";
    let judged = engine.docker(&["stats", "--no-stream", "--format", format, "judge"]).ok();
    let out = t.ccrun(&["stats", "--no-stream", "--format", format, "ours"]).ok();
    engine.docker(&["rm", "-f", "judge"]).ok();
    theirs.wait();
    end(t, &["ours"], ours);
    let used = |out: &Out| bytes(out.stdout.split(' ').next().expect("a word"));
    let (used, judged_used) = (used(&out), used(&judged));
    assert!((used / judged_used - 1.0).abs() < 0.25, "{used} and {judged_used}");
    assert!(
        out.stdout.contains(" / 500MiB ") && judged.stdout.contains(" / 500MiB "),
        "{} {}",
        out.stdout,
        judged.stdout
    );
}

/// The file of that name in one of the cgroups of a container that sleeps so long.
fn limit(seconds: &str, files: &[&str]) -> String {
    let dirs = procs::cgroup_dirs(procs::with_args(&["sleep", seconds]));
    let read = |file: &&str| dirs.iter().find_map(|dir| std::fs::read_to_string(dir.join(file)).ok());
    files.iter().find_map(read).unwrap_or_else(|| panic!("none of {files:?} in {dirs:?}")).trim().to_owned()
}

const MEMORY: &[&str] = &["memory.max", "memory.limit_in_bytes"];

fn limits_change_while_it_runs(t: &Sandbox) {
    let flags = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "-c", "512"];
    let running = vec![start(t, "job", &flags, "echo ready; sleep 67.7; :")];
    let before = limit("67.7", MEMORY);
    assert_eq!(before, (64u64 << 20).to_string());
    t.ccrun(&["update", "-m", "96m", "--pids-limit", "60", "--cpus", "0.25", "job"]).ok().prints("job\n").quiet();
    assert_eq!(limit("67.7", MEMORY), (96u64 << 20).to_string());
    assert_eq!(limit("67.7", &["pids.max"]), "60");
    assert!(["25000 100000", "25000"].contains(&limit("67.7", &["cpu.max", "cpu.cfs_quota_us"]).as_str()));
    t.ccrun(&["container", "update", "--pids-limit=-1", "-m", "32m", "job"]).ok();
    assert_eq!(limit("67.7", &["pids.max"]), "max");
    assert_eq!(limit("67.7", MEMORY), (32u64 << 20).to_string());
    assert!(["50", "512"].contains(&limit("67.7", &["cpu.weight", "cpu.shares"]).as_str()));
    let row = rows(t, &["job"]).remove(0);
    assert!(row["MemUsage"].as_str().expect("text").ends_with(" / 32MiB"), "{row}");
    end(t, &["job"], running);
    // It holds: what fits no more dies.
    let go = t.path("go");
    std::fs::create_dir(&go).expect("mkdir");
    let script = "echo ready; while ! test -e /go/now; do sleep 0.05; done; x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let running = start(t, "eater", &["-m", "300m", "-v", &format!("{go}:/go")], script);
    t.ccrun(&["update", "-m", "20m", "eater"]).ok();
    t.file("go/now", "");
    let out = running.wait();
    assert!(!out.stdout.contains("60000000"), "{}", out.stdout);
    t.nothing_left();
}

fn what_is_not_asked_for_stays(t: &Sandbox) {
    let flags = ["-m", "64m", "--memory-swap", "128m", "--cpu-quota", "20000", "--cpu-period", "50000"];
    let running = vec![start(t, "job", &flags, "echo ready; sleep 68.7; :")];
    let cpu =
        || limit("68.7", &["cpu.max", "cpu.cfs_quota_us"]) + " " + &limit("68.7", &["cpu.max", "cpu.cfs_period_us"]);
    let is = |one: &str, other: &str| {
        let cpu = cpu();
        assert!(cpu == format!("{one} {other}") || cpu == format!("{one} {other} {one} {other}"), "{cpu}");
    };
    t.ccrun(&["update", "--cpu-quota", "10000", "job"]).ok();
    is("10000", "50000");
    t.ccrun(&["update", "--cpu-period", "40000", "job"]).ok();
    is("10000", "40000");
    t.ccrun(&["update", "--cpus", "0.1", "job"]).ok();
    is("10000", "100000");
    // Memory and swap together stay what they were.
    let swap = || limit("68.7", &["memory.swap.max", "memory.memsw.limit_in_bytes"]);
    let has_swap = std::panic::catch_unwind(swap).is_ok();
    t.ccrun(&["update", "-m", "96m", "job"]).ok();
    if has_swap {
        assert!([(32u64 << 20).to_string(), (128u64 << 20).to_string()].contains(&swap()), "{}", swap());
        t.ccrun(&["update", "-m", "200m", "job"]).out().error(1, "should be smaller than already set memoryswap limit");
        t.ccrun(&["update", "-m", "200m", "--memory-swap", "300m", "job"]).ok();
    }
    end(t, &["job"], running);
}

fn what_cannot_be_changed_is_told(t: &Sandbox) {
    t.ccrun(&["run", "--name", "over", "--rootfs", &t.busybox, "true"]).ok();
    let running = vec![start(t, "job", &["--pids-limit", "9"], "echo ready; sleep 69.7; :")];
    for (args, text) in [
        (&["job"][..], "you must provide one or more flags when using this command; see 'ccrun update --help'"),
        (&["-m", "5m", "job"], "Minimum memory limit allowed is 6MB"),
        (&["-m", "1x", "job"], "invalid size: '1x'"),
        (&["--cpus", "-1", "job"], "Range of CPUs is from 0.01 to "),
        (&["--cpuset-cpus", "99", "job"], "99"),
        (&["-m", "64m", "nope"], "No such container: nope"),
        (&["-m", "64m", "over"], "Cannot update container over: Container "),
        (&["--rm", "job"], "unknown flag: --rm"),
    ] {
        t.ccrun(&[&["update"], args].concat()).out().error(1, text).prints("");
    }
    // One that fails does not keep the others.
    let out = t.ccrun(&["update", "--pids-limit", "12", "nope", "job"]).out();
    out.error(1, "No such container: nope").prints("job\n");
    assert_eq!(limit("69.7", &["pids.max"]), "12");
    end(t, &["job"], running);
}

fn without_a_cgroup_there_is_nothing_to_change(t: &Sandbox) {
    let running = vec![start(t, "job", &[], "echo ready; sleep 70.7; :")];
    let out = t.ccrun(&["update", "-m", "64m", "job"]).out();
    out.error(
        1,
        "Cannot update container job: it was started without a cgroup, so that nothing limits it; 'ccrun check' ",
    );
    end(t, &["job"], running);
}
