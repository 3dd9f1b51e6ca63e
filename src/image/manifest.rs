//! Manifests and indexes: what an image is made of, in OCI's and in Docker's spelling.

use super::compression::Compression;
use super::digest::Digest;
use super::platform::Platform;
use crate::error::{Error, Result};
use serde_json::Value;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What a registry may answer with, for the `Accept:` header.
pub const ACCEPTED: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// No manifest is longer; neither do registries accept longer ones.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// No image config may be longer.
pub const CONFIG_MAX: u64 = 8 << 20;
const ENTRIES_MAX: usize = 256;
const LAYERS_MAX: usize = 512;

/// What names a blob or another document: type, digest, size. Its `urls` are not
/// read, so that a manifest cannot send us to another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub blob: Descriptor,
    pub compression: Compression,
}

/// One image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub manifest: Descriptor,
    pub platform: Option<Platform>,
}

/// The same image for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Index(Index),
    Manifest(Manifest),
}

impl Document {
    /// Reads a manifest or an index. `content_type` is what the registry called it; a
    /// document that can be understood in two ways is refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Document> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            let what = if looks_like_html(bytes) { "an HTML page" } else { "no JSON" };
            Error::new(format!("the registry's manifest is {what}: {error}"))
        })?;
        if !value.is_object() {
            return Err(Error::new("the registry's manifest is no JSON object"));
        }
        refuse_schema1(&value, content_type)?;
        let media_type = media_type(&value, content_type)?;
        let has_entries = value.get("manifests").is_some();
        let has_layers = ["config", "layers", "fsLayers"].iter().any(|key| value.get(key).is_some());
        if has_entries && has_layers {
            return Err(Error::new("the manifest is an index and an image at once; refused as ambiguous"));
        }
        match media_type.as_deref() {
            Some(OCI_INDEX | DOCKER_LIST) => Ok(Document::Index(Index::read(&value)?)),
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => Ok(Document::Manifest(Manifest::read(&value)?)),
            Some(other) => Err(Error::new(format!("manifest of the unknown media type '{other}'"))),
            None if has_entries => Ok(Document::Index(Index::read(&value)?)),
            None => Ok(Document::Manifest(Manifest::read(&value)?)),
        }
    }
}

impl Index {
    fn read(value: &Value) -> Result<Index> {
        let list = value.get("manifests").and_then(Value::as_array);
        let list = list.ok_or_else(|| Error::new("the index has no list of manifests"))?;
        if list.len() > ENTRIES_MAX {
            return Err(Error::new(format!("the index has {} entries, more than {ENTRIES_MAX}", list.len())));
        }
        let entries = list.iter().enumerate().map(|(at, entry)| {
            let manifest =
                Descriptor::read(entry).map_err(|error| error.context(format!("entry {at} of the index")))?;
            if manifest.size > MANIFEST_MAX {
                return Err(Error::new(format!("entry {at} of the index is {} bytes long", manifest.size)));
            }
            let platform = entry.get("platform").filter(|platform| platform.is_object()).map(|platform| {
                let field = |name: &str| platform.get(name).and_then(Value::as_str);
                Platform::new(
                    field("os").unwrap_or("linux"),
                    field("architecture").unwrap_or("unknown"),
                    field("variant"),
                )
            });
            Ok(Entry { manifest, platform })
        });
        Ok(Index { entries: entries.collect::<Result<_>>()? })
    }

    /// The entry to use on `wanted`, by Docker's order of preference. An index
    /// whose only image says no platform is taken at its word, as its author meant it.
    pub fn choose(&self, wanted: &Platform) -> Result<&Entry> {
        let images = || self.entries.iter().filter(|entry| !entry.platform.as_ref().is_some_and(Platform::is_unknown));
        for candidate in wanted.candidates() {
            if let Some(entry) = images().find(|entry| entry.platform.as_ref() == Some(&candidate)) {
                return Ok(entry);
            }
        }
        let mut unnamed = images().filter(|entry| entry.platform.is_none());
        if let (Some(entry), None, 1) = (unnamed.next(), unnamed.next(), images().count()) {
            return Ok(entry);
        }
        let mut there: Vec<String> =
            images().filter_map(|entry| entry.platform.as_ref()).map(Platform::to_string).collect();
        there.dedup();
        let error = Error::new(format!("no matching manifest for {wanted} in the manifest list entries"));
        if there.is_empty() {
            return Err(error);
        }
        Err(error.hint(format!("there are {} (choose one with --platform)", there.join(", "))))
    }
}

