//! An image with everything that a layer can say, right and odd.

use crate::image::{Image, Layer};
use crate::sandbox::Sandbox;
use crate::tar::{Entry, Tar, entry};

/// cap_net_raw=p, as `setcap` writes it.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What all judges agree on, each part in a directory of its own, and then `more`.
pub fn image(t: &Sandbox, more: Vec<Tar>) -> Image {
    pack_by_gnu_tar(t);
    let layer = |tar: Tar| Layer::gzip(tar.finish());
    let own = [attributes(), kinds(), names(), lower(), upper(), uppermost()].map(layer);
    let gnus = FORMATS.iter().map(|format| packed(t, format));
    Image::new(own.into_iter().chain(gnus).chain(more.into_iter().map(layer)).collect())
}

/// What Docker knows and umoci does not: the book-keeping of aufs in old layers, and global headers. `git archive`
/// writes a comment in its one; whatever else it says, Docker does not listen.
pub fn from_former_days() -> Tar {
    let records = b"21 comment=of a tree\n20 mtime=1000000000\n".to_vec();
    let global = Entry { data: records, ..entry("pax_global_header", b'g', 0o666) };
    let tar = Tar::new().file(".wh..wh.plnk/12.34", 0o644, "").dir("g", 0o755);
    tar.entry(&global).file("g/file", 0o644, "after a global header")
}

/// Layers that speak of what lies below them. umoci and podman unpack all layers into one tree; Docker's overlay2,
/// which unpacks each alone, refuses the links.
pub fn across_layers() -> Vec<Tar> {
    let lower = Tar::new()
        .dir("links", 0o755)
        .entry(&Entry { data: b"shared".to_vec(), ..file("links/one", 0o640).owner(7, 8).pax("mtime", "1600000000.5") })
        .entry(&file("links/capable", 0o755).pax("SCHILY.xattr.security.capability", CAPABILITY))
        .symlink("links/symlink", "one")
        .entry(&entry("links/fifo", b'6', 0o600))
        .entry(&entry("private/", b'5', 0o700).owner(5, 6).pax("mtime", "1500000000.123456789"))
        .file("private/gone", 0o644, "")
        .entry(&entry("private/sub/", b'5', 0o1770).owner(9, 9))
        .file("private/sub/gone", 0o644, "");
    let upper = Tar::new()
        .dir("links", 0o755)
        .hardlink("links/two", "links/one")
        .hardlink("links/three", "links/two")
        .hardlink("links/four", "links/capable")
        .hardlink("links/to-symlink", "links/symlink")
        .hardlink("links/to-fifo", "links/fifo")
        // Nothing is said of the directories here.
        .file("private/.wh.gone", 0, "")
        .file("private/sub/.wh.gone", 0, "")
        .file("private/sub/new", 0o644, "new")
        .file("missing/parents/of/file", 0o644, "x");
    // A mark hides nothing of its own layer.
    let own = Tar::new().dir("own", 0o755).file("own/file", 0o644, "stays").file("own/.wh.file", 0, "");
    vec![lower, upper, own]
}

/// A hundred layers, each of which adds, changes and removes some files.
pub fn hundred_layers() -> Image {
    let layer = |n: usize| {
        let mut tar = Tar::new().dir("all", 0o755).file(&format!("all/{n}"), 0o644, n.to_string());
        tar = tar.dir(&format!("all/dir{}", n % 7), 0o755 - (n as u32 % 2) * 0o55);
        tar = tar.file(&format!("all/dir{}/file{}", n % 7, n % 3), 0o600, format!("by {n}"));
        if n % 3 == 2 {
            tar = tar.file(&format!("all/.wh.{}", n - 2), 0, "");
        }
        if n % 10 == 9 {
            tar = tar.file(&format!("all/dir{}/.wh..wh..opq", n % 7), 0, "");
        }
        Layer::gzip(tar.finish())
    };
    Image::new((0..100).map(layer).collect())
}

fn file(path: &str, mode: u32) -> Entry {
    entry(path, b'0', mode)
}

