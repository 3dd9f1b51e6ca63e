//! Removes a tree by descriptors, whatever its depth: no recursion, three open directories at most.

use crate::error::Result;
use crate::sys::fd::OwnedFd;
use crate::sys::{cred, fs, signal};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;

/// How long a removal may take.
#[derive(Clone, Copy)]
pub struct Patience {
    end: Option<Instant>,
    /// Signals that had come before it began, while all were blocked.
    old: u64,
}

impl Patience {
    /// As long as it takes, but no longer than until the user wants to end it.
    pub fn endless() -> Patience {
        Patience { end: None, old: signal::pending() }
    }

    /// What a user does not notice, for commands that tidy up after others.
    pub fn short() -> Patience {
        Patience { end: Some(Instant::now() + Duration::from_millis(300)), ..Patience::endless() }
    }

    pub fn is_over(&self) -> bool {
        let is_new = |signal: i32| (signal::pending() & !self.old) >> (signal - 1) & 1 == 1;
        self.end.is_some_and(|end| Instant::now() > end) || signal::ENDING.into_iter().any(is_new)
    }
}

/// How many names are removed before [`Patience`] is asked again.
const AT_ONCE: u32 = 64;

/// No honest tree has more levels; what is below is moved up.
const DEEP: usize = 64;

/// A directory on the way down.
struct Level {
    /// Its name in the directory above.
    name: CString,
    /// Directories in it that are still there.
    left: Vec<CString>,
}

/// Removes `name` in `parent` and everything in it; symlinks are removed, never followed.
/// Nobody else may move directories meanwhile: the way back up is `..`.
pub fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    Removal { look: None, patience: None, count: 0, moved: 0, path: Vec::new() }.run(parent, name).map(drop)
}

/// The same until `patience` is over; returns whether all is removed. What is left can be removed later.
pub fn remove_with(parent: BorrowedFd<'_>, name: &CStr, patience: Patience) -> Result<bool> {
    Removal { look: None, patience: Some(patience), count: 0, moved: 0, path: Vec::new() }.run(parent, name)
}

/// Who sees something last: the directory it is in, its name there, and the path that leads there
/// from what is removed.
pub type LastLook<'a> = &'a mut dyn FnMut(BorrowedFd<'_>, &CStr, &[u8]) -> Result<()>;

/// As [`remove`]; `look` sees everything that is no directory before it goes.
pub fn remove_seen(parent: BorrowedFd<'_>, name: &CStr, look: LastLook<'_>) -> Result<()> {
    Removal { look: Some(look), patience: None, count: 0, moved: 0, path: Vec::new() }.run(parent, name).map(drop)
}

struct Removal<'a> {
    look: Option<LastLook<'a>>,
    patience: Option<Patience>,
    count: u32,
    /// How many directories were moved up.
    moved: u32,
    /// From what is removed to the present directory; kept only for `look`.
    path: Vec<u8>,
}

