//! Calls that make files: what somebody else than root makes is his.
//!
//! The kernel would make it root's, and nobody could say afterwards which file it was.
//! So we make it, in the caller's directory and with its umask(2), and hand an opened
//! one over. Where the file is there already, the call is the kernel's again.

use super::caller::{Caller, FileArgument, Step};
use super::credentials::Credentials;
use super::files::{owner_of, record, told};
use super::owners::{Owner, Owners};
use super::powers::MKNOD;
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::notify::Answer;
#[cfg(target_arch = "x86_64")]
use libc::AT_FDCWD;
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, S_IFBLK, S_IFCHR, S_IFMT, S_IFREG};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// What is to be made.
enum Made {
    /// And opened with these flags.
    File {
        flags: i32,
        mode: u32,
    },
    Directory {
        mode: u32,
    },
    Link {
        target: CString,
    },
    /// A FIFO, a socket or a plain file: the mode with its type.
    Node {
        mode: u32,
    },
    /// A plain file in the place of a device, as nobody but the host's root can make one.
    Device {
        mode: u32,
        major: u32,
        minor: u32,
    },
}

pub fn create(caller: &Caller<'_>, who: &Credentials, owners: &mut Owners) -> Step<Answer> {
    let (dir, path, made) = understand(caller)?;
    let is_device = matches!(made, Made::Device { .. });
    if is_device && !who.powers.can(MKNOD) {
        return Err(Answer::Errno(libc::EPERM));
    }
    let is_root = (who.user.file, who.group.file) == (0, 0);
    // Nothing that differs from what the kernel would do.
    if is_root && !is_device && owners.is_empty() {
        return Ok(Answer::Continue);
    }
    let path = caller.path(path)?;
    let (parent, name) = split(dir, &path, !matches!(made, Made::File { .. })).ok_or(Answer::Continue)?;
    // Errors on the way there are the kernel's to tell.
    let parent = caller.open(&parent, false, O_DIRECTORY).map_err(|_| Answer::Continue)?;
    let above = told(&parent)?;
    // The group of a directory with the set-group-id bit is its files' group.
    let of_parent = (above.mode() & libc::S_ISGID != 0).then(|| owner_of(&above, owners).gid);
    let gid = of_parent.unwrap_or(who.group.file);
    if (who.user.file, gid) == (0, 0) && !is_device {
        return Ok(Answer::Continue);
    }
    let (answer, file) = make(caller, parent.as_fd(), &name, &made)?;
    let device = match made {
        Made::Device { mode, major, minor } => Some((mode & S_IFMT, major, minor)),
        _ => None,
    };
    record(&told(&file)?, Owner { uid: who.user.file, gid, device }, owners);
    match answer {
        Some(answer) => Ok(answer),
        None => caller.give(&file, opened_flags(caller)? & libc::O_CLOEXEC != 0),
    }
}

