//! What a program in a container sees of ccrun's memory and descriptors: it tries all the ways there are.

use crate::sys;
use std::ffi::OsStr;
use std::process::ExitCode;

/// What only a tracer may see of a process (ptrace(2), "Ptrace access mode checking").
const FILES: [&str; 14] = [
    "environ",
    "auxv",
    "maps",
    "smaps",
    "numa_maps",
    "mem",
    "stack",
    "syscall",
    "personality",
    "pagemap",
    "io",
    "clear_refs",
    "timers",
    "fdinfo/0",
];
const LINKS: [&str; 3] = ["exe", "cwd", "root"];

/// Tries it on every process but our own for a while; prints what could be seen.
pub fn run() -> ExitCode {
    let me = std::process::id() as i32;
    let end = std::time::Instant::now() + std::time::Duration::from_millis(150);
    let mut seen = Vec::new();
    while seen.is_empty() && std::time::Instant::now() < end {
        for process in crate::procs::all().iter().filter(|process| process.pid != me) {
            look(process.pid, &mut seen);
        }
    }
    seen.dedup();
    println!("{}", if seen.is_empty() { "nothing".to_owned() } else { seen.join("\n") });
    ExitCode::SUCCESS
}

fn look(pid: i32, seen: &mut Vec<String>) {
    let path = |name: &str| format!("/proc/{pid}/{name}");
    for name in FILES {
        // Some can be opened by anybody and are empty then.
        if std::fs::read(path(name)).is_ok_and(|bytes| !bytes.is_empty()) {
            seen.push(path(name));
        }
    }
    for name in LINKS.into_iter().map(str::to_owned).chain((0..20).map(|fd| format!("fd/{fd}"))) {
        if std::fs::read_link(path(&name)).is_ok() || std::fs::File::open(path(&name)).is_ok() {
            seen.push(path(&name));
        }
    }
    for dir in ["fd", "map_files", "ns", "task"] {
        let entries = std::fs::read_dir(path(dir)).into_iter().flatten().flatten();
        // Namespaces are listed for all, but what they are is a tracer's to know; a task's files are those tried above.
        for entry in entries {
            let shown = dir == "fd" || dir == "map_files" || std::fs::read_link(entry.path()).is_ok();
            if shown && entry.file_name() != OsStr::new(&pid.to_string()) {
                seen.push(entry.path().display().to_string());
            }
        }
    }
    if std::fs::read(path("cmdline")).is_ok_and(|line| line.windows(11).any(|part| part == b"open-sesame")) {
        seen.push(path("cmdline"));
    }
    for way in sys::ways_into(pid) {
        seen.push(format!("{way} of {pid}"));
    }
}

/// Runs a command whose session keyring holds a key of that name.
pub fn with_key(name: &str, command: &[&str]) -> ExitCode {
    sys::hold_key(name).expect("add_key");
    let status = std::process::Command::new(command[0]).args(&command[1..]).status().expect("start");
    ExitCode::from(status.code().unwrap_or(255) as u8)
}

/// Prints what the key of that name holds, if we get at it: by our session keyring, or by any number in /proc/keys.
pub fn read_key(name: &str) -> ExitCode {
    let listed = std::fs::read_to_string("/proc/keys").unwrap_or_default();
    let numbers = listed.lines().filter(|line| line.contains(name));
    let numbers = numbers.filter_map(|line| i32::from_str_radix(line.split_whitespace().next()?, 16).ok());
    let found = sys::find_key(name).into_iter().chain(numbers).find_map(sys::read_key);
    println!("{}", found.unwrap_or("none".into()));
    ExitCode::SUCCESS
}
