//! Manifests and indexes: what an image is made of, in OCI's and in Docker's spelling.

use super::compression::Compression;
use super::decompressor::ZSTD;
use super::digest::Digest;
use super::json;
use super::platform::Platform;
use super::url::{self, Url};
use crate::error::{Error, Result};
use serde_json::Value;

pub use super::json::looks_like_html;

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
const URLS_MAX: usize = 8;

/// What names a blob or another document: type, digest, size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// Where else a foreign layer may be got, without credentials, if the registry has it not. For all
    /// else this is empty, whatever the manifest says, so that no manifest can send us to another host.
    pub urls: Vec<Url>,
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
        let value = json::object("the image's manifest", bytes)?;
        refuse_misspelt(&value)?;
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
            Some(other) => Err(Error::new(format_args!("manifest of the unknown media type '{other}'"))),
            None if has_entries => Ok(Document::Index(Index::read(&value)?)),
            None => Ok(Document::Manifest(Manifest::read(&value)?)),
        }
    }
}

impl Index {
    fn read(value: &Value) -> Result<Index> {
        let list = list(value, "manifests").ok_or_else(|| Error::new("the index has no list of manifests"))?;
        if list.len() > ENTRIES_MAX {
            return Err(Error::new(format_args!("the index has {} entries, more than {ENTRIES_MAX}", list.len())));
        }
        let entries = list.iter().enumerate().map(|(at, entry)| {
            let manifest =
                Descriptor::read(entry).map_err(|error| error.context(format_args!("entry {at} of the index")))?;
            if manifest.size > MANIFEST_MAX {
                return Err(Error::new(format_args!("entry {at} of the index is {} bytes long", manifest.size)));
            }
            let platform = if is_attestation(entry) { Some(Platform::unknown()) } else { platform(entry) };
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
        crate::sort::all(&mut there);
        there.dedup();
        let error = Error::new(format_args!("no matching manifest for {wanted} in the manifest list entries"));
        if there.is_empty() {
            return Err(error);
        }
        Err(error.hint(format_args!("there are {} (choose one with --platform)", there.join(", "))))
    }
}

/// Whether this is the media type of an image's config.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
}

impl Manifest {
    fn read(value: &Value) -> Result<Manifest> {
        let config = value.get("config").ok_or_else(|| Error::new("the manifest names no image config"))?;
        let config = Descriptor::read(config).map_err(|error| error.context("config of the manifest"))?;
        let list = list(value, "layers").ok_or_else(|| Error::new("the manifest has no list of layers"))?;
        if list.len() > LAYERS_MAX {
            return Err(Error::new(format_args!("the manifest has {} layers, more than {LAYERS_MAX}", list.len())));
        }
        // What else lies in registries (charts, signatures, models) has a config of its own type.
        match config.media_type.as_str() {
            media_type if is_config(media_type) => {}
            // Old clients pushed image configs under these names.
            "" | "application/octet-stream" | "application/json" | "text/html" => {}
            "application/vnd.docker.plugin.v1+json" => return Err(Error::new("this is a Docker plugin and no image")),
            other => {
                return Err(Error::new(format_args!("this is no container image: its config is of type '{other}'")));
            }
        }
        if config.size > CONFIG_MAX {
            return Err(Error::new(format_args!(
                "the image config is {} bytes long, more than {CONFIG_MAX}",
                config.size
            )));
        }
        let layers = list.iter().enumerate().map(|(at, layer)| {
            let blob =
                Descriptor::read(layer).map_err(|error| error.context(format_args!("layer {at} of the manifest")))?;
            match LayerType::parse(&blob.media_type) {
                Some(LayerType { compression, foreign: true }) => {
                    let blob = Descriptor { urls: urls(layer), ..blob };
                    Ok(Layer { blob, compression })
                }
                Some(LayerType { compression, foreign: false }) => Ok(Layer { blob, compression }),
                None => {
                    let (layer, media_type) = (blob.digest.short(), blob.media_type);
                    Err(Error::new(format_args!("layer {layer} has the unknown media type '{media_type}'")))
                }
            }
        });
        Ok(Manifest { config, layers: layers.collect::<Result<_>>()? })
    }
}

impl Descriptor {
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Descriptor {
        Descriptor { media_type: media_type.into(), digest, size, urls: Vec::new() }
    }

