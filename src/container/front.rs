//! The caller's side of a container: the streams, the terminal, and the job control of the caller's shell.
//!
//! It copies between the caller's streams and the container's, passes on every signal that can be passed on, and
//! where the user sits at a terminal, stops and goes on with the command.

use super::callers_terminal::{self, CallersTerminal};
use super::detach_keys::DetachKeys;
use super::flow::{End, Event, Flow};
use super::jobs;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::poll::{self, Readiness};
use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::tty::{self, WindowSize};
use std::os::fd::{AsFd, BorrowedFd};

/// How often a background job looks whether it is in the foreground again, in milliseconds: no signal says so.
const LOOK: i32 = 100;

/// What Ctrl-C sends.
const INTERRUPT_KEY: u8 = 3;

/// The container, seen from the front.
pub trait Behind {
    fn signal(&self, number: i32);

    /// Gives its terminal a size.
    fn resize(&self, size: WindowSize);

    /// Closes its terminal, whose user is gone.
    fn hang_up(&mut self);

    /// Leaves aside that the command has stopped, which does not hold any more.
    fn forget_stops(&mut self) -> Result<()>;
}

pub struct Front {
    flows: Vec<Flow>,
    terminal: CallersTerminal,
    /// Whether the container has a terminal, and whether it is still connected.
    has_terminal: bool,
    is_connected: bool,
    /// Whether the user asked for a terminal or for stdin. A job that did not is an ordinary one, which may run in the
    /// background.
    explicit: bool,
    keys: Option<DetachKeys>,
    pub is_detached: bool,
    typed_interrupt: bool,
    /// What ended the command, if it was a signal.
    pub killed_by: Option<u8>,
    hung_up: bool,
    /// What of the output could not be written.
    pub lost: Option<Error>,
}

