//! Lines that break, registries that are busy, users who press Ctrl-C: what has come stays.

pub mod mirrors;

use crate::cases;
use crate::image::{Image, Layer, OCI_MANIFEST};
use crate::procs;
use crate::pty::Pty;
use crate::registry::{Fault, Registry, Request};
use crate::sandbox::{Running, Sandbox, eventually};
use crate::tar::Tar;
use serde_json::json;
use std::time::{Duration, Instant};

cases! {
    Every:
        a_cut_layer_goes_on_by_a_range,
        an_interrupted_pull_goes_on_where_it_was;
    Root:
        servers_that_cannot_give_a_part,
        what_was_put_together_wrongly_comes_again_as_a_whole,
        a_terminal_is_left_clean,
        a_killed_pull_goes_on_where_it_was,
        what_was_kept_wrongly_does_no_harm,
        a_token_that_ends_in_the_middle,
        a_token_that_lives_a_second_is_renewed,
        a_quota_with_a_short_wait_is_waited_for,
        as_many_layers_at_once_as_the_user_says,
        four_pulls_ask_for_each_layer_once,
        a_tag_that_is_not_there_gets_the_nearest,
        hubs_limit_is_told_and_not_tried_again,
        retry_after_is_heard;
    Hub:
        foreign_layers_come_from_where_they_are,
}

/// Bytes that no compression makes shorter.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut x = seed;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    };
    (0..length / 4).flat_map(|_| next().to_le_bytes()).collect()
}

const BIG: usize = 3 << 20;

/// Busybox and a layer that is worth keeping a part of.
fn image(t: &Sandbox) -> Image {
    let mut image = Image::busybox(&t.busybox);
    image.layers.push(Layer::gzip(Tar::new().file("big", 0o644, noise(BIG, 7)).finish()));
    image
}

fn push(t: &Sandbox, registry: &Registry) -> (String, Image) {
    let image = image(t);
    registry.push("some/app", "v1", &image);
    (format!("{}/some/app:v1", registry.host), image)
}

fn is_whole(t: &Sandbox, name: &str) {
    let sum = t.ccrun(&["run", "--rm", "--pull", "never", name, "sha256sum", "/big"]).ok();
    assert!(sum.stdout.starts_with(&crate::image::sha256(&noise(BIG, 7))[7..]), "{}", sum.stdout);
    assert!(t.names_in("partial").is_empty(), "{:?}", t.names_in("partial"));
    t.nothing_left();
}

/// The requests for a blob itself, each as its `Range:` header.
fn ranges(registry: &Registry, digest: &str) -> Vec<String> {
    let is_asked = |request: &&Request| request.path.contains(digest) && (request.cdn || !registry.has_cdn());
    registry.log().iter().filter(is_asked).map(|request| request.header("range").to_owned()).collect()
}