    fn read(value: &Value) -> Result<Descriptor> {
        let digest = value.get("digest").and_then(Value::as_str).ok_or_else(|| Error::new("no digest"))?;
        let size = value.get("size").and_then(Value::as_u64).ok_or_else(|| Error::new("no size"))?;
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        Ok(Descriptor::new(media_type, Digest::parse(digest)?, size))
    }
}

/// A list that must be there; `null` is how Go writes an empty one.
fn list<'a>(value: &'a Value, name: &str) -> Option<&'a [Value]> {
    match value.get(name)? {
        Value::Null => Some(&[]),
        other => other.as_array().map(Vec::as_slice),
    }
}

/// What an index says an entry is for; None if it says nothing that tells one processor from another.
fn platform(entry: &Value) -> Option<Platform> {
    let field = |name: &str| entry.get("platform")?.get(name)?.as_str().filter(|text| !text.is_empty());
    Some(Platform::new(field("os").unwrap_or("linux"), field("architecture")?, field("variant")))
}

/// Whether an entry says how another one was built. Builders give it the platform unknown/unknown as well.
fn is_attestation(entry: &Value) -> bool {
    let annotation = |name: &str| entry.get("annotations")?.get(name)?.as_str();
    annotation("vnd.docker.reference.type") == Some("attestation-manifest")
}

/// Where a foreign layer is said to be: only places that any stranger may ask, in a way that nobody listens to.
fn urls(layer: &Value) -> Vec<Url> {
    let all = list(layer, "urls").unwrap_or_default().iter();
    let urls = all.filter_map(|url| Url::parse(url.as_str()?).ok());
    urls.filter(|url| url.is_secure() && !url::is_internal(url.host())).take(URLS_MAX).collect()
}

/// Go reads `Layers` as `layers` where that is all there is, we do not: such a document has two meanings.
fn refuse_misspelt(value: &Value) -> Result<()> {
    let names = ["schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers"];
    let twin = |key: &String| names.iter().any(|name| key != name && key.eq_ignore_ascii_case(name));
    match value.as_object().and_then(|object| object.keys().find(|key| twin(key))) {
        Some(key) => Err(Error::new(format_args!("the manifest has the misspelt field '{key}'; refused as ambiguous"))),
        None => Ok(()),
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
            Err(Error::new(format_args!("the manifest calls itself '{own}', the registry calls it '{served}'")))
        }
        (own, served) => Ok(own.or(served).map(str::to_owned)),
    }
}

fn refuse_schema1(value: &Value, content_type: Option<&str>) -> Result<()> {
    let named = content_type.is_some_and(|text| text.contains("docker.distribution.manifest.v1+"));
    let version = value.get("schemaVersion").unwrap_or(&Value::Null);
    if named || version.as_u64() == Some(1) || value.get("fsLayers").is_some() {
        return Err(Error::new("the image has only a manifest of the old schema 1, which nobody can verify")
            .hint("push it again with a current tool"));
    }
    if !version.is_null() && version.as_u64() != Some(2) {
        return Err(Error::new(format_args!("manifest of the unknown schema version {version}")));
    }
    Ok(())
}

/// What the media type of a layer says.
struct LayerType {
    compression: Compression,
    /// Its maker did not want it to be copied into other registries.
    foreign: bool,
}

