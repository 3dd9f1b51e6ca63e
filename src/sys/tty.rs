//! Terminals: termios(3), ioctl_tty(2), pty(7).

use super::shown::Fd;
use super::{answered, returned};
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

/// The settings of a terminal, to be put back later.
#[derive(Clone)]
pub struct Termios(libc::termios);

/// Rows, columns and pixels of a terminal.
#[derive(Clone, Copy)]
pub struct WindowSize(libc::winsize);

/// isatty(3): not what musl asks (TIOCGWINSZ), and true of a terminal that has hung up, whose answer is EIO.
pub fn isatty(fd: BorrowedFd<'_>) -> bool {
    matches!(terminal_errno(fd), None | Some(libc::EIO))
}

/// Whether the terminal has hung up: every call on it answers EIO from then on.
pub fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    terminal_errno(fd) == Some(libc::EIO)
}

/// What ioctl(TCGETS) answers, without an error being made of it.
fn terminal_errno(fd: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: termios is plain data, which the call fills in.
    let ret = unsafe { libc::tcgetattr(fd.as_raw_fd(), &mut std::mem::zeroed()) };
    answered(ret.into(), format_args!("ioctl({}, TCGETS)", Fd(fd.as_raw_fd()))).err()
}

/// Whether this process has a controlling terminal (tty(4)).
pub fn has_controlling() -> bool {
    super::fs::open(c"/dev/tty", libc::O_RDWR | libc::O_NOCTTY, 0).is_ok()
}

/// tcgetpgrp(3): the foreground process group. ENOTTY: `fd` is not this process's controlling terminal.
fn tcgetpgrp(fd: BorrowedFd<'_>) -> Result<libc::pid_t> {
    // SAFETY: no memory is passed.
    let ret = unsafe { libc::tcgetpgrp(fd.as_raw_fd()) };
    returned(ret.into(), format_args!("ioctl({}, TIOCGPGRP)", Fd(fd.as_raw_fd()))).map(|group| group as libc::pid_t)
}

/// Whether this process belongs to the terminal's foreground job; `None` for what is not its controlling terminal.
pub fn is_foreground(fd: BorrowedFd<'_>) -> Option<bool> {
    tcgetpgrp(fd).ok().map(|group| group == super::process::getpgrp())
}

/// tcsetpgrp(3). From a background process SIGTTOU must be blocked.
pub fn tcsetpgrp(fd: BorrowedFd<'_>, group: libc::pid_t) -> Result<()> {
    // SAFETY: no memory is passed.
    let ret = unsafe { libc::tcsetpgrp(fd.as_raw_fd(), group) };
    returned(ret.into(), format_args!("ioctl({}, TIOCSPGRP, [{group}])", Fd(fd.as_raw_fd()))).map(drop)
}

pub fn tcgetattr(fd: BorrowedFd<'_>) -> Result<Termios> {
    // SAFETY: termios is plain data, which tcgetattr fills in.
    let mut termios = unsafe { std::mem::zeroed() };
    // SAFETY: `termios` is ours to write.
    let ret = unsafe { libc::tcgetattr(fd.as_raw_fd(), &mut termios) };
    returned(ret.into(), format_args!("ioctl({}, TCGETS)", Fd(fd.as_raw_fd()))).map(|_| Termios(termios))
}

pub fn tcsetattr(fd: BorrowedFd<'_>, termios: &Termios) -> Result<()> {
    // SAFETY: the settings are only read.
    let ret = unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSANOW, &termios.0) };
    returned(ret.into(), format_args!("ioctl({}, TCSETS)", Fd(fd.as_raw_fd()))).map(drop)
}

impl Termios {
    /// cfmakeraw(3): every byte goes through as it is, none is acted on.
    pub fn raw(&self) -> Termios {
        let mut raw = self.clone();
        // SAFETY: changes the plain data of `raw` only.
        unsafe { libc::cfmakeraw(&mut raw.0) };
        raw
    }

    /// Whether a background process that writes is stopped (`stty tostop`).
    pub fn stops_background_output(&self) -> bool {
        self.0.c_lflag & libc::TOSTOP != 0
    }

    /// What is typed is not shown.
    pub fn without_echo(&self) -> Termios {
        let mut silent = self.clone();
        silent.0.c_lflag &= !libc::ECHO;
        silent
    }
}

/// ioctl(TIOCGWINSZ).
pub fn window_size(fd: BorrowedFd<'_>) -> Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
    returned(ret.into(), format_args!("ioctl({}, TIOCGWINSZ)", Fd(fd.as_raw_fd()))).map(|_| WindowSize(size))
}

/// The size of the first terminal among our own streams.
pub fn callers_window() -> Option<WindowSize> {
    (0..3).map(super::fs::standard_stream).find(|stream| isatty(*stream)).and_then(|stream| window_size(stream).ok())
}

/// ioctl(TIOCSWINSZ).
pub fn set_window_size(fd: BorrowedFd<'_>, size: WindowSize) -> Result<()> {
    // SAFETY: TIOCSWINSZ reads one winsize.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size.0) };
    returned(ret.into(), format_args!("ioctl({}, TIOCSWINSZ)", Fd(fd.as_raw_fd()))).map(drop)
}

impl WindowSize {
    /// Rows and columns, and how many dots they are wide and high.
    pub fn to_words(self) -> [u16; 4] {
        [self.0.ws_row, self.0.ws_col, self.0.ws_xpixel, self.0.ws_ypixel]
    }

    pub fn of_words([ws_row, ws_col, ws_xpixel, ws_ypixel]: [u16; 4]) -> WindowSize {
        WindowSize(libc::winsize { ws_row, ws_col, ws_xpixel, ws_ypixel })
    }

    pub fn columns(self) -> u16 {
        self.0.ws_col
    }

    pub fn rows(self) -> u16 {
        self.0.ws_row
    }
}

/// The other end of the pty whose ptmx is `master`: unlocked, then opened by TIOCGPTPEER (Linux 4.13)
/// and not by its name, which another file system could lie under.
pub fn open_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked) };
    returned(ret.into(), format_args!("ioctl({}, TIOCSPTLCK)", Fd(master.as_raw_fd())))?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags by value.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) };
    let fd = returned(ret.into(), format_args!("ioctl({}, TIOCGPTPEER)", Fd(master.as_raw_fd())))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// ioctl(TIOCSCTTY): `fd` becomes the controlling terminal of our session.
pub fn set_controlling(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes an int by value; 0 steals it from nobody.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    returned(ret.into(), format_args!("ioctl({}, TIOCSCTTY)", Fd(fd.as_raw_fd()))).map(drop)
}
