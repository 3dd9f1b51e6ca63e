//! Images by file: load, save, import.

pub mod form;
pub mod hostile;
pub mod interop;
pub mod tools;

use crate::image::{Image, Layer, OCI_INDEX, gzip, index, sha256};
use crate::judges::nasty;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use crate::{cases, pty, sys, users};
use serde_json::{Value, json};

cases! {
    Every:
        images_of_every_form_are_loaded_and_run,
        an_archive_comes_by_file_or_pipe_compressed_or_not,
        an_index_gives_this_machines_image,
        a_name_moves_to_the_image_that_is_loaded,
        what_is_saved_loads_with_the_same_id,
        what_is_saved_is_whole_or_not_there,
        a_root_file_system_becomes_an_image,
        a_killed_load_or_save_leaves_nothing;
}

/// Busybox, a file that says who it is, and the same layer twice; uncompressed, as archives have it.
fn app(t: &Sandbox, who: &str) -> Image {
    let busybox = Layer::plain(Tar::new().tree(t.busybox.as_ref(), "").finish());
    let twice = Layer::plain(Tar::new().file("twice", 0o644, "x").finish());
    let own = Layer::plain(Tar::new().file("who", 0o644, who).finish());
    Image::new(vec![busybox, twice.clone(), own, twice])
        .set("Cmd", json!(["cat", "/who"]))
        .set("Env", json!(["PATH=/bin"]))
}

