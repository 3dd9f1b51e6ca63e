//! Files that commands write: archives of `save` and `export`, the id of `--cidfile`.

use crate::cases;
use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::{Sandbox, list};
use crate::sys;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

cases! {
    Every:
        the_id_is_in_the_cidfile,
        a_link_where_others_can_write_is_not_followed;
    Root:
        a_pipe_of_somebody_else_is_not_written_to;
}

/// An image `app` and a container `box` made from it.
fn made(t: &Sandbox) {
    let registry = Registry::open();
    registry.push("some/app", "v1", &Image::busybox(&t.busybox));
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["run", "--name", "box", &name, "true"]).ok();
    t.ccrun(&["tag", &name, "app"]).ok();
}

fn the_id_is_in_the_cidfile(t: &Sandbox) {
    let run = |file: &str, rest: &[&str]| {
        t.ccrun(&[&["run", "--cidfile", file, "--rootfs", &t.busybox], rest].concat()).out()
    };
    // It is there while the command runs.
    let running = t.ccrun(&[
        "run",
        "--name",
        "box",
        "--cidfile",
        "cid",
        "--rootfs",
        &t.busybox,
        "/bin/sh",
        "-c",
        "echo up; exec sleep 60",
    ]);
    let running = running.spawn();
    running.until("up");
    let id = std::fs::read_to_string(t.dir.join("cid")).expect("the file");
    t.ccrun(&["inspect", "-f", "{{.Id}} {{.HostConfig.ContainerIDFile}}", "box"]).ok().prints(&format!("{id} cid\n"));
    t.ccrun(&["rm", "-f", &id]).ok();
    running.wait();
    let found = "container ID file found, make sure the other container isn't running or delete cid";
    run("cid", &["true"]).error(125, found);
    assert_eq!(std::fs::read_to_string(t.dir.join("cid")).expect("the file"), id);
    symlink("victim", t.dir.join("link")).expect("symlink");
    run("link", &["true"]).error(125, "container ID file found");
    assert!(!t.dir.join("victim").exists());
    run("no/such/cid", &["true"]).error(125, "failed to create the container ID file: open no/such/cid: No such file");
    run("", &["true"]).exit(0).quiet();
    // A command that is not there leaves it, as in Docker; what was never begun does not.
    run("cid127", &["nope"]).exit(127);
    assert!(t.dir.join("cid127").exists());
    let refused =
        t.ccrun(&["run", "--cidfile", "refused", "--user", "nobody-at-all", "--rootfs", &t.busybox, "true"]).out();
    refused.exit(125);
    t.ccrun(&["run", "--cidfile", "refused", "--pull", "never", "--image", "nothing", "true"]).out().exit(125);
    assert!(!t.dir.join("refused").exists());
    let left: Vec<String> = list(&t.dir).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn a_link_where_others_can_write_is_not_followed(t: &Sandbox) {
    made(t);
    let written =
        |path: &str| [&["save", "-o", path, "app"][..], &["export", "-o", path, "box"]].map(|args| t.ccrun(args).out());
    for mode in [0o1777, 0o777] {
        let dir = t.dir.join(format!("open-{mode:o}"));
        std::fs::create_dir(&dir).expect("mkdir");
        std::fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("chmod");
        t.file("victim", "precious");
        symlink(t.dir.join("victim"), dir.join("link")).expect("symlink");
        symlink(t.dir.join("fresh"), dir.join("dangling")).expect("symlink");
        symlink("link", dir.join("link-to-link")).expect("symlink");
        for name in ["link", "dangling", "link-to-link"] {
            for out in written(&format!("open-{mode:o}/{name}")) {
                out.error(1, "a symbolic link in a directory that others can write");
            }
        }
        assert_eq!(std::fs::read_to_string(t.dir.join("victim")).expect("read"), "precious");
        assert!(!t.dir.join("fresh").exists() && list(&dir).len() == 3, "{:?}", list(&dir));
        // A file there is another thing.
        for out in written(&format!("open-{mode:o}/file")) {
            out.exit(0).quiet();
        }
    }
    // In a directory of one's own a link is followed, and stays.
    symlink("victim", t.dir.join("own-link")).expect("symlink");
    for out in written("own-link") {
        out.exit(0).quiet();
    }
    assert!(t.dir.join("own-link").is_symlink());
    assert!(std::fs::metadata(t.dir.join("victim")).expect("stat").len() > 1000);
    // Into the directory that others can write, from outside.
    symlink("open-777/link", t.dir.join("into")).expect("symlink");
    for out in written("into") {
        out.error(1, "a symbolic link in a directory that others can write");
    }
    let script = format!("{} save -o /dev/stdout app | wc -c", t.ccrun);
    let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok().quiet();
    assert!(out.line().trim().parse::<u64>().is_ok_and(|size| size > 1000), "{}", out.stdout);
}

fn a_pipe_of_somebody_else_is_not_written_to(t: &Sandbox) {
    made(t);
    let dir = t.dir.join("open");
    std::fs::create_dir(&dir).expect("mkdir");
    std::fs::set_permissions(&dir, Permissions::from_mode(0o1777)).expect("chmod");
    let pipe = dir.join("pipe");
    sys::mkfifo(&pipe).expect("mkfifo");
    std::os::unix::fs::chown(&pipe, Some(12345), None).expect("chown");
    let save = |path: &Path| t.ccrun(&["save", "-o", path.to_str().expect("UTF-8"), "app"]).timeout(20);
    save(&pipe).out().error(1, "somebody else's");
    // One of one's own is a way to another program.
    std::os::unix::fs::chown(&pipe, Some(0), None).expect("chown");
    let reader = t.command("wc", &["-c", pipe.to_str().expect("UTF-8")]).spawn();
    save(&pipe).ok();
    assert_eq!(reader.wait().status, 0);
}