fn a_cut_layer_goes_on_by_a_range(t: &Sandbox) {
    let registry = Registry::start();
    let (name, image) = push(t, &registry);
    let big = &image.layers[1].blob.digest;
    registry.fault(&format!("/data/{big}"), 1, Fault::CutAt(1_000_000));
    registry.fault(&format!("/data/{big}"), 1, Fault::Reset);
    registry.fault(&format!("/data/{big}"), 1, Fault::CutAt(500_000));
    let out = t.ccrun(&["pull", &name]).ok();
    assert_eq!(ranges(&registry, big), ["", "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]);
    assert!(out.stdout.contains(&format!("{}: Retrying", &big[7..19])), "{}", out.stdout);
    is_whole(t, &name);
}

fn servers_that_cannot_give_a_part(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    let big = &image.layers[1].blob.digest;
    for wrong in [false, true] {
        registry.switch(|switches| (switches.ignore_ranges, switches.wrong_range) = (!wrong, wrong));
        registry.fault(big, 1, Fault::CutAt(1_000_000));
        registry.forget_log();
        t.ccrun(&["pull", &name]).ok();
        let asked: &[&str] = if wrong { &["", "bytes=1000000-", ""] } else { &["", "bytes=1000000-"] };
        assert_eq!(ranges(&registry, big), asked);
        is_whole(t, &name);
        t.ccrun(&["rmi", &name]).ok();
    }
}

fn what_was_put_together_wrongly_comes_again_as_a_whole(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    let big = &image.layers[1].blob.digest;
    registry.fault(big, 1, Fault::CutAt(1_000_000));
    registry.fault(big, 1, Fault::WrongByte);
    t.ccrun(&["pull", &name]).ok();
    assert_eq!(ranges(&registry, big), ["", "bytes=1000000-", ""]);
    is_whole(t, &name);
    t.ccrun(&["rmi", &name]).ok();
    // But not for ever.
    registry.forget_log();
    registry.fault(big, 1, Fault::CutAt(1_000_000));
    registry.fault(big, usize::MAX, Fault::WrongByte);
    t.ccrun(&["pull", &name]).out().error(1, "is wrong: what came has the digest");
    assert_eq!(ranges(&registry, big), ["", "bytes=1000000-", ""]);
    assert!(t.names_in("partial").is_empty());
}

/// Starts a pull over a slow line, and lets it go on until something of the big layer is kept.
fn begin(t: &Sandbox, registry: &Registry, name: &str, image: &Image) -> Running {
    let big = &image.layers[1].blob.digest;
    registry.fault(big, usize::MAX, Fault::Drip(1 << 20));
    let running = t.ccrun(&["pull", name]).spawn();
    eventually("the small layer", || t.layers() == [&image.layers[0].diff_id[7..]]);
    eventually("some of the big layer", || kept(t, big) > 600_000);
    running
}

fn kept(t: &Sandbox, digest: &str) -> u64 {
    std::fs::metadata(t.store.join("partial").join(&digest[7..])).map_or(0, |meta| meta.len())
}

/// The next pull asks for no byte that is here.
fn goes_on(t: &Sandbox, registry: &Registry, name: &str, image: &Image) {
    let big = &image.layers[1].blob.digest;
    let here = kept(t, big);
    assert!(here > 600_000, "{here}");
    registry.no_faults();
    registry.forget_log();
    t.ccrun(&["pull", name]).ok().has("Already exists");
    assert_eq!(ranges(registry, big), [format!("bytes={here}-")]);
    is_whole(t, name);
}

fn an_interrupted_pull_goes_on_where_it_was(t: &Sandbox) {
    for (signal, status) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let registry = Registry::open();
        let (name, image) = push(t, &registry);
        let running = begin(t, &registry, &name, &image);
        running.signal(signal);
        let out = running.wait().error(status, "interrupted; 1 of 2 layers are here and ");
        assert!(out.stderr.ends_with("B of the others; pull again to go on\n"), "{}", out.stderr);
        assert!(procs::left_behind().is_empty());
        t.nothing_left();
        goes_on(t, &registry, &name, &image);
        t.ccrun(&["rmi", &name]).ok();
    }
    // `run` pulls as well.
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    registry.fault(&image.layers[1].blob.digest, usize::MAX, Fault::Drip(1 << 20));
    let running = t.ccrun(&["run", "--rm", &name, "true"]).spawn();
    eventually("some of it", || kept(t, &image.layers[1].blob.digest) > 0);
    running.signal(libc::SIGINT);
    running.wait().exit(130).says("pull again to go on").prints("");
    t.nothing_left();
}

fn a_terminal_is_left_clean(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    registry.fault(&image.layers[1].blob.digest, usize::MAX, Fault::Drip(1 << 20));
    let mut command = std::process::Command::new(&t.ccrun);
    command.args(["pull", &name]).env("CCRUN_ROOT", &t.store).env("TERM", "xterm");
    let mut pty = Pty::spawn(command);
    pty.expect("Downloading [");
    let before = pty.flags();
    pty.send("\x03");
    let (status, seen) = pty.wait();
    assert_eq!(status, 130, "{seen}");
    // On a line of its own below the bars, where everything has been cleared.
    let last = seen.trim_end_matches("\r\n").rsplit("\r\n").next().unwrap_or_default();
    assert!(last.starts_with("\x1b[Jccrun: interrupted; "), "{seen:?}");
    assert!(seen.ends_with("pull again to go on\r\n"), "{seen:?}");
    assert_eq!(pty.flags(), before);
    assert!(procs::left_behind().is_empty());
}

fn a_killed_pull_goes_on_where_it_was(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    let running = begin(t, &registry, &name, &image);
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    eventually("the end of its workers", || procs::left_behind().is_empty());
    goes_on(t, &registry, &name, &image);
}

fn what_was_kept_wrongly_does_no_harm(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    let blob = &image.layers[1].blob;
    let mut wrong = blob.bytes[..1_000_000].to_vec();
    wrong[500_000] ^= 1;
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&t.store).expect("mkdir");
    let keep = |bytes: &[u8]| drop(t.file(&format!("store/partial/{}", &blob.digest[7..]), bytes));
    for (bytes, asked) in [
        (&wrong[..], &["bytes=1000000-", ""][..]),
        // The whole of it, and more than it.
        (&blob.bytes, &[]),
        (&[&blob.bytes[..], b"x"].concat(), &[""]),
    ] {
        keep(bytes);
        registry.forget_log();
        t.ccrun(&["pull", &name]).ok();
        assert_eq!(ranges(&registry, &blob.digest), asked);
        is_whole(t, &name);
        t.ccrun(&["rmi", &name]).ok();
    }
}

