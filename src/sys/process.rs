//! Processes: clone3(2), execve(2), wait4(2), pidfd_send_signal(2), and where one is: chdir(2), chroot(2).

mod session;

use super::proc::stat::Stat;
use super::shown::Fd;
use super::{answered, report, returned};
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

pub use libc::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, CLONE_PARENT,
    pid_t,
};
pub use session::*;

/// A process by its pidfd, which never refers to another process: a child to wait for, or any process to signal.
pub struct Child {
    pid: pid_t,
    pidfd: OwnedFd,
}

/// How a process has ended, or the signal that has stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exited(u8),
    Killed(i32),
    /// Only with WUNTRACED.
    Stopped(i32),
}

impl Status {
    /// As a shell and Docker report it: the status itself, or 128 + the signal.
    pub fn code(self) -> u8 {
        match self {
            Status::Exited(code) => code,
            Status::Killed(signal) | Status::Stopped(signal) => 128u8.wrapping_add(signal as u8),
        }
    }

    fn of(raw: i32) -> Status {
        if libc::WIFSTOPPED(raw) {
            Status::Stopped(libc::WSTOPSIG(raw))
        } else if libc::WIFSIGNALED(raw) {
            Status::Killed(libc::WTERMSIG(raw))
        } else {
            Status::Exited(libc::WEXITSTATUS(raw) as u8)
        }
    }
}

impl Child {
    /// A child of ours that another process has made (CLONE_PARENT).
    pub fn of_pidfd(pid: pid_t, pidfd: OwnedFd) -> Child {
        Child { pid, pidfd }
    }

    pub fn pid(&self) -> pid_t {
        self.pid
    }

    /// Waits until the child has ended (wait4(2)).
    pub fn wait(&self) -> Result<Status> {
        match wait4(self.pid, 0)? {
            Some((_, status)) => Ok(status),
            None => Err(Error::new(format_args!("wait4({}): nothing to wait for", self.pid))),
        }
    }

    /// The status if the child has ended.
    pub fn try_wait(&self) -> Result<Option<Status>> {
        Ok(wait4(self.pid, libc::WNOHANG)?.map(|(_, status)| status))
    }

    /// pidfd_send_signal(2): never reaches another process with the same pid.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let fd = self.pidfd.as_raw_fd();
        // SAFETY: the siginfo pointer may be null: the kernel then fills it in as for kill(2).
        let ret =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0) };
        returned(ret, format_args!("pidfd_send_signal({}, {signal})", self.pid)).map(drop)
    }
}

/// pidfd_open(2). The caller must check afterwards that the pid still belongs to the intended process.
pub fn pidfd_open(pid: pid_t) -> Result<Child> {
    // SAFETY: no memory is involved.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = returned(ret, format_args!("pidfd_open({pid})"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(fd as i32) } })
}

impl AsFd for Child {
    /// Readable once the child has ended (pidfd_open(2)).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// clone3(2) without shared memory: a fork with new namespaces (`flags`: `CLONE_NEW*`). The child can start in the cgroup
/// v2 directory `cgroup` (Linux 5.7). It runs `child` on a copy of this process's memory and exits with the result.
///
/// Falls back to clone(2), and moves the child into the cgroup, if the kernel or a seccomp filter lacks clone3.
///
/// Call it from a single-threaded process only: other threads' locks would stay locked in the copy.
pub fn clone3(flags: i32, cgroup: Option<BorrowedFd<'_>>, child: impl FnOnce() -> i32) -> Result<Child> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: i32 = -1;
    // SAFETY: clone_args is plain integers; zero means "not asked for" in every field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags as u32 as u64 | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    // Our parent gets SIGCHLD for a sibling, as for us.
    args.exit_signal = if flags & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    let size = std::mem::size_of_val(&args);
    // SAFETY: no CLONE_VM and no stack given, so that the child returns here on its own copy of
    // this stack, as after fork(2); `pidfd` outlives the call.
    let mut ret = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) };
    let mut to_move = None;
    let call = format!("clone3({{flags={}}}, {size})", clone_flags(flags | libc::CLONE_PIDFD));
    // Nothing is reported in the child, which has made no call.
    if ret == 0 {
        report::switch(false);
        _exit(child());
    }
    let mut answer = answered(ret, format_args!("{call}"));
    if answer == Err(libc::ENOSYS) {
        to_move = cgroup;
        let flags = (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as u32 as u64;
        // SAFETY: as above; clone(2) stores the pidfd where the parent's thread id would go.
        ret = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
        if ret == 0 {
            report::switch(false);
            _exit(child());
        }
        answer = answered(ret, format_args!("clone({flags:#x})"));
    }
    let pid = answer.map_err(|errno| Error::call(call, errno))? as pid_t;
    // SAFETY: CLONE_PIDFD made this descriptor for us alone.
    let child = Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } };
    if let Some(cgroup) = to_move {
        let moved = super::fs::openat(cgroup, c"cgroup.procs", libc::O_WRONLY, 0)
            .and_then(|procs| super::fs::write_all(procs.as_fd(), pid.to_string().as_bytes()));
        if let Err(error) = moved {
            child.signal(libc::SIGKILL)?;
            child.wait()?;
            return Err(error.context("move the child into its cgroup"));
        }
    }
    Ok(child)
}

