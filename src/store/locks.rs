//! Who is at work in the store. All locks are flock(2)s: they end with their holder,
//! so that nothing has to be repaired after a crash but the half-made things in `tmp/` (sweep.rs).

use super::Store;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::{cstr, fs, process};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The lock over all of the store. It is shared by those who begin to use an image or make one
/// visible, and exclusive for those who take images or layers away; nobody holds it for long.
pub struct Lock {
    /// None: there is no store, and nothing in it to be kept.
    _file: Option<OwnedFd>,
}

impl Lock {
    /// What is in the store stays there as long as this is held.
    pub fn shared(store: &Store) -> Result<Lock> {
        Lock::take(store, libc::LOCK_SH)
    }

    /// Nobody else begins to use anything as long as this is held.
    pub fn exclusive(store: &Store) -> Result<Lock> {
        Lock::take(store, libc::LOCK_EX)
    }

    fn take(store: &Store, operation: i32) -> Result<Lock> {
        let path = store.root().join("lock");
        let file = match open(&path, libc::O_CREAT).or_else(|error| open(&path, 0).map_err(|_| error)) {
            Ok(file) => file,
            // On a full or read-only disk the store itself is as good.
            Err(error) => match fs::open(&cstr(store.root())?, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
                Err(_) if error.errno() == Some(libc::ENOENT) => return Ok(Lock { _file: None }),
                dir => dir.map_err(|_| error)?,
            },
        };
        fs::flock(file.as_fd(), operation)?;
        Ok(Lock { _file: Some(file) })
    }
}

/// What came of [`take`].
pub enum Taken {
    Ours(OwnedFd),
    /// Somebody else has the lock (only when we would not wait for it).
    Theirs,
    /// There is no such file, or none any more: its holder removed it before we had it.
    Gone,
}

/// Takes the flock(2) of the file at `path`, which its holders may remove. `flags`: O_CREAT makes it.
pub fn take(path: &Path, flags: i32, operation: i32) -> Result<Taken> {
    let file = match open(path, flags) {
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(Taken::Gone),
        other => other?,
    };
    match fs::flock(file.as_fd(), operation) {
        Err(error) if error.errno() == Some(libc::EWOULDBLOCK) => return Ok(Taken::Theirs),
        other => other?,
    }
    // A lock on what no longer has the name would keep nobody out.
    let there = fs::lstat(path).map(|stat| (stat.dev, stat.ino));
    let ours = fs::fstat(file.as_fd())?;
    Ok(if there.is_ok_and(|there| there == (ours.dev, ours.ino)) { Taken::Ours(file) } else { Taken::Gone })
}

/// For writing where the disk allows it: NFS has exclusive locks only so.
fn open(path: &Path, flags: i32) -> Result<OwnedFd> {
    let path = cstr(path)?;
    match fs::open(&path, libc::O_RDWR | libc::O_NOFOLLOW | flags, 0o600) {
        Err(error) if error.errno() == Some(libc::EROFS) => {
            fs::open(&path, libc::O_RDONLY | libc::O_NOFOLLOW, 0).map_err(|_| error)
        }
        opened => opened,
    }
}

/// A name in `tmp` that nobody has.
pub(super) fn fresh_name(tmp: &Path, kind: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let pid = process::getpid();
    loop {
        let path = tmp.join(format!("{kind}-{pid}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        if fs::lstat(&path).is_err() {
            return path;
        }
    }
}
