//! Saving: images from the store as one tar.
//!
//! It is an OCI image layout that also has Docker's own lists, so that every tool finds the one that it
//! reads. Layers are uncompressed, so their digests are the diff ids and the same image always gives
//! the same bytes.

use super::files::blob_name;
use super::manifest;
use super::oci::{FULL_NAME, REF_NAME};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::local::images::{self, Found};
use crate::image::local::layers::{self, Notes};
use crate::image::local::rebuild::rebuild;
use crate::image::local::refs;
use crate::image::manifest::{Descriptor, OCI_INDEX, OCI_MANIFEST};
use crate::image::reference::Reference;
use crate::image::tar::writer::Writer;
use crate::image::tar::{Entry, Kind};
use crate::json::json;
use crate::store::Store;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the images that these words mean, with the names that they are asked for by.
pub fn save(store: &Store, words: &[&str], out: &mut dyn Write) -> Result<()> {
    let mut contents = Contents::default();
    for (id, names) in choose(store, words)? {
        contents.add(store, &id, &names)?;
    }
    contents.write(store, out)
}

/// The images and the names that they are to have. A repository means all its tags, as for Docker; an
/// image that is told by its id or digest gets no name.
fn choose(store: &Store, words: &[&str]) -> Result<Vec<(Digest, Vec<Reference>)>> {
    let mut chosen: Vec<(Digest, Vec<Reference>)> = Vec::new();
    let mut add = |id: Digest, name: Option<Reference>| {
        let at = chosen.iter().position(|(other, _)| *other == id).unwrap_or_else(|| {
            chosen.push((id, Vec::new()));
            chosen.len() - 1
        });
        let Some((_, names)) = chosen.get_mut(at) else { return };
        names.extend(name.filter(|name| !names.contains(name)));
    };
    let (known, _) = refs::list(store)?;
    for word in words {
        let repository = Reference::parse(word).ok().filter(Reference::tag_defaulted).map(|reference| reference.name());
        let in_it = |name: &Reference| name.tag().is_some() && Some(name.name()) == repository;
        let tags: Vec<_> = known.iter().filter(|entry| in_it(&entry.reference)).collect();
        if tags.is_empty() {
            let Found { id, reference } = images::find(store, word)?.ok_or_else(|| images::not_found(word))?;
            add(id, reference.filter(|name| name.digest().is_none()));
        }
        for entry in tags {
            add(entry.image, Some(entry.reference.clone()));
        }
    }
    Ok(chosen)
}

/// What an archive is made of.
#[derive(Default)]
struct Contents {
    /// Configs and manifests, by the names of their blobs.
    documents: BTreeMap<String, Vec<u8>>,
    /// The lengths of the layers' tars.
    layers: BTreeMap<Digest, u64>,
    /// The entries of `index.json` and `manifest.json`, and `repositories`.
    index: Vec<Value>,
    list: Vec<Value>,
    repositories: Map<String, Value>,
}

impl Contents {
    fn add(&mut self, store: &Store, id: &Digest, names: &[Reference]) -> Result<()> {
        let image = images::load(store, id)?.ok_or_else(|| images::not_found(&id.to_string()))?;
        let config = images::config(store, id).ok_or_else(|| images::not_found(&id.to_string()))?;
        let mut blobs = Vec::new();
        for diff_id in &image.config.diff_ids {
            if !layers::exists(store, diff_id) {
                return Err(Error::new(format_args!("layer {} of the image {} is gone", diff_id.short(), id.short()))
                    .hint("pull the image again"));
            }
            let size = length(store, diff_id)?;
            self.layers.insert(*diff_id, size);
            blobs.push(manifest::layer(diff_id, size));
        }
        let manifest = manifest::manifest(&config, &blobs);
        let (digest, size) = (Digest::of(&manifest), manifest.len() as u64);
        let descriptor = manifest::descriptor(&Descriptor::new(OCI_MANIFEST, digest, size));
        self.index.extend(indexed(&descriptor, names));
        self.list.push(json!({
            "Config": blob_name(id),
            // Short ones would be podman's own, below localhost.
            "RepoTags": names.iter().map(Reference::to_string).collect::<Vec<_>>(),
            "Layers": image.config.diff_ids.iter().map(blob_name).collect::<Vec<_>>(),
        }));
        for (reference, top) in names.iter().filter_map(|name| Some((name, image.config.diff_ids.last()?))) {
            let tags = self.repositories.entry(reference.name()).or_insert_with(|| json!({}));
            if let (Value::Object(tags), Some(tag)) = (tags, reference.tag()) {
                tags.insert(tag.to_owned(), top.hex().into());
            }
        }
        self.documents.insert(blob_name(id), config);
        self.documents.insert(blob_name(&digest), manifest);
        Ok(())
    }

