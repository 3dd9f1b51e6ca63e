//! What a layer says is what the container has; and it has it nowhere else.

use crate::cases;
use crate::image::{Image, Layer};
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox, walk};
use crate::tar::{Entry, Tar, entry};
use serde_json::json;
use std::path::Path;

cases! {
    Every:
        a_layer_is_unpacked_as_gnu_tar_does,
        whiteouts_hide_what_lies_below,
        files_and_directories_take_each_others_place,
        hard_links_are_one_file,
        names_of_every_length_and_kind,
        evil_names_reach_nothing_outside,
        links_lead_nowhere_outside,
        ids_that_the_map_does_not_have_are_nobodys;
    Root:
        devices_and_fifos_are_no_trap,
        a_bomb_does_not_go_off,
}

/// Everything that a layer can hold and all three kinds of users can keep.
fn usual() -> Tar {
    let long = format!("long/{}/{}", "d".repeat(90), "f".repeat(120));
    Tar::new()
        .dir("dir", 0o755)
        .dir("dir/private", 0o700)
        .dir("dir/sticky", 0o1777)
        .dir("dir/setgid", 0o2775)
        .file("dir/file", 0o644, "content")
        .file("dir/empty", 0o600, "")
        .file("dir/setuid", 0o4755, "#!/bin/sh\n")
        .file("dir/setgid-file", 0o2711, "x")
        .file("dir/unreadable", 0o000, "secret")
        .file("dir/large", 0o644, (0..300_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
        .entry(&Entry { data: b"old".to_vec(), ..entry("dir/old", b'0', 0o644).mtime(86_400) })
        .entry(&Entry { data: b"n".to_vec(), ..entry("dir/nano", b'0', 0o644).pax("mtime", "1600000000.123456789") })
        .symlink("dir/link", "file")
        .symlink("dir/dangling", "/no/such/target")
        .symlink("dir/absolute", "/dir/file")
        .hardlink("dir/hard", "dir/file")
        .file("no/parents/given", 0o644, "p")
        .file(&long, 0o644, "long")
        .symlink("dir/long-link", &"t/".repeat(100))
        .entry(&Entry { data: b"x".to_vec(), ..entry(b"dir/\xff\xfe-not-utf8", b'0', 0o644) })
        .entry(&Entry { data: b"x".to_vec(), ..entry("dir/with\nnewline and space", b'0', 0o644) })
        .entry(&Entry {
            data: b"a".to_vec(),
            ..entry("dir/xattr", b'0', 0o644).pax("SCHILY.xattr.user.test", "va\0lue")
        })
        // Directories whose own entries come after their files keep their time.
        .dir("dir/late", 0o755)
        .file("dir/late/file", 0o644, "z")
        .file("dir/twice", 0o644, "first")
        .file("dir/twice", 0o600, "second")
}

fn pulled(image: &Image) -> (Registry, String) {
    let registry = Registry::open();
    registry.push("some/app", "v1", image);
    let name = format!("{}/some/app:v1", registry.host);
    (registry, name)
}

/// What `it --inside list` says of a directory of the image.
fn seen_inside(t: &Sandbox, image: &Image, dir: &str) -> String {
    let (_registry, name) = pulled(image);
    let mount = format!("{}:/it:ro", t.it);
    t.ccrun(&["run", "--rm", "-v", &mount, &name, "/it", "--inside", "list", dir]).ok().stdout
}

fn a_layer_is_unpacked_as_gnu_tar_does(t: &Sandbox) {
    let mut tar = usual();
    if t.mode != Mode::Nosubuid {
        for (path, uid, gid) in [("dir/owned", 1000, 50), ("dir/high", 65_535, 65_534), ("dir/suid-of-app", 1000, 1000)]
        {
            let one = entry(path, b'0', if path.contains("suid") { 0o6755 } else { 0o640 }).owner(uid, gid);
            tar = tar.entry(&Entry { data: path.into(), ..one });
        }
    }
    let inner = Tar::new().dir("t", 0o755).finish();
    assert!(!inner.is_empty());
    let layer = tar.clone().finish();
    let image = Image::busybox(&t.busybox).layer(tar);
    let got = seen_inside(t, &image, "/dir");
    // The judge: the same tar by GNU tar, as this user.
    t.file("layer.tar", &layer);
    std::fs::create_dir_all(t.dir.join("judge")).expect("mkdir");
    if !t.command("tar", &["--version"]).out().stdout.contains("GNU tar") {
        crate::skip!("tar is not GNU tar here");
    }
    let flags = ["--xattrs", "--xattrs-include=user.*", "-xpf", "layer.tar", "-C", "judge", "--overwrite"];
    t.command("tar", &flags).out();
    let judge = t.command(&t.it, &["--inside", "list", &t.path("judge/dir")]).ok().stdout;
    let strip = |text: &str| -> Vec<String> {
        let owners_count = t.mode == Mode::Root;
        text.lines()
            .filter(|line| t.mode == Mode::Root || !line.contains("unreadable"))
            .map(|line| {
                let mut words: Vec<&str> = line.splitn(4, ' ').collect();
                if !owners_count {
                    words[2] = "-";
                }
                words.join(" ")
            })
            .collect()
    };
    let (got_lines, judge_lines) = (strip(&got), strip(&judge));
    for (ours, theirs) in got_lines.iter().zip(&judge_lines) {
        assert_eq!(ours, theirs, "\nours:\n{got}\ntar's:\n{judge}");
    }
    assert_eq!(got_lines.len(), judge_lines.len(), "\nours:\n{got}\ntar's:\n{judge}");
    assert!(got.lines().count() > 20, "{got}");
    if t.mode != Mode::Nosubuid {
        assert!(got.contains("f 0640 1000:50 ") && got.contains("f 0640 65535:65534 "), "{got}");
        assert!(got.contains("f 6755 1000:1000 "), "{got}");
    }
    assert!(got.contains("user.test=[118, 97, 0, 108, 117, 101]"), "{got}");
}

fn whiteouts_hide_what_lies_below(t: &Sandbox) {
    let image = Image::busybox(&t.busybox)
        .layer(
            Tar::new()
                .file("a/gone", 0o644, "1")
                .file("a/kept", 0o644, "2")
                .file("opaque/old", 0o644, "3")
                .file("opaque/sub/old", 0o644, "4")
                .file("tree/x/y/z", 0o644, "5")
                .file("back", 0o644, "old"),
        )
        .layer(
            Tar::new()
                .file("a/.wh.gone", 0, "")
                // The mark comes after an entry of the same layer, which stays.
                .file("opaque/new", 0o644, "6")
                .file("opaque/.wh..wh..opq", 0, "")
                .file(".wh.tree", 0, "")
                .file(".wh.back", 0, "")
                .file("a/.wh.never-was", 0, ""),
        )
        .layer(Tar::new().file("back", 0o644, "again").file("tree/new", 0o644, "7"));
    let (_registry, name) = pulled(&image);
    let script = "cd /; find a opaque tree back -type f | sort; cat back; find / -name '.wh.*' 2>/dev/null; true";
    let want = "a/kept\nback\nopaque/new\ntree/new\nagain";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().prints(want);
    // A whiteout is no entry that one could stumble over.
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "ls -A /a; rm -r /opaque; mkdir /opaque; ls -A /opaque"])
        .ok()
        .prints("kept\n");
}

