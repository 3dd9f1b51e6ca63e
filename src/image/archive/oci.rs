//! An OCI image layout: `index.json` leads to blobs that are all called by their digests.
//!
//! Names are annotations of the index's entries. An entry may be an index itself, and entries of one
//! name may be one image for several platforms: the one that fits is taken, as from a registry.

use super::files::{Files, blob_name, small_blob};
use super::{Image, docker};
use crate::error::{Error, Result};
use crate::image::json;
use crate::image::manifest::{self, CONFIG_MAX, Descriptor, Document, Entry, Index, MANIFEST_MAX, Manifest};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use serde_json::Value;
use std::collections::BTreeMap;

const INDEX: &str = "index.json";
/// An index may hold indexes, and these hold none.
const DEPTH_MAX: usize = 2;

/// containerd, and so Docker, gives the whole name; everybody else only has the other one.
pub const FULL_NAME: &str = "io.containerd.image.name";
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What leads to an image, and the image's names.
pub struct Listed {
    names: Vec<Reference>,
    descriptor: Descriptor,
}

/// The images of a layout; None when there is none. `platform` is what the user asked for.
pub fn list(files: &Files<'_>, platform: Option<&Platform>) -> Result<Option<Vec<Listed>>> {
    let Some(index) = files.small(INDEX, MANIFEST_MAX)? else { return Ok(None) };
    let Some(layout) = files.small("oci-layout", MANIFEST_MAX)? else {
        // Docker's list may be meant, beside an index of something else.
        let has_list = files.find(docker::LIST)?.is_some();
        return if has_list { Ok(None) } else { Err(Error::new("the archive lacks oci-layout")) };
    };
    check_version(&layout)?;
    let entries = entries(&index).map_err(|error| error.context(INDEX))?;
    let mut listed: Vec<Listed> = Vec::new();
    for (name, entry) in wanted(entries, files, platform)? {
        // One image has an entry for each of its names.
        match listed.iter_mut().find(|other| other.descriptor == entry.manifest) {
            Some(other) => other.names.extend(name),
            None => listed.push(Listed { names: name.into_iter().collect(), descriptor: entry.manifest }),
        }
    }
    Ok(Some(listed))
}

/// An image of the layout.
pub fn read(files: &Files<'_>, listed: Listed, platform: Option<&Platform>) -> Result<Image> {
    let digest = listed.descriptor.digest;
    let (manifest, bytes) = resolve(files, listed.descriptor, platform)?;
    let config = small_blob(files, &manifest.config, CONFIG_MAX)?;
    Ok(Image { names: listed.names, config, manifest: bytes, digest, layers: manifest.layers, blobs: BTreeMap::new() })
}

fn check_version(layout: &[u8]) -> Result<()> {
    let value = json::object("oci-layout", layout)?;
    match value.get("imageLayoutVersion").and_then(Value::as_str) {
        Some(version) if version.starts_with("1.") => Ok(()),
        Some(version) => Err(Error::new(format_args!("an OCI layout of the unknown version '{version}'"))),
        None => Err(Error::new("oci-layout says no version")),
    }
}

/// The entries of `index.json` with their names.
fn entries(bytes: &[u8]) -> Result<Vec<(Option<Reference>, Entry)>> {
    let Document::Index(index) = Document::parse(bytes, None)? else {
        return Err(Error::new("this is a manifest and no index"));
    };
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let values = value.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let images = values.zip(index.entries).filter(|(value, entry)| is_image(value, entry));
    images.map(|(value, entry)| Ok((name(value)?, entry))).collect()
}