    /// Writes it all, as nobody's files from the beginning of 1970: the same images give the same bytes.
    fn write(mut self, store: &Store, out: &mut dyn Write) -> Result<()> {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.index });
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        for (name, value) in [
            ("oci-layout", layout),
            ("index.json", index),
            ("manifest.json", self.list.into()),
            ("repositories", self.repositories.into()),
        ] {
            self.documents.insert(name.to_owned(), value.to_string().into_bytes());
        }
        let mut tar = Writer::new(out);
        for name in ["blobs/", "blobs/sha256/"] {
            tar.append(&Entry::plain(name, Kind::Directory), &mut io::empty())?;
        }
        for (name, bytes) in &self.documents {
            let entry = Entry { size: bytes.len() as u64, ..Entry::plain(name.as_str(), Kind::File) };
            tar.append(&entry, &mut bytes.as_slice())?;
        }
        for (diff_id, size) in &self.layers {
            let entry = Entry { size: *size, ..Entry::plain(blob_name(diff_id), Kind::File) };
            tar.append_written(&entry, |out| rebuild(store, diff_id, out).map(drop))?;
        }
        tar.finish().map(drop)
    }
}

/// The length of a layer's tar, from its notes; what they do not say is found out.
fn length(store: &Store, diff_id: &Digest) -> Result<u64> {
    match Notes::read(store, diff_id).stream {
        0 => rebuild(store, diff_id, &mut io::sink()),
        length => Ok(length),
    }
}

/// An image's entries in `index.json`: one for each name, or one without.
fn indexed(descriptor: &Value, names: &[Reference]) -> Vec<Value> {
    let named = |reference: &Reference| {
        let mut entry = descriptor.clone();
        entry["annotations"] = json!({ FULL_NAME: reference.to_string(), REF_NAME: reference.tag() });
        entry
    };
    if names.is_empty() { vec![descriptor.clone()] } else { names.iter().map(named).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layer::Root;
    use crate::image::local::layers::LayerDraft;
    use crate::image::local::refs::Ref;
    use crate::store::testing::TestStore;

    /// An image of one layer, with these names.
    fn image(store: &Store, layer: &str, names: &[&str]) -> Digest {
        let diff_id = Digest::of(layer.as_bytes());
        let draft = LayerDraft::begin(store, &diff_id).unwrap().unwrap();
        draft.clear().unwrap();
        std::fs::write(draft.record(), "").unwrap();
        draft.publish(&Notes { stream: 1024, ..Notes::default() }, &Root::default()).unwrap();
        let config = json!({ "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] } }).to_string();
        let image = images::add(store, config.as_bytes(), b"{}").unwrap();
        for name in names {
            let reference = Reference::parse(name).unwrap();
            refs::write(store, &Ref { reference, image, digest: image, platform: String::new() }).unwrap();
        }
        image
    }

    #[test]
    fn words_choose_images_and_their_names() {
        let store = TestStore::new();
        let pinned = format!("alpine@{}", Digest::of(b"m"));
        let one = image(&store, "one", &["alpine:1", "alpine:2", &pinned]);
        let two = image(&store, "two", &["alpine:3", "other"]);
        let chosen = |words: &[&str]| -> Vec<(Digest, Vec<String>)> {
            let familiar = |names: Vec<Reference>| names.iter().map(Reference::familiar).collect();
            choose(&store, words).unwrap().into_iter().map(|(id, names)| (id, familiar(names))).collect()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&["alpine:1"]), [(one, names(&["alpine:1"]))]);
        assert_eq!(chosen(&["alpine"]), [(one, names(&["alpine:1", "alpine:2"])), (two, names(&["alpine:3"]))]);
        assert_eq!(chosen(&["other", "alpine:3", "other:latest"]), [(two, names(&["other:latest", "alpine:3"]))]);
        for word in [&one.hex(), &one.short(), &pinned] {
            assert_eq!(chosen(&[word]), [(one, vec![])], "{word}");
        }
        assert_eq!(chosen(&[&one.hex(), "alpine:2"]), [(one, names(&["alpine:2"]))]);
        assert!(choose(&store, &["alpine:1", "alpine:9"]).is_err());
    }

    #[test]
    fn the_lists_agree() {
        let store = TestStore::new();
        let id = image(&store, "one", &["alpine:1"]);
        let mut contents = Contents::default();
        contents
            .add(&store, &id, &[Reference::parse("alpine:1").unwrap(), Reference::parse("b/c:2").unwrap()])
            .unwrap();
        let top = Digest::of(b"one");
        assert_eq!(contents.layers, BTreeMap::from([(top, 1024)]));
        assert_eq!(contents.index.len(), 2);
        assert_eq!(contents.index[0]["digest"], contents.index[1]["digest"]);
        assert_eq!(contents.index[1]["annotations"], json!({ FULL_NAME: "docker.io/b/c:2", REF_NAME: "2" }));
        assert_eq!(contents.list[0]["RepoTags"], json!(["docker.io/library/alpine:1", "docker.io/b/c:2"]));
        assert_eq!(contents.list[0]["Config"], blob_name(&id));
        assert_eq!(contents.repositories["docker.io/b/c"], json!({ "2": top.hex() }));
        assert!(contents.documents.contains_key(&blob_name(&id)) && contents.documents.len() == 2);
    }
}