fn a_token_that_ends_in_the_middle(t: &Sandbox) {
    let registry = Registry::start();
    let (name, image) = push(t, &registry);
    let big = &image.layers[1].blob.digest;
    registry.fault(&format!("/data/{big}"), 3, Fault::CutAt(700_000));
    registry.switch(|switches| switches.token_uses = Some(1));
    t.ccrun(&["pull", &name]).ok();
    assert_eq!(ranges(&registry, big).len(), 4);
    is_whole(t, &name);
}

fn a_token_that_lives_a_second_is_renewed(t: &Sandbox) {
    let image = (0..4u8).fold(Image::busybox(&t.busybox), |image, n| {
        image.layer(Tar::new().file(&format!("f{n}"), 0o644, noise(4096, u32::from(n) + 1)))
    });
    let registry = Registry::start();
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    // The registry says so, and so it is; each layer takes longer than that.
    registry.switch(|switches| {
        (switches.token_lifetime, switches.token_life) = (Some(1), Some(Duration::from_millis(300)));
    });
    for layer in &image.layers[1..] {
        registry.fault(&format!("/data/{}", layer.blob.digest), 1, Fault::Drip(10_000));
    }
    t.ccrun(&["pull", "--jobs", "1", &name]).ok();
    t.ccrun(&["rmi", &name]).ok();
    // A token that is remembered has expired, and the new one is refused once: in every request, whatever it is for.
    registry.no_faults();
    for part in 0..8 {
        std::thread::sleep(Duration::from_millis(350));
        registry.switch(|switches| switches.token_life = None);
        t.ccrun(&["pull", &name]).ok();
        t.ccrun(&["rmi", &name]).ok();
        registry.switch(|switches| switches.token_life = Some(Duration::from_millis(300)));
        registry.switch(|switches| switches.refusals_left = 1 + part % 2);
        t.ccrun(&["pull", "--jobs", "1", &name]).ok();
        t.ccrun(&["rmi", &name]).ok();
    }
    // Who is refused for good is told so, soon.
    registry.switch(|switches| switches.refusals_left = 1000);
    registry.forget_log();
    t.ccrun(&["pull", &name]).out().error(1, "pull access denied for");
    assert!(registry.gets("/manifests/") <= 3 && registry.gets("/token") <= 3, "{:#?}", registry.log());
}

