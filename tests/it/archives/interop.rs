//! Archives both ways between ccrun and the programs that people use: who reads what the other writes.
//! An image that arrives has the id that it had, and runs.

use super::{app, needs};
use crate::cases;
use crate::image::{Image, Layer, sha256};
use crate::judges::engine::Engine;
use crate::judges::nasty;
use crate::registry::Registry;
use crate::sandbox::{Out, Sandbox};
use serde_json::{Value, json};

cases! {
    Root:
        docker_reads_and_is_read,
        podman_reads_and_is_read,
        skopeo_reads_and_is_read;
    Every:
        umoci_reads_and_is_read;
}

/// Images that ccrun has pulled, and has saved in `saved.tar`.
struct Saved {
    nasty: Image,
    app: Image,
    /// Their names.
    names: [String; 2],
}

impl Saved {
    fn new(t: &Sandbox) -> Saved {
        let registry = Registry::open();
        let nasty = nasty::image(t, vec![]).set("Labels", json!({ "of": "nasty" }));
        let mut app = app(t, "me").set("Volumes", json!({ "/data": {} }));
        // What a registry has is compressed.
        for layer in &mut app.layers {
            *layer = Layer::gzip(layer.blob.bytes.to_vec());
        }
        let names = ["nasty", "app"].map(|name| format!("{}/some/{name}:v1", registry.host));
        registry.push("some/nasty", "v1", &nasty);
        registry.push("some/app", "v1", &app);
        for name in &names {
            t.ccrun(&["pull", "-q", name]).ok();
        }
        t.ccrun(&["save", "-o", "saved.tar", &names[0], &names[1]]).ok();
        t.ccrun(&["save", "-o", "app.tar", &names[1]]).ok();
        Saved { nasty, app, names }
    }

    fn ids(&self) -> [String; 2] {
        [self.nasty.id(), self.app.id()]
    }

    /// ccrun loads `file` into a new store, finds the images in it and runs one.
    fn comes_back(&self, t: &Sandbox, file: &str, names: &[&str], ids: &[String]) {
        let store = format!("store-{file}");
        let loaded = t.elsewhere(&store, &["load", "-i", file]).ok().quiet();
        for name in names {
            assert!(loaded.stdout.contains(&format!("Loaded image: {name}\n")), "{file}: {}", loaded.stdout);
        }
        let listed = t.elsewhere(&store, &["images", "-q", "--no-trunc"]).ok();
        for id in ids {
            assert!(listed.stdout.contains(id), "{file} lacks {id}: {}", listed.stdout);
        }
        if let Some(app) = names.iter().find(|name| name.contains("app")) {
            t.elsewhere(&store, &["run", "--rm", app]).ok().prints("me");
        }
    }
}

fn docker_reads_and_is_read(t: &Sandbox) {
    let engine = Engine::start(t);
    let saved = Saved::new(t);
    let [nasty, app] = saved.names.each_ref();
    let script = "$0 save $1 $2 | docker -H $3 load";
    let piped = t.command("sh", &["-ec", script, &t.ccrun, nasty, app, &engine.host()]);
    let said = format!("Loaded image: {nasty}\nLoaded image: {app}\n");
    piped.env("CCRUN_ROOT", &t.store).timeout(120).ok().prints(&said);
    for (name, id) in saved.names.iter().zip(saved.ids()) {
        engine.docker(&["images", "-q", "--no-trunc", name]).ok().prints(&format!("{id}\n"));
    }
    engine.docker(&["run", "--rm", "--network", "none", app]).ok().prints("me");
    // Docker cannot save what has GNU's sparse files in it: its own memory of the tar does not know them.
    engine.docker(&["save", "-o", "docker.tar", nasty]).out().exit(1);
    engine.docker(&["tag", app, "other:app"]).ok();
    engine.docker(&["save", "-o", "docker.tar", app, "other:app"]).ok();
    saved.comes_back(t, "docker.tar", &[app, "other:app"], &[saved.app.id()]);
    // Without names, and of an image that Docker has made itself.
    engine.docker(&["save", "-o", "unnamed.tar", &saved.app.id()]).ok();
    saved.comes_back(t, "unnamed.tar", &[], &[saved.app.id()]);
    let made = "tar -C $0 -c . | docker -H $1 import -c 'CMD cat /who' -c 'ENV A=b' - made:app";
    let made = t.command("sh", &["-ec", made, &t.busybox, &engine.host()]).timeout(120).ok();
    engine.docker(&["save", "-o", "made.tar", "made:app"]).ok();
    t.elsewhere("made", &["load", "-i", "made.tar"]).ok().prints("Loaded image: made:app\n");
    t.elsewhere("made", &["images", "-q", "--no-trunc"]).ok().prints(&made.stdout);
    t.elsewhere("made", &["run", "--rm", "made:app", "sh", "-c", "echo $A"]).ok().prints("b\n");
}

