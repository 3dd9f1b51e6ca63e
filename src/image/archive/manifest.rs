//! Manifests that ccrun makes itself, for images that come without one and for layers that go out uncompressed.

use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, OCI_MANIFEST};
use crate::json::json;
use serde_json::Value;

pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The OCI manifest of an image with this config and these layers; the same parts give the same bytes.
pub fn manifest(config: &[u8], layers: &[Descriptor]) -> Vec<u8> {
    let config = Descriptor::new(OCI_CONFIG, Digest::of(config), config.len() as u64);
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(&config),
        "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes()
}

/// A descriptor as JSON.
pub fn descriptor(of: &Descriptor) -> Value {
    json!({ "mediaType": of.media_type, "digest": of.digest.to_string(), "size": of.size })
}

/// A layer as an uncompressed tar of `size` bytes.
pub fn layer(diff_id: &Digest, size: u64) -> Descriptor {
    Descriptor::new(OCI_LAYER, *diff_id, size)
}