impl LayerType {
    fn parse(media_type: &str) -> Option<LayerType> {
        let kinds = [
            ("application/vnd.oci.image.layer.v1.tar", false),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", true),
            ("application/vnd.docker.image.rootfs.diff.tar", false),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar", true),
        ];
        let (suffix, foreign) =
            kinds.iter().find_map(|(prefix, foreign)| Some((media_type.strip_prefix(prefix)?, *foreign)))?;
        let compression = match suffix {
            "" => Compression::None,
            "+gzip" | ".gzip" => Compression::Gzip,
            "+zstd" | ".zstd" => Compression::By(&ZSTD),
            _ => return None,
        };
        Some(LayerType { compression, foreign })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;
    use crate::json::json;

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
            ("application/vnd.oci.image.layer.v1.tar+zstd", Compression::By(&ZSTD)),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::By(&ZSTD)),
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
    fn only_foreign_layers_have_other_places() {
        let urls = |media_type: &str, urls: Value| {
            let mut value = image(media_type);
            value["layers"][0]["urls"] = urls;
            match parse(&value, None) {
                Ok(Document::Manifest(manifest)) => {
                    manifest.layers[0].blob.urls.iter().map(Url::to_string).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let there = json!(["https://mcr.example/blob"]);
        assert_eq!(urls(foreign, there.clone()), ["https://mcr.example/blob"]);
        let oci = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
        assert_eq!(urls(oci, json!(["https://mcr.example/blob", "http://a/", "https://mcr.example/2"])).len(), 2);
        assert!(urls("application/vnd.docker.image.rootfs.diff.tar.gzip", there).is_empty());
        let evil = json!([
            "http://mcr.example/",
            "file:///etc/passwd",
            "https://169.254.169.254/",
            "https://localhost/",
            "https://u:p@mcr.example/",
            7,
            null
        ]);
        assert!(urls(foreign, evil).is_empty());
        assert!(urls(foreign, Value::Null).is_empty() && urls(foreign, json!({})).is_empty());
        assert_eq!(urls(foreign, json!(vec!["https://mcr.example/"; 100_000 / 8])).len(), URLS_MAX);
    }

    #[test]
    fn lists_that_go_writes_as_null_are_empty() {
        let mut value = image("");
        value["layers"] = Value::Null;
        assert!(matches!(parse(&value, None), Ok(Document::Manifest(manifest)) if manifest.layers.is_empty()));
        let index = parse(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": null}), None);
        assert!(matches!(index, Ok(Document::Index(index)) if index.entries.is_empty()));
        value["layers"] = json!({});
        assert_eq!(parse(&value, None).unwrap_err().to_string(), "the manifest has no list of layers");
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
        let twice = image("").to_string().replacen('{', r#"{"layers":[],"#, 1);
        let error = Document::parse(twice.as_bytes(), None).unwrap_err().to_string();
        assert_eq!(error, "the image's manifest: the key 'layers' comes twice in one object");
        for twin in ["Layers", "MANIFESTS", "mediatype"] {
            named[twin] = json!([]);
            let error = parse(&named, None).unwrap_err().to_string();
            assert!(error.contains(&format!("misspelt field '{twin}'")), "{error}");
            named.as_object_mut().unwrap().remove(twin);
        }
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let error = |value: Value, content_type| parse(&value, content_type).unwrap_err().to_string();
        assert!(error(json!({"schemaVersion": 1, "fsLayers": []}), None).contains("schema 1"));
        let pretty = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(error(json!({}), Some(pretty)).contains("schema 1"));
        for version in [json!(3), json!("2"), json!(-1), json!(2.5)] {
            let error = error(json!({ "schemaVersion": version }), None);
            assert_eq!(error, format!("manifest of the unknown schema version {version}"));
        }
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
        assert_eq!(chosen(&[Some("/"), Some("linux/")], "linux/amd64").ok(), None);
        assert_eq!(chosen(&[Some("/amd64")], "linux/amd64"), Ok(0));
        assert!(chosen(&[None, None], "linux/amd64").is_err());
        assert!(chosen(&[], "linux/amd64").is_err());
    }

    #[test]
    fn attestations_are_no_images() {
        let attestation = json!({"vnd.docker.reference.type": "attestation-manifest"});
        let index =
            json!({"manifests": [{"digest": D, "size": 1, "annotations": attestation}, {"digest": D, "size": 2}]});
        let Ok(Document::Index(index)) = parse(&index, Some(OCI_INDEX)) else { panic!() };
        assert_eq!(index.choose(&Platform::host()).unwrap().manifest.size, 2);
        let index = Index { entries: index.entries[..1].to_vec() };
        let error = index.choose(&Platform::host()).unwrap_err().to_string();
        assert!(error.starts_with("no matching manifest for") && !error.contains("unknown"), "{error}");
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
