//! The caller's side of a container: the streams, the terminal, and the job control of the caller's shell.
//!
//! It copies between the caller's streams and the container's, passes signals on, and, where the user sits at a
//! terminal, stops and continues together with the command.

use super::callers_terminal::{self, CallersTerminal};
use super::detach_keys::DetachKeys;
use super::flow::{End, Event, Flow};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::poll::{self, Readiness};
use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::tty::{self, WindowSize};
use std::os::fd::{AsFd, BorrowedFd};

/// How often a background job checks whether it is in the foreground again, in milliseconds. No signal reports that.
const FOREGROUND_CHECK: i32 = 100;

/// What Ctrl-C sends.
const INTERRUPT_KEY: u8 = 3;

/// The container, as the frontend uses it: a child of this process, or one behind a channel.
pub trait Backend {
    fn signal(&self, number: i32);

    /// Sets the size of its terminal.
    fn resize(&self, size: WindowSize);

    /// Hangs up its terminal: the user is gone.
    fn hang_up(&mut self);

    /// Drops reports that the command has stopped: they are out of date.
    fn discard_stops(&mut self) -> Result<()>;
}

pub struct Frontend {
    flows: Vec<Flow>,
    terminal: CallersTerminal,
    /// Whether the container has a terminal, and whether it is still connected.
    has_terminal: bool,
    is_connected: bool,
    /// Whether the user asked for a terminal or for stdin. Otherwise this is an ordinary job, which may run in the
    /// background.
    explicit: bool,
    keys: Option<DetachKeys>,
    pub is_detached: bool,
    typed_interrupt: bool,
    /// The signal that killed the command, if one did.
    pub killed_by: Option<u8>,
    hung_up: bool,
    /// Why output could not be written.
    pub lost: Option<Error>,
}

impl Frontend {
    /// `flows` copy between the caller's streams and the container's. `explicit`: see the field.
    pub fn new(flows: Vec<Flow>, explicit: bool) -> Frontend {
        Frontend {
            flows,
            terminal: CallersTerminal::on_stdin(false),
            has_terminal: false,
            is_connected: false,
            explicit,
            keys: None,
            is_detached: false,
            typed_interrupt: false,
            killed_by: None,
            hung_up: false,
            lost: None,
        }
    }

    /// Connects the caller's terminal with the container's (`terminal`). If `interactive`, keys go there, too.
    pub fn connect(&mut self, terminal: &OwnedFd, interactive: bool, backend: &dyn Backend) -> Result<()> {
        fs::set_nonblocking(terminal.as_fd())?;
        let copy = || terminal.try_clone().map(End::Ours);
        self.flows.push(Flow::new(copy()?, End::Caller(1)).of_terminal());
        if interactive {
            self.flows.push(Flow::new(End::Caller(0), copy()?).of_terminal());
        }
        self.terminal = CallersTerminal::on_stdin(interactive);
        self.terminal.enter();
        (self.has_terminal, self.is_connected) = (true, true);
        self.follow_size(backend);
        Ok(())
    }

    /// Lets the user detach by typing `keys`.
    pub fn detach_by(&mut self, keys: DetachKeys) {
        self.keys = Some(keys);
    }

    /// Pauses or resumes all flows but those of the container's terminal.
    pub fn pause_others(&mut self, paused: bool) {
        self.flows.iter_mut().filter(|flow| !flow.is_of_terminal).for_each(|flow| flow.paused = paused);
    }

    /// Writes keys that were typed but not yet written.
    pub fn flush(&mut self) -> Result<()> {
        for input in self.flows.iter_mut().filter(|flow| flow.is_input()) {
            input.paused = true;
            while let Some(wanted) = input.wants() {
                poll::poll_all(&[wanted], -1)?;
                let _ = input.step(&mut |_| ());
            }
        }
        Ok(())
    }

    /// Restores the caller's terminal.
    pub fn restore_terminal(&mut self) {
        self.terminal.leave();
    }

    /// How long to wait at most, in milliseconds. Does not read keys while another job is in the foreground.
    pub fn timeout(&mut self, backend: &dyn Backend) -> i32 {
        let Some(input) = self.flows.iter_mut().find(|flow| flow.is_input()) else { return -1 };
        let is_background = !self.terminal.is_in_foreground();
        let is_back = input.paused && !is_background;
        input.paused = is_background;
        if is_back {
            self.terminal.enter();
            self.follow_size(backend);
        }
        if is_background { FOREGROUND_CHECK } else { -1 }
    }

    /// The event that each flow waits for.
    pub fn wants(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Readiness)> {
        let nothing = (fs::standard_stream(0), Readiness::default());
        self.flows.iter().map(move |flow| flow.wants().unwrap_or(nothing))
    }

