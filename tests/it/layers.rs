//! Images of many layers, and what a layer takes from those below it.

pub mod roots;

use crate::cases;
use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;

cases! {
    Every:
        an_image_of_a_hundred_layers_runs,
        made_up_directories_are_as_below;
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