impl Sandbox {
    /// The ids of all images.
    fn image_ids(&self) -> Vec<String> {
        let ids = self.ccrun(&["images", "-q", "--no-trunc"]).ok();
        let mut ids: Vec<String> = ids.stdout.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// ccrun with another store.
    fn elsewhere(&self, store: &str, args: &[&str]) -> crate::sandbox::Cmd {
        self.ccrun(&[&["--root", &self.path(store)], args].concat())
    }
}

fn images_of_every_form_are_loaded_and_run(t: &Sandbox) {
    let (one, two, unnamed) = (app(t, "one"), app(t, "two"), app(t, "unnamed"));
    let packed = |mut image: Image| {
        image.layers =
            image.layers.iter().map(|layer| Layer::claimed(gzip(&layer.blob.bytes), &layer.blob.bytes)).collect();
        image
    };
    let (packed_one, packed_two, packed_unnamed) = (packed(one.clone()), packed(two.clone()), packed(unnamed.clone()));
    let names: [&[&str]; 3] = [&["localhost/some/one:v1", "one:latest"], &["docker.io/library/two:2"], &[]];
    let plain = [(&one, names[0]), (&two, names[1]), (&unnamed, names[2])];
    let packed = [(&packed_one, names[0]), (&packed_two, names[1]), (&packed_unnamed, names[2])];
    let said = format!(
        "Loaded image: localhost/some/one:v1\nLoaded image: one:latest\nLoaded image: two:2\nLoaded image ID: {}\n",
        unnamed.id()
    );
    for (form, archive) in [
        ("old", form::docker_old(&plain)),
        ("new", form::docker_new(&plain)),
        ("compressed", form::compressed(&packed)),
        ("oci", form::oci_archive(&packed)),
        ("named by its list", form::named_by_list(&packed)),
    ] {
        let load = |t: &Sandbox| t.elsewhere(form, &["load"]).stdin(archive.clone()).ok().quiet().prints(&said);
        load(t);
        t.elsewhere(form, &["run", "--rm", "localhost/some/one:v1"]).ok().prints("one");
        t.elsewhere(form, &["run", "--rm", "two:2"]).ok().prints("two");
        t.elsewhere(form, &["run", "--rm", &unnamed.id()[7..19]]).ok().prints("unnamed");
        // Once more with everything there.
        load(t);
        let ids = t.elsewhere(form, &["images", "-q", "--no-trunc"]).ok().stdout;
        for image in [&one, &two, &unnamed] {
            assert!(ids.contains(&image.id()), "{form}: {ids}");
        }
        assert_eq!(t.names_in(&format!("../{form}/tmp")), [""; 0], "{form}");
    }
    // A layout that nobody put into a tar.
    one.write_layout(&t.dir.join("layout"));
    t.elsewhere("layout-store", &["load", "-i", "layout"]).ok().prints(&format!("Loaded image ID: {}\n", one.id()));
}

fn an_archive_comes_by_file_or_pipe_compressed_or_not(t: &Sandbox) {
    let image = app(t, "me");
    let archive = form::docker_old(&[(&image, &["me:1"])]);
    let plain = t.file("plain.tar", &archive);
    t.file("packed.tar.gz", gzip(&archive));
    t.command("zstd", &["-q", &plain, "-o", "packed.tar.zst"]).ok();
    t.file("members.tar.gz", archive.chunks(100_000).flat_map(gzip).collect::<Vec<u8>>());
    for (number, words) in
        ["-i plain.tar", "-q -i packed.tar.gz", "--input packed.tar.zst", "-i members.tar.gz"].iter().enumerate()
    {
        let words: Vec<&str> = ["load"].into_iter().chain(words.split(' ')).collect();
        let store = format!("store-{number}");
        t.elsewhere(&store, &words).ok().quiet().prints("Loaded image: me:1\n");
        t.elsewhere(&store, &["run", "--rm", "me:1"]).ok().prints("me");
    }
    for (number, script) in [
        "cat packed.tar.gz | $0 load",
        "cat packed.tar.zst | $0 image load",
        "$0 load <plain.tar",
        "{ head -c 5; sleep 0.3; cat; } <plain.tar | $0 load",
        // Whoever writes must be able to finish.
        "{ cat plain.tar && head -c 300000 /dev/zero && echo written >&2; } | $0 load",
    ]
    .iter()
    .enumerate()
    {
        let root = t.path(&format!("piped-{number}"));
        let out = t.command("sh", &["-ec", script, &t.ccrun]).env("CCRUN_ROOT", root).ok();
        let out = out.prints("Loaded image: me:1\n");
        assert_eq!(out.stderr, if script.contains("written") { "written\n" } else { "" });
    }
    // What ccrun writes for itself, over a pipe.
    let script = "$0 --root store-0 save me:1 | gzip -1 | $0 --root far load";
    t.command("sh", &["-ec", script, &t.ccrun]).ok().prints("Loaded image: me:1\n");
    let mut terminal = std::process::Command::new(&t.ccrun);
    terminal.arg("load").env("CCRUN_ROOT", &t.store);
    let (status, seen) = pty::Pty::spawn(terminal).wait();
    assert_eq!((status, seen.contains("stdin is empty")), (1, true), "{seen}");
    for (quiet, bars) in [(&[][..], true), (&["-q"], false)] {
        let mut terminal = std::process::Command::new(&t.ccrun);
        terminal.args(["--root", &t.path(&format!("seen-{bars}")), "load", "-i", "plain.tar"]).args(quiet);
        terminal.env("TERM", "xterm").current_dir(&t.dir);
        let (status, seen) = pty::Pty::spawn(terminal).wait();
        assert_eq!((status, seen.contains("Loaded image: me:1"), seen.contains(": Loaded")), (0, true, bars), "{seen}");
    }
}

fn an_index_gives_this_machines_image(t: &Sandbox) {
    let mine = app(t, "mine");
    let other = app(t, "other").platform("linux", "s390x", None);
    let nested = |images: &[&Image]| {
        let index = crate::image::Blob::json(&index(images, false));
        let entry = json!({ "mediaType": OCI_INDEX, "size": index.bytes.len(), "digest": index.digest,
            "annotations": { "io.containerd.image.name": "docker.io/library/multi:1" } });
        (index, entry)
    };
    // All in one index, of which the archive has both images, or only one.
    let (blob, entry) = nested(&[&other, &mine]);
    let with = |images: &[form::Named<'_>]| {
        let tar = form::layout(images, std::slice::from_ref(&entry));
        tar.file(&form::member(&blob.digest), 0o644, &*blob.bytes).finish()
    };
    let all = with(&[(&mine, &[]), (&other, &[])]);
    t.ccrun(&["load"]).stdin(all.clone()).ok().prints("Loaded image: multi:1\n");
    t.ccrun(&["run", "--rm", "multi:1"]).ok().prints("mine");
    t.ccrun(&["load", "--platform", "linux/s390x"]).stdin(all.clone()).ok();
    t.ccrun(&["run", "--rm", "multi:1"]).ok().prints("other");
    t.ccrun(&["load", "--platform", "linux/riscv64"]).stdin(all).out().error(1, "no matching manifest");
    let foreign = with(&[(&other, &[])]);
    t.elsewhere("foreign", &["load"]).stdin(foreign.clone()).ok().prints("Loaded image: multi:1\n");
    t.ccrun(&["load", "--platform", "linux/arm64"]).stdin(foreign).out().error(1, "no matching manifest");
    // Several of one name in the layout's own index.
    let mut top: Vec<Value> = index(&[&other, &mine], false)["manifests"].as_array().expect("a list").clone();
    for entry in &mut top {
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "localhost/top:1" });
    }
    let archive = form::layout(&[(&mine, &[]), (&other, &[])], &top).finish();
    t.ccrun(&["load"]).stdin(archive).ok().prints("Loaded image: localhost/top:1\n");
    t.ccrun(&["run", "--rm", "localhost/top:1"]).ok().prints("mine");
    // Docker's own form says no platform but in the config.
    let archive = form::docker_old(&[(&other, &["other:1"])]);
    let load = t.ccrun(&["load", "--platform", "linux/arm64"]).stdin(archive);
    load.out().error(1, "is for linux/s390x, not for the specified linux/arm64");
}