    /// Copies in each flow that is `ready` (in the order of [`Frontend::wants`]).
    pub fn copy(&mut self, ready: &[Readiness], backend: &mut dyn Backend) -> Result<()> {
        for at in 0..self.flows.len() {
            if !ready.get(at).is_some_and(|ready| ready.read || ready.write) {
                continue;
            }
            if self.flows[at].caller_to_write_to().is_some_and(callers_terminal::forbids_output) {
                signal::stop_group(libc::SIGTTOU)?;
                self.resume(backend)?;
            }
            let flow = &mut self.flows[at];
            let is_input = flow.is_input();
            let is_key = is_input && flow.is_of_terminal;
            let (mut interrupt, keys, detached) = (false, &mut self.keys, &mut self.is_detached);
            let event = flow.step(&mut |bytes| {
                interrupt = is_key && bytes.contains(&INTERRUPT_KEY);
                if is_key && let Some(keys) = keys {
                    *detached |= keys.take(bytes);
                }
            });
            self.typed_interrupt |= interrupt;
            let is_of_terminal = flow.is_of_terminal;
            let is_hang_up = match event {
                Some(Event::SourceEnded) if !is_input && is_of_terminal => {
                    // The container's terminal is closed; later output is for the user's terminal.
                    self.terminal.leave();
                    false
                }
                Some(Event::SourceEnded) => is_input && callers_terminal::is_hung_up(),
                Some(Event::HangUp) => true,
                Some(Event::Refused(error)) => {
                    self.lost = self.lost.take().or(Some(error));
                    if is_of_terminal {
                        // Keys are signals again, in case the command ignores the hangup.
                        self.terminal.leave();
                    }
                    // Nobody sees the container's terminal any more, and its programs would wait for a reader for ever.
                    is_of_terminal
                }
                None => false,
            };
            if is_hang_up {
                // This removes flows, so that `ready` no longer fits.
                self.hang_up(backend);
                break;
            }
        }
        Ok(())
    }

    /// Handles a signal that this process received.
    pub fn handle_signal(&mut self, Signal { number, is_typed }: Signal, backend: &mut dyn Backend) -> Result<()> {
        match number {
            libc::SIGWINCH if self.is_connected => self.follow_size(backend),
            libc::SIGCONT => self.resume(backend)?,
            // Sent from outside; a container with a terminal of its own does not stop with us.
            stop if signal::is_terminal_stop(stop) && self.is_connected => self.stop(backend)?,
            // A hang-up may arrive more than once: from the kernel, from the shell, and at the shell's end.
            libc::SIGHUP if callers_terminal::is_hung_up() => self.hang_up(backend),
            other => {
                self.typed_interrupt |= other == libc::SIGINT && is_typed;
                backend.signal(other);
            }
        }
        Ok(())
    }

    /// Restores the terminal and stops this job; returns when the shell continues it.
    pub fn stop(&mut self, backend: &mut dyn Backend) -> Result<()> {
        self.terminal.leave();
        signal::stop_group(libc::SIGTSTP)?;
        self.resume(backend)
    }

    /// Continues the command, in the foreground with the terminal.
    fn resume(&mut self, backend: &mut dyn Backend) -> Result<()> {
        // A job that asked for the terminal waits for it, as Docker's client does.
        let wants_terminal = self.explicit && !self.hung_up && self.flows.iter().any(Flow::is_input);
        while wants_terminal && !self.terminal.is_in_foreground() && signal::stop_group(libc::SIGTTIN)? {}
        backend.discard_stops()?;
        self.terminal.enter();
        self.follow_size(backend);
        backend.signal(libc::SIGCONT);
        Ok(())
    }

    /// Passes the hang-up of the caller's terminal on, once: the container's terminal hangs up, or it gets SIGHUP.
    fn hang_up(&mut self, backend: &mut dyn Backend) {
        if std::mem::replace(&mut self.hung_up, true) {
            return;
        }
        if std::mem::replace(&mut self.is_connected, false) {
            self.flows.retain(|flow| !flow.is_of_terminal);
            backend.hang_up();
        } else {
            backend.signal(libc::SIGHUP);
            self.flows.iter_mut().filter(|flow| flow.is_input()).for_each(Flow::end_source);
        }
    }

    /// Gives the container's terminal the size of the caller's.
    fn follow_size(&self, backend: &dyn Backend) {
        if self.is_connected
            && let Some(size) = tty::callers_window()
        {
            backend.resize(size);
        }
    }

    /// After the container has ended: copies the rest of its output, until a signal stops that, and restores the terminal.
    pub fn finish(&mut self, signals: &SignalFd, backend: &mut dyn Backend) -> Result<()> {
        self.flows.retain(|flow| !flow.is_input());
        while self.flows.iter_mut().map(Flow::fill).filter(|waits| *waits).count() > 0 {
            let wanted: Vec<_> = [(signals.as_fd(), Readiness::READ)].into_iter().chain(self.wants()).collect();
            let mut ready = poll::poll_all(&wanted, -1)?;
            ready.remove(0);
            while let Some(signal) = signals.next() {
                if signal::ENDING.contains(&signal.number) {
                    self.terminal.leave();
                    return Ok(());
                }
            }
            self.copy(&ready, backend)?;
        }
        self.terminal.leave();
        Ok(())
    }

    /// Whether the user typed Ctrl-C and the command died of it. The shell has to know that.
    pub fn is_interrupted(&self) -> bool {
        let is_dockers = self.explicit && self.has_terminal;
        self.typed_interrupt && self.killed_by == Some(libc::SIGINT as u8) && !is_dockers
    }
}
