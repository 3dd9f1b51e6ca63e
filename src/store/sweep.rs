//! What is to go is taken out of sight first, by one rename to `tmp/`, and removed afterwards: by whoever has
//! taken it away or, if that is killed, by the next commands. Nothing of this needs room on the disk.

use super::Store;
use super::locks::{self, Taken, fresh_name};
use super::remove::Patience;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::{cstr, fs};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Something that is out of sight; its files are removed when this is dropped.
pub struct Gone<'s> {
    store: &'s Store,
    path: Option<PathBuf>,
    /// Keeps sweepers away; not to be had for a directory that we may not open.
    lock: Option<OwnedFd>,
}

impl Store {
    /// Takes a file or directory of the store out of sight; that it is not there is fine. Where the disk is too full
    /// even for a rename, it is removed at once.
    pub fn put_away(&self, path: &Path) -> Result<Gone<'_>> {
        let nothing = Gone { store: self, path: None, lock: None };
        let tmp = self.dir("tmp").unwrap_or_else(|_| self.root().join("tmp"));
        let gone = fresh_name(&tmp, "gone");
        // The lock is taken before anybody can sweep it away.
        let lock = lock_dir(path).ok().flatten();
        let mut renamed = std::fs::rename(path, &gone);
        if renamed.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            // A directory is only moved by who may write to it, and `/` is mode 0555 in many an image.
            let writable = std::fs::Permissions::from_mode(0o700);
            renamed = std::fs::set_permissions(path, writable).and_then(|()| std::fs::rename(path, &gone));
        }
        match renamed {
            Ok(()) => Ok(Gone { store: self, path: Some(gone), lock }),
            Err(error) if error.kind() == ErrorKind::NotFound && !is_there(path) => Ok(nothing),
            Err(error) if is_full(&error) || !tmp.is_dir() => self.remove_tree(path).map(|()| nothing),
            Err(error) => Err(Error::io(format_args!("remove {}", path.display()), &error)),
        }
    }
}

impl Gone<'_> {
    /// Removes the files; returns whether it came to the end. The next sweep goes on where it did not.
    pub fn remove(mut self, patience: Patience) -> Result<bool> {
        let _lock = self.lock.take();
        self.path.take().map_or(Ok(true), |path| self.store.remove_tree_with(&path, patience))
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = self.store.remove_tree_with(&path, Patience::endless());
        }
    }
}

/// Whether the disk has no room for one more name.
fn is_full(error: &std::io::Error) -> bool {
    [Some(libc::ENOSPC), Some(libc::EDQUOT)].contains(&error.raw_os_error())
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Takes the flock(2) of a directory itself; `None` when somebody else has it.
fn lock_dir(path: &Path) -> Result<Option<OwnedFd>> {
    let dir = fs::open(&cstr(path)?, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
    match fs::flock(dir.as_fd(), libc::LOCK_EX | libc::LOCK_NB) {
        Err(error) if error.errno() == Some(libc::EWOULDBLOCK) => Ok(None),
        locked => locked.map(|()| Some(dir)),
    }
}

/// Removes what killed processes have left half-made in `tmp/`; what somebody works on stays. Ends when `patience`
/// is over. Returns the first failure, after all the rest has been tried.
pub fn sweep(store: &Store, patience: Patience) -> Result<()> {
    let mut outcome = Ok(());
    for name in store.names_in("tmp")? {
        if patience.is_over() {
            break;
        }
        if !is_ours(&name) {
            continue;
        }
        let path = store.root().join("tmp").join(&name);
        outcome = outcome.and(sweep_one(store, &path, patience));
    }
    outcome
}

/// Whether ccrun gives such names in `tmp/`: to drafts, to layers that are being unpacked, to what was put away.
fn is_ours(name: &str) -> bool {
    ["draft-", "layer-", "gone-"].iter().any(|start| name.starts_with(start))
}

fn sweep_one(store: &Store, path: &Path, patience: Patience) -> Result<()> {
    let lock = match locks::take(&path.join("lock"), 0, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(Taken::Theirs) => return Ok(()),
        Ok(Taken::Ours(lock)) => Some(lock),
        // A draft whose maker has not come to its lock is empty; he then makes it again.
        Ok(Taken::Gone) if std::fs::remove_dir(path).is_ok() || !is_there(path) => return Ok(()),
        // What was put away has no such file.
        Ok(Taken::Gone) => match lock_dir(path) {
            Ok(None) => return Ok(()),
            locked => locked.ok().flatten(),
        },
        // A stray file, which nobody of us has made, or a directory that is closed to us.
        Err(_) if std::fs::remove_file(path).is_ok() => return Ok(()),
        Err(_) => None,
    };
    let _lock = lock;
    let gone = taken_out(store, path)?;
    store.remove_tree_with(&gone, patience).map(drop)
}

/// Removes a draft, or anything else whose lock the caller holds. It is renamed first, because whoever waits for
/// the lock must find nothing under the old name as soon as we begin.
pub fn discard(store: &Store, path: &Path) -> Result<()> {
    store.remove_tree(&taken_out(store, path)?)
}

fn taken_out(store: &Store, path: &Path) -> Result<PathBuf> {
    if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"gone")) {
        return Ok(path.to_owned());
    }
    let gone = fresh_name(&store.root().join("tmp"), "gone");
    match std::fs::rename(path, &gone) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(gone),
        Err(error) if is_full(&error) => Ok(path.to_owned()),
        Err(error) => Err(Error::io(format_args!("rename {}", path.display()), &error)),
        Ok(()) => Ok(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestStore;
    use super::*;

    #[test]
    fn what_is_put_away_is_out_of_sight_and_swept_by_nobody_else() {
        let store = TestStore::new();
        let dir = store.dir("images").unwrap().join("x");
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        let gone = store.put_away(&dir).unwrap();
        assert!(!dir.exists());
        sweep(&store, Patience::endless()).unwrap();
        assert_eq!(store.names_in("tmp").unwrap().len(), 1);
        drop(gone);
        assert_eq!(store.names_in("tmp").unwrap().len(), 0);
        assert!(store.put_away(&dir).unwrap().remove(Patience::endless()).unwrap());
    }

    #[test]
    fn what_a_killed_remover_left_is_swept() {
        let store = TestStore::new();
        let dir = store.dir("images").unwrap().join("x");
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        let mut gone = store.put_away(&dir).unwrap();
        (gone.path, gone.lock) = (None, None);
        drop(gone);
        assert_eq!(store.names_in("tmp").unwrap().len(), 1);
        sweep(&store, Patience::endless()).unwrap();
        assert_eq!(store.names_in("tmp").unwrap().len(), 0);
    }
}
