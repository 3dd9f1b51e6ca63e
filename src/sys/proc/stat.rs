//! /proc/PID/stat (proc_pid_stat(5)).

use crate::error::Result;
use crate::sys::{cstr, fs};
use libc::pid_t;
use std::os::fd::AsFd;
use std::path::Path;
use std::str::FromStr;

/// The file of one process.
pub struct Stat(Vec<u8>);

impl Stat {
    /// `None` when there is no such process.
    pub fn of(pid: pid_t) -> Option<Stat> {
        Stat::read(format!("/proc/{pid}/stat")).ok()
    }

    pub fn own() -> Result<Stat> {
        Stat::read("/proc/self/stat")
    }

    fn read(path: impl AsRef<Path>) -> Result<Stat> {
        // As bytes: the process's name may not be UTF-8.
        let file = fs::open(&cstr(path.as_ref())?, libc::O_RDONLY, 0)?;
        let mut text = vec![0; 1024];
        let size = fs::read(file.as_fd(), &mut text)?;
        text.truncate(size);
        Ok(Stat(text))
    }

    /// A field by its number in the man page, from 4 on. Fields are counted after the name in parentheses, which may hold
    /// any bytes.
    pub fn number<T: FromStr>(&self, field: usize) -> Option<T> {
        self.field(field)?.parse().ok()
    }

    fn field(&self, field: usize) -> Option<&str> {
        let name_end = self.0.iter().rposition(|byte| *byte == b')')?;
        // A blank comes first, then field 3.
        let mut fields = self.0.get(name_end + 1..)?.split(|byte| byte.is_ascii_whitespace());
        std::str::from_utf8(fields.nth(field.checked_sub(2)?)?).ok()
    }
}

#[cfg(test)]
impl From<&[u8]> for Stat {
    fn from(text: &[u8]) -> Stat {
        Stat(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &[u8]) -> [Option<i64>; 3] {
        [4, 5, 7].map(|field| Stat::from(text).number(field))
    }

    #[test]
    fn a_process_may_have_any_name() {
        for name in [&b"sh"[..], b"", b") S 1 2 3 4 (", b"a\nb) ", b"\xff\xfe", b"(((", b")"] {
            let text = [b"7 (", name, b") S -3 8 9 10\n"].concat();
            assert_eq!(numbers(&text), [Some(-3), Some(8), Some(10)], "{}", name.escape_ascii());
        }
    }

    #[test]
    fn missing_fields_are_none() {
        assert_eq!(numbers(b"7 (a) S 3 x"), [Some(3), None, None]);
        for text in [&b""[..], b"7", b"7 (a", b"7 (a)", b"7 (a) ", b"7 (a) S", b"7 (a) S \xff 8"] {
            assert_eq!(numbers(text)[0], None, "{}", text.escape_ascii());
        }
        assert_eq!(Stat::from(&b"7 (a) S 3"[..]).number::<u64>(1), None);
    }

    #[test]
    fn our_own_is_read() {
        let parent: Option<pid_t> = Stat::own().unwrap().number(4);
        assert_eq!(parent, Some(crate::sys::process::getppid()));
        assert!(Stat::of(-1).is_none());
    }
}
