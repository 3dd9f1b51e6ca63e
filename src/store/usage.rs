//! How much room things take.

use super::Store;
use crate::error::{Error, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use libc::{AT_SYMLINK_NOFOLLOW, O_DIRECTORY, O_NOFOLLOW, O_RDONLY};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

impl Store {
    /// How many bytes the files below the directory `path` hold, each counted once whatever its names. What
    /// a container's users have closed to us is counted in the sandbox, where we are root of it.
    pub fn usage(&self, path: &Path) -> Result<u64> {
        let dir = match fs::open(&crate::sys::cstr(path)?, O_RDONLY | O_DIRECTORY, 0) {
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(0),
            Err(error) => Err(error),
            Ok(dir) => below(dir),
        };
        match dir {
            Err(error) if error.errno() == Some(libc::EACCES) => {}
            counted => return counted,
        }
        let sandboxed = self.sandbox().spawn(path, &mut || {
            let root = fs::open(c"/", O_RDONLY | O_DIRECTORY, 0)?;
            below(root).map(|bytes| bytes.to_be_bytes().to_vec())
        })?;
        let told = sandboxed.wait()?;
        told.try_into().map(u64::from_be_bytes).map_err(|_| Error::new("not a number of bytes"))
    }
}

/// A directory on the way down.
struct Level {
    /// Its name in the directory above.
    name: CString,
    id: (u64, u64),
    /// Directories in it that are not counted yet.
    left: Vec<CString>,
}

/// Goes through all of `top` whatever its depth: no recursion, three open directories at most.
fn below(top: OwnedFd) -> Result<u64> {
    let open = |dir: BorrowedFd<'_>, name: &CStr| fs::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    let mut counted = Counted::default();
    let mut dir = open(top.as_fd(), c".")?;
    let mut levels = vec![counted.level(CString::default(), dir.as_fd())?];
    loop {
        let mut up = 0;
        while levels.last().is_some_and(|level| level.left.is_empty()) {
            levels.pop();
            up += 1;
        }
        let Some(level) = levels.last_mut() else { return Ok(counted.bytes) };
        let (id, next) = (level.id, level.left.pop().unwrap_or_default());
        if up > 0 {
            // The shorter way: below a bind mount each `..` looks at all that is above it.
            let names = levels.iter().skip(1).map(|level| level.name.as_c_str());
            let way: Vec<&CStr> = if up < levels.len() { vec![c".."; up] } else { names.collect() };
            let start = if up < levels.len() { dir } else { open(top.as_fd(), c".")? };
            let there = way.into_iter().try_fold(start, |dir, name| open(dir.as_fd(), name));
            let stat = there.and_then(|there| Ok((fs::fstat(there.as_fd())?, there)));
            match stat {
                Ok((stat, there)) if (stat.dev, stat.ino) == id => dir = there,
                // A running container has moved the directory: what is left cannot be found any more.
                _ => return Ok(counted.bytes),
            }
        }
        match open(dir.as_fd(), &next) {
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {}
            inner => {
                dir = inner?;
                levels.push(counted.level(next, dir.as_fd())?);
            }
        }
    }
}

#[derive(Default)]
struct Counted {
    bytes: u64,
    /// Files with several names that are counted already.
    seen: HashSet<(u64, u64)>,
}

impl Counted {
    /// Counts the files in a directory, and finds the directories.
    fn level(&mut self, name: CString, dir: BorrowedFd<'_>) -> Result<Level> {
        let stat = fs::fstat(dir)?;
        let mut level = Level { name, id: (stat.dev, stat.ino), left: Vec::new() };
        for entry in fs::entries_of(dir) {
            let entry = entry?;
            // A running container's files come and go.
            let Ok(stat) = fs::fstatat(dir, &entry.name, AT_SYMLINK_NOFOLLOW) else { continue };
            if stat.is_dir() {
                level.left.push(entry.name);
            } else if stat.kind() == libc::S_IFREG && (stat.nlink == 1 || self.seen.insert((stat.dev, stat.ino))) {
                self.bytes += stat.size;
            }
        }
        Ok(level)
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
        // Long ways up and down.
        for start in ["m", "x/y/z", "k/l"] {
            let mut deep = dir.join(start);
            for level in 0..40 {
                deep.push(level.to_string());
                std::fs::create_dir_all(deep.join("side")).unwrap();
                std::fs::write(deep.join("side/f"), "12").unwrap();
            }
        }
        assert_eq!(store.usage(&dir).unwrap(), 1001 + 3 * 40 * 2);
        assert_eq!(store.usage(&dir.join("nothing")).unwrap(), 0);
    }
}
