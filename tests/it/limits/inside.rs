//! What a container sees of its limits.

use super::groups::pure_v2;
use crate::cases;
use crate::sandbox::{Mode, Sandbox};

cases! {
    Root:
        programs_read_their_limits,
        the_hosts_groups_do_not_show,
        processes_are_limited_by_default;
    Every:
        without_limits_nothing_is_missed,
        stats_tell_what_it_took;
}

fn programs_read_their_limits(t: &Sandbox) {
    let flags = [
        &["-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--memory-swappiness", "10"][..],
        &["--cpu-quota", "20000", "--cpu-period", "40000", "-c", "512", "--cpuset-cpus", "0", "--cpuset-mems", "0"],
        &["--pids-limit", "33", "/bin/sh", "-c"],
    ]
    .concat();
    let v2 = [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "33554432"),
        ("memory.high", "max"),
        ("memory.oom.group", "1"),
        ("cpu.max", "20000 40000"),
        ("cpu.weight", "50"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "33"),
    ];
    let v1 = [
        ("memory/memory.limit_in_bytes", "67108864"),
        ("memory/memory.memsw.limit_in_bytes", "100663296"),
        ("memory/memory.soft_limit_in_bytes", "33554432"),
        ("memory/memory.swappiness", "10"),
        ("cpu/cpu.cfs_quota_us", "20000"),
        ("cpu/cpu.cfs_period_us", "40000"),
        ("cpu/cpu.shares", "512"),
        ("cpuset/cpuset.cpus", "0"),
        ("cpuset/cpuset.mems", "0"),
        ("pids/pids.max", "33"),
    ];
    for (file, value) in if pure_v2().is_some() { v2 } else { v1 } {
        // A kernel without swap has no file for it.
        let script = format!("cd /sys/fs/cgroup; [ -e {file} ] && cat {file} || echo none");
        let out = t.run(&[&flags[..], &[&script]].concat()).ok();
        assert!(out.line() == value || (out.line() == "none" && file.contains("sw")), "{file}: {}", out.stdout);
        let discarded = out.stderr.contains("Memory swappiness discarded.");
        assert_eq!(discarded, pure_v2().is_some(), "{}", out.stderr);
    }
    // What Docker counts from, where a program adds up.
    let script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; :";
    t.run(&["-m", "1.5g", "/bin/sh", "-c", script]).ok().prints("1610612736\n");
    // No limit on v1, and swap as much as there is.
    t.run(&["-m", "64m", "--memory-swap", "-1", "true"]).ok().quiet();
    t.nothing_left();
}

fn the_hosts_groups_do_not_show(t: &Sandbox) {
    let script = "cut -d: -f3 /proc/self/cgroup | sort -u; find /sys/fs/cgroup -name release_agent; \
        mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; \
        for f in $(find /sys/fs/cgroup -type f -name '*.max'); do echo 1 2>/dev/null >$f && echo wrote $f; done; \
        awk '$5 ~ \"^/sys/fs/cgroup\" && $6 !~ /^ro/ { print \"not read-only:\", $0 }' /proc/self/mountinfo; \
        grep -q ' /sys/fs/cgroup' /proc/self/mountinfo && echo mounted; \
        find /sys/fs/cgroup -name cgroup.procs -exec cat {} + | grep -c '^0$'; :";
    for network in ["none", "host"] {
        let flags = ["--network", network, "-m", "64m", "--cpus", "0.5", "--cpuset-cpus", "0", "/bin/sh", "-c", script];
        // A 0 would be a process from outside this PID namespace.
        t.run(&flags).ok().prints("/\nmounted\n0\n");
    }
    t.nothing_left();
}

fn processes_are_limited_by_default(t: &Sandbox) {
    let script = "cd /sys/fs/cgroup; cat pids.max pids/pids.max 2>/dev/null; :";
    t.run(&["/bin/sh", "-c", script]).ok().prints("2048\n").quiet();
    t.nothing_left();
}

fn without_limits_nothing_is_missed(t: &Sandbox) {
    // Also where no cgroup is to be had, and where the trees cannot even be seen.
    t.run(&["/bin/sh", "-c", "ls -d /sys/fs/cgroup; cut -d: -f3 /proc/self/cgroup | sort -u"])
        .ok()
        .prints("/sys/fs/cgroup\n/\n")
        .quiet();
    if t.mode == Mode::Root {
        let hide = format!(
            "sed -n 's/^[^ ]* \\([^ ]*\\) .*/\\1/p' /proc/mounts | grep /sys/fs/cgroup | sort -r | xargs -n 1 umount; {} run --rm --rootfs {} true && {} run --rm -m 64m --rootfs {} true",
            t.ccrun, t.busybox, t.ccrun, t.busybox
        );
        let out = t.command("unshare", &["-m", "sh", "-c", &hide]).env("CCRUN_ROOT", &t.store).out();
        out.error(125, "no cgroup controller 'memory' on this host");
    }
    t.nothing_left();
}

fn stats_tell_what_it_took(t: &Sandbox) {
    let out = t.inside(&["--stats"], &["eat", "40"]).ok().prints("ate 40 MB\n");
    let line = out.stderr.trim_end().strip_prefix("ccrun: wall ").unwrap_or_default().to_owned();
    let number = |text: &str| text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse::<f64>().ok();
    let wall = number(&line).unwrap_or_default();
    let cpu = line.split_once(", CPU ").and_then(|(_, rest)| number(rest)).unwrap_or_default();
    let peak = line.split_once("peak memory").and_then(|(_, rest)| {
        rest.split(' ').find_map(|word| word.strip_suffix("MiB")).and_then(|word| word.parse::<f64>().ok())
    });
    assert!(wall > 0.0 && cpu > 0.0, "{}", out.stderr);
    assert!(peak.is_some_and(|peak| (40.0..60.0).contains(&peak)), "{}", out.stderr);
    // The command's status stays its own.
    t.run(&["--stats", "/bin/sh", "-c", "exit 3"]).out().error(3, "peak memory");
    t.nothing_left();
}
