//! `--explain`: each step of a start as it happens, and the system calls that it makes.
//!
//! Three processes take part, each a clone of the one before, so that all have what is set up here. A page that they
//! share says whose turn was the last, and keeps the text of an execve(2) that may succeed: then nobody is left to
//! report it but the supervisor.

use crate::cli::args::{Flag, Parsed, maybe};
use crate::container::steps::{Event, Lesson, Side, listen};
use crate::error::{Error, Result, errno_name};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::report::{self, Call};
use crate::sys::{fs, memory, tty};
use serde_json::json;
use std::cell::Cell;
use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub const FLAG: Flag =
    maybe("explain", "FILE", "Print each step of the start with its system calls; a .json is for ui.perfetto.dev");

/// The steps that belong to a lane's number in the shared page.
const SIDES: [Side; 3] = [Side::Supervisor, Side::Init, Side::Command];

/// Words of the shared page.
const LOCK: usize = 0;
const LAST_LANE: usize = 1;
const INIT_ENDED: usize = 2;
const CLOSED: usize = 3;
const TEXT_SIZE: usize = 4;
const TEXT: usize = 8;

struct Explanation {
    to: OwnedFd,
    is_json: bool,
    has_colors: bool,
    began: Instant,
    page: &'static [AtomicU64; 512],
}

static EXPLANATION: OnceLock<Explanation> = OnceLock::new();

thread_local! {
    /// Where this process is: its lane, its step, and when the last call or step of it ended.
    static HERE: Cell<(usize, usize, Duration)> = const { Cell::new((0, 0, Duration::ZERO)) };
    static LESSON: Cell<Option<&'static Lesson>> = const { Cell::new(None) };
}

/// Begins, if the command line asks for it.
pub fn begin(parsed: &Parsed) -> Result<()> {
    let Some(file) = parsed.one("explain") else { return Ok(()) };
    let path = Path::new(file);
    let to = if file.is_empty() {
        duplicate(fs::standard_stream(2))?
    } else {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
        let opened = crate::sys::cstr(path).and_then(|path| fs::open(&path, flags, 0o666));
        let opened = opened.map_err(|error| error.renamed(format!("--explain {}", path.display())))?;
        duplicate(opened.as_fd())?
    };
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let has_colors = file.is_empty() && tty::isatty(fs::standard_stream(2));
    let page = memory::shared_page()?;
    let explanation = Explanation { to, is_json, has_colors, began: Instant::now(), page };
    if is_json {
        explanation.write("[\n");
        for (at, side) in SIDES.into_iter().enumerate() {
            let name = json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": at + 1, "args": {"name": name(side)}});
            explanation.write(&format!("{name},\n"));
        }
    }
    let _ = EXPLANATION.set(explanation);
    listen(hear_step);
    report::listen(hear_call);
    Ok(())
}

/// Out of the way of the container's descriptors, as far as the limit of their number allows.
fn duplicate(stream: BorrowedFd<'_>) -> Result<OwnedFd> {
    let least = [900, 100];
    least.into_iter().find_map(|least| fd::duplicate(stream, least).ok()).map_or_else(|| fd::duplicate(stream, 3), Ok)
}

/// Ends the explanation of a start that has failed.
pub fn failed(error: &Error) {
    if let Some(explanation) = EXPLANATION.get() {
        explanation.end(Some(error));
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Supervisor => "supervisor",
        Side::Init => "PID 1",
        Side::Command => "command",
    }
}

fn hear_step(event: &Event) -> Result<()> {
    let Some(explanation) = EXPLANATION.get() else { return Ok(()) };
    let now = explanation.began.elapsed();
    match event {
        Event::Begins { side, number, lesson } => {
            let lane = SIDES.iter().position(|one| one == side).unwrap_or(0) + 1;
            if explanation.is_json {
                // A clone begins in the step of its parent.
                if HERE.get().0 == lane {
                    explanation.end_slice(now);
                }
                let why = json!({"why": lesson.why, "man": lesson.man});
                explanation.line(
                    &json!({"name": lesson.name, "ph": "B", "ts": micros(now), "pid": 1, "tid": lane, "args": why}),
                );
            }
            HERE.set((lane, *number, now));
            LESSON.set(Some(lesson));
            if !explanation.is_json {
                explanation.in_turn(0, &header(lane, *number, lesson, explanation.has_colors, true));
            }
        }
        Event::Ended { side } => {
            if explanation.is_json {
                explanation.end_slice(now);
            }
            LESSON.set(None);
            match side {
                Side::Init => explanation.page[INIT_ENDED].store(1, SeqCst),
                Side::Supervisor => explanation.end(None),
                Side::Command => {}
            }
        }
    }
    Ok(())
}