impl Manifest {
    fn read(value: &Value) -> Result<Manifest> {
        let config = value.get("config").ok_or_else(|| Error::new("the manifest names no image config"))?;
        let config = Descriptor::read(config).map_err(|error| error.context("config of the manifest"))?;
        let list = value.get("layers").and_then(Value::as_array);
        let list = list.ok_or_else(|| Error::new("the manifest has no list of layers"))?;
        if list.len() > LAYERS_MAX {
            return Err(Error::new(format!("the manifest has {} layers, more than {LAYERS_MAX}", list.len())));
        }
        // What else lies in registries (charts, signatures, models) has a config of its own type.
        match config.media_type.as_str() {
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {}
            // Old clients pushed image configs under these names.
            "" | "application/octet-stream" | "application/json" | "text/html" => {}
            "application/vnd.docker.plugin.v1+json" => return Err(Error::new("this is a Docker plugin and no image")),
            other => return Err(Error::new(format!("this is no container image: its config is of type '{other}'"))),
        }
        if config.size > CONFIG_MAX {
            return Err(Error::new(format!("the image config is {} bytes long, more than {CONFIG_MAX}", config.size)));
        }
        let layers = list.iter().enumerate().map(|(at, layer)| {
            let blob = Descriptor::read(layer).map_err(|error| error.context(format!("layer {at} of the manifest")))?;
            let Some(compression) = layer_compression(&blob.media_type) else {
                return Err(Error::new(format!(
                    "layer {} has the unknown media type '{}'",
                    blob.digest.short(),
                    blob.media_type
                )));
            };
            Ok(Layer { blob, compression })
        });
        Ok(Manifest { config, layers: layers.collect::<Result<_>>()? })
    }
}

impl Descriptor {
    fn read(value: &Value) -> Result<Descriptor> {
        let digest = value.get("digest").and_then(Value::as_str).ok_or_else(|| Error::new("no digest"))?;
        let size = value.get("size").and_then(Value::as_u64).ok_or_else(|| Error::new("no size"))?;
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        Ok(Descriptor { media_type: media_type.to_owned(), digest: Digest::parse(digest)?, size })
    }
}

/// The document's own type and the registry's word for it, which must agree.
fn media_type(value: &Value, content_type: Option<&str>) -> Result<Option<String>> {
    let own = value.get("mediaType").and_then(Value::as_str);
    let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    // Static file servers and some mirrors know no better than these.
    let generic = ["", "application/json", "application/octet-stream", "binary/octet-stream", "text/plain"];
    let served = essence.as_deref().filter(|essence| !generic.contains(essence));
    match (own, served) {
        (Some(own), Some(served)) if own != served => {
            Err(Error::new(format!("the manifest calls itself '{own}', the registry calls it '{served}'")))
        }
        (own, served) => Ok(own.or(served).map(str::to_owned)),
    }
}

fn refuse_schema1(value: &Value, content_type: Option<&str>) -> Result<()> {
    let named = content_type.is_some_and(|text| text.contains("docker.distribution.manifest.v1+"));
    let version = value.get("schemaVersion").and_then(Value::as_u64);
    if named || version == Some(1) || value.get("fsLayers").is_some() {
        return Err(Error::new("the image has only a manifest of the old schema 1, which nobody can verify")
            .hint("push it again with a current tool"));
    }
    if version.is_some_and(|version| version != 2) {
        return Err(Error::new(format!("manifest of the unknown schema version {}", version.unwrap_or(0))));
    }
    Ok(())
}

