//! `--explain`: prints each step of a start as it happens, with its system calls.
//!
//! Three processes take part, each a clone of the one before, so that all of them inherit what is set up here. Shared
//! memory holds which of them wrote last. Once the command has the signals, limits and filter of the program, it must make
//! no further system calls for the explanation: it keeps its text in the shared memory, and the supervisor writes it.

use crate::cli::args::{Maybe, Parsed, maybe};
use crate::container::steps::{CLEAN_UP, Event, Lesson, Side, listen};
use crate::error::{Error, Result, errno_name};
use crate::json::json;
use crate::sys::fd::{self, OwnedFd};
use crate::sys::poll::{self, Readiness};
use crate::sys::report::{self, Call};
use crate::sys::{fs, memory, signal, tty};
use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

pub const FLAG: Maybe =
    maybe("explain", "FILE", "Print each step of the start with its system calls; a .json is for ui.perfetto.dev");

/// The side of each lane, in the order of their numbers in the shared page.
const SIDES: [Side; 3] = [Side::Supervisor, Side::Init, Side::Command];

/// Words of the shared memory.
const LOCK: usize = 0;
const LAST_LANE: usize = 1;
const INIT_ENDED: usize = 2;
const CLOSED: usize = 3;
/// Set when the reader is gone.
const UNHEARD: usize = 4;
/// The number of kept bytes, how many of them are a heading, and the offset plus 1 of an execve that has not returned.
const KEPT: usize = 5;
const HEADING: usize = 6;
const PENDING: usize = 7;
/// Whether a step of each lane has begun and not ended.
const OPEN: usize = 8;
const TEXT: usize = 16;

/// How long to wait for a reader, in milliseconds.
const PATIENCE: i32 = 5000;

struct Explanation {
    to: OwnedFd,
    is_json: bool,
    has_colors: bool,
    began: Instant,
    page: &'static memory::Shared,
    /// Whether a reader may block a write.
    is_read: bool,
    /// How long to wait for that reader, in milliseconds.
    patience: i32,
}

static EXPLANATION: OnceLock<Explanation> = OnceLock::new();

thread_local! {
    /// The state of this process: its lane, its step, and the end of its last call or step.
    static HERE: Cell<(usize, usize, Duration)> = const { Cell::new((0, 0, Duration::ZERO)) };
    static LESSON: Cell<Option<&'static Lesson>> = const { Cell::new(None) };
    static KEEPS: Cell<bool> = const { Cell::new(false) };
}

/// Starts the explanation, if the command line asks for it or for `--step`.
pub fn begin(parsed: &Parsed, is_stepped: bool) -> Result<()> {
    let Some(file) = parsed.maybe(FLAG).or(is_stepped.then_some(OsStr::new(""))) else { return Ok(()) };
    let path = Path::new(file);
    let to = if file.is_empty() {
        duplicate(fs::standard_stream(2))?
    } else {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
        let opened = crate::sys::cstr(path).and_then(|path| fs::open(&path, flags, 0o666));
        let opened = opened.map_err(|error| error.renamed(format_args!("--explain {}", path.display())))?;
        duplicate(opened.as_fd())?
    };
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let has_colors = file.is_empty() && tty::isatty(fs::standard_stream(2));
    let is_read = fs::fstat(to.as_fd())?.kind() != libc::S_IFREG;
    let page = memory::shared()?;
    // A user who answers questions may stop the output to read it.
    let patience = if is_stepped { -1 } else { PATIENCE };
    let explanation = Explanation { to, is_json, has_colors, began: Instant::now(), page, is_read, patience };
    if is_json {
        explanation.write("[\n");
        for (at, side) in SIDES.into_iter().enumerate() {
            let name = json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": at + 1, "args": {"name": name(side)}});
            explanation.write(&format!("{name},\n"));
        }
    }
    let _ = EXPLANATION.set(explanation);
    listen(on_event);
    report::listen(on_call);
    Ok(())
}

