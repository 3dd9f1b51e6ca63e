//! The process that asks: its memory, its paths, its descriptors.

use super::credentials::Table;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{self, STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID, Statx};
use crate::sys::memory::{process_vm_readv, process_vm_writev};
use crate::sys::notify::{Answer, Listener, Notification};
use crate::sys::process::{self, pid_t};
use crate::sys::resource::{RLIMIT_LOCKS, Rlimit, prlimit};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_NOFOLLOW, O_PATH};
use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};

/// What a step of answering gives: a value, or already the answer.
pub type Step<T> = std::result::Result<T, Answer>;

impl From<Error> for Answer {
    fn from(error: Error) -> Answer {
        Answer::Errno(error.errno().unwrap_or(libc::EIO))
    }
}

/// A file as a call names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileArgument {
    /// Of an open descriptor; AT_FDCWD: the working directory.
    Descriptor(i32),
    /// A path, relative to a descriptor if it does not begin with a slash.
    Path(i32, Vec<u8>),
}

/// The number of a process's credentials: its limit, or none of ours.
pub fn number_of(pid: pid_t) -> usize {
    match prlimit(pid, RLIMIT_LOCKS, None) {
        Ok(Rlimit { soft, hard }) if soft != hard => soft as usize,
        _ => 0,
    }
}

/// What came of going to the caller's memory for `wanted` bytes.
fn whole(done: Result<usize>, wanted: usize) -> Step<()> {
    match done {
        Ok(size) if size == wanted => Ok(()),
        // A host may forbid to look (kernel.yama.ptrace_scope 3): then there is no emulation.
        Err(error) if error.errno() == Some(libc::EPERM) => Err(Answer::Continue),
        _ => Err(Answer::Errno(libc::EFAULT)),
    }
}

pub struct Caller<'a> {
    pub call: Notification,
    pub listener: &'a Listener,
    /// /proc, opened when nobody else was there.
    pub proc: &'a OwnedFd,
    /// Its number as a file system.
    pub proc_device: u64,
}

