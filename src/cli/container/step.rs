//! `--step`: a start that stops before each step and asks the user.
//!
//! Who asks. Three processes run the steps, and none of them can read the user's terminal: PID 1 leaves its session in
//! its first step, the supervisor waits in the kernel while PID 1 works, and the terminal never enters a container. So
//! a fourth process, the *prompter*, is forked before the first step. It alone reads keys, and serves one process at
//! a time, each over a socket pair of its own, so that no answer reaches another. Who comes to a step waits for its
//! turn, explains the step (`--explain` is implied), waits for the user's answer, and goes on, tells about itself
//! (`?`), or fails, which ends the start like any other failure: nothing is left. The supervisor's steps come in one
//! piece, then PID 1's, then the command's: none of them waits for a later one's before its last step. Should a step
//! take long, others may be asked in between.
//!
//! How the prompter ends. The supervisor says when the start is over and waits until it has gone: no key is read any
//! more when the container's terminal begins. If the start has failed, the process that the user started says so, and
//! is told whether it was the user who ended it. Should that process be killed, the prompter is (PR_SET_PDEATHSIG). It
//! is a child whose end raises no SIGCHLD and that no ordinary wait finds, so that the container's code does not meet
//! it. Under `-it` the supervisor is not its parent, and nobody collects it before the client ends.
//!
//! Keys and signals. The terminal stays in its usual mode, where Enter sends a line; what is typed ahead stays in it.
//! Ctrl-C, Ctrl-D and a hang-up are `q`, and so is a signal to ccrun that would end it. Ctrl-Z, or a question in the
//! background, stops the whole job by SIGSTOP, because ccrun has all other signals blocked.
//!
//! What `?` tells is read by the process itself ([`crate::container::view`]). It is kept at each stop, to be compared
//! with the next one's.
//!
//! What the program sees of it. Nothing: the sockets and the descriptor of /proc are closed by execve, and PID 1 closes
//! all that it does not need when it lives. The prompter holds none of the supervisor's descriptors but those that it
//! uses, so that no lock waits for the user on its account.
//!
//! The last steps of the command. Its limits do not matter to a socket that is open. Its filter does: Docker's profile
//! allows what a question takes, but another one may answer a call with death. So with another one there is no stop
//! before "execve", the only step after the filter, and a line says so.

mod facts;
mod prompter;
mod question;

use super::explain;
use crate::cli::args::{Parsed, Switch, switch};
use crate::container::spec::{Seccomp, Security};
use crate::container::steps::{Event, Side, listen};
use crate::container::view::{View, own_pid};
use crate::error::{Error, Result};
use crate::isolation::procfs;
use crate::sys::fd::{self, OwnedFd};
use crate::sys::process::{self, pid_t};
use crate::sys::{fs, socket, tty};
use facts::Facts;
use question::{COMES, ENDED, GO_ON, LEFT_OUT, MOST_BYTES, READY, TELL, TELLS, number_of, place};
use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

pub const FLAG: Switch = switch(
    None,
    "step",
    "Stop before each step and ask: Enter goes on, ? shows the process, s opens a shell (root), q ends it (status 125)",
);

struct Stepper {
    /// To the prompter: the supervisor's, PID 1's and the command's.
    channels: [OwnedFd; 3],
    /// The host's /proc, if it has one.
    proc: Option<OwnedFd>,
    prompter: pid_t,
    /// The step before which the user cannot be asked.
    left_out: Option<u8>,
}

static STEPPER: OnceLock<Stepper> = OnceLock::new();

/// Whether this process has ended the prompter.
static IS_OVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// What this process was like at its last stop; a clone still has its parent's.
    static BEFORE: RefCell<Option<(Side, Facts)>> = const { RefCell::new(None) };
}

/// Whether the questions can be asked at all.
pub fn check(parsed: &Parsed) -> Result<()> {
    if parsed.is_on(FLAG) { terminal().map(drop) } else { Ok(()) }
}

/// The terminal that the user sits at: stdin, or the one that controls this process.
fn terminal() -> Result<OwnedFd> {
    let stdin = fs::standard_stream(0);
    let writable = fs::flags(stdin).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDWR);
    if tty::isatty(stdin) && writable {
        return fd::duplicate(stdin, 3);
    }
    fs::open(c"/dev/tty", libc::O_RDWR | libc::O_NOCTTY, 0)
        .map_err(|_| Error::new("--step needs a terminal").hint("stdin is none, and there is no /dev/tty"))
}

