//! A container's life and its ends: signals, sudden deaths, many at once.

use crate::sandbox::{Cmd, Mode, Running, Sandbox, eventually};
use crate::{cases, procs, sys};

cases! {
    Every:
        killed_at_random_moments_fifty_times,
        twenty_at_once,
        every_catchable_signal_is_passed_on,
        the_supervisors_death_is_the_containers,
        the_containers_death_is_the_supervisors,
        what_the_command_left_running_ends_with_it;
    Root:
        killed_while_pulling,
}

fn every_catchable_signal_is_passed_on(t: &Sandbox) {
    let script = "for s in TERM INT HUP QUIT USR1 USR2 WINCH CONT ALRM; do trap \"echo got $s\" $s; done; \
        trap 'echo bye; exit 7' TSTP; echo ready; while :; do sleep 0.05; done";
    let running = t.sh(script).spawn();
    running.until("ready");
    for (name, signal) in [
        ("TERM", libc::SIGTERM),
        ("INT", libc::SIGINT),
        ("HUP", libc::SIGHUP),
        ("QUIT", libc::SIGQUIT),
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("WINCH", libc::SIGWINCH),
        ("ALRM", libc::SIGALRM),
        ("CONT", libc::SIGCONT),
    ] {
        running.signal(signal);
        running.until(&format!("got {name}\n"));
    }
    running.signal(libc::SIGKILL);
    assert_eq!(running.wait().status, 137);
    // Without a handler it ends as any program would.
    let running = t.sh("echo ready; exec sleep 71.1").spawn();
    running.until("ready").signal(libc::SIGTERM);
    running.wait().exit(143);
    let running = t.sh("echo ready; exec sleep 71.2").spawn();
    running.until("ready").signal(libc::SIGINT);
    running.wait().exit(130);
    t.nothing_left();
}

fn the_supervisors_death_is_the_containers(t: &Sandbox) {
    let running = t.sh("trap '' TERM HUP INT; echo ready; exec sleep 71.3").spawn();
    running.until("ready");
    let sleep = procs::with_args(&["sleep", "71.3"]);
    let cgroups = own_cgroups(sleep);
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    eventually("the container's death", || {
        !std::path::Path::new(&format!("/proc/{sleep}")).exists() || is_zombie(sleep)
    });
    t.run(&["true"]).ok();
    t.nothing_left();
    assert!(cgroups.iter().all(|dir| !dir.exists()), "left: {cgroups:?}");
}

fn is_zombie(pid: i32) -> bool {
    procs::status(pid, "State").first().is_some_and(|state| state == "Z" || state == "X")
}

/// The cgroups of a process that are not ours too.
fn own_cgroups(pid: i32) -> Vec<std::path::PathBuf> {
    let ours = procs::cgroup_dirs(std::process::id() as i32);
    procs::cgroup_dirs(pid).into_iter().filter(|dir| !ours.contains(dir)).collect()
}

fn the_containers_death_is_the_supervisors(t: &Sandbox) {
    let running = t.sh("echo ready; exec sleep 71.4").spawn();
    running.until("ready");
    let sleep = procs::with_args(&["sleep", "71.4"]);
    if sys::kill(sleep, libc::SIGKILL).is_ok() {
        running.wait().exit(137);
    }
    // Its PID 1, too.
    let running = t.sh("echo ready; exec sleep 71.5").spawn();
    running.until("ready");
    let init = procs::status(procs::with_args(&["sleep", "71.5"]), "PPid")[0].parse().expect("a pid");
    sys::kill(init, libc::SIGKILL).expect("kill PID 1");
    assert_ne!(running.wait().status, 0);
    t.nothing_left();
}

fn what_the_command_left_running_ends_with_it(t: &Sandbox) {
    let out =
        t.sh("sleep 71.6 & nohup sleep 71.6 >/dev/null 2>&1 & (setsid sleep 71.6 &) ; echo done").timeout(20).ok();
    out.prints("done\n");
    assert!(procs::find_args(&["sleep", "71.6"]).is_empty());
    t.nothing_left();
}

fn twenty_at_once(t: &Sandbox) {
    let start = |n: usize| {
        let script = format!("echo {n} >/tmp/me; sleep 0.5; cat /tmp/me; hostname; ls /tmp");
        t.run(&["--hostname", &format!("h{n}"), "/bin/sh", "-c", &script]).timeout(100).spawn()
    };
    let running: Vec<Running> = (0..20).map(start).collect();
    for (n, running) in running.into_iter().enumerate() {
        running.wait().exit(0).prints(&format!("{n}\nh{n}\nme\n")).quiet();
    }
    t.nothing_left();
}

fn killed_at_random_moments_fifty_times(t: &Sandbox) {
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    // Bad luck must be repeatable: the moments come from a fixed seed.
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut cgroups = Vec::new();
    for round in 0..50 {
        let limits: &[&str] = if t.mode == Mode::Root && round % 2 == 0 { &["-m", "64m"] } else { &[] };
        let command: Cmd = t.run(&[limits, &["/bin/sh", "-c", "echo x >/f; (sleep 71.7 &); sleep 71.7"]].concat());
        let running = command.spawn();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let wait = std::time::Duration::from_micros(seed % 25_000);
        std::thread::sleep(wait);
        cgroups.extend(procs::find_args(&["sleep", "71.7"]).into_iter().flat_map(own_cgroups));
        running.signal(libc::SIGKILL);
        assert_eq!(running.wait().status, 137, "round {round}");
    }
    eventually("all dead", || procs::find_args(&["sleep", "71.7"]).is_empty());
    t.run(&["true"]).ok().quiet();
    t.nothing_left();
    let left = procs::left_behind();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
    cgroups.retain(|dir| dir.exists());
    assert!(cgroups.is_empty(), "cgroups left: {cgroups:?}");
    assert!(t.ccrun(&["ps", "-a"]).ok().stdout.lines().count() == 1, "containers left");
}

fn killed_while_pulling(t: &Sandbox) {
    use crate::image::Image;
    use crate::registry::Registry;
    use crate::tar::Tar;
    let registry = Registry::start();
    let mut image = Image::busybox(&t.busybox);
    for n in 0..4 {
        let files =
            (0..150).fold(Tar::new(), |tar, m| tar.file(&format!("d{n}/f{m}"), 0o644, vec![n * 7 + m as u8; 9000]));
        image = image.layer(files);
    }
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..20 {
        let running = t.ccrun(&["pull", &name]).spawn();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(std::time::Duration::from_micros(seed % 150_000));
        running.signal(libc::SIGKILL);
        // Its workers end by themselves once it is gone.
        running.wait();
        eventually("the workers' end", || procs::left_behind().is_empty());
        if round % 5 == 4 {
            t.ccrun(&["images"]).ok();
            assert_eq!(t.names_in("tmp"), Vec::<String>::new(), "half-made things after the next command");
        }
    }
    t.ccrun(&["pull", &name]).ok();
    let script = "ls /d0 /d1 /d2 /d3 | wc -l; wc -c </d3/f149; sha256sum /d0/f7 | cut -c1-8";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().has("9000");
    t.nothing_left();
}
