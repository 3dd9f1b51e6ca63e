//! `--explain`: what it prints is what happens, as strace(1) sees it.

use crate::cases;
use crate::sandbox::Sandbox;
use crate::skip;
use crate::users;
use std::collections::BTreeMap;

cases! {
    Every:
        steps_and_calls_are_printed,
        a_failure_ends_the_explanation,
        a_trace_for_perfetto_is_json,
        a_reader_who_leaves_stops_nothing,
        without_it_nothing_is_printed;
    Root:
        what_is_printed_is_what_happens
}

const LANES: [&str; 3] = ["supervisor", "PID 1", "command"];

/// Calls that the C library and Rust make for themselves: memory, locks, signals, sleep.
const NOT_COMPARED: &[&str] = &[
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "futex",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "restart_syscall",
    "sched_yield",
    "nanosleep",
    "clock_nanosleep",
];

/// Calls that are compared with all of their arguments. Of others strace shows structures that the explanation cuts short.
const WHOLE: &[&str] = &[
    "fsopen",
    "fsconfig",
    "fsmount",
    "move_mount",
    "open_tree",
    "pivot_root",
    "sethostname",
    "setsid",
    "setresuid",
    "setresgid",
    "flock",
];

/// A call by its name and result: a number, or the name of an errno.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    name: String,
    result: String,
    text: String,
}

impl Call {
    fn of(text: &str, result: &str) -> Call {
        let name = text.split('(').next().unwrap_or_default().trim().to_owned();
        let mut words = result.split_whitespace();
        let number = words.next().unwrap_or_default();
        let result = match number {
            "-1" => words.next().unwrap_or_default().to_owned(),
            _ => integer(number).map_or(number.to_owned(), |number| number.to_string()),
        };
        Call { name, result, text: text.trim_end().to_owned() }
    }

    fn is_compared(&self) -> bool {
        !NOT_COMPARED.contains(&self.name.as_str())
    }

    fn same(&self, other: &Call) -> bool {
        let is_whole = WHOLE.contains(&self.name.as_str());
        (&self.name, &self.result) == (&other.name, &other.result) && (!is_whole || self.text == other.text)
    }
}

/// Decimal, hexadecimal or octal, as strace chooses.
fn integer(text: &str) -> Option<i64> {
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hex), _) => i64::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// The calls of each lane by the explanation.
fn explained(text: &str) -> BTreeMap<&'static str, Vec<Call>> {
    let mut lanes: BTreeMap<&'static str, Vec<Call>> = BTreeMap::new();
    let mut lane = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            lane = LANES.into_iter().find(|name| heading.starts_with(&format!("{name} ")));
            assert!(lane.is_some(), "{line}");
        } else if let Some((call, result)) = line.strip_prefix("  ").and_then(|line| line.rsplit_once(" = ")) {
            let call = Call::of(call, result);
            if call.is_compared() {
                lanes.entry(lane.expect("a heading before the first call")).or_default().push(call);
            }
        } else {
            panic!("neither a step nor a call: {line}");
        }
    }
    lanes
}

/// The calls of each process by `strace -f -o`, those that were interrupted put together.
fn traced(text: &str) -> Vec<(u32, Vec<Call>)> {
    let mut all: Vec<(u32, Vec<Call>)> = Vec::new();
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Ok(pid) = pid.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        let whole = if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start.trim_end().to_owned());
            continue;
        } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|end| end.split_once(" resumed>")) {
            begun.remove(&pid).unwrap_or_default() + end
        } else {
            rest.to_owned()
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else { continue };
        let call = Call::of(call, result);
        match all.iter_mut().find(|(one, _)| *one == pid) {
            Some((_, calls)) => calls.push(call),
            None => all.push((pid, vec![call])),
        }
    }
    all
}

/// The calls of the process that wrote this heading, from there on, without the explanation's own writes.
fn from_heading(processes: &[(u32, Vec<Call>)], heading: &str) -> Vec<Call> {
    let is_heading = |call: &Call| call.name == "write" && call.text.contains(&format!("\"{heading}"));
    let (calls, at) = processes
        .iter()
        .find_map(|(_, calls)| calls.iter().position(is_heading).map(|at| (calls, at)))
        .unwrap_or_else(|| panic!("no process has written {heading}"));
    let own = calls[at].text.split(',').next().unwrap_or_default().to_owned() + ",";
    let waits = own.replace("write(", "{fd=");
    let is_own = |call: &Call| call.text.starts_with(&own) || call.text.contains(&waits);
    let calls = calls[at + 1..].iter().filter(|call| !is_own(call));
    calls.filter(|call| call.is_compared()).cloned().collect()
}

