//! Job control: the container as a job of the caller's shell (credentials(7), setpgid(2)).
//!
//! Outside, the shell decides which process group may use its terminal, and is told that a job has stopped. Inside,
//! PID 1 leads the session that owns the container's terminal, and the command leads a process group. So when the
//! command stops, PID 1 reports it, and the supervisor stops its own group, as if both were one.

use crate::sys::channel::{Channel, Message};
use crate::sys::process::{Status, pid_t};
use crate::sys::signal;

/// PID 1's side: says what became of the command. One that was stopped from a terminal goes on at once if there is
/// no shell that could continue it.
pub fn tell(reports: Option<&Channel>, command: pid_t, status: Status) {
    let report = match status {
        Status::Stopped(signal) => Message::Stopped(signal as u8),
        Status::Killed(signal) => Message::Killed(signal as u8),
        Status::Exited(_) => return,
    };
    if let Some(reports) = reports {
        // Nobody reads it any more if the supervisor is gone.
        let _ = reports.send(&report, &[]);
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
