//! Mirrors: asked first, trusted with nothing.

use super::push;
use crate::cases;
use crate::image::{Blob, Image};
use crate::registry::{Fault, Registry};
use crate::sandbox::{Cmd, Sandbox};
use crate::tar::Tar;

cases! {
    Every:
        mirrors_are_asked_first;
    Root:
        a_mirror_that_fails_is_left,
        a_mirror_that_lies_is_left,
        what_lets_us_into_the_registry_stays_there,
        mistakes_in_the_list_are_told,
}

/// `ccrun pull NAME` with a mirror of its registry.
fn pull(t: &Sandbox, registry: &Registry, mirror: &str, name: &str) -> Cmd {
    let entry = format!("{} http://{mirror}", registry.host);
    t.ccrun(&["pull", name]).env("CCRUN_REGISTRY_MIRRORS", format!("https://unasked.invalid, {entry}"))
}

fn mirrors_are_asked_first(t: &Sandbox) {
    let (registry, mirror) = (Registry::start(), Registry::open());
    let (name, image) = push(t, &registry);
    mirror.push("some/app", "v1", &image);
    pull(t, &registry, &mirror.host, &name).ok();
    assert!(registry.log().is_empty(), "{:?}", registry.log());
    assert_eq!(mirror.gets("/v2/some/app/blobs/"), 3);
    // It is known by its registry's name.
    t.ccrun(&["run", "--rm", "--pull", "never", &name, "true"]).ok();
    t.ccrun(&["rmi", &name]).ok();
    // The file does the same; and a mirror may be somewhere below.
    let below = Registry::open();
    below.push("some/app", "v1", &image);
    let file = format!("# near\n{} http://{}/some/prefix/\n", registry.host, below.host);
    t.file("home/.config/ccrun/mirrors", &file);
    t.ccrun(&["pull", &name]).ok();
    assert_eq!(below.gets("/some/prefix/v2/some/app/manifests/v1"), 1, "{:?}", below.log());
    t.ccrun(&["rmi", &name]).ok();
    // The variable counts before the file, even when it is empty.
    below.forget_log();
    t.ccrun(&["pull", &name]).env("CCRUN_REGISTRY_MIRRORS", "").ok();
    assert!(below.log().is_empty(), "{:?}", below.log());
}

fn a_mirror_that_fails_is_left(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    let big = image.layers[1].blob.digest.clone();
    // Nobody there at all.
    pull(t, &registry, "localhost:1", &name).ok();
    t.ccrun(&["rmi", &name]).ok();
    for (part, fault) in [
        ("/manifests/", Fault::Status(503, "", "")),
        ("/manifests/", Fault::Status(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "")),
        ("/manifests/", Fault::Html),
        (&image.id(), Fault::Status(404, "", "")),
        (&big, Fault::Status(429, "Retry-After: 3600\r\n", "")),
        (&big, Fault::Reset),
    ] {
        let mirror = Registry::open();
        mirror.push("some/app", "v1", &image);
        mirror.fault(part, usize::MAX, fault);
        registry.forget_log();
        pull(t, &registry, &mirror.host, &name).ok();
        assert_eq!(registry.gets(&big), 1, "{part}");
        super::is_whole(t, &name);
        t.ccrun(&["rmi", &name]).ok();
    }
    // It gave something, and then only silence: the registry gives the rest.
    let mirror = Registry::open();
    mirror.push("some/app", "v1", &image);
    mirror.fault(&big, 1, Fault::CutAt(1_000_000));
    mirror.fault(&big, usize::MAX, Fault::Reset);
    registry.forget_log();
    pull(t, &registry, &mirror.host, &name).ok();
    assert_eq!(super::ranges(&registry, &big), ["bytes=1000000-"]);
    super::is_whole(t, &name);
}

fn a_mirror_that_lies_is_left(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    for digest in [&image.layers[1].blob.digest, &image.layers[0].blob.digest, &image.id()] {
        let mirror = Registry::open();
        mirror.push("some/app", "v1", &image);
        mirror.fault(digest, usize::MAX, Fault::WrongByte);
        registry.forget_log();
        pull(t, &registry, &mirror.host, &name).ok();
        assert_eq!(registry.gets(digest), 1);
        super::is_whole(t, &name);
        t.ccrun(&["rmi", &name]).ok();
    }
    // Another manifest under a digest.
    let mirror = Registry::open();
    let other = Blob::json(&Image::busybox(&t.busybox).layer(Tar::new().file("evil", 0o644, "")).manifest());
    let digest = Blob::json(&image.manifest()).digest;
    mirror.push_raw_manifest("some/app", &digest, image.media_type(), other);
    pull(t, &registry, &mirror.host, &format!("{}/some/app@{digest}", registry.host)).ok().has(&digest);
    assert_eq!(mirror.gets("/manifests/"), 1);
}

fn what_lets_us_into_the_registry_stays_there(t: &Sandbox) {
    let (registry, mirror) = (Registry::start(), Registry::open());
    let (name, image) = push(t, &registry);
    // With a token of the registry at hand, and one that is got in the middle.
    t.ccrun(&["pull", &name]).ok();
    t.ccrun(&["rmi", &name]).ok();
    mirror.push("some/app", "v1", &image);
    mirror.fault(&image.layers[1].blob.digest, usize::MAX, Fault::Reset);
    pull(t, &registry, &mirror.host, &name).ok();
    assert!(registry.log().iter().any(|request| request.headers.contains_key("authorization")));
    assert!(!mirror.log().is_empty());
    assert!(mirror.log().iter().all(|request| !request.headers.contains_key("authorization")), "{:?}", mirror.log());
}

fn mistakes_in_the_list_are_told(t: &Sandbox) {
    let pull = |mirrors: &str| t.ccrun(&["pull", "localhost:1/a"]).env("CCRUN_REGISTRY_MIRRORS", mirrors).out();
    pull("a b c").error(1, "$CCRUN_REGISTRY_MIRRORS: 'a b c' is not [REGISTRY] URL");
    pull("http://mirror.example.org").error(1, "does not use https");
    t.file("home/.config/ccrun/mirrors", "https://fine.example.org\nmirror.example.org\n");
    t.ccrun(&["pull", "localhost:1/a"]).out().error(1, "ccrun/mirrors: invalid URL 'mirror.example.org'");
}
