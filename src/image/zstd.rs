//! Layers compressed with zstd, which the `zstd` program decompresses for us.

use super::retry::Failure;
use crate::error::{Error, Result};
use crate::sys::process::{self, find_program};
use crate::sys::{cred, fs, socket};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};

/// A stream may make the program use so much memory, and no more.
const MEMORY: &str = "--memory=128MB";

/// Where the program is; said before anything is downloaded.
pub fn program() -> Result<PathBuf> {
    find_program("zstd").ok_or_else(|| {
        Error::new("the image has layers compressed with zstd, and the program zstd is not on PATH")
            .hint("install it: apt-get install zstd, apk add zstd or dnf install zstd")
    })
}

/// The plain bytes of a stream that a process of its own feeds to the program.
pub struct Stream {
    feeder: process::Child,
    outcome: OwnedFd,
    zstd: std::process::Child,
    stdout: BufReader<ChildStdout>,
}

/// What the feeder sends at its end: nothing is all right.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const TRANSIENT: u8 = 2;

impl Stream {
    /// Forks a process that runs `feed`, which writes the compressed bytes.
    pub fn start(feed: impl FnOnce(&mut dyn Write) -> std::result::Result<(), Failure>) -> Result<Stream> {
        let zstd = program()?;
        let (reader, writer) = fs::pipe2(0)?;
        let (ours, theirs) = socket::socketpair()?;
        // The feeder comes first: it must not hold the reading end, or it would not see the program end.
        let mut reader = Some(reader);
        let feeder = process::fork(|| {
            drop(reader.take());
            let fed = cred::set_pdeathsig(libc::SIGKILL).map_err(Failure::from);
            let sent = match fed.and_then(|()| feed(&mut File::from(writer))) {
                Ok(()) => socket::send(theirs.as_fd(), &[DONE], &[]),
                Err(failure) => {
                    let tag = if failure.transient { TRANSIENT } else { FAILED };
                    socket::send(theirs.as_fd(), &[&[tag], &failure.error.to_bytes()[..]].concat(), &[])
                }
            };
            i32::from(sent.is_err())
        })?;
        drop(theirs);
        let reader = reader.ok_or_else(|| Error::new("the pipe is gone"))?;
        let mut command = Command::new(&zstd);
        let started = process::die_with_parent(&mut command)
            .args(["--decompress", "--stdout", "--quiet", MEMORY])
            .env_clear()
            .stdin(Stdio::from(reader))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|error| Error::io(format!("start {}", zstd.display()), &error))?;
        let stdout = child.stdout.take().ok_or_else(|| Error::new("zstd: no stdout"))?;
        Ok(Stream { feeder, outcome: ours, zstd: child, stdout: BufReader::with_capacity(128 << 10, stdout) })
    }

    /// Says what went wrong: first of all in the transfer, then in the program.
    pub fn finish(&mut self) -> std::result::Result<(), Failure> {
        // A program that still has something to say does not wait for us any more.
        let _ = io::copy(&mut self.stdout, &mut io::sink());
        let mut message = Vec::new();
        if let Some(stderr) = &mut self.zstd.stderr {
            let _ = stderr.take(4096).read_to_end(&mut message);
        }
        let status = self.zstd.wait().map_err(|error| Error::io("wait for zstd", &error))?;
        let mut buffer = vec![0; 64 << 10];
        let (length, _) = socket::receive(self.outcome.as_fd(), &mut buffer)?;
        self.feeder.wait()?;
        let failed = |tag, error: &[u8]| Failure {
            error: Error::from_bytes(error),
            transient: tag == TRANSIENT,
            retry_after: None,
        };
        let fed = match &buffer[..length] {
            [DONE] => Ok(()),
            [tag, error @ ..] => Err(failed(*tag, error)),
            [] => Err(Error::new("the process that feeds zstd ended early").into()),
        };
        let text = String::from_utf8_lossy(&message);
        match fed {
            // It could not write because the program had ended, which is the cause.
            Err(failure) if failure.error.errno() != Some(libc::EPIPE) => Err(failure),
            _ if !status.success() => {
                Err(Error::new(format!("zstd: {} ({status})", text.lines().next().unwrap_or("failed"))).into())
            }
            fed => fed,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stdout.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.stdout.consume(count);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Have no effect on what has been waited for.
        let _ = self.zstd.kill();
        let _ = self.zstd.wait();
        let _ = self.feeder.signal(libc::SIGKILL);
        let _ = self.feeder.wait();
    }
}