impl Removal<'_> {
    /// Returns false if it was broken off.
    fn run(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
        if !is_dir(parent, name, libc::DT_UNKNOWN)? {
            if let Some(look) = &mut self.look {
                look(parent, name, b"")?;
            }
            return fs::unlinkat(parent, name, 0).map(|()| true);
        }
        if removed(parent, name)? {
            return Ok(true);
        }
        let is_root = cred::geteuid() == 0;
        let mut dir = entered(parent, name, is_root)?;
        let top = fs::openat(dir.as_fd(), c".", DIRECTORY, 0)?;
        let mut levels = Vec::new();
        let Some(left) = self.emptied(dir.as_fd())? else { return Ok(false) };
        levels.push(Level { name: name.to_owned(), left });
        while let Some(level) = levels.last_mut() {
            if let Some(inner) = level.left.pop() {
                if self.is_over() {
                    return Ok(false);
                }
                if removed(dir.as_fd(), &inner)? {
                    continue;
                }
                let moved = if levels.len() < DEEP { None } else { self.moved_up(dir.as_fd(), &inner, top.as_fd()) };
                if let Some(moved) = moved {
                    levels[0].left.push(moved);
                } else {
                    dir = entered(dir.as_fd(), &inner, is_root)?;
                    if self.look.is_some() {
                        self.path.push(b'/');
                        self.path.extend_from_slice(inner.to_bytes());
                    }
                    let Some(left) = self.emptied(dir.as_fd())? else { return Ok(false) };
                    levels.push(Level { name: inner, left });
                }
                continue;
            }
            let done = levels.pop();
            if let (Some(done), false) = (done, levels.is_empty()) {
                dir = fs::openat(dir.as_fd(), c"..", DIRECTORY, 0)?;
                self.path.truncate(self.path.len().saturating_sub(done.name.count_bytes() + 1));
                gone_is_fine(fs::unlinkat(dir.as_fd(), &done.name, libc::AT_REMOVEDIR))?;
            }
        }
        gone_is_fine(fs::unlinkat(parent, name, libc::AT_REMOVEDIR)).map(|()| true)
    }

    /// Moves a directory to the top of what is removed, where it is removed in its turn; nothing where that fails.
    /// Below a bind mount each `..` looks at the whole way up, so that a deep tree would take time by its depth's square.
    fn moved_up(&mut self, dir: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>) -> Option<CString> {
        if self.look.is_some() {
            return None;
        }
        self.moved += 1;
        let new = CString::new(format!(".ccrun-deep-{}", self.moved)).ok()?;
        fs::renameat2(dir, name, top, &new, libc::RENAME_NOREPLACE).ok().map(|()| new)
    }

    /// Unlinks all in `dir` that is no directory; returns the directories, or nothing if it was broken off.
    fn emptied(&mut self, dir: BorrowedFd<'_>) -> Result<Option<Vec<CString>>> {
        let mut left = Vec::new();
        for entry in fs::entries_of(dir) {
            let entry = entry?;
            if self.is_over() {
                return Ok(None);
            }
            match is_dir(dir, &entry.name, entry.kind) {
                Ok(true) => left.push(entry.name),
                Ok(false) => {
                    if let Some(look) = &mut self.look {
                        look(dir, &entry.name, &[&self.path, &b"/"[..], entry.name.to_bytes()].concat())?;
                    }
                    gone_is_fine(fs::unlinkat(dir, &entry.name, 0))?;
                }
                Err(error) => gone_is_fine(Err(error))?,
            }
        }
        Ok(Some(left))
    }

    fn is_over(&mut self) -> bool {
        self.count = self.count.wrapping_add(1);
        self.count.is_multiple_of(AT_ONCE) && self.patience.is_some_and(|patience| patience.is_over())
    }
}

/// Opens a directory of ours whatever its mode, so that it can be emptied.
fn entered(parent: BorrowedFd<'_>, name: &CStr, is_root: bool) -> Result<OwnedFd> {
    let open = || fs::openat(parent, name, DIRECTORY | libc::O_NOFOLLOW, 0);
    let dir = match open() {
        Err(error) if error.errno() == Some(libc::EACCES) => {
            fs::fchmodat(parent, name, 0o700).map_err(|_| error)?;
            open()?
        }
        opened => opened?,
    };
    if !is_root && fs::fstat(dir.as_fd())?.mode & 0o300 != 0o300 {
        // Where it is not ours to change, the next call fails and says why.
        let _ = fs::fchmod(dir.as_fd(), 0o700);
    }
    Ok(dir)
}

/// Somebody else may be removing the same tree.
fn gone_is_fine(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// Whether something is a directory, which is only asked when reading the directory has not told.
fn is_dir(dir: BorrowedFd<'_>, name: &CStr, kind: u8) -> Result<bool> {
    match kind {
        libc::DT_UNKNOWN => fs::fstatat(dir, name, libc::AT_SYMLINK_NOFOLLOW).map(|stat| stat.is_dir()),
        kind => Ok(kind == libc::DT_DIR),
    }
}

/// Removes an empty directory; false if it is not empty.
fn removed(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    match fs::remove_if_empty(dir, name) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(true),
        Err(error) if error.errno() == Some(libc::EEXIST) => Ok(false),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_deep_tree_with_branches_is_removed() {
        let top = std::env::temp_dir().join(format!("ccrun-remove-{}", std::process::id()));
        let mut dir = top.clone();
        for level in 0..300 {
            std::fs::create_dir_all(dir.join("branch/leaf")).unwrap();
            std::fs::write(dir.join(".ccrun-deep-1"), level.to_string()).unwrap();
            dir.push("d");
            std::fs::create_dir(&dir).unwrap();
        }
        let name = |path: &Path| CString::new(path.file_name().unwrap().as_encoded_bytes()).unwrap();
        let parent = std::fs::File::open(top.parent().unwrap()).unwrap();
        assert!(remove_with(parent.as_fd(), &name(&top), Patience::endless()).unwrap() && !top.exists());
    }
}
