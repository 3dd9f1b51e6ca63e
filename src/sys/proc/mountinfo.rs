//! /proc/PID/mountinfo (proc_pid_mountinfo(5)).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// One mount, as its line has it:
/// `36 35 98:0 /root /point options [optional fields] - kind source options`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The mount id, as in statx(2).
    pub id: u64,
    root: &'a [u8],
    point: &'a [u8],
    options: &'a [u8],
    /// Whether mounts below it propagate to other mount namespaces, or from them.
    pub is_shared: bool,
    /// The type of the file system.
    pub kind: &'a [u8],
    /// The source, in the file system's own format.
    pub source: &'a [u8],
    fs_options: &'a [u8],
}

/// The mounts in the order of the file, in which a later one covers an earlier one.
pub fn mounts(text: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let whole = rest;
        // Unlike `split`, it looks at many bytes at once.
        let length = rest.skip_until(b'\n').ok().filter(|length| *length > 0)?;
        whole.get(..length)
    })
    .filter_map(|line| Mount::parse(line.strip_suffix(b"\n").unwrap_or(line)))
}

/// Takes the bytes up to the next blank, and the blank.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.iter().position(|byte| *byte == b' ')?;
    let (field, tail) = rest.split_at_checked(length)?;
    *rest = tail.get(1..)?;
    Some(field)
}

impl<'a> Mount<'a> {
    fn parse(line: &'a [u8]) -> Option<Mount<'a>> {
        let mut rest = line;
        let mut next = || field(&mut rest);
        let id = std::str::from_utf8(next()?).ok()?.parse().ok()?;
        let (_parent, _device, root, point, options) = (next()?, next()?, next()?, next()?, next()?);
        let mut is_shared = false;
        loop {
            match next()? {
                b"-" => break,
                tag => is_shared |= tag.starts_with(b"shared:") || tag.starts_with(b"master:"),
            }
        }
        let (kind, source) = (next()?, next()?);
        // The rest has no blanks.
        Some(Mount { id, root, point, options, is_shared, kind, source, fs_options: rest })
    }

    /// The directory of the file system that is mounted.
    pub fn root(&self) -> Cow<'a, Path> {
        unescaped(self.root)
    }

    /// Where it is mounted, as seen from the root of the process.
    pub fn point(&self) -> Cow<'a, Path> {
        unescaped(self.point)
    }

    /// The options of this mount alone.
    pub fn options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.options.split(|byte| *byte == b',')
    }

    /// The file system's own options.
    pub fn fs_options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.fs_options.split(|byte| *byte == b',')
    }

    /// The file system's own options as they are written.
    pub fn fs_options_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.fs_options)
    }

    /// Whether the mount or the whole file system is read-only.
    pub fn is_read_only(&self) -> bool {
        self.options().chain(self.fs_options()).any(|option| option == b"ro")
    }
}

/// Blanks, line ends and backslashes stand as three octal digits.
fn unescaped(field: &[u8]) -> Cow<'_, Path> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(Path::new(OsStr::from_bytes(field)));
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    Cow::Owned(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_of_a_line_are_read() {
        let text = b"36 35 98:0 /mnt1 /jail/proc ro,noatime master:1 shared:2 - proc /dev/root rw\n\
              22 1 0:1 / / rw - ext4 - rw,discard\n\
              40 36 0:4 / /jail rw unbindable - fuse.sshfs  rw,ro\n";
        let found: Vec<_> = mounts(text).collect();
        let ids_and_kinds: Vec<_> = found.iter().map(|mount| (mount.id, mount.kind)).collect();
        assert_eq!(ids_and_kinds, [(36, &b"proc"[..]), (22, b"ext4"), (40, b"fuse.sshfs")]);
        let places: Vec<_> = found.iter().map(|mount| (mount.root(), mount.point())).collect();
        assert_eq!(places[0], (Path::new("/mnt1").into(), Path::new("/jail/proc").into()));
        assert_eq!(found.iter().map(Mount::is_read_only).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(found[1].fs_options().collect::<Vec<_>>(), [&b"rw"[..], b"discard"]);
        assert_eq!(found[1].fs_options_text(), "rw,discard");
    }

    #[test]
    fn places_with_blanks_and_odd_bytes_are_read() {
        let text = b"1 0 0:1 /a\\134b /mnt/a\\040b\\134c\xff rw - tmpfs tmpfs rw";
        let mount = mounts(text).next().unwrap();
        assert_eq!(mount.root(), Path::new("/a\\b"));
        assert_eq!(mount.point().as_os_str().as_bytes(), b"/mnt/a b\\c\xff");
        for plain in ["/mnt/\\04", "/mnt/\\", "/mnt/\\400", "/mnt/\\+12", "/mnt/\\09x"] {
            assert_eq!(unescaped(plain.as_bytes()), Path::new(plain));
        }
    }

    #[test]
    fn damaged_lines_are_skipped() {
        let whole = "36 35 98:0 / /p rw - proc proc rw";
        for end in 0..whole.len() - 2 {
            assert_eq!(mounts(&whole.as_bytes()[..end]).count(), 0, "{}", &whole[..end]);
        }
        for line in ["", "-", "x 35 98:0 / /p rw - proc proc rw", "36 35 98:0 / /p rw shared:1 proc proc rw"] {
            assert_eq!(mounts(line.as_bytes()).count(), 0, "{line}");
        }
        assert_eq!(mounts(format!("broken\n{whole}\n\n{whole}").as_bytes()).count(), 2);
    }
}
