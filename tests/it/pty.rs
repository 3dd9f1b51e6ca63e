//! A terminal with a person at it.

use crate::sandbox::pause;
use crate::sys;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Pty {
    /// Our side, as a person's eyes and hands.
    ours: Option<File>,
    /// Kept open, so that the terminal can still be asked after the program has ended.
    theirs: OwnedFd,
    child: Child,
    seen: String,
}

impl Pty {
    /// Starts the command as the leader of a session on a new terminal of 24 × 80.
    pub fn spawn(mut command: Command) -> Pty {
        sys::with_controlling_terminal(&mut command);
        Pty::spawn_as_it_is(command)
    }

    /// Starts the command with its streams on a new terminal that does not control it: no key sends it a signal.
    pub fn spawn_without_control(mut command: Command) -> Pty {
        sys::in_new_session(&mut command);
        Pty::spawn_as_it_is(command)
    }

    fn spawn_as_it_is(mut command: Command) -> Pty {
        let (ours, theirs) = sys::openpty(24, 80).expect("openpty");
        let end = || Stdio::from(theirs.try_clone().expect("dup"));
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("spawn");
        Pty { ours: Some(ours.into()), theirs, child, seen: String::new() }
    }

    fn ours(&self) -> &File {
        self.ours.as_ref().expect("a terminal that has not hung up")
    }

    pub fn send(&mut self, keys: &str) {
        self.ours().write_all(keys.as_bytes()).expect("write to the terminal");
    }

    /// The person closes the window.
    pub fn hang_up(&mut self) {
        self.ours = None;
    }

    /// Reads on until `text` has come, and forgets all up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(Instant::now() < deadline, "never saw {text:?} on the terminal, but {:?}", self.seen);
            self.read();
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        let Some(mut ours) = self.ours.as_ref() else { return pause(5) };
        if sys::readable(ours.as_raw_fd(), 50)
            && let Ok(n) = ours.read(&mut buffer)
        {
            self.seen += &String::from_utf8_lossy(&buffer[..n]);
        }
    }

    pub fn resize(&self, rows: u16, cols: u16) {
        sys::set_window_size(self.ours().as_raw_fd(), rows, cols);
    }

    pub fn flags(&self) -> (u32, u32, u32, u32) {
        sys::terminal_flags(self.theirs.as_raw_fd())
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The exit status, 128 + N for a signal, and what was on the screen last.
    #[track_caller]
    pub fn wait(&mut self) -> (i32, String) {
        let status = self.wait_status();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        (code, std::mem::take(&mut self.seen))
    }

    /// How the program ended.
    #[track_caller]
    pub fn wait_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().expect("wait") {
                while self.ours.as_ref().is_some_and(|ours| sys::readable(ours.as_raw_fd(), 50)) {
                    self.read();
                }
                return status;
            }
            assert!(Instant::now() < deadline, "the program on the terminal did not end; seen: {:?}", self.seen);
            pause(5);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
