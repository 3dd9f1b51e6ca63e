//! The other end of a seccomp filter: who is asked about a call, and answers (seccomp_unotify(2)).

use super::returned;
use super::shown::Fd;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use libc::{pid_t, pollfd, seccomp_data, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A system call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    pub id: u64,
    /// The calling thread, as our PID namespace numbers it.
    pub pid: pid_t,
    pub number: i64,
    /// AUDIT_ARCH_*: in whose numbers.
    pub arch: u32,
    pub arguments: [u64; 6],
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Value(i64),
    Errno(i32),
    /// The kernel makes the call as if nobody had been asked.
    Continue,
}

/// What has come while we waited.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    pub other: bool,
    pub call: bool,
    /// No process is left that the filter could ask about.
    pub gone: bool,
}

/// The descriptor that seccomp(2) gives for SECCOMP_FILTER_FLAG_NEW_LISTENER.
pub struct Listener(OwnedFd);

impl Listener {
    pub fn new(fd: OwnedFd) -> Listener {
        Listener(fd)
    }

    /// poll(2) until a call waits, or `other` can be read.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>) -> Result<Ready> {
        let polled = |fd| pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut both = [polled(other.map_or(-1, |fd| fd.as_raw_fd())), polled(self.0.as_raw_fd())];
        // SAFETY: the pointer and the length are of one live array.
        let ret = unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
        match returned(ret.into(), format_args!("poll()")) {
            Err(error) if error.errno() == Some(libc::EINTR) => Ok(Ready::default()),
            Err(error) => Err(error),
            Ok(_) => Ok(Ready {
                other: both[0].revents != 0,
                call: both[1].revents & libc::POLLIN != 0,
                gone: both[1].revents & libc::POLLHUP != 0,
            }),
        }
    }

    /// The next call. ENOENT: its caller was killed meanwhile.
    pub fn receive(&self) -> Result<Notification> {
        // The kernel wants it zeroed.
        let data = seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
        let mut notif = seccomp_notif { id: 0, pid: 0, flags: 0, data };
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV as u64, &raw mut notif as u64, "NOTIF_RECV")?;
        let seccomp_notif { id, pid, data, .. } = notif;
        let (number, arguments) = (data.nr.into(), data.args);
        Ok(Notification { id, pid: pid as pid_t, number, arch: data.arch, arguments })
    }

    /// Whether the caller still waits: its number has not become another's, what was read was its own memory.
    pub fn is_valid(&self, id: u64) -> bool {
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID as u64, &raw const id as u64, "NOTIF_ID_VALID").is_ok()
    }

    pub fn answer(&self, id: u64, answer: Answer) -> Result<()> {
        let (val, error, flags) = match answer {
            Answer::Value(value) => (value, 0, 0),
            Answer::Errno(errno) => (0, -errno, 0),
            Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        };
        let response = seccomp_notif_resp { id, val, error, flags };
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND as u64, &raw const response as u64, "NOTIF_SEND").map(drop)
    }

    /// Gives the caller a copy of `fd`; tells its number there. With `answers` the number is the answer too, in one
    /// step (Linux 5.14).
    pub fn add_fd(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool, answers: bool) -> Result<i64> {
        let add = seccomp_notif_addfd {
            id,
            flags: if answers { libc::SECCOMP_ADDFD_FLAG_SEND as u32 } else { 0 },
            srcfd: fd.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD as u64, &raw const add as u64, "NOTIF_ADDFD")
    }

    /// The caller and we take turns: each goes on where the other slept (Linux 6.6).
    pub fn set_sync_wakeup(&self) -> Result<()> {
        const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: u64 = 1;
        let (request, flags) = (libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as u64, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
        self.ioctl(request, flags, "NOTIF_SET_FLAGS, SYNC_WAKE_UP").map(drop)
    }

    fn ioctl(&self, request: u64, argument: u64, name: &str) -> Result<i64> {
        let fd = self.0.as_raw_fd();
        // SAFETY: each request above is called with the structure that it is for, or with an integer where it takes
        // one; the structures live through the call.
        let ret = unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) };
        returned(ret, format_args!("ioctl({}, SECCOMP_IOCTL_{name})", Fd(fd)))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
