//! `--step`: a start that stops before each step and asks the user.
//!
//! *Who asks.* Three processes run the steps, and none of them can read the user's terminal: PID 1 leaves its session in
//! its first step, the supervisor blocks in the kernel while PID 1 works, and the terminal never enters a container. So
//! a fourth process, the *prompter*, is forked before the first step. It alone reads keys. It serves one process at a
//! time, each over its own socket pair, so that no answer reaches another process. At each step a process waits for its
//! turn, explains the step (`--explain` is implied), waits for the user's answer, and goes on, describes itself (`?`),
//! or fails, which ends the start like any other failure: nothing is left. The steps of the supervisor come first, then
//! PID 1's, then the command's, because each waits for a later one only in its last step. Only if a step takes long are
//! other processes served in between.
//!
//! *How the prompter ends.* When the start is over, the supervisor sends a message and waits until the prompter is gone:
//! no key may be read any more when the container's terminal is connected. If the start has failed, the process that the
//! user started sends it, and learns whether the user ended the start. If that process is killed, so is the prompter
//! (PR_SET_PDEATHSIG). The prompter's end raises no SIGCHLD, and an ordinary wait does not find it, so the container's
//! code never sees it. Under `-it` the supervisor is not its parent, and it stays a zombie until the client ends.
//!
//! *Keys and signals.* The terminal stays in its usual mode, where Enter sends a line, and keeps what is typed ahead.
//! Ctrl-C, Ctrl-D and a hang-up mean `q`, and so does a signal to ccrun that would end it. Ctrl-Z, or a question in the
//! background, stops the whole job with SIGSTOP, because ccrun has all other signals blocked.
//!
//! *What `?` prints.* Each process reads its own state ([`crate::container::view`]) at each stop, and prints what has
//! changed since the last one.
//!
//! *What the program sees.* Nothing: execve closes the sockets and the descriptor of /proc, and PID 1 closes all that it
//! does not need. The prompter closes the supervisor's other descriptors, so that it holds no lock while the user thinks.
//!
//! *The last steps of the command.* Limits do not affect an open socket. The filter matters: Docker's profile allows the
//! system calls of a question, but another profile may kill the process for one. So with another profile there is no stop
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
    /// To the prompter: for the supervisor, PID 1 and the command.
    channels: [OwnedFd; 3],
    /// The host's /proc, if it has one.
    proc: Option<OwnedFd>,
    prompter: pid_t,
    /// The step before which the user is not asked.
    left_out: Option<u8>,
}

static STEPPER: OnceLock<Stepper> = OnceLock::new();

/// Whether this process has ended the prompter.
static IS_OVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The state of this process at its last stop. A clone still has its parent's.
    static BEFORE: RefCell<Option<(Side, Facts)>> = const { RefCell::new(None) };
}

/// Fails if there is no terminal to ask on.
pub fn check(parsed: &Parsed) -> Result<()> {
    if parsed.is_on(FLAG) { terminal().map(drop) } else { Ok(()) }
}

/// The user's terminal: stdin, or the controlling terminal of this process.
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
    listen(on_event);
    explain::begin(parsed, true)?;
    let proc = procfs::open().ok().map(|proc| explain::duplicate(proc.as_fd())).transpose()?;
    let [one, two, three] = [socket::socketpair()?, socket::socketpair()?, socket::socketpair()?];
    let duplicated = |(ours, _): &(OwnedFd, OwnedFd)| explain::duplicate(ours.as_fd());
    let channels = [duplicated(&one)?, duplicated(&two)?, duplicated(&three)?];
    let prompters = [one.1, two.1, three.1];
    let caller = process::getpid();
    let prompter = process::fork_unwaited(move || {
        let mut kept = vec![terminal.as_fd()];
        kept.extend(prompters.iter().map(AsFd::as_fd).chain(explain::descriptor()));
        // The supervisor's locks must not be held here.
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

fn on_event(event: &Event) -> Result<()> {
    let Some(stepper) = STEPPER.get() else { return explain::on_event(event) };
    match event {
        Event::Begins { side, number, .. } => {
            stepper.stop(*side, number_of(*side, *number), || explain::on_event(event))
        }
        Event::Ended { side } => {
            explain::on_event(event)?;
            if *side == Side::Supervisor {
                stepper.end();
            }
            Ok(())
        }
    }
}

impl Stepper {
    /// Waits for this process's turn, then for the user's answer.
    fn stop(&self, side: Side, step: u8, explain: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.left_out == Some(step) {
            return explain();
        }
        let pid = self.proc.as_ref().and_then(|proc| own_pid(proc.as_fd())).unwrap_or(0);
        let channel = &self.channels[side as usize];
        send(channel, &[&[COMES, step], &pid.to_ne_bytes()[..]].concat())?;
        if answer(channel)? != GO_ON {
            return Err(Error::new("the user has ended the start"));
        }
        explain()?;
        let now = Facts::of(View::read(self.proc.as_ref().map(AsFd::as_fd)));
        let before = BEFORE.take().filter(|(of, _)| *of == side).map(|(_, facts)| facts);
        loop {
            send(channel, &[READY])?;
            match answer(channel)? {
                GO_ON => break,
                TELL => send_text(channel, &now.since(before.as_ref()))?,
                _ => return Err(Error::new("the user has ended the start")),
            }
        }
        if self.left_out.is_some_and(|left_out| left_out == step + 1) {
            send(channel, &[LEFT_OUT, step + 1])?;
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
        let quit = send(channel, &[ENDED]).and_then(|()| answer(channel)).ok();
        while quit.is_some() && answer(channel).is_ok() {}
        // Only its parent can wait for it.
        let _ = process::wait4(self.prompter, libc::__WALL);
        self.channels.iter().chain(&self.proc).for_each(process::close);
        quit
    }
}

fn send(channel: &OwnedFd, message: &[u8]) -> Result<()> {
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

fn send_text(channel: &OwnedFd, mut text: &str) -> Result<()> {
    while !text.is_empty() {
        let most = text.len().min(MOST_BYTES - 1);
        let end = (1..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        let (piece, rest) = text.split_at(end);
        send(channel, &[&[TELLS], piece.as_bytes()].concat())?;
        text = rest;
    }
    Ok(())
}
