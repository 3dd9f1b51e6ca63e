//! Archives as other tools write them, member for member.

use super::{app, form};
use crate::cases;
use crate::image::{Blob, Image, Layer, OCI_INDEX, gzip, index, sha256};
use crate::sandbox::{Mode, Sandbox};
use crate::tar::{Tar, entry};
use serde_json::{Value, json};

cases! {
    Every:
        archives_of_other_tools_are_loaded_and_run,
        layers_that_are_here_may_be_left_out,
        what_is_no_image_in_a_layout_is_passed_over,
        archives_compressed_with_xz_and_bzip2_are_read;
}

fn hex(digest: &str) -> &str {
    &digest["sha256:".len()..]
}

fn list(config: &str, names: &[&str], layers: &[String]) -> String {
    json!([{ "Config": config, "RepoTags": names, "Layers": layers }]).to_string()
}

/// go-containerregistry, and so kaniko, ko and apko: compressed layers by their digests, each once.
fn kaniko(image: &Image) -> Vec<u8> {
    let config = image.config();
    let mut tar = Tar::new().file(&config.digest, 0o644, &*config.bytes);
    let mut layers = Vec::new();
    for layer in &image.layers {
        let packed = gzip(&layer.blob.bytes);
        let name = format!("{}.tar.gz", hex(&sha256(&packed)));
        if !layers.contains(&name) {
            tar = tar.file(&name, 0o644, packed);
        }
        layers.push(name);
    }
    tar.file("manifest.json", 0o644, list(&config.digest, &["app:1"], &layers)).finish()
}

/// jib: the config has a name of its own, and no directory has an entry.
fn jib(image: &Image) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut layers = Vec::new();
    for layer in &image.layers {
        let packed = gzip(&layer.blob.bytes);
        let name = format!("{}.tar.gz", hex(&sha256(&packed)));
        tar = tar.file(&name, 0o644, packed);
        layers.push(name);
    }
    let list = list("config.json", &["app:1", "localhost:5000/app"], &layers);
    tar.file("config.json", 0o644, &*image.config().bytes).file("manifest.json", 0o644, list).finish()
}

/// nix (dockerTools.buildImage): `tar -c .`, then gzip. Hard links stand for layers that are there already.
fn nix(image: &Image) -> Vec<u8> {
    let mut tar = Tar::new().dir(".", 0o755);
    let mut layers: Vec<String> = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let id = hex(&sha256(at.to_string().as_bytes())).to_owned();
        let name = format!("{id}/layer.tar");
        tar = tar.dir(&format!("./{id}"), 0o755).file(&format!("./{id}/VERSION"), 0o644, "1.0");
        let first = image.layers.iter().position(|other| other.diff_id == layer.diff_id).expect("itself");
        tar = match layers.get(first) {
            Some(first) => tar.hardlink(&format!("./{name}"), &format!("./{first}")),
            None => tar.file(&format!("./{name}"), 0o444, &*layer.blob.bytes),
        };
        layers.push(name);
    }
    let config = image.config();
    let name = format!("{}.json", hex(&config.digest));
    let tar = tar.file(&format!("./{name}"), 0o444, &*config.bytes);
    let tar = tar.file("./manifest.json", 0o644, list(&name, &["app:1"], &layers));
    gzip(&tar.file("./repositories", 0o644, "{\"app\":{\"1\":\"x\"}}").finish())
}

/// bazel (rules_oci): a layout's names, with an ending for layers; no layout.
fn bazel(image: &Image) -> Vec<u8> {
    let config = image.config();
    let mut tar = Tar::new().file(&form::member(&config.digest), 0o755, &*config.bytes);
    let mut layers = Vec::new();
    for layer in &image.layers {
        let packed = gzip(&layer.blob.bytes);
        let name = format!("{}.tar.gz", form::member(&sha256(&packed)));
        tar = tar.file(&name, 0o755, packed);
        layers.push(name);
    }
    tar.file("manifest.json", 0o755, list(&form::member(&config.digest), &["app:1"], &layers)).finish()
}

