//! The supervisor's watch: signals in, exit status out, and the streams between.
//!
//! It waits for PID 1 and passes on every signal that can be passed on. Where the container has a terminal or pipes
//! of the supervisor's, it copies; where the user sits at a terminal, it stops and goes on with the command.

use super::callers_terminal::{self, CallersTerminal};
use super::flow::{End, Event, Flow};
use super::jobs::{self, Report};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::{Child, Status};
use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::{fs, tty};
use std::os::fd::{AsFd, BorrowedFd};

/// How often a background job looks whether it is in the foreground again, in milliseconds: no signal says so.
const LOOK: i32 = 100;

/// What Ctrl-C sends.
const INTERRUPT_KEY: u8 = 3;

/// What there is to watch beside the child.
pub struct Watched {
    /// Pipes between the caller's streams and the container's.
    pub flows: Vec<Flow>,
    /// The master of the container's terminal.
    pub master: Option<OwnedFd>,
    /// Whether what the user types goes to the container's terminal.
    pub interactive: bool,
    /// Whether the user asked for that. A job that did not is an ordinary one, which may run in the background.
    pub explicit: bool,
    /// What PID 1 says of the command, if a shell may want to know.
    pub reports: Option<OwnedFd>,
}

/// How a container ended.
pub struct Ended {
    pub status: Status,
    /// Whether the user typed Ctrl-C and the command died of it, so that the shell has to know.
    pub interrupted: bool,
    /// What of the output could not be written.
    pub lost: Option<Error>,
}

/// Waits for the end of PID 1. All signals must be blocked.
pub fn watch(child: &Child, watched: Watched) -> Result<Ended> {
    if watched.flows.is_empty() && watched.master.is_none() && watched.reports.is_none() {
        return Ok(Ended { status: wait(child)?, interrupted: false, lost: None });
    }
    Watch::new(child, watched)?.run()
}

fn wait(child: &Child) -> Result<Status> {
    loop {
        match signal::wait_any()? {
            libc::SIGCHLD => {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
            }
            other => pass_on(child, other),
        }
    }
}

fn pass_on(child: &Child, signal: i32) {
    // These two are about our own streams (moby, cli/command/container/signals.go).
    if ![libc::SIGPIPE, libc::SIGURG].contains(&signal) {
        // It may have ended just now; its SIGCHLD is on the way.
        let _ = child.signal(signal);
    }
}

struct Watch<'a> {
    child: &'a Child,
    signals: SignalFd,
    flows: Vec<Flow>,
    /// To follow the size of the caller's window.
    master: Option<OwnedFd>,
    terminal: CallersTerminal,
    explicit: bool,
    has_terminal: bool,
    reports: Option<OwnedFd>,
    typed_interrupt: bool,
    killed_by: Option<u8>,
    hung_up: bool,
    lost: Option<Error>,
}