fn a_name_moves_to_the_image_that_is_loaded(t: &Sandbox) {
    let registry = Registry::open();
    let (one, two) = (app(t, "one"), app(t, "two"));
    let digest = registry.push("some/app", "v1", &one);
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["pull", &name]).ok();
    // The same image: the name still knows what it is in the registry.
    t.ccrun(&["load"]).stdin(form::docker_old(&[(&one, &[&name])])).ok().prints(&format!("Loaded image: {name}\n"));
    t.ccrun(&["pull", &name]).ok().has("Image is up to date").has(&digest);
    let out = t.ccrun(&["load"]).stdin(form::docker_old(&[(&two, &[&name])])).ok();
    out.prints(&format!(
        "The image {name} already exists, renaming the old one with ID {} to empty string\nLoaded image: {name}\n",
        one.id()
    ));
    t.ccrun(&["run", "--rm", &name]).ok().prints("two");
    t.ccrun(&["run", "--rm", &one.id()]).ok().prints("one");
    t.ccrun(&["pull", &name]).ok().has("Downloaded newer image");
    t.ccrun(&["run", "--rm", &name]).ok().prints("one");
    // By a layout the registry's own manifest comes, and is known again.
    let layout = form::docker_new(&[(&one, &[&name])]);
    t.elsewhere("far", &["load"]).stdin(layout).ok();
    t.elsewhere("far", &["pull", &name]).ok().has("Image is up to date").has(&digest);
}

fn what_is_saved_loads_with_the_same_id(t: &Sandbox) {
    let registry = Registry::open();
    let image = nasty::image(t, nasty::across_layers()).set("Labels", json!({ "a": "b" }));
    let other = app(t, "other");
    registry.push("some/nasty", "v1", &image);
    registry.push("some/other", "v1", &other);
    let name = |repository: &str| format!("{}/some/{repository}:v1", registry.host);
    for repository in ["nasty", "other"] {
        t.ccrun(&["pull", "-q", &name(repository)]).ok();
    }
    let words = ["save", "-o", "saved.tar", &name("nasty"), &name("other")];
    t.ccrun(&words).ok().quiet().prints("");
    let saved = std::fs::read(t.path("saved.tar")).expect("read");
    // The very same bytes again; every layer is there under its diff id, whoever unpacked it.
    t.ccrun(&["save", "-o", "again.tar", words[3], words[4]]).ok();
    assert!(std::fs::read(t.path("again.tar")).expect("read") == saved, "the archive changes");
    std::fs::create_dir(t.dir.join("opened")).expect("mkdir");
    t.command("tar", &["-C", "opened", "-xf", "saved.tar"]).ok();
    for layer in image.layers.iter().chain(&other.layers) {
        let bytes = std::fs::read(t.dir.join("opened").join(form::member(&layer.diff_id))).expect("read");
        assert_eq!(sha256(&bytes), layer.diff_id);
    }
    let config = std::fs::read(t.dir.join("opened").join(form::member(&image.id()))).expect("read");
    assert!(config == *image.config().bytes, "the config is not as it was served");
    // By way of a pipe into another store.
    let said = format!("Loaded image: {}\nLoaded image: {}\n", name("nasty"), name("other"));
    t.elsewhere("far", &["load"]).stdin(saved.clone()).ok().prints(&said);
    t.elsewhere("far", &["run", "--rm", &name("other")]).ok().prints("other");
    let mount = format!("{}:/it:ro", t.it);
    let tree = ["run", "--rm", "-v", &mount, &name("nasty"), "/it", "--inside", "tree", "/k"];
    let here = t.ccrun(&tree).ok().stdout;
    t.elsewhere("far", &tree).ok().prints(&here);
    t.elsewhere("far", &["save", "-o", "back.tar", &name("nasty"), &name("other")]).ok();
    assert!(std::fs::read(t.path("back.tar")).expect("read") == saved, "the archive does not come back");
    // The images' other names: all tags of a repository, and none.
    registry.push("some/other", "v2", &app(t, "two"));
    t.ccrun(&["pull", "-q", &name("other").replace("v1", "v2")]).ok();
    t.ccrun(&["save", "-o", "all.tar", &name("other").replace(":v1", "")]).ok();
    let both = t.elsewhere("all", &["load", "-i", "all.tar"]).ok();
    both.prints(&format!("Loaded image: {0}:v1\nLoaded image: {0}:v2\n", name("other").replace(":v1", "")));
    t.ccrun(&["save", "-o", "id.tar", &other.id()[7..19]]).ok();
    t.elsewhere("id", &["load", "-i", "id.tar"]).ok().prints(&format!("Loaded image ID: {}\n", other.id()));
    t.nothing_left();
}