fn attributes() -> Tar {
    Tar::new()
        .entry(&entry("./", b'5', 0o711))
        .dir("etc", 0o755)
        .dir("a", 0o755)
        .entry(&file("a/setuid", 0o4755))
        .entry(&file("a/setuid-of-another", 0o6711).owner(1000, 50))
        .entry(&entry("a/setgid-dir/", b'5', 0o2775).owner(0, 50))
        .entry(&file("a/setgid-dir/inherits-nothing", 0o644))
        .dir("a/setgid-dir/nor-this", 0o755)
        .dir("a/sticky", 0o1777)
        .entry(&file("a/no-permissions", 0).owner(1, 2))
        .entry(&entry("a/read-only/", b'5', 0o555).owner(1000, 1000))
        .entry(&Entry { data: b"within".to_vec(), ..file("a/read-only/file", 0o444) })
        .entry(&entry("a/read-only/dir/", b'5', 0o000))
        .file("a/read-only/dir/file", 0o400, "deep")
        .entry(&file("a/highest-id", 0o640).owner(65_535, 65_534))
        .entry(&file("a/nanoseconds", 0o644).pax("mtime", "1600000000.123456789"))
        .entry(&file("a/one-digit", 0o644).pax("mtime", "1600000000.5"))
        .entry(&file("a/too-many-digits", 0o644).pax("mtime", "1600000000.1234567899"))
        .entry(&file("a/epoch", 0o644).mtime(0))
        .entry(&file("a/after-2242", 0o644).mtime(8_589_934_592 + 7))
        .entry(
            &Entry { link: b"epoch".to_vec(), ..entry("a/link", b'2', 0o777) }
                .owner(3, 4)
                .pax("mtime", "1234567890.000000009"),
        )
        .entry(&entry("a/dated/", b'5', 0o755).pax("mtime", "1111111111.1"))
        .file("a/dated/file", 0o644, "later than its directory")
        .entry(&file("a/xattr", 0o644).pax("SCHILY.xattr.user.test", "va\0lue").pax("SCHILY.xattr.user.empty", ""))
        .entry(&entry("a/xattr-dir/", b'5', 0o755).pax("SCHILY.xattr.user.test", "of a directory"))
        .entry(&file("a/capable", 0o755).pax("SCHILY.xattr.security.capability", CAPABILITY))
        .entry(
            &file("a/capable-of-another", 0o4755).owner(1000, 50).pax("SCHILY.xattr.security.capability", CAPABILITY),
        )
        // The pair of ids by PAX, as large numbers come.
        .entry(&file("a/ids-by-pax", 0o644).pax("uid", "1234").pax("gid", "4321"))
}