/// Begins `--step` or `--explain`, if the command line asks for it. `security` is the container's.
pub fn begin(parsed: &Parsed, security: &Security) -> Result<()> {
    if !parsed.is_on(FLAG) {
        return explain::begin(parsed, false);
    }
    let terminal = terminal()?;
    listen(hear);
    explain::begin(parsed, true)?;
    let proc = procfs::open().ok().map(|proc| explain::duplicate(proc.as_fd())).transpose()?;
    let [one, two, three] = [socket::socketpair()?, socket::socketpair()?, socket::socketpair()?];
    let far = |(ours, _): &(OwnedFd, OwnedFd)| explain::duplicate(ours.as_fd());
    let channels = [far(&one)?, far(&two)?, far(&three)?];
    let prompters = [one.1, two.1, three.1];
    let caller = process::getpid();
    let prompter = process::fork_unwaited(move || {
        let mut kept = vec![terminal.as_fd()];
        kept.extend(prompters.iter().map(AsFd::as_fd).chain(explain::descriptor()));
        // A lock that the supervisor has must not be held here.
        fd::close_all_but(&kept);
        prompter::run(terminal, prompters, caller)
    })?;
    let left_out = matches!(security.seccomp, Seccomp::Profile(_)).then(question::last);
    let _ = STEPPER.set(Stepper { channels, proc, prompter, left_out });
    Ok(())
}

/// Ends the questions and the explanation of a start that has failed; returns the error that the user gets.
pub fn failed(error: Error) -> Error {
    let error = match STEPPER.get().and_then(Stepper::end) {
        Some(step) => Error::new(format_args!("stopped before {}, as you asked", place(step))).with_status(125),
        None => error,
    };
    explain::failed(&error);
    error
}

fn hear(event: &Event) -> Result<()> {
    let Some(stepper) = STEPPER.get() else { return explain::hear_step(event) };
    match event {
        Event::Begins { side, number, .. } => {
            stepper.stop(*side, number_of(*side, *number), || explain::hear_step(event))
        }
        Event::Ended { side } => {
            explain::hear_step(event)?;
            if *side == Side::Supervisor {
                stepper.end();
            }
            Ok(())
        }
    }
}

impl Stepper {
    /// Waits for this process's turn, then for the user's word.
    fn stop(&self, side: Side, step: u8, explain: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.left_out == Some(step) {
            return explain();
        }
        let pid = self.proc.as_ref().and_then(|proc| own_pid(proc.as_fd())).unwrap_or(0);
        let channel = &self.channels[lane(side)];
        say(channel, &[&[COMES, step], &pid.to_ne_bytes()[..]].concat())?;
        if answer(channel)? != GO_ON {
            return Err(Error::new("the user has ended the start"));
        }
        explain()?;
        let now = Facts::of(View::read(self.proc.as_ref().map(AsFd::as_fd)));
        let before = BEFORE.take().filter(|(of, _)| *of == side).map(|(_, facts)| facts);
        loop {
            say(channel, &[READY])?;
            match answer(channel)? {
                GO_ON => break,
                TELL => tell(channel, &now.since(before.as_ref()))?,
                _ => return Err(Error::new("the user has ended the start")),
            }
        }
        if self.left_out.is_some_and(|left_out| left_out == step + 1) {
            say(channel, &[LEFT_OUT, step + 1])?;
        }
        BEFORE.set(Some((side, now)));
        Ok(())
    }

    /// Ends the prompter; returns the step before which the user has ended the start, if so.
    fn end(&self) -> Option<u8> {
        if IS_OVER.swap(true, Ordering::Relaxed) {
            return None;
        }
        let channel = &self.channels[0];
        let quit = say(channel, &[ENDED]).and_then(|()| answer(channel)).ok();
        while quit.is_some() && answer(channel).is_ok() {}
        // Only its parent can.
        let _ = process::wait4(self.prompter, libc::__WALL);
        self.channels.iter().chain(&self.proc).for_each(process::close);
        quit
    }
}

fn lane(side: Side) -> usize {
    match side {
        Side::Supervisor => 0,
        Side::Init => 1,
        Side::Command => 2,
    }
}

fn say(channel: &OwnedFd, message: &[u8]) -> Result<()> {
    socket::send(channel.as_fd(), message, &[]).map_err(|_| gone())
}

fn answer(channel: &OwnedFd) -> Result<u8> {
    let mut answer = [0];
    match socket::receive(channel.as_fd(), &mut answer)? {
        (1, _) => Ok(answer[0]),
        _ => Err(gone()),
    }
}

fn gone() -> Error {
    Error::new("the process that asks before each step has ended")
}

fn tell(channel: &OwnedFd, mut text: &str) -> Result<()> {
    while !text.is_empty() {
        let most = text.len().min(MOST_BYTES - 1);
        let end = (1..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        let (piece, rest) = text.split_at(end);
        say(channel, &[&[TELLS], piece.as_bytes()].concat())?;
        text = rest;
    }
    Ok(())
}
