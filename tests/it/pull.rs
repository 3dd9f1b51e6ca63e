//! Step 7 and 8: images by name from a registry, and containers made of them.

use crate::cases;
use crate::image::{Image, Layer, gzip};
use crate::registry::{Fault, Registry};
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use serde_json::json;

cases! {
    Every:
        an_image_is_pulled_listed_run_and_removed,
        a_second_pull_downloads_no_layer,
        tags_and_digests_name_images,
        the_token_goes_to_the_registry_and_nowhere_else,
        an_index_gives_this_machines_image,
        what_the_config_says_is_done,
        the_config_gives_way_to_flags,
        two_runs_of_one_image_do_not_see_each_other,
        twenty_of_one_image_at_once,
        running_a_missing_image_pulls_it_on_stderr,
        pull_says_what_it_does,
        layers_are_shared,
        an_anonymous_volume_begins_with_the_images_files,
        the_kinds_of_layers,
        rmi_gives_the_layers_back,
        several_pulls_of_one_image_at_once;
    Root:
        a_terminal_gets_bars,
        a_busy_registry_is_not_an_image,
}

fn app(t: &Sandbox) -> Image {
    let files = Tar::new().dir("srv", 0o755).file("srv/motd", 0o644, "served\n");
    Image::busybox(&t.busybox).layer(files).set("Env", json!(["PATH=/usr/bin:/bin", "GREETING=hello"]))
}

fn an_image_is_pulled_listed_run_and_removed(t: &Sandbox) {
    let registry = Registry::start();
    let image = app(t);
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["pull", &name]).ok();
    let images = t.ccrun(&["images"]).ok().quiet();
    let header = images.stdout.lines().next().expect("a header");
    for word in ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"] {
        assert!(header.contains(word), "{word} in {header}");
    }
    let line = images.stdout.lines().nth(1).expect("an image");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..2], [&format!("{}/some/app", registry.host), "v1"], "{line}");
    assert_eq!(words[2], &image.id()[7..19], "{line}");
    t.ccrun(&["run", "--rm", &name, "cat", "/srv/motd"]).ok().prints("served\n").quiet();
    t.ccrun(&["run", "--rm", "--image", &name, "echo", "$GREETING"]).ok().prints("$GREETING\n");
    let gone = t.ccrun(&["rmi", &name]).ok();
    assert!(gone.stdout.contains("Untagged: ") && gone.stdout.contains("Deleted: sha256:"), "{}", gone.stdout);
    assert_eq!(t.ccrun(&["images"]).ok().stdout.lines().count(), 1);
    assert!(t.layers().is_empty());
    t.ccrun(&["run", "--rm", "--pull", "never", &name, "true"]).out().error(125, "some/app:v1");
    t.nothing_left();
}

fn a_second_pull_downloads_no_layer(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["pull", &name]).ok().has("Downloaded newer image");
    assert_eq!(registry.gets("/data/"), 3, "two layers and a config");
    registry.forget_log();
    t.ccrun(&["pull", &name]).ok().has("Image is up to date");
    let log = registry.log();
    assert!(!log.iter().any(|request| request.cdn || request.path.contains("/blobs/")), "{log:#?}");
    // A run asks nobody at all.
    registry.forget_log();
    t.ccrun(&["run", "--rm", &name, "true"]).ok();
    assert!(registry.log().is_empty(), "{:#?}", registry.log());
    t.ccrun(&["run", "--rm", "--pull", "always", &name, "true"]).ok();
    assert_ne!(registry.gets("/manifests/"), 0);
}

