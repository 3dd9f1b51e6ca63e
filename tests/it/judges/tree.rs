//! A directory as a list of its files with all that a layer can say about each,
//! and where two such lists differ.

use crate::image::sha256;
use crate::sys;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

/// What is known of one file: names of fields and their values.
type Fields = BTreeMap<String, String>;

/// Path → fields. All of it is ASCII without spaces, whatever the names are.
pub struct Tree(BTreeMap<String, Fields>);

impl Tree {
    /// Reads a directory; what is mounted in it is left out. To be called as its root.
    pub fn read(root: &Path) -> Tree {
        let mut tree = Tree(BTreeMap::new());
        let mut inodes = HashMap::new();
        tree.add(root, root, &mut inodes);
        // The names of one file are told by the first of them.
        for mut names in inodes.into_values().filter(|names: &Vec<String>| names.len() > 1) {
            names.sort();
            for name in &names {
                let fields = tree.0.get_mut(name).expect("a path that was listed");
                fields.insert("same-as".into(), names[0].clone());
            }
        }
        tree
    }

    fn add(&mut self, root: &Path, path: &Path, inodes: &mut HashMap<(u64, u64), Vec<String>>) {
        let meta = path.symlink_metadata().expect("lstat");
        let kind = meta.file_type();
        let name = word(&[b"/", path.strip_prefix(root).expect("below").as_os_str().as_bytes()].concat());
        let mut fields = Fields::new();
        let mut tell = |field: &str, value: String| fields.insert(field.to_owned(), value);
        tell("mode", format!("{:04o}", meta.mode() & 0o7777));
        tell("owner", format!("{}:{}", meta.uid(), meta.gid()));
        tell("mtime", format!("{}.{:09}", meta.mtime(), meta.mtime_nsec()));
        let letter = match () {
            () if kind.is_dir() => "directory",
            () if kind.is_symlink() => {
                tell("target", word(std::fs::read_link(path).expect("readlink").as_os_str().as_bytes()));
                "symlink"
            }
            () if kind.is_file() => {
                tell("size", meta.size().to_string());
                tell(
                    "content",
                    std::fs::read(path).map_or_else(|error| word(error.to_string().as_bytes()), |all| sha256(&all)),
                );
                "file"
            }
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => {
                tell("device", format!("{},{}", libc::major(meta.rdev()), libc::minor(meta.rdev())));
                if kind.is_char_device() { "character" } else { "block" }
            }
        };
        tell("type", letter.to_owned());
        for xattr in sys::llistxattr(path) {
            let value = sys::lgetxattr(path, &xattr).unwrap_or_default();
            tell(&format!("xattr-{}", word(xattr.as_bytes())), word(&value));
        }
        if !kind.is_dir() && meta.nlink() > 1 {
            inodes.entry((meta.dev(), meta.ino())).or_default().push(name.clone());
        }
        self.0.insert(name, fields);
        if kind.is_dir() {
            for entry in std::fs::read_dir(path).expect("read_dir") {
                let path = entry.expect("read_dir").path();
                let below = path.symlink_metadata().expect("lstat");
                if !below.is_dir() || below.dev() == meta.dev() {
                    self.add(root, &path, inodes);
                }
            }
        }
    }

    /// What [`Display`](fmt::Display) has written.
    pub fn parse(text: &str) -> Tree {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let path = words.next().expect("a path").to_owned();
            let field = |word: &str| {
                let (field, value) = word.split_once('=').expect("field=value");
                (field.to_owned(), value.to_owned())
            };
            (path, words.map(field).collect())
        };
        Tree(text.lines().map(line).collect())
    }

    /// Leaves these paths out, with all below them.
    pub fn without(mut self, paths: &[&str]) -> Tree {
        let is_below =
            |path: &str, dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.retain(|path, _| !paths.iter().any(|dir| is_below(path, dir)));
        self
    }

    /// The time of what got none from a layer is when it was made, by whomever: says so instead.
    pub fn made_since(mut self, start: SystemTime) -> Tree {
        let start = start.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        for mtime in self.0.values_mut().filter_map(|fields| fields.get_mut("mtime")) {
            let seconds: i64 = mtime.split('.').next().and_then(|text| text.parse().ok()).expect("seconds");
            if u64::try_from(seconds).is_ok_and(|seconds| (start..start + 3600).contains(&seconds)) {
                *mtime = "now".to_owned();
            }
        }
        self
    }

    /// Leaves a field out, of one path or of all ("").
    pub fn without_field(mut self, path: &str, field: &str) -> Tree {
        for (_, fields) in self.0.iter_mut().filter(|(name, _)| path.is_empty() || *name == path) {
            fields.remove(field);
        }
        self
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the trees differ: `PATH FIELD: OURS, not THEIRS`. A file that one of them lacks differs in its type.
    pub fn differences(&self, judge: &Tree) -> Vec<String> {
        let none = Fields::new();
        let paths: BTreeSet<&String> = self.0.keys().chain(judge.0.keys()).collect();
        let mut lines = Vec::new();
        for path in paths {
            let (ours, theirs) = (self.0.get(path).unwrap_or(&none), judge.0.get(path).unwrap_or(&none));
            let mut fields: BTreeSet<&str> = ours.keys().chain(theirs.keys()).map(String::as_str).collect();
            if ours.is_empty() || theirs.is_empty() {
                fields = BTreeSet::from(["type"]);
            }
            for field in fields.into_iter().filter(|field| ours.get(*field) != theirs.get(*field)) {
                let value = |fields: &Fields| fields.get(field).map_or("none", String::as_str).to_owned();
                lines.push(format!("{path} {field}: {}, not {}", value(ours), value(theirs)));
            }
        }
        lines
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, fields) in &self.0 {
            write!(f, "{path}")?;
            for (field, value) in fields {
                write!(f, " {field}={value}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Any bytes as one printable word.
fn word(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace(' ', "\\x20")
}
