//! What goes wrong: one clear line, the right status, and nothing left behind.

use crate::cases;
use crate::image::{Blob, Image, Layer, OCI_MANIFEST, gzip};
use crate::registry::{Fault, Registry};
use crate::sandbox::{Mode, Out, Sandbox};
use crate::tar::Tar;
use serde_json::json;
use std::time::Duration;

cases! {
    Every:
        unknown_commands_and_flags,
        a_mistyped_program_was_taken_as_an_image,
        a_missing_curl_is_named,
        no_network_is_said,
        a_wrong_digest_is_refused,
        names_that_are_no_names,
        a_store_that_cannot_be_used;
    Root:
        a_cut_or_corrupt_layer_is_refused,
        answers_that_are_no_manifests,
        a_silent_registry_is_given_up,
        a_full_disk_leaves_the_store_as_it_was,
        text_from_outside_cannot_move_the_cursor,
        users_forbidden_by_sysctl_are_told_so;
    Users:
        a_store_of_someone_elses_is_refused,
}

fn image(t: &Sandbox) -> Image {
    Image::busybox(&t.busybox).layer(Tar::new().file("file", 0o644, "content".repeat(5000)))
}

fn unknown_commands_and_flags(t: &Sandbox) {
    t.ccrun(&["bogus"]).out().error(1, "bogus");
    t.ccrun(&["--bogus"]).out().error(125, "--bogus");
    t.ccrun(&["run", "--bogus", "true"]).out().error(125, "--bogus");
    t.ccrun(&["run", "-Z", "true"]).out().error(125, "-Z");
    for command in ["pull", "images", "rmi", "ps", "rm", "version"] {
        t.ccrun(&[command, "--bogus"]).out().error(1, "--bogus");
    }
    for (word, meant) in [("rnu", "'ccrun run'"), ("imgaes", "'ccrun images'"), ("pus", "'ccrun ps'")] {
        let text = format!("unknown command: {word}; did you mean {meant}? see 'ccrun --help'");
        t.ccrun(&[word, "x"]).out().error(1, &text);
    }
    t.ccrun(&["bogus"]).out().error(1, "unknown command: bogus; see 'ccrun --help'");
    let near = "unknown command: image lss; did you mean 'ccrun image ls'? see 'ccrun image --help'";
    t.ccrun(&["image", "lss"]).out().error(1, near);
    let near = "unknown flag: --nmae; did you mean '--name'? see 'ccrun run --help'";
    t.ccrun(&["run", "--nmae", "x", "true"]).out().error(125, near);
    t.ccrun(&["pull"]).out().exit(1);
    t.ccrun(&["pull", "a", "b"]).out().error(1, "'ccrun pull' takes at most 1 argument: what is \"b\"?; see ");
    t.ccrun(&["version", "b"]).out().error(1, "'ccrun version' takes no arguments: what is \"b\"?; see ");
    t.ccrun(&["tag", "a", "b", "c"]).out().error(1, "'ccrun tag' takes at most 2 arguments: what is \"c\"?; see ");
    t.ccrun(&["rmi"]).out().exit(1);
    // Nothing has been made for any of them.
    assert!(t.store_listing().is_empty(), "{:?}", t.store_listing());
}

/// The image that a mistyped program would be: whatever keeps it from being pulled, the guess is told.
fn a_mistyped_program_was_taken_as_an_image(t: &Sandbox) {
    let guess = "ccrun: 'ecoh' was taken as an image, as no program here has that name: ";
    let run = |args: &[&str], path: &str| {
        let out = t.ccrun(&[&["run", "--rm"], args].concat()).env("PATH", path).out().exit(125);
        out.stderr.lines().last().unwrap_or_default().to_owned()
    };
    let without = t.path("empty");
    let line = run(&["ecoh", "hi"], &without);
    assert!(line.starts_with(guess) && line.contains("curl"), "{line}");
    let line = run(&["--pull=never", "ecoh", "hi"], &without);
    assert!(line.starts_with(guess) && line.contains("--pull=never"), "{line}");
    // No guess.
    for named in [&["--image", "ecoh", "hi"][..], &["ecoh:1", "hi"], &["x/ecoh", "hi"], &["alpine", "hi"]] {
        let line = run(named, &without);
        assert!(!line.contains("was taken as"), "{named:?}: {line}");
    }
    let help = t.ccrun(&["run", "--help"]).ok().stdout;
    assert!(help.contains("Containers have no network yet but loopback"), "{help}");
    t.nothing_left();
}