fn what_is_saved_is_whole_or_not_there(t: &Sandbox) {
    let image = app(t, "me");
    t.ccrun(&["load"]).stdin(form::docker_old(&[(&image, &["me:1"])])).ok();
    t.file("old.tar", "what was there");
    t.ccrun(&["save", "-o", "old.tar", "me:1", "nobody:1"]).out().error(1, "No such image: nobody:1");
    assert_eq!(std::fs::read(t.path("old.tar")).expect("read"), b"what was there");
    t.ccrun(&["save", "-o", "missing/x.tar", "me:1"]).out().error(1, "missing/x.tar");
    t.ccrun(&["save", "-o", ".", "me:1"]).out().error(1, "EISDIR");
    // A layer whose files were changed by hand is none any more.
    let who = t.store.join("layers").join(&image.layers[2].diff_id[7..]).join("who");
    std::fs::write(&who, "ME").expect("write");
    t.ccrun(&["save", "-o", "old.tar", "me:1"]).out().error(1, "its files have been changed");
    assert_eq!(std::fs::read(t.path("old.tar")).expect("read"), b"what was there");
    std::fs::write(&who, "me").expect("write");
    // Through a link, and into what is no file.
    std::os::unix::fs::symlink("old.tar", t.dir.join("link.tar")).expect("symlink");
    t.ccrun(&["save", "-o", "link.tar", "me:1"]).ok();
    assert!(t.dir.join("link.tar").is_symlink());
    t.ccrun(&["save", "-o", "/dev/null", "me:1"]).ok();
    t.elsewhere("far", &["load", "-i", "old.tar"]).ok().prints("Loaded image: me:1\n");
    let script = "$0 save me:1 | head -c 1000 >/dev/null";
    t.command("bash", &["-c", script, &t.ccrun]).env("CCRUN_ROOT", &t.store).out().error(0, "Broken pipe (EPIPE)");
    let left: Vec<String> = crate::sandbox::list(&t.dir).into_iter().filter(|name| name.contains("ccrun")).collect();
    assert!(left.is_empty(), "{left:?}");
    let mut terminal = std::process::Command::new(&t.ccrun);
    terminal.args(["save", "me:1"]).env("CCRUN_ROOT", &t.store);
    let (status, seen) = pty::Pty::spawn(terminal).wait();
    assert_eq!((status, seen.contains("cowardly refusing to save to a terminal")), (1, true), "{seen}");
    t.nothing_left();
}

