//! System calls by their numbers, as an attacker makes them: also those that a
//! program of another kind (x32, i386) would make.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Value(i64),
    Errno(i32),
    /// The attempt did not come back.
    Signal(i32),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Answer::Value(_) => f.write_str("done"),
            Answer::Errno(errno) => f.write_str(&name(errno)),
            Answer::Signal(signal) => write!(f, "signal-{signal}"),
        }
    }
}

fn name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::EBADF, "EBADF"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::ENODEV, "ENODEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ELOOP, "ELOOP"),
        (libc::EUSERS, "EUSERS"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
    ];
    known.iter().find(|(number, _)| *number == errno).map_or(format!("errno-{errno}"), |(_, name)| (*name).to_owned())
}

pub fn of(error: &io::Error) -> Answer {
    Answer::Errno(error.raw_os_error().unwrap_or(0))
}

/// One system call. Pointers among `args` must be good for what the call does with them.
pub fn syscall(number: i64, args: [u64; 6]) -> Answer {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the callers here pass numbers, null, or pointers to values that live across the call and are as large
    // as the call takes them for; none lets the kernel write to memory that Rust knows of otherwise.
    let value = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if value == -1 { of(&io::Error::last_os_error()) } else { Answer::Value(value) }
}

/// A system call of i386, by the gate that 64-bit processes have as well. A kernel without it answers with SIGSEGV.
#[cfg(target_arch = "x86_64")]
pub fn i386(number: u32, args: [u32; 5]) -> Answer {
    let value: i64;
    // SAFETY: the same as above, with pointers that lie below 4 GiB; rbx, which the compiler keeps for itself, is put
    // back, and the registers that the gate may clear are given as lost.
    unsafe {
        std::arch::asm!(
            "xchg {first:r}, rbx",
            "int 0x80",
            "xchg {first:r}, rbx",
            first = inout(reg) u64::from(args[0]) => _,
            inout("rax") u64::from(number) => value,
            in("rcx") u64::from(args[1]),
            in("rdx") u64::from(args[2]),
            in("rsi") u64::from(args[3]),
            in("rdi") u64::from(args[4]),
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let value = value as i32;
    if (-4095..0).contains(&value) { Answer::Errno(-value) } else { Answer::Value(value.into()) }
}

/// Numbers where i386 can find them; they stay until the process ends.
#[cfg(target_arch = "x86_64")]
pub fn low_memory(values: &[u32]) -> u32 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    // SAFETY: a fresh mapping of a page, which is larger than the few values that are copied into it.
    unsafe {
        assert!(values.len() < 1000);
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        std::ptr::copy_nonoverlapping(values.as_ptr(), page.cast(), values.len());
        page as usize as u32
    }
}

/// Lets a child try it, so that nothing of it stays and nothing of it ends us.
pub fn apart(attempt: impl FnOnce() -> Answer) -> Answer {
    let mut pipe = [0; 2];
    // SAFETY: pipe2 fills two descriptors, which are owned from here on.
    let (ours, theirs) = unsafe {
        assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1]))
    };
    // SAFETY: this process has one thread, so that its copy is whole; the child ends by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", io::Error::last_os_error());
    if child == 0 {
        let answer = attempt();
        let words = match answer {
            Answer::Value(value) => [0, value],
            Answer::Errno(errno) => [1, errno.into()],
            Answer::Signal(signal) => [2, signal.into()],
        };
        // SAFETY: two words that live across the call; then the end.
        unsafe {
            libc::write(theirs.as_raw_fd(), words.as_ptr().cast(), 16);
            libc::_exit(0);
        }
    }
    drop(theirs);
    let mut words = [0i64; 2];
    let mut status = 0;
    // SAFETY: read fills at most the two words, waitpid one status; both live across the calls.
    let got = unsafe {
        let got = libc::read(ours.as_raw_fd(), words.as_mut_ptr().cast(), 16);
        libc::waitpid(child, &mut status, 0);
        got
    };
    match (got, words) {
        (16, [0, value]) => Answer::Value(value),
        (16, [1, errno]) => Answer::Errno(errno as i32),
        (16, [_, signal]) => Answer::Signal(signal as i32),
        _ => Answer::Signal(libc::WTERMSIG(status)),
    }
}

/// The address of a value, as an argument.
pub fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as usize as u64
}