/// fork(2): [`clone3`] without new namespaces.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    clone3(0, None, child)
}

/// [`fork`] of a process that sends no SIGCHLD when it ends; wait4(2) finds it only with __WALL.
pub fn fork_unwaited(child: impl FnOnce() -> i32) -> Result<pid_t> {
    // SAFETY: no shared memory and no stack of its own, so that the child returns here on its own copy of this
    // stack, as after fork(2); no flags and no signal.
    let ret = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if ret == 0 {
        report::switch(false);
        _exit(child());
    }
    Ok(returned(ret, format_args!("clone(0)"))? as pid_t)
}

/// The flags as C source.
pub fn clone_flags(flags: i32) -> String {
    let names = [
        (libc::CLONE_PIDFD, "CLONE_PIDFD"),
        (CLONE_PARENT, "CLONE_PARENT"),
        (CLONE_NEWUSER, "CLONE_NEWUSER"),
        (CLONE_NEWPID, "CLONE_NEWPID"),
        (CLONE_NEWNS, "CLONE_NEWNS"),
        (CLONE_NEWUTS, "CLONE_NEWUTS"),
        (CLONE_NEWIPC, "CLONE_NEWIPC"),
        (CLONE_NEWCGROUP, "CLONE_NEWCGROUP"),
        (CLONE_NEWNET, "CLONE_NEWNET"),
    ];
    let set: Vec<&str> = names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "0".to_owned() } else { set.join("|") }
}

/// _exit(2): ends this process at once, without the cleanup of `exit`, which is for the parent.
pub fn _exit(status: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used again.
    unsafe { libc::_exit(status) }
}

/// wait4(2) for `pid` (-1: any child); `None` when WNOHANG found none that has ended (or stopped, with WUNTRACED).
pub fn wait4(pid: pid_t, options: i32) -> Result<Option<(pid_t, Status)>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is ours; no rusage is asked for.
        let ret = unsafe { libc::wait4(pid, &mut status, options, std::ptr::null_mut()) };
        match returned(ret.into(), format_args!("wait4({pid}, {status:#x}, {options:#x}, NULL)")) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some((pid as pid_t, Status::of(status)))),
            Err(error) if error.errno() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The resource use of all children that were waited for, and of their children.
#[derive(Clone, Copy, Debug)]
pub struct ChildrenUsage {
    pub user: std::time::Duration,
    pub system: std::time::Duration,
    /// The peak memory of the biggest of them, in bytes.
    pub biggest: u64,
}

/// getrusage(2) with RUSAGE_CHILDREN.
pub fn usage_of_children() -> ChildrenUsage {
    // SAFETY: rusage is plain integers, and the kernel fills in all of it; it cannot fail.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let time = |time: libc::timeval| std::time::Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    ChildrenUsage { user: time(usage.ru_utime), system: time(usage.ru_stime), biggest: usage.ru_maxrss as u64 * 1024 }
}

/// execve(2). Returns only if it fails.
pub fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (args, env) = (pointers(argv), pointers(envp));
    let call = format_args!("execve({path:?}, {argv:?}, /* {} vars */)", envp.len());
    report::last_call(call);
    // SAFETY: both arrays end with a null pointer and their strings outlive the call.
    let ret = unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    match answered(ret.into(), call).map_err(|errno| Error::call(format_args!("execve({path:?})"), errno)) {
        Ok(_) => Error::new("execve returned without an error"),
        Err(error) => error,
    }
}

