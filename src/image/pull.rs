//! Pulling: from a reference to an image in the store.
//!
//! The image becomes visible last of all: index → manifest → config → layers → the
//! image → its names. Whatever ends a pull early leaves only a draft, which the next
//! command sweeps, and whole layers, which the next pull need not get again.

use super::compression::Compression;
use super::config::Config;
use super::digest::Digest;
use super::install::Progress;
use super::install::partial;
use super::install::{Parts, install};
use super::local::images;
use super::local::layers::Notes;
use super::local::refs::{self, Ref};
use super::manifest::{self, Document, Manifest};
use super::platform::Platform;
use super::reference::Reference;
use super::registry::{Repository, Served};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::drafts;

/// An index may hold indexes, and these hold none.
const DEPTH_MAX: usize = 2;

/// An image that is there now.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The image id: the digest of its config.
    pub id: Digest,
    /// What the reference stands for in the registry: the digest of the index or manifest.
    pub digest: Digest,
    /// Whether anything changed.
    pub newer: bool,
    /// What could not be kept of the layers that were unpacked now.
    pub lost: Notes,
}

/// Makes `reference` in the store what it is in its registry, for this platform.
pub fn pull(
    store: &Store,
    reference: &Reference,
    platform: &Platform,
    jobs: usize,
    progress: &mut dyn Progress,
) -> Result<Pulled> {
    // What cannot be swept takes space but is in nobody's way.
    let _ = drafts::sweep(store);
    partial::sweep(store);
    let repository = Repository::new(store, reference, jobs)?;
    let served = repository.manifest(&reference.wanted())?;
    let digest = served.digest;
    if let Some(image) = up_to_date(store, reference, &digest, platform)? {
        progress.found(reference);
        let lost = Notes::default();
        return Ok(Pulled { id: image.id, digest, newer: false, lost });
    }
    let (manifest, manifest_bytes) = resolve(&repository, served, platform)?;
    for layer in &manifest.layers {
        // Said before anything is downloaded.
        if let Compression::By(program) = layer.compression {
            program.find().map_err(|error| error.context(format_args!("layer {}", layer.blob.digest.short())))?;
        }
    }
    progress.found(reference);
    let config = match images::config(store, &manifest.config.digest) {
        Some(bytes) => bytes,
        None => repository.small_blob(&manifest.config, manifest::CONFIG_MAX)?,
    };
    check_platform(&Config::parse(&config)?, platform)?;
    let parts = Parts { layers: &manifest.layers, config: &config, manifest: &manifest_bytes };
    let installed = install(store, &repository, &parts, progress, |id| name(store, reference, id, digest, platform))?;
    Ok(Pulled { id: installed.id, digest, newer: true, lost: installed.lost })
}

/// The image, if what the registry has is what is here already.
fn up_to_date(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
    platform: &Platform,
) -> Result<Option<images::Image>> {
    // A damaged name or image is no reason not to pull it again: that is its repair.
    let Ok(Some(entry)) = refs::read(store, reference) else { return Ok(None) };
    if entry.digest != *digest || entry.platform != platform.to_string() {
        return Ok(None);
    }
    Ok(images::load(store, &entry.image).ok().flatten().filter(|image| image.is_whole(store)))
}

/// The image's manifest: what was served itself, or what the index has for the platform.
fn resolve(repository: &Repository<'_>, mut served: Served, platform: &Platform) -> Result<(Manifest, Vec<u8>)> {
    for _ in 0..=DEPTH_MAX {
        let index = match served.document {
            Document::Manifest(manifest) => return Ok((manifest, served.bytes)),
            Document::Index(index) => index,
        };
        let entry = &index.choose(platform)?.manifest;
        served = repository.manifest(&entry.digest.to_string())?;
        if served.bytes.len() as u64 != entry.size {
            let (digest, is, said) = (entry.digest, served.bytes.len(), entry.size);
            return Err(Error::new(format_args!("{digest} has {is} bytes instead of {said}")));
        }
    }
    Err(Error::new(format_args!("the image's index holds indexes more than {DEPTH_MAX} deep")))
}

/// An image for another machine is only pulled when it was asked for: an index without
/// a fitting entry is refused, a single image of the wrong kind is the caller's to warn of.
fn check_platform(config: &Config, platform: &Platform) -> Result<()> {
    if *platform == Platform::host() || config.platform.runs_on(platform) {
        return Ok(());
    }
    Err(Error::new(format_args!(
        "the image was found but its platform ({}) does not match the specified platform ({platform})",
        config.platform
    )))
}

/// Names the image as it was asked for. Its digest is a name as well, which stays when the tag moves on.
fn name(store: &Store, reference: &Reference, image: Digest, digest: Digest, platform: &Platform) -> Result<()> {
    let platform = platform.to_string();
    let pinned = reference.with_digest(digest);
    refs::write(store, &Ref { reference: pinned, image, digest, platform: platform.clone() })?;
    match (reference.tag(), reference.digest()) {
        (Some(tag), None) => refs::write(store, &Ref { reference: reference.with_tag(tag), image, digest, platform }),
        _ => Ok(()),
    }
}