fn a_quota_with_a_short_wait_is_waited_for(t: &Sandbox) {
    let registry = Registry::open();
    let (name, _) = push(t, &registry);
    const QUOTA: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#;
    // For the manifest, for the config and for a layer.
    registry.fault("/manifests/", 1, Fault::Status(429, "Retry-After: 2\r\n", QUOTA));
    registry.fault("/blobs/", 2, Fault::Status(429, "Retry-After: 1\r\n", QUOTA));
    let began = Instant::now();
    t.ccrun(&["pull", &name]).ok();
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    t.ccrun(&["rmi", &name]).ok();
    // Longer than a minute, or without a word: it is for the user to wait.
    for headers in ["Retry-After: 61\r\n", ""] {
        registry.fault("/manifests/", usize::MAX, Fault::Status(429, headers, QUOTA));
        registry.forget_log();
        t.ccrun(&["pull", &name]).out().error(1, "You have reached your pull rate limit");
        assert_eq!(registry.gets("/manifests/"), 1);
        registry.no_faults();
    }
}

fn as_many_layers_at_once_as_the_user_says(t: &Sandbox) {
    // All alike: one that takes long to unpack would hold up those behind it.
    let image = (0..7u8).fold(Image::new(Vec::new()), |image, n| {
        image.layer(Tar::new().file(&format!("f{n}"), 0o644, noise(4096, u32::from(n) + 1)))
    });
    for (args, most) in [(&["--jobs", "1"][..], 1), (&["--jobs=5"], 5), (&[], 3)] {
        let registry = Registry::open();
        registry.push("some/app", "v1", &image);
        for layer in &image.layers {
            // Slow enough that all are there together, however long a busy machine takes to start each curl.
            registry.fault(&layer.blob.digest, usize::MAX, Fault::Drip(if most == 1 { 10_000 } else { 2_500 }));
        }
        let name = format!("{}/some/app:v1", registry.host);
        t.ccrun(&[&["pull"], args, &[&name]].concat()).ok();
        assert_eq!(registry.most_at_once(), most, "{args:?}");
        t.ccrun(&["rmi", &name]).ok();
    }
    for wrong in ["0", "33", "-1", "many", ""] {
        t.ccrun(&["pull", "--jobs", wrong, "some/app"]).out().error(1, "invalid number of jobs");
        t.ccrun(&["run", "--jobs", wrong, "some/app"]).out().error(125, "invalid number of jobs");
    }
}

fn four_pulls_ask_for_each_layer_once(t: &Sandbox) {
    let registry = Registry::open();
    let (name, image) = push(t, &registry);
    registry.fault(&image.layers[1].blob.digest, usize::MAX, Fault::Drip(BIG));
    let running: Vec<Running> = (0..4).map(|_| t.ccrun(&["pull", &name]).spawn()).collect();
    for running in running {
        running.wait().exit(0);
    }
    for layer in &image.layers {
        assert_eq!(registry.gets(&layer.blob.digest), 1);
    }
    is_whole(t, &name);
}

