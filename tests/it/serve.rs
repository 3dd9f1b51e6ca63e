//! The stand-in registry for people and scripts: `make demo`, `make bench`, or one's own look.

use crate::image::{Blob, Image, Layer, OCI_LAYER_GZIP, sha256};
use crate::registry::Registry;
use crate::tar::Tar;
use crate::{hub, users};
use serde_json::json;
use std::process::{Command, ExitCode};

/// Prints `localhost:PORT`, then serves until it is killed. `--layer FILE.tar.gz`
/// adds an image bench/layer of that one layer.
pub fn registry(args: &[String]) -> ExitCode {
    let registry = Registry::start();
    fill(&registry);
    if let [flag, file] = args
        && flag == "--layer"
    {
        let compressed = std::fs::read(file).expect("read the layer");
        let tar = Command::new("gzip").args(["-dc", file]).output().expect("gzip").stdout;
        let layer = Layer { diff_id: sha256(&tar), blob: Blob::new(compressed), media_type: OCI_LAYER_GZIP };
        registry.push("bench/layer", "latest", &Image::new(vec![layer]));
    }
    println!("{}", registry.host);
    loop {
        std::thread::park();
    }
}

/// Runs a command among Docker Hub's names, and ends with its status.
pub fn hub(args: &[String]) -> ExitCode {
    if let Some(why) = hub::missing() {
        eprintln!("it --hub: {why}");
        return ExitCode::FAILURE;
    }
    let dir = std::env::temp_dir().join(format!("ccrun-hub.{}", std::process::id()));
    hub::make_certificates(&dir);
    hub::enter(&dir).expect("enter the stand-in hub");
    let proxy = hub::start_proxy(&dir).expect("start the TLS proxy");
    let registry = Registry::hub();
    fill(&registry);
    let status = Command::new(&args[0]).args(&args[1..]).status().expect("run the command");
    drop(proxy);
    let _ = std::fs::remove_dir_all(&dir);
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Alpine and busybox from the fixtures, and an application with every usual field.
fn fill(registry: &Registry) {
    let fixtures = users::fixtures().expect("no fixtures: run `make fixtures`");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let alpine = Layer::gzip(Tar::new().tree(&fixtures.join("alpine"), "").finish());
    let alpine = Image::new(vec![alpine]).set("Env", json!([path])).set("Cmd", json!(["/bin/sh"]));
    let other = Image::new(vec![]).platform("linux", "s390x", None);
    for tag in ["latest", "3.23"] {
        registry.push_index("library/alpine", tag, &[&other, &alpine], false);
    }
    let busybox = Image::new(vec![Layer::gzip(Tar::new().tree(&fixtures.join("busybox"), "").finish())]);
    let busybox = busybox.set("Env", json!([path])).set("Cmd", json!(["sh"]));
    registry.push("library/busybox", "latest", &busybox);
    let app = busybox
        .layer(Tar::new().dir("srv", 0o755).file("srv/motd", 0o644, "served by an image\n"))
        .set("Env", json!([path, "GREETING=hello"]))
        .set("WorkingDir", json!("/srv"))
        .set("User", json!("app"))
        .set("Entrypoint", json!(["/bin/sh", "-c"]))
        .set("Cmd", json!(["echo $GREETING; cat motd; pwd; id -un"]));
    registry.push("some/app", "v1", &app);
}
