//! Step 6: memory, CPU and the number of processes. What limits do; limits/ has what they look like inside, how
//! containers under them end, and where users have them from.

pub mod ends;
pub mod groups;
pub mod inside;
pub mod places;

use crate::sandbox::{Running, Sandbox};
use crate::{cases, procs};
use groups::Group;

cases! {
    Root:
        memory_ends_what_takes_too_much,
        cpus_shares_out_time,
        shares_are_in_proportion,
        pids_limit_stops_a_fork_bomb,
        cpuset_leaves_one_cpu,
        blocks_are_read_no_faster;
    Every:
        bad_values_are_named,
        shm_has_its_size,
        a_score_may_only_rise;
}

fn memory_ends_what_takes_too_much(t: &Sandbox) {
    let out = t.inside(&["-m", "64m"], &["eat", "200"]).out().error(137, "it reached its limit of 64MiB (--memory)");
    assert!(out.stderr.contains("the biggest process was it (pid "), "{}", out.stderr);
    t.inside(&["-m", "64m"], &["eat", "60"]).ok().prints("ate 60 MB\n").quiet();
    t.inside(&["--memory", "300m"], &["eat", "200"]).ok().prints("ate 200 MB\n").quiet();
    // The command's child is counted with it. v2 takes the whole container away, v1 the child alone.
    let mount = format!("{}:/it:ro", t.it);
    let script = "/it --inside eat 200; echo $?";
    let out = t.run(&["-v", &mount, "-m", "64m", "/bin/sh", "-c", script]).out().says("out of memory: ");
    match out.status {
        0 => assert!(out.stdout == "137\n" && out.stderr.contains("a process in the container was ended")),
        status => assert!(status == 137 && out.stdout.is_empty() && out.stderr.contains("the container was ended")),
    }
    // Less than this is refused; this much is enough for ccrun itself.
    t.run(&["-m", "6m", "true"]).ok().quiet();
    t.nothing_left();
}

fn cpus_shares_out_time(t: &Sandbox) {
    // Before all others on a busy machine, so that it gets what it may have.
    let group = Group::first(t, "cpus");
    let used = |cpus: &str| -> u64 {
        let flags = ["--cgroup-parent", &group.name, "-c", "262144", "--cpus", cpus];
        t.inside(&flags, &["burn", "4"]).ok().line().parse().expect("ms")
    };
    let half = used("0.5");
    assert!((1800..=2200).contains(&half), "with --cpus 0.5, 4 s of a busy loop got {half} ms of CPU");
    let whole = used("1");
    assert!(whole > 3000, "with --cpus 1, 4 s of a busy loop got {whole} ms of CPU");
}

fn shares_are_in_proportion(t: &Sandbox) {
    let group = Group::first(t, "shares");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    // Both must have started by then, which a slow machine takes longer for.
    let ahead = if std::env::var_os("CCRUN_IT_PART").is_some() { 15_000 } else { 4000 };
    let start = (now.as_millis() + ahead).to_string();
    let flags = |shares| ["--cgroup-parent", &group.name, "--cpuset-cpus", "0", "-c", shares];
    let spawn = |shares| t.inside(&flags(shares), &["burn-from", &start, "4000"]).timeout(60).spawn();
    let both = [spawn("1024"), spawn("512")];
    let [more, less] = both.map(|running: Running| running.wait().exit(0).line().parse::<f64>().expect("ms"));
    assert!((1.7..=2.3).contains(&(more / less)), "1024 shares got {more} ms, 512 got {less} ms");
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
    assert_eq!(started(&["--pids-limit", "-1"]), 100);
    // A real one: meanwhile others can start what they like, and it ends when its container does.
    let bomb = "echo ready; b() { b | b & }; (while :; do b; done) 2>/dev/null & exec sleep 83.1";
    let running = t.run(&["--pids-limit", "20", "/bin/sh", "-c", bomb]).spawn();
    running.until("ready");
    for _ in 0..10 {
        let inside = procs::descendants(running.pid()).len();
        assert!(inside <= 21, "{inside} processes under --pids-limit 20");
        t.command("true", &[]).ok();
    }
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    t.run(&["--pids-limit", "1", "true"]).out().error(125, "--pids-limit 1 leaves no room for the command");
    t.run(&["--pids-limit", "1", "--no-init", "true"]).ok();
    t.nothing_left();
}

fn cpuset_leaves_one_cpu(t: &Sandbox) {
    let last = std::fs::read_to_string("/sys/devices/system/cpu/online").expect("online");
    let last = last.trim().rsplit(['-', ',']).next().expect("a number");
    t.run(&["--cpuset-cpus", last, "--cpuset-mems", "0", "/bin/nproc"]).ok().prints("1\n").quiet();
    let status = "grep Cpus_allowed_list /proc/self/status";
    t.run(&["--cpuset-cpus", last, "/bin/sh", "-c", status]).ok().prints(&format!("Cpus_allowed_list:\t{last}\n"));
    t.nothing_left();
}

