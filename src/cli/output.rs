//! What the user gets to read: on stdout what was asked for, on stderr what went wrong.

pub mod file;
pub mod format;
pub mod listing;
pub mod progress;
pub mod units;

use crate::error::{Error, Result, Visible};
use crate::sys::tty;
use std::io::Write;
use std::os::fd::AsFd;

/// The one line that a failure gets.
pub fn complain(error: &Error) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "ccrun: {error}");
}

/// What is not an error, but the user should know.
pub fn note(text: &str) {
    // In one piece: the command may write there at the same time.
    let line = format!("ccrun: {}\n", Visible(text));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Writes to stdout; a reader that has gone away (`ccrun images | head`) is no failure. On a terminal nothing that an
/// image says of itself moves the cursor.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let safe: String;
    let text = if tty::isatty(out.as_fd()) {
        safe = visible(text);
        &safe
    } else {
        text
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("write to stdout", &error)),
        _ => Ok(()),
    }
}

/// Text without anything that moves the cursor but tabs and the ends of lines.
pub fn visible(text: &str) -> String {
    let safe = |line: &str| line.split('\t').map(|text| Visible(text).to_string()).collect::<Vec<_>>().join("\t");
    text.split('\n').map(safe).collect::<Vec<_>>().join("\n")
}
