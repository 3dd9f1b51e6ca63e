//! Files that lie under a name of their own until they are whole and are renamed.

use super::{CWD, open, renameat2, unlink, write_all};
use crate::error::{Error, Result};
use crate::sys::cstr;
use crate::sys::fd::OwnedFd;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// `name`, then `name-1`, `name-2`, …: names to try until one is free.
pub fn temporary_names(name: &Path) -> impl Iterator<Item = PathBuf> {
    const TRIES: u32 = 100;
    let numbered = |at| [name.as_os_str(), format!("-{at}").as_ref()].into_iter().collect::<OsString>().into();
    std::iter::once(name.to_owned()).chain((1..TRIES).map(numbered))
}

/// Creates a file under the first of these names that is free, and returns it with its name. Never opens what is there
/// already: such a name can be guessed, and another user may have put a file or a link there.
pub fn create_temporary(name: &Path, mode: u32) -> Result<(OwnedFd, PathBuf)> {
    const NEW: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    for path in temporary_names(name) {
        match open(&cstr(&path)?, NEW, mode) {
            Err(error) if error.errno() == Some(libc::EEXIST) => {}
            made => return made.map(|file| (file, path)),
        }
    }
    Err(Error::call(format_args!("open {}", name.display()), libc::EEXIST))
}

/// A name for a file that is to become `path`, beside it, that no other process of ours uses.
pub fn name_beside(path: &Path) -> PathBuf {
    path.with_extension(format!("new{}", crate::sys::process::getpid()))
}

/// Writes a small file whole or not at all: readers see the old one or the new one. Until then it is called `half`, or
/// much like that, in a directory of the same file system. `finish` sees the file before it gets its name, to give it
/// an owner, or to have it on the disk ([`fsync`](super::fsync)) where it must survive a power loss.
pub fn replace_file(
    path: &Path,
    half: &Path,
    bytes: &[u8],
    mode: u32,
    finish: &dyn Fn(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    let replaced = create_temporary(half, mode).and_then(|(file, half)| {
        let written =
            write_all(file.as_fd(), bytes).and_then(|()| finish(file.as_fd())).and_then(|()| rename(&half, path));
        written.inspect_err(|_| drop(unlink(&half)))
    });
    replaced.map_err(|error| error.renamed(format_args!("write {}", path.display())))
}

/// `renameat2(2)`: `to` is replaced, if it is there.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    renameat2(CWD, &cstr(from)?, CWD, &cstr(to)?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::fsync;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ccrun-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn what_is_there_is_never_opened() {
        let dir = directory("temporary");
        let (name, other) = (dir.join("new"), dir.join("other"));
        std::fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &name).unwrap();
        std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("new-1")).unwrap();
        std::fs::write(dir.join("new-2"), "theirs").unwrap();
        let (file, path) = create_temporary(&name, 0o600).unwrap();
        write_all(file.as_fd(), b"ours").unwrap();
        assert_eq!(path, dir.join("new-3"));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
        assert_eq!(std::fs::read_to_string(dir.join("new-2")).unwrap(), "theirs");
        assert!(!dir.join("nowhere").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = directory("replace");
        let path = dir.join("file.json");
        let replace = |bytes: &[u8], finish: &dyn Fn(BorrowedFd<'_>) -> Result<()>| {
            replace_file(&path, &name_beside(&path), bytes, 0o600, finish)
        };
        replace(b"one", &|_| Ok(())).unwrap();
        let seen = || (std::fs::read(&path).unwrap(), std::fs::read_dir(&dir).unwrap().count());
        assert_eq!(seen(), (b"one".to_vec(), 1));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // The new file has its bytes, and the old one its name, while it is finished.
        let finish = |file: BorrowedFd<'_>| {
            assert_eq!((super::super::fstat(file)?.size, seen()), (5, (b"one".to_vec(), 2)));
            fsync(file)
        };
        replace(b"three", &finish).unwrap();
        assert_eq!(seen(), (b"three".to_vec(), 1));
        let refused = replace(b"four", &|_| Err(Error::call("fchown", libc::EPERM))).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("write {}: ", path.display())) && refused.ends_with("(EPERM)"));
        assert_eq!(seen(), (b"three".to_vec(), 1));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(replace(b"five", &|_| Ok(())).unwrap_err().errno(), Some(libc::EISDIR));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