fn files_and_directories_take_each_others_place(t: &Sandbox) {
    let image = Image::busybox(&t.busybox)
        .layer(
            Tar::new()
                .dir("was-dir", 0o755)
                .file("was-dir/x", 0o644, "")
                .file("was-file", 0o644, "f")
                .symlink("was-link", "etc")
                .dir("kept", 0o700)
                .file("kept/in", 0o644, "in"),
        )
        .layer(
            Tar::new()
                .file("was-dir", 0o644, "now a file")
                .file("was-file/in", 0o644, "now a dir")
                .dir("was-link", 0o755)
                .file("was-link/own", 0o644, "own")
                .dir("kept", 0o711),
        );
    let (_registry, name) = pulled(&image);
    let script = "cat /was-dir /was-file/in /was-link/own; ls /etc/own 2>/dev/null; test -L /was-link && echo a link; stat -c %a /kept; cat /kept/in";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().prints("now a filenow a dirown711\nin");
    // Within one layer the last word counts.
    let image = Image::busybox(&t.busybox).layer(
        Tar::new()
            .file("x", 0o644, "file")
            .dir("x", 0o755)
            .file("x/in", 0o644, "dir")
            .dir("y", 0o755)
            .symlink("z", "y")
            .file("z", 0o644, "file"),
    );
    let (_registry, name) = pulled(&image);
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "cat /x/in /z; ls -A /y"]).ok().prints("dirfile");
}

