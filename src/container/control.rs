//! The control socket of a container: by which others ask its supervisor.

use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, socket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// Its name in the container's directory.
const NAME: &str = "control";

/// More would have to wait.
const MOST_VISITORS: usize = 64;

/// The supervisor's end, and those who have come.
pub struct Control {
    listener: OwnedFd,
    pub visitors: Vec<Channel>,
}

impl Control {
    /// Listens in the container's directory `dir`, which only its owner may enter.
    pub fn listen(dir: &Path) -> Result<Control> {
        // One that was killed has left its own.
        let _ = fs::unlink(dir.join(NAME));
        let listener = through(dir, socket::listen)?;
        Ok(Control { listener, visitors: Vec::new() })
    }

    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Listens no more. Those who connect from here on learn it at once.
    pub fn close(self, dir: &Path) {
        let _ = fs::unlink(dir.join(NAME));
    }

    /// Lets in who knocks, if it is the container's owner or root.
    pub fn let_in(&mut self) -> Result<()> {
        let (visitor, uid) = socket::accept(self.listener.as_fd())?;
        let is_owner = uid == 0 || uid == cred::geteuid();
        if is_owner && self.visitors.len() < MOST_VISITORS {
            self.visitors.push(Channel::from(visitor));
        }
        Ok(())
    }

    /// Takes what the visitors ask for: signals for the container.
    pub fn serve(&mut self, signal: &mut dyn FnMut(i32)) {
        self.visitors.retain(|visitor| {
            loop {
                match visitor.next() {
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

/// Names the socket by a path that is short enough for one: through a descriptor of its directory (unix(7)).
fn through<T>(dir: &Path, act: impl Fn(&std::ffi::CStr) -> Result<T>) -> Result<T> {
    let said = |error: Error| error.context(format_args!("{}/{NAME}", dir.display()));
    let opened = fs::open(&crate::sys::cstr(dir)?, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    act(&crate::sys::cstr(format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd()))?).map_err(said)
}
