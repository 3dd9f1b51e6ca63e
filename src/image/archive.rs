//! Images by file: what `docker save`, `podman save`, `skopeo copy` and `umoci` write, and what ccrun writes.
//!
//! An archive is a tar with either an OCI image layout in it (`oci-layout`, `index.json`,
//! `blobs/sha256/…`), or Docker's own list of images (`manifest.json`), or both. Its bytes are put
//! into one file, its members are found by name in it, and from then on it is an origin of blobs
//! as a registry is one.

mod change;
mod docker;
mod files;
mod import;
mod index;
mod load;
mod manifest;
mod oci;
mod save;
mod spool;

pub use files::Files;
pub use import::{Import, import};
pub use load::{Loaded, load};
pub use save::save;

use super::digest::Digest;
use super::manifest::Layer;
use super::reference::Reference;
use std::collections::BTreeMap;

/// An image in an archive.
struct Image {
    names: Vec<Reference>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    /// What a name of it stands for: the digest of the manifest, or of the index that leads there.
    digest: Digest,
    layers: Vec<Layer>,
    /// How the archive calls those layers' blobs that it does not call as an OCI layout does.
    blobs: BTreeMap<Digest, String>,
}