fn hard_links_are_one_file(t: &Sandbox) {
    let image = Image::busybox(&t.busybox)
        .layer(
            Tar::new()
                .file("one", 0o644, "shared")
                .hardlink("two", "one")
                .hardlink("three", "/two")
                .symlink("sym", "one")
                .hardlink("four", "sym"),
        )
        .layer(Tar::new().hardlink("five", "one"));
    let (_registry, name) = pulled(&image);
    let script = "stat -c '%h' /one /two /three; [ $(stat -c %i /one) = $(stat -c %i /two) ] && echo same; readlink /four; cat /five; echo more >>/two; cat /one";
    t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok().has("3\n3\n3\nsame\none\nshared");
}

fn names_of_every_length_and_kind(t: &Sandbox) {
    let mut tar = Tar::new();
    let mut want = Vec::new();
    for length in [99, 100, 101, 155, 156, 200, 255] {
        let name = format!("n/{}", "x".repeat(length));
        want.push(length.to_string());
        let one = Entry { data: name.clone().into(), ..entry(&name, b'0', 0o644) };
        tar = if length % 2 == 0 { tar.entry(&one) } else { tar.gnu_long(&one) };
    }
    let deep = format!("n/{}/end", vec!["deep"; 500].join("/"));
    tar = tar.file(&deep, 0o644, "deep");
    tar = tar.entry(&entry("g", b'g', 0o644));
    tar = tar.file("./n/./dotted", 0o644, "dots").file("n//doubled", 0o644, "slashes");
    let (_registry, name) = pulled(&Image::busybox(&t.busybox).layer(tar));
    let script = "cd /n; ls | grep ^x | awk '{ print length }' | sort -n | tr '\\n' ' '; cat dotted doubled; find . -name end | wc -c";
    let out = t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).ok();
    let deep = "./".len() + 500 * 5 + "end\n".len();
    assert_eq!(out.stdout, format!("{} dotsslashes{deep}\n", want.join(" ")));
}

/// Nothing in these directories may change, whatever a tar says.
fn outside(t: &Sandbox) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut see = |path: &Path| {
        let Ok(meta) = path.symlink_metadata() else { return };
        all.push((format!("{} {:?}", path.display(), meta.permissions()), if meta.is_file() { meta.len() } else { 0 }));
    };
    walk(&t.dir.join("outside"), &mut see);
    for dir in ["/tmp", "/var/tmp", "/etc", "/"] {
        for name in crate::sandbox::list(Path::new(dir)) {
            if name == "evil" {
                see(&Path::new(dir).join(name));
            }
        }
    }
    all
}

fn evil(t: &Sandbox, what: &str, tar: Tar) -> crate::sandbox::Out {
    let before = outside(t);
    let layers = t.layers();
    let (_registry, name) = pulled(&Image::new(vec![Layer::gzip(tar.finish())]));
    let out = t.ccrun(&["pull", &name]).timeout(30).out();
    assert_eq!(outside(t), before, "{what} changed something outside");
    if out.status != 0 {
        assert_eq!(t.layers(), layers, "{what}: a half-made layer can be seen");
        t.nothing_left();
        return out.error(1, "");
    }
    out
}

fn evil_names_reach_nothing_outside(t: &Sandbox) {
    t.file("outside/file", "untouched");
    let up = "../".repeat(40);
    let to_dir = t.path("outside");
    let names = [
        "../evil".to_owned(),
        "a/../../evil".into(),
        "a/b/../../../../evil".into(),
        format!("{up}tmp/evil"),
        format!("{up}{}/evil", to_dir.trim_start_matches('/')),
        format!("/{up}tmp/evil"),
        "..".into(),
        "./..".into(),
        "a/../..".into(),
    ];
    // As Docker takes them: below the layer's root.
    let below = ["/tmp/evil".to_owned(), format!("{to_dir}/evil"), "//tmp//evil".into(), "a/../evil".into()];
    let kinds: &[u8] = if t.mode == Mode::Root { b"05216" } else { b"01" };
    for (name, status) in names.iter().map(|name| (name, 1)).chain(below.iter().map(|name| (name, 0))) {
        for &kind in kinds {
            let link = if kind == b'1' { "ok".into() } else { format!("{to_dir}/file") };
            let bad = Entry { link: link.into(), ..entry(name, kind, 0o777) };
            let out = evil(t, name, Tar::new().file("ok", 0o644, "ok").entry(&bad));
            assert_eq!(out.status, status, "{name} as type {}: {}", kind as char, out.stderr);
            // The same name by way of a PAX record.
            let bad = Entry { path: b"harmless".to_vec(), ..bad }.pax("path", name);
            let out = evil(t, name, Tar::new().file("ok", 0o644, "ok").entry(&bad));
            assert_eq!(out.status, status, "{name} in a PAX record: {}", out.stderr);
        }
    }
}

