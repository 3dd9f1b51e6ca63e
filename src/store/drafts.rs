//! Directories below `tmp/` for what is half-made.

use super::Store;
use super::locks::{Taken, fresh_name, take};
use super::sweep::discard;
use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use std::path::{Path, PathBuf};

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
    match fs::mkdir(path, 0o700) {
        Err(error) if error.errno() != Some(libc::EEXIST) => {
            return Err(error.renamed(format_args!("make the directory {}", path.display())));
        }
        _ => {}
    }
    match take(&path.join("lock"), libc::O_CREAT, operation)? {
        Taken::Ours(lock) => Ok(Some(lock)),
        Taken::Theirs | Taken::Gone => Ok(None),
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
