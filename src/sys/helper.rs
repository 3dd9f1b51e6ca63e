//! A helper program: fork, execve(2), and what it says on stderr.

use super::fd::OwnedFd;
use super::process::{self, Child, Status};
use super::{cstr, fs, signal};
use crate::error::Result;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One that runs: without input and output, its stderr in a pipe.
pub struct Helper {
    child: Child,
    said: OwnedFd,
}

/// Of what it says nobody reads more.
const MOST_BYTES: usize = 64 << 10;

impl Helper {
    /// Starts `program` with this process's environment. That it cannot be executed shows as status 127.
    pub fn start(program: &Path, args: &[String]) -> Result<Helper> {
        let path = cstr(program)?;
        let words = std::iter::once(Ok(path.clone())).chain(args.iter().map(cstr));
        let (args, env) = (words.collect::<Result<Vec<CString>>>()?, environment());
        let null = fs::open(c"/dev/null", libc::O_RDWR, 0)?;
        let (said, theirs) = fs::pipe2(0)?;
        let child = process::fork(|| {
            let streams = [null.as_fd(), null.as_fd(), theirs.as_fd()];
            let connected = (0..).zip(streams).try_for_each(|(stream, fd)| process::dup2(fd, stream));
            signal::reset_all();
            let error = match connected.and_then(|()| signal::unblock_all()) {
                Ok(()) => process::execve(&path, &args, &env),
                Err(error) => error,
            };
            let _ = fs::write_all(theirs.as_fd(), error.to_string().as_bytes());
            127
        })?;
        Ok(Helper { child, said })
    }

    /// Waits for its end; returns how it ended and what it said.
    pub fn finish(self) -> Result<(Status, String)> {
        let said = fs::read_to_end(self.said.as_fd(), MOST_BYTES);
        // Whoever says more does not wait for a reader.
        drop(self.said);
        let status = self.child.wait()?;
        Ok((status, String::from_utf8_lossy(&said?).into_owned()))
    }
}

/// This process's variables, as execve(2) takes them.
fn environment() -> Vec<CString> {
    let entry = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    };
    std::env::vars_os().filter_map(entry).collect()
}
