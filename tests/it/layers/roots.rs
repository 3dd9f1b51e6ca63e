//! What a layer says about its root is what a container sees of `/`.

use crate::archives::form;
use crate::cases;
use crate::image::{Image, Layer};
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::tar::{Entry, Tar, entry};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

cases! {
    Every:
        the_root_entry_of_a_layer_counts,
        the_topmost_layer_that_has_a_root_entry_decides,
        an_opaque_root_hides_all_layers_below,
        layers_of_0_3_are_brought_up_to_date;
}

/// The layer's own entry.
fn root(mode: u32, (uid, gid): (u32, u32), mtime: u64) -> Entry {
    entry("./", b'5', mode).owner(uid, gid).mtime(mtime)
}

/// Busybox with this root.
fn busybox(t: &Sandbox, root: &Entry) -> Image {
    let mut image = Image::busybox(&t.busybox);
    image.layers = vec![Layer::gzip(Tar::new().entry(root).tree(t.busybox.as_ref(), "").finish())];
    image.set("Env", json!(["PATH=/bin"]))
}

fn load(t: &Sandbox, image: &Image) {
    t.ccrun(&["load"]).stdin(form::docker_old(&[(image, &["app:1"])])).ok().quiet();
}

const SEE: [&str; 3] = ["stat", "-c", "%u:%g %a %Y"];

/// What a container started with `flags` sees of its root.
fn seen(t: &Sandbox, flags: &[&str]) -> String {
    let all = [&["run", "--rm"], flags, &["app:1"], &SEE, &["/"]].concat();
    t.ccrun(&all).ok().quiet().stdout.trim_end().to_owned()
}

fn the_root_entry_of_a_layer_counts(t: &Sandbox) {
    for (mode, ids, mtime) in [(0o700, (1000, 1000), 1_500_000_000), (0o1755, (0, 50), 1), (0o2711, (65534, 0), 7)] {
        let see = |(uid, gid): (u32, u32)| format!("{uid}:{gid} {mode:o} {mtime}");
        load(t, &busybox(t, &root(mode, ids, mtime)).set("User", json!("1000")));
        // With a single id all is the one user's, whoever he is in there.
        let (as_root, as_user) = if t.mode == Mode::Nosubuid { ((0, 0), (1000, 1000)) } else { (ids, ids) };
        assert_eq!(seen(t, &["-u", "0"]), see(as_root));
        let user = ["run", "--rm", "app:1", "sh", "-c", "stat -c '%u:%g %a %Y' /; id -u"];
        t.ccrun(&user).ok().quiet().prints(&format!("{}\n1000\n", see(as_user)));
        // It may write there exactly if the entry says so.
        let out = t.ccrun(&["run", "--rm", "app:1", "sh", "-c", "echo x >/new && cat /new"]).out();
        assert_eq!(out.status == 0, t.mode == Mode::Nosubuid || mode == 0o700, "{mode:o}: {}", out.stderr);
        assert_eq!(seen(t, &["-u", "0", "--read-only"]), see(as_root));
        assert_eq!(seen(t, &["-u", "0", "-w", "/made/here"]).split(' ').nth(1), see(as_root).split(' ').nth(1));
        t.ccrun(&["rmi", "-f", "app:1"]).ok();
        t.nothing_left();
    }
    // A root that is closed to the caller is in nobody's way.
    load(t, &busybox(t, &root(0o700, (1000, 1000), 5)));
    t.ccrun(&["run", "--name", "closed", "app:1", "sh", "-c", "echo mine >/mine"]).ok();
    t.ccrun(&["ps", "-a", "-s"]).ok().quiet().has("closed");
    t.ccrun(&["system", "df"]).ok().quiet();
    t.ccrun(&["export", "-o", "closed.tar", "closed"]).ok().quiet();
    t.command("tar", &["-tf", "closed.tar"]).ok().has("mine\n").has("bin/busybox\n");
    t.ccrun(&["container", "prune", "-f"]).ok().quiet();
    t.nothing_left();
    // Extended attributes, too. They can be seen from outside only.
    let told = root(0o750, (0, 0), 5).pax("SCHILY.xattr.user.mine", "yes");
    load(t, &busybox(t, &told.pax("SCHILY.xattr.user.overlay.redirect", "/etc")));
    t.ccrun(&["run", "--name", "kept", "app:1", "true"]).ok();
    let id = t.names_in("containers").pop().expect("a container");
    let upper = t.store.join("containers").join(id).join("upper");
    let listed = t.command("getfattr", &["-d", "-m", "-", upper.to_str().expect("UTF-8")]).out();
    assert!(listed.stdout.contains("user.mine=\"yes\""), "{}{}", listed.stdout, listed.stderr);
    assert!(!listed.stdout.contains("redirect"), "{}", listed.stdout);
    t.ccrun(&["rm", "kept"]).ok();
    t.nothing_left();
}

fn the_topmost_layer_that_has_a_root_entry_decides(t: &Sandbox) {
    let base = busybox(t, &root(0o711, (0, 0), 11)).layer(Tar::new().file("a", 0o644, "a"));
    load(t, &base);
    assert_eq!(seen(t, &[]), "0:0 711 11");
    let above = base.layer(Tar::new().entry(&root(0o1777, (0, 0), 22)).file("b", 0o644, "b"));
    load(t, &above.clone().layer(Tar::new().file("c", 0o644, "c")));
    assert_eq!(seen(t, &[]), "0:0 1777 22");
    // Of two in one layer the last one counts; and a pull gives the same as a load.
    let registry = Registry::open();
    let twice = Tar::new().entry(&root(0o700, (0, 0), 33)).entry(&entry("/", b'5', 0o755).mtime(44));
    registry.push("some/app", "v1", &above.layer(twice));
    let name = format!("{}/some/app:v1", registry.host);
    let words = [&["run", "--rm", &name], &SEE[..], &["/"]].concat();
    t.ccrun(&words).out().exit(0).prints("0:0 755 44\n");
    // Without any it is root's.
    load(t, &Image::busybox(&t.busybox));
    assert!(seen(t, &[]).starts_with("0:0 755 "), "{}", seen(t, &[]));
}

