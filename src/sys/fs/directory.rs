//! The names in a directory, whatever their number.

use crate::error::Result;
use crate::sys::returned;
use crate::sys::shown::Fd;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A name in a directory, with its type as far as the file system tells it (`libc::DT_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: CString,
    pub kind: u8,
}

/// What [`entries_of`] returns.
pub struct Entries<'a> {
    dir: BorrowedFd<'a>,
    some: std::vec::IntoIter<DirEntry>,
    is_over: bool,
}

/// The names in an open directory from where it is read, without `.` and `..`, in the kernel's order. Some hundreds
/// are held at a time. The directory may change meanwhile: what is removed on the way makes no other name missing.
pub fn entries_of(dir: BorrowedFd<'_>) -> Entries<'_> {
    Entries { dir, some: Vec::new().into_iter(), is_over: false }
}

impl Iterator for Entries<'_> {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Result<DirEntry>> {
        if self.some.len() == 0 && !self.is_over {
            match getdents(self.dir) {
                Ok(some) => {
                    self.is_over = some.is_empty();
                    self.some = some.into_iter();
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        self.some.next().map(Ok)
    }
}

/// `getdents64(2)`: the next names of a directory without `.` and `..`; none at its end.
pub(in crate::sys) fn getdents(dir: BorrowedFd<'_>) -> Result<Vec<DirEntry>> {
    let fd = dir.as_raw_fd();
    let mut buffer = [0u8; 32768];
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
        let length = unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()) };
        let length = returned(length, format_args!("getdents64({})", Fd(fd)))? as usize;
        let entries = dirents(buffer.get(..length).unwrap_or_default());
        if length == 0 || !entries.is_empty() {
            return Ok(entries);
        }
    }
}

/// Takes linux_dirent64 apart: inode (8 bytes), offset (8), record length (2), type (1), name, zeros.
fn dirents(mut records: &[u8]) -> Vec<DirEntry> {
    let mut entries = Vec::new();
    while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, kind, name @ ..] = records {
        let length = u16::from_ne_bytes([*low, *high]) as usize;
        match CStr::from_bytes_until_nul(name) {
            Ok(name) if name != c"." && name != c".." => entries.push(DirEntry { name: name.to_owned(), kind: *kind }),
            _ => {}
        }
        records = records.get(length.max(1)..).unwrap_or_default();
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs;
    use std::os::fd::AsFd;

    #[test]
    fn all_names_come_even_if_they_are_removed_meanwhile() {
        let path = std::env::temp_dir().join(format!("ccrun-entries-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        // More than one call returns.
        for number in 0..3000 {
            std::fs::write(path.join(format!("a-name-of-some-length-{number}")), "").unwrap();
        }
        let dir = fs::open(&crate::sys::cstr(&path).unwrap(), libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        let mut entries = entries_of(dir.as_fd());
        let mut count = 0;
        for entry in &mut entries {
            fs::unlinkat(dir.as_fd(), &entry.unwrap().name, 0).unwrap();
            count += 1;
        }
        assert_eq!((count, entries.next().is_none()), (3000, true));
        std::fs::remove_dir(&path).unwrap();
        let file = fs::open(c"/etc/passwd", libc::O_RDONLY, 0).unwrap();
        let answers: Vec<_> = entries_of(file.as_fd()).map(|entry| entry.unwrap_err().errno()).collect();
        assert_eq!(answers, [Some(libc::ENOTDIR)]);
    }
}