/// skopeo (docker-archive): layers by their diff ids, and links to them for tools that look for directories.
fn skopeo(image: &Image) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut layers: Vec<String> = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let name = format!("{}.tar", hex(&layer.diff_id));
        if !layers.contains(&name) {
            tar = tar.file(&name, 0o444, &*layer.blob.bytes);
        }
        let id = hex(&sha256(format!("legacy {at}").as_bytes())).to_owned();
        tar =
            tar.file(&format!("{id}/VERSION"), 0o444, "1.0").symlink(&format!("{id}/layer.tar"), &format!("../{name}"));
        layers.push(name);
    }
    let config = image.config();
    let name = format!("{}.json", hex(&config.digest));
    let tar = tar.file(&name, 0o444, &*config.bytes).file("repositories", 0o444, "{}");
    tar.file("manifest.json", 0o444, list(&name, &["app:1"], &layers)).finish()
}

/// The same image with compressed layers.
fn packed(image: &Image) -> Image {
    let mut image = image.clone();
    image.layers = image.layers.iter().map(|layer| Layer::gzip(layer.blob.bytes.to_vec())).collect();
    image
}

/// BuildKit (type=oci): the index holds the image's index, which holds the image and its attestation.
fn buildkit(image: &Image) -> Vec<u8> {
    let image = packed(image);
    let inner = Blob::json(&index(&[&image], false));
    let annotations = json!({ "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.created": "2024-05-22T18:18:12Z", "org.opencontainers.image.ref.name": "1" });
    let entry = json!({ "mediaType": OCI_INDEX, "digest": inner.digest, "size": inner.bytes.len(),
        "annotations": annotations });
    let tar = form::layout(&[(&image, &[])], &[entry]);
    tar.file(&form::member(&inner.digest), 0o644, &*inner.bytes).finish()
}

/// An image and its attestation side by side in the layout's own index.
fn attested(image: &Image) -> Vec<u8> {
    let image = packed(image);
    let mut entries = index(&[&image], false)["manifests"].as_array().expect("a list").clone();
    for entry in &mut entries {
        if entry["annotations"].is_null() {
            entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "docker.io/library/app:1" });
        }
    }
    form::layout(&[(&image, &[])], &entries).finish()
}

/// An index without the file that says that it is a layout's, beside Docker's list.
fn half_a_layout(image: &Image) -> Vec<u8> {
    let index = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    let whole = kaniko(image);
    Tar::new().file("index.json", 0o644, index).unfinished().into_iter().chain(whole).collect()
}

/// A layer that is compressed as layers seldom are, which Docker reads.
fn rare(t: &Sandbox, program: &str, image: &Image) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut layers = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let name = format!("{at}.tar.{program}");
        let plain = t.file("plain", &*layer.blob.bytes);
        t.command("sh", &["-c", &format!("{program} -c {plain} >packed")]).ok();
        tar = tar.file(&name, 0o644, std::fs::read(t.path("packed")).expect("read"));
        layers.push(name);
    }
    let tar = tar.file("c.json", 0o644, &*image.config().bytes);
    tar.file("manifest.json", 0o644, list("c.json", &["app:1"], &layers)).finish()
}

fn archives_of_other_tools_are_loaded_and_run(t: &Sandbox) {
    let image = app(t, "me");
    for (tool, archive) in [
        ("kaniko", kaniko(&image)),
        ("jib", jib(&image)),
        ("nix", nix(&image)),
        ("bazel", bazel(&image)),
        ("skopeo", skopeo(&image)),
        ("buildkit", buildkit(&image)),
        ("attested", attested(&image)),
        ("half a layout", half_a_layout(&image)),
        ("xz", rare(t, "xz", &image)),
        ("bzip2", rare(t, "bzip2", &image)),
        ("zstd", rare(t, "zstd", &image)),
    ] {
        let there = t.with_store(tool);
        let out = there.ccrun(&["load"]).stdin(archive).out();
        assert!(out.status == 0 && out.stderr.is_empty(), "{tool}: {}", out.stderr);
        assert!(out.stdout.starts_with("Loaded image: app:1\n"), "{tool}: {}", out.stdout);
        assert_eq!(there.ccrun(&["run", "--rm", "app:1"]).ok().stdout, "me", "{tool}");
        assert_eq!(
            there.ccrun(&["images", "-q", "--no-trunc"]).ok().stdout.lines().next(),
            Some(&*image.id()),
            "{tool}"
        );
        there.nothing_left();
    }
}