impl<'a> Watch<'a> {
    fn new(child: &'a Child, watched: Watched) -> Result<Watch<'a>> {
        let Watched { mut flows, master, interactive, explicit, reports } = watched;
        if let Some(master) = &master {
            fs::set_nonblocking(master.as_fd())?;
            let copy = || master.try_clone().map(End::Ours);
            flows.push(Flow::new(copy()?, End::Caller(1)).of_terminal());
            if interactive {
                flows.push(Flow::new(End::Caller(0), copy()?).of_terminal());
            }
        }
        let mut terminal = CallersTerminal::on_stdin(master.is_some() && interactive);
        terminal.enter();
        let watch = Watch {
            has_terminal: master.is_some(),
            child,
            signals: SignalFd::new()?,
            flows,
            master,
            terminal,
            explicit,
            reports,
            typed_interrupt: false,
            killed_by: None,
            hung_up: false,
            lost: None,
        };
        watch.follow_size();
        Ok(watch)
    }

    fn run(mut self) -> Result<Ended> {
        let status = loop {
            if let Some(status) = self.turn()? {
                break status;
            }
        };
        self.take_reports()?;
        self.drain()?;
        self.terminal.leave();
        let is_dockers = self.explicit && self.has_terminal;
        let interrupted = self.typed_interrupt && self.killed_by == Some(libc::SIGINT as u8) && !is_dockers;
        Ok(Ended { status, interrupted, lost: self.lost })
    }

    /// Waits until something is to be done, and does it; returns the status when PID 1 has ended.
    fn turn(&mut self) -> Result<Option<Status>> {
        let is_background = self.mind_the_foreground();
        let ready = self.poll(if is_background { LOOK } else { -1 })?;
        while let Some(signal) = self.signals.next() {
            if signal.number == libc::SIGCHLD {
                if let Some(status) = self.child.try_wait()? {
                    return Ok(Some(status));
                }
            } else {
                self.take(signal)?;
            }
        }
        self.take_reports()?;
        self.copy(&ready)?;
        Ok(None)
    }

    /// Leaves the keys to the job in the foreground while that is another one; returns whether it is, and keys are
    /// wanted here.
    fn mind_the_foreground(&mut self) -> bool {
        let Some(input) = self.flows.iter_mut().find(|flow| flow.is_input()) else { return false };
        let is_background = !self.terminal.is_in_foreground();
        let is_back = input.paused && !is_background;
        input.paused = is_background;
        if is_back {
            self.terminal.enter();
            self.follow_size();
        }
        is_background
    }

    /// Which of signals, reports and flows are ready, in this order.
    fn poll(&self, timeout: i32) -> Result<Vec<Readiness>> {
        let read = Readiness { read: true, write: false };
        let mut wanted: Vec<(BorrowedFd<'_>, Readiness)> = vec![(self.signals.as_fd(), read)];
        let nothing = (self.signals.as_fd(), Readiness::default());
        wanted.extend(self.flows.iter().map(|flow| flow.wants().unwrap_or(nothing)));
        wanted.extend(self.reports.as_ref().map(|reports| (reports.as_fd(), read)));
        let mut ready = poll::poll_all(&wanted, timeout)?;
        ready.remove(0);
        Ok(ready)
    }

    fn copy(&mut self, ready: &[Readiness]) -> Result<()> {
        for at in 0..self.flows.len() {
            if !ready.get(at).is_some_and(|ready| ready.read || ready.write) {
                continue;
            }
            if self.flows[at].caller_to_write_to().is_some_and(callers_terminal::forbids_output) {
                signal::stop_group(libc::SIGTTOU)?;
                self.go_on()?;
            }
            let flow = &mut self.flows[at];
            let is_input = flow.is_input();
            let is_key = is_input && flow.is_of_terminal;
            let mut interrupt = false;
            let event = flow.step(&mut |bytes| interrupt = is_key && bytes.contains(&INTERRUPT_KEY));
            self.typed_interrupt |= interrupt;
            let is_hang_up = match event {
                Some(Event::SourceEnded) => is_input && callers_terminal::is_hung_up(),
                Some(Event::HangUp) => true,
                Some(Event::Refused(error)) => {
                    self.lost = self.lost.take().or(Some(error));
                    false
                }
                None => false,
            };
            if is_hang_up {
                // It takes flows away, whose places `ready` still has.
                self.hang_up();
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, Signal { number, is_typed }: Signal) -> Result<()> {
        match number {
            libc::SIGWINCH if self.master.is_some() => self.follow_size(),
            libc::SIGCONT => self.go_on()?,
            // Somebody outside stops us; a container with a terminal of its own is no part of that.
            stop if jobs::is_stop(stop) && self.master.is_some() => self.stop()?,
            // The terminal may hang up more than once for us: by its other end, by the shell, by the shell's end.
            libc::SIGHUP if callers_terminal::is_hung_up() => self.hang_up(),
            other => {
                self.typed_interrupt |= other == libc::SIGINT && is_typed;
                pass_on(self.child, other);
            }
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Result<()> {
        while let Some(report) = self.reports.as_ref().and_then(jobs::next) {
            match report {
                Report::Stopped => self.stop()?,
                Report::Killed(signal) => self.killed_by = Some(signal),
                Report::None => self.reports = None,
            }
        }
        Ok(())
    }

    /// Stops this job, with the terminal as it was; returns when the shell continues it.
    fn stop(&mut self) -> Result<()> {
        self.terminal.leave();
        signal::stop_group(libc::SIGTSTP)?;
        self.go_on()
    }

    /// Continues the command, in the foreground with the terminal.
    fn go_on(&mut self) -> Result<()> {
        // Who asked for the terminal waits for it, as Docker's client does.
        let wants_terminal = self.explicit && !self.hung_up && self.flows.iter().any(Flow::is_input);
        while wants_terminal && !self.terminal.is_in_foreground() && signal::stop_group(libc::SIGTTIN)? {}
        // What was reported before does not hold any more.
        while let Some(report) = self.reports.as_ref().and_then(jobs::next) {
            match report {
                Report::Stopped => {}
                Report::Killed(signal) => self.killed_by = Some(signal),
                Report::None => self.reports = None,
            }
        }
        self.terminal.enter();
        self.follow_size();
        pass_on(self.child, libc::SIGCONT);
        Ok(())
    }

    /// The caller's terminal is gone, which the container learns once: by its own terminal's end, or by SIGHUP.
    fn hang_up(&mut self) {
        if std::mem::replace(&mut self.hung_up, true) {
            return;
        }
        if self.master.take().is_some() {
            // The kernel sends SIGHUP to PID 1, which leads the terminal's session, when the last master is closed.
            self.flows.retain(|flow| !flow.is_of_terminal);
        } else {
            pass_on(self.child, libc::SIGHUP);
            self.flows.iter_mut().filter(|flow| flow.is_input()).for_each(Flow::end_source);
        }
    }

    fn follow_size(&self) {
        if let Some(master) = &self.master
            && let Some(size) = tty::callers_window()
        {
            let _ = tty::set_window_size(master.as_fd(), size);
        }
    }

    /// Shows what was written before the end, until a signal says that nobody wants it.
    fn drain(&mut self) -> Result<()> {
        self.flows.retain(|flow| !flow.is_input());
        loop {
            let waiting = self.flows.iter_mut().map(Flow::fill).filter(|waits| *waits).count();
            if waiting == 0 {
                return Ok(());
            }
            let ready = self.poll(-1)?;
            while let Some(signal) = self.signals.next() {
                if [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&signal.number) {
                    return Ok(());
                }
            }
            self.copy(&ready)?;
        }
    }
}