/// The directory, the address of the path and what is to be made, from the arguments.
fn understand(caller: &Caller<'_>) -> Step<(i32, u64, Made)> {
    let (int, word, address) = (|at| caller.int(at), |at| caller.word(at), |at| caller.address(at));
    Ok(match caller.call.number {
        libc::SYS_mkdirat => (int(0), address(1), Made::Directory { mode: word(2) }),
        libc::SYS_mknodat => (int(0), address(1), node(word(2), word(3))),
        libc::SYS_symlinkat => (int(1), address(2), link(caller, address(0))?),
        libc::SYS_openat => (int(0), address(1), file(int(2), word(3))?),
        libc::SYS_openat2 => {
            let [flags, mode, resolve] = open_how(caller)?;
            // Rules of the caller's for the way there.
            if resolve != 0 {
                return Err(Answer::Continue);
            }
            (int(0), address(1), file(flags as i32, mode as u32)?)
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => (AT_FDCWD, address(0), Made::Directory { mode: word(1) }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => (AT_FDCWD, address(0), node(word(1), word(2))),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => (AT_FDCWD, address(1), link(caller, address(0))?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => (AT_FDCWD, address(0), file(int(1), word(2))?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => (AT_FDCWD, address(0), file(CREAT, word(1))?),
        _ => return Err(Answer::Continue),
    })
}

/// What creat(2) opens with.
#[cfg(target_arch = "x86_64")]
const CREAT: i32 = O_CREAT | libc::O_WRONLY | libc::O_TRUNC;

fn file(flags: i32, mode: u32) -> Step<Made> {
    // These open something that is there, or nothing.
    if flags & O_CREAT == 0 || flags & (O_PATH | O_DIRECTORY) != 0 {
        return Err(Answer::Continue);
    }
    Ok(Made::File { flags, mode })
}

fn link(caller: &Caller<'_>, target: u64) -> Step<Made> {
    let target = CString::new(caller.path(target)?).map_err(|_| Answer::Continue)?;
    Ok(Made::Link { target })
}

fn node(mode: u32, device: u32) -> Made {
    // As user space packs the two numbers: eight bits of the minor one, the major one, the rest.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match mode & S_IFMT {
        S_IFCHR | S_IFBLK => Made::Device { mode, major, minor },
        _ => Made::Node { mode },
    }
}

/// The argument of openat2(2): flags, mode, resolve.
fn open_how(caller: &Caller<'_>) -> Step<[u64; 3]> {
    // A longer one knows of things that we do not.
    if caller.address(3) != 24 {
        return Err(Answer::Continue);
    }
    let mut bytes = [0; 24];
    caller.read(caller.address(2), &mut bytes)?;
    let field = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    Ok([field(0), field(8), field(16)])
}

/// The flags that the caller opens with.
fn opened_flags(caller: &Caller<'_>) -> Step<i32> {
    match understand(caller)?.2 {
        Made::File { flags, .. } => Ok(flags),
        _ => Ok(0),
    }
}

/// The directory and the last name of a path; None where the kernel had better look by itself.
fn split(dir: i32, path: &[u8], slashes_allowed: bool) -> Option<(FileArgument, CString)> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    if end < path.len() && !slashes_allowed {
        return None;
    }
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let name = &path[start..end];
    if name == b"." || name == b".." {
        return None;
    }
    let parent =
        if start == 0 { FileArgument::Descriptor(dir) } else { FileArgument::Path(dir, path[..start].to_vec()) };
    Some((parent, CString::new(name).ok()?))
}

/// Makes it; gives the answer (none: the opened file is the answer) and the file.
fn make(
    caller: &Caller<'_>,
    parent: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    made: &Made,
) -> Step<(Option<Answer>, OwnedFd)> {
    let umask = caller.umask();
    if !caller.listener.is_valid(caller.call.id) {
        return Err(Answer::Errno(libc::ESRCH));
    }
    match made {
        Made::File { flags, mode } => {
            let opened = fs::openat(parent, name, flags | O_EXCL | O_NOFOLLOW, mode & 0o7777 & !umask);
            return match opened {
                Ok(file) => Ok((None, file)),
                Err(error) if error.errno() == Some(libc::EEXIST) && flags & O_EXCL == 0 => Err(Answer::Continue),
                Err(error) => Err(error.into()),
            };
        }
        Made::Directory { mode } => fs::mkdirat(parent, name, mode & 0o1777 & !umask)?,
        Made::Link { target } => fs::symlinkat(target, parent, name)?,
        Made::Node { mode } => fs::mknodat(parent, name, mode & (S_IFMT | 0o7777) & !umask, (0, 0))?,
        Made::Device { mode, .. } => fs::mknodat(parent, name, S_IFREG | mode & 0o7777 & !umask, (0, 0))?,
    }
    let file = fs::openat(parent, name, O_PATH | O_NOFOLLOW, 0)?;
    Ok((Some(Answer::Value(0)), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        let parts = |path: &str, slashes| {
            split(5, path.as_bytes(), slashes).map(|(parent, name)| (parent, name.into_string().unwrap()))
        };
        let path = |text: &str| FileArgument::Path(5, text.into());
        assert_eq!(parts("a", false), Some((FileArgument::Descriptor(5), "a".into())));
        assert_eq!(parts("/a", false), Some((path("/"), "a".into())));
        assert_eq!(parts("x//y/a", false), Some((path("x//y/"), "a".into())));
        assert_eq!(parts("x/a//", true), Some((path("x/"), "a".into())));
        for (text, slashes) in [("x/a/", false), ("/", true), ("x/..", true), (".", true), ("", true)] {
            assert_eq!(parts(text, slashes), None, "{text}");
        }
    }

    #[test]
    fn device_numbers_are_unpacked() {
        for (major, minor) in [(1, 3), (8, 0), (259, 1_000), (4095, 1_048_575)] {
            let packed = libc::makedev(major, minor) as u32;
            let Made::Device { major: a, minor: b, .. } = node(S_IFBLK | 0o600, packed) else { panic!("no device") };
            assert_eq!((a, b), (major, minor));
        }
    }
}
