//! Indexes, manifests and configs that mean harm.

use super::{nothing_is_left, outside, pull, set_out_bait, several_at_once};
use crate::cases;
use crate::image::{Blob, Image, OCI_INDEX, OCI_MANIFEST, index};
use crate::random::Random;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

cases! {
    Root:
        documents_that_cannot_be_are_refused,
        configs_that_cannot_be_are_refused,
        indexes_end,
        odd_documents_are_borne,
        hundreds_of_damaged_documents;
}

const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn small() -> Image {
    Image::new(vec![]).layer(Tar::new().file("f", 0o644, "x"))
}

/// What is served in place of the right manifest, and words of the answer to it.
fn manifests() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = small().manifest();
    let with = |path: &str, value: Value| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(path).expect(path) = value;
        manifest.to_string().into_bytes()
    };
    let also = |name: &str, value: Value| {
        let mut manifest = good.clone();
        manifest[name] = value;
        manifest.to_string().into_bytes()
    };
    let text = good.to_string();
    let first = |more: &str| text.replacen('{', &format!("{{{more},"), 1).into_bytes();
    let layer = good["layers"][0].clone();
    let filler = |unit: &str, size: usize| first(&format!("\"x\":[{}0]", unit.repeat(size / unit.len())));
    vec![
        ("100 000 layers", with("/layers", vec![layer; 100_000].into()), ""),
        ("600 layers", with("/layers", vec![good["layers"][0].clone(); 600].into()), "600 layers"),
        ("a digest as a path", with("/layers/0/digest", json!("sha256:../../../outside/secret")), "invalid digest"),
        ("an absolute path", with("/config/digest", json!("/etc/passwd")), "invalid digest"),
        ("a digest in capitals", with("/layers/0/digest", json!(D.to_uppercase())), "digest"),
        (
            "another kind of digest",
            with("/layers/0/digest", json!(format!("sha512:{}", "a".repeat(128)))),
            "unsupported",
        ),
        ("a digest with NUL", with("/layers/0/digest", json!(D.replace("42", "\0"))), "invalid digest"),
        ("a negative size", with("/layers/0/size", json!(-1)), "no size"),
        ("a huge layer", with("/layers/0/size", json!(u64::MAX)), ""),
        ("a huge config", with("/config/size", json!(1u64 << 40)), "bytes long"),
        ("a size beyond all", first("\"size\":1e999"), "no JSON"),
        ("a layer twice", first("\"layers\":[]"), "comes twice"),
        ("a layer twice, hidden", first("\"l\\u0061yers\":[]"), "comes twice"),
        ("a layer in Go's eyes", first("\"Layers\":[]"), "misspelt"),
        ("deep nesting", filler("[", 200_000), ""),
        ("many values", filler("[],", 4_000_000), "more than 65536 values"),
        ("many objects", filler("{\"\":0},", 4_000_000), "more than 65536 values"),
        ("a long string", first(&format!("\"x\":\"{}\"", "y".repeat(5_000_000))), ""),
        ("an index as well", also("manifests", json!([])), "ambiguous"),
        ("schema 1", also("schemaVersion", json!(1)), "schema 1"),
        ("its layers", also("fsLayers", json!([])), "schema 1"),
        ("another type than served", also("mediaType", json!(OCI_INDEX)), "calls itself"),
        (
            "escapes in a type",
            with("/layers/0/mediaType", json!("\u{1b}]0;x\u{7}\u{202e}")),
            "unknown media type '\\x1b",
        ),
        ("a type of megabytes", with("/layers/0/mediaType", json!("t".repeat(3_000_000))), "unknown media type 'ttt"),
        ("no UTF-8", first("\"x\":\"?\"").iter().map(|b| if *b == b'?' { 0xff } else { *b }).collect(), "no JSON"),
        ("half a character", first("\"x\":\"\\ud800\""), "no JSON"),
        ("a list", b"[]".to_vec(), "no JSON object"),
        ("nothing", Vec::new(), ""),
    ]
}

fn documents_that_cannot_be_are_refused(t: &Sandbox) {
    let registry = Registry::open();
    for blob in small().blobs() {
        registry.push_blob(blob);
    }
    set_out_bait(t);
    let before = outside(t);
    let cases = manifests();
    for (at, (_, document, _)) in cases.iter().enumerate() {
        registry.push_raw_manifest("evil/app", &format!("v{at}"), OCI_MANIFEST, Blob::new(document.clone()));
    }
    several_at_once(t, cases.len(), |t, at| {
        let (what, _, words) = cases[at];
        let out = pull(t, &format!("{}/evil/app:v{at}", registry.host), what);
        assert!(out.status == 1 && out.stderr.contains(words), "{what}: {:.300}", out.stderr);
        assert!(out.stderr.len() < 10_000, "{what}: an error of {} bytes", out.stderr.len());
        assert!(t.names_in("images").is_empty() && t.layers().is_empty(), "{what}");
        nothing_is_left(t);
    });
    assert_eq!(outside(t), before);
}

