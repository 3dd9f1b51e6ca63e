//! Makes images in memory: layers, config, manifest, index.

use crate::tar::Tar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(miniz_oxide::deflate::compress_to_vec(bytes, 1));
    out.extend(crc32(bytes).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (n, slot) in table.iter_mut().enumerate() {
        *slot = (0..8).fold(n as u32, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 });
    }
    !bytes.iter().fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

#[derive(Clone)]
pub struct Blob {
    pub bytes: Arc<Vec<u8>>,
    pub digest: String,
}

impl Blob {
    pub fn new(bytes: Vec<u8>) -> Blob {
        Blob { digest: sha256(&bytes), bytes: Arc::new(bytes) }
    }

    pub fn json(value: &Value) -> Blob {
        Blob::new(serde_json::to_vec_pretty(value).expect("JSON"))
    }
}

#[derive(Clone)]
pub struct Layer {
    pub blob: Blob,
    pub diff_id: String,
    pub media_type: &'static str,
}

impl Layer {
    pub fn gzip(tar: Vec<u8>) -> Layer {
        Layer { diff_id: sha256(&tar), blob: Blob::new(gzip(&tar)), media_type: OCI_LAYER_GZIP }
    }

    pub fn plain(tar: Vec<u8>) -> Layer {
        let media_type = "application/vnd.oci.image.layer.v1.tar";
        Layer { diff_id: sha256(&tar), blob: Blob::new(tar), media_type }
    }

    /// Any compressed bytes that are said to be this tar.
    pub fn claimed(compressed: Vec<u8>, tar: &[u8]) -> Layer {
        Layer { diff_id: sha256(tar), blob: Blob::new(compressed), media_type: OCI_LAYER_GZIP }
    }
}

/// An image with all its parts; change `config` and `manifest` through the methods.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Layer>,
    /// What stands under "config" in the image's configuration.
    settings: Value,
    platform: (&'static str, &'static str, Option<&'static str>),
    docker: bool,
}

pub const HOST_ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

impl Image {
    pub fn new(layers: Vec<Layer>) -> Image {
        Image { layers, settings: json!({}), platform: ("linux", HOST_ARCH, None), docker: false }
    }

    /// The busybox fixture as an image's only layer.
    pub fn busybox(dir: &str) -> Image {
        Image::new(vec![Layer::gzip(Tar::new().tree(Path::new(dir), "").finish())])
    }

    /// Sets a field of the config: Env, Cmd, Entrypoint, User, WorkingDir, StopSignal, Volumes, …
    pub fn set(mut self, name: &str, value: Value) -> Image {
        self.settings[name] = value;
        self
    }

    pub fn layer(mut self, tar: Tar) -> Image {
        self.layers.push(Layer::gzip(tar.finish()));
        self
    }

    pub fn platform(mut self, os: &'static str, arch: &'static str, variant: Option<&'static str>) -> Image {
        self.platform = (os, arch, variant);
        self
    }

    /// In Docker's media types instead of OCI's.
    pub fn docker(mut self) -> Image {
        self.docker = true;
        self
    }

    pub fn config(&self) -> Blob {
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let (os, arch, variant) = self.platform;
        let mut config = json!({
            "architecture": arch, "os": os, "config": self.settings, "created": "2026-01-02T03:04:05.678901234Z",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": self.layers.iter().map(|_| json!({ "created_by": "tests" })).collect::<Vec<_>>(),
        });
        if let Some(variant) = variant {
            config["variant"] = json!(variant);
        }
        Blob::json(&config)
    }

    pub fn media_type(&self) -> &'static str {
        if self.docker { DOCKER_MANIFEST } else { OCI_MANIFEST }
    }

    pub fn manifest(&self) -> Value {
        let config = self.config();
        let docker = "application/vnd.docker.container.image.v1+json";
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| {
                let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
                let media_type = if self.docker { gzip } else { layer.media_type };
                json!({ "mediaType": media_type, "size": layer.blob.bytes.len(), "digest": layer.blob.digest })
            })
            .collect();
        json!({
            "schemaVersion": 2, "mediaType": self.media_type(),
            "config": {
                "mediaType": if self.docker { docker } else { OCI_CONFIG },
                "size": config.bytes.len(), "digest": config.digest,
            },
            "layers": layers,
        })
    }

    /// The image ID: the digest of its configuration.
    pub fn id(&self) -> String {
        self.config().digest
    }

    pub fn blobs(&self) -> Vec<Blob> {
        self.layers.iter().map(|layer| layer.blob.clone()).chain([self.config()]).collect()
    }

    /// Writes it as an OCI layout, with the tag `v1`.
    pub fn write_layout(&self, dir: &Path) {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("mkdir");
        for blob in self.blobs().iter().chain([&Blob::json(&self.manifest())]) {
            std::fs::write(blobs.join(&blob.digest["sha256:".len()..]), &*blob.bytes).expect("write");
        }
        let mut descriptor = self.descriptor();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string();
        std::fs::write(dir.join("index.json"), index).expect("write");
        std::fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").expect("write");
    }

    fn descriptor(&self) -> Value {
        let manifest = Blob::json(&self.manifest());
        let (os, arch, variant) = self.platform;
        let mut platform = json!({ "os": os, "architecture": arch });
        if let Some(variant) = variant {
            platform["variant"] = json!(variant);
        }
        json!({
            "mediaType": self.media_type(), "size": manifest.bytes.len(), "digest": manifest.digest, "platform": platform,
        })
    }
}

/// An index of these images, with the attestation entry that builders add nowadays.
pub fn index(images: &[&Image], docker: bool) -> Value {
    let mut manifests: Vec<Value> = images.iter().map(|image| image.descriptor()).collect();
    let attestation = json!({
        "mediaType": OCI_MANIFEST, "size": 566, "digest": sha256(b"attestation"),
        "platform": { "os": "unknown", "architecture": "unknown" },
        "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
    });
    manifests.insert(0, attestation);
    json!({ "schemaVersion": 2, "mediaType": if docker { DOCKER_LIST } else { OCI_INDEX }, "manifests": manifests })
}
