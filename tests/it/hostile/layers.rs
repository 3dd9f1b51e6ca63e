//! Layers that mean harm, through the whole of a pull.

use super::{nothing_is_left, outside, pull, set_out_bait, several_at_once};
use crate::cases;
use crate::image::{Image, Layer};
use crate::random::Random;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::tar::{Entry, Tar, entry};
use std::sync::atomic::{AtomicUsize, Ordering};

cases! {
    Every:
        hundreds_of_hostile_layers;
}

/// Names that lead, or look as if they led, somewhere else.
fn names(t: &Sandbox) -> Vec<Vec<u8>> {
    let outside = t.path("outside");
    let evil = [
        "a",
        "a/b",
        "a/b/c",
        "d",
        "d/e",
        "link",
        "link/x",
        "link/dir/x",
        "hard",
        "..",
        "../x",
        "a/../../x",
        "/",
        "/a",
        ".",
        "./a",
        "a/.",
        "a/..",
        "//a",
        "",
        "a//b",
        "a/",
        "../../../../../../../../outside/secret",
        "link/../x",
        ".wh.a",
        ".wh.",
        ".wh..",
        ".wh...",
        ".wh..wh..opq",
        "a/.wh..wh..opq",
        "a/.wh.b",
        ".wh..wh.plnk",
        "proc/self/root/x",
        "dev/null",
        "etc/passwd",
        "a\nb",
        "a\u{202e}b",
        "\u{1b}[2J",
        "tmp",
        "lost+found",
    ];
    let mut names: Vec<Vec<u8>> = evil.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.extend(
        [format!("{outside}/secret"), format!("{outside}/dir/x"), "n".repeat(255), "n".repeat(256)].map(Into::into),
    );
    names.extend([vec!["d"; 3000].join("/").into_bytes(), vec![b'n'; 5000], b"\xff\xfe".to_vec(), b"a\0b".to_vec()]);
    names
}

/// An entry that is plain but for one or two things, so that what comes behind it is read as well.
fn one(names: &[Vec<u8>], random: &mut Random) -> Entry {
    let kind = *random.of(b"0000011122255");
    let mut entry = entry(random.of(&["a", "a/b", "a/c", "d", "d/e", "link", "hard"]), kind, 0o755);
    entry.link = random.of(&["b", "a/b", "../a", "/a", "d"]).as_bytes().to_vec();
    for _ in 0..random.below(3) {
        match random.below(8) {
            0 | 1 => entry.path = random.of(names).clone(),
            2 => entry.link = random.of(names).clone(),
            3 => entry.kind = *random.of(b"3346667xgLKSVM\0 "),
            4 => entry.mode = *random.of(&[0o4755, 0o2755, 0o1777, 0, 0o7777, 0o200_644]),
            5 => entry.data = vec![b'x'; *random.of(&[0, 1, 511, 512, 513, 5000])],
            6 => (entry.uid, entry.gid) = *random.of(&[(1000, 1000), (65_536, 65_536), (u32::MAX, u32::MAX)]),
            _ => {
                let (name, value) = random.of(&PAX);
                entry = entry.pax(name, value);
            }
        }
    }
    entry.mtime = *random.of(&[0, 1_700_000_000, 1_700_000_000, u64::MAX >> 1]);
    entry.device = *random.of(&[(0, 0), (1, 3), (8, 0), (0o7_777_777, 0)]);
    entry
}

const PAX: [(&str, &[u8]); 17] = [
    ("path", b"../../x"),
    ("path", b""),
    ("path", b"/etc/x"),
    ("linkpath", b"../../../outside/secret"),
    ("size", b"0"),
    ("size", b"-1"),
    ("size", b"99999999999999999999"),
    ("size", b"1073741824"),
    ("mtime", b"1.5"),
    ("mtime", b"1e9"),
    ("mtime", b"-9999999999999.5"),
    ("uid", b"-1"),
    ("SCHILY.xattr.user.overlay.opaque", b"y"),
    ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
    ("SCHILY.xattr.security.capability", b"\0"),
    ("GNU.sparse.map", b"0,1,99999999999,1"),
    ("GNU.sparse.realsize", b"9223372036854775807"),
];

fn hostile(names: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut tar = Tar::new().dir("a", 0o755).file("a/b", 0o644, "b").symlink("link", "../../../../../outside");
    for _ in 0..random.below(6) {
        let one = one(names, random);
        tar = match random.below(20) {
            0 => tar.gnu_long(&one),
            1 => tar.lying(&one, *random.of(&[1, 512, 1 << 20, 1 << 40, u64::MAX >> 1])),
            _ => tar.entry(&one),
        };
    }
    let mut bytes = if random.below(8) == 0 { tar.unfinished() } else { tar.finish() };
    match random.below(20) {
        0 => bytes.truncate(random.below(bytes.len())),
        1 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    bytes
}

fn hundreds_of_hostile_layers(t: &Sandbox) {
    let count = if t.mode == Mode::Root { 250 } else { 60 };
    let mut random = Random::from_environment();
    let registry = Registry::open();
    let names = names(t);
    for at in 0..count {
        let layers = (0..1 + random.below(3)).map(|_| Layer::gzip(hostile(&names, &mut random)));
        registry.push("evil/app", &format!("v{at}"), &Image::new(layers.collect()));
    }
    set_out_bait(t);
    let before = outside(t);
    let good = Image::busybox(&t.busybox);
    registry.push("good/app", "v1", &good);
    let taken = AtomicUsize::new(0);
    several_at_once(t, count, |t, at| {
        let name = format!("{}/evil/app:v{at}", registry.host);
        let out = pull(t, &name, &format!("number {at}"));
        if out.status == 0 {
            taken.fetch_add(1, Ordering::Relaxed);
            // Its root file system is put together, whatever there is to run in it.
            let ran = t.ccrun(&["run", "--rm", "--pull", "never", &name, "/a/b"]).timeout(20).out();
            assert!((125..=127).contains(&ran.status), "number {at}: {} {}", ran.status, ran.stderr);
            t.ccrun(&["rmi", &name]).ok();
        }
        nothing_is_left(t);
    });
    assert_eq!(outside(t), before);
    // Neither all harmless nor all nonsense.
    let taken = taken.into_inner();
    assert!((count / 20..count * 19 / 20).contains(&taken), "{taken} of {count} were taken");
    t.ccrun(&["run", "--rm", &format!("{}/good/app:v1", registry.host), "/bin/true"]).ok();
}
