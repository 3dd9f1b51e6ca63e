//! Copying bytes between a descriptor of the caller and one of the container.

use crate::error::Error;
use crate::sys::fd::OwnedFd;
use crate::sys::poll::Readiness;
use crate::sys::{fs, tty};
use std::os::fd::{AsFd, BorrowedFd};

/// How much is read at a time.
const CHUNK: usize = 64 << 10;

/// How much is written at a time: a pipe or terminal that is ready takes this much without blocking (pipe(7)).
const MAX_WRITE: usize = 4096;

/// One side of a flow.
pub enum End {
    /// One of our own, set to non-blocking.
    Ours(OwnedFd),
    /// The caller's descriptor of that number, which others may share.
    Caller(usize),
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Ours(fd) => fd.as_fd(),
            End::Caller(number) => fs::standard_stream(*number),
        }
    }
}

/// An event in a step of a flow.
#[derive(Debug)]
pub enum Event {
    /// The source is at its end.
    SourceEnded,
    /// The caller's terminal has hung up.
    HangUp,
    /// Writing to the caller's descriptor failed: a broken pipe, a full disk.
    Refused(Error),
}

/// A copy in one direction. Each step reads once or writes once, and does not block if its descriptor is ready.
pub struct Flow {
    /// `None` at the end of the source.
    from: Option<End>,
    /// `None` when nothing can be written any more.
    to: Option<End>,
    /// The same terminal, opened once more as non-blocking, so that a write does not block while nobody reads it.
    nonblocking: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// How much of the buffer has been written.
    written: usize,
    max_write: usize,
    /// Whether to leave the source unread for now.
    pub paused: bool,
    /// Whether one side is the container's terminal.
    pub is_of_terminal: bool,
}

impl Flow {
    pub fn new(from: End, to: End) -> Flow {
        let is_file = || fs::fstat(to.as_fd()).is_ok_and(|stat| stat.kind() == libc::S_IFREG);
        let max_write = if matches!(to, End::Ours(_)) || is_file() { CHUNK } else { MAX_WRITE };
        let nonblocking = match to {
            End::Caller(number) if tty::isatty(to.as_fd()) => {
                let path = crate::sys::cstr(format!("/proc/self/fd/{number}")).ok();
                path.and_then(|path| fs::open(&path, libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).ok())
            }
            _ => None,
        };
        Flow {
            nonblocking,
            from: Some(from),
            to: Some(to),
            buffer: Vec::new(),
            written: 0,
            max_write,
            paused: false,
            is_of_terminal: false,
        }
    }

    /// Whether its source is the caller's stdin.
    pub fn is_input(&self) -> bool {
        matches!(self.from, Some(End::Caller(_)))
    }

    /// Whether its source is the container's terminal.
    pub fn is_output(&self) -> bool {
        self.is_of_terminal && !self.is_input()
    }

    /// The same, with the container's terminal on one side.
    pub fn of_terminal(self) -> Flow {
        Flow { is_of_terminal: true, ..self }
    }

