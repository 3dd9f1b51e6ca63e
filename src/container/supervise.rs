//! The supervisor's watch: signals in, exit status out, and the terminal between.

use crate::error::Result;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::{self, Child, Status};
use crate::sys::signal::{self, SignalFd};
use crate::sys::tty;
use std::fs::File;
use std::io::{Read, Stdin, Write, stdin};
use std::os::fd::{AsFd, OwnedFd};

/// Waits for the end of PID 1 and passes every signal on to it that can be passed on. All signals must
/// be blocked.
pub fn wait(child: &Child) -> Result<Status> {
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

/// The user's terminal in raw mode: every key goes through to the container. Dropped, it is as before.
struct RawMode {
    terminal: Stdin,
    before: Option<tty::Termios>,
}

impl RawMode {
    fn enter(terminal: Stdin) -> RawMode {
        let before = tty::tcgetattr(terminal.as_fd()).ok();
        if let Some(settings) = &before {
            let _ = tty::tcsetattr(terminal.as_fd(), &settings.raw());
        }
        RawMode { terminal, before }
    }

    fn leave(&self) {
        if let Some(settings) = &self.before {
            let _ = tty::tcsetattr(self.terminal.as_fd(), settings);
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.leave();
    }
}

/// As [`wait`], with the container's terminal behind the user's: `master` is copied to stdout and, if
/// `interactive`, stdin to `master`.
pub fn wait_with_terminal(child: &Child, master: OwnedFd, interactive: bool) -> Result<Status> {
    let signals = SignalFd::new()?;
    let mut raw = (interactive && tty::isatty(stdin().as_fd())).then(|| RawMode::enter(stdin()));
    let mut terminal = Copier::new(master, interactive)?;
    let status = loop {
        let ready = terminal.poll(&signals)?;
        let mut ended = None;
        while let Some(number) = signals.read() {
            match number {
                libc::SIGCHLD => ended = child.try_wait()?,
                libc::SIGWINCH => terminal.follow_size(),
                libc::SIGTSTP => {
                    // Somebody outside stops us: the shell must get its terminal back as it was.
                    drop(raw.take());
                    signal::kill(process::getpid(), libc::SIGSTOP)?;
                    raw = interactive.then(|| RawMode::enter(stdin()));
                    terminal.follow_size();
                }
                other => pass_on(child, other),
            }
            if ended.is_some() {
                break;
            }
        }
        if let Some(status) = ended {
            break status;
        }
        terminal.copy(&ready);
    };
    terminal.drain();
    Ok(status)
}

/// Copies between the user's terminal and the container's.
struct Copier {
    master: File,
    /// What the user typed that the container's terminal has not taken yet.
    typed: Vec<u8>,
    reads_input: bool,
    reads_output: bool,
}

impl Copier {
    fn new(master: OwnedFd, interactive: bool) -> Result<Copier> {
        crate::sys::fs::set_nonblocking(master.as_fd())?;
        let copier =
            Copier { master: File::from(master), typed: Vec::new(), reads_input: interactive, reads_output: true };
        copier.follow_size();
        Ok(copier)
    }

    fn follow_size(&self) {
        if let Ok(size) = tty::window_size(stdin().as_fd()) {
            let _ = tty::set_window_size(self.master.as_fd(), size);
        }
    }

    /// Waits until something is to be done. Typed keys that wait keep us from reading more of them.
    fn poll(&self, signals: &SignalFd) -> Result<Vec<Readiness>> {
        let stdin = stdin();
        let wants_input = self.reads_input && self.typed.is_empty();
        poll::poll_all(
            &[
                (signals.as_fd(), Readiness { read: true, write: false }),
                (self.master.as_fd(), Readiness { read: self.reads_output, write: !self.typed.is_empty() }),
                (stdin.as_fd(), Readiness { read: wants_input, write: false }),
            ],
            -1,
        )
    }

    fn copy(&mut self, ready: &[Readiness]) {
        let mut buffer = [0; 16 << 10];
        if ready[1].read {
            match self.master.read(&mut buffer) {
                Ok(size) if size > 0 => show(&buffer[..size]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Nobody inside has the terminal open any more.
                _ => self.reads_output = false,
            }
        }
        if ready[2].read {
            match crate::sys::fs::read(stdin().as_fd(), &mut buffer[..1024]) {
                Ok(size) if size > 0 => self.typed.extend(&buffer[..size]),
                _ => {
                    // The end of input, told to the container as a terminal tells it: Ctrl-D.
                    self.typed.push(4);
                    self.reads_input = false;
                }
            }
        }
        if !self.typed.is_empty() {
            match self.master.write(&self.typed) {
                Ok(size) => drop(self.typed.drain(..size)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Shows what was written before the end.
    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        while let Ok(size) = self.master.read(&mut buffer) {
            if size == 0 {
                break;
            }
            show(&buffer[..size]);
        }
    }
}

/// Writes to stdout; when that is gone there is nobody to show it to.
fn show(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
