//! Where a store may be.

use crate::cases;
use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::{Cmd, Mode, Sandbox};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

cases! {
    Every:
        a_fresh_directory_is_shut,
        a_directory_of_others_use_is_refused_without_a_wrong_advice,
        a_store_below_a_directory_that_all_can_change_is_refused,
        a_store_that_is_refused_can_be_listed_saved_and_removed,
        a_directory_that_is_no_store_loses_nothing,
        a_store_without_a_mark_is_one_of_0_3;
    Root:
        links_and_directories_of_other_users_are_not_trusted,
        a_group_is_private_or_is_not;
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("stat").permissions().mode() & 0o7777
}

fn made(path: &Path, bits: u32) {
    std::fs::create_dir_all(path).expect("mkdir");
    chmod(path, bits);
}

/// `true` in a container of the store at `root`.
fn runs(t: &Sandbox, root: &Path) -> Cmd {
    t.run(&["true"]).env("CCRUN_ROOT", root)
}

fn a_fresh_directory_is_shut(t: &Sandbox) {
    for bits in [0o755, 0o775, 0o750, 0o711, 0o700] {
        let root = t.dir.join(format!("fresh-{bits:o}"));
        made(&root, bits);
        runs(t, &root).ok().quiet();
        assert_eq!(mode(&root), 0o700, "{bits:o}");
    }
    let root = t.dir.join("not/there/yet");
    runs(t, &root).ok().quiet();
    assert_eq!((mode(&root), mode(&t.dir.join("not"))), (0o700, 0o700));
    // A link of one's own is followed, and the store stays where it leads.
    symlink("not/there/yet", t.dir.join("link")).expect("symlink");
    runs(t, &t.dir.join("link")).ok().quiet();
    t.ccrun(&["--root", "", "ps"]).out().error(125, "invalid argument \"\" for --root");
    t.ccrun(&["--root=", "run", "--rootfs", &t.busybox, "true"]).out().error(125, "invalid argument \"\" for --root");
}

fn a_directory_of_others_use_is_refused_without_a_wrong_advice(t: &Sandbox) {
    let used = t.dir.join("used");
    made(&used, 0o755);
    std::fs::write(used.join("letter"), "x").expect("write");
    let file = t.dir.join("file");
    std::fs::write(&file, "x").expect("write");
    let open = t.dir.join("open");
    made(&open, 0o1777);
    for root in [Path::new("/"), Path::new("/tmp"), Path::new("/etc"), &used, &file, &open] {
        let before = mode(root);
        let out = runs(t, root).out().error(125, "store ");
        assert!(!out.stderr.contains("chmod"), "{}", out.stderr);
        assert_eq!(mode(root), before, "{}", root.display());
    }
    runs(t, &file).out().error(125, "is not a directory");
    runs(t, &used).out().error(125, "choose a new or empty directory");
    assert!(!used.join("containers").exists());
    // What ccrun made can be shut again.
    let own = t.dir.join("own");
    runs(t, &own).ok();
    chmod(&own, 0o755);
    runs(t, &own).out().error(125, "chmod 700");
    assert_eq!(mode(&own), 0o755);
}

fn a_store_below_a_directory_that_all_can_change_is_refused(t: &Sandbox) {
    let all = t.dir.join("all");
    made(&all, 0o777);
    made(&all.join("mine"), 0o755);
    for root in [all.join("store"), all.join("mine/store"), all.join("mine/../mine/store")] {
        runs(t, &root).out().error(125, "other users can rename what is in");
        assert!(!root.exists(), "{}", root.display());
    }
    // Where only the owner of a file can rename it, ours stay.
    chmod(&all, 0o1777);
    runs(t, &all.join("mine/store")).ok().quiet();
    runs(t, &all.join("store")).ok().quiet();
}

fn a_store_that_is_refused_can_be_listed_saved_and_removed(t: &Sandbox) {
    let registry = Registry::open();
    registry.push("some/app", "v1", &Image::busybox(&t.busybox));
    let image = format!("{}/some/app:v1", registry.host);
    for kind in ["an open store", "an open way"] {
        let above = t.dir.join(kind.replace(' ', "-"));
        made(&above, 0o755);
        let t = t.with_store(&format!("{}/store", kind.replace(' ', "-")));
        t.ccrun(&["pull", "-q", &image]).ok();
        for name in ["one", "two"] {
            t.ccrun(&["run", "--name", name, "-v", "vol:/v", &image, "/bin/sh", "-c", "echo x >/f"]).ok();
        }
        if kind == "an open way" {
            chmod(&above, 0o777)
        } else {
            chmod(&t.store, 0o755)
        }
        let refused = || drop(t.ccrun(&["run", "--rm", &image, "true"]).out().error(125, "store "));
        refused();
        t.ccrun(&["pull", &image]).out().error(1, "store ");
        assert_eq!(t.ccrun(&["ps", "-aq"]).ok().quiet().stdout.lines().count(), 2, "{kind}");
        t.ccrun(&["images"]).ok().quiet().has("some/app");
        t.ccrun(&["inspect", "one"]).ok().quiet();
        t.ccrun(&["volume", "inspect", "-f", "{{.Mountpoint}}", "vol"])
            .ok()
            .prints(&format!("{}/volumes/vol/_data\n", t.store.display()));
        t.ccrun(&["save", "-o", "saved.tar", &image]).ok().quiet();
        t.ccrun(&["export", "-o", "exported.tar", "one"]).ok().quiet();
        t.ccrun(&["rm", "one"]).ok().quiet();
        t.ccrun(&["container", "prune", "-f"]).ok().quiet();
        t.ccrun(&["volume", "rm", "vol"]).ok().quiet();
        t.ccrun(&["rmi", &image]).ok().quiet().has("Deleted: ");
        refused();
        t.nothing_left();
        assert!(t.layers().is_empty());
    }
}

