//! What comes over a pipe in place of an archive: `docker save alpine | ssh vm ccrun load`.

use super::{How, Then, all_is_well, image, only_what_is_right_is_seen};
use crate::cases;
use crate::image::{Blob, Image};
use crate::random::Random;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use serde_json::json;
use std::time::Duration;

cases! {
    Every:
        a_damaged_archive_is_refused_or_harmless,
        a_pipe_that_ends_early_is_said;
}

/// The image as an OCI layout under this name, where `How::Load` finds it.
pub fn write(t: &Sandbox, image: &Image, name: &str) -> Vec<u8> {
    let manifest = Blob::json(&image.manifest());
    let annotations = json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": image.media_type(), "size": manifest.bytes.len(), "digest": manifest.digest,
        "annotations": annotations,
    }]});
    let layout = Tar::new().file("oci-layout", 0o644, json!({ "imageLayoutVersion": "1.0.0" }).to_string());
    let blobs = image.blobs().into_iter().chain([manifest]).fold(layout, |tar, blob| {
        tar.file(&format!("blobs/sha256/{}", &blob.digest[7..]), 0o644, blob.bytes.as_slice())
    });
    let archive = blobs.file("index.json", 0o644, index.to_string()).finish();
    t.file("archive.tar", &archive);
    archive
}

/// Loads these bytes; afterwards nothing is wrong, and a good archive loads.
fn check(t: &Sandbox, registry: &Registry, image: &Image, what: &str, bytes: Vec<u8>, then: Then) {
    let t = t.with_store(&format!("store-{}", what.replace(' ', "-")));
    let outcome = How::Load.judge(t.ccrun(&["load"]).stdin(bytes).out());
    match (then, &outcome) {
        (Then::Heals, Err(out)) => panic!("{what}: {}", out.stderr),
        (Then::Fails(_), Ok(())) => panic!("{what}: was taken"),
        (Then::Fails(words), Err(out)) => assert!(out.stderr.contains(words), "{what}: {}", out.stderr),
        _ => {}
    }
    only_what_is_right_is_seen(&t, image, outcome.is_ok());
    all_is_well(&t, &format!("{}/some/app:v1", registry.host));
}

fn a_damaged_archive_is_refused_or_harmless(t: &Sandbox) {
    let mut random = Random::from_environment();
    let (registry, image) = (Registry::open(), image(t));
    registry.push("some/app", "v1", &image);
    let archive = write(t, &image, &format!("{}/some/app:v1", registry.host));
    let check = |what: &str, bytes: Vec<u8>, then: Then| check(t, &registry, &image, what, bytes, then);
    check("all is well", archive.clone(), Then::Heals);
    check("nothing", Vec::new(), Then::Fails(""));
    check("zeros behind", [&archive[..], &[0; 20_000]].concat(), Then::Heals);
    check("garbage behind", [&archive[..], &[7; 20_000]].concat(), Then::Either);
    check("HTML", b"<!doctype html><title>Sign in</title>".to_vec(), Then::Fails(""));
    // In the first header, in a blob, in the index.
    for at in [1, 600, archive.len() / 3, archive.len() / 2, archive.len() - 1500] {
        check(&format!("cut at {at}"), archive[..at].to_vec(), Then::Fails(""));
    }
    check("a wrong bit in a layer", flipped(&archive, archive.len() / 2), Then::Fails(""));
    for _ in 0..8 {
        let at = random.below(archive.len());
        check(&format!("a wrong bit at {at}"), flipped(&archive, at), Then::Either);
    }
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn a_pipe_that_ends_early_is_said(t: &Sandbox) {
    let (registry, image) = (Registry::open(), image(t));
    registry.push("some/app", "v1", &image);
    let archive = write(t, &image, &format!("{}/some/app:v1", registry.host));
    t.file("half.tar", &archive[..archive.len() / 2]);
    // It says nothing for a while, and then no more: the other machine has gone.
    let script = format!("{{ cat half.tar; sleep {}; }} | {} load", Duration::from_millis(1500).as_secs_f32(), t.ccrun);
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).out();
    assert!(How::Load.judge(out).is_err());
    only_what_is_right_is_seen(t, &image, false);
    all_is_well(t, &format!("{}/some/app:v1", registry.host));
}
