//! The one error type: what failed, why, and the way out, told in one line.

use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

/// A failure. `Display` is the text behind `ccrun: `: lower case, no full stop,
/// never more than one line whatever a registry or an image put into it.
pub struct Error(Box<Failure>);

struct Failure {
    /// What failed and on what: `pull alpine`, or a call with its arguments.
    what: String,
    /// What it was part of, the innermost first.
    contexts: Vec<String>,
    /// The kernel's answer, when it was a system call that failed.
    errno: Option<i32>,
    /// What the user can do about it.
    hint: Option<String>,
    /// The exit status that this failure asks for, where it is not the command's usual one.
    status: Option<u8>,
}

/// The words of an error. `format_args!` takes fewer bytes of the binary than `format!`, as the text is made here.
pub trait Text {
    fn text(self) -> String;
}

impl Text for &str {
    fn text(self) -> String {
        self.to_owned()
    }
}

impl Text for &String {
    fn text(self) -> String {
        self.clone()
    }
}

impl Text for String {
    fn text(self) -> String {
        self
    }
}

impl Text for fmt::Arguments<'_> {
    fn text(self) -> String {
        self.to_string()
    }
}

impl Error {
    /// A failure that is no system call's.
    pub fn new(what: impl Text) -> Error {
        Error(Box::new(Failure { what: what.text(), contexts: Vec::new(), errno: None, hint: None, status: None }))
    }

    /// A system call, written as it would be in C with its arguments, that answered `errno`.
    pub fn call(call: impl Text, errno: i32) -> Error {
        let mut error = Error::new(call);
        error.0.errno = Some(errno);
        error
    }

    /// What std's file functions answered for `what` (a verb and a path: `read /etc/subuid`).
    pub fn io(what: impl Text, error: &std::io::Error) -> Error {
        match error.raw_os_error() {
            Some(errno) => Error::call(what, errno),
            None => Error::new(format_args!("{}: {error}", what.text())),
        }
    }

    /// Says what the failed thing was part of; the newest context is printed first.
    pub fn context(mut self, context: impl Text) -> Error {
        self.0.contexts.push(context.text());
        self
    }

    /// Says what the user can do; the first hint given is kept, as it knows most.
    pub fn hint(mut self, hint: impl Text) -> Error {
        self.0.hint.get_or_insert_with(|| hint.text());
        self
    }

    /// Asks for an exit status (125, 126, 127) other than the command's usual one.
    pub fn with_status(mut self, status: u8) -> Error {
        self.0.status.get_or_insert(status);
        self
    }

    /// Says what failed in other words; the kernel's answer stays.
    pub fn renamed(mut self, what: impl Text) -> Error {
        if self.0.errno.is_some() {
            self.0.what = what.text();
        }
        self
    }

    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    pub fn status(&self) -> Option<u8> {
        self.0.status
    }

    /// The error as bytes, for the way from a cloned child to its parent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Failure { what, contexts, errno, hint, status } = &*self.0;
        let number = |n: Option<i32>| n.map(|n| n.to_string()).unwrap_or_default();
        let mut fields =
            vec![number(*errno), number(status.map(i32::from)), hint.clone().unwrap_or_default(), what.clone()];
        fields.extend(contexts.iter().cloned());
        fields.join("\0").into_bytes()
    }

    /// The error that [`Error::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Error {
        let text = String::from_utf8_lossy(bytes);
        let mut fields = text.split('\0').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_default();
        let (errno, status, hint, what) = (field(), field(), field(), field());
        Error(Box::new(Failure {
            what,
            contexts: fields.collect(),
            errno: errno.parse().ok(),
            hint: (!hint.is_empty()).then_some(hint),
            status: status.parse().ok(),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { what, contexts, errno, hint, .. } = &*self.0;
        for context in contexts.iter().rev() {
            write!(f, "{}: ", Visible(cut(context)))?;
        }
        write!(f, "{}", Visible(cut(what)))?;
        if let Some(errno) = errno {
            let text = std::io::Error::from_raw_os_error(*errno).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            write!(f, ": {text} ({})", errno_name(*errno))?;
        }
        if let Some(hint) = hint {
            write!(f, "; {}", Visible(cut(hint)))?;
        }
        Ok(())
    }
}

/// As much of a part of an error as somebody reads; what it quotes from outside may be megabytes long.
fn cut(text: &str) -> &str {
    const LONGEST: usize = 4096;
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Text from outside (images, registries, file names) made safe to print: control
/// and bidirectional characters become `\xNN` or `\u{NNNN}`, so that they can
/// neither move the cursor nor forge a line.
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for c in self.0.chars() {
            match c {
                '\0'..='\x1f' | '\x7f'..='\u{9f}' => write!(f, "\\x{:02x}", c as u32)?,
                '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}' => {
                    write!(f, "\\u{{{:04x}}}", c as u32)?;
                }
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The symbolic name of an errno, `E?` and its number where we have none.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::ENXIO => "ENXIO",
        libc::E2BIG => "E2BIG",
        libc::ENOEXEC => "ENOEXEC",
        libc::EBADF => "EBADF",
        libc::ECHILD => "ECHILD",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EXDEV => "EXDEV",
        libc::ENODEV => "ENODEV",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::EMFILE => "EMFILE",
        libc::ENOTTY => "ENOTTY",
        libc::ETXTBSY => "ETXTBSY",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::ESPIPE => "ESPIPE",
        libc::EROFS => "EROFS",
        libc::EMLINK => "EMLINK",
        libc::EPIPE => "EPIPE",
        libc::ERANGE => "ERANGE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::ELOOP => "ELOOP",
        libc::EUSERS => "EUSERS",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::ESTALE => "ESTALE",
        libc::EDQUOT => "EDQUOT",
        other => return format!("E?{other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_the_outermost_context_first() {
        let error = Error::call("mount(\"overlay\")", libc::EPERM)
            .context("make the root")
            .context("run alpine")
            .hint("try root");
        assert_eq!(
            error.to_string(),
            "run alpine: make the root: mount(\"overlay\"): Operation not permitted (EPERM); try root"
        );
    }

    #[test]
    fn nobody_can_make_an_error_long() {
        let error = Error::new("é".repeat(1 << 20)).context("x".repeat(1 << 20)).hint("y".repeat(1 << 20)).to_string();
        assert!(error.len() < 3 * 4096 + 10 && error.starts_with("xxx") && error.ends_with("yyy"));
    }

    #[test]
    fn an_error_survives_the_way_from_child_to_parent() {
        let error = Error::call("setresuid(7)", libc::EINVAL).context("user bob").hint("use root").with_status(126);
        let back = Error::from_bytes(&error.to_bytes());
        assert_eq!(back.to_string(), error.to_string());
        assert_eq!((back.errno(), back.status()), (Some(libc::EINVAL), Some(126)));
    }

    #[test]
    fn control_and_bidirectional_characters_are_made_visible() {
        let error = Error::new("tag \x1b]0;owned\x07\n\u{202e}gpj\u{9b}");
        assert_eq!(error.to_string(), "tag \\x1b]0;owned\\x07\\x0a\\u{202e}gpj\\x9b");
    }
}