/// Whether an entry is one to be loaded: builders put attestations beside their images, and others what belongs to them.
fn is_image(value: &Value, entry: &Entry) -> bool {
    let artifact = value.get("artifactType").and_then(Value::as_str).filter(|artifact| !artifact.is_empty());
    let is_other = artifact.is_some_and(|artifact| !manifest::is_config(artifact));
    !is_other && !entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// The name that an entry's annotations give. A bare word is a tag or the like: it says of which
/// image it is only together with the archive's own name.
fn name(entry: &Value) -> Result<Option<Reference>> {
    let annotation = |key: &str| entry.get("annotations")?.get(key)?.as_str();
    let name = match (annotation(FULL_NAME), annotation(REF_NAME)) {
        (Some(name), _) => name,
        (None, Some(name)) if name.contains([':', '/']) => name,
        _ => return Ok(None),
    };
    Reference::parse(name).map(Some)
}

/// The entries that are images to be loaded: of one name each that says no platform, and of those that
/// do the one that fits.
fn wanted(
    entries: Vec<(Option<Reference>, Entry)>,
    files: &Files<'_>,
    platform: Option<&Platform>,
) -> Result<Vec<(Option<Reference>, Entry)>> {
    let (plain, platforms): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, entry)| entry.platform.is_none());
    let mut wanted = plain;
    let mut groups: Vec<(Option<Reference>, Vec<Entry>)> = Vec::new();
    for (name, entry) in platforms {
        // Without a name only other platforms can be of the same image.
        let is_one = |group: &[Entry]| name.is_some() || group.iter().all(|other| other.platform != entry.platform);
        match groups.iter_mut().find(|(other, group)| *other == name && is_one(group)) {
            Some((_, group)) => group.push(entry),
            None => groups.push((name, vec![entry])),
        }
    }
    for (name, group) in groups {
        let chosen = choose(Index { entries: group }, files, platform)?;
        wanted.push((name, chosen));
    }
    Ok(wanted)
}

/// The entry of an index that fits the platform. An archive need not have them all, and the only one
/// that it has is meant whatever machine it is for.
fn choose(mut index: Index, files: &Files<'_>, platform: Option<&Platform>) -> Result<Entry> {
    index.entries.retain(|entry| {
        let is_image = !entry.platform.as_ref().is_some_and(Platform::is_unknown);
        is_image && files.find(&blob_name(&entry.manifest.digest)).is_ok_and(|found| found.is_some())
    });
    if let ([only], None) = (index.entries.as_slice(), platform) {
        return Ok(only.clone());
    }
    index.choose(platform.unwrap_or(&Platform::host())).cloned()
}

/// The manifest that a descriptor leads to, through indexes.
fn resolve(files: &Files<'_>, mut descriptor: Descriptor, platform: Option<&Platform>) -> Result<(Manifest, Vec<u8>)> {
    for _ in 0..=DEPTH_MAX {
        let bytes = small_blob(files, &descriptor, MANIFEST_MAX)?;
        let parsed = Document::parse(&bytes, Some(&descriptor.media_type));
        match parsed.map_err(|error| error.context(descriptor.digest.to_string()))? {
            Document::Manifest(manifest) => return Ok((manifest, bytes)),
            Document::Index(index) => descriptor = choose(index, files, platform)?.manifest,
        }
    }
    Err(Error::new(format_args!("the image's index holds indexes more than {DEPTH_MAX} deep")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;
    use crate::json::json;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn entry(annotations: Value) -> Value {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": D, "size": 7, "annotations": annotations})
    }

    fn names(entry: &Value) -> Option<String> {
        name(entry).unwrap().map(|name| name.to_string())
    }

    #[test]
    fn names_are_annotations() {
        for (annotations, said) in [
            (json!({FULL_NAME: "docker.io/library/alpine:3", REF_NAME: "3"}), Some("docker.io/library/alpine:3")),
            (json!({REF_NAME: "localhost/a:b"}), Some("localhost/a:b")),
            (json!({REF_NAME: "alpine:3"}), Some("docker.io/library/alpine:3")),
            (json!({REF_NAME: "latest"}), None),
            (json!({"other": "x"}), None),
            (Value::Null, None),
        ] {
            assert_eq!(names(&entry(annotations)).as_deref(), said);
        }
        assert!(name(&entry(json!({FULL_NAME: "UPPER"}))).is_err());
    }

    #[test]
    fn the_layouts_version_is_known() {
        assert!(check_version(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
        for other in ["", "{}", r#"{"imageLayoutVersion":"2.0.0"}"#, r#"{"imageLayoutVersion":1}"#] {
            assert!(check_version(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let index = json!({"schemaVersion": 2, "manifests": [
            entry(json!({FULL_NAME: "docker.io/library/alpine:3"})), entry(json!({REF_NAME: "latest"}))]})
        .to_string();
        assert_eq!(entries(index.as_bytes()).unwrap().len(), 2);
        mutation::each(&[index], 3000, |bytes| drop(entries(bytes)));
    }
}
