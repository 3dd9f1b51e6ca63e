//! Installing: an image's layers from wherever they come into the store, then the image itself.
//!
//! The image becomes visible last of all, when every layer is there. Whatever ends this early
//! leaves only drafts, which the next command sweeps, and whole layers, which the next try
//! need not get again.

pub mod device_maker;
pub mod download;
pub mod partial;
pub mod source;
pub mod unpacker;
pub mod workers;

use super::config::Config;
use super::digest::Digest;
use super::local::layers::{self, Notes};
use super::local::{images, remove};
use super::manifest::{Descriptor, Layer};
use super::origin::Origin;
use super::reference::Reference;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::locks::Lock;

/// How often layers that somebody removes meanwhile are got again.
const ROUNDS: usize = 3;

/// How far a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// It was there already.
    Exists,
    Waiting,
    /// So many bytes have come of so many.
    Downloading(u64, u64),
    /// The transfer was cut off, and goes on after a while.
    Retrying,
    /// All bytes have come and are right; what is left is to write them.
    Downloaded,
    Complete,
}

/// What there is of an image that did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stays {
    /// So many of so many layers are here.
    pub here: usize,
    pub layers: usize,
    /// Bytes that are here of the others' blobs.
    pub bytes: u64,
}

/// Who is told how a pull goes on. A layer is called by the first digits of its blob's digest.
pub trait Progress {
    /// The image was found.
    fn found(&mut self, reference: &Reference);
    fn layer(&mut self, layer: &str, state: LayerState);
    /// It was interrupted; what of it stays for the next time.
    fn interrupted(&mut self, stays: Stays);
    /// Before something else is printed: a failure, or the end.
    fn finish(&mut self);
}

/// What an image is made of.
pub struct Parts<'a> {
    /// The blobs of its layers, the lowest first.
    pub layers: &'a [Layer],
    pub config: &'a [u8],
    pub manifest: &'a [u8],
}

/// An image that is in the store now.
#[derive(Clone, Debug)]
pub struct Installed {
    pub id: Digest,
    /// What could not be kept of the layers that were unpacked now.
    pub lost: Notes,
}

/// Gets the layers that are not there and makes the image visible. `name` gives it its names, under
/// the lock that keeps it from being removed before it has one.
pub fn install(
    store: &Store,
    origin: &dyn Origin,
    parts: &Parts<'_>,
    progress: &mut dyn Progress,
    name: impl Fn(Digest) -> Result<()>,
) -> Result<Installed> {
    let config = Config::parse(parts.config)?;
    let jobs = jobs(parts.layers, &config.diff_ids)?;
    let mut lost = Notes::default();
    for _ in 0..ROUNDS {
        for notes in workers::run(store, origin, &jobs, progress)? {
            lost.add(&notes);
        }
        // Layers that were here when we looked may have gone with another image meanwhile.
        let lock = Lock::shared(store)?;
        if config.diff_ids.iter().all(|diff_id| layers::exists(store, diff_id)) {
            let id = images::add(store, parts.config, parts.manifest)?;
            return match name(id) {
                Ok(()) => Ok(Installed { id, lost }),
                Err(error) => {
                    drop(lock);
                    // Full to the last byte, say: nobody would know what this image is for.
                    remove::take_back(store, &id)?;
                    Err(error)
                }
            };
        }
    }
    Err(Error::new("layers of the image were removed while it was pulled").hint("pull it again"))
}

/// A layer to get.
#[derive(Clone, Debug)]
pub struct Job {
    pub blob: Descriptor,
    pub diff_id: Digest,
    /// The diff ids of the layers below it in the image, the lowest first.
    pub lowers: Vec<Digest>,
}

/// What is to be got, the lowest layer first and each only once.
fn jobs(layers: &[Layer], diff_ids: &[Digest]) -> Result<Vec<Job>> {
    if layers.len() != diff_ids.len() {
        return Err(Error::new(format_args!(
            "the manifest has {} layers, the image config {}",
            layers.len(),
            diff_ids.len()
        )));
    }
    let mut jobs: Vec<Job> = Vec::new();
    for (at, (layer, diff_id)) in layers.iter().zip(diff_ids).enumerate() {
        if jobs.iter().any(|job| job.diff_id == *diff_id) {
            continue;
        }
        jobs.push(Job { blob: layer.blob.clone(), diff_id: *diff_id, lowers: diff_ids[..at].to_vec() });
    }
    Ok(jobs)
}
