//! How the arguments of a failed call are shown: a path instead of a descriptor, names instead of bits.
//! Nothing here is computed unless a call has failed or is explained.

use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};
use std::os::fd::RawFd;

/// A descriptor, shown as the path or object that it is open on.
#[derive(Clone, Copy)]
pub(super) struct Fd(pub RawFd);

impl Display for Fd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == libc::AT_FDCWD {
            return f.write_str("AT_FDCWD");
        }
        // As strace does; a path would take a system call that is not part of the start.
        if super::report::is_on() {
            return write!(f, "{}", self.0);
        }
        match std::fs::read_link(format!("/proc/self/fd/{}", self.0)) {
            Ok(path) => write!(f, "{path:?}"),
            // Without /proc there is nothing better than the number.
            Err(_) => write!(f, "fd {}", self.0),
        }
    }
}

/// A descriptor of what has no path: its number in an explanation, and in errors a word for it.
#[derive(Clone, Copy)]
pub(super) struct Detached(pub RawFd, pub &'static str);

impl Display for Detached {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if super::report::is_on() { write!(f, "{}", self.0) } else { f.write_str(self.1) }
    }
}

/// The flags of open(2).
#[derive(Clone, Copy)]
pub(super) struct OpenFlags(pub i32);

impl Display for OpenFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // O_PATH leaves no access mode.
        f.write_str(match self.0 & (libc::O_ACCMODE | libc::O_PATH) {
            libc::O_RDONLY => "O_RDONLY",
            libc::O_WRONLY => "O_WRONLY",
            libc::O_RDWR => "O_RDWR",
            _ => "O_PATH",
        })?;
        const NAMES: [(i32, &str); 9] = [
            (libc::O_CREAT, "O_CREAT"),
            (libc::O_EXCL, "O_EXCL"),
            (libc::O_TRUNC, "O_TRUNC"),
            (libc::O_APPEND, "O_APPEND"),
            (libc::O_NONBLOCK, "O_NONBLOCK"),
            (libc::O_DIRECTORY, "O_DIRECTORY"),
            (libc::O_NOFOLLOW, "O_NOFOLLOW"),
            (libc::O_NOCTTY, "O_NOCTTY"),
            (libc::O_DIRECT, "O_DIRECT"),
        ];
        NAMES.iter().filter(|(flag, _)| self.0 & flag != 0).try_for_each(|(_, name)| write!(f, "|{name}"))?;
        // Every open has it, which no error needs to say.
        if super::report::is_on() { f.write_str("|O_CLOEXEC") } else { Ok(()) }
    }
}

/// The operation of flock(2).
pub(super) struct FlockOperation(pub i32);

impl Display for FlockOperation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 & !libc::LOCK_NB {
            libc::LOCK_SH => "LOCK_SH",
            libc::LOCK_EX => "LOCK_EX",
            _ => "LOCK_UN",
        })?;
        if self.0 & libc::LOCK_NB != 0 { f.write_str("|LOCK_NB") } else { Ok(()) }
    }
}

/// The limits of getrlimit(2) by their numbers.
const RLIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// A limit by its name, and what it is to be.
pub(super) struct LimitCall(pub u32, pub Option<(u64, u64)>);

impl Display for LimitCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "RLIMIT_{}, ", RLIMITS.get(self.0 as usize).unwrap_or(&"?"))?;
        let value = |f: &mut Formatter<'_>, value: u64| match value {
            u64::MAX => f.write_str("RLIM64_INFINITY"),
            value => write!(f, "{value}"),
        };
        let Some((soft, hard)) = self.1 else { return f.write_str("NULL") };
        f.write_str("{rlim_cur=")?;
        value(f, soft)?;
        f.write_str(", rlim_max=")?;
        value(f, hard)?;
        f.write_str("}")
    }
}

/// The beginning of what is written, as strace(1) shows it.
pub(super) struct Text<'a>(pub &'a [u8]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const MOST: usize = 32;
        let part = &self.0[..self.0.len().min(MOST)];
        write!(f, "\"{}\"{}", part.escape_ascii(), if self.0.len() > MOST { "..." } else { "" })
    }
}

/// A path for mount(2), which names a descriptor if it leads through /proc.
pub(super) struct MountTarget<'a>(pub &'a CStr);

impl Display for MountTarget<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fd = self.0.to_str().ok().and_then(|path| path.strip_prefix("/proc/self/fd/")?.parse().ok());
        match fd {
            Some(fd) => Fd(fd).fmt(f),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A type whose bits are shown by their names, `0` if there are none.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident($bits:ty): $($flag:expr => $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name(pub $bits);

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                show_flags(self.0 as u64, &[$(($flag as u64, $text)),+], f)
            }
        }
    };
}

fn show_flags(bits: u64, names: &[(u64, &str)], f: &mut Formatter<'_>) -> fmt::Result {
    let set: Vec<&str> = names.iter().filter(|(flag, _)| bits & flag != 0).map(|(_, name)| *name).collect();
    f.write_str(if set.is_empty() { "0".to_owned() } else { set.join("|") }.as_str())
}

