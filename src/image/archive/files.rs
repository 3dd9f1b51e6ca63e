//! The members of an archive: in one file, or (an OCI layout that was never put into a tar) in a directory.

use super::index::{self, Index, Span};
use super::spool::{Spool, spool};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::image::origin::{Blob, Origin};
use crate::image::registry::check;
use crate::image::retry::Failure;
use crate::store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

pub enum Files<'s> {
    Tar { spool: Spool<'s>, index: Index },
    Directory(PathBuf),
}

impl<'s> Files<'s> {
    /// Reads the archive that is `input` or comes through it, compressed or not.
    pub fn read(store: &'s Store, input: File) -> Result<Files<'s>> {
        let (spool, index) = spool(store, input, |plain| Index::read(plain))?;
        Ok(Files::Tar { spool, index })
    }

    /// The member of this name.
    pub fn find(&self, name: &str) -> Result<Option<Piece>> {
        let path = match self {
            Files::Tar { spool, index } => {
                let Some(Span { offset, length }) = index.find(name)? else { return Ok(None) };
                return Piece::new(&spool.file, offset, length).map(Some);
            }
            Files::Directory(path) => path,
        };
        let failed = |error: &io::Error| Error::io(format_args!("read {}", path.join(name).display()), error);
        let Some(below) = index::resolve("", name) else {
            return Err(Error::new(format_args!("the name '{name}' leads out of the layout")));
        };
        // Somebody else may have made the directory: no link out of it, and nothing that would hold us up.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = match options.open(path.join(below)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let meta = file.metadata().map_err(|error| failed(&error))?;
        if !meta.is_file() {
            return Err(Error::new(format_args!("{} is no file", path.join(name).display())));
        }
        Ok(Some(Piece { file, at: 0, left: meta.len() }))
    }

    /// A whole member of at most `max` bytes.
    pub fn small(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let Some(mut piece) = self.find(name)? else { return Ok(None) };
        if piece.left > max {
            return Err(Error::new(format_args!("{name} is {} bytes long, more than {max}", piece.left)));
        }
        let mut bytes = Vec::new();
        piece.read_to_end(&mut bytes).map_err(|error| Error::io(format_args!("read {name}"), &error))?;
        Ok(Some(bytes))
    }
}

/// A range of a file, read without moving the offset that forked processes share.
pub struct Piece {
    file: File,
    at: u64,
    left: u64,
}

impl Piece {
    pub fn new(file: &File, offset: u64, length: u64) -> Result<Piece> {
        let file = file.try_clone().map_err(|error| Error::io("share the archive", &error))?;
        Ok(Piece { file, at: offset, left: length })
    }

    /// How many bytes are still to be read.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Goes over the next `count` bytes.
    pub fn skip(&mut self, count: u64) {
        let count = count.min(self.left);
        self.at += count;
        self.left -= count;
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.skip(length as u64);
        Ok(length)
    }
}

impl Blob for Piece {
    fn failure(&mut self, error: io::Error) -> Failure {
        Error::io("read the archive", &error).into()
    }
}

/// The blobs of an archive, and how those are called that have other names than an OCI layout gives them.
pub struct Blobs<'a> {
    pub files: &'a Files<'a>,
    pub names: &'a BTreeMap<Digest, String>,
}

impl Origin for Blobs<'_> {
    fn open(&self, blob: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
        let named = self.names.get(&blob.digest).cloned();
        let found = self.files.find(&named.unwrap_or_else(|| blob_name(&blob.digest)))?;
        let mut piece = found.ok_or_else(|| missing(&blob.digest))?;
        piece.skip(from);
        Ok(Box::new(piece))
    }
}

/// How an OCI layout calls a blob.
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A small blob of an OCI layout, whole and verified.
pub fn small_blob(files: &Files<'_>, blob: &Descriptor, max: u64) -> Result<Vec<u8>> {
    check(blob, files.small(&blob_name(&blob.digest), max)?.ok_or_else(|| missing(&blob.digest))?)
}

fn missing(digest: &Digest) -> Error {
    Error::new(format_args!("the archive lacks the blob {digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;

    #[test]
    fn a_directory_has_members_too() {
        let store = TestStore::new();
        let files = Files::Directory(store.root().to_owned());
        std::fs::create_dir(store.root().join("blobs")).unwrap();
        std::fs::write(store.root().join("blobs/a"), "0123456789").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", store.root().join("out")).unwrap();
        assert_eq!(files.small("./blobs//a", 10).unwrap().unwrap(), b"0123456789");
        assert!(files.small("blobs/b", 10).unwrap().is_none());
        for (name, said) in [("blobs/a", "10 bytes long"), ("out", "ELOOP"), ("blobs", "no file"), ("../x", "out of")] {
            let error = files.small(name, 9).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let mut piece = files.find("blobs/a").unwrap().unwrap();
        piece.skip(8);
        let mut rest = String::new();
        piece.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), piece.left()), ("89", 0));
    }
}
