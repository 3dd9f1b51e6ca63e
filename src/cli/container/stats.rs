//! `ccrun stats`: shows the resource use of containers, once a second.

use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::units::{binary, size};
use crate::cli::{output, store};
use crate::container::stats::{self, Sample};
use crate::decimal;
use crate::error::{Error, Result};
use crate::isolation::processes::ProcessTable;
use crate::json::json;
use crate::store::Store;
use crate::store::containers::{Container, short};
use crate::sys::tty;
use serde_json::Value;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

const ALL: Switch = switch(Some('a'), "all", "Show those that have ended too");
const NO_STREAM: Switch = switch(None, "no-stream", "Show it once");
const NO_TRUNC: Switch = switch(None, "no-trunc", "Do not cut anything short");

pub static COMMAND: Command = Command {
    name: "stats",
    usage: "[OPTIONS] [CONTAINER...]",
    summary: "Show what containers use",
    flags: &[ALL.flag, listing::FORMAT.flag, NO_STREAM.flag, NO_TRUNC.flag],
    operands: (0, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("BlockIO", "BLOCK I/O"),
    ("CPUPerc", "CPU %"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("MemPerc", "MEM %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("Name", "NAME"),
    ("NetIO", "NET I/O"),
    ("PIDs", "PIDS"),
    ("Pressure", "WAITING FOR CPU / MEM / IO"),
];

const COLUMNS: &str =
    "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// The time between two samples; CPU use is measured over it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Stands for an unknown value.
const UNKNOWN: &str = "--";

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look_swept(parsed)?;
    let words = parsed.words()?;
    // Report a missing container before showing anything.
    for word in &words {
        store.find_container(word)?;
    }
    let terminal = tty::isatty(std::io::stdout().as_fd());
    let mut before = Samples::new();
    look(&store, &words, &mut before)?;
    loop {
        std::thread::sleep(INTERVAL);
        let rows = rows(parsed, &store, &words, &mut before)?;
        let text = table(parsed, &rows)?;
        if parsed.is_on(NO_STREAM) {
            output::print(&text)?;
            return Ok(0);
        }
        if !show(&text, terminal)? || (rows.is_empty() && !words.is_empty()) {
            return Ok(0);
        }
    }
}

/// The containers to show, with the user's word for each. Without words all of them, the newest first.
fn chosen(store: &Store, words: &[&str]) -> Result<Vec<(String, Container)>> {
    let found = |id: String, word: &str| Some((word.to_owned(), store.container(&id).ok()?));
    if !words.is_empty() {
        // Skip those that were removed meanwhile.
        return Ok(words.iter().filter_map(|word| found(store.find_container(word).ok()?, word)).collect());
    }
    let mut all: Vec<_> = store.container_ids()?.into_iter().filter_map(|id| found(id.clone(), short(&id))).collect();
    crate::sort::by(&mut all, |(_, a), (_, b)| b.state.created.cmp(&a.state.created).then_with(|| a.id.cmp(&b.id)));
    Ok(all)
}

/// Samples by container id.
type Samples = Vec<(String, Sample)>;

fn of<'a>(samples: &'a Samples, id: &str) -> Option<&'a Sample> {
    samples.iter().find(|(known, _)| known == id).map(|(_, sample)| sample)
}

/// Replaces the samples by new ones; returns the old ones.
fn look(store: &Store, words: &[&str], before: &mut Samples) -> Result<Samples> {
    let processes = ProcessTable::read();
    let mut now = Samples::new();
    for (_, container) in chosen(store, words)? {
        if let Some(sample) = stats::sample(store, &container.id, &processes)? {
            now.push((container.id, sample));
        }
    }
    Ok(std::mem::replace(before, now))
}

fn rows(parsed: &Parsed, store: &Store, words: &[&str], now: &mut Samples) -> Result<Vec<Value>> {
    let before = look(store, words, now)?;
    let all = parsed.is_on(ALL) || !words.is_empty();
    let mut rows = Vec::new();
    for (word, container) in chosen(store, words)? {
        let sample = of(now, &container.id);
        // It may have started or ended between two samples.
        if sample.is_some() || (all && !container.state.is_running()) {
            rows.push(fields(&word, &container, sample, of(&before, &container.id), parsed.is_on(NO_TRUNC)));
        }
    }
    Ok(rows)
}

fn fields(word: &str, container: &Container, now: Option<&Sample>, before: Option<&Sample>, whole: bool) -> Value {
    let unknown = || UNKNOWN.to_owned();
    let percent = |value: Option<f64>| value.map_or_else(unknown, |value| decimal::fixed(value, 2) + "%");
    let usage = now.map(|now| &now.usage);
    let pair = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => format!("{} / {}", size(one), size(other)),
        _ => unknown(),
    };
    let network = now.and_then(|now| now.network).unzip();
    let memory = |bytes: Option<u64>| bytes.map_or_else(unknown, binary);
    let pressure = usage.map(|usage| usage.pressure).unwrap_or_default();
    let waiting = [pressure.cpu, pressure.memory, pressure.io];
    json!({
        "BlockIO": pair(usage.and_then(|usage| usage.read), usage.and_then(|usage| usage.written)),
        "CPUPerc": percent(now.zip(before).and_then(|(now, before)| now.cpu_percent(before))),
        "Container": word,
        "ID": if whole { &container.id } else { short(&container.id) },
        "MemPerc": percent(now.and_then(Sample::memory_percent)),
        "MemUsage": format!(
            "{} / {}",
            memory(usage.and_then(|usage| usage.memory)),
            memory(now.and_then(|now| now.memory_limit))
        ),
        "Name": container.name(),
        "NetIO": pair(network.0, network.1),
        "PIDs": usage.and_then(|usage| usage.pids).map_or_else(unknown, |pids| pids.to_string()),
        "Pressure": match waiting.iter().all(Option::is_none) {
            true => unknown(),
            false => waiting.map(percent).join(" / "),
        },
    })
}

/// The table. The column for pressure is left out if the kernel does not report it.
fn table(parsed: &Parsed, rows: &[Value]) -> Result<String> {
    let has_pressure = rows.iter().any(|row| row["Pressure"] != UNKNOWN);
    let default = if has_pressure { format!("{COLUMNS}\t{{{{.Pressure}}}}") } else { COLUMNS.to_owned() };
    listing::show(parsed.text(listing::FORMAT)?, &default, HEADINGS, rows)
}

/// Prints the table, on a terminal over the last one. Returns false when the reader is gone.
fn show(text: &str, terminal: bool) -> Result<bool> {
    let shown = if terminal {
        // Start at the upper left, and clear the rest of each line and of the screen.
        let lines = output::visible(text).replace('\n', "\x1b[K\n");
        format!("\x1b[H{lines}\x1b[J")
    } else {
        text.to_owned()
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(shown.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::io("write to stdout", &error)),
    }
}