fn configs_that_cannot_be_are_refused(t: &Sandbox) {
    let registry = Registry::open();
    let good: Value = serde_json::from_slice(&small().config().bytes).expect("JSON");
    let config = |change: &dyn Fn(&mut Value)| {
        let mut config = good.clone();
        change(&mut config);
        config.to_string().into_bytes()
    };
    let text = good.to_string();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("NUL in the command", config(&|c| c["config"]["Cmd"] = json!(["a\0b"])), "NUL"),
        ("NUL in the directory", config(&|c| c["config"]["WorkingDir"] = json!("/\0")), "NUL"),
        ("NUL in the user", config(&|c| c["config"]["User"] = json!("0\0")), "NUL"),
        ("a path for a diff id", config(&|c| c["rootfs"]["diff_ids"][0] = json!("sha256:../../x")), "invalid digest"),
        ("a number for a diff id", config(&|c| c["rootfs"]["diff_ids"][0] = json!(7)), "diff_ids"),
        ("a diff id too many", config(&|c| c["rootfs"]["diff_ids"] = json!([D, D])), "1 layers, the image config 2"),
        ("no diff ids", config(&|c| c["rootfs"] = json!({})), "1 layers, the image config 0"),
        ("another's diff id", config(&|c| c["rootfs"]["diff_ids"] = json!([D])), "digest"),
        (
            "two users",
            text.replacen("\"config\":{", "\"config\":{\"User\":\"0\",\"User\":\"1\",", 1).into(),
            "comes twice",
        ),
        ("a million steps", config(&|c| c["history"] = vec![json!({}); 1_000_000].into()), "more than 65536 values"),
        ("deep nesting", config(&|_| ()).into_iter().chain(vec![b'['; 100_000]).collect(), ""),
        ("nine megabytes", config(&|c| c["comment"] = json!("x".repeat(9 << 20))), "bytes long"),
        ("windows", config(&|c| c["rootfs"]["type"] = json!("windows")), "unknown type"),
        ("HTML", b"<html>".to_vec(), "HTML"),
    ];
    for (at, (_, config, _)) in cases.iter().enumerate() {
        push_with_config(&registry, &format!("v{at}"), &small(), config.clone());
    }
    several_at_once(t, cases.len(), |t, at| {
        let (what, _, words) = &cases[at];
        let out = pull(t, &format!("{}/evil/app:v{at}", registry.host), what);
        assert!(out.status == 1 && out.stderr.contains(words), "{what}: {:.300}", out.stderr);
        assert!(t.names_in("images").is_empty(), "{what}");
        nothing_is_left(t);
    });
}

/// An image whose config is these bytes, under their right digest.
fn push_with_config(registry: &Registry, tag: &str, image: &Image, config: Vec<u8>) {
    let mut manifest = image.manifest();
    let config = Blob::new(config);
    manifest["config"]["size"] = json!(config.bytes.len());
    manifest["config"]["digest"] = json!(config.digest);
    for blob in image.blobs().into_iter().chain([config]) {
        registry.push_blob(blob);
    }
    registry.push_manifest("evil/app", tag, OCI_MANIFEST, &manifest);
}

fn indexes_end(t: &Sandbox) {
    let registry = Registry::open();
    let name = |tag: &str| format!("{}/evil/app:{tag}", registry.host);
    let refused = |tag: &str, words: &str| {
        let out = pull(t, &name(tag), tag);
        assert!(out.status == 1 && out.stderr.contains(words), "{tag}: {}", out.stderr);
    };
    let of = |digest: &str, size: usize| {
        let entry = json!({ "mediaType": OCI_INDEX, "digest": digest, "size": size });
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] })
    };
    // Indexes of indexes of indexes, an image at their end.
    let mut below = Blob::json(&index(&[&small()], false));
    registry.push_index("evil/app", "0", &[&small()], false);
    for depth in 1..6 {
        let document = of(&below.digest, below.bytes.len());
        registry.push_manifest("evil/app", &depth.to_string(), OCI_INDEX, &document);
        below = Blob::json(&document);
    }
    assert_eq!(pull(t, &name("1"), "an index in an index").status, 0);
    refused("5", "deep");
    // One that says it is in itself; the registry swears to it.
    let circle = Blob::json(&of(D, 7));
    registry.push_raw_manifest("evil/app", "circle", OCI_INDEX, circle.clone());
    registry.push_raw_manifest("evil/app", D, OCI_INDEX, circle);
    refused("circle", "what came has the digest");
    // More entries than anybody has machines.
    let entry = json!({ "mediaType": OCI_MANIFEST, "digest": D, "size": 7 });
    let bomb = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": vec![entry; 5000] });
    registry.push_manifest("evil/app", "bomb", OCI_INDEX, &bomb);
    refused("bomb", "5000 entries");
    // An entry that is smaller than it says, or another one.
    let image = small();
    registry.push("evil/app", "good", &image);
    let lie = of(&Blob::json(&image.manifest()).digest, 7);
    registry.push_manifest("evil/app", "lie", OCI_INDEX, &lie);
    refused("lie", "bytes instead of 7");
    nothing_is_left(t);
}

