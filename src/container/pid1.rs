//! PID 1 of a container whose command runs: it reaps orphans, passes signals on, reports stops, and emulates root.
//!
//! Job control: outside, the shell decides which process group may use its terminal, and learns that a job has stopped
//! (credentials(7), setpgid(2)). Inside, PID 1 leads the session that owns the container's terminal, and the command
//! leads a process group. So when the command stops, PID 1 reports it, and the supervisor stops its own group, as if
//! both were one.

use super::plan::Plan;
use crate::error::Result;
use crate::isolation::capabilities::{self, Set};
use crate::isolation::emulation::Emulator;
use crate::isolation::emulation::credentials::Credentials;
use crate::sys::channel::{Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::notify::Listener;
use crate::sys::process::{self, Status, pid_t};
use crate::sys::signal::{self, SignalFd};
use std::os::fd::AsFd;

/// Runs PID 1 until the command has ended; returns the exit status. Closes all descriptors but those it needs, and drops
/// its capabilities but one.
pub fn live(command: pid_t, emulator: Option<Emulator>, reports: Option<Channel>) -> Result<i32> {
    let Some(mut emulator) = emulator else {
        let reports = match reports {
            Some(reports) => {
                let [kept] = process::keep_only([reports.as_fd()])?;
                // Its descriptor is closed already.
                std::mem::forget(reports);
                Some(Channel::from(kept))
            }
            None => {
                process::close_range_from(0);
                None
            }
        };
        capabilities::keep_kill()?;
        return reap(command, reports.as_ref(), signal::wait_any);
    };
    let reports = emulator.close_others(reports.map(OwnedFd::from))?.map(Channel::from);
    let signals = SignalFd::new()?;
    reap(command, reports.as_ref(), || {
        loop {
            if let Some(signal) = signals.read() {
                return Ok(signal);
            }
            emulator.serve_until(signals.as_fd())?;
        }
    })
}

/// Waits for the command at the other end of `channel`, and prepares to emulate root for it.
pub fn emulator(plan: &Plan<'_>, channel: Option<Channel>) -> Result<Option<Emulator>> {
    let Some(channel) = channel else { return Ok(None) };
    receive_emulator(&channel, plan.spec.security.capabilities)
}

/// Emulates root in a process of its own, where the command itself is PID 1. Ends with the last process that uses it.
pub fn emulate(plan: &Plan<'_>, channel: &Channel, supervisor: &Channel) -> i32 {
    match receive_emulator(channel, plan.spec.security.capabilities) {
        Ok(None) => 0,
        Ok(Some(mut emulator)) => emulator.close_others(None).and_then(|_| emulator.serve()).map_or(125, |()| 0),
        Err(error) => supervisor.fail(error),
    }
}

/// Receives the filter's listener from the command, which has the capabilities `set`. `None` if the command runs without
/// emulation or could not be started.
fn receive_emulator(channel: &Channel, set: Set) -> Result<Option<Emulator>> {
    let Some((Message::Listener { uid, gid, groups }, fds)) = channel.receive()? else { return Ok(None) };
    let Some(listener) = fds.into_iter().next() else { return Ok(None) };
    let emulator = Emulator::new(Listener::new(listener), Credentials::new(uid, gid, &groups, set.bits()))?;
    capabilities::keep_emulation(set)?;
    Ok(Some(emulator))
}

/// What an init does: passes signals on to the command, reaps orphans, and ends with the command. The kernel then kills
/// all other processes (pid_namespaces(7)).
fn reap(command: pid_t, reports: Option<&Channel>, mut next_signal: impl FnMut() -> Result<i32>) -> Result<i32> {
    loop {
        match next_signal()? {
            libc::SIGCHLD => {
                while let Some((pid, status)) = process::wait4(-1, libc::WNOHANG | libc::WUNTRACED).unwrap_or(None) {
                    if pid != command {
                        continue;
                    }
                    report(reports, command, status);
                    if !matches!(status, Status::Stopped(_)) {
                        return Ok(status.code().into());
                    }
                }
            }
            other => pass_on(command, other),
        }
    }
}

/// Reports that the command was stopped or killed. Without a shell that could continue it, a command that was stopped
/// from a terminal is continued at once.
fn report(reports: Option<&Channel>, command: pid_t, status: Status) {
    let message = match status {
        Status::Stopped(signal) => Message::Stopped(signal as u8),
        Status::Killed(signal) => Message::Killed(signal as u8),
        Status::Exited(_) => return,
    };
    if let Some(reports) = reports {
        // Fails if the supervisor is gone.
        let _ = reports.send(&message, &[]);
    } else if matches!(status, Status::Stopped(signal) if signal != libc::SIGSTOP) {
        pass_on(command, libc::SIGCONT);
    }
}

/// Sends `number` to the command. Signals that stop and continue go to its whole group, as from a terminal.
fn pass_on(command: pid_t, number: i32) {
    let of_group = signal::is_terminal_stop(number) || number == libc::SIGCONT;
    // It may have ended just now; its SIGCHLD is on the way.
    if !of_group || signal::kill(-command, number).is_err() {
        let _ = signal::kill(command, number);
    }
}