fn an_opaque_root_hides_all_layers_below(t: &Sandbox) {
    let registry = Registry::open();
    let hidden = Tar::new().dir("kept", 0o700).file("kept/old", 0o644, "old").file("gone", 0o644, "gone");
    let below = Image::new(vec![Layer::gzip(hidden.finish())]);
    let mut image = busybox(t, &root(0o755, (0, 0), 1));
    let fresh = Tar::new().file(".wh..wh..opq", 0, "").tree(t.busybox.as_ref(), "").file("kept/new", 0o644, "new");
    image.layers = vec![below.layers[0].clone(), Layer::gzip(fresh.finish())];
    let above = image.layer(Tar::new().file("kept/top", 0o644, "top").file("top", 0o644, "top"));
    registry.push("some/app", "v1", &above);
    let name = format!("{}/some/app:v1", registry.host);
    let script = "ls -A /kept; ls -d /gone /top; stat -c %a /kept";
    t.ccrun(&["run", "--name", "cc", &name, "sh", "-c", script]).out().exit(0).prints("new\ntop\n/top\n755\n");
    // What comes out again is the same.
    t.ccrun(&["export", "-o", "tree.tar", "cc"]).ok();
    let listed = t.command("tar", &["-tf", "tree.tar"]).ok().stdout;
    assert!(listed.contains("kept/top\n") && !listed.contains("gone") && !listed.contains("kept/old"), "{listed}");
    t.ccrun(&["save", "-o", "saved.tar", &name]).ok();
    let far = t.with_store("far");
    far.ccrun(&["load", "-i", "saved.tar"]).ok();
    far.ccrun(&["run", "--rm", &name, "ls", "/kept"]).ok().prints("new\ntop\n");
}

fn layers_of_0_3_are_brought_up_to_date(t: &Sandbox) {
    let root_of_it = root(0o711, (0, 0), 33);
    let hidden = Layer::gzip(Tar::new().file("hidden", 0o644, "x").finish());
    let opaque = Tar::new().file(".wh..wh..opq", 0, "").entry(&root_of_it).tree(t.busybox.as_ref(), "");
    let mut image = busybox(t, &root_of_it);
    image.layers = vec![hidden, Layer::gzip(opaque.finish())];
    let image = image.layer(Tar::new().file("top", 0o644, "x"));
    load(t, &image);
    let layers = t.store.join("layers");
    // As 0.3 left it: no notes of roots, no format, what `./` says on the directory itself.
    let as_0_3 = || {
        for name in crate::sandbox::list(&layers).iter().filter(|name| name.ends_with(".root")) {
            std::fs::remove_file(layers.join(name)).expect("remove");
        }
        let _ = std::fs::remove_file(t.store.join("format"));
        let dir = layers.join(&image.layers[1].diff_id[7..]);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711)).expect("chmod");
        dir
    };
    let dir = as_0_3();
    let before = crate::sandbox::list(&layers);
    let inode = || std::fs::metadata(dir.join("bin/busybox")).expect("stat").ino();
    let of_0_3 = inode();
    let running = t.ccrun(&["run", "--rm", "--name", "old", "app:1", "sh", "-c", "echo up; sleep 60"]).spawn();
    running.until("up");
    as_0_3();
    assert_eq!(crate::sandbox::list(&layers), before);
    // Two at once; then once more.
    let words = ["run", "--rm", "app:1", "sh", "-c", "stat -c '%u:%g %a %Y' /; ls -d /hidden /top 2>/dev/null; true"];
    let both = [t.ccrun(&words).spawn(), t.ccrun(&words).spawn()];
    for one in both {
        one.wait().exit(0).quiet().prints("0:0 711 33\n/top\n");
    }
    t.ccrun(&words).ok().quiet().prints("0:0 711 33\n/top\n");
    assert_eq!(inode(), of_0_3, "the layer was unpacked again under the container that runs on it");
    assert!(std::fs::symlink_metadata(t.store.join("format")).is_ok());
    // A record that is damaged or missing leaves what the directory itself shows.
    as_0_3();
    std::fs::write(layers.join(format!("{}.record", &image.layers[1].diff_id[7..])), "damaged").expect("write");
    std::fs::remove_file(layers.join(format!("{}.record", &image.layers[2].diff_id[7..]))).expect("remove");
    assert!(seen(t, &[]).starts_with("0:0 711 "), "{}", seen(t, &[]));
    // The one that ran all the while still runs, and goes without a trace.
    t.ccrun(&["ps", "-q"]).ok().has(&t.names_in("containers")[0][..12]);
    t.ccrun(&["rm", "-f", "old"]).ok();
    drop(running.wait());
    t.ccrun(&["rmi", "app:1"]).ok();
    assert_eq!(crate::sandbox::list(&layers), [""; 0]);
    t.nothing_left();
    // What a newer ccrun has made is not touched.
    let _ = std::fs::remove_file(t.store.join("format"));
    std::os::unix::fs::symlink("3", t.store.join("format")).expect("symlink");
    for words in [&["run", "--rm", "app:1", "true"][..], &["images"], &["ps", "-a"], &["system", "prune", "-f"]] {
        let status = if words[0] == "run" { 125 } else { 1 };
        t.ccrun(words).out().error(status, "was made by a newer ccrun (format 3");
    }
}
