//! Signals: sigprocmask(2), sigaction(2), sigwaitinfo(2), signalfd(2), kill(2).

pub mod names;

use super::returned;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

/// The first number that is no signal (`_NSIG`).
pub const COUNT: i32 = 65;

/// The signals by which users and shells ask a program to end.
pub const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

fn full_set() -> libc::sigset_t {
    // SAFETY: sigset_t is plain bits, and sigfillset writes all of them.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        set
    }
}

/// Blocks every signal that can be blocked, so that each is taken when we are ready for it.
pub fn block_all() -> Result<()> {
    // SAFETY: the set is initialised; the old mask is not asked for.
    let ret = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &full_set(), std::ptr::null_mut()) };
    returned(ret.into(), format_args!("rt_sigprocmask(SIG_BLOCK, ~[], NULL, 8)")).map(drop)
}

/// Unblocks every signal: a new program must not start with ours blocked. The kernel's own call, as libc
/// leaves out the signals that it uses itself.
pub fn unblock_all() -> Result<()> {
    let none: u64 = 0;
    let old = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel reads a set of 8 bytes; the old one is not asked for.
    let ret = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, old, 8) };
    returned(ret, format_args!("rt_sigprocmask(SIG_SETMASK, [], NULL, 8)")).map(drop)
}

/// Gives every signal its default action again: what is ignored stays ignored across execve(2), and
/// Rust's start-up ignores SIGPIPE, musl's posix_spawn the signals of its own. The kernel's own call, as
/// libc refuses those.
pub fn reset_all() {
    // struct kernel_sigaction: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0u64; 4];
    for signal in 1..COUNT {
        let old = std::ptr::null_mut::<u64>();
        // SAFETY: SIG_DFL installs no code. KILL and STOP answer EINVAL, which is right.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, old, 8) };
    }
}

/// The blocked signals that have come and wait: signal N is bit N - 1. The kernel's own call, as libc's set is opaque.
pub fn pending() -> u64 {
    let mut set: u64 = 0;
    // SAFETY: the kernel writes a set of 8 bytes.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, 8) };
    set
}

/// rt_sigtimedwait(2) with no time: takes a signal away that is blocked and pending, if it is.
pub fn forget(signal: i32) {
    // SAFETY: sigset_t is plain data, which sigemptyset sets up.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: all three live for the time of the calls; no information is asked for.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const no_time);
    }
}

/// Waits for the next of the blocked signals.
pub fn wait_any() -> Result<i32> {
    loop {
        // SAFETY: the set is initialised; siginfo is not asked for.
        let ret = unsafe { libc::sigwaitinfo(&full_set(), std::ptr::null_mut()) };
        match returned(ret.into(), format_args!("rt_sigtimedwait()")) {
            Err(error) if error.errno() == Some(libc::EINTR) => {}
            other => return other.map(|signal| signal as i32),
        }
    }
}

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    pub number: i32,
    /// Whether the kernel sent it (SI_KERNEL), as for a key that was typed, and not a process.
    pub is_typed: bool,
}

/// A descriptor from which blocked signals are read (signalfd(2)).
pub struct SignalFd(OwnedFd);

impl SignalFd {
    pub fn new() -> Result<SignalFd> {
        SignalFd::of(&full_set())
    }

    fn of(set: &libc::sigset_t) -> Result<SignalFd> {
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let ret = unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        let fd = returned(ret.into(), format_args!("signalfd4(-1, ~[], 8, SFD_CLOEXEC|SFD_NONBLOCK)"))?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// The number of the next signal, `None` when none is pending.
    pub fn read(&self) -> Option<i32> {
        self.next().map(|signal| signal.number)
    }

    /// The next signal, `None` when none is pending.
    pub fn next(&self) -> Option<Signal> {
        // SAFETY: signalfd_siginfo is plain integers, and the kernel writes whole ones only.
        unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = std::mem::size_of_val(&info);
            let read = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size);
            let signal = Signal { number: info.ssi_signo as i32, is_typed: info.ssi_code == libc::SI_KERNEL };
            (read == size as isize).then_some(signal)
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// As long as this lives, SIGINT and SIGTERM do not end us but can be read; what is started
/// meanwhile does not even notice them. One that was ignored before stays so.
pub struct Interrupts {
    fd: SignalFd,
    old: libc::sigset_t,
}

impl Interrupts {
    pub fn hold() -> Result<Interrupts> {
        let mut held = empty_set();
        for signal in [libc::SIGINT, libc::SIGTERM] {
            if !is_ignored(signal) {
                // SAFETY: the set is initialised and the number is a signal's.
                unsafe { libc::sigaddset(&mut held, signal) };
            }
        }
        let mut old = empty_set();
        // SAFETY: both sets are initialised.
        let ret = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &held, &mut old) };
        returned(ret.into(), format_args!("sigprocmask(SIG_BLOCK)"))?;
        Ok(Interrupts { fd: SignalFd::of(&held)?, old })
    }

    /// The one that has come, if any.
    pub fn read(&self) -> Option<i32> {
        self.fd.read()
    }
}

impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // SAFETY: the set is what the kernel gave; the present mask is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &self.old, std::ptr::null_mut()) };
    }
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: sigset_t is plain bits, and sigemptyset writes all of them.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: sigaction is plain data; only the present action is asked for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Lets `signal`, which is blocked, stop this process's whole group as if it came from the terminal, and returns when
/// that has been continued; returns whether it has. The kernel ignores a stop of a group that no shell could continue
/// (_exit(2), "orphaned").
pub fn stop_group(signal: i32) -> Result<bool> {
    kill(0, signal)?;
    let one = single_set(signal);
    // SAFETY: the set is initialised; the old mask is not asked for.
    let ret = unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &one, std::ptr::null_mut()) };
    returned(ret.into(), format_args!("sigprocmask(SIG_UNBLOCK, {signal})"))?;
    // SAFETY: as above.
    let ret = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &one, std::ptr::null_mut()) };
    returned(ret.into(), format_args!("sigprocmask(SIG_BLOCK, {signal})"))?;
    let mut pending = empty_set();
    // SAFETY: the kernel fills the set, which is ours.
    unsafe {
        libc::sigpending(&mut pending);
        Ok(libc::sigismember(&pending, libc::SIGCONT) == 1)
    }
}

/// Ends this process by `signal`, so that whoever waits for it sees that. Returns if the signal is ignored.
pub fn die_by(signal: i32) -> Result<()> {
    kill(super::process::getpid(), signal)?;
    // SAFETY: the set is initialised; the old mask is not asked for.
    let ret = unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &single_set(signal), std::ptr::null_mut()) };
    returned(ret.into(), format_args!("sigprocmask(SIG_UNBLOCK, {signal})")).map(drop)
}

fn single_set(signal: i32) -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is initialised; a number that is no signal's is refused.
    unsafe { libc::sigaddset(&mut set, signal) };
    set
}

/// kill(2). `pid` 0 means our own process group, -N the group that N leads, and -1 every process that we may
/// signal but ourselves.
pub fn kill(pid: libc::pid_t, signal: i32) -> Result<()> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::kill(pid, signal) }.into(), format_args!("kill({pid}, {signal})")).map(drop)
}

/// Whether a terminal stops jobs with this signal.
pub fn is_terminal_stop(number: i32) -> bool {
    [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&number)
}
