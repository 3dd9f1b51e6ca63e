//! Docker's own archive: `manifest.json` lists the images, each with the names of its members.
//!
//! It says nothing of the layers but where they are: an uncompressed one is told by its diff id,
//! which the config has; a compressed one is read once to learn its digest.

use super::Image;
use super::files::{Files, Piece};
use super::manifest;
use crate::error::{Error, Result};
use crate::image::compression::{Compression, First};
use crate::image::config::Config;
use crate::image::digest::{Digest, Hashing};
use crate::image::json;
use crate::image::local::layers::{self, Notes};
use crate::image::manifest::{CONFIG_MAX, Descriptor, Layer, MANIFEST_MAX};
use crate::image::reference::Reference;
use crate::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

pub const LIST: &str = "manifest.json";
/// No archive holds more images.
const IMAGES_MAX: usize = 1024;

/// The images of an archive; None when it is not Docker's.
pub fn list(files: &Files<'_>) -> Result<Option<Vec<Listed>>> {
    let Some(list) = files.small(LIST, MANIFEST_MAX)? else { return Ok(None) };
    Listed::parse(&list).map(Some)
}

/// What `manifest.json` says of an image.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// The members that are its config and its layers, the lowest first.
    config: String,
    layers: Vec<String>,
    names: Vec<Reference>,
}

impl Listed {
    fn parse(bytes: &[u8]) -> Result<Vec<Listed>> {
        let list = json::list(LIST, bytes)?;
        if list.len() > IMAGES_MAX {
            return Err(Error::new(format_args!("{LIST} has {} images, more than {IMAGES_MAX}", list.len())));
        }
        list.iter().map(|value| Listed::read(value).map_err(|error| error.context(LIST))).collect()
    }

    fn read(value: &Value) -> Result<Listed> {
        let config =
            value.get("Config").and_then(Value::as_str).ok_or_else(|| Error::new("an image without Config"))?;
        let names = words(value, "RepoTags")?.into_iter().filter(|name| !name.is_empty());
        let names = names.map(Reference::parse).collect::<Result<_>>()?;
        let layers = words(value, "Layers")?.into_iter().map(str::to_owned).collect();
        Ok(Listed { config: config.to_owned(), layers, names })
    }
}

/// A list of texts; null and absent are empty.
fn words<'a>(value: &'a Value, name: &str) -> Result<Vec<&'a str>> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .map(|word| word.as_str().ok_or_else(|| Error::new(format_args!("a {name} that is no text"))))
            .collect(),
        Some(_) => Err(Error::new(format_args!("{name} is no list"))),
    }
}

/// The names that the list gives to the image with this config.
pub fn names(list: &[Listed], config: &Digest) -> Vec<Reference> {
    let is = |listed: &&Listed| digest_in(&listed.config).as_ref() == Some(config);
    list.iter().find(is).map(|listed| listed.names.clone()).unwrap_or_default()
}

/// An image of the archive. Layers that are in the store need not be in the archive, and may be named `""`: pack leaves
/// out what it knows to be there.
pub fn read(store: &Store, files: &Files<'_>, listed: Listed) -> Result<Image> {
    let lacks = |name: &str| Error::new(format_args!("the archive lacks {name}"));
    let config = files.small(&listed.config, CONFIG_MAX)?.ok_or_else(|| lacks(&listed.config))?;
    check_name(&listed.config, &config)?;
    let diff_ids = Config::parse(&config)?.diff_ids;
    if diff_ids.len() != listed.layers.len() {
        let (layers, known) = (listed.layers.len(), diff_ids.len());
        return Err(Error::new(format_args!("{LIST} has {layers} layers, the image config {known}")));
    }
    let mut layers = Vec::new();
    let mut blobs = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, diff_id) in listed.layers.iter().zip(&diff_ids) {
        let found = if name.is_empty() { None } else { files.find(name)? };
        match found {
            Some(piece) => {
                let layer = layer(piece, diff_id).map_err(|error| error.context(name.as_str()))?;
                blobs.insert(layer.blob.digest, name.clone());
                layers.push(layer);
            }
            None if layers::exists(store, diff_id) => {
                let blob = manifest::layer(diff_id, Notes::read(store, diff_id).stream);
                layers.push(Layer { blob, compression: Compression::None });
            }
            None => missing.push(if name.is_empty() { diff_id.to_string() } else { format!("{name} ({diff_id})") }),
        }
    }
    missing.dedup();
    if !missing.is_empty() {
        let count = if let [_] = missing.as_slice() { "a layer that is" } else { "layers that are" };
        return Err(Error::new(format_args!("the archive lacks {count} not here either: {}", missing.join(", ")))
            .hint("first pull or load an image that has them, or write the archive with all layers"));
    }
    let descriptors: Vec<Descriptor> = layers.iter().map(|layer| layer.blob.clone()).collect();
    let manifest = manifest::manifest(&config, &descriptors);
    let digest = Digest::of(&manifest);
    Ok(Image { names: listed.names, config, manifest, digest, layers, blobs })
}