fn a_root_file_system_becomes_an_image(t: &Sandbox) {
    let tar = Tar::new().tree(t.busybox.as_ref(), "").file("who", 0o644, "rootfs").finish();
    t.file("rootfs.tar", &tar);
    t.file("rootfs.tar.gz", gzip(&tar));
    let import = |words: &[&str]| t.ccrun(&[&["import"], words].concat());
    let id = import(&["rootfs.tar", "my/rootfs:1", "-c", "CMD [\"cat\", \"/who\"]"]).ok().quiet();
    assert!(id.line().starts_with("sha256:") && id.line().len() == 71, "{}", id.stdout);
    t.ccrun(&["run", "--rm", "my/rootfs:1"]).ok().prints("rootfs");
    t.ccrun(&["run", "--rm", &id.line()[7..20]]).ok().prints("rootfs");
    let changes =
        ["-c", "ENV A=1 B='two 2'\nENV C $A", "--change", "WORKDIR /srv/x", "-c", "ENTRYPOINT [\"/bin/sh\", \"-c\"]"];
    import(&[&changes[..], &["-m", "by hand", "--platform", "linux/arm/v7", "rootfs.tar.gz", "changed"]].concat()).ok();
    let run = ["run", "--rm", "--platform", "linux/arm/v7", "changed", "echo $A $B $C; pwd"];
    t.ccrun(&run).ok().prints("1 two 2 1\n/srv/x\n");
    // The layer is the tar as it is, whichever way it came.
    assert_eq!(t.layers(), [&sha256(&tar)[7..]]);
    import(&["-", "piped"]).stdin(gzip(&tar)).ok();
    assert_eq!(t.layers().len(), 1);
    t.ccrun(&["save", "-o", "saved.tar", "changed"]).ok();
    let read = |name: &str| {
        let text = t.command("tar", &["-xOf", "saved.tar", name]).ok().stdout;
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let config = read(read("manifest.json")[0]["Config"].as_str().expect("Config"));
    assert_eq!(config["history"][0]["comment"], "by hand");
    assert_eq!((&config["architecture"], &config["variant"]), (&json!("arm"), &json!("v7")));
    assert_eq!(config["rootfs"]["diff_ids"], json!([sha256(&tar)]));
    for (words, said) in [
        (&["https://example.com/x.tar"][..], "curl -L https://example.com/x.tar | ccrun import -"),
        (&["rootfs.tar", "-c", "RUN x"], "RUN is not a valid change command"),
        (&["rootfs.tar", "UPPER"], "must be lowercase"),
        (&["missing.tar"], "missing.tar"),
        (&["-"], "the archive is empty"),
    ] {
        import(words).out().error(1, said);
    }
    import(&["-"]).stdin(&b"this is no tar archive"[..]).out().error(1, "tar archive");
    t.nothing_left();
}

fn a_killed_load_or_save_leaves_nothing(t: &Sandbox) {
    let big: Vec<u8> = (0..8_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let image = app(t, "me").layer(Tar::new().file("big", 0o644, big));
    let archive = form::compressed(&[(&image, &["me:1"])]);
    t.file("packed.tar.gz", gzip(&archive));
    for (number, words) in
        [&["load", "-i", "packed.tar.gz"][..], &["save", "-o", "saved.tar", "me:1"]].iter().enumerate()
    {
        for after in (0..24).map(|step| step * 9) {
            let running = t.ccrun(words).spawn();
            crate::sandbox::pause(after);
            let _ = sys::kill(running.pid(), libc::SIGKILL);
            running.wait();
            // What is visible is whole, even if it has not got its name yet.
            if t.image_ids().contains(&image.id()) {
                t.ccrun(&["run", "--rm", "--image", &image.id(), "cat", "/who"]).ok().prints("me");
                if number == 0 {
                    t.ccrun(&["rmi", &image.id()]).ok();
                }
            }
            // Half of them are to replace a file that is there.
            if t.dir.join("saved.tar").exists() && after % 2 == 0 {
                t.elsewhere("far", &["load", "-i", "saved.tar"]).ok();
                std::fs::remove_file(t.dir.join("saved.tar")).expect("remove");
            }
        }
        // What a save killed in its last moment has left, the next one to the same file takes away.
        t.file(".saved.tar.ccrun-1", "half a file");
        t.file(".saved.tar.ccrun-x", "a user's own");
        t.ccrun(&["load", "-i", "packed.tar.gz"]).ok();
        t.ccrun(&["save", "-o", "saved.tar", "me:1"]).ok();
        std::fs::remove_file(t.dir.join(".saved.tar.ccrun-x")).expect("a user's file is left alone");
        t.nothing_left();
        let left: Vec<_> = crate::sandbox::list(&t.dir).into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    t.ccrun(&["run", "--rm", "me:1", "wc", "-c", "/big"]).ok().prints("8000000 /big\n");
}

/// Whether a test's program is there; it is skipped loudly without.
fn needs(program: &str) {
    if !users::have(program) {
        crate::skip!("{program} is not installed");
    }
}
