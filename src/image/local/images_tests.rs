//! Tests of `images`: names, ids, and what goes when an image goes.

use super::super::layers::{LayerDraft, Notes};
use super::super::remove::{Removed, User, remove};
use super::*;
use crate::json::json;
use crate::store::testing::TestStore;

/// Makes an image of these layers under these names.
fn image(store: &Store, layers: &[&str], names: &[&str]) -> Digest {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer.as_bytes())).collect();
    for diff_id in &diff_ids {
        if let Some(draft) = LayerDraft::begin(store, diff_id).unwrap() {
            draft.clear().unwrap();
            std::fs::write(draft.record(), "").unwrap();
            draft.publish(&Notes { size: 10, ..Notes::default() }, &Root::default()).unwrap();
        }
    }
    let texts: Vec<String> = diff_ids.iter().map(Digest::to_string).collect();
    let config = json!({"rootfs": {"type": "layers", "diff_ids": texts}}).to_string();
    let id = add(store, config.as_bytes(), b"{}").unwrap();
    for name in names {
        let reference = Reference::parse(name).unwrap();
        let digest = reference.digest().unwrap_or(Digest::of(b"m"));
        refs::write(store, &Ref { reference, image: id, digest, platform: String::new() }).unwrap();
    }
    id
}

fn rmi(store: &Store, word: &str, force: bool, users: &[User]) -> std::result::Result<Vec<String>, String> {
    let removed = remove(store, word, force, || Ok(users.to_vec())).map_err(|error| error.to_string())?;
    Ok(removed
        .ok_or_else(|| not_found(word).to_string())?
        .iter()
        .map(|removed| match removed {
            Removed::Untagged(reference) => format!("Untagged: {}", reference.familiar()),
            Removed::Deleted(id) => format!("Deleted: {id}"),
        })
        .collect())
}

fn layers_here(store: &Store) -> usize {
    std::fs::read_dir(store.root().join("layers")).unwrap().flatten().filter(|entry| entry.path().is_dir()).count()
}

#[test]
fn an_image_is_found_by_name_and_by_id() {
    let store = TestStore::new();
    let id = image(&store, &["a"], &["alpine:3"]);
    let other = image(&store, &["b"], &[]);
    let find = |word: &str| find(&store, word).map(|found| found.map(|found| found.id));
    for word in ["alpine:3", "docker.io/library/alpine:3", &id.hex(), &id.to_string(), &id.short()] {
        assert_eq!(find(word).unwrap(), Some(id), "{word}");
    }
    assert_eq!(find(&other.short()).unwrap(), Some(other));
    for word in ["alpine", "busybox", "0123456789abcdef"] {
        assert_eq!(find(word).unwrap(), None, "{word}");
    }
    assert!(find("UPPER").is_err());
    assert_eq!(not_found("alpine").to_string(), "No such image: alpine:latest");
    let loaded = load(&store, &id).unwrap().unwrap();
    assert!(loaded.is_whole(&store) && loaded.size(&store) == 10 && loaded.layers(&store).len() == 1);
}

#[test]
fn an_image_goes_with_its_last_name() {
    let store = TestStore::new();
    let pinned = format!("alpine@{}", Digest::of(b"m"));
    let id = image(&store, &["shared", "own"], &["alpine:1", "alpine:2", "other", &pinned]);
    image(&store, &["shared"], &["small"]);
    assert_eq!(rmi(&store, "alpine:1", false, &[]), Ok(vec!["Untagged: alpine:1".into()]));
    let last = vec![format!("Untagged: {pinned}"), "Untagged: alpine:2".into()];
    assert_eq!(rmi(&store, "alpine:2", false, &[]), Ok(last));
    assert_eq!(rmi(&store, "other", false, &[]), Ok(vec!["Untagged: other:latest".into(), format!("Deleted: {id}")]));
    assert_eq!(layers_here(&store), 1);
    assert!(load(&store, &id).unwrap().is_none());
    assert_eq!(rmi(&store, "other", false, &[]), Err("No such image: other:latest".into()));
    assert_eq!(rmi(&store, "small", false, &[]).unwrap().len(), 2);
    assert_eq!(layers_here(&store), 0);
    assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn an_image_in_use_stays() {
    let store = TestStore::new();
    let id = image(&store, &["a"], &["bb:1"]);
    let user = |running| User { container: "0123456789abcdef".into(), image: id, running };
    let in_use = format!(
        "conflict: unable to remove repository reference \"bb:1\" (must force) - \
         container 0123456789ab is using its referenced image {}",
        id.short()
    );
    assert_eq!(rmi(&store, "bb:1", false, &[user(false)]), Err(in_use));
    let error = rmi(&store, &id.hex(), true, &[user(true)]).unwrap_err();
    assert!(error.ends_with("(cannot be forced) - image is being used by running container 0123456789ab"), "{error}");
    assert_eq!(rmi(&store, "bb:1", true, &[user(true)]), Ok(vec!["Untagged: bb:1".into()]));
    assert_eq!(layers_here(&store), 1);
    assert_eq!(rmi(&store, &id.short(), false, &[]), Ok(vec![format!("Deleted: {id}")]));
    assert_eq!(layers_here(&store), 0);
}

#[test]
fn an_id_with_names_in_several_repositories_wants_force() {
    let store = TestStore::new();
    let id = image(&store, &["a"], &["one", "two"]);
    assert!(rmi(&store, &id.hex(), false, &[]).unwrap_err().contains("multiple repositories"));
    assert_eq!(rmi(&store, &id.hex(), true, &[]).unwrap().len(), 3);
}

#[test]
fn a_damaged_image_is_told_and_can_go() {
    let store = TestStore::new();
    let id = image(&store, &["a"], &["one"]);
    std::fs::write(dir(&store, &id).join("config.json"), "{}").unwrap();
    let error = load(&store, &id).unwrap_err().to_string();
    assert!(error.contains("config.json is damaged; remove it with 'ccrun rmi -f"), "{error}");
    assert_eq!(rmi(&store, "one", true, &[]).unwrap().len(), 2);
    assert!(ids(&store).unwrap().is_empty());
}
