//! An archive as the origin of an image's layers.

use super::files::Files;
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::image::origin::{Blob, Origin};
use crate::image::registry::check;
use crate::image::retry::Failure;
use std::collections::BTreeMap;

/// The blobs of an archive, and how those are called that have other names than an OCI layout gives them.
pub struct Blobs<'a> {
    pub files: &'a Files<'a>,
    pub names: &'a BTreeMap<Digest, String>,
}

impl Origin for Blobs<'_> {
    fn open(&self, blob: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
        let named = self.names.get(&blob.digest).cloned();
        let found = self.files.find(&named.unwrap_or_else(|| name(&blob.digest)))?;
        let mut piece = found.ok_or_else(|| missing(&blob.digest))?;
        piece.skip(from);
        Ok(Box::new(piece))
    }
}

/// How an OCI layout calls a blob.
pub fn name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A small blob of an OCI layout, whole and verified.
pub fn small(files: &Files<'_>, blob: &Descriptor, max: u64) -> Result<Vec<u8>> {
    check(blob, files.small(&name(&blob.digest), max)?.ok_or_else(|| missing(&blob.digest))?)
}

fn missing(digest: &Digest) -> Error {
    Error::new(format_args!("the archive lacks the blob {digest}"))
}
