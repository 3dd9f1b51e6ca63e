//! Questions to somebody at a terminal.

use crate::cli::output;
use crate::error::{Error, Result};
use crate::sys::fs;
use crate::sys::poll::poll;
use crate::sys::process::getpid;
use crate::sys::signal::{self, SignalFd};
use crate::sys::tty::{tcgetattr, tcsetattr};
use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd};

/// Asks for a line.
pub fn line(question: &str) -> Result<String> {
    output::print(question)?;
    read_line(stdin().as_fd(), None)
}

/// Asks for a line that is not shown as it is typed. Whatever ends us, the terminal shows again what is typed.
pub fn hidden_line(question: &str) -> Result<String> {
    let stdin = stdin();
    signal::block_all()?;
    let signals = SignalFd::new()?;
    let usual = tcgetattr(stdin.as_fd())?;
    tcsetattr(stdin.as_fd(), &usual.without_echo())?;
    let answer = output::print(question).and_then(|()| read_line(stdin.as_fd(), Some(&signals)));
    let shown = tcsetattr(stdin.as_fd(), &usual);
    signal::unblock_all()?;
    shown?;
    output::print("\n")?;
    answer
}

/// Reads up to the end of the line, or of the input. A signal that would end us does, once the terminal is as it was.
fn read_line(input: BorrowedFd<'_>, signals: Option<&SignalFd>) -> Result<String> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(signals) = signals {
            let ready = poll(&[input, signals.as_fd()], -1)?;
            if let Some(ending) = signals.read().filter(|number| signal::ENDING.contains(number)) {
                // It stays pending until the signals are unblocked.
                signal::kill(getpid(), ending)?;
                return Err(Error::new("interrupted"));
            }
            if ready.first() != Some(&true) {
                continue;
            }
        }
        let length = fs::read(input, &mut buffer)?;
        line.extend_from_slice(&buffer[..length]);
        if length == 0 || line.ends_with(b"\n") {
            break;
        }
    }
    let line = String::from_utf8(line).map_err(|_| Error::new("what was typed is not valid UTF-8"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
