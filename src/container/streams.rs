//! The command's stdin, stdout and stderr.
//!
//! The caller's terminal never enters a container: a process that has it open could read the keys for the caller's shell,
//! or leave it in raw mode. Where one of the caller's streams cannot be passed on, the command gets a pipe, and
//! the supervisor copies.

use super::flow::{End, Flow};
use super::spec::Stream;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, process};
use libc::O_RDWR;
use std::os::fd::{AsFd, BorrowedFd};

/// statfs(2), f_type of a pipe that has no name in any directory.
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// The mode that lets everybody who can reach such a pipe use it.
const FOR_ALL: u32 = 0o666;

/// Both sides of the streams of one container.
pub struct Streams {
    /// The command's descriptors 0, 1 and 2, where they are not the caller's own.
    theirs: [Option<OwnedFd>; 3],
    flows: Vec<Flow>,
}

impl Streams {
    /// Makes the pipes that `wanted` asks for.
    pub fn make(wanted: &[Stream; 3]) -> Result<Streams> {
        let mut streams = Streams { theirs: [None, None, None], flows: Vec::new() };
        for (number, stream) in wanted.iter().enumerate() {
            match stream {
                Stream::Null => streams.theirs[number] = Some(fs::open(c"/dev/null", O_RDWR, 0)?),
                Stream::Inherit => share_pipe(fs::standard_stream(number))?,
                Stream::Terminal => {}
                Stream::Pipe => streams.make_pipe(number, wanted)?,
            }
        }
        Ok(streams)
    }

    fn make_pipe(&mut self, number: usize, wanted: &[Stream; 3]) -> Result<()> {
        // One pipe for both streams keeps the order of their lines.
        if number == 2 && wanted[1] == Stream::Pipe && is_same(fs::standard_stream(1), fs::standard_stream(2))? {
            self.theirs[2] = self.theirs[1].as_ref().map(OwnedFd::try_clone).transpose()?;
            return Ok(());
        }
        let (read, write) = fs::pipe2(0)?;
        let (ours, theirs) = if number == 0 { (write, read) } else { (read, write) };
        // Only the command's end can be opened again, as /dev/stdout.
        fs::fchmod(theirs.as_fd(), FOR_ALL)?;
        fs::set_nonblocking(ours.as_fd())?;
        self.theirs[number] = Some(theirs);
        self.flows.push(match number {
            0 => Flow::new(End::Caller(0), End::Ours(ours)),
            _ => Flow::new(End::Ours(ours), End::Caller(number)),
        });
        Ok(())
    }

    /// Connects this process, which becomes the command: `terminal` is the container's, if it has one.
    pub fn connect(&self, wanted: &[Stream; 3], terminal: Option<BorrowedFd<'_>>) -> Result<()> {
        for (number, (stream, theirs)) in wanted.iter().zip(&self.theirs).enumerate() {
            let fd = if *stream == Stream::Terminal { terminal } else { theirs.as_ref().map(AsFd::as_fd) };
            if let Some(fd) = fd {
                process::dup2(fd, number as i32)?;
            }
        }
        Ok(())
    }

    /// Closes the container's ends.
    pub fn close_theirs(&mut self) {
        self.theirs = [None, None, None];
    }

    /// The supervisor's ends.
    pub fn into_flows(self) -> Vec<Flow> {
        self.flows
    }
}

/// Lets the container's ids open the caller's own pipe by its name in /proc, as /dev/stdout does. Only processes that
/// have an unnamed pipe open can reach it, so its mode protects nothing.
fn share_pipe(stream: BorrowedFd<'_>) -> Result<()> {
    let stat = fs::fstat(stream)?;
    if stat.kind() == libc::S_IFIFO
        && stat.mode & FOR_ALL != FOR_ALL
        && stat.uid == cred::geteuid()
        && is_unnamed_pipe(stream)?
    {
        fs::fchmod(stream, FOR_ALL)?;
    }
    Ok(())
}

/// Whether `stream`, a FIFO, was made by pipe(2) and not by mkfifo(3).
pub fn is_unnamed_pipe(stream: BorrowedFd<'_>) -> Result<bool> {
    Ok(fs::fstatfs(stream)?.kind == PIPEFS_MAGIC)
}

fn is_same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<bool> {
    let (a, b) = (fs::fstat(a)?, fs::fstat(b)?);
    Ok((a.dev, a.ino) == (b.dev, b.ino))
}