fn blocks_are_read_no_faster(t: &Sandbox) {
    let disk = ["/dev/vda", "/dev/sda", "/dev/nvme0n1"].into_iter().find(|disk| std::path::Path::new(disk).exists());
    let Some(disk) = disk else { crate::skip!("this machine has no disk under a name that is known") };
    let numbers = t.command("stat", &["-c", "%t:%T", disk]).ok().line().to_owned();
    let (major, minor) = numbers.split_once(':').expect("numbers");
    let hex = |text| u32::from_str_radix(text, 16).expect("hex");
    let numbers = format!("{}:{}", hex(major), hex(minor));
    let flags = ["--device-read-bps", "--device-write-bps", "--device-read-iops", "--device-write-iops"];
    let values = ["1mb", "2mb", "300", "400"].map(|value| format!("{disk}:{value}"));
    let mut args: Vec<&str> = flags.into_iter().zip(&values).flat_map(|(flag, value)| [flag, value.as_str()]).collect();
    args.extend([
        "--blkio-weight",
        "200",
        "/bin/sh",
        "-c",
        "cd /sys/fs/cgroup; cat io.max blkio/blkio.throttle.*_device",
    ]);
    let out = t.run(&args).out();
    if out.stdout.contains("rbps") {
        out.has(&format!("{numbers} rbps=1048576 wbps=2097152 riops=300 wiops=400"));
    } else {
        for value in ["1048576", "2097152", "300", "400"] {
            assert!(out.stdout.contains(&format!("{numbers} {value}\n")), "{}", out.stdout);
        }
    }
    t.nothing_left();
}

fn bad_values_are_named(t: &Sandbox) {
    let cpus = std::thread::available_parallelism().expect("a number");
    let range = format!("Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available");
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").expect("online");
    let not_there = format!("Requested CPUs are not available - requested 0-4000, available: {}", online.trim());
    let rate = "invalid rate for device: /dev/null:x. The correct format is <device-path>:<number>[<unit>]. Number must \
        be a positive integer. Unit is optional and can be kb, mb, or gb";
    let table: &[(&[&str], &str)] = &[
        (&["-m", "1x"], "invalid argument \"1x\" for \"-m, --memory\" flag: invalid size: '1x'"),
        (&["-m", "5m"], "Minimum memory limit allowed is 6MB"),
        (&["-m", "-1"], "invalid argument \"-1\" for \"-m, --memory\" flag: invalid size: '-1'"),
        (&["--memory-swap", "1g"], "You should always set the Memory limit when using Memoryswap limit, see usage"),
        (
            &["-m", "64m", "--memory-swap", "32m"],
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            &["-m", "64m", "--memory-reservation", "65m"],
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (&["--memory-reservation", "1m"], "Minimum memory reservation allowed is 6MB"),
        (&["--memory-swappiness", "101"], "Invalid value: 101, valid memory swappiness range is 0-100"),
        (&["--cpus", "-1"], &range),
        (&["--cpus", "4000"], &range),
        (&["--cpus", "x"], "invalid argument \"x\" for \"--cpus\" flag"),
        (&["--cpus", "1", "--cpu-quota", "5000"], "Nano CPUs and CPU Quota cannot both be set"),
        (&["--cpus", "1", "--cpu-period", "5000"], "Nano CPUs and CPU Period cannot both be set"),
        (&["--cpu-quota", "999"], "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (
            &["--cpu-period", "999"],
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (&["-c", "1"], "the minimum allowed cpu-shares is 2"),
        (&["-c", "262145"], "the maximum allowed cpu-shares is 262144"),
        (&["-c", "many"], "invalid argument \"many\" for \"-c, --cpu-shares\" flag: not a whole number"),
        (&["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"),
        (&["--cpuset-cpus", "0-4000"], &not_there),
        (&["--cpuset-mems", "4000"], "Requested memory nodes are not available - requested 4000"),
        (&["--pids-limit", "x"], "invalid argument \"x\" for \"--pids-limit\" flag: not a whole number"),
        (&["--blkio-weight", "9"], "Range of blkio weight is from 10 to 1000"),
        (&["--blkio-weight-device", "/dev/null"], "bad format: /dev/null"),
        (&["--blkio-weight-device", "/dev/null:5"], "invalid weight for device: /dev/null:5"),
        (&["--device-read-bps", "null:1mb"], "bad format for device path: null:1mb"),
        (&["--device-read-bps", "/dev/null:x"], rate),
        (&["--device-read-iops", "/dev/null:0"], "Number must be a positive integer"),
        (&["--device-read-iops", "/dev/null:1"], "/dev/null is not a block device"),
        (&["--device-write-bps", "/dev/nope:1"], "stat /dev/nope: No such file or directory"),
        (&["--oom-score-adj", "1001"], "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        (&["--oom-kill-disable"], "--oom-kill-disable is not supported; a container at its limit would hang forever"),
        (&["--shm-size", "big"], "invalid argument \"big\" for \"--shm-size\" flag: invalid size: 'big'"),
        (&["--cgroup-parent", "../x"], "invalid cgroup parent: '../x'"),
    ];
    for (flags, text) in table {
        t.run(&[flags, &["true"][..]].concat()).out().error(125, text);
    }
    t.nothing_left();
}

fn shm_has_its_size(t: &Sandbox) {
    let fill = "dd if=/dev/zero of=/dev/shm/x bs=64k count=2000 2>/dev/null; wc -c </dev/shm/x";
    t.run(&["--shm-size", "1m", "/bin/sh", "-c", fill]).ok().prints("1048576\n");
    t.run(&["/bin/sh", "-c", fill]).ok().prints("67108864\n");
}

fn a_score_may_only_rise(t: &Sandbox) {
    let score = "/proc/self/oom_score_adj";
    let own: i32 = std::fs::read_to_string(score).expect("read").trim().parse().expect("a number");
    let inside: i32 = t.run(&["/bin/cat", score]).ok().line().parse().expect("a number");
    assert!(inside >= own, "{inside} inside, {own} outside");
    t.run(&["--oom-score-adj", "700", "/bin/cat", score]).ok().prints("700\n");
    let lower = (own - 1).to_string();
    let out = t.run(&["--oom-score-adj", &lower, "/bin/cat", score]).out();
    // Where we may lower it, the supervisor has gone along.
    if out.status == 0 {
        out.prints(&format!("{lower}\n"));
    } else {
        out.error(125, "takes root with CAP_SYS_RESOURCE");
    }
    t.nothing_left();
}