impl Caller<'_> {
    /// An argument that the kernel takes as an int.
    pub fn int(&self, argument: usize) -> i32 {
        self.call.arguments[argument] as i32
    }

    pub fn word(&self, argument: usize) -> u32 {
        self.call.arguments[argument] as u32
    }

    pub fn address(&self, argument: usize) -> u64 {
        self.call.arguments[argument]
    }

    /// Fills `buffer` from the caller's memory.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Step<()> {
        whole(process_vm_readv(self.call.pid, address, buffer), buffer.len())
    }

    pub fn write(&self, address: u64, bytes: &[u8]) -> Step<()> {
        whole(process_vm_writev(self.call.pid, address, bytes), bytes.len())
    }

    /// The path at `address`, without its NUL. What comes behind it may not be there to be read: so page by page.
    pub fn path(&self, address: u64) -> Step<Vec<u8>> {
        const PAGE: u64 = 4096;
        let mut path = Vec::with_capacity(256);
        let mut buffer = [0; PAGE as usize];
        let mut at = address;
        while path.len() < libc::PATH_MAX as usize {
            // Most paths are short.
            let room = if path.is_empty() { 256 } else { PAGE } as usize;
            let room = room.min((PAGE - at % PAGE) as usize);
            self.read(at, &mut buffer[..room])?;
            if let Some(end) = buffer[..room].iter().position(|byte| *byte == 0) {
                path.extend_from_slice(&buffer[..end]);
                return if path.len() < libc::PATH_MAX as usize { Ok(path) } else { break };
            }
            path.extend_from_slice(&buffer[..room]);
            at = at.wrapping_add(room as u64);
        }
        Err(Answer::Errno(libc::ENAMETOOLONG))
    }

    /// The file that descriptor `dir` and the path at `address` name together.
    pub fn file_argument(&self, dir: i32, address: u64, flags: i32) -> Step<FileArgument> {
        let empty_allowed = flags & AT_EMPTY_PATH != 0;
        // Since Linux 6.11 no path is as good as an empty one.
        if address == 0 && empty_allowed {
            return Ok(FileArgument::Descriptor(dir));
        }
        let path = self.path(address)?;
        if path.is_empty() {
            return if empty_allowed { Ok(FileArgument::Descriptor(dir)) } else { Err(Answer::Errno(libc::ENOENT)) };
        }
        if flags & AT_SYMLINK_NOFOLLOW == 0
            && let Some(number) = self.own_descriptor(&path)
        {
            return Ok(FileArgument::Descriptor(number));
        }
        // Each process's own directory there: ours would be another.
        let own = [&b"/proc/self/"[..], b"/proc/thread-self/"].iter().find_map(|prefix| path.strip_prefix(*prefix));
        let path = match own {
            Some(rest) => [format!("/proc/{}/", self.call.pid).as_bytes(), rest].concat(),
            None => path,
        };
        Ok(FileArgument::Path(dir, path))
    }

    /// The caller's descriptor that /dev/stdout, /proc/self/fd/1 and their like lead to: for us they would lead to ours.
    fn own_descriptor(&self, path: &[u8]) -> Option<i32> {
        let own = format!("/proc/{}/fd/", self.call.pid);
        match path {
            b"/dev/stdin" => Some(0),
            b"/dev/stdout" => Some(1),
            b"/dev/stderr" => Some(2),
            _ => {
                let prefixes: [&[u8]; 4] = [b"/proc/self/fd/", b"/proc/thread-self/fd/", b"/dev/fd/", own.as_bytes()];
                let number = prefixes.iter().find_map(|prefix| path.strip_prefix(*prefix))?;
                std::str::from_utf8(number).ok()?.parse().ok().filter(|number| *number >= 0)
            }
        }
    }

    /// Below /proc: where a descriptor of the caller's leads.
    fn descriptor(&self, number: i32) -> String {
        match number {
            AT_FDCWD => format!("{}/cwd", self.call.pid),
            _ => format!("{}/fd/{number}", self.call.pid),
        }
    }

    fn open_descriptor(&self, number: i32, flags: i32) -> Step<OwnedFd> {
        let name = crate::sys::cstr(self.descriptor(number))?;
        fs::openat(self.proc.as_fd(), &name, O_PATH | flags, 0).map_err(|error| match error.errno() {
            Some(libc::ENOENT) => Answer::Errno(libc::EBADF),
            errno => Answer::Errno(errno.unwrap_or(libc::EIO)),
        })
    }

    /// Opens a file to work on it (O_PATH). A FIFO or a device is not touched by that. Magic links are not followed:
    /// where they lead depends on who asks.
    pub fn open(&self, file: &FileArgument, nofollow: bool, flags: i32) -> Step<OwnedFd> {
        let (dir, path) = match file {
            FileArgument::Descriptor(number) => return self.open_descriptor(*number, flags),
            FileArgument::Path(dir, path) => (*dir, path),
        };
        let flags = O_PATH | flags | if nofollow { O_NOFOLLOW } else { 0 };
        let path = CString::new(&path[..]).map_err(|_| Answer::Errno(libc::EINVAL))?;
        // An absolute path needs no directory, but the call wants one.
        let dir = match path.as_bytes().first() {
            Some(b'/') => None,
            _ => Some(self.open_descriptor(dir, 0)?),
        };
        let dir = dir.as_ref().unwrap_or(self.proc);
        Ok(fs::openat2(dir.as_fd(), &path, flags, 0, fs::RESOLVE_NO_MAGICLINKS)?)
    }

    /// What there is to be told of a file, in a single call.
    pub fn look(&self, file: &FileArgument, flags: i32, mask: u32) -> Result<Statx> {
        let mask = mask | STATX_BASIC_STATS | STATX_BTIME;
        let (path, flags) = match file {
            FileArgument::Descriptor(number) => (self.descriptor(*number).into_bytes(), flags & !AT_SYMLINK_NOFOLLOW),
            FileArgument::Path(_, path) if path.first() == Some(&b'/') => (path.clone(), flags),
            FileArgument::Path(dir, path) => ([self.descriptor(*dir).as_bytes(), b"/", path].concat(), flags),
        };
        let path = CString::new(path).map_err(|_| Error::call("a path", libc::EINVAL))?;
        fs::statx(Some(self.proc.as_fd()), &path, flags & !AT_EMPTY_PATH, mask)
    }

    /// The process that a file in /proc is about.
    pub fn process_at(&self, file: &FileArgument, nofollow: bool) -> Option<pid_t> {
        let file = self.open(file, nofollow, 0).ok()?;
        let name = crate::sys::cstr(format!("self/fd/{}", file.as_raw_fd())).ok()?;
        let path = fs::readlinkat(self.proc.as_fd(), &name).ok()?;
        let rest = path.windows(6).position(|part| part == b"/proc/").map(|at| &path[at + 6..])?;
        std::str::from_utf8(rest.split(|byte| *byte == b'/').next()?).ok()?.parse().ok()
    }

    /// Whether the caller's root directory is `root`.
    pub fn has_root(&self, root: &OwnedFd) -> Step<bool> {
        let name = crate::sys::cstr(format!("{}/root", self.call.pid))?;
        let theirs = fs::statx(Some(self.proc.as_fd()), &name, 0, STATX_BASIC_STATS | STATX_MNT_ID)?;
        let ours = fs::statx(Some(root.as_fd()), c"", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID)?;
        Ok(theirs.is_same_place(&ours))
    }

    /// Makes the caller's root directory ours, so that we go its ways as it would itself: `..`, links and all.
    pub fn enter_root(&self) -> Step<()> {
        let name = crate::sys::cstr(format!("{}/root", self.call.pid))?;
        let root = fs::openat(self.proc.as_fd(), &name, O_PATH | libc::O_DIRECTORY, 0)?;
        process::fchdir(root.as_fd())?;
        Ok(process::chroot(c".")?)
    }

    /// Answers with a copy of `fd`.
    pub fn give(&self, fd: &OwnedFd, close_on_exec: bool) -> Step<Answer> {
        match self.listener.add_fd(self.call.id, fd.as_fd(), close_on_exec, true) {
            // The one from before Linux 5.14, in two steps.
            Err(error) if error.errno() == Some(libc::EINVAL) => {
                Ok(Answer::Value(self.listener.add_fd(self.call.id, fd.as_fd(), close_on_exec, false)?))
            }
            other => Ok(Answer::Value(other?)),
        }
    }

    /// The number of the caller's credentials.
    pub fn number(&self, table: &Table) -> usize {
        if table.has_one() { 0 } else { number_of(self.call.pid) }
    }

    pub fn set_number(&self, number: usize) -> Step<()> {
        // What was a moment ago the caller's pid still is.
        if !self.listener.is_valid(self.call.id) {
            return Err(Answer::Errno(libc::ESRCH));
        }
        let hard = prlimit(self.call.pid, RLIMIT_LOCKS, None)?.hard;
        let soft = if number == 0 { hard } else { number as u64 };
        prlimit(self.call.pid, RLIMIT_LOCKS, Some(Rlimit { soft, hard })).map_err(|_| Answer::Errno(libc::EAGAIN))?;
        Ok(())
    }

    /// What new files lose of their mode.
    pub fn umask(&self) -> u32 {
        const USUAL: u32 = 0o022;
        self.status("Umask:").and_then(|text| u32::from_str_radix(&text, 8).ok()).unwrap_or(USUAL)
    }

    /// Whether no program that it runs gives it more than it has.
    pub fn has_no_new_privs(&self) -> bool {
        self.status("NoNewPrivs:").is_none_or(|text| text != "0")
    }

    /// A field of /proc/PID/status (proc_pid_status(5)).
    fn status(&self, field: &str) -> Option<String> {
        let name = crate::sys::cstr(format!("{}/status", self.call.pid)).ok()?;
        let file = fs::openat(self.proc.as_fd(), &name, libc::O_RDONLY, 0).ok()?;
        let mut text = String::new();
        std::fs::File::from(file).take(16 << 10).read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
    }
}