fn links_lead_nowhere_outside(t: &Sandbox) {
    t.file("outside/file", "untouched");
    let to_dir = t.path("outside");
    let up = format!("{}{}", "../".repeat(40), to_dir.trim_start_matches('/'));
    for target in [&to_dir, &up] {
        // Through a symlink: a file, a directory's mode, a link of each kind, a deletion.
        let link = || Tar::new().symlink("x", target);
        evil(t, "a file through a symlink", link().file("x/evil", 0o644, "evil")).exit(1);
        evil(t, "an overwriting through a symlink", link().file("x/file", 0o644, "evil")).exit(1);
        evil(t, "a mode through a symlink", link().dir("x/.", 0o777));
        evil(t, "a symlink's replacement by a directory", link().dir("x", 0o777));
        evil(t, "a symlink through a symlink", link().symlink("x/evil", "y")).exit(1);
        evil(t, "a whiteout through a symlink", link().file("x/.wh.file", 0, ""));
        evil(t, "an opaque mark through a symlink", link().file("x/.wh..wh..opq", 0, ""));
        let file = format!("{target}/file");
        evil(t, "a hard link outside", Tar::new().hardlink("evil", &file)).exit(1);
        evil(t, "a hard link through a symlink", link().hardlink("evil", "x/file")).exit(1);
        // A hard link to a symlink, then a write to what it names.
        evil(
            t,
            "a write through a hard link to a symlink",
            Tar::new().symlink("s", &file).hardlink("h", "s").file("h", 0o644, "evil"),
        );
        evil(t, "a write to a symlink", Tar::new().symlink("s", &file).file("s", 0o644, "evil"));
    }
    for name in ["a/.wh...", "a/.wh..", ".wh.", "a/.wh.", ".wh..", ".wh.../x"] {
        evil(t, name, Tar::new().file("ok", 0o644, "ok").file(name, 0, ""));
    }
    assert_eq!(std::fs::read_to_string(t.path("outside/file")).expect("read"), "untouched");
}

fn ids_that_the_map_does_not_have_are_nobodys(t: &Sandbox) {
    const FAR: u32 = 70_000;
    let of = |path: &str, kind: u8, mode: u32, uid: u32, gid: u32| entry(path, kind, mode).owner(uid, gid);
    let tar = Tar::new()
        .entry(&of("far/", b'5', 0o2775, FAR, FAR))
        .entry(&of("far/user", b'0', 0o6755, FAR, 5))
        .entry(&of("far/group", b'0', 0o6755, 5, FAR))
        .entry(&Entry { link: b"user".to_vec(), ..of("far/link", b'2', 0o777, FAR, FAR) })
        .entry(&Entry { link: b"far/user".to_vec(), ..of("far/hard", b'1', 0o6755, FAR, 5) })
        .entry(&of("far/last", b'0', 0o644, u32::MAX - 1, u32::MAX))
        .entry(&of("far/near", b'0', 0o6755, 65_535, 65_535));
    let image = Image::busybox(&t.busybox).layer(tar).layer(Tar::new().entry(&of("own", b'0', 0o4711, FAR, 0)));
    let image = image.set("User", json!("70000"));
    let (_registry, name) = pulled(&image);
    let out = t.ccrun(&["pull", "-q", &name]).ok();
    assert_eq!(out.stderr, "");
    t.ccrun(&["rmi", &name]).ok();
    let out = t.ccrun(&["pull", &name]).ok();
    // Each entry once: the directory, two files, the link, the last id, and the one of the second layer.
    let note = "6 files have owners with ids that the container's range does not have; they belong to nobody instead\n";
    assert_eq!(out.stderr, if t.mode == Mode::Nosubuid { "" } else { note });
    let see = "cd /far; stat -c '%n %u:%g %a' . user group link hard last near /own";
    let out = t.ccrun(&["run", "--rm", "-u", "0", &name, "/bin/sh", "-c", see]).ok().stdout;
    let want = match t.mode {
        // There is one id only, and it lends out nothing that is not its own.
        Mode::Nosubuid => {
            ". 0:0 775\nuser 0:0 755\ngroup 0:0 755\nlink 0:0 777\nhard 0:0 755\nlast 0:0 644\nnear 0:0 755\n/own 0:0 711\n"
        }
        _ => {
            ". 65534:65534 775\nuser 65534:5 2755\ngroup 5:65534 4755\nlink 65534:65534 777\nhard 65534:5 2755\n\
             last 65534:65534 644\nnear 65535:65535 6755\n/own 65534:0 711\n"
        }
    };
    assert_eq!(out, want);
    // Who is no user of the container's is refused, and does not become root.
    let out = t.ccrun(&["run", "--rm", &name, "/bin/id", "-u"]).out();
    match t.mode {
        Mode::Nosubuid => drop(out.exit(0).prints("70000\n")),
        _ => drop(out.error(125, "user 70000:0 is outside this container's id map")),
    }
}

