//! `it --measure PID COMMAND…`: what a command costs, for `make bench-pull`.

use crate::procs;
use crate::sandbox::pause;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Runs a command and prints one line: wall time in ms, CPU time of it, its children and the daemon
/// PID (0: none) with its children in ms, and the most memory that all of them had at once in kB.
pub fn run(args: &[String]) -> ExitCode {
    let daemon: i32 = args[0].parse().expect("a pid");
    let before = cpu(daemon);
    let began = Instant::now();
    let mut child = Command::new(&args[1]).args(&args[2..]).stdout(Stdio::null()).spawn().expect("start the command");
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        peak = peak.max(memory(child.id() as i32) + memory(daemon));
        pause(15);
    };
    let wall = began.elapsed().as_millis();
    let own = waited_for();
    println!("{wall} {} {peak}", own + cpu(daemon) - before);
    ExitCode::from(u8::from(!status.success()))
}

/// A process and all that descend from it; shared pages count in parts. In kB.
fn memory(root: i32) -> u64 {
    if root == 0 {
        return 0;
    }
    let family = procs::descendants(root).into_iter().map(|process| process.pid).chain([root]);
    let proportional = |pid: i32| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim();
        line.split(' ').next()?.parse::<u64>().ok()
    };
    family.filter_map(proportional).sum()
}

/// User and system time of a daemon, its children, and those of them that it has waited for. In ms.
fn cpu(root: i32) -> u64 {
    if root == 0 {
        return 0;
    }
    let family = procs::descendants(root).into_iter().map(|process| process.pid).chain([root]);
    let ticks = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<u64> = stat[stat.rfind(") ")? + 2..].split(' ').skip(11).take(4).flat_map(str::parse).collect();
        Some(fields.iter().sum::<u64>())
    };
    // A tick is 10 ms wherever we run.
    family.filter_map(ticks).sum::<u64>() * 10
}

/// User and system time of the children that have been waited for, and of theirs. In ms.
fn waited_for() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    let fields = stat[stat.rfind(") ").expect("a name") + 2..].split(' ').skip(13).take(2);
    fields.map(|field| field.parse::<u64>().expect("ticks") * 10).sum()
}
