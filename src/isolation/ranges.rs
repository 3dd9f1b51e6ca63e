//! A range of host ids for each container of root's (user_namespaces(7), mount_setattr(2)).
//!
//! To the host's kernel two containers with one id map are one user: what breaks out
//! of the first may signal and trace the processes of the second, and write its files.
//! So each running container gets 65536 ids that no other one has. Its files need not
//! change hands for that: on disk they belong to the base range for good, and an
//! *id-mapped mount* shows base + n as own + n, both ways. What such a mount goes by is
//! the map of a user namespace in which nobody has to live.
//!
//! A range is taken by a lock on a file. The lock dies with its holder, the supervisor,
//! so that nothing has to be given back; the files lie in one place for the whole
//! host, since all its stores draw from one pool.

use super::idmap::{self, IDS, IdMap};
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::process::{self, CLONE_NEWUSER, Child};
use crate::sys::{cred, fs, kernel, signal};
use libc::{LOCK_EX, LOCK_NB, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Emptied by a reboot, as what it tells is only true until then.
const DIR: &str = "/run/ccrun/ranges";

/// The pool: above the places where base ranges are looked for, and ending below 2³¹, which some programs take for
/// a negative number.
const FIRST: u32 = idmap::FREE_RANGE + 32 * IDS;
const COUNT: u32 = 512;

/// Ids that are one running container's alone, for as long as this is held.
pub struct Range {
    first: u32,
    _lock: OwnedFd,
}

impl Range {
    /// One that no running container has; `None` if all are taken.
    pub fn take(base: u32) -> Result<Option<Range>> {
        // Not the one that was in use a moment ago: its last processes may be dying still.
        let start = process::getpid() as u32;
        for slot in (0..COUNT).map(|at| start.wrapping_add(at) % COUNT) {
            let first = FIRST + slot * IDS;
            if first.abs_diff(base) < IDS {
                continue;
            }
            let Some(file) = open_slot(first)? else { continue };
            match fs::flock(file.as_fd(), LOCK_EX | LOCK_NB) {
                Ok(()) => return Ok(Some(Range { first, _lock: file })),
                Err(error) if error.errno() == Some(libc::EWOULDBLOCK) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The map of the container's user namespace.
    pub fn map(&self) -> IdMap {
        IdMap::of_range(self.first)
    }

    /// What shows the files of the base range under this one.
    pub fn shift(&self, base: u32) -> Result<Shift> {
        Shift::of(&IdMap::moving(base, self.first))
    }
}

/// A user namespace whose map leads from the base range to a container's.
pub struct Shift {
    userns: OwnedFd,
    _holder: Holder,
}

impl Shift {
    /// What shows the files of root in `from` as those of root in `to`.
    pub fn of_roots(from: &IdMap, to: &IdMap) -> Result<Shift> {
        Shift::of(&IdMap::of_roots(from.root_ids(), to.root_ids()))
    }

    fn of(map: &IdMap) -> Result<Shift> {
        let holder = Holder::new()?;
        map.write(holder.0.pid())?;
        let userns = fs::open(&crate::sys::cstr(format!("/proc/{}/ns/user", holder.0.pid()))?, libc::O_RDONLY, 0)?;
        Ok(Shift { userns, _holder: holder })
    }
}

impl AsFd for Shift {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.userns.as_fd()
    }
}

/// Its end is waited for when all is on its way already, for it takes as long as everything else here.
pub struct Holder(Child);

impl Holder {
    /// A process in a new user namespace, whose map is to be written.
    pub fn new() -> Result<Holder> {
        let parent = process::getpid();
        let holder = process::clone3(CLONE_NEWUSER, None, || {
            // Its copies of what is the supervisor's: locks, the socket, the user's streams.
            process::close_range_from(0);
            if cred::set_pdeathsig(libc::SIGKILL).is_err() || process::getppid() != parent {
                return 1;
            }
            // It is there to be a namespace's first process, until it is killed.
            loop {
                let _ = signal::wait_any();
            }
        });
        Ok(Holder(holder.map_err(super::namespaces::explain)?))
    }

    pub fn child(&self) -> &Child {
        &self.0
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.signal(libc::SIGKILL);
        let _ = self.0.wait();
    }
}

/// The file to lock for the range from `first` on; `None` if those ids belong to somebody. A file that is there
/// has been through that check.
fn open_slot(first: u32) -> Result<Option<OwnedFd>> {
    let path = crate::sys::cstr(format!("{DIR}/{first}"))?;
    match fs::open(&path, O_RDWR | O_NOFOLLOW, 0) {
        Err(error) if error.errno() == Some(libc::ENOENT) => {}
        other => return other.map(Some),
    }
    fs::mkdir_all(DIR, 0o700).map_err(|error| error.renamed(format_args!("make the directory {DIR}")))?;
    if !idmap::is_free(first) {
        return Ok(None);
    }
    fs::open(&path, O_RDWR | O_NOFOLLOW | O_CREAT, 0o600).map(Some)
}

/// Whether overlay can have id-mapped directories below it (Linux 5.19). It answers only when it is mounted, and
/// by then the container has its ids.
pub fn are_possible() -> bool {
    kernel::version() >= (5, 19)
}

/// Whether this is the first time since the host was booted that somebody is to be told that there are none.
pub fn first_time_without() -> bool {
    let path = Path::new(DIR).with_file_name("ranges-are-shared");
    let made = crate::sys::cstr(path).and_then(|path| fs::open(&path, O_RDWR | O_CREAT | O_EXCL, 0o600));
    made.map_or_else(|error| error.errno() != Some(libc::EEXIST), |_| true)
}