fn devices_and_fifos_are_no_trap(t: &Sandbox) {
    let device = |name: &str, kind: u8, device: (u32, u32)| Entry { device, ..entry(name, kind, 0o666) };
    let tar = Tar::new()
        .entry(&entry("fifo", b'6', 0o644))
        .file("fifo", 0o644, "a file in a FIFO's place")
        .entry(&entry("pipe", b'6', 0o600))
        .entry(&device("null", b'3', (1, 3)))
        .entry(&device("disk", b'4', (8, 0)));
    let (_registry, name) = pulled(&Image::busybox(&t.busybox).layer(tar));
    let out = t
        .ccrun(&["run", "--rm", &name, "/bin/sh", "-c", "cat /fifo; test -p /pipe && echo; cat /disk"])
        .timeout(20)
        .out();
    assert!(out.stdout.starts_with("a file in a FIFO's place"), "{} {}", out.stdout, out.stderr);
    if t.mode == Mode::Root {
        // They are there, and nobody can open them, on whatever they come to lie.
        let script = "test -c /null && test -b /disk || exit 1; \
                      for d in /null /disk /volume/null; do cat $d && exit 2; done; echo safe";
        let image = Image::busybox(&t.busybox)
            .layer(
                Tar::new()
                    .entry(&device("null", b'3', (1, 3)))
                    .entry(&device("disk", b'4', (8, 0)))
                    .dir("volume", 0o755)
                    .entry(&device("volume/null", b'3', (1, 3))),
            )
            .set("Volumes", json!({"/volume": {}}));
        let (_registry, name) = pulled(&image);
        t.ccrun(&["run", "--rm", &name, "/bin/sh", "-c", script]).out().exit(0).prints("safe\n");
    }
    // The passwd file is no file: the container's user must not hang on it.
    let tar = Tar::new().entry(&entry("etc/passwd", b'6', 0o644)).symlink("etc/group", "/dev/zero");
    let (_registry, name) = pulled(&Image::busybox(&t.busybox).layer(tar));
    t.ccrun(&["run", "--rm", "-u", "app", &name, "true"]).timeout(20).out().exit(125);
}

fn a_bomb_does_not_go_off(t: &Sandbox) {
    let peak = |name: &str| -> u64 {
        let script = format!("ulimit -v 1500000; exec {} pull {name}", t.ccrun);
        let out = t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).timeout(60).out();
        out.error(1, "").status as u64
    };
    let registry = Registry::open();
    // Sizes that cannot be, in a header and in a PAX record.
    let lies = [
        Tar::new().lying(&entry("x", b'0', 0o644), 1 << 50),
        Tar::new().lying(&entry("x", b'x', 0o644), 1 << 40),
        Tar::new().lying(&entry("././@LongLink", b'L', 0o644), 1 << 40),
        Tar::new().entry(&entry("x", b'0', 0o644).pax("size", "9223372036854775807")),
        Tar::new().entry(&entry("x", b'0', 0o644).pax("path", vec![b'a'; 2 << 20])),
        Tar::new().file(&vec!["d"; 60_000].join("/"), 0o644, "deep"),
    ];
    for (n, tar) in lies.into_iter().enumerate() {
        registry.push("bomb/app", &format!("v{n}"), &Image::new(vec![Layer::gzip(tar.finish())]));
        assert_eq!(peak(&format!("{}/bomb/app:v{n}", registry.host)), 1, "lie {n}");
        t.nothing_left();
    }
    assert!(t.layers().is_empty());
}
