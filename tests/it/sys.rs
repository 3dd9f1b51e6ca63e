//! The few system calls that std has no words for. The only `unsafe` of the tests.

pub mod raw;
pub mod seccomp;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn check(ret: libc::c_int) -> io::Result<libc::c_int> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

fn cstr(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL")
}

pub fn uid() -> u32 {
    // SAFETY: takes and returns plain numbers, and cannot fail.
    unsafe { libc::geteuid() }
}

pub fn real_uid() -> u32 {
    // SAFETY: getuid has no arguments and cannot fail.
    unsafe { libc::getuid() }
}

pub fn gid() -> u32 {
    // SAFETY: takes and returns plain numbers, and cannot fail.
    unsafe { libc::getegid() }
}

pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes plain numbers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Orphaned descendants become our children, so that none of them can hide from us.
pub fn become_subreaper() {
    // SAFETY: takes plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }).expect("prctl(PR_SET_CHILD_SUBREAPER)");
}

/// What Ctrl-C and its like do by default, whoever started the tests (a shell starts its
/// background jobs without them).
pub fn default_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: no handler of ours is installed; the default needs no function.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Collects one dead child, if there is one.
pub fn reap() -> bool {
    // SAFETY: a null status pointer is allowed, the other arguments are plain numbers.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 }
}

/// A mount and a network namespace of our own, with the loopback interface up.
pub fn unshare_mounts_and_network() -> io::Result<()> {
    // SAFETY: takes plain numbers; the caller is single-threaded, and it is its own namespaces that change.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET) })?;
    mount("none", Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)?;
    // SAFETY: takes plain numbers; the descriptor is owned from here on.
    let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0))?) };
    // SAFETY: an all-zero ifreq is a valid one.
    let mut lo: libc::ifreq = unsafe { std::mem::zeroed() };
    lo.ifr_name[0] = b'l' as libc::c_char;
    lo.ifr_name[1] = b'o' as libc::c_char;
    lo.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `lo` is a whole ifreq that lives across the call, which is what SIOCSIFFLAGS reads.
    check(unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), libc::SIOCSIFFLAGS as _, &lo) }).map(drop)
}

pub fn mount(source: &str, target: &Path, flags: libc::c_ulong) -> io::Result<()> {
    let source = CString::new(source).expect("a source without NUL");
    let target = cstr(target);
    // SAFETY: both strings live across the call; null type and data are allowed with these flags.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), std::ptr::null(), flags, std::ptr::null()) }).map(drop)
}

/// A mount namespace of our own, whose mounts nobody else sees.
pub fn private_mounts() -> io::Result<()> {
    // SAFETY: takes a plain number; other threads keep the namespace that they have.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount("none", Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)
}

/// `options` are tmpfs(5)'s: `size=8m,nr_inodes=100`.
pub fn mount_tmpfs(target: &Path, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let (target, options) = (cstr(target), CString::new(options).expect("options without NUL"));
    let kind = c"tmpfs".as_ptr();
    // SAFETY: all strings live across the call.
    check(unsafe { libc::mount(kind, target.as_ptr(), kind, flags, options.as_ptr().cast()) }).map(drop)
}

pub fn unmount(target: &Path) -> io::Result<()> {
    // SAFETY: the string lives across the call.
    check(unsafe { libc::umount(cstr(target).as_ptr()) }).map(drop)
}

/// Becomes an ordinary user for good.
/// Exchanges two names in one step.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let (one, other) = (cstr(one), cstr(other));
    let at = libc::AT_FDCWD;
    // SAFETY: both paths end with NUL and are only read.
    let done =
        unsafe { libc::syscall(libc::SYS_renameat2, at, one.as_ptr(), at, other.as_ptr(), libc::RENAME_EXCHANGE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether we may have an ICMP echo socket.
pub fn can_ping() -> bool {
    // SAFETY: no memory is involved; the descriptor is closed again.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP);
        fd >= 0 && libc::close(fd) == 0
    }
}

pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: an empty list of groups needs no pointer; the rest are plain numbers.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))?;
        // A change of user makes a process undumpable, which would hide its own /proc files from it.
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1)).map(drop)
    }
}