fn tags_and_digests_name_images(t: &Sandbox) {
    let registry = Registry::start();
    let one = app(t).set("Cmd", json!(["echo", "one"]));
    let two = app(t).set("Cmd", json!(["echo", "two"]));
    let digest = registry.push("some/app", "v1", &one);
    registry.push("some/app", "latest", &two);
    let base = format!("{}/some/app", registry.host);
    // The digest is printed last, and finds the image whatever the tag now names.
    t.ccrun(&["pull", &format!("{base}:v1")]).ok().has(&digest);
    t.ccrun(&["pull", &base]).ok().has("Using default tag: latest");
    t.ccrun(&["run", "--rm", &base]).ok().prints("two\n");
    t.ccrun(&["run", "--rm", &format!("{base}:v1")]).ok().prints("one\n");
    registry.push("some/app", "v1", &two);
    t.ccrun(&["pull", &format!("{base}:v1")]).ok().has("Downloaded newer image");
    t.ccrun(&["run", "--rm", &format!("{base}:v1")]).ok().prints("two\n");
    t.ccrun(&["run", "--rm", &format!("{base}@{digest}")]).ok().prints("one\n");
    t.ccrun(&["pull", &format!("{base}:v1@{digest}")]).ok().has(&digest);
    // An id, whole or its beginning, names an image that is here.
    let id = two.id();
    t.ccrun(&["run", "--rm", "--image", &id[7..19]]).ok().prints("two\n");
}

fn the_token_goes_to_the_registry_and_nowhere_else(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    t.ccrun(&["pull", &format!("{}/some/app:v1", registry.host)]).ok();
    let log = registry.log();
    let tokens: Vec<_> = log.iter().filter(|request| request.path.starts_with("/token?")).collect();
    assert!(!tokens.is_empty(), "no token was asked for");
    let path = tokens[0].path.replace("%3A", ":").replace("%2F", "/");
    assert!(path.contains("service=registry.docker.io") && path.contains("scope=repository:some/app:pull"), "{path}");
    assert!(log.iter().any(|r| r.headers.get("authorization").is_some_and(|value| value.starts_with("Bearer token-"))));
    let cdn: Vec<_> = log.iter().filter(|request| request.cdn).collect();
    assert_eq!(cdn.len(), 3);
    assert!(cdn.iter().all(|request| !request.headers.contains_key("authorization")), "{cdn:#?}");
    assert!(log.iter().all(|request| request.headers.get("user-agent").is_none_or(|agent| agent.contains("ccrun"))));
}

fn an_index_gives_this_machines_image(t: &Sandbox) {
    let registry = Registry::start();
    let mine = app(t).set("Cmd", json!(["echo", "mine"]));
    let other = app(t).set("Cmd", json!(["echo", "other"])).platform("linux", "s390x", None);
    let arm = app(t).set("Cmd", json!(["echo", "arm"])).platform("linux", "arm", Some("v7"));
    let windows = app(t).platform("windows", crate::image::HOST_ARCH, None);
    registry.push_index("multi/oci", "latest", &[&windows, &other, &arm, &mine], false);
    let docker = [windows, other, arm, mine].map(Image::docker);
    registry.push_index("multi/docker", "latest", &docker.each_ref(), true);
    registry.push_index("multi/foreign", "latest", &[&docker[0], &docker[1]], true);
    for name in ["multi/oci", "multi/docker"] {
        let name = format!("{}/{name}", registry.host);
        t.ccrun(&["run", "--rm", &name]).ok().prints("mine\n");
        // Busybox is this machine's, whatever the config says: it runs.
        t.ccrun(&["run", "--rm", "--pull", "always", "--platform", "linux/s390x", &name]).ok().prints("other\n");
        t.ccrun(&["run", "--rm", "--pull", "always", "--platform", "linux/arm/v7", &name]).ok().prints("arm\n");
        t.ccrun(&["pull", "--platform", "linux/riscv64", &name]).out().error(1, "riscv64");
    }
    let foreign = format!("{}/multi/foreign", registry.host);
    t.ccrun(&["pull", &foreign]).out().error(1, "no matching manifest");
}

