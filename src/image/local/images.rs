//! Images: `images/<id>/` holds an image's config and manifest as they were served.

use super::layers;
use super::refs::{self, Ref};
use crate::error::{Error, Result};
use crate::image::config::Config;
use crate::image::digest::Digest;
use crate::image::layer::Root;
use crate::image::layer::root::Attributes;
use crate::image::reference::Reference;
use crate::store::drafts::Draft;
use crate::store::locks::Lock;
use crate::store::{Store, sync_dir};
use crate::sys::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// An image that is in the store.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of the config, which is what Docker calls the image's id.
    pub id: Digest,
    pub config: Config,
}

impl Image {
    /// The directories of the image's layers, the lowest first. An empty layer may stand there several times.
    pub fn layers(&self, store: &Store) -> Vec<PathBuf> {
        self.config.diff_ids.iter().map(|diff_id| layers::path(store, diff_id)).collect()
    }

    /// The same for an overlay: the topmost first, down to one that hides all below it. A layer that stands twice is
    /// wholly covered by its upper copy, and overlay takes each only once.
    pub fn overlay(&self, store: &Store) -> Result<Stack> {
        let mut stack = Stack::default();
        for diff_id in self.config.diff_ids.iter().rev() {
            let layer = layers::path(store, diff_id);
            if stack.layers.contains(&layer) {
                continue;
            }
            let Root { attributes, opaque } = layers::root_of(store, diff_id)?;
            let at = stack.layers.len();
            stack.root = stack.root.or_else(|| Some((attributes?, at)));
            stack.layers.push(layer);
            if opaque {
                break;
            }
        }
        Ok(stack)
    }

    /// How many bytes the files of the image's layers hold.
    pub fn size(&self, store: &Store) -> u64 {
        self.config.diff_ids.iter().map(|diff_id| layers::Notes::read(store, diff_id).size).sum()
    }

    /// Whether all of it is here.
    pub fn is_whole(&self, store: &Store) -> bool {
        self.config.diff_ids.iter().all(|diff_id| layers::exists(store, diff_id))
    }
}

/// An image's layers as they lie over each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The topmost first.
    pub layers: Vec<PathBuf>,
    /// The root directory's attributes, if any layer says something about it, and which of `layers` does.
    pub root: Option<(Attributes, usize)>,
}

pub(super) fn dir(store: &Store, id: &Digest) -> PathBuf {
    store.root().join("images").join(id.hex())
}

/// The config of an image that is here and undamaged, as it was served.
pub fn config(store: &Store, id: &Digest) -> Option<Vec<u8>> {
    let bytes = std::fs::read(dir(store, id).join("config.json")).ok()?;
    Some(bytes).filter(|bytes| Digest::of(bytes) == *id)
}

/// The manifest of an image that is here, as it was served.
pub fn manifest(store: &Store, id: &Digest) -> Result<Vec<u8>> {
    let path = dir(store, id).join("manifest.json");
    std::fs::read(&path).map_err(|error| Error::io(format_args!("read {}", path.display()), &error))
}

/// Reads an image; `None` when it is not here.
pub fn load(store: &Store, id: &Digest) -> Result<Option<Image>> {
    let path = dir(store, id).join("config.json");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format_args!("read {}", path.display()), &error)),
    };
    let damaged = || {
        Error::new(format_args!("{} is damaged", path.display()))
            .hint(format_args!("remove it with 'ccrun rmi -f {}' and pull it again", id.short()))
    };
    // The name is the digest: what a disk or a hand has changed does not run.
    if Digest::of(&bytes) != *id {
        return Err(damaged());
    }
    let config = Config::parse(&bytes).map_err(|_| damaged())?;
    Ok(Some(Image { id: *id, config }))
}