fn podman_reads_and_is_read(t: &Sandbox) {
    needs("podman");
    let saved = Saved::new(t);
    let [nasty, app] = saved.names.each_ref();
    // It wants this path short.
    let run = format!("/run/ccrun-it-{}", std::process::id());
    let podman = |words: &[&str]| -> Out {
        let dirs = ["--root", &t.path("podman"), "--runroot", &run, "--storage-driver", "vfs"];
        t.command("podman", &[&dirs, words].concat()).timeout(120).ok()
    };
    for name in [nasty, app] {
        podman(&["load", "-q", "-i", "saved.tar"]).has(&format!("Loaded image: {name}\n"));
    }
    for (name, id) in saved.names.iter().zip(saved.ids()) {
        podman(&["images", "-q", "--no-trunc", name]).prints(&format!("{id}\n"));
    }
    let mounted = podman(&["image", "mount", app]);
    assert_eq!(std::fs::read_to_string(format!("{}/who", mounted.line())).expect("read"), "me");
    podman(&["image", "umount", "--all"]);
    // Neither can it save the nasty one (see Docker).
    podman(&["tag", app, "localhost/other:app"]);
    podman(&["save", "-q", "-m", "-o", "podman.tar", app, "localhost/other:app"]);
    saved.comes_back(t, "podman.tar", &[app, "localhost/other:app"], &[saved.app.id()]);
    // From one OCI layout into another.
    podman(&["rmi", "--all", "--force"]);
    podman(&["load", "-q", "-i", "app.tar"]);
    podman(&["images", "-q", "--no-trunc", app]).prints(&format!("{}\n", saved.app.id()));
    podman(&["save", "-q", "--format", "docker-archive", "-o", "podman-docker.tar", app]);
    podman(&["save", "-q", "--format", "oci-archive", "-o", "podman-oci.tar", app]);
    for file in ["podman-docker.tar", "podman-oci.tar"] {
        saved.comes_back(t, file, &[app], &[config_of(t, file)]);
    }
    saved.comes_back(t, "podman-oci.tar", &[app], &[saved.app.id()]);
    let _ = std::fs::remove_dir_all(run);
}