fn what_the_config_says_is_done(t: &Sandbox) {
    let registry = Registry::start();
    let image = app(t)
        .set("Env", json!(["PATH=/opt/bin:/bin", "GREETING=hello", "EMPTY=", "HOME="]))
        .set("WorkingDir", json!("/made/by/config"))
        .set("User", json!("app:staff"))
        .set("Entrypoint", json!(["/bin/sh", "-c"]))
        .set("Cmd", json!(["echo $GREETING $PATH; pwd; id -un; id -gn; echo $HOME"]))
        .set("Labels", json!({ "a": "\u{1b}]0;x\u{7}" }))
        .set("ExposedPorts", json!({ "80/tcp": {} }));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let want = "hello /opt/bin:/bin\n/made/by/config\napp\nstaff\n/home/app\n";
    t.ccrun(&["run", "--rm", &name]).ok().prints(want);
    t.ccrun(&["run", "--rm", &name, "echo in place of Cmd"]).ok().prints("in place of Cmd\n");
    // Only the entrypoint as a shell's string: one argument each.
    let stop = app(t).set("StopSignal", json!("SIGUSR1")).set("Cmd", json!(["sh"]));
    registry.push("some/stop", "v1", &stop);
    t.ccrun(&["run", "--rm", &format!("{}/some/stop:v1", registry.host), "true"]).ok();
    // No command anywhere.
    registry.push("some/mute", "v1", &app(t));
    let mute = format!("{}/some/mute:v1", registry.host);
    t.ccrun(&["run", "--rm", "--pull", "always", "-q", &mute]).out().exit(125);
    // An image without a PATH gets the usual one.
    registry.push("some/bare", "v1", &Image::busybox(&t.busybox));
    let bare = format!("{}/some/bare:v1", registry.host);
    t.ccrun(&["run", "--rm", &bare, "/bin/sh", "-c", "echo $PATH"])
        .ok()
        .has("/usr/local/sbin:/usr/local/bin:/usr/sbin");
    t.nothing_left();
}

fn the_config_gives_way_to_flags(t: &Sandbox) {
    let registry = Registry::start();
    let image = app(t)
        .set("Env", json!(["PATH=/bin", "A=image", "B=image", "C=image"]))
        .set("WorkingDir", json!("/srv"))
        .set("Entrypoint", json!(["/bin/echo", "entry"]))
        .set("Cmd", json!(["cmd"]));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["run", "--rm", &name]).ok().prints("entry cmd\n");
    t.ccrun(&["run", "--rm", &name, "args"]).ok().prints("entry args\n");
    // Another entrypoint: the image's Cmd doesn't fit it.
    t.ccrun(&["run", "--rm", "--entrypoint", "/bin/echo", &name]).ok().prints("\n");
    t.ccrun(&["run", "--rm", "--entrypoint", "", &name, "/bin/pwd"]).ok().prints("/srv\n");
    t.ccrun(&["run", "--rm", "--entrypoint", "pwd", "-w", "/tmp", &name]).ok().prints("/tmp\n");
    let out = t.ccrun(&["run", "--rm", "-e", "A=flag", "-e", "C", "--entrypoint", "env", &name]).ok();
    // Docker: -e C with no C on the host takes the image's away.
    assert!(out.stdout.contains("A=flag\n") && out.stdout.contains("B=image\n"), "{}", out.stdout);
    out.lacks("A=image").lacks("C=");
}

fn two_runs_of_one_image_do_not_see_each_other(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["pull", &name]).ok();
    let script = "echo changed >/srv/motd; rm /bin/ls; echo ready; sleep 64.2";
    let first = t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).spawn();
    first.until("ready");
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "cat /srv/motd; ls /bin/ls"]).ok().prints("served\n/bin/ls\n");
    first.signal(libc::SIGTERM);
    first.wait();
    t.ccrun(&["run", "--rm", &name, "cat", "/srv/motd"]).ok().prints("served\n");
    t.nothing_left();
}

