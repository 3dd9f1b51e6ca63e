//! The process that asks the user before each step, for the three that run them.

use super::question::{COMES, GO_ON, LEFT_OUT, MOST_BYTES, QUIT, READY, TELL, TELLS, is_last_of_side, place};
use crate::cli::container::explain;
use crate::cli::output;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::poll::poll;
use crate::sys::process::{self, pid_t};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{cred, fs, proc, socket, tty};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a step may take until another process's question comes before the next one of the same process.
const LONG: Duration = Duration::from_secs(4);

/// How often the caller's signals are looked for while a question waits, in milliseconds.
const LOOK: i32 = 300;

const HELP: &str = "\
--step: Enter goes on, ? shows what the kernel now says of that process, s opens a shell beside it (root only), \
q ends the start
";

/// A process that has come to a step.
struct Asker {
    channel: usize,
    pid: pid_t,
    /// The step's number among those of all three tables.
    step: u8,
}

struct Prompter {
    terminal: OwnedFd,
    channels: [OwnedFd; 3],
    signals: SignalFd,
    waiting: VecDeque<Asker>,
    /// The process whose turn it is, and whether the user has been asked.
    current: Option<(Asker, bool)>,
    /// The process that goes on to its next step, and until when the others wait for it.
    going: Option<(usize, Instant)>,
    line: Vec<u8>,
    /// The step before which the user has ended the start.
    quit: Option<u8>,
    wants_to_quit: bool,
    has_helped: bool,
    is_over: bool,
}

/// Runs the prompter; returns its exit status. `caller`: the process that the user started.
pub fn run(terminal: OwnedFd, channels: [OwnedFd; 3], caller: pid_t) -> i32 {
    let begun = cred::set_pdeathsig(libc::SIGKILL).and_then(|()| signal::block_all()).and_then(|()| SignalFd::new());
    let (Ok(signals), true) = (begun, process::getppid() == caller) else { return 0 };
    let (waiting, line) = (VecDeque::new(), Vec::new());
    let (current, going, quit) = (None, None, None);
    let mut prompter = Prompter {
        terminal,
        channels,
        signals,
        waiting,
        current,
        going,
        line,
        quit,
        wants_to_quit: false,
        has_helped: false,
        is_over: false,
    };
    // Its failure ends the start as well: the processes find their sockets closed.
    while !prompter.is_over && prompter.turn().is_ok() {}
    if let Some(step) = prompter.quit {
        let _ = socket::send(prompter.channels[0].as_fd(), &[step], &[]);
    }
    0
}