fn odd_documents_are_borne(t: &Sandbox) {
    let registry = Registry::open();
    let good: Value = serde_json::from_slice(&small().config().bytes).expect("JSON");
    type Change<'a> = &'a dyn Fn(&mut Value);
    let odd: [(&str, Change); 5] = [
        ("null everywhere", &|c| {
            c["config"] = json!({ "Env": null, "Cmd": null, "Labels": null, "Volumes": null, "User": null });
            (c["history"], c["created"], c["container_config"]) = (Value::Null, Value::Null, Value::Null);
        }),
        ("other types", &|c| c["config"] = json!({ "Env": 7, "Cmd": {}, "Labels": [], "Volumes": "x", "User": [] })),
        ("no config", &|c| drop(c.as_object_mut().map(|config| config.remove("config")))),
        ("a long history", &|c| c["history"] = vec![json!({ "created_by": "x".repeat(500) }); 5000].into()),
        ("a config of megabytes", &|c| c["config"]["Labels"] = json!({ "x": "y".repeat(7 << 20) })),
    ];
    for (what, change) in odd {
        let mut config = good.clone();
        change(&mut config);
        push_with_config(&registry, "odd", &small(), config.to_string().into_bytes());
        let out = pull(t, &format!("{}/evil/app:odd", registry.host), what);
        assert_eq!(out.status, 0, "{what}: {}", out.stderr);
        t.ccrun(&["images"]).ok();
    }
}

/// Every place of a document, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inner = |name: &str, value: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        all.push(at.clone());
        places(value, &at, all);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| inner(name, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| inner(&n.to_string(), value)),
        _ => {}
    }
}

fn damage(document: &mut Value, random: &mut Random) {
    let mut all = Vec::new();
    places(document, "", &mut all);
    let deep = (0..100).fold(json!(0), |inner, _| json!([inner]));
    let long = "x".repeat(100_000);
    let values = [
        json!(null),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!(""),
        json!("\0"),
        json!([]),
        json!({}),
        json!("../../outside/secret"),
        json!(D),
        json!("\u{1b}[2J"),
        json!(OCI_INDEX),
        json!([[]]),
        deep,
        json!(long),
        json!(vec![D; 1000]),
        json!({ "digest": D, "size": 0 }),
        json!("linux"),
        json!("sha256:"),
    ];
    let place = random.of(&all).clone();
    let (above, name) = place.rsplit_once('/').expect("a slash");
    match (random.below(4), document.pointer_mut(above)) {
        (0, Some(Value::Object(object))) => drop(object.remove(name)),
        (1, Some(Value::Array(list))) => {
            let value = random.of(&values).clone();
            list.push(value);
        }
        _ => *document.pointer_mut(&place).expect("a place") = random.of(&values).clone(),
    }
}

fn hundreds_of_damaged_documents(t: &Sandbox) {
    const COUNT: usize = 300;
    let mut random = Random::from_environment();
    let registry = Registry::open();
    let image = small();
    registry.push("evil/app", "good", &image);
    let good: Value = serde_json::from_slice(&image.config().bytes).expect("JSON");
    for at in 0..COUNT {
        let mut config = good.clone();
        let kind = random.below(3);
        if kind == 0 {
            damage(&mut config, &mut random);
        }
        let config = Blob::json(&config);
        let mut manifest = image.manifest();
        manifest["config"]["size"] = json!(config.bytes.len());
        manifest["config"]["digest"] = json!(config.digest);
        registry.push_blob(config);
        let (media_type, mut document) =
            if kind == 1 { (OCI_INDEX, index(&[&image], false)) } else { (OCI_MANIFEST, manifest) };
        if kind != 0 {
            (0..=random.below(2)).for_each(|_| damage(&mut document, &mut random));
        }
        registry.push_raw_manifest("evil/app", &format!("v{at}"), media_type, Blob::json(&document));
    }
    set_out_bait(t);
    let before = outside(t);
    let taken = AtomicUsize::new(0);
    several_at_once(t, COUNT, |t, at| {
        let name = format!("{}/evil/app:v{at}", registry.host);
        let out = pull(t, &name, &format!("number {at}"));
        if out.status == 0 {
            taken.fetch_add(1, Ordering::Relaxed);
            t.ccrun(&["rmi", &name]).ok();
        }
        nothing_is_left(t);
    });
    assert_eq!(outside(t), before);
    // Neither all harmless nor all nonsense.
    let taken = taken.into_inner();
    assert!((COUNT / 20..COUNT * 19 / 20).contains(&taken), "{taken} of {COUNT} were taken");
}