fn twenty_of_one_image_at_once(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    // The first of them to come pulls it; the others wait for it or find it.
    let start = |n: usize| {
        let script = format!("echo {n} >/srv/motd; sleep 0.3; cat /srv/motd");
        t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", &script]).timeout(100).spawn()
    };
    let running: Vec<_> = (0..20).map(start).collect();
    for (n, running) in running.into_iter().enumerate() {
        running.wait().exit(0).prints(&format!("{n}\n"));
    }
    t.nothing_left();
}

fn running_a_missing_image_pulls_it_on_stderr(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    let out = t.ccrun(&["run", "--rm", &name, "echo", "only this"]).ok().prints("only this\n");
    let out = out.says(&format!("Unable to find image '{name}' locally"));
    out.says("Status: Downloaded newer image for").says("Digest: sha256:");
    t.ccrun(&["run", "--rm", &name, "echo", "at once"]).ok().prints("at once\n").quiet();
}

fn pull_says_what_it_does(t: &Sandbox) {
    let registry = Registry::start();
    let digest = registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    let out = t.ccrun(&["pull", &name]).ok().quiet();
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines[0], "v1: Pulling from some/app", "{}", out.stdout);
    let layers = out.stdout.matches(": Pull complete").count();
    assert_eq!(layers, 2, "{}", out.stdout);
    assert!(!out.stdout.contains('\r') && !out.stdout.contains('\x1b'), "no bars in a pipe: {}", out.stdout);
    let end = [format!("Digest: {digest}"), format!("Status: Downloaded newer image for {name}"), name.clone()];
    assert_eq!(lines[lines.len() - 3..], end.each_ref().map(String::as_str), "{}", out.stdout);
    t.ccrun(&["pull", "-q", &name]).ok().prints(&format!("{name}\n")).quiet();
}

fn a_terminal_gets_bars(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let mut command = std::process::Command::new(&t.ccrun);
    command.args(["pull", &format!("{}/some/app:v1", registry.host)]).env("CCRUN_ROOT", &t.store).env("TERM", "xterm");
    let (status, seen) = crate::pty::Pty::spawn(command).wait();
    assert_eq!(status, 0, "{seen}");
    assert!(seen.contains("\x1b["), "no cursor movement: {seen:?}");
    assert!(seen.contains("Pull complete") && seen.contains("Status: Downloaded newer image"), "{seen:?}");
}

fn layers_are_shared(t: &Sandbox) {
    let registry = Registry::start();
    let one = app(t);
    let two = app(t).layer(Tar::new().file("two", 0o644, "2"));
    registry.push("some/one", "v1", &one);
    registry.push("some/two", "v1", &two);
    t.ccrun(&["pull", &format!("{}/some/one:v1", registry.host)]).ok();
    registry.forget_log();
    let out = t.ccrun(&["pull", &format!("{}/some/two:v1", registry.host)]).ok();
    assert_eq!(out.stdout.matches(": Already exists").count(), 2, "{}", out.stdout);
    assert_eq!(registry.gets("/data/"), 2, "one layer and a config");
    assert_eq!(t.layers().len(), 3);
    let ids: Vec<&str> = two.layers.iter().map(|layer| &layer.diff_id[7..]).collect();
    assert!(ids.iter().all(|id| t.layers().iter().any(|name| name == id)));
    // Removing one leaves the other whole.
    t.ccrun(&["rmi", &format!("{}/some/one:v1", registry.host)]).ok();
    t.ccrun(&["run", "--rm", &format!("{}/some/two:v1", registry.host), "cat", "/srv/motd", "/two"])
        .ok()
        .prints("served\n2");
}

fn an_anonymous_volume_begins_with_the_images_files(t: &Sandbox) {
    let registry = Registry::start();
    let image = app(t).set("Volumes", json!({ "/srv": {}, "/empty": {} }));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let script = "cat /srv/motd; ls /empty; grep -c -E ' /(srv|empty) ' /proc/mounts; echo x >/srv/y; echo x >/empty/y";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().prints("served\n2\n");
    // They went with their container.
    assert!(t.names_in("volumes").is_empty(), "{:?}", t.names_in("volumes"));
    t.nothing_left();
}

