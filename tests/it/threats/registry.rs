//! Rows of registries that nothing else tests.

use crate::cases;
use crate::image::Image;
use crate::registry::{Fault, Registry};
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use std::os::unix::fs::PermissionsExt;

cases! {
    Every:
        r03_curlrc_is_not_read,
        r04_answers_without_end,
        r05_a_list_that_goes_on_elsewhere,
        r06_a_digest_in_a_header_decides_nothing,
        r07_no_program_of_this_directory_is_run;
}

fn push(registry: &Registry) -> String {
    registry.push("some/app", "v1", &Image::new(vec![]).layer(Tar::new().file("f", 0o644, "x")));
    format!("{}/some/app:v1", registry.host)
}

fn r03_curlrc_is_not_read(t: &Sandbox) {
    let (registry, other) = (Registry::open(), Registry::open());
    let name = push(&registry);
    let evil = format!(
        "url = \"http://{}/v2/evil\"\noutput = \"{}\"\nheader = \"X-Evil: 1\"\nproxy = \"http://{}\"\ntrace = \"{}\"\n",
        other.host,
        t.path("stolen"),
        other.host,
        t.path("trace")
    );
    for place in ["home/.curlrc", "home/.config/curlrc", ".curlrc", "curlrc"] {
        t.file(place, &evil);
    }
    t.ccrun(&["pull", &name]).env("CURL_HOME", t.path("home")).env("XDG_CONFIG_HOME", t.path("home/.config")).ok();
    assert!(other.log().is_empty(), "{:?}", other.log());
    assert!(registry.log().iter().all(|request| request.header("x-evil").is_empty()));
    assert!(!t.dir.join("stolen").exists() && !t.dir.join("trace").exists());
}

/// A token, a manifest and a list of tags that are longer than anybody needs.
fn r04_answers_without_end(t: &Sandbox) {
    let long: &'static str = Box::leak(format!("{{\"token\":\"{}\"}}", "x".repeat(40 << 20)).into_boxed_str());
    for part in ["/token", "/manifests/", "/tags/"] {
        let registry = Registry::start();
        let name = push(&registry);
        registry.fault(part, usize::MAX, Fault::Status(200, "Content-Type: application/json\r\n", long));
        let name = if part == "/tags/" { name.replace(":v1", ":nope") } else { name };
        let usage = t.path("usage");
        let args = ["--inside", "measured", &usage, &t.ccrun, "pull", &name];
        let out = t.command(&t.it, &args).env("CCRUN_ROOT", &t.store).timeout(60).out();
        let peak: u64 = std::fs::read_to_string(&usage).expect("usage").parse().expect("KiB");
        assert!(peak < 64 << 10, "{part}: took {peak} KiB");
        let out = out.error(1, "");
        assert!(out.stderr.len() < 10_000, "{part}");
        assert!(registry.gets(part) > 0, "{part}: nobody asked for it");
    }
}

/// The rest of a list of tags is where the list is, and nowhere else.
fn r05_a_list_that_goes_on_elsewhere(t: &Sandbox) {
    let (registry, other) = (Registry::open(), Registry::open());
    let name = push(&registry).replace(":v1", ":v2");
    let link = format!(
        "Content-Type: application/json\r\nLink: <http://{}/v2/some/app/tags/list?last=v1>; rel=\"next\"\r\n",
        other.host
    );
    let list = "{\"name\":\"some/app\",\"tags\":[\"v1\"]}";
    registry.fault("/tags/", usize::MAX, Fault::Status(200, Box::leak(link.into_boxed_str()), list));
    t.ccrun(&["pull", &name]).out().error(1, "");
    assert!(other.log().is_empty(), "{:?}", other.log());
}

/// The document's own digest counts, whatever the registry calls it.
fn r06_a_digest_in_a_header_decides_nothing(t: &Sandbox) {
    let registry = Registry::open();
    let name = push(&registry);
    let image = Image::new(vec![]).layer(Tar::new().file("f", 0o644, "x"));
    let manifest: &'static str = Box::leak(
        String::from_utf8(crate::image::Blob::json(&image.manifest()).bytes.to_vec()).expect("UTF-8").into_boxed_str(),
    );
    let lie = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let headers = format!("Content-Type: {}\r\nDocker-Content-Digest: {lie}\r\n", image.media_type());
    registry.fault("/manifests/v1", usize::MAX, Fault::Status(200, Box::leak(headers.into_boxed_str()), manifest));
    let out = t.ccrun(&["pull", &name]).out();
    let right = crate::image::sha256(manifest.as_bytes());
    // Refused, or known by its right name.
    if out.status == 0 {
        assert!(out.stdout.contains(&right) && !out.stdout.contains(lie), "{}", out.stdout);
    } else {
        out.error(1, "digest");
    }
    // Who asks by digest gets that and nothing else.
    registry.fault("/manifests/sha256:", usize::MAX, Fault::Status(200, "", manifest));
    let pinned = format!("{}@{lie}", name.trim_end_matches(":v1"));
    t.ccrun(&["pull", &pinned]).out().error(1, "digest");
}

/// A PATH of the kind that people have by mistake.
fn r07_no_program_of_this_directory_is_run(t: &Sandbox) {
    let registry = Registry::open();
    let name = push(&registry);
    for program in ["curl", "bin/curl", "zstd", "newuidmap", "newgidmap"] {
        let path = t.file(program, format!("#!/bin/sh\necho $0 >>{}\nexit 1\n", t.path("marker")));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    for path in [".:/usr/bin:/bin", ":/usr/bin:/bin", "bin:/usr/bin:/bin", "/usr/bin:/bin:."] {
        t.ccrun(&["pull", &name]).env("PATH", path).ok();
        t.run(&["/bin/true"]).env("PATH", path).ok();
        t.ccrun(&["rmi", &name]).ok();
    }
    assert!(!t.dir.join("marker").exists(), "{}", std::fs::read_to_string(t.path("marker")).unwrap_or_default());
}