fn a_missing_curl_is_named(t: &Sandbox) {
    let out = t.ccrun(&["pull", "localhost:1/some/app"]).env("PATH", t.path("empty")).out().error(1, "curl");
    assert!(out.stderr.contains("install"), "no way out: {}", out.stderr);
    t.ccrun(&["run", "--rm", "localhost:1/some/app", "true"]).env("PATH", t.path("empty")).out().exit(125).says("curl");
    t.nothing_left();
}

fn no_network_is_said(t: &Sandbox) {
    t.ccrun(&["pull", "localhost:1/some/app"]).timeout(60).out().error(1, "localhost:1");
    t.ccrun(&["pull", "registry.invalid/some/app"]).timeout(60).out().error(1, "registry.invalid");
    let out = t.ccrun(&["run", "--rm", "registry.invalid/some/app", "true"]).timeout(60).out().exit(125);
    out.says("registry.invalid").prints("");
    t.nothing_left();
}

/// Pulls what must fail; afterwards the store is as before, and a good pull works.
fn must_fail(t: &Sandbox, registry: &Registry, what: &str, text: &str) {
    let name = format!("{}/some/app:v1", registry.host);
    let before = t.names_in("images");
    let out: Out = t.ccrun(&["pull", &name]).timeout(100).out();
    assert_ne!(out.status, 0, "{what}: was taken: {}", out.stdout);
    let out = out.error(1, text);
    assert_eq!(t.names_in("images"), before, "{what}: {}", out.stderr);
    // A layer that was whole and right may stay for the next try.
    let good = &image(t).layers[0].diff_id[7..];
    assert!(t.layers().iter().all(|layer| layer == good), "{what}: {:?}", t.layers());
    assert_eq!(t.ccrun(&["images"]).ok().stdout.lines().count(), 1, "{what}: an image is listed");
    t.ccrun(&["run", "--rm", "--pull", "never", &name, "true"]).out().error(125, "some/app");
    t.nothing_left();
}

fn a_wrong_digest_is_refused(t: &Sandbox) {
    let registry = Registry::open();
    let good = image(t);
    registry.push("some/app", "v1", &good);
    let layer = good.layers[1].blob.digest.clone();
    registry.fault(&layer, usize::MAX, Fault::WrongByte);
    must_fail(t, &registry, "a layer with a wrong bit", &layer[7..19]);
    registry.no_faults();
    let config = good.config().digest;
    registry.fault(&config, usize::MAX, Fault::WrongByte);
    must_fail(t, &registry, "a config with a wrong bit", &config[7..19]);
    registry.no_faults();
    registry.fault(&layer, usize::MAX, Fault::Longer);
    must_fail(t, &registry, "a layer that is longer than it should be", "");
    registry.no_faults();
    // The right bytes, but not the tar that the config promises.
    let mut wrong = good.clone();
    wrong.layers[1].diff_id = good.layers[0].diff_id.replace('a', "b");
    registry.push("some/app", "v1", &wrong);
    must_fail(t, &registry, "a wrong diff id", "");
    // A manifest that isn't what its digest says.
    let digest = registry.push("some/app", "v1", &good);
    registry.fault(&digest, usize::MAX, Fault::WrongByte);
    let name = format!("{}/some/app@{digest}", registry.host);
    t.ccrun(&["pull", &name]).out().error(1, "");
    registry.no_faults();
    t.ccrun(&["pull", &name]).ok();
}