/// Duplicates a descriptor to a high number, out of the way of the container's, as far as the limit allows.
pub fn duplicate(stream: BorrowedFd<'_>) -> Result<OwnedFd> {
    let least = [900, 100];
    least.into_iter().find_map(|least| fd::duplicate(stream, least).ok()).map_or_else(|| fd::duplicate(stream, 3), Ok)
}

/// Ends the explanation of a start that has failed.
pub fn failed(error: &Error) {
    if let Some(explanation) = EXPLANATION.get() {
        explanation.end(Some(error));
    }
}

/// The descriptor of the explanation, if there is one.
pub fn descriptor() -> Option<BorrowedFd<'static>> {
    EXPLANATION.get().map(|explanation| explanation.to.as_fd())
}

/// Writes the text that the command has kept so far. The command must be waiting.
pub fn show_kept() {
    if let Some(explanation) = EXPLANATION.get() {
        explanation.lock();
        explanation.write_kept();
        explanation.page[LOCK].store(0, SeqCst);
    }
}

pub fn name(side: Side) -> &'static str {
    match side {
        Side::Supervisor => "supervisor",
        Side::Init => "PID 1",
        Side::Command => "command",
    }
}

/// The listener for events of the tables.
pub fn on_event(event: &Event) -> Result<()> {
    let Some(explanation) = EXPLANATION.get() else { return Ok(()) };
    let now = explanation.began.elapsed();
    match event {
        Event::Begins { side, number, lesson } => {
            let lane = *side as usize + 1;
            if explanation.is_json {
                // A clone still has its parent's lane.
                if HERE.get().0 == lane {
                    explanation.end_slice(now);
                }
                explanation.page[OPEN + lane].store(1, SeqCst);
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
            if lesson.name == CLEAN_UP {
                KEEPS.set(true);
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

/// `[supervisor 3] id maps: WHY (user_namespaces(7); challenge step 5)`; the name alone unless `whole`.
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

fn on_call(call: &Call<'_>) {
    let Some(explanation) = EXPLANATION.get() else { return };
    // While reports are on, descriptors are shown by their numbers.
    let text = call.text.to_string();
    report::switch(false);
    explanation.call(&text, call.value, call.errno);
    report::switch(true);
}

impl Explanation {
    fn call(&self, text: &str, value: Option<i64>, errno: i32) {
        let (lane, number, before) = HERE.get();
        let now = self.began.elapsed();
        if let start @ 1.. = self.page[PENDING].load(SeqCst)
            && KEEPS.get()
        {
            // It has returned, and failed.
            self.page[KEPT].store(start - 1, SeqCst);
            self.page[PENDING].store(0, SeqCst);
        }
        if value.is_none() {
            self.page[PENDING].store(self.page[KEPT].load(SeqCst) + 1, SeqCst);
        }
        // An execve that succeeds does not return: report 0 before it.
        let value = value.unwrap_or(0);
        let result = if value < 0 { format!("-1 {}", errno_name(errno)) } else { value.to_string() };
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
        // What it took to write that down is none of the next call's time.
        HERE.set((lane, number, self.began.elapsed()));
    }

    /// Ends the explanation, in the supervisor: the other processes have written everything.
    fn end(&self, error: Option<&Error>) {
        if self.page[CLOSED].swap(1, SeqCst) != 0 {
            return;
        }
        if error.is_none() {
            self.wait_for_init();
        }
        let now = micros(self.began.elapsed());
        self.write_kept();
        if let (Some(error), false) = (error, self.is_json) {
            self.write(&format!("failed: {error}\n"));
        }
        if self.is_json {
            for lane in (1..=SIDES.len()).filter(|lane| self.page[OPEN + lane].load(SeqCst) != 0) {
                self.line(&json!({"ph": "E", "ts": now, "pid": 1, "tid": lane}));
            }
            let end = error.map_or("end".to_owned(), ToString::to_string);
            self.write(&format!("{}\n]\n", json!({"name": end, "ph": "i", "s": "g", "ts": now, "pid": 1, "tid": 1})));
        }
    }

    fn write_kept(&self) {
        let kept = self.kept();
        let heading = self.page[HEADING].load(SeqCst) as usize;
        if kept.len() > heading {
            let is_last = self.page[LAST_LANE].swap(SIDES.len() as u64, SeqCst) == SIDES.len() as u64;
            self.write(&kept[if is_last { heading } else { 0 }..]);
            self.page[KEPT].store(0, SeqCst);
            self.page[HEADING].store(0, SeqCst);
        }
    }

    /// Waits for PID 1, whose last call may come a moment after the command's.
    fn wait_for_init(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        while self.page[INIT_ENDED].load(SeqCst) == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn end_slice(&self, now: Duration) {
        let (lane, _, _) = HERE.get();
        if LESSON.get().is_some() {
            self.page[OPEN + lane].store(0, SeqCst);
            self.line(&json!({"ph": "E", "ts": micros(now), "pid": 1, "tid": lane}));
        }
    }

    /// One event of the trace.
    fn line(&self, event: &serde_json::Value) {
        self.write_or_keep(&format!("{event},\n"));
    }

    /// Writes a text of this process. After a text of another process it repeats the heading of the step. `lane` 0: the
    /// text is a heading.
    fn in_turn(&self, lane: usize, text: &str) {
        if KEEPS.get() {
            return self.keep(text);
        }
        let (own, number, _) = HERE.get();
        self.lock();
        let last = self.page[LAST_LANE].swap(own as u64, SeqCst);
        let lesson = LESSON.get().filter(|_| lane != 0 && last != own as u64);
        let again = lesson.map_or(String::new(), |lesson| header(own, number, lesson, self.has_colors, false));
        self.write(&(again + text));
        self.page[LOCK].store(0, SeqCst);
    }

    /// Waits for its turn, but not for ever: a process may be killed during its own.
    fn lock(&self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.page[LOCK].compare_exchange(0, 1, SeqCst, SeqCst).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn write_or_keep(&self, text: &str) {
        if KEEPS.get() { self.keep(text) } else { self.write(text) }
    }

    /// Keeps a text of the command for the supervisor, the first one with the heading of its step.
    fn keep(&self, text: &str) {
        if !self.is_json
            && self.page[KEPT].load(SeqCst) == 0
            && let Some(lesson) = LESSON.get()
        {
            let (lane, number, _) = HERE.get();
            let heading = header(lane, number, lesson, self.has_colors, false);
            self.append(&heading);
            self.page[HEADING].store(heading.len() as u64, SeqCst);
        }
        self.append(text);
    }

    /// Appends to the kept text, unless the page is full.
    fn append(&self, text: &str) {
        let start = self.page[KEPT].load(SeqCst) as usize;
        if TEXT + (start + text.len()).div_ceil(8) > self.page.len() {
            return;
        }
        for (at, byte) in (start..).zip(text.bytes()) {
            let (word, shift) = (&self.page[TEXT + at / 8], 8 * (at % 8));
            let others = word.load(SeqCst) & !(0xff << shift);
            word.store(others | u64::from(byte) << shift, SeqCst);
        }
        self.page[KEPT].store((start + text.len()) as u64, SeqCst);
    }

    fn kept(&self) -> String {
        let size = self.page[KEPT].load(SeqCst) as usize;
        let bytes = self.page[TEXT..].iter().flat_map(|word| word.load(SeqCst).to_le_bytes()).take(size);
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    }

    /// Writes in one piece, as far as the kernel allows. Gives up if the reader is gone (`2>&1 | head`) or does not read
    /// for seconds.
    fn write(&self, text: &str) {
        if self.page[UNHEARD].load(SeqCst) != 0 {
            return;
        }
        let wanted = [(self.to.as_fd(), Readiness::WRITE)];
        let is_ready = || poll::poll_all(&wanted, self.patience).is_ok_and(|ready| ready[0].write);
        if self.is_read && !is_ready() || fs::write_all(self.to.as_fd(), text.as_bytes()).is_err() {
            self.page[UNHEARD].store(1, SeqCst);
            // It is pending while signals are blocked, and would kill the program afterwards.
            signal::forget(libc::SIGPIPE);
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
