//! The terminal that the user sits at (termios(3), credentials(7)).
//!
//! While the container has a terminal of its own, the caller's is in *raw* mode: every key goes to the container
//! unchanged. That holds in the foreground only. A background job must not change the terminal or read from it: the
//! keys are for the shell.

use crate::error::{Error, Result};
use crate::sys::fs;
use crate::sys::tty::{self, Termios};
use std::os::fd::BorrowedFd;

/// The caller's terminal, and its settings before this job changed them.
pub struct CallersTerminal {
    fd: BorrowedFd<'static>,
    wants_raw: bool,
    /// Its settings while it is in raw mode.
    before: Option<Termios>,
}

impl CallersTerminal {
    /// The terminal on stdin. `wants_raw`: keys go to the container unchanged.
    pub fn on_stdin(wants_raw: bool) -> CallersTerminal {
        CallersTerminal { fd: fs::standard_stream(0), wants_raw, before: None }
    }

    /// Whether this job may read the terminal. If it is not our controlling terminal, no other job competes for it.
    pub fn is_in_foreground(&self) -> bool {
        tty::is_foreground(self.fd) != Some(false)
    }

    /// Switches to raw mode in the foreground; in the background the settings belong to another job.
    pub fn enter(&mut self) {
        if !self.wants_raw {
            return;
        }
        if !self.is_in_foreground() {
            self.before = None;
            return;
        }
        let before = self.before.take().or_else(|| tty::tcgetattr(self.fd).ok());
        if let Some(settings) = &before {
            let _ = tty::tcsetattr(self.fd, &settings.raw());
        }
        self.before = before;
    }

    /// Restores the settings.
    pub fn leave(&mut self) {
        if let Some(settings) = self.before.take()
            && self.is_in_foreground()
        {
            let _ = tty::tcsetattr(self.fd, &settings);
        }
    }
}

/// Whether this job, in the background, must not write to `terminal` (`stty tostop`).
pub fn forbids_output(terminal: BorrowedFd<'_>) -> bool {
    let is_others = tty::is_foreground(terminal) == Some(false);
    is_others && tty::tcgetattr(terminal).is_ok_and(|settings| settings.stops_background_output())
}

/// Whether a terminal among the caller's streams has hung up.
pub fn is_hung_up() -> bool {
    (0..3).any(|number| tty::is_hung_up(fs::standard_stream(number)))
}

impl Drop for CallersTerminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Returns when this job may use the terminal on stdin. Until then the kernel stops the job, as it stops any program that
/// sets a terminal's modes in the background. Signals must not be blocked.
pub fn wait_for_foreground() -> Result<()> {
    let stdin = fs::standard_stream(0);
    let settings = tty::tcgetattr(stdin)?;
    // The kernel stops us in this call if need be, and restarts it afterwards.
    tty::tcsetattr(stdin, &settings).map_err(|error| match error.errno() {
        Some(libc::EIO) => {
            Error::new("the terminal belongs to another job, and no shell can bring this one to the front")
                .hint("leave out -i and -t, or start it in the foreground")
        }
        _ => error,
    })
}
