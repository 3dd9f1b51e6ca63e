//! Pruning: images that nobody needs, layers that no image has, the beginnings of blobs.

use super::images::{self, Image};
use super::layers::{self, Notes};
use super::refs::{self, Ref};
use super::remove::{Removed, delete, layers_of};
use crate::error::Result;
use crate::image::digest::Digest;
use crate::store::Store;
use crate::store::locks::{self, Lock, Taken};
use crate::store::sweep::Gone;
use crate::sys::fs;
use std::collections::BTreeSet;
use std::os::fd::AsFd;

/// What went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// How many bytes the disk has back.
    pub bytes: u64,
}

/// Removes the images that `wanted` says and no container stands on, with all their names, and then what
/// cancelled pulls have left. `users` gives the images of containers; it is asked for under the lock.
pub fn prune(
    store: &Store,
    wanted: &dyn Fn(&Image, &[&Ref]) -> bool,
    users: impl FnOnce() -> Result<BTreeSet<Digest>>,
) -> Result<Pruned> {
    let lock = Lock::exclusive(store)?;
    let (names, _) = refs::list(store)?;
    let users = users()?;
    let mut pruned = Pruned::default();
    let mut going = Vec::new();
    for id in images::ids(store)? {
        // A damaged one is left: it wants to be pulled again, or removed by name.
        let Ok(Some(image)) = images::load(store, &id) else { continue };
        let own: Vec<&Ref> = names.iter().filter(|name| name.image == id).collect();
        if users.contains(&id) || !wanted(&image, &own) {
            continue;
        }
        for name in own {
            refs::remove(store, &name.reference)?;
            pruned.removed.push(Removed::Untagged(name.reference.clone()));
        }
        pruned.removed.push(Removed::Deleted(id));
        going.push(id);
    }
    let (gone, bytes) = delete(store, &going)?;
    let (strays, stray_bytes) = stray_layers(store)?;
    pruned.bytes = bytes + stray_bytes + partial_blobs(store)?;
    // To remove the files takes time, and nobody needs to wait for it.
    drop(lock);
    drop((gone, strays));
    Ok(pruned)
}

/// Takes layers that no image has out of sight, unless somebody pulls just now: they may be for his image.
fn stray_layers(store: &Store) -> Result<(Vec<Gone<'_>>, u64)> {
    let is_pulling = store.names_in("tmp")?.iter().any(|name| name.starts_with("layer-"));
    let Some(used) = layers_of(store, &images::ids(store)?).filter(|_| !is_pulling) else {
        return Ok((Vec::new(), 0));
    };
    let layers = store.names_in("layers")?;
    let digests = layers.iter().filter_map(|name| Digest::from_hex(name.split('.').next()?).ok());
    let strays: BTreeSet<Digest> = crate::sort::into(digests.filter(|diff_id| !used.contains(diff_id)));
    let bytes = strays.iter().map(|diff_id| Notes::read(store, diff_id).size).sum();
    Ok((layers::take_away(store, &strays)?, bytes))
}

/// Removes the beginnings of blobs that nobody is adding to, who would hold their locks.
fn partial_blobs(store: &Store) -> Result<u64> {
    let mut bytes = 0;
    for name in store.names_in("partial")?.into_iter().filter(|name| Digest::from_hex(name).is_ok()) {
        let path = store.root().join("partial").join(name);
        let Ok(Taken::Ours(file)) = locks::take(&path, 0, libc::LOCK_EX | libc::LOCK_NB) else { continue };
        if std::fs::remove_file(&path).is_ok() {
            bytes += fs::fstat(file.as_fd())?.size;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::layers::LayerDraft;
    use super::*;
    use crate::image::layer::Root;
    use crate::image::reference::Reference;
    use crate::json::json;
    use crate::store::testing::TestStore;

    fn layer(store: &Store, name: &str) -> Digest {
        let diff_id = Digest::of(name.as_bytes());
        if let Some(draft) = LayerDraft::begin(store, &diff_id).unwrap() {
            draft.clear().unwrap();
            std::fs::write(draft.record(), "").unwrap();
            draft.publish(&Notes { size: 10, ..Notes::default() }, &Root::default()).unwrap();
        }
        diff_id
    }

    fn image(store: &Store, layers: &[&str], name: Option<&str>) -> Digest {
        let diff_ids: Vec<String> = layers.iter().map(|name| layer(store, name).to_string()).collect();
        let id = images::add(store, json!({"rootfs": {"diff_ids": diff_ids}}).to_string().as_bytes(), b"{}").unwrap();
        if let Some(name) = name {
            let reference = Reference::parse(name).unwrap();
            refs::write(store, &Ref { reference, image: id, digest: id, platform: String::new() }).unwrap();
        }
        id
    }

    fn layers_here(store: &Store) -> BTreeSet<Digest> {
        store.names_in("layers").unwrap().iter().filter_map(|name| Digest::from_hex(name).ok()).collect()
    }

    fn digests(names: &[&str]) -> BTreeSet<Digest> {
        names.iter().map(|name| Digest::of(name.as_bytes())).collect()
    }

    #[test]
    fn what_nobody_needs_goes_and_its_room_is_told() {
        let store = TestStore::new();
        image(&store, &["shared", "a"], Some("a"));
        let dangling = image(&store, &["shared", "b"], None);
        let used = image(&store, &["c"], None);
        layer(&store, "stray");
        std::fs::write(store.dir("partial").unwrap().join(Digest::of(b"x").hex()), vec![0; 5]).unwrap();
        let no_tag = |_: &Image, names: &[&Ref]| names.is_empty();
        let pruned = prune(&store, &no_tag, || Ok(BTreeSet::from([used]))).unwrap();
        assert_eq!(pruned, Pruned { removed: vec![Removed::Deleted(dangling)], bytes: 25 });
        assert_eq!(layers_here(&store), digests(&["shared", "a", "c"]));
        assert_eq!(prune(&store, &no_tag, || Ok(BTreeSet::from([used]))).unwrap(), Pruned::default());
        let all = prune(&store, &|_, _| true, || Ok(BTreeSet::new())).unwrap();
        assert_eq!((all.bytes, all.removed.len(), layers_here(&store).len()), (30, 3, 0));
        assert_eq!(store.names_in("tmp").unwrap().len() + store.names_in("layers").unwrap().len(), 0);
    }

    #[test]
    fn what_somebody_works_on_stays() {
        let store = TestStore::new();
        layer(&store, "of a pull");
        let working = LayerDraft::begin(&store, &Digest::of(b"another")).unwrap();
        let path = store.dir("partial").unwrap().join(Digest::of(b"x").hex());
        let file = std::fs::File::create(&path).unwrap();
        fs::flock(file.as_fd(), libc::LOCK_EX).unwrap();
        let prune = || prune(&store, &|_, _| true, || Ok(BTreeSet::new())).unwrap();
        assert_eq!(prune(), Pruned::default());
        assert!(path.exists() && layers_here(&store).len() == 1);
        drop((working, file));
        assert_eq!((prune().bytes, path.exists(), layers_here(&store).len()), (10, false, 0));
    }

    #[test]
    fn with_a_damaged_image_no_layer_goes() {
        let store = TestStore::new();
        image(&store, &["a"], None);
        let damaged = image(&store, &["b"], Some("b"));
        std::fs::write(store.root().join("images").join(damaged.hex()).join("config.json"), "{").unwrap();
        let pruned = prune(&store, &|_, _| true, || Ok(BTreeSet::new())).unwrap();
        assert_eq!((pruned.removed.len(), pruned.bytes), (1, 0));
        assert_eq!(layers_here(&store), digests(&["a", "b"]));
    }
}
