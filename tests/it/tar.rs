//! A tar writer that writes whatever it is told, the evil included.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[derive(Clone)]
pub struct Entry {
    pub path: Vec<u8>,
    /// The type flag: '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' dir, '6' FIFO.
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// The names of the two, where they are said.
    pub names: (&'static str, &'static str),
    pub mtime: u64,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    pub device: (u32, u32),
    /// PAX records that go before the entry.
    pub pax: Vec<(String, Vec<u8>)>,
}

/// An entry with the usual values.
pub fn entry(path: impl AsRef<[u8]>, kind: u8, mode: u32) -> Entry {
    let path = path.as_ref().to_vec();
    let (link, data, pax) = (Vec::new(), Vec::new(), Vec::new());
    let (uid, gid, names, device) = (0, 0, ("", ""), (0, 0));
    Entry { path, kind, mode, uid, gid, names, mtime: 1_700_000_000, link, data, device, pax }
}

impl Entry {
    pub fn owner(mut self, uid: u32, gid: u32) -> Entry {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    pub fn named(mut self, user: &'static str, group: &'static str) -> Entry {
        self.names = (user, group);
        self
    }

    pub fn pax(mut self, name: &str, value: impl AsRef<[u8]>) -> Entry {
        self.pax.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn kind(mut self, kind: u8) -> Entry {
        self.kind = kind;
        self
    }

    pub fn mtime(mut self, mtime: u64) -> Entry {
        self.mtime = mtime;
        self
    }
}

#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Tar {
        Tar::default()
    }

    pub fn dir(self, path: &str, mode: u32) -> Tar {
        self.entry(&entry(format!("{path}/"), b'5', mode))
    }

    pub fn file(self, path: &str, mode: u32, data: impl AsRef<[u8]>) -> Tar {
        self.entry(&Entry { data: data.as_ref().to_vec(), ..entry(path, b'0', mode) })
    }

    pub fn symlink(self, path: &str, target: &str) -> Tar {
        self.entry(&Entry { link: target.into(), ..entry(path, b'2', 0o777) })
    }

    pub fn hardlink(self, path: &str, target: &str) -> Tar {
        self.entry(&Entry { link: target.into(), ..entry(path, b'1', 0o644) })
    }

    pub fn entry(mut self, entry: &Entry) -> Tar {
        let mut pax = entry.pax.clone();
        if entry.path.len() > 100 && !pax.iter().any(|(name, _)| name == "path") {
            pax.push(("path".into(), entry.path.clone()));
        }
        if entry.link.len() > 100 && !pax.iter().any(|(name, _)| name == "linkpath") {
            pax.push(("linkpath".into(), entry.link.clone()));
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(name, value)| pax_record(name, value)).collect();
            self.raw(&header(&entry_named("PaxHeaders/x", b'x'), records.len() as u64), &records);
        }
        self.raw(&header(entry, entry.data.len() as u64), &entry.data);
        self
    }

    /// The name in an entry of its own before the real one, as GNU tar does it.
    pub fn gnu_long(mut self, entry: &Entry) -> Tar {
        for (kind, name) in [(b'L', &entry.path), (b'K', &entry.link)] {
            if name.len() > 100 {
                let name = [name.as_slice(), b"\0"].concat();
                self.raw(&header(&entry_named("././@LongLink", kind), name.len() as u64), &name);
            }
        }
        self.raw(&header(entry, entry.data.len() as u64), &entry.data);
        self
    }

    /// A header with any size in it, and any bytes behind it.
    pub fn lying(mut self, entry: &Entry, size: u64) -> Tar {
        self.raw(&header(entry, size), &entry.data);
        self
    }

    fn raw(&mut self, header: &[u8; 512], data: &[u8]) {
        self.0.extend_from_slice(header);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// The archive without the two blocks that end one.
    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// A directory's files, owned by root, below `prefix` ("" or "dir/").
    pub fn tree(mut self, dir: &Path, prefix: &str) -> Tar {
        // What this user may not read (/root, /etc/shadow) is left out.
        let Ok(entries) = std::fs::read_dir(dir) else { return self };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let path = dir.join(&name);
            let meta = path.symlink_metadata().expect("lstat");
            let below = [prefix.as_bytes(), name.as_bytes()].concat();
            let mut one = entry(&below, b'0', meta.permissions().mode() & 0o7777).mtime(meta.mtime().max(0) as u64);
            if meta.is_dir() {
                one.kind = b'5';
                one.path.push(b'/');
                let prefix = String::from_utf8_lossy(&one.path).into_owned();
                self = self.entry(&one).tree(&path, &prefix);
            } else if meta.is_symlink() {
                one.kind = b'2';
                one.link = std::fs::read_link(&path).expect("readlink").as_os_str().as_bytes().to_vec();
                self = self.entry(&one);
            } else if meta.is_file() {
                let Ok(data) = std::fs::read(&path) else { continue };
                one.data = data;
                self = self.entry(&one);
            }
        }
        self
    }
}

fn entry_named(name: &str, kind: u8) -> Entry {
    entry(name, kind, 0o644)
}

fn pax_record(name: &str, value: &[u8]) -> Vec<u8> {
    let rest = name.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).expect("a length");
    [format!("{length} {name}=").as_bytes(), value, b"\n"].concat()
}

fn header(entry: &Entry, size: u64) -> [u8; 512] {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.path[..entry.path.len().min(100)]);
    put(100, format!("{:07o}\0", entry.mode).as_bytes());
    put(108, &number(entry.uid.into(), 8));
    put(116, &number(entry.gid.into(), 8));
    put(124, &number(size, 12));
    put(136, &number(entry.mtime, 12));
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &entry.link[..entry.link.len().min(100)]);
    put(257, b"ustar\x0000");
    put(265, entry.names.0.as_bytes());
    put(297, entry.names.1.as_bytes());
    put(329, format!("{:07o}\0{:07o}\0", entry.device.0, entry.device.1).as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Octal where it fits, else GNU's base 256.
fn number(value: u64, width: usize) -> Vec<u8> {
    let octal = format!("{value:0width$o}\0", width = width - 1);
    if octal.len() <= width {
        return octal.into_bytes();
    }
    let mut bytes = vec![0; width - 8];
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes[0] |= 0x80;
    bytes.split_off(bytes.len() - width)
}