impl Prompter {
    /// Waits for messages, signals and keys, and acts on them.
    fn turn(&mut self) -> Result<()> {
        let timeout = self.take_next()?;
        let asks = matches!(self.current, Some((_, true)));
        let [one, two, three] = &self.channels;
        let mut wanted: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd(), one.as_fd(), two.as_fd(), three.as_fd()];
        if asks {
            wanted.push(self.terminal.as_fd());
        }
        let ready = poll(&wanted, if asks { LOOK } else { timeout })?;
        if asks && self.caller_must_end() {
            self.print("\n");
            return self.quit();
        }
        let is_ready = |at: usize| ready.get(at).is_some_and(|ready| *ready);
        while let Some(number) = self.signals.read() {
            self.on_signal(number)?;
        }
        for channel in (0..3).filter(|channel| is_ready(channel + 1)) {
            self.receive(channel)?;
        }
        if asks && is_ready(4) { self.read_key() } else { Ok(()) }
    }

    /// Whether a signal that would end the caller is pending. The caller has signals blocked until the command runs.
    fn caller_must_end(&self) -> bool {
        let status = fs::read_text(format!("/proc/{}/status", process::getppid())).unwrap_or_default();
        let pending = u64::from_str_radix(proc::value(&status, "ShdPnd").unwrap_or_default(), 16).unwrap_or(0);
        signal::ENDING.iter().any(|number| pending >> (number - 1) & 1 == 1)
    }

    /// Gives the next process its turn; returns the timeout for the next wait.
    fn take_next(&mut self) -> Result<i32> {
        if self.current.is_some() || self.waiting.is_empty() {
            return Ok(-1);
        }
        let ends = self.wants_to_quit || self.quit.is_some();
        if let Some((going, until)) = self.going.filter(|_| !ends) {
            let left = until.saturating_duration_since(Instant::now());
            match self.waiting.iter().position(|asker| asker.channel == going) {
                Some(at) => self.waiting.rotate_left(at),
                None if !left.is_zero() => return Ok(left.as_millis() as i32 + 1),
                None => self.going = None,
            }
        }
        if let Some(asker) = self.waiting.pop_front() {
            if ends {
                self.quit = self.quit.or(Some(asker.step));
            }
            self.answer(&asker, if ends { QUIT } else { GO_ON })?;
            self.current = (!ends).then_some((asker, false));
        }
        Ok(0)
    }

    fn answer(&self, asker: &Asker, answer: u8) -> Result<()> {
        socket::send(self.channels[asker.channel].as_fd(), &[answer], &[])
    }

    fn receive(&mut self, channel: usize) -> Result<()> {
        let mut buffer = vec![0; MOST_BYTES];
        let (size, _) = socket::receive(self.channels[channel].as_fd(), &mut buffer)?;
        match &buffer[..size] {
            [COMES, step, pid @ ..] => {
                let pid = pid.try_into().map(pid_t::from_ne_bytes).unwrap_or(0);
                self.waiting.push_back(Asker { channel, pid, step: *step });
            }
            [READY] => {
                explain::show_kept();
                if !std::mem::replace(&mut self.has_helped, true) {
                    self.print(HELP);
                }
                if let Some((_, asks)) = &mut self.current {
                    *asks = true;
                }
                self.prompt()?;
            }
            [TELLS, text @ ..] => self.print(&String::from_utf8_lossy(text)),
            [LEFT_OUT, step] => self.print(&format!(
                "{} comes without a question: the system call filter of --security-opt or the bundle may forbid it\n",
                place(*step)
            )),
            // ENDED, or the end of the socket: all processes of the start have ended.
            _ => self.is_over = true,
        }
        Ok(())
    }

    /// Prints the prompt. In the background it stops the whole job instead; SIGCONT brings us here again.
    fn prompt(&mut self) -> Result<()> {
        let Some((Asker { step, .. }, true)) = self.current else { return Ok(()) };
        if tty::is_foreground(self.terminal.as_fd()) == Some(false) {
            return if process::has_job_control() { signal::kill(0, libc::SIGSTOP) } else { self.quit() };
        }
        self.print(&format!("{}> ", place(step)));
        Ok(())
    }

    fn on_signal(&mut self, number: i32) -> Result<()> {
        match number {
            ending if signal::ENDING.contains(&ending) => {
                self.print("\n");
                self.wants_to_quit = true;
                self.quit()
            }
            // The caller has the signal blocked, but must stop, or the shell would wait for it.
            libc::SIGTSTP if process::has_job_control() => signal::kill(0, libc::SIGSTOP),
            libc::SIGCONT => self.prompt(),
            _ => Ok(()),
        }
    }

    /// Reads one byte: what is typed ahead is for the next question, or for the container.
    fn read_key(&mut self) -> Result<()> {
        let mut key = [0];
        match (fs::read(self.terminal.as_fd(), &mut key), key) {
            (Err(error), _) if [Some(libc::EINTR), Some(libc::EAGAIN)].contains(&error.errno()) => Ok(()),
            // Ctrl-D, or Ctrl-C where the terminal sends no signal for it, or the terminal is gone.
            (Ok(0) | Err(_), _) | (Ok(_), [3 | 4]) => {
                self.print("\n");
                self.quit()
            }
            (Ok(_), [b'\n' | b'\r']) => {
                let line = std::mem::take(&mut self.line);
                self.act(String::from_utf8_lossy(&line).trim())
            }
            (Ok(_), [byte]) => {
                self.line.push(byte);
                Ok(())
            }
        }
    }

    fn act(&mut self, line: &str) -> Result<()> {
        let Some((asker, asks)) = &mut self.current else { return Ok(()) };
        match line {
            "" => {
                let (channel, step) = (asker.channel, asker.step);
                socket::send(self.channels[channel].as_fd(), &[GO_ON], &[])?;
                self.current = None;
                self.going = (!is_last_of_side(step)).then(|| (channel, Instant::now() + LONG));
                Ok(())
            }
            "?" => {
                *asks = false;
                socket::send(self.channels[asker.channel].as_fd(), &[TELL], &[])
            }
            "q" => self.quit(),
            "s" => {
                let pid = asker.pid;
                self.open_shell(pid);
                self.prompt()
            }
            _ => {
                self.print(HELP);
                self.prompt()
            }
        }
    }

    /// Ends the start: every process that reaches a step gets this answer.
    fn quit(&mut self) -> Result<()> {
        let Some((asker, _)) = self.current.take() else { return Ok(()) };
        self.quit = self.quit.or(Some(asker.step));
        self.answer(&asker, QUIT)
    }

    /// Runs the host's shell in the root directory of the process `pid`.
    fn open_shell(&self, pid: pid_t) {
        if cred::geteuid() != 0 {
            return self.print("s is for root only: nobody else may enter /proc/PID/root of such a process\n");
        }
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
        let settings = tty::tcgetattr(self.terminal.as_fd());
        let streams = [(); 3].map(|()| self.terminal.try_clone());
        let status = match streams {
            [Ok(stdin), Ok(stdout), Ok(stderr)] => Command::new(&shell)
                .current_dir(format!("/proc/{pid}/root"))
                .stdin(stdin)
                .stdout(stdout)
                .stderr(stderr)
                .status(),
            _ => return self.print("s: too many open files\n"),
        };
        // An interactive shell takes the terminal for itself.
        let _ = tty::tcsetpgrp(self.terminal.as_fd(), process::getpgrp());
        if let Ok(settings) = settings {
            let _ = tty::tcsetattr(self.terminal.as_fd(), &settings);
        }
        if let Err(error) = status {
            self.print(&format!("s: {}: {error}\n", shell.display()));
        }
    }

    /// Prints to the terminal. If it is gone, the next read notices that.
    fn print(&self, text: &str) {
        let _ = fs::write_all(self.terminal.as_fd(), output::visible(text).as_bytes());
    }
}