fn links_and_directories_of_other_users_are_not_trusted(t: &Sandbox) {
    assert_eq!(t.mode, Mode::Root);
    let (other, sticky) = (t.dir.join("other"), t.dir.join("sticky"));
    made(&other, 0o755);
    made(&other.join("mine"), 0o755);
    lchown(&other, Some(12345), Some(12345)).expect("chown");
    made(&sticky, 0o1777);
    made(&sticky.join("theirs"), 0o777);
    lchown(sticky.join("theirs"), Some(12345), None).expect("chown");
    symlink(t.dir.join("real"), sticky.join("link")).expect("symlink");
    lchown(sticky.join("link"), Some(12345), None).expect("chown");
    symlink(&other, t.dir.join("to-other")).expect("symlink");
    for (root, why) in [
        (other.join("store"), "belongs to uid 12345"),
        (other.join("mine/store"), "belongs to uid 12345"),
        (t.dir.join("to-other/store"), "belongs to uid 12345"),
        (other.clone(), "belongs to uid 12345, not to you (0)"),
        (sticky.join("theirs/store"), "belongs to uid 12345"),
        (sticky.join("theirs"), "belongs to uid 12345"),
        (sticky.join("link"), "the symbolic link "),
        (sticky.join("link/store"), "the symbolic link "),
    ] {
        runs(t, &root).out().error(125, why);
    }
    assert!(!t.dir.join("real").exists());
    // Nobody's store is listed for another.
    t.ccrun(&["ps"]).env("CCRUN_ROOT", &other).out().error(1, "belongs to uid 12345, not to you (0)");
    // A sticky directory's owner can rename what is in it.
    lchown(&sticky, Some(12345), None).expect("chown");
    runs(t, &sticky.join("mine")).out().error(125, "belongs to uid 12345");
}

fn a_group_is_private_or_is_not(t: &Sandbox) {
    // One group that users are in, one that only root is in, and one that nobody knows.
    let group = std::fs::read_to_string("/etc/group").expect("groups");
    let with_members = group.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() > 3 && fields[3].split(',').any(|name| !name.is_empty() && name != "root"))
            .then(|| fields[2].parse().ok())?
    });
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let primary = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (uid, gid): (u32, u32) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        (uid != 0 && gid != 0).then_some(gid)
    });
    let dir = t.dir.join("shared");
    made(&dir, 0o775);
    for gid in [with_members, primary, Some(54321)].into_iter().flatten() {
        lchown(&dir, None, Some(gid)).expect("chgrp");
        chmod(&dir, 0o775);
        runs(t, &dir.join("store")).out().error(125, "other users can rename what is in");
        chmod(&dir, 0o755);
        runs(t, &dir.join("store")).ok().quiet();
    }
    let root_is_alone =
        !users.lines().any(|line| line.split(':').nth(3) == Some("0") && line.split(':').nth(2) != Some("0"));
    lchown(&dir, None, Some(0)).expect("chgrp");
    chmod(&dir, 0o775);
    let out = runs(t, &dir.join("store")).out();
    assert_eq!(out.status == 0, root_is_alone, "{}", out.stderr);
}

/// `ccrun --root / ps` would sweep /tmp.
fn a_directory_that_is_no_store_loses_nothing(t: &Sandbox) {
    for bits in [0o755, 0o700, 0o777] {
        for name in ["tmp", "live", "containers", "images", "layers", "volumes"] {
            let root = t.dir.join(format!("{bits:o}-{name}"));
            made(&root, bits);
            for file in ["letter", "photos/one", "0123456789ab/config.json", &"a".repeat(64), "empty/"] {
                let path = root.join(name).join(file);
                std::fs::create_dir_all(if file.ends_with('/') { &path } else { path.parent().expect("a parent") })
                    .expect("mkdir");
                if !file.ends_with('/') {
                    std::fs::write(&path, "mine").expect("write");
                }
            }
            chmod(&root.join(name), 0o755);
            let listing = || {
                let mut all = Vec::new();
                crate::sandbox::walk(&root, &mut |path| all.push(path.to_owned()));
                all.sort();
                all
            };
            let before = listing();
            for args in [
                &["ps", "-a"][..],
                &["images"],
                &["system", "df"],
                &["system", "prune", "-f", "-a", "--volumes"],
                &["container", "prune", "-f"],
                &["volume", "prune", "-f", "-a"],
                &["rm", "-f", "photos"],
                &["rmi", "photos"],
                &["run", "--rm", "--rootfs", &t.busybox, "true"],
            ] {
                let out = t.ccrun(&[&["--root", root.to_str().expect("UTF-8")], args].concat()).out();
                assert_ne!(out.status, 0, "{} {args:?}: {}", root.display(), out.stdout);
                assert!(out.stderr.lines().count() == 1 && !out.stderr.contains("chmod"), "{}", out.stderr);
            }
            assert_eq!(listing(), before);
        }
    }
    t.ccrun(&["--root", "/", "ps"]).out().error(1, "store /");
}

/// 0.3 made `refs` as the umask said, and left no mark.
fn a_store_without_a_mark_is_one_of_0_3(t: &Sandbox) {
    t.ccrun(&["run", "--name", "old", "--rootfs", &t.busybox, "true"]).ok();
    for name in ["refs", "registries"] {
        made(&t.store.join(name), 0o755);
    }
    for args in [&["ps", "-aq"][..], &["images"], &["run", "--rm", "--rootfs", &t.busybox, "true"], &["rm", "old"]] {
        let _ = std::fs::remove_file(t.store.join("format"));
        t.ccrun(args).ok().quiet();
    }
}