/// pack: layers that the daemon has are named "", the others with a slash before.
fn pack(image: &Image, given: &[usize]) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut layers = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let name = format!("/{}.tar", hex(&layer.diff_id));
        if given.contains(&at) {
            tar = tar.entry(&crate::tar::Entry { data: layer.blob.bytes.to_vec(), ..entry(&name, b'0', 0o644) });
        }
        layers.push(if given.contains(&at) { name } else { String::new() });
    }
    let config = image.config();
    let name = format!("{}.json", hex(&config.digest));
    let tar = tar.file(&name, 0o644, &*config.bytes);
    tar.file("manifest.json", 0o644, list(&name, &["app:1"], &layers)).finish()
}

fn layers_that_are_here_may_be_left_out(t: &Sandbox) {
    let base = app(t, "base");
    let image = app(t, "mine").layer(Tar::new().file("more", 0o644, "more"));
    // Nothing of it is here: each layer is named once, and nothing is left behind.
    let out = t.ccrun(&["load"]).stdin(pack(&image, &[2])).out().error(1, "the archive lacks layers that are not here");
    for (at, layer) in image.layers.iter().enumerate() {
        assert_eq!(out.stderr.contains(&layer.diff_id), at != 2, "{at}: {}", out.stderr);
    }
    t.nothing_left();
    t.ccrun(&["load"]).stdin(form::docker_old(&[(&base, &["base:1"])])).ok();
    // One is still missing.
    let out = t.ccrun(&["load"]).stdin(pack(&image, &[2])).out().error(1, "the archive lacks a layer that is not here");
    assert!(out.stderr.contains(&image.layers[4].diff_id), "{}", out.stderr);
    t.ccrun(&["load"]).stdin(pack(&image, &[2, 4])).ok().quiet().prints("Loaded image: app:1\n");
    t.ccrun(&["run", "--rm", "app:1", "cat", "/who", "/more", "/twice"]).ok().prints("minemorex");
    // Docker takes one that is named, but not in the archive, if it has it (moby pull request 18727).
    let named = |image: &Image, tag: &str| {
        let layers: Vec<String> =
            image.layers.iter().map(|layer| format!("{}/layer.tar", hex(&layer.diff_id))).collect();
        let tar = Tar::new().file("c.json", 0o644, &*image.config().bytes);
        tar.file("manifest.json", 0o644, list("c.json", &[tag], &layers)).finish()
    };
    t.ccrun(&["load"]).stdin(named(&image, "again:1")).ok().quiet().prints("Loaded image: again:1\n");
    let other = app(t, "not here");
    let out =
        t.ccrun(&["load"]).stdin(named(&other, "other:1")).out().error(1, "the archive lacks a layer that is not here");
    let missing = &other.layers[2].diff_id;
    assert!(out.stderr.contains(&format!("{}/layer.tar ({missing})", hex(missing))), "{}", out.stderr);
    // The image is whole: it can be saved, and stays when the other goes.
    t.ccrun(&["rmi", "-f", "base:1"]).ok();
    t.ccrun(&["save", "-o", "saved.tar", "app:1"]).ok();
    let far = t.with_store("far");
    far.ccrun(&["load", "-i", "saved.tar"]).ok();
    far.ccrun(&["run", "--rm", "app:1"]).ok().prints("mine");
    // A layout leaves blobs out in the same way.
    let packed = packed(&app(t, "layout"));
    let only: Vec<Blob> = packed.blobs().into_iter().skip(2).chain([Blob::json(&packed.manifest())]).collect();
    let tar = only.iter().fold(Tar::new(), |tar, blob| tar.file(&form::member(&blob.digest), 0o644, &*blob.bytes));
    let entry = form::entry(&packed, json!({ "org.opencontainers.image.ref.name": "docker.io/library/layout:1" }));
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
    let tar = tar.file("index.json", 0o644, index).file("oci-layout", 0o644, "{\"imageLayoutVersion\":\"1.0.0\"}");
    let archive = tar.finish();
    t.ccrun(&["load"]).stdin(archive.clone()).ok().prints("Loaded image: layout:1\n");
    t.ccrun(&["run", "--rm", "layout:1"]).ok().prints("layout");
    let missing = &packed.layers[0].blob.digest;
    t.with_store("empty").ccrun(&["load"]).stdin(archive).out().error(1, &format!("lacks the blob {missing}"));
}

