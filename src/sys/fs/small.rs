//! Small files by path: read and written with as few calls as the kernel allows.
//!
//! std asks fstat(2) for a size that /proc does not know, and then reads in steps
//! of 32, 32, 64, … bytes; musl's open(3) sets close-on-exec a second time.

use super::{open, read, write};
use crate::error::{Error, Result};
use crate::sys::cstr;
use libc::{O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// More than the kernel gives of one of its files at a time.
const AT_ONCE: usize = 8 << 10;

/// All of a file. An error says `read PATH`, whichever call failed.
pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read_path(path.as_ref())
}

fn read_path(path: &Path) -> Result<Vec<u8>> {
    let file = cstr(path).and_then(|path| open(&path, O_RDONLY, 0));
    file.and_then(|file| read_to_end(file.as_fd(), usize::MAX))
        .map_err(|error| error.renamed(format_args!("read {}", path.display())))
}

/// The same of a file that holds text; EILSEQ when it is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    text_of(path.as_ref())
}

fn text_of(path: &Path) -> Result<String> {
    String::from_utf8(read_path(path)?).map_err(|_| Error::call(format_args!("read {}", path.display()), libc::EILSEQ))
}

/// The same of a file that comes in one piece, so that nobody has to ask whether there is more: a file on a disk, or
/// one of the kernel's that holds one record (a list such as mountinfo comes a page at a time).
pub fn read_record(path: impl AsRef<Path>) -> Result<String> {
    record_of(path.as_ref())
}

fn record_of(path: &Path) -> Result<String> {
    let mut buffer = [0; AT_ONCE];
    let opened = cstr(path).and_then(|path| open(&path, O_RDONLY, 0));
    let size = opened.and_then(|file| read(file.as_fd(), &mut buffer));
    match size.map_err(|error| error.renamed(format_args!("read {}", path.display())))? {
        AT_ONCE => text_of(path),
        size => String::from_utf8(buffer[..size].to_vec())
            .map_err(|_| Error::call(format_args!("read {}", path.display()), libc::EILSEQ)),
    }
}

/// What is left of an open file, but no more than `most` bytes and what comes with them.
pub fn read_to_end(file: BorrowedFd<'_>, most: usize) -> Result<Vec<u8>> {
    let mut buffer = [0; AT_ONCE];
    let mut bytes = Vec::new();
    loop {
        match read(file, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(size) => bytes.extend_from_slice(&buffer[..size]),
            Err(error) if error.errno() == Some(libc::EINTR) => continue,
            Err(error) => return Err(error),
        }
        if bytes.len() > most {
            return Ok(bytes);
        }
    }
}

/// Writes a text to a file that is there, in one piece, as the kernel wants it of its own files.
pub fn write_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    write_path(path.as_ref(), text)
}

fn write_path(path: &Path, text: &str) -> Result<()> {
    let file = cstr(path).and_then(|path| open(&path, O_WRONLY, 0));
    file.and_then(|file| write_all(file.as_fd(), text.as_bytes()))
        .map_err(|error| error.renamed(format_args!("write {:?} to {}", text.trim_end(), path.display())))
}

/// Makes a file with these bytes, or writes them over what it has.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<()> {
    let path = path.as_ref();
    let file = cstr(path).and_then(|path| open(&path, O_WRONLY | O_CREAT | O_TRUNC, mode));
    file.and_then(|file| write_all(file.as_fd(), bytes))
        .map_err(|error| error.renamed(format_args!("write {}", path.display())))
}

/// Writes all of `bytes`.
pub fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(0) => return Err(Error::call("write", libc::ENOSPC)),
            Ok(size) => bytes = &bytes[size..],
            Err(error) if error.errno() == Some(libc::EINTR) => continue,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_longer_than_a_buffer_come_whole() {
        let path = std::env::temp_dir().join(format!("ccrun-small-{}", std::process::id()));
        let text = "0123456789abcde\n".repeat(AT_ONCE / 8);
        std::fs::write(&path, "").unwrap();
        write_text(&path, &text).unwrap();
        assert_eq!(read_text(&path).unwrap(), text);
        let file = open(&cstr(&path).unwrap(), O_RDONLY, 0).unwrap();
        assert_eq!(read_to_end(file.as_fd(), 100).unwrap().len(), AT_ONCE);
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err().errno(), Some(libc::EILSEQ));
        std::fs::remove_file(&path).unwrap();
        let missing = [read_file(&path).err(), write_text(&path, "x").err()].map(|e| e.unwrap().to_string());
        assert!(missing[0].starts_with(&format!("read {}: No such file", path.display())), "{missing:?}");
        assert!(missing[1].starts_with(&format!("write \"x\" to {}: No such file", path.display())), "{missing:?}");
        assert!(read_text("/proc/self/mountinfo").unwrap().contains(" /proc "));
    }
}
