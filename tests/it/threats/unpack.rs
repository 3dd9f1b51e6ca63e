//! Rows of unpacking that nothing else tests.

use crate::cases;
use crate::image::{Blob, Image, Layer, OCI_MANIFEST};
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::{Tar, entry};
use serde_json::{Value, json};

cases! {
    Every:
        u05_a_tar_in_a_tar_is_a_file,
        u14_odd_environments;
}

/// CVE-2025-62518 ("TARmageddon"): a reader that believes the header's size of 0, and not the PAX record's, takes the
/// file's content for more entries.
fn u05_a_tar_in_a_tar_is_a_file(t: &Sandbox) {
    let inner = Tar::new().file("smuggled", 0o755, "evil").finish();
    let outer = |tar: Tar| {
        let size = inner.len().to_string();
        // The header says nothing follows; what follows is the content.
        let liar = entry("archive.tar", b'0', 0o644).pax("size", size);
        let mut bytes = tar.entry(&liar).unfinished();
        bytes.extend(&inner);
        bytes.extend(Tar::new().file("last", 0o644, "last").finish());
        bytes
    };
    let bytes = outer(Tar::new().file("first", 0o644, "first"));
    // GNU tar is the judge.
    t.file("outer.tar", &bytes);
    let listing = t.command("tar", &["-tf", "outer.tar"]).out();
    let image = Image::new(vec![Layer::gzip(Tar::new().tree(t.busybox.as_ref(), "").finish()), Layer::gzip(bytes)]);
    let registry = Registry::open();
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let out = t
        .ccrun(&[
            "run",
            "--rm",
            &name,
            "/bin/sh",
            "-c",
            "cd /; ls first archive.tar smuggled last 2>/dev/null; wc -c <archive.tar",
        ])
        .out();
    assert!(!out.stdout.contains("smuggled"), "{}", out.stdout);
    assert_eq!(out.exit(0).stdout, format!("archive.tar\nfirst\nlast\n{}\n", inner.len()));
    if listing.status == 0 && !t.command("tar", &["--version"]).out().stdout.is_empty() {
        assert_eq!(listing.stdout, "first\narchive.tar\nlast\n", "GNU tar sees it differently");
    }
}

/// CVE-less, and yet: `Env` without a `=`, with NUL, of other types.
fn u14_odd_environments(t: &Sandbox) {
    let registry = Registry::open();
    let good = Image::busybox(&t.busybox).set("Cmd", json!(["/bin/env"]));
    let run = |tag: &str, env: Value| {
        let image = good.clone().set("Env", env);
        let (mut manifest, config) = (image.manifest(), image.config());
        manifest["config"]["digest"] = json!(config.digest);
        for blob in image.blobs() {
            registry.push_blob(blob);
        }
        registry.push_raw_manifest("some/app", tag, OCI_MANIFEST, Blob::json(&manifest));
        t.ccrun(&["run", "--rm", &format!("{}/some/app:{tag}", registry.host)]).out()
    };
    let lone = run("lone", json!(["PATH=/bin", "LONE", "=x", "A=1"]));
    assert!([0, 125].contains(&lone.status), "{} {}", lone.status, lone.stderr);
    if lone.status == 0 {
        assert!(lone.stdout.contains("A=1\n"), "{}", lone.stdout);
    }
    let nul = run("nul", json!(["PATH=/bin", "A=1\0B=2"]));
    // One that cannot be is left out, as a whole.
    assert!(
        nul.status == 0 && !nul.stdout.contains("A=1") && !nul.stdout.contains("B=2"),
        "{} {}",
        nul.status,
        nul.stdout
    );
    for (tag, env) in [("number", json!(7)), ("object", json!({})), ("mixed", json!(["A=1", 7, null]))] {
        let out = run(tag, env);
        assert!([0, 125].contains(&out.status), "{tag}: {} {}", out.status, out.stderr);
    }
    t.nothing_left();
}
