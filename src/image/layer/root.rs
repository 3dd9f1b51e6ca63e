//! The root directory of a layer: what the layer's own entry (`./`) says about it.
//!
//! On disk a layer's root always belongs to container root with mode 0755: the kernel lets nobody rename a directory
//! that he may not write, and `./` may be anyone's. What the entry says is kept as text beside the layer, and
//! goes to the directory that a container writes to, which is the one that overlay shows as `/`.

use super::xattr::{OPAQUE, is_allowed};
use crate::error::Result;
use crate::sys::fs::{self, Time};
use std::fmt::{self, Display, Formatter};
use std::os::fd::BorrowedFd;
use std::str::FromStr;

/// What a layer says about its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// None: the layer has no entry for it, so it is as the layers below have it.
    pub attributes: Option<Attributes>,
    /// Whether nothing of the layers below is to be seen.
    pub opaque: bool,
}

/// Owner, mode and time of a root directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub mtime: Time,
    /// Whether the layer's root directory on disk has extended attributes for it.
    pub xattrs: bool,
}

impl Root {
    /// What the directory itself shows: all that is known of a layer that was unpacked before there were records.
    pub fn of_directory(root: BorrowedFd<'_>) -> Result<Root> {
        let fs::Stat { uid, gid, mode, mtime, .. } = fs::fstat(root)?;
        let told = Attributes { uid, gid, mode: mode & 0o7777, mtime, xattrs: false };
        let attributes = Some(told).filter(|told| (told.uid, told.gid, told.mode) != (0, 0, 0o755));
        Ok(Root { attributes, opaque: fs::fgetxattr(root, OPAQUE).is_ok_and(|value| value == b"y") })
    }
}

impl Attributes {
    /// Gives them to the directory `to`, with the extended attributes of `layer`. An owner outside the id map is left out.
    pub fn give(&self, layer: Option<BorrowedFd<'_>>, to: BorrowedFd<'_>) -> Result<()> {
        if (self.uid, self.gid) != (0, 0) {
            match fs::fchown(to, self.uid, self.gid) {
                Err(error) if !matches!(error.errno(), Some(libc::EINVAL | libc::EPERM)) => return Err(error),
                _ => {}
            }
        }
        fs::fchmod(to, self.mode)?;
        let Some(layer) = layer.filter(|_| self.xattrs) else { return Ok(()) };
        for name in fs::flistxattr(layer)?.iter().filter(|name| is_allowed(name.to_bytes())) {
            fs::fsetxattr(to, name, &fs::fgetxattr(layer, name)?)?;
        }
        Ok(())
    }
}

/// `1000:1000 700 1700000000.000000000`, or `-` without an entry; then the words that hold.
impl Display for Root {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.attributes {
            None => f.write_str("-")?,
            Some(Attributes { uid, gid, mode, mtime, xattrs }) => {
                let Time { seconds, nanoseconds } = mtime;
                write!(f, "{uid}:{gid} {mode:o} {seconds}.{nanoseconds:09}{}", if *xattrs { " xattrs" } else { "" })?;
            }
        }
        f.write_str(if self.opaque { " opaque" } else { "" })
    }
}

impl FromStr for Root {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Root, ()> {
        let mut words = text.split(' ').peekable();
        let attributes = match words.next().ok_or(())? {
            "-" => None,
            owner => {
                let (uid, gid) = owner.split_once(':').ok_or(())?;
                let mode =
                    words.next().and_then(|mode| u32::from_str_radix(mode, 8).ok()).filter(|mode| *mode <= 0o7777);
                let (seconds, nanoseconds) = words.next().and_then(|time| time.split_once('.')).ok_or(())?;
                Some(Attributes {
                    uid: number(uid)?,
                    gid: number(gid)?,
                    mode: mode.ok_or(())?,
                    mtime: Time { seconds: number(seconds)?, nanoseconds: number(nanoseconds)? },
                    xattrs: words.next_if_eq(&"xattrs").is_some(),
                })
            }
        };
        let opaque = words.next_if_eq(&"opaque").is_some();
        if words.next().is_none() { Ok(Root { attributes, opaque }) } else { Err(()) }
    }
}

fn number<T: FromStr>(text: &str) -> std::result::Result<T, ()> {
    text.parse().map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    #[test]
    fn what_is_written_is_read_again() {
        let told = Attributes {
            uid: 1000,
            gid: u32::MAX - 1,
            mode: 0o1777,
            mtime: Time { seconds: -5, nanoseconds: 42 },
            xattrs: true,
        };
        for opaque in [false, true] {
            for attributes in [None, Some(told), Some(Attributes { xattrs: false, ..told })] {
                let root = Root { attributes, opaque };
                assert_eq!(root.to_string().parse(), Ok(root));
            }
        }
        assert_eq!(Root::default().to_string(), "-");
        let text = Root { attributes: Some(told), opaque: true }.to_string();
        assert_eq!(text, "1000:4294967294 1777 -5.000000042 xattrs opaque");
        for bad in ["", " ", "-opaque", "- x", "0:0", "0:0 755", "0:0 755 1", "0:0 17777 1.0", "0:0 755 1.0 x"] {
            assert!(bad.parse::<Root>().is_err(), "{bad}");
        }
        mutation::each(&[text.as_str(), "- opaque"], 2000, |bytes| {
            let _ = String::from_utf8_lossy(bytes).parse::<Root>();
        });
    }
}
