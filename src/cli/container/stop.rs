//! `ccrun stop`.

use super::kill::number;
use crate::cli::args::{Command, One, Parsed, one};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::container::ending;
use crate::error::{Error, Result};
use crate::store::Store;
use std::time::Duration;

const SIGNAL: One = one(Some('s'), "signal", "SIGNAL", "Signal to send first (default: the image's, or TERM)");
const TIMEOUT: One = one(Some('t'), "timeout", "SECONDS", "How long to wait before SIGKILL (default 10), -1 for ever");
const TIME: One = one(None, "time", "SECONDS", "The same, as Docker called it once");

pub static COMMAND: Command = Command {
    name: "stop",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Stop running containers",
    flags: &[SIGNAL.flag, TIMEOUT.flag, TIME.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let signal = parsed.text(SIGNAL)?.map(number).transpose()?;
    let patience = match parsed.text(TIMEOUT)?.or(parsed.text(TIME)?) {
        None => Some(Duration::from_secs(10)),
        Some(text) => {
            let seconds = text.parse::<i64>().map_err(|_| TIMEOUT.flag.invalid(text, "not a whole number"))?;
            u64::try_from(seconds).ok().map(Duration::from_secs)
        }
    };
    let (store, _) = store::look_swept(parsed)?;
    words::each(parsed, |word| stop(&store, word, signal, patience).map(|()| Outcome::Done(format!("{word}\n"))))
}

fn stop(store: &Store, word: &str, signal: Option<i32>, patience: Option<Duration>) -> Result<()> {
    let id = store.find_container(word)?;
    let cannot = |error: Error| error.context(format_args!("Cannot stop container: {word}"));
    let of_image = || store.container(&id)?.stop_signal().map(number).transpose();
    let signal = signal.map_or_else(of_image, |signal| Ok(Some(signal))).map_err(cannot)?;
    ending::stop(store, &id, signal.unwrap_or(libc::SIGTERM), patience).map_err(cannot)
}
