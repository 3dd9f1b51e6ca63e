//! The names that people type: `alpine`, `ubuntu`, with Docker Hub behind them.

use crate::cases;
use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use serde_json::json;

cases! {
    Hub:
        alpine_by_name_tag_and_digest,
        ubuntu_runs_bash_with_its_own_settings,
        a_bare_word_is_an_image_or_a_command,
        credentials_stay_with_their_hosts,
        what_does_not_exist_is_said_plainly;
}

fn alpine(t: &Sandbox) -> Image {
    let marker = Tar::new().dir("etc", 0o755).file("etc/os-release", 0o644, "ID=alpine\n");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Image::busybox(&t.busybox).layer(marker).set("Env", json!([path])).set("Cmd", json!(["/bin/sh"]))
}

fn alpine_by_name_tag_and_digest(t: &Sandbox) {
    let hub = Registry::hub();
    let other = Image::new(vec![]).platform("linux", "s390x", None);
    let index = hub.push_index("library/alpine", "latest", &[&other, &alpine(t)], false);
    let digest = hub.push("library/alpine", "3.20", &alpine(t).set("Cmd", json!(["echo", "3.20"])));
    let out = t.ccrun(&["pull", "alpine"]).ok();
    let out = out.has("Using default tag: latest\n").has("latest: Pulling from library/alpine\n").has(&index);
    assert!(
        out.stdout.ends_with("Status: Downloaded newer image for alpine:latest\ndocker.io/library/alpine:latest\n"),
        "{}",
        out.stdout
    );
    t.ccrun(&["run", "--rm", "alpine", "cat", "/etc/os-release"]).ok().prints("ID=alpine\n").quiet();
    t.ccrun(&["pull", "alpine:3.20"]).ok().has("3.20: Pulling from library/alpine");
    t.ccrun(&["run", "--rm", "alpine:3.20"]).ok().prints("3.20\n");
    let by_digest = format!("alpine@{digest}");
    t.ccrun(&["pull", &by_digest]).ok().has(&digest);
    t.ccrun(&["run", "--rm", &by_digest]).ok().prints("3.20\n");
    // All its names are one.
    hub.forget_log();
    for name in
        ["docker.io/library/alpine", "index.docker.io/library/alpine:latest", "library/alpine", "docker.io/alpine"]
    {
        t.ccrun(&["run", "--rm", name, "true"]).ok().quiet();
    }
    assert!(hub.log().is_empty(), "{:#?}", hub.log());
    let images = t.ccrun(&["images"]).ok();
    assert!(
        images.stdout.lines().any(|line| line.split_whitespace().take(2).eq(["alpine", "latest"])),
        "{}",
        images.stdout
    );
    t.nothing_left();
}

fn ubuntu_runs_bash_with_its_own_settings(t: &Sandbox) {
    let hub = Registry::hub();
    let image = Image::busybox(&t.busybox)
        .layer(Tar::new().file("bin/bash", 0o755, "#!/bin/sh\nexec /bin/sh \"$@\"\n"))
        .set("Env", json!(["PATH=/opt/ubuntu/bin:/usr/bin:/bin"]))
        .set("WorkingDir", json!("/srv/ubuntu"))
        .set("User", json!("daemon"))
        .set("Cmd", json!(["/bin/bash"]));
    hub.push("library/ubuntu", "latest", &image);
    let out = t.ccrun(&["run", "ubuntu", "/bin/bash", "-c", "echo $PATH; pwd; id"]).ok();
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines[..2], ["/opt/ubuntu/bin:/usr/bin:/bin", "/srv/ubuntu"], "{}", out.stdout);
    assert!(lines[2].starts_with("uid=1(daemon) gid=1(daemon)"), "{}", out.stdout);
    out.says("Unable to find image 'ubuntu:latest' locally").says("Status: Downloaded newer image for ubuntu:latest");
}

fn a_bare_word_is_an_image_or_a_command(t: &Sandbox) {
    let hub = Registry::hub();
    hub.push("library/busybox", "latest", &alpine(t).set("Cmd", json!(["echo", "an image"])));
    hub.push("library/echo", "latest", &alpine(t).set("Cmd", json!(["echo", "an image named echo"])));
    hub.push("library/nosuchcommandhere", "latest", &alpine(t).set("Cmd", json!(["echo", "pulled"])));
    // An official image's name is an image, though this machine may have such a command.
    t.ccrun(&["run", "--rm", "busybox"]).ok().prints("an image\n");
    // A command of this machine's is a command …
    t.ccrun(&["run", "--rm", "echo", "a command"]).ok().prints("a command\n");
    // … unless an image of that name is here, or one was asked for.
    t.ccrun(&["run", "--rm", "--image", "echo"]).ok().prints("an image named echo\n");
    t.ccrun(&["run", "--rm", "echo"]).ok().prints("an image named echo\n");
    // And what is neither is pulled.
    t.ccrun(&["run", "--rm", "nosuchcommandhere"]).ok().prints("pulled\n");
    t.ccrun(&["run", "--rm", "neither-of-them"]).out().exit(125).says("neither-of-them");
}

fn credentials_stay_with_their_hosts(t: &Sandbox) {
    let hub = Registry::hub();
    hub.push("library/alpine", "latest", &alpine(t));
    t.ccrun(&["pull", "alpine"]).ok();
    for request in hub.log() {
        let host = request.host();
        let known = ["registry-1.docker.io", "auth.docker.io", crate::hub::CDN];
        assert!(known.contains(&host), "asked {host}");
        let bearer = request.headers.contains_key("authorization");
        assert!(!bearer || host == "registry-1.docker.io", "a token went to {host}");
    }
    // A certificate that this machine doesn't trust is no registry.
    let bundle = t.file("empty-bundle", "");
    let out = t.ccrun(&["pull", "alpine:other"]).env("CURL_CA_BUNDLE", &bundle).env("SSL_CERT_FILE", &bundle).out();
    assert_eq!(out.status, 1, "{}", out.stdout);
}

fn what_does_not_exist_is_said_plainly(t: &Sandbox) {
    let hub = Registry::hub();
    hub.push("library/alpine", "latest", &alpine(t));
    let before = t.store_listing();
    t.ccrun(&["pull", "no-such-image-anywhere"]).out().error(1, "no-such-image-anywhere");
    t.ccrun(&["pull", "alpine:no-such-tag"]).out().error(1, "no-such-tag");
    t.ccrun(&["run", "--rm", "alpine:no-such-tag", "true"]).out().exit(125).says("no-such-tag").prints("");
    t.ccrun(&["pull", "nobody/nothing"]).out().error(1, "repository does not exist");
    let after = t.store_listing();
    // How the registry lets people in is remembered all the same.
    let is_new = |name: &&String| !before.contains(name) && name.contains('/') && !name.starts_with("registries/");
    let made: Vec<_> = after.iter().filter(is_new).collect();
    assert!(made.is_empty(), "left: {made:?}");
    t.nothing_left();
}