/// The compression that a layer's media type names; None if it is no type of a layer.
fn layer_compression(media_type: &str) -> Option<Compression> {
    let suffix = ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"]
        .iter()
        .chain(&[
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ])
        .find_map(|prefix| media_type.strip_prefix(prefix))?;
    match suffix {
        "" => Some(Compression::None),
        "+gzip" | ".gzip" => Some(Compression::Gzip),
        "+zstd" | ".zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Whether an answer is a web page: a captive portal, a proxy or a login form spoke in the registry's place.
pub fn looks_like_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;
    use serde_json::json;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(value: &Value, content_type: Option<&str>) -> Result<Document> {
        Document::parse(value.to_string().as_bytes(), content_type)
    }

    fn image(layer_type: &str) -> Value {
        json!({"schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": D, "size": 2},
            "layers": [{"mediaType": layer_type, "digest": D, "size": 3, "urls": ["http://evil/"]}]})
    }

    fn index(platforms: &[Option<&str>]) -> Index {
        let entries: Vec<Value> = platforms
            .iter()
            .map(|platform| match platform.map(|text| text.split('/').collect::<Vec<_>>()) {
                None => json!({"digest": D, "size": 1}),
                Some(parts) => json!({"digest": D, "size": 1, "platform":
                    {"os": parts[0], "architecture": parts[1], "variant": parts.get(2)}}),
            })
            .collect();
        match parse(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}), None) {
            Ok(Document::Index(index)) => index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn layer_types_are_known_by_name() {
        for (media_type, compression) in [
            ("application/vnd.oci.image.layer.v1.tar", Compression::None),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Compression::Gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Compression::Zstd),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::Zstd),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::Gzip),
        ] {
            let Ok(Document::Manifest(manifest)) = parse(&image(media_type), Some(OCI_MANIFEST)) else {
                panic!("{media_type}")
            };
            assert_eq!(manifest.layers[0].compression, compression);
            assert_eq!((manifest.config.size, manifest.layers[0].blob.size), (2, 3));
        }
        for unknown in ["", "application/vnd.oci.empty.v1+json", "application/vnd.oci.image.layer.v1.tar+xz"] {
            let error = parse(&image(unknown), None).unwrap_err().to_string();
            assert_eq!(error, format!("layer e3b0c44298fc has the unknown media type '{unknown}'"));
        }
    }

    #[test]
    fn a_document_with_two_meanings_is_refused() {
        let mut both = image("application/vnd.oci.image.layer.v1.tar");
        both["manifests"] = json!([]);
        assert!(parse(&both, None).unwrap_err().to_string().contains("ambiguous"));
        let mut named = image("application/vnd.oci.image.layer.v1.tar");
        named["mediaType"] = json!(OCI_MANIFEST);
        assert!(parse(&named, Some(OCI_MANIFEST)).is_ok());
        assert!(parse(&named, Some("application/json; charset=utf-8")).is_ok());
        let error = parse(&named, Some(OCI_INDEX)).unwrap_err().to_string();
        assert!(error.contains("calls itself"), "{error}");
        assert!(parse(&image("application/vnd.oci.image.layer.v1.tar"), Some(OCI_INDEX)).is_err());
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let error = |value: Value, content_type| parse(&value, content_type).unwrap_err().to_string();
        assert!(error(json!({"schemaVersion": 1, "fsLayers": []}), None).contains("schema 1"));
        let pretty = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(error(json!({}), Some(pretty)).contains("schema 1"));
        assert!(error(json!({"schemaVersion": 3}), None).contains("version 3"));
        let mut chart = image("application/vnd.oci.image.layer.v1.tar");
        chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        assert!(error(chart, None).contains("application/vnd.cncf.helm.config.v1+json"));
        assert!(error(json!({"mediaType": "application/x"}), None).contains("'application/x'"));
        assert!(error(json!([]), None).contains("no JSON object"));
        let html = Document::parse(b"<html>", None).unwrap_err().to_string();
        assert!(html.contains("HTML"), "{html}");
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let mut value = image("application/vnd.oci.image.layer.v1.tar");
        value["config"]["size"] = json!(CONFIG_MAX + 1);
        assert!(parse(&value, None).is_err());
        for size in [json!(-1), json!(1e300), json!("1"), Value::Null, json!(1.5)] {
            value["config"]["size"] = size;
            assert!(parse(&value, None).is_err());
        }
        let mut value = image("application/vnd.oci.image.layer.v1.tar");
        value["layers"] = vec![value["layers"][0].clone(); LAYERS_MAX + 1].into();
        assert!(parse(&value, None).unwrap_err().to_string().contains("513 layers"));
        let entries = vec![json!({"digest": D, "size": 1}); ENTRIES_MAX + 1];
        assert!(parse(&json!({"manifests": entries}), None).unwrap_err().to_string().contains("257 entries"));
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let chosen = |platforms: &[Option<&str>], wanted: &str| {
            let index = index(platforms);
            let entry = index.choose(&Platform::parse(wanted).unwrap()).map_err(|error| error.to_string())?;
            Ok::<_, String>(index.entries.iter().position(|other| std::ptr::eq(other, entry)).unwrap())
        };
        let hub = [Some("linux/amd64"), Some("unknown/unknown"), Some("linux/arm/v6"), Some("linux/arm/v7")];
        assert_eq!(chosen(&hub, "linux/amd64"), Ok(0));
        assert_eq!(chosen(&hub, "linux/arm/v7"), Ok(3));
        assert_eq!(chosen(&hub, "linux/arm/v6"), Ok(2));
        assert_eq!(chosen(&hub, "linux/arm64"), Ok(3));
        assert_eq!(chosen(&[Some("windows/amd64"), Some("linux/386")], "linux/amd64"), Ok(1));
        assert_eq!(chosen(&[Some("unknown/unknown"), None], "linux/amd64"), Ok(1));
        let error = chosen(&hub, "linux/s390x").unwrap_err();
        assert!(error.starts_with("no matching manifest for linux/s390x in the manifest list entries; "), "{error}");
        assert!(chosen(&[None, None], "linux/amd64").is_err());
        assert!(chosen(&[], "linux/amd64").is_err());
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let seeds = [
            image("application/vnd.oci.image.layer.v1.tar+gzip").to_string(),
            json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [{"digest": D, "size": 1,
                "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}]})
            .to_string(),
            "[".repeat(5000),
            r#"{"mediaType":"\ud800","config":1e999}"#.to_owned(),
        ];
        mutation::each(&seeds, 5000, |bytes| {
            if let Ok(Document::Index(index)) = Document::parse(bytes, None) {
                let _ = index.choose(&Platform::host());
            }
        });
    }
}