fn what_is_no_image_in_a_layout_is_passed_over(t: &Sandbox) {
    let (one, two) = (packed(&app(t, "one")), packed(&app(t, "two")));
    // A signature and a list of materials, which belong to the image; neither is a blob that could be read as one.
    let other = |kind: &str| {
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 9, "digest": sha256(kind.as_bytes()),
            "artifactType": kind })
    };
    let others = [other("application/vnd.dev.cosign.simplesigning.v1+json"), other("application/spdx+json")];
    let entries: Vec<Value> = others.iter().cloned().chain([form::entry(&one, Value::Null)]).collect();
    let archive = form::layout(&[(&one, &[])], &entries).finish();
    t.ccrun(&["load"]).stdin(archive).ok().quiet().prints(&format!("Loaded image ID: {}\n", one.id()));
    t.ccrun(&["load"]).stdin(form::layout(&[], &others).finish()).out().error(1, "the archive holds no image");
    // Two images without names, both for this machine: none is taken for the other's.
    let both: Vec<Value> = [&one, &two]
        .iter()
        .flat_map(|image| index(&[image], false)["manifests"].as_array().expect("a list").clone())
        .collect();
    let out = t.ccrun(&["load"]).stdin(form::layout(&[(&one, &[]), (&two, &[])], &both).finish()).ok();
    out.prints(&format!("Loaded image ID: {}\nLoaded image ID: {}\n", one.id(), two.id()));
}

fn archives_compressed_with_xz_and_bzip2_are_read(t: &Sandbox) {
    let image = app(t, "me");
    t.file("app.tar", form::docker_old(&[(&image, &["app:1"])]));
    t.file("root.tar", Tar::new().tree(t.busybox.as_ref(), "").file("who", 0o644, "rootfs").finish());
    for program in ["xz", "bzip2", "zstd"] {
        let there = t.with_store(program);
        for name in ["app", "root"] {
            t.command("sh", &["-c", &format!("{program} -c {name}.tar >{name}.{program}")]).ok();
        }
        there.ccrun(&["load", "-i", &format!("app.{program}")]).ok().quiet().prints("Loaded image: app:1\n");
        there.ccrun(&["run", "--rm", "app:1"]).ok().prints("me");
        let piped = format!("$0 load <app.{program} && cat root.{program} | $0 import - root:1");
        let store = there.store.to_str().expect("UTF-8");
        t.command("sh", &["-ec", &piped, &t.ccrun]).env("CCRUN_ROOT", store).ok().has("Loaded image: app:1\n");
        there.ccrun(&["run", "--rm", "root:1", "/bin/cat", "/who"]).ok().prints("rootfs");
        // Cut off, damaged, with rubbish behind it, and without the program.
        let whole = std::fs::read(t.path(&format!("app.{program}"))).expect("read");
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x55;
        for bad in [whole[..whole.len() / 2].to_vec(), damaged] {
            there.ccrun(&["load"]).stdin(bad).out().error(1, &format!("{program}: "));
        }
        let words = ["load", "-i", &format!("app.{program}")];
        let out = there.ccrun(&words).env("PATH", t.dir.join("nothing")).out();
        let said =
            format!("the archive: compressed with {program}, and the program {program} is not on PATH; install it: ");
        out.error(1, &said);
        there.nothing_left();
    }
    if t.mode == Mode::Root && std::path::Path::new(&t.alpine).join("bin/busybox").exists() {
        // BusyBox's own programs do as well.
        let path = t.dir.join("applets");
        std::fs::create_dir(&path).expect("mkdir");
        for program in ["xz", "bzip2"] {
            std::os::unix::fs::symlink(std::path::Path::new(&t.busybox).join("bin/busybox"), path.join(program))
                .expect("symlink");
            let there = t.with_store(&format!("busybox-{program}"));
            let out = there.ccrun(&["load", "-i", &format!("app.{program}")]).env("PATH", &path).out();
            out.exit(0).prints("Loaded image: app:1\n");
        }
    }
}
