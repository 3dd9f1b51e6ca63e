//! How a pull goes on, shown as Docker does: one line per layer, with bars on a terminal.

use crate::cli::output::units;
use crate::image::install::{LayerState, Progress, Stays};
use crate::image::reference::Reference;
use crate::sys::tty;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Where progress goes: `pull` tells it on stdout, `run` leaves stdout to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// Prints a line. Somebody who does not read on has seen enough.
    pub fn line(self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    fn write(self, text: &str) {
        let _ = match self {
            Stream::Stdout => std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()),
            Stream::Stderr => std::io::stderr().write_all(text.as_bytes()),
        };
    }

    /// Columns and rows of the terminal that this is; none when it is no terminal, or one that cannot go back.
    fn terminal(self) -> Option<(usize, usize)> {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let fd: BorrowedFd<'_> = match self {
            Stream::Stdout => stdout.as_fd(),
            Stream::Stderr => stderr.as_fd(),
        };
        if !tty::isatty(fd) || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
            return None;
        }
        let size = tty::window_size(fd).ok();
        let (columns, rows) = size.map_or((0, 0), |size| (size.columns().into(), size.rows().into()));
        // A terminal that does not tell its size is the one everybody had.
        Some((if columns == 0 { 80 } else { columns }, if rows == 0 { 24 } else { rows }))
    }
}

/// What the terminal shows is not drawn more often.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Shows a pull on a stream.
pub struct Display {
    stream: Stream,
    quiet: bool,
    terminal: bool,
    layers: Vec<(String, LayerState)>,
    /// How many lines of the terminal are ours to draw again.
    drawn: usize,
    last: Option<Instant>,
    stays: Option<Stays>,
    word: fn(LayerState) -> &'static str,
}

impl Display {
    /// Shows on `stream`; nothing at all when `quiet`.
    pub fn new(stream: Stream, quiet: bool) -> Display {
        let terminal = !quiet && stream.terminal().is_some();
        Display { stream, quiet, terminal, layers: Vec::new(), drawn: 0, last: None, stays: None, word: pulling }
    }

    /// Shows on stderr what comes out of an archive; only terminals are told, unless `quiet`.
    pub fn of_archive(quiet: bool) -> Display {
        let quiet = quiet || Stream::Stderr.terminal().is_none();
        Display { word: loading, ..Display::new(Stream::Stderr, quiet) }
    }

    /// What an interruption has left, and the way out.
    pub fn left(&self) -> Option<String> {
        let Stays { here, layers, bytes } = self.stays?;
        let rest = if bytes > 0 { format!(" and {} of the others", units::size(bytes)) } else { String::new() };
        Some(format!("{here} of {layers} layers are here{rest}; pull again to go on"))
    }

    fn draw(&mut self) {
        let Some((columns, rows)) = self.stream.terminal() else { return };
        let lines = lines(&self.layers, self.word, columns, rows);
        // Up to the first of our lines; then each line is cleared and written anew.
        let mut text = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        for line in &lines {
            text.push_str(&format!("\r\x1b[2K{line}\n"));
        }
        // A window that was made smaller has lines left over below.
        text.push_str("\x1b[J");
        self.stream.write(&text);
        self.drawn = lines.len();
        self.last = Some(Instant::now());
    }
}

impl Progress for Display {
    fn found(&mut self, reference: &Reference) {
        if self.quiet {
            return;
        }
        let wanted = match (reference.digest(), reference.tag()) {
            (Some(_), _) => reference.to_string(),
            (None, tag) => tag.unwrap_or_default().to_owned(),
        };
        self.stream.line(&format!("{wanted}: Pulling from {}", reference.path()));
    }

    fn layer(&mut self, layer: &str, state: LayerState) {
        if self.quiet {
            return;
        }
        let known = self.layers.iter_mut().find(|(name, _)| name == layer);
        let changed =
            known.as_ref().is_none_or(|(_, old)| std::mem::discriminant(old) != std::mem::discriminant(&state));
        match known {
            Some((_, old)) => *old = state,
            None => self.layers.push((layer.to_owned(), state)),
        }
        if self.terminal {
            if changed || self.last.is_none_or(|last| last.elapsed() >= DRAW_EVERY) {
                self.draw();
            }
        } else if changed && !matches!(state, LayerState::Downloading(..)) {
            self.stream.line(&format!("{layer}: {}", (self.word)(state)));
        }
    }

    fn interrupted(&mut self, stays: Stays) {
        self.stays = Some(stays);
    }

