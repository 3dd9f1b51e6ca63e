//! The things that a command line names, one after the other.

use super::args::Parsed;
use super::output::{complain, print};
use crate::error::{Error, Result};

/// What became of one of them, if it did not fail.
pub enum Outcome {
    /// Prints this.
    Done(String),
    /// It failed, which the user is told, but the command has not (`--force`).
    Forgiven(Error),
}

/// Does something with each word of the command line; a failure does not keep the others. Returns the exit status.
pub fn each(parsed: &Parsed, mut act: impl FnMut(&str) -> Result<Outcome>) -> Result<u8> {
    let mut status = 0;
    for word in parsed.words()? {
        match act(word) {
            Ok(Outcome::Done(text)) => print(&text)?,
            Ok(Outcome::Forgiven(error)) => complain(&error),
            Err(error) => {
                complain(&error);
                status = 1;
            }
        }
    }
    Ok(status)
}
