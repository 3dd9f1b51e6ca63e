//! `ccrun kill`.

use crate::cli::args::{Command, One, Parsed, one};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::container::ending;
use crate::error::{Error, Result};
use crate::sys::signal::names;

const SIGNAL: One = one(Some('s'), "signal", "SIGNAL", "Signal to send, by name or number (default KILL)");

pub static COMMAND: Command = Command {
    name: "kill",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Send a signal to running containers",
    flags: &[SIGNAL.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let number = number(parsed.text(SIGNAL)?.unwrap_or("KILL"))?;
    let (store, _) = store::look_swept(parsed)?;
    words::each(parsed, |word| {
        let id = store.find_container(word)?;
        let cannot = |error: Error| error.context(format_args!("Cannot kill container: {word}"));
        ending::signal(&store, &id, number).map_err(cannot)?;
        Ok(Outcome::Done(format!("{word}\n")))
    })
}

/// The number of a signal that a user has named.
pub fn number(text: &str) -> Result<i32> {
    names::number(text).ok_or_else(|| Error::new(format_args!("Invalid signal: {text}")))
}
