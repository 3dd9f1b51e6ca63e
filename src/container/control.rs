//! A container's control socket, on which other commands send messages to its supervisor.

use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, socket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// Its name in the container's directory.
const NAME: &str = "control";

/// Further connections are closed at once.
const MAX_CONNECTIONS: usize = 64;

/// The supervisor's end of the socket, and the connections that it has accepted.
pub struct Control {
    listener: OwnedFd,
    pub connections: Vec<Channel>,
}

impl Control {
    /// Listens in the container's directory `dir`, which only its owner may enter.
    pub fn listen(dir: &Path) -> Result<Control> {
        // A supervisor that was killed leaves its socket behind.
        let _ = fs::unlink(dir.join(NAME));
        let listener = through(dir, socket::listen)?;
        Ok(Control { listener, connections: Vec::new() })
    }

    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Removes the socket. Later connections fail at once.
    pub fn close(self, dir: &Path) {
        let _ = fs::unlink(dir.join(NAME));
    }

    /// Accepts a connection, if it is from the container's owner or root.
    pub fn accept(&mut self) -> Result<()> {
        let (connection, uid) = socket::accept(self.listener.as_fd())?;
        let is_owner = uid == 0 || uid == cred::geteuid();
        if is_owner && self.connections.len() < MAX_CONNECTIONS {
            self.connections.push(Channel::from(connection));
        }
        Ok(())
    }

    /// Handles messages from the connections: passes the signals to `signal`.
    pub fn handle(&mut self, signal: &mut dyn FnMut(i32)) {
        self.connections.retain(|connection| {
            loop {
                match connection.next() {
                    Ok(Some(Next::Message(Message::Signal(number)))) => signal(number),
                    Ok(Some(Next::Message(_)) | None) => return true,
                    Ok(Some(Next::Gone)) | Err(_) => return false,
                }
            }
        });
    }
}

/// A channel to the supervisor of the container whose directory is `dir`.
pub fn connect(dir: &Path) -> Result<Channel> {
    through(dir, socket::connect).map(Channel::from)
}

/// Calls `act` with a path of the socket that is short enough for a socket address: through a descriptor of its
/// directory (unix(7)).
fn through<T>(dir: &Path, act: impl Fn(&std::ffi::CStr) -> Result<T>) -> Result<T> {
    let in_context = |error: Error| error.context(format_args!("{}/{NAME}", dir.display()));
    let opened = fs::open(&crate::sys::cstr(dir)?, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    act(&crate::sys::cstr(format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd()))?).map_err(in_context)
}
