//! Images of many layers, and what a layer takes from those below it.

pub mod configs;
pub mod roots;

use crate::cases;
use crate::image::Image;
use crate::registry::{Fault, Registry};
use crate::sandbox::{Sandbox, eventually};
use crate::tar::Tar;

cases! {
    Every:
        an_image_of_a_hundred_layers_runs,
        made_up_directories_are_as_below,
        pulls_of_layers_in_opposite_order_do_not_wait_for_each_other;
    Root:
        an_image_of_three_hundred_layers_runs;
}

/// Runs an image where each layer has a file of its own and replaces one that all have.
fn runs(t: &Sandbox, layers: usize) {
    let registry = Registry::open();
    let mut image = Image::busybox(&t.busybox);
    for number in image.layers.len()..layers {
        let text = number.to_string();
        image = image.layer(Tar::new().file(&format!("own/{number}"), 0o644, &*text).file("last", 0o644, &*text));
    }
    assert_eq!(image.layers.len(), layers);
    registry.push("many/layers", "latest", &image);
    let name = format!("{}/many/layers", registry.host);
    let script = "echo $(ls /own | wc -l) $(cat /last) $(cat /own/1); rm /own/1; ls /own/1";
    let out = t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).timeout(300).out();
    assert_eq!(out.stdout, format!("{} {} 1\n", layers - 1, layers - 1), "{}", out.stderr);
    assert!(!out.stderr.contains("copying the files"), "no overlay: {}", out.stderr);
}

fn an_image_of_a_hundred_layers_runs(t: &Sandbox) {
    runs(t, 100);
}

fn an_image_of_three_hundred_layers_runs(t: &Sandbox) {
    runs(t, 300);
}

fn made_up_directories_are_as_below(t: &Sandbox) {
    let registry = Registry::open();
    let image = Image::busybox(&t.busybox)
        .layer(Tar::new().dir("drop", 0o1777).dir("drop/inner", 0o750))
        .layer(Tar::new().file("drop/inner/file", 0o644, "x").file("new/file", 0o644, "x"));
    registry.push("made/up", "latest", &image);
    let name = format!("{}/made/up", registry.host);
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "stat -c %a:%u /drop /drop/inner /new"])
        .out()
        .prints("1777:0\n750:0\n755:0\n");
}

/// Two layers, each with a hard link to a file of a third one: both orders of the two are right.
fn pulls_of_layers_in_opposite_order_do_not_wait_for_each_other(t: &Sandbox) {
    let registry = Registry::open();
    let noise: Vec<u8> = (0..60_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let base = Image::busybox(&t.busybox).layer(Tar::new().file("base", 0o644, "shared"));
    let one = base.clone().layer(Tar::new().hardlink("one", "base"));
    let both = one.clone().layer(Tar::new().file("noise", 0o644, noise).hardlink("two", "base"));
    let mut opposite = both.clone();
    opposite.layers.swap(2, 3);
    for (name, image) in [("one", &one), ("both", &both), ("opposite", &opposite)] {
        registry.push(&format!("some/{name}"), "v1", image);
    }
    let name = |name: &str| format!("{}/some/{name}:v1", registry.host);
    let locked = |layer: usize| {
        let draft = t.store.join("tmp").join(format!("layer-{}", &both.layers[layer].diff_id[7..]));
        draft.join("root").exists()
    };
    // The first pull has the second layer and takes the first for given; but it goes with its image.
    t.ccrun(&["pull", &name("one")]).ok();
    registry.fault(&both.layers[3].blob.digest, 1, Fault::Drip(100_000));
    let first = t.ccrun(&["pull", &name("both")]).timeout(60).spawn();
    eventually("the second layer is begun with", || locked(3));
    t.ccrun(&["rmi", &name("one")]).ok();
    // The second pull makes the first layer and waits for the second one.
    let second = t.ccrun(&["pull", &name("opposite")]).timeout(60).spawn();
    for pull in [first, second] {
        pull.wait().exit(0);
    }
    for image in ["both", "opposite"] {
        t.ccrun(&["run", "--rm", &name(image), "/bin/cat", "/one", "/two"]).ok().prints("sharedshared");
    }
    t.nothing_left();
}