fn a_cut_or_corrupt_layer_is_refused(t: &Sandbox) {
    let registry = Registry::open();
    let tar = Tar::new().file("file", 0o644, (0..50_000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>()).finish();
    let whole = gzip(&tar);
    let with = |bytes: Vec<u8>, tar: &[u8]| {
        let mut image = Image::busybox(&t.busybox);
        image.layers.push(Layer::claimed(bytes, tar));
        registry.push("some/app", "v1", &image);
    };
    with(whole[..whole.len() / 2].to_vec(), &tar);
    must_fail(t, &registry, "a truncated gzip", "");
    with(whole[..whole.len() - 4].to_vec(), &tar);
    must_fail(t, &registry, "a gzip without its length", "");
    let mut bad_crc = whole.clone();
    let at = bad_crc.len() - 6;
    bad_crc[at] ^= 1;
    with(bad_crc, &tar);
    must_fail(t, &registry, "a gzip with a wrong checksum", "");
    with([whole.clone(), b"garbage behind it".to_vec()].concat(), &tar);
    must_fail(t, &registry, "a gzip with garbage behind it", "");
    with(b"this is no gzip at all".to_vec(), &tar);
    must_fail(t, &registry, "no gzip", "");
    with(Vec::new(), &tar);
    must_fail(t, &registry, "nothing", "");
    with(gzip(b"this is no tar at all"), b"this is no tar at all");
    must_fail(t, &registry, "no tar", "");
    with(gzip(&tar[..tar.len() / 2]), &tar[..tar.len() / 2]);
    must_fail(t, &registry, "a truncated tar", "");
    let mut bad_sum = tar.clone();
    bad_sum[3] ^= 1;
    with(gzip(&bad_sum), &bad_sum);
    must_fail(t, &registry, "a tar header with a wrong checksum", "");
    // The connection that ends too soon each time; with more than that at a time the rest would come as well.
    let good = image(t);
    registry.push("some/app", "v1", &good);
    for at in [0, 1] {
        registry.fault(&good.layers[1].blob.digest, usize::MAX, Fault::CutAt(at));
        must_fail(t, &registry, "a body cut short", "");
        registry.no_faults();
    }
    registry.fault(&good.layers[1].blob.digest, usize::MAX, Fault::Reset);
    must_fail(t, &registry, "a connection reset", "");
    registry.no_faults();
    t.ccrun(&["pull", &format!("{}/some/app:v1", registry.host)]).ok();
}

fn answers_that_are_no_manifests(t: &Sandbox) {
    let registry = Registry::open();
    let good = image(t);
    registry.push("some/app", "v1", &good);
    let manifest = good.manifest();
    let html = "<html><body>Sign in to this Wi-Fi</body></html>";
    for (what, fault) in [
        ("HTML", Fault::Status(200, "Content-Type: text/html\r\n", html)),
        ("nothing", Fault::Status(200, "Content-Type: application/json\r\n", "")),
        (
            "bad JSON",
            Fault::Status(
                200,
                "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n",
                "{\"schemaVersion\": 2,",
            ),
        ),
        ("an array", Fault::Status(200, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", "[]")),
        ("deep JSON", Fault::Status(200, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", DEEP)),
        ("404", Fault::Status(404, "Content-Type: text/html\r\n", html)),
        ("500", Fault::Status(500, "", "oops")),
        ("503", Fault::Status(503, "", "")),
        ("a redirect to nowhere", Fault::Status(302, "Location: http://localhost:1/x\r\n", "")),
        ("a redirect to a file", Fault::Status(302, "Location: file:///etc/passwd\r\n", "")),
        ("a redirect without a place", Fault::Status(302, "", "")),
        ("half a manifest", Fault::CutAt(40)),
        ("a reset", Fault::Reset),
    ] {
        registry.fault("/manifests/", usize::MAX, fault);
        must_fail(t, &registry, what, "");
        registry.no_faults();
    }
    let mut both = manifest.clone();
    both["manifests"] = json!([]);
    let mut schema1 = manifest.clone();
    schema1["schemaVersion"] = json!(1);
    let mut path = manifest.clone();
    path["config"]["digest"] = json!("sha256:../../../../etc/passwd");
    let mut upper = manifest.clone();
    upper["layers"][0]["digest"] = json!(good.layers[0].blob.digest.to_uppercase());
    let mut size = manifest.clone();
    size["layers"][1]["size"] = json!(good.layers[1].blob.bytes.len() - 1);
    let mut negative = manifest.clone();
    negative["layers"][1]["size"] = json!(-1);
    let mut fewer = manifest.clone();
    fewer["layers"].as_array_mut().expect("layers").pop();
    for (what, document) in [
        ("a manifest that is an index too", both),
        ("schema 1", schema1),
        ("a digest that is a path", path),
        ("an upper-case digest", upper),
        ("a size that is too small", size),
        ("a negative size", negative),
        ("fewer layers than diff ids", fewer),
        ("no layers at all", json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST })),
    ] {
        registry.push_manifest("some/app", "v1", OCI_MANIFEST, &document);
        must_fail(t, &registry, what, "");
    }
    // A config that is none.
    let mut bad = good.manifest();
    let blob = Blob::new(b"{ \"rootfs\": 5 }".to_vec());
    bad["config"]["digest"] = json!(blob.digest);
    bad["config"]["size"] = json!(blob.bytes.len());
    registry.push_blob(blob);
    registry.push_manifest("some/app", "v1", OCI_MANIFEST, &bad);
    must_fail(t, &registry, "a config that is none", "");
    registry.push("some/app", "v1", &good);
    t.ccrun(&["pull", &format!("{}/some/app:v1", registry.host)]).ok();
}

const DEEP: &str = concat!(
    "{\"a\":",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
);

fn names_that_are_no_names(t: &Sandbox) {
    let registry = Registry::open();
    let host = &registry.host;
    for name in [
        "UPPER",
        "some/UPPER",
        "a//b",
        "/abs",
        "-oX",
        "--",
        "a b",
        "a:b:c",
        "a@sha256:12",
        "a@md5:d41d8cd98f00b204e9800998ecf8427e",
        "../../etc",
        "a/../b",
        "https://example.org/x",
        "x:[1-9]",
        "{a,b}",
        "a\nb",
        "",
        ":",
        "@",
        "a:",
        "x\"y",
        "a\\b",
        "a?b",
        "a#b",
        "a%2fb",
    ] {
        let out = t.ccrun(&["pull", "--", name]).out();
        assert_eq!(out.status, 1, "{name:?}: {} {}", out.stdout, out.stderr);
        assert!(out.stderr.starts_with("ccrun: "), "{name:?}: {}", out.stderr);
    }
    for name in ["some/../app", "some/app:v 1", "some/app?x=1", "some/[a-c]", "some/app:../../x"] {
        t.ccrun(&["pull", &format!("{host}/{name}")]).out().exit(1);
    }
    assert!(registry.log().is_empty(), "somebody was asked: {:?}", registry.log());
    t.nothing_left();
}

fn a_store_that_cannot_be_used(t: &Sandbox) {
    let file = t.file("a-file", "");
    let out = t.ccrun(&["run", "--rm", "--rootfs", &t.busybox, "true"]).env("CCRUN_ROOT", &file).out();
    out.error(125, "a-file");
    t.ccrun(&["images"]).env("CCRUN_ROOT", format!("{file}/below")).out().error(1, "a-file");
    if t.mode != Mode::Root {
        t.run(&["true"]).env("CCRUN_ROOT", "/proc/nope").out().exit(125);
        t.run(&["true"]).env("CCRUN_ROOT", "/root/nope").out().error(125, "/root");
    }
    // Rubbish in the store is nobody's container and nobody's end.
    t.run(&["true"]).ok();
    for sub in ["containers/x", "containers/not-a-directory", "refs/x", "tmp/old/half"] {
        if sub.ends_with("directory") {
            t.file(&format!("store/{sub}"), "rubbish");
        } else {
            std::fs::create_dir_all(t.store.join(sub)).expect("mkdir");
        }
    }
    t.run(&["echo", "still works"]).ok().prints("still works\n");
    t.ccrun(&["ps", "-a"]).ok();
    t.ccrun(&["images"]).ok();
}

fn a_store_of_someone_elses_is_refused(t: &Sandbox) {
    // /var/tmp is everybody's, and not this user's.
    let out = t.run(&["true"]).env("CCRUN_ROOT", "/var/tmp").out();
    assert_eq!(out.status, 125, "{}", out.stderr);
    t.run(&["true"]).ok();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&t.store).expect("the store").permissions());
    assert_eq!(mode & 0o777, 0o700, "others can look into the store");
}

fn a_silent_registry_is_given_up(t: &Sandbox) {
    let registry = Registry::open();
    let good = image(t);
    registry.push("some/app", "v1", &good);
    registry.fault(&good.layers[1].blob.digest, 1, Fault::Stall(Duration::from_secs(300)));
    let name = format!("{}/some/app:v1", registry.host);
    // Ctrl-C ends it at once, whatever the registry does.
    let running = t.ccrun(&["pull", &name]).spawn();
    crate::sandbox::eventually("the request", || registry.gets(&good.layers[1].blob.digest) > 0);
    running.signal(libc::SIGINT);
    let out = running.wait();
    assert_eq!(out.status, 130, "{}", out.stderr);
    crate::sandbox::eventually("no process left", || crate::procs::left_behind().is_empty());
    t.ccrun(&["images"]).ok();
    t.nothing_left();
    t.ccrun(&["pull", &name]).ok();
}

fn a_full_disk_leaves_the_store_as_it_was(t: &Sandbox) {
    let registry = Registry::open();
    registry.push("some/app", "v1", &image(t).layer(Tar::new().file("big", 0o644, vec![7; 12 << 20])));
    let name = format!("{}/some/app:v1", registry.host);
    let script = format!(
        "mkdir -p small && mount -t tmpfs -o size=8m none small && export CCRUN_ROOT=$PWD/small/store
        {0} pull {name}; echo status $?; ls small/store/layers small/store/tmp small/store/images 2>/dev/null | grep -c '[0-9a-f]\\{{64\\}}'
        {0} images; umount small",
        t.ccrun
    );
    let out = t.command("unshare", &["-m", "sh", "-c", &script]).out();
    assert!(out.stdout.contains("status 1\n"), "{} {}", out.stdout, out.stderr);
    assert!(out.stderr.contains("No space left on device"), "{}", out.stderr);
    assert_eq!(out.stderr.lines().filter(|line| line.starts_with("ccrun: ")).count(), 1, "{}", out.stderr);
}

fn text_from_outside_cannot_move_the_cursor(t: &Sandbox) {
    let registry = Registry::open();
    registry.push("some/app", "v1", &image(t));
    let evil =
        "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b]0;owned\\u0007\\u202e\\r\\nccrun: all is well\"}]}";
    registry.fault("/manifests/", usize::MAX, Fault::Status(403, "Content-Type: application/json\r\n", evil));
    let out = t.ccrun(&["pull", &format!("{}/some/app:v1", registry.host)]).out().error(1, "");
    assert!(!out.stderr.contains('\u{202e}'), "{}", out.stderr);
    registry.no_faults();
    let tar = Tar::new().file("../\x1b[2Jevil", 0o644, "");
    registry.push("some/app", "v1", &Image::new(vec![Layer::gzip(tar.finish())]));
    t.ccrun(&["pull", &format!("{}/some/app:v1", registry.host)]).out().error(1, "\\x1b");
    t.ccrun(&["run", "--rm", "--rootfs", &t.busybox, "no\x1bsuch"]).out().error(127, "\\x1b");
}

/// As when user namespaces are forbidden: none may be made here.
fn users_forbidden_by_sysctl_are_told_so(t: &Sandbox) {
    // The limit is the user namespace's own: a new one may have a limit that nobody else feels.
    let script =
        format!("echo 0 >/proc/sys/user/max_user_namespaces && exec {} run --rm --rootfs {} true", t.ccrun, t.busybox);
    let out = t
        .command("unshare", &["--user", "--map-root-user", "sh", "-c", &script])
        .env("CCRUN_ROOT", t.path("other"))
        .out();
    out.error(125, "max_user_namespaces");
}
