//! Step 6: memory, CPU and the number of processes.

use crate::sandbox::Sandbox;
use crate::{cases, procs};

cases! {
    Root:
        memory_ends_what_takes_too_much,
        cpus_shares_out_time,
        pids_limit_stops_a_fork_bomb,
        the_cgroup_goes_with_its_container;
    Users:
        a_limit_that_cannot_be_applied_is_an_error,
}

fn memory_ends_what_takes_too_much(t: &Sandbox) {
    t.inside(&["-m", "64m"], &["eat", "200"]).out().exit(137);
    t.inside(&["-m", "64m"], &["eat", "30"]).ok().prints("ate 30 MB\n");
    t.inside(&["--memory", "300m"], &["eat", "200"]).ok().prints("ate 200 MB\n");
    // The command's child is counted with it.
    let mount = format!("{}:/it:ro", t.it);
    t.run(&["-v", &mount, "-m", "64m", "/bin/sh", "-c", "/it --inside eat 200; echo $?"]).ok().prints("137\n");
    t.nothing_left();
}

fn cpus_shares_out_time(t: &Sandbox) {
    let used = |flags: &[&str]| -> u64 { t.inside(flags, &["burn", "3"]).ok().line().parse().expect("ms") };
    let (free, half) = (used(&[]), used(&["--cpus", "0.5"]));
    // A busy machine gives less than it may, never more.
    assert!(half < 1800, "with --cpus 0.5, 3 s of a busy loop got {half} ms of CPU");
    assert!(half > 300, "with --cpus 0.5, 3 s of a busy loop got only {half} ms of CPU");
    if free < 2000 {
        crate::skip!("this machine is too busy to tell: without a limit, 3 s of a busy loop got {free} ms of CPU");
    }
}

fn pids_limit_stops_a_fork_bomb(t: &Sandbox) {
    let started = |flags: &[&str]| -> usize {
        let out = t.inside(flags, &["forks", "100"]).ok();
        let line = out.stdout.lines().last().expect("a line").to_owned();
        line.strip_suffix(" started").expect("a count").parse().expect("a count")
    };
    assert_eq!(started(&[]), 100);
    let limited = started(&["--pids-limit", "20"]);
    assert!((10..20).contains(&limited), "{limited} processes under --pids-limit 20");
    // A real one: it is stopped, and the container still ends.
    let running =
        t.run(&["--pids-limit", "20", "/bin/sh", "-c", "b() { b | b & }; b; sleep 1.5; echo over"]).timeout(60).spawn();
    let out = running.wait();
    assert!(out.status != 125, "{}", out.stderr);
    t.nothing_left();
}

fn the_cgroup_goes_with_its_container(t: &Sandbox) {
    let all = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "/bin/sh", "-c", "echo ready; exec sleep 81.1"];
    let running = t.run(&all).spawn();
    running.until("ready");
    let ours = procs::cgroup_dirs(std::process::id() as i32);
    let theirs = procs::cgroup_dirs(procs::with_args(&["sleep", "81.1"]));
    let own: Vec<_> = theirs.into_iter().filter(|dir| !ours.contains(dir)).collect();
    assert!(!own.is_empty() && own.iter().all(|dir| dir.is_dir()), "{own:?}");
    let read = |name: &str| own.iter().find_map(|dir| std::fs::read_to_string(dir.join(name)).ok());
    let memory = read("memory.max").or_else(|| read("memory.limit_in_bytes")).expect("a memory limit");
    assert_eq!(memory.trim(), (64 << 20).to_string());
    assert_eq!(read("pids.max").expect("a pids limit").trim(), "20");
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    assert!(own.iter().all(|dir| !dir.exists()), "left: {own:?}");
    t.nothing_left();
}

fn a_limit_that_cannot_be_applied_is_an_error(t: &Sandbox) {
    let delegated = procs::cgroup_dirs(std::process::id() as i32).iter().any(|dir| {
        std::fs::metadata(dir).is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == crate::sys::uid())
    });
    if delegated {
        t.inside(&["-m", "64m"], &["eat", "200"]).out().exit(137);
        return;
    }
    for flags in [["-m", "64m"], ["--cpus", "0.5"], ["--pids-limit", "20"]] {
        t.run(&[&flags[..], &["true"]].concat()).out().error(125, "cgroup");
    }
    t.nothing_left();
}