/// A config is called by its digest; then it has to have it.
fn check_name(name: &str, config: &[u8]) -> Result<()> {
    let digest = Digest::of(config);
    match digest_in(name) {
        Some(wanted) if wanted != digest => {
            Err(Error::new(format_args!("{name} is wrong: it has the digest {digest}")))
        }
        _ => Ok(()),
    }
}

/// The digest that a config is called by: `<hex>.json`, `sha256:<hex>`, `blobs/sha256/<hex>`.
fn digest_in(name: &str) -> Option<Digest> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = file.strip_suffix(".json").unwrap_or(file);
    Digest::from_hex(file.strip_prefix("sha256:").unwrap_or(file)).ok()
}

/// What a layer's manifest entry has to be.
fn layer(mut piece: Piece, diff_id: &Digest) -> Result<Layer> {
    let failed = |error: io::Error| Error::io("read the layer", &error);
    let size = piece.left();
    let mut bytes = Hashing::new(&mut piece, size);
    let compression = Compression::sniff(First::of(&mut bytes).map_err(failed)?.seen());
    let suffix = match compression {
        Compression::None => return Ok(Layer { blob: manifest::layer(diff_id, size), compression }),
        Compression::Gzip => "gzip",
        Compression::By(program) => program.name,
    };
    io::copy(&mut bytes, &mut io::sink()).map_err(failed)?;
    let (_, _, digest) = bytes.finish();
    let media_type = format!("{}+{suffix}", manifest::OCI_LAYER);
    Ok(Layer { blob: Descriptor::new(media_type, digest, size), compression })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    const GOOD: &str = r#"[{"Config":"blobs/sha256/x","RepoTags":["alpine:3","localhost:5000/a/b:c"],"Layers":["a/layer.tar"]},
        {"Config":"y.json","RepoTags":null,"Layers":[],"LayerSources":{}}]"#;

    #[test]
    fn images_are_listed() {
        let listed = Listed::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(
            listed[0].names.iter().map(Reference::familiar).collect::<Vec<_>>(),
            ["alpine:3", "localhost:5000/a/b:c"]
        );
        assert_eq!(
            (listed[0].config.as_str(), listed[0].layers.as_slice()),
            ("blobs/sha256/x", &["a/layer.tar".to_owned()][..])
        );
        assert_eq!((listed[1].names.len(), listed[1].layers.len()), (0, 0));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, said) in [
            ("", "no JSON"),
            ("{}", "no JSON list"),
            (r#"[{"Config":"c","Config":"d","Layers":[]}]"#, "comes twice"),
            ("[7]", "without Config"),
            (r#"[{"Config":"c","Layers":[7]}]"#, "Layers that is no text"),
            (r#"[{"Config":"c","RepoTags":"x"}]"#, "RepoTags is no list"),
            (r#"[{"Config":"c","RepoTags":["../x"]}]"#, "invalid reference"),
        ] {
            let error = Listed::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_config_that_is_called_by_its_digest_has_it() {
        let hex = Digest::of(b"{}").hex();
        for name in
            [&hex, &format!("{hex}.json"), &format!("blobs/sha256/{hex}"), &format!("sha256:{hex}"), "config.json"]
        {
            assert!(check_name(name, b"{}").is_ok(), "{name}");
            assert_eq!(check_name(name, b"{ }").is_ok(), name == "config.json", "{name}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        mutation::each(&[GOOD], 3000, |bytes| drop(Listed::parse(bytes)));
    }
}