fn a_tag_that_is_not_there_gets_the_nearest(t: &Sandbox) {
    let registry = Registry::start();
    for tag in ["20190228", "3.18", "3.19", "3.9", "edge", "latest"] {
        registry.push("some/alpine", tag, &Image::busybox(&t.busybox));
    }
    let missing = format!("{}/some/alpine:3.91", registry.host);
    let hint = "manifest unknown; the nearest tags are 3.9, 3.19, 3.18\n";
    for page in [None, Some(2)] {
        registry.switch(|switches| switches.page = page);
        let out = t.ccrun(&["pull", &missing]).out().error(1, &format!("manifest for {missing} not found: "));
        assert!(out.stderr.ends_with(hint), "{}", out.stderr);
    }
    t.ccrun(&["run", "--rm", &missing, "true"]).out().exit(125).says("the nearest tags are 3.9,");
    // Some registries say that there is no manifest where there is no repository.
    let unknown = Fault::Status(404, "", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
    registry.fault("/some/alpin/manifests/", usize::MAX, unknown);
    let misspelt = format!("{}/some/alpin:3.9", registry.host);
    t.ccrun(&["pull", &misspelt]).out().error(1, "manifest unknown; there is no repository of this name");
    // Without a list there is no hint, and no waiting for one.
    for fault in [Fault::Status(500, "", ""), Fault::Html, Fault::Stall(Duration::from_secs(60))] {
        registry.fault("/tags/list", usize::MAX, fault);
        let began = Instant::now();
        let out = t.ccrun(&["pull", &missing]).out().error(1, "manifest unknown");
        assert!(out.stderr.ends_with("manifest unknown\n"), "{}", out.stderr);
        assert!(began.elapsed() < Duration::from_secs(10));
        registry.no_faults();
    }
}

fn hubs_limit_is_told_and_not_tried_again(t: &Sandbox) {
    let registry = Registry::start();
    let (name, _) = push(t, &registry);
    registry.switch(|switches| switches.pulls_left = Some(0));
    let out = t.ccrun(&["pull", &name]).out().error(1, "You have reached your unauthenticated pull rate limit");
    let out = out.says("(0 of 100 pulls in 6 hours are left for 192.0.2.7)").says("ccrun login").says("MIRRORS");
    // Asked without a token, and with one.
    assert_eq!(registry.gets("/manifests/"), 2, "{}", out.stderr);
}

fn retry_after_is_heard(t: &Sandbox) {
    let registry = Registry::open();
    let (name, _) = push(t, &registry);
    registry.fault("/manifests/", 1, Fault::Status(429, "Retry-After: 3\r\n", ""));
    let began = Instant::now();
    t.ccrun(&["pull", &name]).ok();
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    // Four seconds by its own clock, however wrong that is.
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:41 GMT\r\n";
    registry.fault("/manifests/", 1, Fault::Status(503, date, ""));
    let began = Instant::now();
    t.ccrun(&["pull", &name]).ok();
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    // Nobody waits an hour.
    registry.fault("/manifests/", usize::MAX, Fault::Status(429, "Retry-After: 3600\r\n", ""));
    registry.forget_log();
    t.ccrun(&["pull", &name]).out().error(1, "try again in 3600 s");
    assert_eq!(registry.gets("/manifests/"), 1);
}

fn foreign_layers_come_from_where_they_are(t: &Sandbox) {
    let hub = Registry::hub();
    let image = image(t);
    let big = &image.layers[1].blob.digest;
    let foreign = |urls: &[&str]| {
        hub.push("library/app", "v1", &image);
        let mut manifest = image.manifest();
        manifest["layers"][1]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        manifest["layers"][1]["urls"] = json!(urls);
        hub.push_manifest("library/app", "v1", OCI_MANIFEST, &manifest);
    };
    let there = format!("https://{}/data/{big}?verify=1700000000-s3cret%3D", crate::hub::CDN);
    let unknown = r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    let missing = || hub.fault(&format!("/blobs/{big}"), usize::MAX, Fault::Status(404, "", unknown));
    missing();
    // The first of them is only ours to reach, the second leads there.
    hub.fault("/away", usize::MAX, Fault::RedirectTo("https://127.0.0.1/secret".to_owned()));
    foreign(&["https://127.0.0.1/secret", &format!("https://{}/away", crate::hub::CDN), &there]);
    hub.fault(&format!("/data/{big}"), 1, Fault::CutAt(1_000_000));
    t.ccrun(&["pull", "app:v1"]).ok();
    is_whole(t, "app:v1");
    assert_eq!(hub.gets("/secret"), 0);
    let away: Vec<Request> = hub.log().into_iter().filter(|request| request.cdn).collect();
    assert!(away.iter().all(|request| !request.headers.contains_key("authorization")), "{away:?}");
    assert_eq!(ranges(&hub, big).last().map(String::as_str), Some("bytes=1000000-"));
    t.ccrun(&["rmi", "app:v1"]).ok();
    // Who has it in his registry needs no other place.
    hub.no_faults();
    hub.forget_log();
    t.ccrun(&["pull", "app:v1"]).ok();
    assert_eq!(hub.gets(&format!("/blobs/{big}")), 1);
    t.ccrun(&["rmi", "app:v1"]).ok();
    missing();
    foreign(&["http://example.org/x", "ftp://example.org/x"]);
    t.ccrun(&["pull", "app:v1"]).out().error(1, "blob unknown to registry");
}
