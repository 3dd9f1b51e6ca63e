//! Runs each test in a process of its own, as each user it is for, two at a time.

use crate::sandbox::{Mode, Sandbox, pause};
use crate::users::Base;
use crate::{hub, procs, sys};
use std::os::unix::process::CommandExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SKIPPED: u8 = 77;
const AT_A_TIME: usize = 2;
const TIMEOUT: Duration = Duration::from_secs(930);

/// As whom a test is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// As root, as a user with subuids, as a user without.
    Every,
    Root,
    /// The two kinds of ordinary user.
    Users,
    /// As everybody, where Docker Hub's names lead to the stand-in.
    Hub,
    /// Once, as whoever started the tests.
    Once,
}

pub struct Case {
    pub path: &'static str,
    pub who: Who,
    pub run: fn(&Sandbox),
}

impl Case {
    pub fn name(&self) -> &'static str {
        self.path.strip_prefix("it::").unwrap_or(self.path)
    }

    fn is_for(&self, mode: Mode, at: usize) -> bool {
        match self.who {
            Who::Every | Who::Hub => true,
            Who::Root => mode == Mode::Root,
            Who::Users => mode != Mode::Root,
            Who::Once => at == 0,
        }
    }
}

/// `cases! { Every: a, b; Root: c }`: the tests of a file and as whom they run.
#[macro_export]
macro_rules! cases {
    ($($who:ident: $($name:ident),+ $(,)?);+ $(;)?) => {
        pub const CASES: &[$crate::runner::Case] = &[$($($crate::runner::Case {
            path: concat!(module_path!(), "::", stringify!($name)),
            who: $crate::runner::Who::$who,
            run: $name,
        }),+),+];
    };
}

/// Ends the test as not run, for a reason that is printed.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => { std::panic::panic_any($crate::runner::Skip(format!($($why)*))) };
}

pub struct Skip(pub String);

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<(String, String)>,
}

pub fn run_all<'a>(cases: impl Iterator<Item = &'a Case>, args: &[String]) -> ExitCode {
    let without: Vec<&str> = args.iter().filter_map(|arg| arg.strip_prefix("--without=")).collect();
    // Other flags are libtest's (--nocapture and its like), which tools add by themselves.
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let base = Base::make();
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut jobs = Vec::new();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    for case in cases.filter(|case| !without.contains(&case.name())) {
        for (at, &(mode, uid, gid)) in base.modes.iter().enumerate() {
            let label = format!("{} {}", mode.name(), case.name());
            if !case.is_for(mode, at) || !wanted(&label) {
                continue;
            }
            match base.hub.filter(|_| case.who == Who::Hub) {
                Some(why) => tally.skipped.push((label, why.to_owned())),
                None => jobs.push((label, case, mode, uid, gid)),
            }
        }
        for (mode, why) in &base.without {
            let label = format!("{} {}", mode.name(), case.name());
            if case.who != Who::Once && case.is_for(*mode, 1) && wanted(&label) {
                tally.skipped.push((label, why.clone()));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(tally);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((label, case, mode, uid, gid)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let (status, output) = run_apart(&base, case, *mode, *uid, *gid);
                    let seconds = began.elapsed().as_secs_f32();
                    let mut tally = tally.lock().expect("lock");
                    match status {
                        Some(0) => {
                            println!("ok    {label} ({seconds:.1} s)");
                            tally.passed += 1;
                        }
                        Some(code) if code == i32::from(SKIPPED) => {
                            let why = output.lines().rev().find_map(|line| line.strip_prefix("SKIP: ")).unwrap_or("");
                            println!("SKIP  {label}: {why}");
                            tally.skipped.push((label.clone(), why.to_owned()));
                        }
                        _ => {
                            println!("FAIL  {label} ({seconds:.1} s)\n{}", output.trim_end());
                            tally.failed.push(label.clone());
                        }
                    }
                }
            });
        }
    });
    base.remove();
    let tally = tally.into_inner().expect("lock");
    conclude(&tally, started.elapsed())
}