/// Makes an image visible, whose layers are all there; the caller holds the shared lock.
pub fn add(store: &Store, config: &[u8], manifest: &[u8]) -> Result<Digest> {
    let id = Digest::of(config);
    // One that is there and sound stays: others may be looking at it.
    if let Ok(Some(_)) = load(store, &id) {
        return Ok(id);
    }
    let draft = Draft::new(store)?;
    let half = draft.path().join("image");
    let write = |name: &str, bytes: &[u8]| {
        let mut file = std::fs::File::create_new(half.join(name))?;
        file.write_all(bytes).and_then(|()| file.sync_all())
    };
    fs::mkdir(&half, 0o777)?;
    write("config.json", config)
        .and_then(|()| write("manifest.json", manifest))
        .map_err(|error| Error::io(format_args!("write {}", half.display()), &error))?;
    sync_dir(&half)?;
    let images = store.dir("images")?;
    let path = dir(store, &id);
    let publish = || match std::fs::rename(&half, &path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty) => Ok(false),
        Err(error) => Err(Error::io(format_args!("rename {} to {}", half.display(), path.display()), &error)),
    };
    // Another process may have been faster. Only a damaged image is ever taken away: a sound one is in use.
    if !publish()? && load(store, &id).is_err() {
        let _ = std::fs::rename(&path, draft.path().join("old"));
        publish()?;
    }
    sync_dir(&images)?;
    Ok(id)
}

/// The ids of all images, with or without a name.
pub fn ids(store: &Store) -> Result<Vec<Digest>> {
    let mut ids: Vec<Digest> =
        store.names_in("images")?.iter().filter_map(|name| Digest::from_hex(name).ok()).collect();
    crate::sort::all(&mut ids);
    Ok(ids)
}

/// An image that a user's word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: Digest,
    /// The name that the word was; none when it was an id.
    pub reference: Option<Reference>,
}

/// What a user's word means: a reference, an id or the beginning of one, in this order.
/// `None` when nothing here is called so.
pub fn find(store: &Store, word: &str) -> Result<Option<Found>> {
    let named = match Reference::parse(word) {
        Ok(reference) => refs::read(store, &reference)?.map(|entry| (entry.image, reference)),
        Err(_) => None,
    };
    if let Some((id, reference)) = named {
        return Ok(Some(Found { id, reference: Some(reference) }));
    }
    let hex = word.strip_prefix("sha256:").unwrap_or(word);
    let is_hex = !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex {
        // Its own fault is what a word that can be no reference is told.
        return Reference::parse(word).map(|_| None);
    }
    let mut matching = ids(store)?.into_iter().filter(|id| id.hex().starts_with(hex));
    match (matching.next(), matching.next()) {
        (Some(id), None) => Ok(Some(Found { id, reference: None })),
        (Some(_), Some(_)) => Err(Error::new(format_args!("multiple images found with the prefix {word}"))),
        (None, _) => Ok(None),
    }
}

/// What Docker says of a word that [`find`] finds nothing for.
pub fn not_found(word: &str) -> Error {
    let name = Reference::parse(word).map_or_else(|_| word.to_owned(), |reference| reference.familiar());
    Error::new(format_args!("No such image: {name}"))
}

/// Gives the image that a word means one more name; another image that has it loses it.
pub fn tag(store: &Store, word: &str, target: &Reference) -> Result<()> {
    let _lock = Lock::shared(store)?;
    let Some(Found { id, reference }) = find(store, word)? else { return Err(not_found(word)) };
    let named = reference.map(|reference| refs::read(store, &reference)).transpose()?.flatten();
    let (digest, platform) = match named {
        Some(source) => (source.digest, source.platform),
        None => (Digest::of(&manifest(store, &id)?), String::new()),
    };
    refs::write(store, &Ref { reference: target.clone(), image: id, digest, platform })
}

/// The image's id that a container's record holds: with the algorithm before it or, as it once was, without.
pub fn id_of_record(text: &str) -> Option<Digest> {
    Digest::parse(text).or_else(|_| Digest::from_hex(text)).ok()
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