fn skopeo_reads_and_is_read(t: &Sandbox) {
    needs("skopeo");
    let saved = Saved::new(t);
    let app = &saved.names[1];
    let skopeo = |words: &[&str]| t.command("skopeo", &[&["--insecure-policy"], words].concat()).timeout(120).ok();
    // Both sides of what ccrun saves, and one image of several.
    for source in ["oci-archive:app.tar:v1", "oci-archive:app.tar", &format!("docker-archive:app.tar:{app}")] {
        let config = skopeo(&["inspect", "--config", "--raw", source]).stdout;
        assert_eq!(sha256(config.as_bytes()), saved.app.id(), "{source}");
    }
    for (name, id) in saved.names.iter().zip(saved.ids()) {
        let config = skopeo(&["inspect", "--config", "--raw", &format!("docker-archive:saved.tar:{name}")]).stdout;
        assert_eq!(sha256(config.as_bytes()), id);
    }
    // Of its own making, by either way.
    let from_docker = format!("docker-archive:app.tar:{app}");
    skopeo(&["copy", "-q", &from_docker, &format!("docker-archive:skopeo.tar:{app}")]);
    skopeo(&["copy", "-q", "oci-archive:app.tar", &format!("oci-archive:skopeo-oci.tar:{app}")]);
    skopeo(&["copy", "-q", "oci-archive:app.tar", "oci-archive:skopeo-tag.tar:v1"]);
    skopeo(&["copy", "-q", "oci-archive:app.tar", "oci:skopeo-layout:v1"]);
    for file in ["skopeo.tar", "skopeo-oci.tar"] {
        saved.comes_back(t, file, &[app], &[saved.app.id()]);
    }
    for file in ["skopeo-tag.tar", "skopeo-layout"] {
        saved.comes_back(t, file, &[], &[saved.app.id()]);
    }
    // From one kind to the other it writes the config anew.
    skopeo(&["copy", "-q", &from_docker, &format!("oci-archive:skopeo-new.tar:{app}")]);
    saved.comes_back(t, "skopeo-new.tar", &[app], &[config_of(t, "skopeo-new.tar")]);
    // zstd inside, where this skopeo can write it.
    let zstd = ["copy", "-q", "--dest-compress-format", "zstd", "oci-archive:app.tar"];
    skopeo(&[&zstd[..], &[&format!("oci-archive:skopeo-zstd.tar:{app}")]].concat());
    saved.comes_back(t, "skopeo-zstd.tar", &[app], &[saved.app.id()]);
}

fn umoci_reads_and_is_read(t: &Sandbox) {
    needs("umoci");
    let saved = Saved::new(t);
    std::fs::create_dir(t.dir.join("layout")).expect("mkdir");
    t.command("tar", &["-C", "layout", "-xf", "app.tar"]).ok();
    let umoci = |words: &[&str]| t.command("umoci", words).timeout(120).ok();
    umoci(&["ls", "--layout", "layout"]).prints("v1\n");
    umoci(&["unpack", "--rootless", "--image", "layout:v1", "bundle"]);
    assert_eq!(std::fs::read_to_string(t.dir.join("bundle/rootfs/who")).expect("read"), "me");
    // What it makes of it: another layer.
    std::fs::write(t.dir.join("bundle/rootfs/who"), "umoci").expect("write");
    umoci(&["repack", "--image", "layout:v2", "bundle"]);
    umoci(&["rm", "--image", "layout:v1"]);
    umoci(&["gc", "--layout", "layout"]);
    // It keeps the annotations, and knows nothing of what lies beside the layout.
    std::fs::remove_file(t.dir.join("layout/manifest.json")).expect("remove");
    t.command("tar", &["-C", "layout", "-cf", "umoci.tar", "."]).ok();
    let id = config_of(t, "umoci.tar");
    assert_ne!(id, saved.app.id());
    for (file, store) in [("umoci.tar", "packed"), ("layout", "unpacked")] {
        t.elsewhere(store, &["load", "-i", file]).ok().prints(&format!("Loaded image: {}\n", saved.names[1]));
        t.elsewhere(store, &["run", "--rm", &id[7..19]]).ok().prints("umoci");
    }
}

/// The digest of the config of the only image that is in an archive, looked up with tar alone.
fn config_of(t: &Sandbox, file: &str) -> String {
    let member = |name: &str| {
        let script = "tar -xOf $0 $1 2>/dev/null || tar -xOf $0 ./$1 2>/dev/null || :";
        t.command("sh", &["-c", script, file, name]).ok().stdout
    };
    let document = |name: &str| serde_json::from_str::<Value>(&member(name)).unwrap_or_default();
    let config = match document("manifest.json")[0]["Config"].as_str() {
        Some(name) => member(name),
        None => {
            let digest = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
            let manifest = document(&super::form::member(&digest(&document("index.json")["manifests"][0])));
            return digest(&manifest["config"]);
        }
    };
    sha256(config.as_bytes())
}
