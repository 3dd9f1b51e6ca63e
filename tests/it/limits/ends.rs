//! However a container ends, its groups go with it.

use super::groups::of_containers;
use crate::sandbox::{Running, Sandbox, eventually};
use crate::{cases, procs, sys};

cases! {
    Root:
        the_cgroup_goes_with_its_container,
        it_goes_when_everything_inside_is_killed,
        it_goes_when_the_supervisor_is_killed,
        the_supervisor_is_outside;
}

const LIMITS: [&str; 8] = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "0"];

/// A container under all kinds of limits that sleeps, and the groups it is in.
fn sleeping(t: &Sandbox, seconds: &str) -> (Running, i32, Vec<std::path::PathBuf>) {
    let script = format!("echo ready; exec sleep {seconds}");
    let running = t.run(&[&LIMITS[..], &["/bin/sh", "-c", &script]].concat()).spawn();
    running.until("ready");
    let groups = of_containers(&t.names_in("containers"));
    assert!(!groups.is_empty() && groups.iter().all(|dir| dir.is_dir()), "{groups:?}");
    (running, procs::with_args(&["sleep", seconds]), groups)
}

fn the_cgroup_goes_with_its_container(t: &Sandbox) {
    let (running, sleep, groups) = sleeping(t, "81.1");
    let read = |name: &str| groups.iter().find_map(|dir| std::fs::read_to_string(dir.join(name)).ok());
    let memory = read("memory.max").or_else(|| read("memory.limit_in_bytes")).expect("a memory limit");
    assert_eq!(memory.trim(), (64 << 20).to_string());
    assert_eq!(read("pids.max").expect("a pids limit").trim(), "20");
    let theirs = procs::cgroup_dirs(sleep);
    assert!(groups.iter().all(|dir| theirs.contains(dir)), "{groups:?} are not among {theirs:?}");
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    assert!(groups.iter().all(|dir| !dir.exists()), "left: {groups:?}");
    t.nothing_left();
}

fn it_goes_when_everything_inside_is_killed(t: &Sandbox) {
    // PID 1 alone, which takes all others with it.
    let (running, sleep, groups) = sleeping(t, "81.2");
    let init = procs::status(sleep, "PPid")[0].parse().expect("a pid");
    sys::kill(init, libc::SIGKILL).expect("kill PID 1");
    running.wait().exit(137);
    assert!(groups.iter().all(|dir| !dir.exists()), "left: {groups:?}");
    // By the kernel, out of memory: several at once, and what they have started.
    let eat = "for i in 1 2 3; do (sleep 81.3 & /it --inside eat 200) & done; wait; exit 7";
    let mount = format!("{}:/it:ro", t.it);
    let named = ["--name", "hungry", "-v", &mount, "-m", "64m", "/bin/sh", "-c", eat];
    let running = t.run(&named).spawn();
    eventually("its record", || !t.names_in("containers").is_empty());
    let ids = t.names_in("containers");
    running.wait().says("out of memory: ");
    assert_eq!(of_containers(&ids), Vec::<std::path::PathBuf>::new());
    assert!(procs::find_args(&["sleep", "81.3"]).is_empty());
    t.nothing_left();
}

fn it_goes_when_the_supervisor_is_killed(t: &Sandbox) {
    let (running, sleep, groups) = sleeping(t, "81.4");
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    eventually("the container's death", || procs::find_args(&["sleep", "81.4"]).is_empty());
    assert!(!std::path::Path::new(&format!("/proc/{sleep}/exe")).exists());
    // Whoever comes next tidies up.
    t.ccrun(&["run", "--rm", "--rootfs", &t.busybox, "true"]).ok().quiet();
    assert!(groups.iter().all(|dir| !dir.exists()), "left: {groups:?}");
    t.nothing_left();
}

fn the_supervisor_is_outside(t: &Sandbox) {
    let (running, sleep, groups) = sleeping(t, "81.5");
    let supervisor = procs::cgroup_dirs(running.pid());
    assert!(groups.iter().all(|dir| !supervisor.contains(dir)), "{supervisor:?}");
    let score = |pid: i32| -> i32 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
        text.trim().parse().expect("a number")
    };
    assert!(score(sleep) >= score(running.pid()));
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    t.nothing_left();
}