    fn finish(&mut self) {
        if self.terminal && !self.layers.is_empty() {
            self.draw();
        }
        // What comes next is another image's.
        self.layers.clear();
        self.drawn = 0;
    }
}

fn pulling(state: LayerState) -> &'static str {
    match state {
        LayerState::Exists => "Already exists",
        LayerState::Waiting => "Pulling fs layer",
        LayerState::Downloading(..) => "Downloading",
        LayerState::Retrying => "Retrying",
        LayerState::Downloaded => "Download complete",
        LayerState::Complete => "Pull complete",
    }
}

fn loading(state: LayerState) -> &'static str {
    match state {
        LayerState::Exists => "Already exists",
        LayerState::Waiting => "Waiting",
        LayerState::Downloading(..) | LayerState::Retrying => "Loading layer",
        LayerState::Downloaded => "Writing",
        LayerState::Complete => "Loaded",
    }
}

/// The lines to draw: one per layer, or those of the layers at work where the terminal has too few rows.
fn lines(
    layers: &[(String, LayerState)],
    word: fn(LayerState) -> &'static str,
    columns: usize,
    rows: usize,
) -> Vec<String> {
    let show = |(layer, state): &(String, LayerState)| {
        let mut line = format!("{layer}: {}", word(*state));
        if let LayerState::Downloading(now, total) = *state {
            line.push_str(&bar(now, total, columns.saturating_sub(line.len())));
        }
        line.chars().take(columns.saturating_sub(1)).collect()
    };
    let most = rows.saturating_sub(1).max(1);
    if layers.len() <= most {
        return layers.iter().map(show).collect();
    }
    let is_over = |state: &LayerState| matches!(state, LayerState::Exists | LayerState::Complete);
    let over = layers.iter().filter(|(_, state)| is_over(state)).count();
    let mut lines: Vec<String> = layers.iter().filter(|(_, state)| !is_over(state)).take(most - 1).map(show).collect();
    lines.push(format!("{over} of {} layers complete", layers.len()));
    lines
}

/// ` [=====>     ]  1.2MB/3.4MB` in at most `room` columns, of which the last one stays free.
fn bar(now: u64, total: u64, room: usize) -> String {
    let numbers = format!("{}/{}", units::size(now), units::size(total));
    // Both numbers may get longer while it grows: `9.99MB`.
    let width = room.saturating_sub(19).min(52);
    if width < 10 {
        return format!(" {numbers}");
    }
    let inner = width - 2;
    let done = (now.min(total) as u128 * inner as u128 / u128::from(total.max(1))) as usize;
    let filled = if done == 0 { String::new() } else { format!("{}>", "=".repeat(done - 1)) };
    format!(" [{filled:<inner$}]  {numbers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_the_terminal() {
        assert_eq!(bar(0, 100, 40), " [                   ]  0B/100B");
        assert_eq!(bar(50, 100, 40), " [========>          ]  50B/100B");
        assert_eq!(bar(100, 100, 40), " [==================>]  100B/100B");
        assert_eq!(bar(1, 0, 20), " 1B/0B");
        let layer = |state| ("0123456789ab".to_owned(), state);
        for columns in [1, 10, 30, 60, 200] {
            let lines = lines(&[layer(LayerState::Downloading(u64::MAX / 3, u64::MAX))], pulling, columns, 24);
            assert!(lines[0].len() < columns.max(2), "{lines:?}");
        }
    }

    #[test]
    fn what_stays_is_told_with_the_way_out() {
        let mut display = Display::new(Stream::Stderr, true);
        assert!(display.left().is_none());
        display.interrupted(Stays { here: 3, layers: 6, bytes: 12_300_000 });
        assert_eq!(display.left().unwrap(), "3 of 6 layers are here and 12.3MB of the others; pull again to go on");
        display.interrupted(Stays { here: 0, layers: 1, bytes: 0 });
        assert_eq!(display.left().unwrap(), "0 of 1 layers are here; pull again to go on");
    }

    #[test]
    fn a_low_terminal_shows_the_layers_at_work() {
        let layers: Vec<(String, LayerState)> = (0..30)
            .map(|n| (format!("{n:012}"), if n < 20 { LayerState::Complete } else { LayerState::Downloading(1, 2) }))
            .collect();
        let lines = lines(&layers, pulling, 80, 6);
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("000000000020: Downloading ["), "{lines:?}");
        assert_eq!(lines[4], "20 of 30 layers complete");
    }
}
