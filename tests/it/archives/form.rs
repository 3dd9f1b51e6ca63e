//! Archives of images in the forms that today's and former tools write.

use crate::image::{Blob, Image, OCI_MANIFEST, sha256};
use crate::tar::Tar;
use serde_json::{Value, json};

/// An image and its names.
pub type Named<'a> = (&'a Image, &'a [&'a str]);

/// As Docker saved images until version 25: a directory for each layer, in which a layer that is there
/// already is a symlink. The documents come last, as it wrote them.
pub fn docker_old(images: &[Named<'_>]) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut list = Vec::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for (number, (image, names)) in images.iter().enumerate() {
        let mut layers = Vec::new();
        for (at, layer) in image.layers.iter().enumerate() {
            let id = sha256(format!("{number} {at}").as_bytes())[7..].to_owned();
            let member = format!("{id}/layer.tar");
            tar = tar.dir(&id, 0o755).file(&format!("{id}/VERSION"), 0o644, "1.0");
            tar = match seen.iter().find(|(digest, _)| *digest == layer.blob.digest) {
                Some((_, first)) => tar.symlink(&member, &format!("../{first}")),
                None => tar.file(&member, 0o644, &*layer.blob.bytes),
            };
            seen.push((layer.blob.digest.clone(), member.clone()));
            layers.push(member);
        }
        let config = image.config();
        let member = format!("{}.json", &config.digest[7..]);
        tar = tar.file(&member, 0o644, &*config.bytes);
        let tags = if names.is_empty() { Value::Null } else { json!(names) };
        list.push(json!({ "Config": member, "RepoTags": tags, "Layers": layers }));
    }
    tar.file("manifest.json", 0o644, json!(list).to_string()).file("repositories", 0o644, "{}").finish()
}

/// As go-containerregistry and its many users write it: compressed layers, odd names.
pub fn compressed(images: &[Named<'_>]) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut list = Vec::new();
    for (image, names) in images {
        let config = image.config();
        tar = tar.file(&config.digest, 0o644, &*config.bytes);
        let member = |digest: &str| format!("{}.tar.gz", &digest[7..]);
        for layer in &image.layers {
            tar = tar.file(&member(&layer.blob.digest), 0o644, &*layer.blob.bytes);
        }
        let layers: Vec<String> = image.layers.iter().map(|layer| member(&layer.blob.digest)).collect();
        list.push(json!({ "Config": config.digest, "RepoTags": names, "Layers": layers }));
    }
    tar.file("manifest.json", 0o644, json!(list).to_string()).finish()
}

/// As Docker saves images since version 25: an OCI layout with the old lists beside it.
pub fn docker_new(images: &[Named<'_>]) -> Vec<u8> {
    let (mut list, mut entries) = (Vec::new(), Vec::new());
    for (image, names) in images {
        let layers: Vec<String> = image.layers.iter().map(|layer| member(&layer.blob.digest)).collect();
        list.push(json!({ "Config": member(&image.id()), "RepoTags": names, "Layers": layers }));
        for name in *names {
            let tag = name.rsplit(':').next().unwrap_or_default();
            entries.push(entry(
                image,
                json!({ "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": tag }),
            ));
        }
        if names.is_empty() {
            entries.push(entry(image, Value::Null));
        }
    }
    layout(images, &entries).file("manifest.json", 0o644, json!(list).to_string()).finish()
}

/// A layout that names nothing, beside a list that does.
pub fn named_by_list(images: &[Named<'_>]) -> Vec<u8> {
    let entries: Vec<Value> = images.iter().map(|(image, _)| entry(image, Value::Null)).collect();
    let list: Vec<Value> = images
        .iter()
        .map(|(image, names)| json!({ "Config": member(&image.id()), "RepoTags": names, "Layers": [] }))
        .collect();
    layout(images, &entries).file("manifest.json", 0o644, json!(list).to_string()).finish()
}

/// As podman and skopeo write it: a layout whose entries have the whole name where others have the tag.
pub fn oci_archive(images: &[Named<'_>]) -> Vec<u8> {
    let mut entries = Vec::new();
    for (image, names) in images {
        for name in *names {
            entries.push(entry(image, json!({ "org.opencontainers.image.ref.name": name })));
        }
        if names.is_empty() {
            entries.push(entry(image, json!({ "org.opencontainers.image.ref.name": "latest" })));
        }
    }
    layout(images, &entries).finish()
}

/// A layout's entry for an image.
pub fn entry(image: &Image, annotations: Value) -> Value {
    let manifest = Blob::json(&image.manifest());
    let mut entry = json!({ "mediaType": OCI_MANIFEST, "size": manifest.bytes.len(), "digest": manifest.digest });
    if !annotations.is_null() {
        entry["annotations"] = annotations;
    }
    entry
}

/// How a layout calls a blob.
pub fn member(digest: &str) -> String {
    format!("blobs/sha256/{}", &digest[7..])
}

/// A layout with these images' blobs and these entries.
pub fn layout(images: &[Named<'_>], entries: &[Value]) -> Tar {
    let mut tar = Tar::new().dir("blobs", 0o755).dir("blobs/sha256", 0o755);
    for (image, _) in images {
        for blob in image.blobs().iter().chain([&Blob::json(&image.manifest())]) {
            tar = tar.file(&member(&blob.digest), 0o644, &*blob.bytes);
        }
    }
    let index = json!({ "schemaVersion": 2, "manifests": entries }).to_string();
    tar.file("index.json", 0o644, index).file("oci-layout", 0o644, "{\"imageLayoutVersion\":\"1.0.0\"}")
}