/// A new pseudo-terminal: our side and the program's.
pub fn openpty(rows: u16, cols: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the out-parameters live across the call; null name and termios are allowed.
    unsafe {
        check(libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null_mut(), &size))?;
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(theirs, libc::F_SETFD, libc::FD_CLOEXEC);
        Ok((OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)))
    }
}

pub fn set_window_size(fd: i32, rows: u16, cols: u16) {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which lives across the call.
    check(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &size) }).expect("TIOCSWINSZ");
}

/// The terminal's flags, as one comparable value: (input, output, control, local).
pub fn terminal_flags(fd: i32) -> (u32, u32, u32, u32) {
    // SAFETY: an all-zero termios is a valid one, and tcgetattr fills it.
    unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        check(libc::tcgetattr(fd, &mut termios)).expect("tcgetattr");
        (termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag)
    }
}

/// Waits until `fd` can be read, at most `ms` milliseconds.
pub fn readable(fd: i32, ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which lives across the call.
    unsafe { libc::poll(&mut poll, 1, ms) > 0 }
}

/// The command starts in a session of its own whose terminal is its standard input.
pub fn with_controlling_terminal(command: &mut Command) {
    // SAFETY: between fork and exec only two plain system calls are made.
    unsafe {
        command.pre_exec(|| {
            check(libc::setsid())?;
            check(libc::ioctl(0, libc::TIOCSCTTY, 0)).map(drop)
        });
    }
}

/// A descriptor that stands for a path only; std leaves O_PATH out where it is part of musl's O_ACCMODE.
pub fn open_path(path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the path ends with NUL; the new descriptor is ours.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The command leads a session without a controlling terminal.
pub fn in_new_session(command: &mut Command) {
    // SAFETY: between fork and exec only one plain system call is made.
    unsafe {
        command.pre_exec(|| check(libc::setsid()).map(drop));
    }
}

/// The command's signal is at its default even if ours is not, and it dies with us.
pub fn dies_with_us(command: &mut Command) {
    // SAFETY: between fork and exec only one plain system call is made.
    unsafe {
        command.pre_exec(|| check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)).map(drop));
    }
}

/// The command is run by this user in these groups.
pub fn becomes_user(command: &mut Command, uid: u32, gid: u32, groups: Vec<u32>) {
    // SAFETY: between fork and exec only plain system calls are made, on memory that is there already.
    unsafe {
        command.pre_exec(move || {
            check(libc::setgroups(groups.len(), groups.as_ptr()))?;
            check(libc::setresgid(gid, gid, gid))?;
            check(libc::setresuid(uid, uid, uid)).map(drop)
        });
    }
}

/// The command starts with every signal blocked.
pub fn blocks_all_signals(command: &mut Command) {
    // SAFETY: between fork and exec a set on the stack is filled and read, by two plain system calls.
    unsafe {
        command.pre_exec(|| {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            check(libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut())).map(drop)
        });
    }
}

pub fn mkfifo(path: &Path) -> io::Result<()> {
    // SAFETY: the string lives across the call.
    check(unsafe { libc::mkfifo(cstr(path).as_ptr(), 0o644) }).map(drop)
}

/// The socket's connection is reset, and not ended, when it is closed.
pub fn reset_on_close(fd: i32) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: SO_LINGER reads one linger, which lives across the call and whose length is given.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), length) })
        .expect("setsockopt(SO_LINGER)");
}

/// flock(2); `false` when someone else holds it.
pub fn flock(fd: i32, operation: i32) -> bool {
    // SAFETY: takes plain numbers.
    unsafe { libc::flock(fd, operation) == 0 }
}

/// An extended attribute of the file itself, not of what a link names.
pub fn lgetxattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let (path, name) = (cstr(path), CString::new(name).expect("a name without NUL"));
    let mut value = vec![0u8; 65536];
    // SAFETY: the strings and the buffer live across the call, and its length is the buffer's.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