fn the_kinds_of_layers(t: &Sandbox) {
    let registry = Registry::open();
    let mut image = Image::busybox(&t.busybox);
    let tar = |name: &str| Tar::new().file(name, 0o644, name.repeat(1000)).finish();
    image.layers.push(Layer::plain(tar("plain")));
    // Several gzip members, as parallel compressors write them.
    let whole = tar("members");
    let members: Vec<u8> = whole.chunks(700).flat_map(gzip).collect();
    image.layers.push(Layer::claimed(members, &whole));
    // Nothing in it but the end.
    image.layers.push(Layer::gzip(Tar::new().finish()));
    // No end at all: GNU tar warns, Docker takes it.
    image.layers.push(Layer::gzip(Tar::new().file("endless", 0o644, "x").unfinished()));
    // The same layer twice.
    let twice = Layer::gzip(tar("twice"));
    image.layers.extend([twice.clone(), twice]);
    // As large as gzip's own program makes it.
    registry.push("odd/layers", "v1", &image);
    let name = format!("{}/odd/layers:v1", registry.host);
    let script = "for f in plain members twice; do wc -c </$f; done; cat /endless";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().prints("5000\n7000\n5000\nx");
    let zstd = Layer::claimed(b"\x28\xb5\x2f\xfd and no zstd frame behind it".to_vec(), &tar("z"));
    let zstd = Layer { media_type: "application/vnd.oci.image.layer.v1.tar+zstd", ..zstd };
    let mut image = Image::busybox(&t.busybox);
    image.layers.push(zstd);
    registry.push("odd/zstd", "v1", &image);
    t.ccrun(&["pull", &format!("{}/odd/zstd:v1", registry.host)]).out().error(1, "zstd");
    t.nothing_left();
}

fn rmi_gives_the_layers_back(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    registry.push("some/app", "v2", &app(t));
    let name = |tag: &str| format!("{}/some/app:{tag}", registry.host);
    t.ccrun(&["pull", &name("v1")]).ok();
    t.ccrun(&["pull", &name("v2")]).ok();
    t.ccrun(&["rmi", &name("v1")]).ok().has("Untagged: ").lacks("Deleted: ");
    t.ccrun(&["run", "--rm", &name("v2"), "true"]).ok();
    t.ccrun(&["run", "--name", "user", &name("v2"), "true"]).ok();
    t.ccrun(&["rmi", &name("v2")]).out().error(1, "is using its referenced image");
    t.ccrun(&["rm", "user"]).ok();
    t.ccrun(&["rmi", &name("v2")]).ok().has("Deleted: ");
    assert!(t.layers().is_empty(), "{:?}", t.layers());
    t.ccrun(&["rmi", &name("v2")]).out().error(1, "some/app:v2");
    t.nothing_left();
}

fn several_pulls_of_one_image_at_once(t: &Sandbox) {
    let registry = Registry::start();
    let image = (0..5).fold(app(t), |image, n| {
        image.layer((0..40).fold(Tar::new(), |tar, m| tar.file(&format!("l{n}/f{m}"), 0o644, vec![n * 40 + m; 20_000])))
    });
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let running: Vec<_> = (0..6).map(|_| t.ccrun(&["pull", &name]).spawn()).collect();
    for running in running {
        running.wait().exit(0);
    }
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "ls /l0 /l4 | grep -c f; wc -c </l4/f39"])
        .ok()
        .prints("80\n20000\n");
    assert_eq!(t.layers().len(), 7);
    t.nothing_left();
}

fn a_busy_registry_is_not_an_image(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    registry.fault(
        "/manifests/",
        usize::MAX,
        Fault::Status(
            429,
            "Retry-After: 1\r\n",
            "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"slow down\"}]}",
        ),
    );
    t.ccrun(&["pull", &name]).timeout(60).out().error(1, "toomanyrequests");
    registry.no_faults();
    t.ccrun(&["pull", &name]).ok();
}