    /// The caller's descriptor that the next step writes to.
    pub fn caller_to_write_to(&self) -> Option<BorrowedFd<'static>> {
        match self.to {
            Some(End::Caller(number)) if self.waits_to_write() => Some(fs::standard_stream(number)),
            _ => None,
        }
    }

    fn waits_to_write(&self) -> bool {
        self.written < self.buffer.len()
    }

    /// What to wait for before the next step. Nothing more is read until all bytes are written.
    pub fn wants(&self) -> Option<(BorrowedFd<'_>, Readiness)> {
        if self.waits_to_write() {
            return self.to.as_ref().map(|to| (to.as_fd(), Readiness::WRITE));
        }
        let from = self.from.as_ref().filter(|_| !self.paused);
        from.map(|from| (from.as_fd(), Readiness::READ))
    }

    /// Reads what is available, without blocking; returns whether anything has to be written.
    pub fn fill(&mut self) -> bool {
        if !self.waits_to_write() && !self.paused {
            self.read(&mut |_| ());
        }
        self.waits_to_write()
    }

    /// Reads or writes, as [`Flow::wants`] says. `look` is called with the bytes that were read, and may change them.
    pub fn step(&mut self, look: &mut dyn FnMut(&mut Vec<u8>)) -> Option<Event> {
        if self.waits_to_write() { self.write() } else { self.read(look) }
    }

    fn read(&mut self, look: &mut dyn FnMut(&mut Vec<u8>)) -> Option<Event> {
        let from = self.from.as_ref()?;
        self.written = 0;
        self.buffer.resize(CHUNK, 0);
        let read = fs::read(from.as_fd(), &mut self.buffer);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(1..) => {
                look(&mut self.buffer);
                if self.to.is_none() {
                    self.buffer.clear();
                }
                None
            }
            Err(error) if is_transient(&error) => None,
            // Another job has taken the terminal a moment ago.
            Err(error) if error.errno() == Some(libc::EIO) && self.is_input() && !tty::is_hung_up(from.as_fd()) => None,
            // EIO from a terminal means the end, as 0 does elsewhere.
            _ => {
                self.end_source();
                Some(Event::SourceEnded)
            }
        }
    }

    fn write(&mut self) -> Option<Event> {
        let to = self.to.as_ref()?;
        let pending = &self.buffer[self.written..];
        let to = self.nonblocking.as_ref().map_or(to.as_fd(), AsFd::as_fd);
        match fs::write(to, &pending[..pending.len().min(self.max_write)]) {
            Ok(size) => self.written += size,
            Err(error) if is_transient(&error) => {}
            Err(error) => return self.write_failed(error),
        }
        if self.from.is_none() && !self.waits_to_write() {
            self.to = None;
        }
        None
    }

    fn write_failed(&mut self, error: Error) -> Option<Event> {
        let is_ours = matches!(self.to, Some(End::Ours(_)));
        self.to = None;
        self.buffer.clear();
        self.written = 0;
        match error.errno() {
            // The command may go on writing after its terminal is gone, as under nohup(1).
            Some(libc::EIO) if !is_ours => Some(Event::HangUp),
            _ => {
                self.from = None;
                // A command that takes no more input is not a failure.
                (!is_ours).then_some(Event::Refused(error))
            }
        }
    }

    /// Stops reading. Closes the other end once everything that was read is written.
    pub fn end_source(&mut self) {
        self.from = None;
        if !self.waits_to_write() {
            self.to = None;
        }
    }
}

fn is_transient(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::EAGAIN | libc::EINTR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(ends: (OwnedFd, OwnedFd)) -> (OwnedFd, OwnedFd) {
        fs::set_nonblocking(ends.0.as_fd()).unwrap();
        fs::set_nonblocking(ends.1.as_fd()).unwrap();
        ends
    }

    #[test]
    fn every_byte_and_the_end_arrive() {
        let ((source, into), (out, sink)) = (ours(fs::pipe2(0).unwrap()), ours(fs::pipe2(0).unwrap()));
        let mut flow = Flow::new(End::Ours(source), End::Ours(sink));
        let mut got = Vec::new();
        let mut buffer = [0; 8192];
        for part in 0..200u8 {
            assert_eq!(fs::write(into.as_fd(), &[part; 1000]).unwrap(), 1000);
            flow.step(&mut |bytes| assert_eq!(*bytes, [part; 1000]));
            flow.step(&mut |_| ());
            let size = fs::read(out.as_fd(), &mut buffer).unwrap();
            got.extend_from_slice(&buffer[..size]);
        }
        assert_eq!(got, (0..200u8).flat_map(|part| [part; 1000]).collect::<Vec<_>>());
        drop(into);
        assert!(matches!(flow.step(&mut |_| ()), Some(Event::SourceEnded)));
        assert_eq!(fs::read(out.as_fd(), &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_full_pipe_delays_further_reads() {
        let ((source, into), (out, sink)) = (ours(fs::pipe2(0).unwrap()), ours(fs::pipe2(0).unwrap()));
        while fs::write(sink.as_fd(), &[b'.'; 4096]).is_ok() {}
        let mut flow = Flow::new(End::Ours(source), End::Ours(sink));
        fs::write(into.as_fd(), b"late").unwrap();
        flow.step(&mut |_| ());
        assert!(flow.step(&mut |_| ()).is_none());
        assert!(flow.wants().unwrap().1.write);
        let mut buffer = [0; 4096];
        while fs::read(out.as_fd(), &mut buffer).is_ok_and(|size| size == 4096) {}
        flow.step(&mut |_| ());
        assert_eq!(fs::read(out.as_fd(), &mut buffer).unwrap(), 4);
        assert!(flow.wants().unwrap().1.read);
    }
}
