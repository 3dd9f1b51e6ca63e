//! Who is at work in the store. All locks are flock(2)s: they end with their holder,
//! so that nothing has to be repaired after a crash but the half-made things in `tmp/` (sweep.rs).

use super::Store;
use super::sweep::discard;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::{cstr, fs};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
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

/// A directory below `tmp/` for what is half-made. It and all in it goes away when this is
/// dropped; if its maker is killed first, [`super::sweep`] finds its lock free and removes it.
pub struct Draft<'s> {
    store: &'s Store,
    path: PathBuf,
    _lock: OwnedFd,
}

impl<'s> Draft<'s> {
    /// A draft of our own.
    pub fn new(store: &'s Store) -> Result<Draft<'s>> {
        let tmp = store.dir("tmp")?;
        loop {
            let path = fresh_name(&tmp, "draft");
            if let Some(lock) = claim(&path, libc::LOCK_EX | libc::LOCK_NB)? {
                return Ok(Draft { store, path, _lock: lock });
            }
        }
    }

    /// The one draft of this name: waits as long as another process works on it.
    pub fn named(store: &'s Store, name: &str) -> Result<Draft<'s>> {
        let path = store.dir("tmp")?.join(name);
        loop {
            if let Some(lock) = claim(&path, libc::LOCK_EX)? {
                return Ok(Draft { store, path, _lock: lock });
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is left to the next sweep.
        let _ = discard(self.store, &self.path);
    }
}

/// Removes what killed processes have left half-made, as far as that takes no time.
pub fn sweep(store: &Store) -> Result<()> {
    super::sweep::sweep(store, super::Patience::short())
}

/// Makes the directory `path` and takes its lock; `None` when it was taken by somebody else,
/// or went away before we had it.
fn claim(path: &Path, operation: i32) -> Result<Option<OwnedFd>> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io(format!("make the directory {}", path.display()), &error));
        }
        _ => {}
    }
    match take(&path.join("lock"), libc::O_CREAT, operation)? {
        Taken::Ours(lock) => Ok(Some(lock)),
        Taken::Theirs | Taken::Gone => Ok(None),
    }
}

/// A name in `tmp` that nobody has.
pub(super) fn fresh_name(tmp: &Path, kind: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    loop {
        let path = tmp.join(format!("{kind}-{pid}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        if std::fs::symlink_metadata(&path).is_err() {
            return path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestStore;
    use super::*;

    fn names(store: &Store) -> usize {
        std::fs::read_dir(store.root().join("tmp")).unwrap().count()
    }

    #[test]
    fn a_draft_goes_away_with_its_maker() {
        let store = TestStore::new();
        let draft = Draft::new(&store).unwrap();
        std::fs::create_dir(draft.path().join("root")).unwrap();
        sweep(&store).unwrap();
        assert!(draft.path().join("root").is_dir());
        drop(draft);
        assert_eq!(names(&store), 0);
    }

    #[test]
    fn what_a_killed_maker_left_is_swept() {
        let store = TestStore::new();
        let tmp = store.dir("tmp").unwrap();
        std::fs::create_dir_all(tmp.join("layer-1/root/a/b")).unwrap();
        std::fs::create_dir_all(tmp.join("gone-1-1/root")).unwrap();
        std::fs::write(tmp.join("layer-1/lock"), "").unwrap();
        std::fs::write(tmp.join("draft-1-1"), "").unwrap();
        sweep(&store).unwrap();
        assert_eq!(names(&store), 0);
        // What has no name of ours is not ours.
        std::fs::write(tmp.join("letter"), "").unwrap();
        std::fs::create_dir_all(tmp.join("photos/empty")).unwrap();
        sweep(&store).unwrap();
        assert_eq!(names(&store), 2);
    }

    #[test]
    fn a_name_is_one_makers_only() {
        let store = TestStore::new();
        let draft = Draft::named(&store, "layer-1").unwrap();
        let path = draft.path().to_owned();
        assert!(claim(&path, libc::LOCK_EX | libc::LOCK_NB).unwrap().is_none());
        drop(draft);
        assert!(!path.exists());
        drop(Draft::named(&store, "layer-1").unwrap());
    }
}