fn conclude(tally: &Tally, took: Duration) -> ExitCode {
    println!("\ntook {} s", took.as_secs());
    // One line for each reason, however many tests it took.
    let mut reasons: Vec<&str> = tally.skipped.iter().map(|(_, why)| why.as_str()).collect();
    reasons.sort();
    reasons.dedup();
    for reason in reasons {
        let of: Vec<&str> = tally.skipped.iter().filter(|(_, why)| why == reason).map(|(n, _)| n.as_str()).collect();
        println!("skipped because {reason}:\n    {}", of.join("\n    "));
    }
    for failed in &tally.failed {
        println!("failed: {failed}");
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed.len(), tally.skipped.len());
    if tally.failed.is_empty() && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One test as its user; `None` when a signal or the clock ended it.
fn run_apart(base: &Base, case: &Case, mode: Mode, uid: u32, gid: u32) -> (Option<i32>, String) {
    let dir = base.dir.join(mode.name()).join(case.name().replace("::", "."));
    std::fs::create_dir_all(&dir).expect("mkdir");
    std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).expect("chown");
    // Not with_extension, which would take the test's name for one.
    let log = PathBuf::from(format!("{}.log", dir.display()));
    let file = std::fs::File::create(&log).expect("create");
    let mut command = Command::new(base.dir.join("it"));
    command.args(["--case", case.name()]).current_dir(&dir).process_group(0);
    command.env("CCRUN_IT_BASE", &base.dir).env("CCRUN_IT_MODE", mode.name());
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("dup")).stderr(file);
    if case.who == Who::Hub {
        command.env("CCRUN_IT_USER", format!("{uid} {gid}"));
    } else if uid != sys::uid() {
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn().expect("start the test's process");
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status.code();
        }
        if Instant::now() > deadline {
            for process in procs::descendants(child.id() as i32) {
                let _ = sys::kill(process.pid, libc::SIGKILL);
            }
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        pause(5);
    };
    let output = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let output = if status.is_none() { output + "\nended by a signal or by the clock" } else { output };
    if sys::uid() == 0 {
        let _ = std::fs::remove_dir_all(&dir);
    }
    (status, output)
}

/// The test's own process.
pub fn run_case(case: &Case) -> ExitCode {
    let base = PathBuf::from(std::env::var_os("CCRUN_IT_BASE").expect("CCRUN_IT_BASE"));
    let mode = std::env::var("CCRUN_IT_MODE").expect("CCRUN_IT_MODE");
    let mode = Mode::ALL.into_iter().find(|one| one.name() == mode).expect("a mode");
    let certificates = base.join("hub");
    let hub = (case.who == Who::Hub).then(|| {
        hub::enter(&certificates).expect("enter the stand-in hub");
        let user = std::env::var("CCRUN_IT_USER").expect("CCRUN_IT_USER");
        let (uid, gid) = user.split_once(' ').expect("uid gid");
        sys::become_user(uid.parse().expect("uid"), gid.parse().expect("gid")).expect("become the user");
        hub::start_proxy(&certificates).expect("start the TLS proxy")
    });
    sys::become_subreaper();
    sys::default_signals();
    let dir = std::env::current_dir().expect("cwd");
    let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    let sandbox = Sandbox {
        mode,
        store: dir.join("store"),
        dir,
        ccrun: text(base.join("ccrun")),
        it: text(base.join("it")),
        busybox: text(base.join(mode.name()).join("busybox")),
        alpine: text(base.join(mode.name()).join("alpine")),
    };
    std::fs::create_dir_all(sandbox.dir.join("home")).expect("mkdir");
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Skip>() {
            default(info);
        }
    }));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| (case.run)(&sandbox)));
    drop(hub);
    let left = procs::left_behind();
    for process in &left {
        let _ = sys::kill(process.pid, libc::SIGKILL);
    }
    match outcome {
        Ok(()) if left.is_empty() => ExitCode::SUCCESS,
        Ok(()) => {
            println!("the test passed but left processes behind: {left:?}");
            ExitCode::FAILURE
        }
        Err(payload) => match payload.downcast::<Skip>() {
            Ok(skip) => {
                println!("SKIP: {}", skip.0);
                ExitCode::from(SKIPPED)
            }
            Err(_) => ExitCode::FAILURE,
        },
    }
}
