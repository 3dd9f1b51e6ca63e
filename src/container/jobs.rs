//! Job control: the container as a job of the caller's shell (credentials(7), setpgid(2)).
//!
//! Outside, the shell decides which process group may use its terminal, and is told that a job has stopped. Inside,
//! PID 1 leads the session that owns the container's terminal, and the command leads a process group. So when the
//! command stops, PID 1 reports it, and the supervisor stops its own group, as if both were one.

use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::process::{Status, pid_t};
use crate::sys::{fs, signal, tty};
use std::os::fd::AsFd;

/// What PID 1 reports of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Stopped,
    /// Ended by this signal, which the exit status alone does not say.
    Killed(u8),
    /// There will be no reports: PID 1 has ended, or is the command itself.
    None,
}

const STOPPED: u8 = b'S';
const KILLED: u8 = b'K';

/// A pipe for the reports, the reading end first; none if no shell can want to know.
pub fn open() -> Result<Option<(OwnedFd, OwnedFd)>> {
    if !tty::has_controlling() {
        return Ok(None);
    }
    fs::pipe2(libc::O_NONBLOCK).map(Some)
}

/// The next report, `None` if there is none now.
pub fn next(reports: &OwnedFd) -> Option<Report> {
    let mut bytes = [0; 2];
    match (fs::read(reports.as_fd(), &mut bytes), bytes) {
        (Ok(2), [STOPPED, _]) => Some(Report::Stopped),
        (Ok(2), [KILLED, signal]) => Some(Report::Killed(signal)),
        (Ok(0), _) => Some(Report::None),
        _ => None,
    }
}

/// PID 1's side: says what became of the command. One that was stopped from a terminal goes on at once if there is
/// no shell that could continue it.
pub fn tell(reports: Option<&OwnedFd>, command: pid_t, status: Status) {
    let report = match status {
        Status::Stopped(signal) => [STOPPED, signal as u8],
        Status::Killed(signal) => [KILLED, signal as u8],
        Status::Exited(_) => return,
    };
    if let Some(reports) = reports {
        // Nobody reads it any more if the supervisor is gone.
        let _ = fs::write(reports.as_fd(), &report);
    } else if matches!(status, Status::Stopped(signal) if signal != libc::SIGSTOP) {
        hand_on(command, libc::SIGCONT);
    }
}

/// Sends `number` to the command; what stops and continues goes to its whole group, as from a terminal.
pub fn hand_on(command: pid_t, number: i32) {
    let of_group = is_stop(number) || number == libc::SIGCONT;
    // It may have ended just now; its SIGCHLD is on the way.
    if !of_group || signal::kill(-command, number).is_err() {
        let _ = signal::kill(command, number);
    }
}

/// Whether a terminal stops jobs by this signal.
pub fn is_stop(number: i32) -> bool {
    [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&number)
}