flags! {
    /// The flags of the *at calls.
    AtFlags(i32):
        libc::AT_SYMLINK_NOFOLLOW => "AT_SYMLINK_NOFOLLOW",
        libc::AT_REMOVEDIR => "AT_REMOVEDIR",
        libc::AT_EMPTY_PATH => "AT_EMPTY_PATH",
}

flags! {
    /// What faccessat2(2) asks for.
    AccessMode(i32): libc::R_OK => "R_OK", libc::W_OK => "W_OK", libc::X_OK => "X_OK",
}

flags! {
    /// The flags of faccessat2(2); AT_EACCESS is the same bit as AT_REMOVEDIR.
    AccessFlags(i32):
        libc::AT_EACCESS => "AT_EACCESS",
        libc::AT_SYMLINK_NOFOLLOW => "AT_SYMLINK_NOFOLLOW",
        libc::AT_EMPTY_PATH => "AT_EMPTY_PATH",
}

flags! {
    /// How openat2(2) finds its way.
    Resolve(u64):
        libc::RESOLVE_NO_XDEV => "RESOLVE_NO_XDEV",
        libc::RESOLVE_NO_MAGICLINKS => "RESOLVE_NO_MAGICLINKS",
        libc::RESOLVE_NO_SYMLINKS => "RESOLVE_NO_SYMLINKS",
        libc::RESOLVE_BENEATH => "RESOLVE_BENEATH",
        libc::RESOLVE_IN_ROOT => "RESOLVE_IN_ROOT",
}

flags! {
    /// The flags of mount(2).
    MountFlags(libc::c_ulong):
        libc::MS_RDONLY => "MS_RDONLY",
        libc::MS_BIND => "MS_BIND",
        libc::MS_REC => "MS_REC",
        libc::MS_PRIVATE => "MS_PRIVATE",
}

flags! {
    /// The flags of umount2(2).
    UmountFlags(i32): libc::MNT_DETACH => "MNT_DETACH",
}

flags! {
    /// The attributes of a mount.
    MountAttributes(u64):
        libc::MOUNT_ATTR_RDONLY => "MOUNT_ATTR_RDONLY",
        libc::MOUNT_ATTR_NOSUID => "MOUNT_ATTR_NOSUID",
        libc::MOUNT_ATTR_NODEV => "MOUNT_ATTR_NODEV",
        libc::MOUNT_ATTR_NOEXEC => "MOUNT_ATTR_NOEXEC",
        libc::MOUNT_ATTR_STRICTATIME => "MOUNT_ATTR_STRICTATIME",
        libc::MOUNT_ATTR_IDMAP => "MOUNT_ATTR_IDMAP",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{fs, mount};
    use std::os::fd::{AsFd, AsRawFd};

    #[test]
    fn a_failed_call_names_paths_and_flags() {
        let dir = fs::open(c"/etc", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let said = |error: crate::error::Error| error.to_string();
        let missing = fs::openat(dir.as_fd(), c"no such", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap_err();
        assert_eq!(
            said(missing),
            "openat(\"/etc\", \"no such\", O_PATH|O_DIRECTORY): No such file or directory (ENOENT)"
        );
        let missing = fs::open(c"/no such", libc::O_WRONLY | libc::O_NOFOLLOW, 0).unwrap_err();
        assert_eq!(
            said(missing),
            "openat(AT_FDCWD, \"/no such\", O_WRONLY|O_NOFOLLOW): No such file or directory (ENOENT)"
        );
        let missing = fs::faccessat2(dir.as_fd(), c"no such", libc::R_OK | libc::W_OK, libc::AT_EACCESS).unwrap_err();
        assert_eq!(
            said(missing),
            "faccessat2(\"/etc\", \"no such\", R_OK|W_OK, AT_EACCESS): No such file or directory (ENOENT)"
        );
        let refused = fs::getdents(dir.as_fd()).unwrap_err();
        assert_eq!(said(refused), "getdents64(\"/etc\"): Bad file descriptor (EBADF)");
        let refused = mount::move_mount(dir.as_fd(), dir.as_fd()).unwrap_err();
        let refused = said(refused);
        let flags = "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH";
        assert!(refused.starts_with(&format!("move_mount(mount, \"\", \"/etc\", \"\", {flags}): ")), "{refused}");
    }

    #[test]
    fn bits_have_names() {
        let shown = |bits| MountAttributes(bits).to_string();
        assert_eq!((shown(0), shown(1)), ("0".into(), "MOUNT_ATTR_RDONLY".into()));
        assert_eq!(shown(5), "MOUNT_ATTR_RDONLY|MOUNT_ATTR_NODEV");
        let dir = fs::open(c"/etc", libc::O_PATH, 0).unwrap();
        let magic = crate::sys::cstr(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap();
        assert_eq!(
            (MountTarget(&magic).to_string(), MountTarget(c"/x").to_string()),
            ("\"/etc\"".into(), "\"/x\"".into())
        );
        assert_eq!(Fd(libc::AT_FDCWD).to_string(), "AT_FDCWD");
        assert_eq!(Fd(1_000_000).to_string(), "fd 1000000");
    }
}
