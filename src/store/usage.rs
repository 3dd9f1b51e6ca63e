//! How much room things take.

use super::Store;
use crate::error::{Error, Result};
use crate::sys::fs;
use libc::{AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_NOFOLLOW, O_RDONLY};
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Directories deeper than this are not looked into; no honest tree has them.
const DEPTH: usize = 256;

impl Store {
    /// How many bytes the files below the directory `path` hold, each counted once whatever its names. What
    /// a container's users have closed to us is counted behind the walls, where we are root of it.
    pub fn usage(&self, path: &Path) -> Result<u64> {
        let dir = match fs::open(&crate::sys::cstr(path)?, O_RDONLY | O_DIRECTORY, 0) {
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(0),
            Err(error) => Err(error),
            Ok(dir) => below(dir.as_fd(), &mut HashSet::new(), 0),
        };
        match dir {
            Err(error) if error.errno() == Some(libc::EACCES) => {}
            counted => return counted,
        }
        let walled = self.walls().spawn(path, &mut || {
            let root = fs::open(c"/", O_RDONLY | O_DIRECTORY, 0)?;
            below(root.as_fd(), &mut HashSet::new(), 0).map(|bytes| bytes.to_be_bytes().to_vec())
        })?;
        let told = walled.wait()?;
        told.try_into().map(u64::from_be_bytes).map_err(|_| Error::new("not a number of bytes"))
    }
}

fn below(dir: BorrowedFd<'_>, seen: &mut HashSet<(u64, u64)>, depth: usize) -> Result<u64> {
    let mut bytes = 0;
    loop {
        let entries = fs::getdents(dir)?;
        if entries.is_empty() {
            return Ok(bytes);
        }
        for entry in entries {
            // A running container's files come and go.
            let Ok(stat) = fs::fstatat(dir, &entry.name, AT_SYMLINK_NOFOLLOW) else { continue };
            if stat.is_dir() {
                if depth < DEPTH {
                    bytes += match fs::openat(dir, &entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) {
                        Err(error) if error.errno() == Some(libc::ENOENT) => 0,
                        inner => below(inner?.as_fd(), seen, depth + 1)?,
                    };
                }
            } else if stat.kind() == libc::S_IFREG && (stat.nlink == 1 || seen.insert((stat.dev, stat.ino))) {
                bytes += stat.size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestStore;

    #[test]
    fn each_file_counts_once() {
        let store = TestStore::new();
        let dir = store.dir("tmp").unwrap().join("tree");
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/b/file"), vec![0; 1000]).unwrap();
        std::fs::hard_link(dir.join("a/b/file"), dir.join("again")).unwrap();
        std::os::unix::fs::symlink("a/b/file", dir.join("link")).unwrap();
        std::fs::write(dir.join("small"), "x").unwrap();
        assert_eq!(store.usage(&dir).unwrap(), 1001);
        assert_eq!(store.usage(&dir.join("nothing")).unwrap(), 0);
    }
}
