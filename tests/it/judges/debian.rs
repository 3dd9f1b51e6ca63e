//! A whole Debian, as its own package manager judges it.

use crate::image::{Blob, Image, Layer};
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::{cases, skip};
use std::path::Path;

cases! {
    Every:
        debian_finds_itself_whole,
}

/// What rootfs-fixtures/debian.sh has made, with its layer as `layer.tar.gz` or `layer.tar.zst`.
pub fn image(t: &Sandbox, compression: &str) -> Image {
    let dir = Path::new(&t.it).with_file_name("debian");
    let Ok(diff_id) = std::fs::read_to_string(dir.join("diff-id")) else {
        skip!("rootfs-fixtures/out/debian is not there (rootfs-fixtures/debian.sh makes it as root)");
    };
    let blob = Blob::new(std::fs::read(dir.join(format!("layer.tar.{compression}"))).expect("read"));
    let media_type = match compression {
        "zst" => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => crate::image::OCI_LAYER_GZIP,
    };
    let layer = Layer { blob, diff_id: diff_id.trim().to_owned(), media_type };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Image::new(vec![layer]).set("Env", serde_json::json!([path])).set("Cmd", serde_json::json!(["bash"]))
}

fn debian_finds_itself_whole(t: &Sandbox) {
    let registry = Registry::open();
    registry.push("library/debian", "latest", &image(t, if t.mode == Mode::Subuid { "zst" } else { "gz" }));
    let name = format!("{}/library/debian", registry.host);
    t.ccrun(&["pull", &name]).timeout(120).ok();
    t.ccrun(&["run", "--rm", &name, "apt-get", "--version"]).ok().has("apt 2.").quiet();
    // It prints what is missing or has another digest than when it was packed.
    t.ccrun(&["run", "--rm", &name, "dpkg", "--verify"]).timeout(120).ok().prints("").quiet();
    t.ccrun(&["run", "--rm", &name, "dpkg", "--audit"]).ok().prints("").quiet();
    let stat = t.ccrun(&["run", "--rm", &name, "stat", "-c", "%a %U:%G", "/usr/bin/passwd", "/usr/bin/chage"]).ok();
    // Group shadow is not to be had with one id, nor then the right to act in its name.
    stat.prints(if t.mode == Mode::Nosubuid {
        "4755 root:root\n755 root:root\n"
    } else {
        "4755 root:root\n2755 root:shadow\n"
    });
    t.ccrun(&["run", "--rm", &name, "perl", "-MPOSIX", "-e", "print POSIX::floor(2.5)"]).ok().prints("2");
    t.nothing_left();
}