/// The names of all extended attributes of the file itself.
pub fn llistxattr(path: &Path) -> Vec<String> {
    let path = cstr(path);
    let mut names = vec![0u8; 65536];
    // SAFETY: the string and the buffer live across the call, and its length is the buffer's.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(usize::try_from(length).unwrap_or(0));
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// The CPU time that this process has used.
pub fn cpu_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime fills one timespec, which lives across the call.
    check(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }).expect("clock_gettime");
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that one of our children or of theirs has had, in KiB.
pub fn peak_of_children() -> i64 {
    // SAFETY: an all-zero rusage is a valid one, and getrusage fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        check(libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage)).expect("getrusage");
        usage.ru_maxrss as i64
    }
}

/// A new session keyring of ours that holds a key of that name.
pub fn hold_key(name: &str) -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    const SESSION_KEYRING: libc::c_int = -3;
    let name = CString::new(name).expect("a name without NUL");
    let (kind, value) = (c"user", b"open-sesame");
    // SAFETY: the strings and the value live across the calls; a null name is a new keyring's.
    let ret = unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<u8>());
        libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), value.as_ptr(), value.len(), SESSION_KEYRING)
    };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The key of that name in our session keyring.
pub fn find_key(name: &str) -> Option<i32> {
    const SEARCH: libc::c_int = 10;
    const SESSION_KEYRING: libc::c_int = -3;
    let name = CString::new(name).expect("a name without NUL");
    // SAFETY: the strings live across the call.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, SEARCH, SESSION_KEYRING, c"user".as_ptr(), name.as_ptr(), 0) };
    (key > 0).then_some(key as i32)
}

/// What a key holds.
pub fn read_key(key: i32) -> Option<String> {
    const READ: libc::c_int = 11;
    let mut value = [0u8; 100];
    // SAFETY: the kernel writes at most the buffer's length.
    let length = unsafe { libc::syscall(libc::SYS_keyctl, READ, key, value.as_mut_ptr(), value.len()) };
    Some(String::from_utf8_lossy(value.get(..usize::try_from(length).ok()?)?).into_owned())
}

/// The calls by which one process gets at another's memory or descriptors: those that succeed on `pid`.
pub fn ways_into(pid: i32) -> Vec<&'static str> {
    let mut ways = Vec::new();
    let mut byte = [0u8; 1];
    // Where a program without random addresses begins, and where nothing is: the answer is EFAULT if we may look.
    let remote = libc::iovec { iov_base: 0x40_0000 as *mut libc::c_void, iov_len: 1 };
    let local = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: what is read goes into `byte`; the other process's address is the kernel's to check.
    let read = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    if read >= 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT) {
        ways.push("process_vm_readv");
    }
    // SAFETY: takes plain numbers and null pointers; a process that is seized is not stopped, and is let go by our end.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) } == 0 {
        ways.push("ptrace");
    }
    // SAFETY: takes plain numbers; the descriptors are closed by our end.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if (0..20).any(|fd| libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) >= 0) {
            ways.push("pidfd_getfd");
        }
    }
    ways
}

/// A system call about ids, as it is: libc's own functions do it for all threads. Its value, or the errno below zero.
pub fn raw(number: i64, arguments: [u64; 3]) -> i64 {
    let [first, second, third] = arguments;
    // SAFETY: callers pass plain numbers, or addresses of live arrays that are as long as the call wants them.
    let ret = unsafe { libc::syscall(number, first, second, third) };
    if ret < 0 { -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { ret }
}

/// What apt does to become nobody in particular, through libc and so in all threads.
pub fn drop_to(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: one group is given and counted; the others take plain numbers.
    unsafe {
        check(libc::setgroups(1, &gid))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid)).map(drop)
    }
}

pub fn seteuid(uid: u32) -> io::Result<()> {
    // SAFETY: takes a plain number.
    check(unsafe { libc::seteuid(uid) }).map(drop)
}

/// SIGALRM every so often, whose handler does nothing; calls that it interrupts are made again (SA_RESTART).
pub fn restarting_alarms(microseconds: i64) {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler touches nothing; both structures are whole and live across the calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        check(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut())).expect("sigaction");
        let every = libc::timeval { tv_sec: 0, tv_usec: microseconds as _ };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        let ret = libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0);
        check(ret as libc::c_int).expect("setitimer");
    }
}
