//! Waiting for descriptors: poll(2).

use super::returned;
use super::shown::Fd;
use crate::error::Result;
use std::fmt::{self, Display, Formatter};
use std::os::fd::{AsRawFd, BorrowedFd};

/// What can be done with a descriptor, or what is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// It can be read, or the other side has hung up.
    pub read: bool,
    pub write: bool,
}

impl Readiness {
    pub const READ: Readiness = Readiness { read: true, write: false };
    pub const WRITE: Readiness = Readiness { read: false, write: true };
}

/// poll(2) until one of `fds` can be read or has hung up; tells for each whether it is one. `timeout` in
/// milliseconds, -1 for none. An interruption by a signal counts as nothing ready.
pub fn poll(fds: &[BorrowedFd<'_>], timeout: i32) -> Result<Vec<bool>> {
    let wanted: Vec<_> = fds.iter().map(|fd| (*fd, Readiness::READ)).collect();
    Ok(poll_all(&wanted, timeout)?.into_iter().map(|ready| ready.read).collect())
}

/// As [`poll`], for reading and writing; a descriptor for which nothing is waited is left out.
pub fn poll_all(fds: &[(BorrowedFd<'_>, Readiness)], timeout: i32) -> Result<Vec<Readiness>> {
    let polled = |(fd, wanted): &(BorrowedFd<'_>, Readiness)| {
        let events = if wanted.read { libc::POLLIN } else { 0 } | if wanted.write { libc::POLLOUT } else { 0 };
        // A negative number is passed over: a hang-up would be reported even if nothing is waited for.
        libc::pollfd { fd: if events == 0 { -1 } else { fd.as_raw_fd() }, events, revents: 0 }
    };
    let mut polled: Vec<libc::pollfd> = fds.iter().map(polled).collect();
    // SAFETY: the pointer and the length are of one live array.
    let ret = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    match returned(ret.into(), format_args!("poll([{}], {}, {timeout})", Polled(fds), fds.len())) {
        Err(error) if error.errno() != Some(libc::EINTR) => Err(error),
        Err(_) => Ok(vec![Readiness::default(); fds.len()]),
        Ok(_) => Ok(polled
            .iter()
            .map(|p| Readiness { read: p.revents & !libc::POLLOUT != 0, write: p.revents & libc::POLLOUT != 0 })
            .collect()),
    }
}

/// What is waited for, as strace(1) shows it.
struct Polled<'a>(&'a [(BorrowedFd<'a>, Readiness)]);

impl Display for Polled<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, (fd, wanted)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let events = match (wanted.read, wanted.write) {
                (true, true) => "POLLIN|POLLOUT",
                (true, false) => "POLLIN",
                (false, true) => "POLLOUT",
                (false, false) => "0",
            };
            write!(f, "{separator}{{fd={}, events={events}}}", Fd(fd.as_raw_fd()))?;
        }
        Ok(())
    }
}