/// `[supervisor 3] id maps: WHY (user_namespaces(7); challenge step 5)`; later only its name.
fn header(lane: usize, number: usize, lesson: &Lesson, colors: bool, whole: bool) -> String {
    let (bold, plain) = if colors { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let side = name(SIDES[lane - 1]);
    let mut text = format!("{bold}[{side} {number}] {}{plain}", lesson.name);
    if whole {
        let step = lesson.challenge.map_or(String::new(), |step| format!("; challenge step {step}"));
        let _ = write!(text, ": {} ({}{step})", lesson.why, lesson.man);
    }
    text + "\n"
}

fn hear_call(call: &Call<'_>) {
    let Some(explanation) = EXPLANATION.get() else { return };
    // While reports are on, descriptors are shown by their numbers.
    let text = call.text.to_string();
    report::switch(false);
    explanation.call(&text, call.value, call.errno);
    report::switch(true);
}

impl Explanation {
    fn call(&self, text: &str, value: Option<i64>, errno: i32) {
        let Some(value) = value else {
            return self.keep(text);
        };
        let (lane, _, before) = HERE.get();
        if lane == SIDES.len() {
            // The kept one has failed.
            self.page[TEXT_SIZE].store(0, SeqCst);
        }
        let now = self.began.elapsed();
        let result = if value < 0 { format!("-1 {}", errno_name(errno)) } else { value.to_string() };
        self.show(lane, text, &result, (before, now));
        let (lane, number, _) = HERE.get();
        HERE.set((lane, number, now));
    }

    fn show(&self, lane: usize, text: &str, result: &str, (before, now): (Duration, Duration)) {
        if self.is_json {
            let name = text.split('(').next().unwrap_or_default();
            let (start, length) = (micros(before), micros(now) - micros(before));
            let args = json!({"call": text, "result": result});
            self.line(
                &json!({"name": name, "ph": "X", "ts": start, "dur": length, "pid": 1, "tid": lane, "args": args}),
            );
        } else {
            self.in_turn(lane, &format!("  {text} = {result}\n"));
        }
    }

    /// Keeps an execve that is to come: who lives afterwards reports it.
    fn keep(&self, text: &str) {
        let (_, number, _) = HERE.get();
        let bytes = &text.as_bytes()[..text.len().min(8 * (self.page.len() - TEXT))];
        for (word, part) in self.page[TEXT..].iter().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            eight[..part.len()].copy_from_slice(part);
            word.store(u64::from_ne_bytes(eight), SeqCst);
        }
        self.page[TEXT_SIZE].store((number as u64) << 32 | bytes.len() as u64, SeqCst);
    }

    /// The kept execve, which has succeeded, and the number of its step.
    fn kept(&self) -> Option<(usize, String)> {
        let size = self.page[TEXT_SIZE].load(SeqCst);
        let (number, size) = ((size >> 32) as usize, (size & 0xffff_ffff) as usize);
        let words = self.page[TEXT..].iter().flat_map(|word| word.load(SeqCst).to_ne_bytes());
        let bytes: Vec<u8> = words.take(size).collect();
        (size > 0).then(|| (number, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The supervisor's end of it: all that the others have to say is there.
    fn end(&self, error: Option<&Error>) {
        if self.page[CLOSED].swap(1, SeqCst) != 0 {
            return;
        }
        if error.is_none() {
            self.wait_for_init();
        }
        let now = self.began.elapsed();
        if let (None, Some((number, text))) = (error, self.kept()) {
            let lane = SIDES.len();
            if !self.is_json {
                self.turn_to(lane, || {
                    let (bold, plain) = if self.has_colors { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
                    format!("{bold}[command {number}] execve{plain}\n")
                });
            }
            self.show(lane, &text, "0", (now, now));
        }
        if let Some(error) = error {
            let text = if self.is_json {
                format!(
                    "{},\n",
                    json!({"name": error.to_string(), "ph": "i", "s": "g", "ts": micros(now), "pid": 1, "tid": 1})
                )
            } else {
                format!("failed: {error}\n")
            };
            self.write(&text);
        }
        if self.is_json {
            self.write(&format!(
                "{}\n]\n",
                json!({"name": "end", "ph": "i", "s": "g", "ts": micros(now), "pid": 1, "tid": 1})
            ));
        }
    }

    /// PID 1's last call may come a moment after the command's.
    fn wait_for_init(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        while self.page[INIT_ENDED].load(SeqCst) == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn end_slice(&self, now: Duration) {
        let (lane, _, _) = HERE.get();
        if LESSON.get().is_some() {
            self.line(&json!({"ph": "E", "ts": micros(now), "pid": 1, "tid": lane}));
        }
    }

    /// One event of the trace.
    fn line(&self, event: &serde_json::Value) {
        self.write(&format!("{event},\n"));
    }

    /// Writes a text of this process's; behind another one's it gets the heading of its step again. `lane` 0: it is
    /// a heading itself.
    fn in_turn(&self, lane: usize, text: &str) {
        let (own, number, _) = HERE.get();
        let heading =
            || LESSON.get().map_or(String::new(), |lesson| header(own, number, lesson, self.has_colors, false));
        let lane_of_text = if lane == 0 { own } else { lane };
        self.lock();
        let last = self.page[LAST_LANE].swap(lane_of_text as u64, SeqCst);
        let again = if lane != 0 && lane == own && last != lane as u64 { heading() } else { String::new() };
        self.write(&(again + text));
        self.page[LOCK].store(0, SeqCst);
    }

    fn turn_to(&self, lane: usize, heading: impl FnOnce() -> String) {
        if self.page[LAST_LANE].swap(lane as u64, SeqCst) != lane as u64 {
            self.write(&heading());
        }
    }

    /// Waits for its turn; a process that was killed during its own does not hold the others up for ever.
    fn lock(&self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.page[LOCK].compare_exchange(0, 1, SeqCst, SeqCst).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    /// In one piece, as far as the kernel takes it so. That nobody reads it any more is no reason to fail.
    fn write(&self, text: &str) {
        let _ = fs::write_all(self.to.as_fd(), text.as_bytes());
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