/// Makes the program that `command` starts end together with the process that starts it, however that ends.
pub fn die_with_parent(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let parent = getpid();
    let before_exec = move || {
        super::cred::set_pdeathsig(libc::SIGKILL).map_err(|_| std::io::Error::last_os_error())?;
        // The parent may have ended before this call.
        if getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and takes no lock and no memory.
    unsafe { command.pre_exec(before_exec) }
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: the path ends with NUL and is only read.
    returned(unsafe { libc::chdir(path.as_ptr()) }.into(), format_args!("chdir({path:?})")).map(drop)
}

/// getcwd(2): the path of the working directory; `(unreachable)…` if it is outside this process's root directory.
pub fn getcwd() -> Result<PathBuf> {
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most as many bytes as `path` has.
    let size = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
    let size = returned(size, format_args!("getcwd()"))? as usize;
    // The NUL at the end is counted.
    Ok(OsString::from_vec(path[..size.saturating_sub(1)].to_vec()).into())
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: the path ends with NUL and is only read.
    returned(unsafe { libc::chroot(path.as_ptr()) }.into(), format_args!("chroot({path:?})")).map(drop)
}

/// fchdir(2).
pub fn fchdir(dir: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no memory is involved.
    returned(unsafe { libc::fchdir(dir.as_raw_fd()) }.into(), format_args!("fchdir({})", Fd(dir.as_raw_fd()))).map(drop)
}

/// close(2) in a fresh clone, where nothing drops the copy of `fd`: the process ends by execve or _exit.
pub fn close(fd: &OwnedFd) {
    // SAFETY: the owner of this copy lives on the parent's stack frames, which the clone never returns to.
    let ret = unsafe { libc::syscall(libc::SYS_close, fd.as_raw_fd()) };
    report::infallible(ret, format_args!("close({})", fd.as_raw_fd()));
}

/// Overwrites our command line, as `ps` shows it, and our name (prctl(2) PR_SET_NAME): the container must not see the
/// supervisor's arguments. Needs /proc.
pub fn set_title(title: &str) -> Result<()> {
    let stat = Stat::own()?;
    // proc_pid_stat(5): arg_start and arg_end.
    if let (Some(start), Some(end)) = (stat.number::<usize>(48), stat.number::<usize>(49))
        && start > 0
        && end > start
    {
        let length = title.len().min(end - start - 1);
        // SAFETY: the kernel says that this is our argument area, which is writable; nobody reads the
        // arguments any more in this clone, and the last byte stays NUL.
        unsafe {
            std::ptr::write_bytes(start as *mut u8, 0, end - start);
            std::ptr::copy_nonoverlapping(title.as_ptr(), start as *mut u8, length);
        }
    }
    super::cred::set_name(&super::cstr(title)?)
}

/// Closes all descriptors but these, which become 0, 1, … The clone must own no others.
pub fn keep_only<const N: usize>(fds: [BorrowedFd<'_>; N]) -> Result<[OwnedFd; N]> {
    for (stream, fd) in (0..).zip(fds) {
        dup2(fd, stream)?;
    }
    close_range_from(N as i32);
    // SAFETY: nobody owns the lowest numbers in this clone: the standard streams were the command's.
    Ok(std::array::from_fn(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

/// close_range(2) from `first` on; closes one by one if the kernel lacks it (before 5.9).
pub fn close_range_from(first: i32) {
    // SAFETY: the caller owns no descriptor at or above `first` any more: this runs in a fresh
    // clone, right before execve or the init loop, and nothing there is dropped afterwards.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if answered(ret, format_args!("close_range({first}, {}, 0)", u32::MAX)).is_err() {
        for fd in first..4096 {
            // SAFETY: as above; closing a number that is not open only answers EBADF.
            unsafe { libc::close(fd) };
        }
    }
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC: the next execve closes all descriptors from `first` on.
pub fn cloexec_from(first: i32) {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: only sets a flag on descriptors; no descriptor changes its owner.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if answered(ret, format_args!("close_range({first}, {}, CLOSE_RANGE_CLOEXEC)", u32::MAX)).is_err() {
        for fd in first..4096 {
            // SAFETY: as above.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// dup2(2) of `fd` onto a standard stream (0, 1 or 2).
pub fn dup2(fd: BorrowedFd<'_>, stream: i32) -> Result<()> {
    // SAFETY: `stream` is a standard stream, which nobody owns as an OwnedFd.
    let ret = unsafe { libc::dup2(fd.as_raw_fd(), stream) };
    returned(ret.into(), format_args!("dup2({}, {stream})", Fd(fd.as_raw_fd()))).map(drop)
}

pub fn getpid() -> pid_t {
    // SAFETY: no memory is involved; it cannot fail.
    report::infallible(unsafe { libc::getpid() }, format_args!("getpid()"))
}

/// The path without PATH, as in a service's or cron's empty environment: the default of shells.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the program `name` in PATH. Skips relative directories such as `.`, in which others may put programs.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}