fn what_is_printed_is_what_happens(t: &Sandbox) {
    if !users::have("strace") {
        skip!("strace is not installed");
    }
    let busybox = ["--rootfs", t.busybox.as_str()];
    let shared = t.path("shared");
    std::fs::create_dir_all(&shared).expect("mkdir");
    let bind = format!("{shared}:/bind:ro");
    let starts: &[&[&str]] = &[
        &["/bin/true"],
        &["-v", "kept:/data", "--tmpfs", "/t", "-w", "/made/by/ccrun", "-e", "A=1", "true"],
        &["--user", "1000:1000", "--ulimit", "nofile=64:64", "--read-only", "-h", "host", "true"],
        &["--no-init", "true"],
        &["--cap-add", "SYS_ADMIN", "-v", &bind, "true"],
        &["--privileged", "--network", "host", "true"],
        &["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "true"],
    ];
    for user in ["root", users::WITH, users::WITHOUT] {
        if t.command("id", &[user]).out().status != 0 {
            skip!("there is no user {user}");
        }
        for (at, words) in starts.iter().enumerate() {
            let words = [&busybox[..], words].concat();
            agrees(t, user, at, &words);
        }
        // This machine's own files.
        agrees(t, user, starts.len(), &["true"]);
    }
}

fn agrees(t: &Sandbox, user: &str, at: usize, words: &[&str]) {
    let dir = t.dir.join(user);
    std::fs::create_dir_all(&dir).expect("mkdir");
    t.command("chown", &[user, dir.to_str().expect("UTF-8")]).ok();
    let (explanation, trace) = (dir.join(format!("{at}.txt")), dir.join(format!("{at}.strace")));
    let flag = format!("--explain={}", explanation.display());
    let strace = ["-u", user, "-f", "-qq", "-o", trace.to_str().expect("UTF-8"), &t.ccrun, "run", "--rm", &flag];
    let args = [&strace[..], words].concat();
    let command = t.command("strace", &args).env("CCRUN_ROOT", dir.join("store")).env("HOME", &dir);
    command.env("USER", user).timeout(120).ok();
    let explained = explained(&std::fs::read_to_string(&explanation).expect("read"));
    let traced = traced(&std::fs::read_to_string(&trace).expect("read"));
    for lane in LANES {
        let ours = &explained[lane];
        let theirs = from_heading(&traced, &format!("[{lane} 1]"));
        let difference = ours.iter().zip(&theirs).position(|(our, their)| !our.same(their));
        let missing = (ours.len() > theirs.len()).then_some(theirs.len());
        if let Some(place) = difference.or(missing) {
            let near = |calls: &[Call]| {
                let near = calls.iter().skip(place.saturating_sub(4)).take(9);
                near.map(|call| format!("    {} = {}", call.text, call.result)).collect::<Vec<_>>().join("\n")
            };
            panic!(
                "{user} {words:?}: {lane} differs at {place}:\n  explained\n{}\n  strace\n{}",
                near(ours),
                near(&theirs)
            );
        }
        let last = &ours[ours.len() - 1];
        match lane {
            "command" => assert!(last.name == "execve" && last.result == "0", "{last:?}"),
            // What follows is none of the start.
            "PID 1" => assert!(ours.len() > 100, "only {} calls of {lane}", ours.len()),
            _ => assert!(ours.len() > 20, "only {} calls of {lane}", ours.len()),
        }
    }
}

fn steps_and_calls_are_printed(t: &Sandbox) {
    let out = t.run(&["--explain", "echo", "hello"]).ok();
    assert_eq!(out.stdout, "hello\n");
    let said = &out.stderr;
    for (line, why) in [
        ("[supervisor 5] clone: ", "challenge step 4"),
        ("[supervisor 6] id maps: ", "user_namespaces(7); challenge step 5"),
        ("[PID 1 16] pivot_root: ", "pivot_root(2); challenge step 3"),
        ("[PID 1 17] hostname: ", "challenge step 2"),
        ("[command 12] execve: ", "execve(2); challenge step 1"),
    ] {
        let found = said.lines().find(|said| said.starts_with(line)).unwrap_or_else(|| panic!("no {line} in {said}"));
        assert!(found.contains(why), "{found}");
    }
    assert!(said.contains("\n  sethostname(\"container\", 9) = 0\n"), "{said}");
    let last = said.lines().rev().find(|line| line.starts_with("  execve(")).expect("execve");
    assert_eq!(last, "  execve(\"/bin/echo\", [\"echo\", \"hello\"], /* 3 vars */) = 0");
    assert!(!said.contains('\x1b'), "colours, but no terminal");
    // A call's own step stands above it.
    let step = said.split("\n[").find(|step| step.contains("\n  pivot_root(")).expect("pivot_root");
    assert!(step.starts_with("PID 1 16] pivot_root"), "{step}");
    t.nothing_left();
}

fn a_failure_ends_the_explanation(t: &Sandbox) {
    let out = t.run(&["--explain", "/nope"]).out().exit(127);
    let tail: Vec<&str> = out.stderr.lines().rev().take(2).collect();
    let said = "exec: \"/nope\": stat /nope: no such file or directory; the command was looked for in ";
    assert!(tail[0].starts_with(&format!("ccrun: {said}")), "{}", tail[0]);
    assert!(tail[1].starts_with(&format!("failed: {said}")), "{}", tail[1]);
    assert!(out.stderr.contains("\n  execve(\"/nope\", [\"/nope\"], /* 3 vars */) = -1 ENOENT\n"), "{}", out.stderr);
    let file = t.path("failed.txt");
    t.run(&[&format!("--explain={file}"), "/etc"]).out().error(126, "permission denied");
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(text.contains("\nfailed: exec: \"/etc\": permission denied"), "{text}");
    t.run(&["--explain=/nowhere/file", "true"]).out().error(125, "--explain /nowhere/file: No such file or directory");
    t.nothing_left();
}

fn a_trace_for_perfetto_is_json(t: &Sandbox) {
    for (words, status) in [(&["true"][..], 0), (&["/nope"], 127)] {
        let file = t.path("trace.json");
        t.run(&[&[format!("--explain={file}").as_str()], words].concat()).out().exit(status);
        let events: Vec<serde_json::Value> =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("read")).expect("JSON");
        let of = |phase: &str, lane: u64| {
            let is_it = move |event: &&serde_json::Value| event["ph"] == phase && event["tid"] == lane;
            events.iter().filter(is_it).collect::<Vec<_>>()
        };
        for lane in 1..=3 {
            let (begins, ends, calls) = (of("B", lane), of("E", lane), of("X", lane));
            assert!(calls.len() > 10, "lane {lane} has {} calls", calls.len());
            assert!(begins.len() == ends.len() && begins.len() >= 9, "{} {}", begins.len(), ends.len());
            let times: Vec<f64> = begins.iter().map(|event| event["ts"].as_f64().expect("ts")).collect();
            assert!(times.is_sorted() && times.iter().all(|time| *time >= 0.0), "{times:?}");
            assert_eq!(of("M", lane)[0]["name"], "thread_name");
            assert!(calls.iter().all(|call| call["dur"].as_f64().is_some_and(|time| time >= 0.0)));
        }
    }
}

fn a_reader_who_leaves_stops_nothing(t: &Sandbox) {
    let script = format!(
        "{{ {} run --rm --explain --rootfs {} sh -c 'echo it ran; exit 3' >ran; echo $? >status; }} 2>&1 | head -n 2",
        t.ccrun, t.busybox
    );
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok();
    assert!(out.stdout.starts_with("[supervisor 1] ") && out.stdout.lines().count() == 2, "{}", out.stdout);
    let read = |name: &str| std::fs::read_to_string(t.dir.join(name)).expect("read");
    assert_eq!((read("ran").as_str(), read("status").as_str()), ("it ran\n", "3\n"));
}

fn without_it_nothing_is_printed(t: &Sandbox) {
    t.run(&["true"]).ok().quiet();
}