impl Front {
    /// `flows`: pipes between the caller's streams and the container's. `explicit`: see the field.
    pub fn new(flows: Vec<Flow>, explicit: bool) -> Front {
        Front {
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

    /// Connects the caller's terminal with the container's, to which `terminal` leads. What the user types goes there,
    /// too, if `interactive`.
    pub fn connect(&mut self, terminal: &OwnedFd, interactive: bool, behind: &dyn Behind) -> Result<()> {
        fs::set_nonblocking(terminal.as_fd())?;
        let copy = || terminal.try_clone().map(End::Ours);
        self.flows.push(Flow::new(copy()?, End::Caller(1)).of_terminal());
        if interactive {
            self.flows.push(Flow::new(End::Caller(0), copy()?).of_terminal());
        }
        self.terminal = CallersTerminal::on_stdin(interactive);
        self.terminal.enter();
        (self.has_terminal, self.is_connected) = (true, true);
        self.follow_size(behind);
        Ok(())
    }

    /// The user may leave by typing `keys`.
    pub fn detach_by(&mut self, keys: DetachKeys) {
        self.keys = Some(keys);
    }

    /// Whether what does not come from the container's terminal is to wait.
    pub fn hold_others(&mut self, wait: bool) {
        self.flows.iter_mut().filter(|flow| !flow.is_of_terminal).for_each(|flow| flow.paused = wait);
    }

    /// Hands on what was typed and still waits.
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

    /// Leaves the caller's terminal as it was.
    pub fn leave(&mut self) {
        self.terminal.leave();
    }

    /// How long to wait at most, in milliseconds. While another job is in the foreground its keys are left alone.
    pub fn timeout(&mut self, behind: &dyn Behind) -> i32 {
        let Some(input) = self.flows.iter_mut().find(|flow| flow.is_input()) else { return -1 };
        let is_background = !self.terminal.is_in_foreground();
        let is_back = input.paused && !is_background;
        input.paused = is_background;
        if is_back {
            self.terminal.enter();
            self.follow_size(behind);
        }
        if is_background { LOOK } else { -1 }
    }

    /// What each flow waits for.
    pub fn wants(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Readiness)> {
        let nothing = (fs::standard_stream(0), Readiness::default());
        self.flows.iter().map(move |flow| flow.wants().unwrap_or(nothing))
    }

    /// Copies where [`Front::wants`] is `ready`.
    pub fn copy(&mut self, ready: &[Readiness], behind: &mut dyn Behind) -> Result<()> {
        for at in 0..self.flows.len() {
            if !ready.get(at).is_some_and(|ready| ready.read || ready.write) {
                continue;
            }
            if self.flows[at].caller_to_write_to().is_some_and(callers_terminal::forbids_output) {
                signal::stop_group(libc::SIGTTOU)?;
                self.go_on(behind)?;
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
                    // The container's terminal is closed; what comes now is for the user's.
                    self.terminal.leave();
                    false
                }
                Some(Event::SourceEnded) => is_input && callers_terminal::is_hung_up(),
                Some(Event::HangUp) => true,
                Some(Event::Refused(error)) => {
                    self.lost = self.lost.take().or(Some(error));
                    if is_of_terminal {
                        // Keys are signals again, should the command not mind.
                        self.terminal.leave();
                    }
                    // Nobody sees the container's terminal any more. Without an end it would wait for one that reads.
                    is_of_terminal
                }
                None => false,
            };
            if is_hang_up {
                // It takes flows away, whose places `ready` still has.
                self.hang_up(behind);
                break;
            }
        }
        Ok(())
    }

    /// A signal that we were sent.
    pub fn take(&mut self, Signal { number, is_typed }: Signal, behind: &mut dyn Behind) -> Result<()> {
        match number {
            libc::SIGWINCH if self.is_connected => self.follow_size(behind),
            libc::SIGCONT => self.go_on(behind)?,
            // Somebody outside stops us; a container with a terminal of its own is no part of that.
            stop if jobs::is_stop(stop) && self.is_connected => self.stop(behind)?,
            // The terminal may hang up more than once for us: by its other end, by the shell, by the shell's end.
            libc::SIGHUP if callers_terminal::is_hung_up() => self.hang_up(behind),
            other => {
                self.typed_interrupt |= other == libc::SIGINT && is_typed;
                behind.signal(other);
            }
        }
        Ok(())
    }

    /// Stops this job, with the terminal as it was; returns when the shell continues it.
    pub fn stop(&mut self, behind: &mut dyn Behind) -> Result<()> {
        self.terminal.leave();
        signal::stop_group(libc::SIGTSTP)?;
        self.go_on(behind)
    }

    /// Continues the command, in the foreground with the terminal.
    fn go_on(&mut self, behind: &mut dyn Behind) -> Result<()> {
        // Who asked for the terminal waits for it, as Docker's client does.
        let wants_terminal = self.explicit && !self.hung_up && self.flows.iter().any(Flow::is_input);
        while wants_terminal && !self.terminal.is_in_foreground() && signal::stop_group(libc::SIGTTIN)? {}
        behind.forget_stops()?;
        self.terminal.enter();
        self.follow_size(behind);
        behind.signal(libc::SIGCONT);
        Ok(())
    }

    /// The caller's terminal is gone, which the container learns once: by its own terminal's end, or by SIGHUP.
    fn hang_up(&mut self, behind: &mut dyn Behind) {
        if std::mem::replace(&mut self.hung_up, true) {
            return;
        }
        if std::mem::replace(&mut self.is_connected, false) {
            self.flows.retain(|flow| !flow.is_of_terminal);
            behind.hang_up();
        } else {
            behind.signal(libc::SIGHUP);
            self.flows.iter_mut().filter(|flow| flow.is_input()).for_each(Flow::end_source);
        }
    }

    /// Gives the container's terminal the size of the caller's.
    fn follow_size(&self, behind: &dyn Behind) {
        if self.is_connected
            && let Some(size) = tty::callers_window()
        {
            behind.resize(size);
        }
    }

    /// The container has ended: shows what was written before that, until a signal says that nobody wants it, and
    /// leaves the terminal as it was.
    pub fn finish(&mut self, signals: &SignalFd, behind: &mut dyn Behind) -> Result<()> {
        self.flows.retain(|flow| !flow.is_input());
        while self.flows.iter_mut().map(Flow::fill).filter(|waits| *waits).count() > 0 {
            let wanted: Vec<_> =
                [(signals.as_fd(), Readiness { read: true, write: false })].into_iter().chain(self.wants()).collect();
            let mut ready = poll::poll_all(&wanted, -1)?;
            ready.remove(0);
            let ends = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
            while let Some(signal) = signals.next() {
                if ends.contains(&signal.number) {
                    self.terminal.leave();
                    return Ok(());
                }
            }
            self.copy(&ready, behind)?;
        }
        self.terminal.leave();
        Ok(())
    }

    /// Whether the user typed Ctrl-C and the command died of it, so that the shell has to know.
    pub fn is_interrupted(&self) -> bool {
        let is_dockers = self.explicit && self.has_terminal;
        self.typed_interrupt && self.killed_by == Some(libc::SIGINT as u8) && !is_dockers
    }
}