fn kinds() -> Tar {
    let device = |name: &str, kind: u8, device: (u32, u32)| Entry { device, ..entry(name, kind, 0o660) }.owner(0, 6);
    Tar::new()
        .dir("k", 0o755)
        .file("k/empty", 0o644, "")
        .file("k/blocks", 0o644, (0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
        .file("k/just-a-block", 0o644, vec![b'x'; 512])
        .entry(&entry("k/fifo", b'6', 0o620).owner(0, 5))
        .entry(&device("k/null", b'3', (1, 3)))
        .entry(&device("k/disk", b'4', (8, 17)))
        .symlink("k/relative", "empty")
        .symlink("k/absolute", "/k/empty")
        .symlink("k/dangling", "../../no/such/thing")
        .symlink("k/long", &"t/".repeat(150))
        .hardlink("k/hard", "k/blocks")
        .hardlink("k/hard-from-root", "/k/blocks")
        .hardlink("k/dotted", "./k/hard")
        .hardlink("k/to-symlink", "k/dangling")
        // Docker gives a file the attributes that its links tell, so they are the same.
        .entry(&Entry { link: b"k/fifo".to_vec(), ..entry("k/to-fifo", b'1', 0o620).owner(0, 5) })
        // A file and a directory as tar knew them before it had types.
        .entry(&Entry { data: b"old".to_vec(), ..entry("k/type-nul", 0, 0o644) })
        .entry(&entry("k/by-its-slash/", 0, 0o750))
        .symlink("k/dir-by-link", "by-its-slash")
        .file("k/dir-by-link/file", 0o644, "through a symlink of this layer")
}

fn names() -> Tar {
    let mut tar = Tar::new().dir("n", 0o755);
    for length in [99, 100, 101, 154, 155, 156, 255] {
        let name = format!("n/{}", "x".repeat(length));
        let one = Entry { data: name.clone().into(), ..file(&name, 0o644) };
        tar = if length % 2 == 0 { tar.entry(&one) } else { tar.gnu_long(&one) };
    }
    let deep = format!("n/{}/end", ["deep"; 30].join("/"));
    tar.file(&deep, 0o644, "deep")
        .gnu_long(&Entry { link: deep.clone().into(), ..file("n/link-to-long", 0o644) }.kind(b'1'))
        .gnu_long(&Entry { link: "l".repeat(300).into(), ..file("n/long-symlink", 0o777) }.kind(b'2'))
        .entry(&Entry { path: b"n/\xff\xfe-latin".to_vec(), ..file("", 0o644) })
        .entry(&Entry { path: b"n/\xe4link".to_vec(), link: b"\xff\xfe-latin".to_vec(), ..file("", 0o777) }.kind(b'2'))
        .file("n/ \n\t\\ \u{1f980}", 0o644, "odd")
        .file("./n/./dotted", 0o644, "dots")
        .file("n//doubled", 0o644, "slashes")
        .file("n/...", 0o644, "three dots")
        .file("n/.who", 0o644, "no whiteout")
        .file("n/x.wh.", 0o644, "nor this")
        .file("n/-rf", 0o644, "")
}

/// Names that come again in one layer, where the last word counts. Docker and podman refuse them.
pub fn again() -> Tar {
    Tar::new()
        .dir("d", 0o755)
        .file("d/file", 0o644, "first")
        .hardlink("d/first", "d/file")
        .file("d/file", 0o600, "second")
        .dir("d/dir", 0o700)
        .file("d/dir/kept", 0o644, "kept")
        .dir("d/dir", 0o711)
        .symlink("d/link", "dir")
        .file("d/link", 0o644, "a file now")
        .file("d/was-file", 0o644, "f")
        .dir("d/was-file", 0o755)
        .file("d/was-file/in", 0o644, "in")
        .symlink("d/twice", "file")
        .symlink("d/twice", "dir")
        .entry(&entry("d/was-fifo", b'6', 0o644))
        .file("d/was-fifo", 0o644, "a file now")
        // Without an entry of its own.
        .file("d/parent/of/file", 0o644, "p")
}

fn lower() -> Tar {
    let tar = Tar::new().dir("r", 0o755).dir("r/opaque", 0o755).dir("r/opaque-late", 0o755).dir("r/tree", 0o755);
    let tar = ["r/opaque/old", "r/opaque-late/old", "r/opaque-late/sub/old", "r/tree/x/y"]
        .iter()
        .fold(tar, |tar, path| tar.file(path, 0o644, "lower"));
    tar.file("r/gone", 0o644, "")
        .file("r/back", 0o644, "lower")
        .file("r/back-as-dir", 0o644, "lower")
        .dir("r/dir-then-file", 0o755)
        .file("r/dir-then-file/x", 0o644, "")
        .dir("r/dir-then-link", 0o755)
        .file("r/dir-then-link/x", 0o644, "")
        .file("r/file-then-dir", 0o644, "")
        .file("r/file-then-link", 0o644, "")
        .symlink("r/link-then-dir", "tree")
        .symlink("r/link-then-file", "tree")
        .entry(&entry("r/fifo-then-file", b'6', 0o644))
        .entry(&entry("r/chmod/", b'5', 0o700).owner(1, 1))
        .file("r/chmod/kept", 0o644, "kept")
        .file("r/hard-one", 0o644, "linked")
        .hardlink("r/hard-two", "r/hard-one")
        .hardlink("r/hard-three", "r/hard-one")
        .entry(&file("r/xattr", 0o644).pax("SCHILY.xattr.user.old", "lower"))
        .entry(&file("r/capable", 0o755).pax("SCHILY.xattr.security.capability", CAPABILITY))
}

fn upper() -> Tar {
    Tar::new()
        .dir("r", 0o751)
        .file("r/.wh.gone", 0, "")
        .file("r/.wh.never-was", 0, "")
        .file("r/.wh.tree", 0, "")
        .file("r/.wh.back", 0, "")
        .file("r/.wh.back-as-dir", 0, "")
        .dir("r/opaque", 0o755)
        .file("r/opaque/.wh..wh..opq", 0, "")
        .file("r/opaque/new", 0o644, "upper")
        .dir("r/opaque-late", 0o755)
        .file("r/opaque-late/new", 0o644, "upper")
        .dir("r/opaque-late/sub", 0o700)
        .file("r/opaque-late/sub/new", 0o644, "upper")
        .file("r/opaque-late/.wh..wh..opq", 0, "")
        .file("r/dir-then-file", 0o644, "a file now")
        .symlink("r/dir-then-link", "chmod")
        .dir("r/file-then-dir", 0o755)
        .file("r/file-then-dir/in", 0o644, "in")
        .symlink("r/file-then-link", "chmod")
        .dir("r/link-then-dir", 0o755)
        .file("r/link-then-dir/own", 0o644, "own")
        .file("r/link-then-file", 0o644, "a file now")
        .file("r/fifo-then-file", 0o644, "a file now")
        .entry(&entry("r/chmod/", b'5', 0o2711).owner(2, 3).pax("mtime", "1333333333.3"))
        .file("r/hard-two", 0o600, "on its own now")
        .entry(&file("r/xattr", 0o644).pax("SCHILY.xattr.user.new", "upper"))
        .file("r/capable", 0o755, "no longer")
}

/// What the layer below it has removed or hidden comes back, and goes again.
fn uppermost() -> Tar {
    Tar::new()
        .dir("r", 0o755)
        .file("r/back", 0o644, "uppermost")
        .dir("r/back-as-dir", 0o755)
        .file("r/back-as-dir/in", 0o644, "in")
        .dir("r/tree", 0o755)
        .file("r/tree/new", 0o644, "uppermost")
        .dir("r/opaque", 0o755)
        .file("r/opaque/.wh.new", 0, "")
        .file("r/opaque/old", 0o644, "another of that name")
        .file("r/.wh.link-then-dir", 0, "")
        .file("r/.wh.hard-three", 0, "")
}

/// The formats of GNU tar that all judges read; `gnu-sparse` is for GNU tar alone.
const FORMATS: &[&str] = &["ustar", "v7", "gnu", "oldgnu", "posix", "posix-0.0", "posix-0.1", "posix-1.0"];

/// Packs the same few files in each of GNU tar's formats, by GNU tar itself.
pub fn pack_by_gnu_tar(t: &Sandbox) {
    let script = r"
        mkdir -p source/dir && cd source
        echo content >file && chmod 640 file && ln file dir/hard && ln -s ../file dir/symlink
        # More holes than a header and its extension hold, data at the end, and nothing but a hole.
        for n in $(seq 30); do printf $n | dd of=holes bs=1 seek=${n}00000 conv=notrunc status=none; done
        truncate -s 1M hole && truncate -s 4M holes-to-the-end && printf x | dd of=holes-to-the-end conv=notrunc status=none
        touch -d '2020-02-02 02:02:02.123456789' file holes dir
        pack() { name=$1; shift; tar --xform s,^./,$name/,S --sort=name --numeric-owner --owner=:1000 --group=:50 -cf ../$name.tar $* ./*; }
        pack ustar --format=ustar; pack v7 --format=v7
        touch -h -d 2250-01-01 dir/symlink hole
        mkdir $long; echo long >$long/$long; ln -s $long$long $long/symlink; ln $long/$long $long/hard
        pack gnu --format=gnu; pack oldgnu --format=oldgnu
        pack gnu-sparse --format=gnu --sparse; pack posix --format=posix
        for n in 0.0 0.1 1.0; do pack posix-$n --format=posix --sparse --sparse-version=$n; done";
    if !t.command("tar", &["--version"]).out().stdout.contains("GNU tar") {
        crate::skip!("tar is not GNU tar here");
    }
    t.command("sh", &["-ec", script]).env("long", "l".repeat(130)).ok();
}

/// What [`pack_by_gnu_tar`] has packed in a format.
pub fn packed(t: &Sandbox, format: &str) -> Layer {
    Layer::gzip(std::fs::read(t.dir.join(format!("{format}.tar"))).expect("read"))
}
