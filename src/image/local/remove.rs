//! Removal: names, the images that have none left, the layers that no image has left.

use super::images::{Found, dir, find, ids, load};
use super::layers;
use super::refs::{self, Ref};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::reference::Reference;
use crate::store::Store;
use crate::store::locks::Lock;
use crate::store::sweep::{Gone, discard};
use std::collections::BTreeSet;

/// A container and the image that it was made from.
#[derive(Clone, Debug)]
pub struct User {
    pub container: String,
    pub image: Digest,
    pub running: bool,
}

/// What happened when an image was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    Untagged(Reference),
    Deleted(Digest),
}

/// Removes a name or an image, as `docker rmi` does: an image goes with its last name, and its
/// layers go when no other image has them. `users` tells which containers there are; it is
/// asked for under the lock, so that none can begin meanwhile. `None` when nothing is called so.
pub fn remove(
    store: &Store,
    word: &str,
    force: bool,
    users: impl FnOnce() -> Result<Vec<User>>,
) -> Result<Option<Vec<Removed>>> {
    let lock = Lock::exclusive(store)?;
    let Some(Found { id, reference }) = find(store, word)? else { return Ok(None) };
    let (all, _) = refs::list(store)?;
    let names: Vec<&Ref> = all.iter().filter(|entry| entry.image == id).collect();
    let users: Vec<User> = users()?.into_iter().filter(|user| user.image == id).collect();
    let going = names_to_remove(&names, reference.as_ref());
    let stays = going.len() < names.len();
    if !stays {
        refuse_if_used(word, &id, reference.as_ref(), force, &users)?;
    }
    if reference.is_none() && !force {
        let repositories: Vec<String> = names.iter().map(|entry| entry.reference.name()).collect();
        if repositories.iter().any(|name| Some(name) != repositories.first()) {
            return Err(Error::new(format_args!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                id.short()
            )));
        }
    }
    let mut removed = Vec::new();
    for entry in going {
        refs::remove(store, &entry.reference)?;
        removed.push(Removed::Untagged(entry.reference.clone()));
    }
    // What a container still stands on stays, without a name.
    if stays || !users.is_empty() {
        return Ok(Some(removed));
    }
    let (gone, _) = delete(store, &[id])?;
    removed.push(Removed::Deleted(id));
    // The names are gone; to remove the files takes time, and nobody needs to wait for it.
    drop(lock);
    drop(gone);
    Ok(Some(removed))
}

/// Takes an image away that could not be given a name, unless it has one already. Its layers stay, for the next try.
pub fn take_back(store: &Store, id: &Digest) -> Result<()> {
    let _lock = Lock::exclusive(store)?;
    let (names, _) = refs::list(store)?;
    if names.iter().any(|entry| entry.image == *id) { Ok(()) } else { discard(store, &dir(store, id)) }
}

/// A tag goes alone as long as its repository has another for the same image; the last one
/// takes the repository's digests with it. An id means all names.
fn names_to_remove<'a>(names: &[&'a Ref], reference: Option<&Reference>) -> Vec<&'a Ref> {
    let Some(reference) = reference else { return names.to_vec() };
    let same = |entry: &&Ref| match reference.digest() {
        Some(_) => entry.reference.digest() == reference.digest(),
        None => entry.reference.tag() == reference.tag() && entry.reference.digest().is_none(),
    };
    let in_repository = || names.iter().copied().filter(|entry| entry.reference.name() == reference.name());
    let is_last = !in_repository().any(|entry| entry.reference.tag().is_some() && !same(&entry));
    in_repository().filter(|entry| same(entry) || (is_last && entry.reference.tag().is_none())).collect()
}

fn refuse_if_used(word: &str, id: &Digest, reference: Option<&Reference>, force: bool, users: &[User]) -> Result<()> {
    let running = users.iter().find(|user| user.running);
    let Some(user) = running.or(users.first()) else { return Ok(()) };
    let container = user.container.get(..12).unwrap_or(&user.container);
    let image = id.short();
    match (reference, user.running) {
        (Some(_), _) if !force => Err(Error::new(format_args!(
            "conflict: unable to remove repository reference \"{word}\" (must force) - \
             container {container} is using its referenced image {image}"
        ))),
        (None, true) => Err(Error::new(format_args!(
            "conflict: unable to delete {image} (cannot be forced) - \
             image is being used by running container {container}"
        ))),
        (None, false) if !force => Err(Error::new(format_args!(
            "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
        ))),
        _ => Ok(()),
    }
}

/// Takes images and the layers that no other has out of sight, under the exclusive lock. Their files
/// go when what this gives is dropped. Tells how many bytes the layers held.
pub(super) fn delete<'s>(store: &'s Store, going: &[Digest]) -> Result<(Vec<Gone<'s>>, u64)> {
    let mut unused: BTreeSet<Digest> = BTreeSet::new();
    for id in going {
        // Nothing says which layers a damaged image had; they may be others' too.
        unused.extend(load(store, id).ok().flatten().into_iter().flat_map(|image| image.config.diff_ids));
    }
    let others: Vec<Digest> = ids(store)?.into_iter().filter(|id| !going.contains(id)).collect();
    let used = layers_of(store, &others);
    unused.retain(|diff_id| used.as_ref().is_some_and(|used| !used.contains(diff_id)));
    let mut gone = Vec::new();
    for id in going {
        gone.push(store.put_away(&dir(store, id))?);
    }
    let size = unused.iter().map(|diff_id| layers::Notes::read(store, diff_id).size).sum();
    gone.extend(layers::take_away(store, &unused)?);
    Ok((gone, size))
}

/// The layers of all these images; `None` when one of them is damaged, which may have any.
pub(super) fn layers_of(store: &Store, ids: &[Digest]) -> Option<BTreeSet<Digest>> {
    let mut all = BTreeSet::new();
    for id in ids {
        all.extend(load(store, id).ok()?.into_iter().flat_map(|image| image.config.diff_ids));
    }
    Some(all)
}
