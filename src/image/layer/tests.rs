mod hostile;
mod lower;
mod record;

use super::*;
use crate::image::tar::fixture::{Block, Random, Tar};
use std::ffi::CString;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that goes away with the test; the layer lies in `layer`, so that there is an outside.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("ccrun-layer-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("layer")).unwrap();
        Dir(dir)
    }

    fn layer(&self) -> PathBuf {
        self.0.join("layer")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.layer().join(name)
    }

    fn root(&self) -> File {
        File::open(self.layer()).unwrap()
    }

    /// Unpacks, and looks whether the record gives the same tar again.
    fn unpack(&self, tar: &[u8]) -> Result<Unpacked> {
        self.unpack_with(tar, &Limits::default(), false)
    }

    fn unpack_with(&self, tar: &[u8], limits: &Limits, old_kernel: bool) -> Result<Unpacked> {
        let root = self.root();
        let tree = if old_kernel { Tree::without_openat2(root.as_fd()) } else { Tree::new(root.as_fd()) };
        let was_empty = std::fs::read_dir(self.layer()).unwrap().next().is_none();
        let mut record = Vec::new();
        let unpacked = unpack_in(tree, &mut &tar[..], &mut record, root.as_fd(), limits, &fs::mknodat)?;
        // Contents that another layer has left there are in no record.
        if was_empty {
            let again = self.rebuild(&record).unwrap();
            assert!(again == tar, "the record gives another tar");
        }
        Ok(unpacked)
    }

    fn rebuild(&self, record: &[u8]) -> Result<Vec<u8>> {
        let mut again = Vec::new();
        let (kept, scratch) = (self.file("record"), self.file("scratch"));
        kept.write_all_at(record, 0).unwrap();
        let length = rebuild(&kept, &scratch, self.root().as_fd(), &mut again)?;
        assert_eq!(length, again.len() as u64);
        Ok(again)
    }

    /// A new file without a name beside the layer.
    fn file(&self, name: &str) -> File {
        let path = self.0.join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    /// Unpacks what has to be good.
    fn good(&self, tar: Tar) -> Unpacked {
        self.unpack(&tar.end()).unwrap()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn meta(&self, name: &str) -> std::fs::Metadata {
        std::fs::symlink_metadata(self.path(name)).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn is_whiteout(&self, name: &str) -> bool {
        self.meta(name).file_type().is_char_device() && self.meta(name).rdev() == 0
    }

    fn xattr(&self, name: &str, xattr: &str) -> Option<Vec<u8>> {
        fs::fgetxattr(File::open(self.path(name)).unwrap().as_fd(), &CString::new(xattr).unwrap()).ok()
    }

    fn is_opaque(&self, name: &str) -> bool {
        self.xattr(name, "user.overlay.opaque").is_some_and(|value| value == b"y")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // For those who are not root: directories without write permission let nothing go.
        _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&self.0).stderr(std::process::Stdio::null()).status();
        let parent = File::open(self.0.parent().unwrap()).unwrap();
        let name = c(self.0.file_name().unwrap().as_encoded_bytes()).unwrap();
        store::remove(parent.as_fd(), &name).unwrap();
    }
}

/// Whether files can be given away here: as root, and as the root of a user namespace with more than one id.
fn owns_all() -> bool {
    let dir = Dir::new(&format!("owns-{:?}", std::thread::current().id()));
    std::os::unix::fs::chown(dir.layer(), Some(1000), Some(2000)).is_ok()
}

#[test]
fn a_tree_comes_out_as_the_tar_tells() {
    let dir = Dir::new("tree");
    let block = |name: &str, kind, mode: &[u8], size| Block::new(name.as_bytes(), kind, size).put(100, mode).sealed();
    let unpacked = dir.good(
        Tar::default()
            .add(block("./", b'5', b"0000750\0", 0), b"")
            .pax(b'x', &[("mtime", b"1600000000.000000001")])
            .add(block("closed/", b'5', b"0000500\0", 0), b"")
            .file("closed/f", "text")
            .add(block("bin", b'5', b"0001777\0", 0), b"")
            .pax(b'x', &[("mtime", b"-1.5")])
            .add(block("bin/su", b'0', b"0004755\0", 2), b"su")
            .add(block("bin/wall", b'0', b"0002711\0", 0), b"")
            .link(b'1', "bin/su2", "bin/su")
            .link(b'2', "bin/sh", "/nowhere/busybox")
            .link(b'1', "bin/ash", "./bin/sh")
            .link(b'6', "pipe", "")
            .file("a/b/c/deep", "made its parents"),
    );
    assert_eq!((unpacked.entries, unpacked.bytes, unpacked.deferred.len()), (11, 22, 0));
    let mode = |name: &str| dir.meta(name).permissions().mode() & 0o7777;
    assert_eq!((mode("closed"), mode("bin"), mode("a/b")), (0o500, 0o1777, 0o755));
    // Whoever it belongs to, the root can be renamed; what it is to be is told apart.
    let told = root::Attributes { uid: 0, gid: 0, mode: 0o750, mtime: fs::Time::default(), xattrs: false };
    assert_eq!((mode("."), unpacked.root), (0o755, Root { attributes: Some(told), opaque: false }));
    assert_eq!((mode("bin/su"), mode("bin/wall"), mode("closed/f"), mode("pipe")), (0o4755, 0o2711, 0o644, 0o644));
    assert_eq!((dir.meta("closed").mtime(), dir.meta("closed").mtime_nsec()), (1_600_000_000, 1));
    assert_eq!((dir.meta("bin/su").mtime(), dir.meta("bin/su").mtime_nsec()), (-2, 500_000_000));
    assert_eq!((dir.meta("bin").mtime(), dir.meta("bin/sh").mtime()), (0, 0));
    assert_eq!(dir.meta("bin/su").ino(), dir.meta("bin/su2").ino());
    assert_eq!(dir.meta("bin/sh").ino(), dir.meta("bin/ash").ino());
    assert_eq!(std::fs::read_link(dir.path("bin/ash")).unwrap(), Path::new("/nowhere/busybox"));
    assert!(dir.meta("pipe").file_type().is_fifo());
    assert_eq!(dir.text("a/b/c/deep"), "made its parents");
}

#[test]
fn names_are_below_the_root_however_they_are_written() {
    let dir = Dir::new("names-below");
    dir.good(
        Tar::default()
            .file("/etc/passwd", "1")
            .file("//etc/./shadow", "2")
            .link(b'2', "s", "/nowhere")
            .file("s/../plain", "3")
            .link(b'1', "/hard", "/etc/../etc/passwd"),
    );
    assert_eq!(["etc/passwd", "etc/shadow", "plain", "hard"].map(|name| dir.text(name)), ["1", "2", "3", "1"]);
}

#[test]
fn owners_are_kept_where_they_can_be() {
    let dir = Dir::new("owners");
    let file = |name: &str, kind| {
        Block::new(name.as_bytes(), kind, 0)
            .put(100, b"0006755\0")
            .put(108, b"0001750\0")
            .put(116, b"0003720\0")
            .sealed()
    };
    let unpacked = dir.good(
        Tar::default()
            .add(file("f", b'0'), b"")
            .add(file("d", b'5'), b"")
            .add(file("l", b'2').put(157, b"f").sealed(), b"")
            .file("d/inside", "")
            .pax(b'x', &[("uid", b"4294967295")])
            .add(file("unmapped", b'0'), b""),
    );
    let owner = |name: &str| (dir.meta(name).uid(), dir.meta(name).gid());
    if owns_all() {
        assert_eq!(
            (owner("f"), owner("d"), owner("l"), owner("d/inside")),
            ((1000, 2000), (1000, 2000), (1000, 2000), (0, 0))
        );
        assert_eq!(dir.meta("f").permissions().mode() & 0o7777, 0o6755);
        // No map has -1: the file is nobody's, and must not be set-uid.
        assert_eq!((owner("unmapped"), dir.meta("unmapped").permissions().mode() & 0o7777), ((65534, 2000), 0o2755));
        assert_eq!(unpacked.owners_lost, 1);
    } else {
        assert_eq!(unpacked.owners_lost, 4);
        assert_eq!(dir.meta("f").permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let dir = Dir::new("replace");
    dir.good(
        Tar::default()
            .file("f-d", "x")
            .dir("f-d")
            .file("f-d/in", "1")
            .dir("d-f/a/b")
            .file("d-f/a/b/c", "x")
            .link(b'6', "d-f/pipe", "")
            .file("d-f", "2")
            .link(b'2', "l-f", "f-d/in")
            .file("l-f", "3")
            .link(b'2', "l-d", "d-d")
            .dir("l-d")
            .file("l-d/in", "4")
            .file("f-l", "x")
            .link(b'2', "f-l", "l-f")
            .dir("d-d")
            .file("d-d/keep", "5")
            .dir("d-d")
            .link(b'6', "p-f", "")
            .file("p-f", "6")
            .file("one", "7")
            .link(b'1', "two", "one")
            .file("one", "8")
            .link(b'1', "two", "two")
            .dir("d-h")
            .file("d-h/x", "")
            .link(b'1', "d-h", "one")
            // The remembered directory is gone, though its path leads somewhere again.
            .dir("p/q")
            .file("p/q/x", "")
            .link(b'2', "p", "d-d")
            .file("p/q", "9"),
    );
    assert_eq!(
        ["f-d/in", "d-f", "l-f", "l-d/in", "f-l", "d-d/keep", "p-f", "one", "two", "d-h", "d-d/q"].map(|f| dir.text(f)),
        ["1", "2", "3", "4", "3", "5", "6", "8", "7", "8", "9"]
    );
    assert!(dir.meta("l-d").is_dir() && !dir.exists("d-d/in"));
}

/// The directory of the last entry is kept open, but not when the entry has changed what its path means.
#[test]
fn paths_are_looked_up_again_after_a_removal() {
    let dir = Dir::new("again");
    dir.good(Tar::default().link(b'2', "s", ".").file("s/f", "1").dir("s/s").file("s/y", "2"));
    assert_eq!((dir.text("f"), dir.text("s/y"), dir.exists("y")), ("1".into(), "2".into(), false));
    let unpacked = dir.good(Tar::default().dir("d").link(b'1', "d", "d/missing").file("d/y", "3"));
    assert_eq!((dir.text("d/y"), unpacked.deferred.len()), ("3".into(), 1));
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let dir = Dir::new("whiteouts");
    dir.good(
        Tar::default()
            .file(".wh.gone", "")
            .file("new/dir/.wh.gone", "")
            .file("stays", "1")
            .file(".wh.stays", "")
            .file(".wh.comes", "")
            .file("comes", "2")
            .dir("d1")
            .file("d1/f", "3")
            .file(".wh.d1", "")
            .file(".wh.d2", "")
            .dir("d2")
            .file("d2/f", "4")
            .file(".wh.d3", "")
            .file("d3/x/f", "5")
            .file("late/f", "6")
            .file("late/.wh..wh..opq", "")
            .file("late/g", "7")
            .file("early/.wh..wh..opq", "")
            .file("early/f", "8")
            .dir(".wh..wh.plnk")
            .file(".wh..wh.plnk/1.2", "")
            .file(".wh..wh.aufs", ""),
    );
    assert!(dir.is_whiteout("gone") && dir.is_whiteout("new/dir/gone"));
    assert_eq!(
        ["stays", "comes", "d1/f", "d2/f", "d3/x/f", "late/f", "late/g", "early/f"].map(|f| dir.text(f)),
        ["1", "2", "3", "4", "5", "6", "7", "8"]
    );
    // A directory that was removed and made anew shows nothing of the lower one.
    assert!(["d1", "d2", "d3", "late", "early"].iter().all(|name| dir.is_opaque(name)));
    assert!(!dir.is_opaque("d3/x") && !dir.is_opaque("new") && !dir.is_opaque("."));
    let names: Vec<_> = std::fs::read_dir(dir.layer()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".wh.")), "{names:?}");
    // Overlay does not look for the mark on a root, and a link to the root is no other directory.
    for (link, name) in [("x", ".wh..wh..opq"), ("/", "y/.wh..wh..opq"), (".", "y/.wh..wh..opq")] {
        let dir = Dir::new("opaque-root");
        let unpacked = dir.good(Tar::default().link(b'2', "y", link).file(name, ""));
        assert!(unpacked.root.opaque && !dir.is_opaque("."), "{link} {name}");
    }
}

#[test]
fn access_control_lists_are_not_inherited() {
    let dir = Dir::new("acls");
    let acl =
        [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255];
    let unpacked = dir.good(
        Tar::default()
            .pax(b'x', &[("SCHILY.xattr.system.posix_acl_default", &acl), ("SCHILY.xattr.user.mine", b"1")])
            .dir("d")
            .file("d/f", "")
            .file("d/sub/f", ""),
    );
    // Not every file system keeps them.
    if unpacked.xattrs_lost == 0 {
        assert_eq!(dir.xattr("d", "system.posix_acl_default").unwrap(), acl);
    }
    assert_eq!(dir.xattr("d", "user.mine").unwrap(), b"1");
    for name in ["d/f", "d/sub"] {
        let file = File::open(dir.path(name)).unwrap();
        assert!(
            fs::flistxattr(file.as_fd()).unwrap().iter().all(|name| !name.to_bytes().starts_with(b"system.")),
            "{name}"
        );
    }
    assert_eq!(dir.meta("d/sub").permissions().mode() & 0o7777, 0o755);
}

#[test]
fn only_allowed_xattrs_are_set() {
    let dir = Dir::new("xattrs");
    let v2 = *b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let v3 = [&b"\x01\0\0\x03"[..], &v2[4..], &[0xa0, 0x86, 1, 0]].concat();
    let unpacked = dir.good(
        Tar::default()
            .pax(
                b'x',
                &[
                    ("SCHILY.xattr.user.mine", b"a\0b"),
                    ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
                    ("SCHILY.xattr.user.overlay.opaque", b"y"),
                    ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                    ("SCHILY.xattr.security.selinux", b"x"),
                    ("SCHILY.xattr.system.posix_acl_access", b"x"),
                ],
            )
            .dir("d")
            .pax(b'x', &[("SCHILY.xattr.user.mine", b"1"), ("SCHILY.xattr.security.capability", &v2)])
            .file("ping", "x")
            .pax(b'x', &[("SCHILY.xattr.security.capability", &v3)])
            .file("ping3", "x"),
    );
    assert_eq!(dir.xattr("d", "user.mine").unwrap(), b"a\0b");
    assert_eq!(dir.xattr("ping", "user.mine").unwrap(), b"1");
    let root = File::open(dir.path("d")).unwrap();
    let names = fs::flistxattr(root.as_fd()).unwrap();
    assert!(
        names.iter().all(|name| name.as_c_str() == c"user.mine" || name.as_c_str() == c"security.selinux"),
        "{names:?}"
    );
    if owns_all() {
        assert_eq!(dir.xattr("ping", "security.capability").unwrap(), v2);
        assert_eq!(dir.xattr("ping3", "security.capability").unwrap(), v2);
        assert_eq!(unpacked.xattrs_lost, 5);
    }
}

#[test]
fn sparse_files_have_their_holes() {
    let dir = Dir::new("sparse");
    let records = [("GNU.sparse.size", &b"10000000"[..]), ("GNU.sparse.map", b"0,2,5000000,3,10000000,0")];
    dir.good(Tar::default().pax(b'x', &records).file("s", "abcde").file("after", "x"));
    let bytes = std::fs::read(dir.path("s")).unwrap();
    assert_eq!((bytes.len(), &bytes[..3], &bytes[4_999_999..5_000_004]), (10_000_000, &b"ab\0"[..], &b"\0cde\0"[..]));
    assert!(dir.meta("s").blocks() < 1000);
    assert_eq!(dir.text("after"), "x");
}

/// Every evil name as every kind of entry: nothing outside changes, and what has to be an error is one.
#[test]
fn nothing_outside_is_touched() {
    // All that lies beside the layer. (Its directory's own times change with what is put into it.)
    let snapshot = |dir: &Dir| {
        let mut lines = Vec::new();
        for parent in [dir.0.clone(), dir.0.join("victim")] {
            for entry in std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap()) {
                let meta = entry.metadata().unwrap();
                let content = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let changes = if entry.file_name() == "layer" { (0, 0) } else { (meta.ctime(), meta.ctime_nsec()) };
                lines.push(format!(
                    "{:?} {} {content} {changes:?}",
                    entry.path(),
                    meta.nlink() * (changes.0 != 0) as u64
                ));
            }
        }
        lines.sort();
        lines
    };
    let make = |number: usize| {
        let dir = Dir::new(&format!("evil-{number}"));
        std::fs::write(dir.0.join("secret"), "secret").unwrap();
        std::fs::create_dir(dir.0.join("victim")).unwrap();
        std::fs::write(dir.0.join("victim/file"), "victim").unwrap();
        dir
    };
    let outside = make(0);
    let victim = outside.0.join("victim").to_string_lossy().into_owned();
    // Symlinks that an earlier entry has put there, then names through them.
    let start = || {
        Tar::default()
            .dir("sub")
            .file("sub/own", "own")
            .link(b'2', "abs", &victim)
            .link(b'2', "up", "../victim")
            .link(b'2', "far", "../../../../../../../../../..")
            .link(b'2', "file", "../secret")
            .link(b'2', "loop", "loop")
            .link(b'2', "sub/up", "../../victim")
            .link(b'2', "proc", "/proc/self/cwd")
            .link(b'2', "chain", "up")
    };
    let victim_file = format!("{victim}/file");
    let names = [
        "..",
        "../x",
        "../victim",
        "../victim/file",
        "../secret",
        "sub/../../secret",
        "sub/..",
        "/..",
        "/../secret",
        "./../secret",
        "sub//..//../x",
        "abs/file",
        "abs/new",
        "up/file",
        "up/new",
        "sub/up/file",
        "chain/file",
        "far/tmp/ccrun-evil",
        "far",
        "abs",
        "up",
        "file",
        "file/x",
        "loop/x",
        "loop",
        "proc/x",
        "proc",
        &victim_file,
        "/secret",
        ".wh...",
        ".wh..",
        ".wh.",
        "../.wh.secret",
        "up/.wh.file",
        "abs/.wh..wh..opq",
        "../.wh..wh..opq",
        "up/../secret",
        ".",
        "/",
        "./.",
        "x\n../y",
        "sub/own/x",
        "abs/a/b/c",
    ];
    let before = snapshot(&outside);
    for (number, name) in names.iter().enumerate() {
        let dir = make(number + 1);
        let ours = snapshot(&dir);
        for kind in *b"01234567" {
            for target in [
                "sub/own",
                "../secret",
                "/etc/passwd",
                "abs/file",
                "up/file",
                "file",
                &victim_file,
                "sub/../../secret",
                "..",
                "",
            ] {
                if !matches!(kind, b'1' | b'2') && target != "sub/own" {
                    continue;
                }
                let body: &[u8] = if matches!(kind, b'0' | b'7') { b"evil" } else { b"" };
                let block = Block::new(name.as_bytes(), kind, body.len())
                    .put(157, target.as_bytes())
                    .put(100, b"0000777\0")
                    .sealed();
                let tar = start().add(block, body);
                // With openat2 and without it.
                for old_kernel in [false, true] {
                    let answer = dir.unpack_with(&tar.bytes_so_far(), &Limits::default(), old_kernel);
                    let told = format!("{name:?} {} {target:?}: {answer:?}", kind as char);
                    assert_eq!(snapshot(&dir), ours, "{told}");
                    assert_eq!(snapshot(&outside), before, "{told}");
                    let climbs = |path: &str| name::entry_path(path.as_bytes()).is_err();
                    if climbs(name) {
                        let error = answer.expect_err(&told).to_string();
                        assert!(error.contains("leads out of the layer") && error.starts_with("tar entry '"), "{told}");
                    } else if ["abs/file", "up/file", "sub/up/file", "chain/file", "file/x", "loop/x", "proc/x"]
                        .contains(name)
                    {
                        let error = answer.expect_err(&told).to_string();
                        assert!(error.contains("leads to no directory in this layer"), "{told}");
                    } else if kind == b'1' && climbs(target) && !name.contains(".wh.") {
                        assert!(answer.is_err(), "{told}");
                    } else if let Ok(unpacked) = &answer {
                        // A hard link to a path outside is one to a file that no layer has.
                        assert!(
                            link_from_lower(&[], dir.root().as_fd(), &unpacked.deferred).is_err()
                                || unpacked.deferred.is_empty()
                        );
                        assert_eq!(snapshot(&outside), before, "{told}");
                    }
                }
            }
        }
    }
}

#[test]
fn symlinks_on_the_way_stay_inside() {
    for old_kernel in [false, true] {
        let dir = Dir::new(if old_kernel { "walk" } else { "openat2" });
        let tar = Tar::default()
            .dir("run")
            .dir("usr/lib")
            .dir("var")
            .link(b'2', "var/run", "/run")
            .link(b'2', "lib", "usr/lib")
            .link(b'2', "usr/up", "../../../../usr/../run/../var/run")
            .file("var/run/pid", "1")
            .file("lib/libc.so", "2")
            .file("usr/up/x", "3")
            .dir("lib/new")
            .file("lib/new/y", "4")
            .link(b'1', "hard", "var/run/pid")
            .end();
        dir.unpack_with(&tar, &Limits::default(), old_kernel).unwrap();
        assert_eq!(
            ["run/pid", "usr/lib/libc.so", "run/x", "usr/lib/new/y", "hard"].map(|f| dir.text(f)),
            ["1", "2", "3", "4", "1"]
        );
    }
}

#[test]
fn a_directory_over_a_symlink_never_changes_what_it_points_to() {
    let dir = Dir::new("dir-over-link");
    let victim = dir.0.join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o700)).unwrap();
    let open = Block::new(b"x", b'5', 0).put(100, b"0000777\0").sealed();
    let tar = Tar::default().dir("x").link(b'2', "x", victim.to_str().unwrap()).add(open, b"");
    dir.good(tar);
    assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(dir.meta("x").is_dir());
    // Remembered as a directory, a symlink in the end.
    dir.good(Tar::default().dir("y").link(b'2', "y", victim.to_str().unwrap()));
    assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn hard_links_wait_for_their_target() {
    let (lowest, lower, dir) = (Dir::new("lowest"), Dir::new("lower"), Dir::new("upper"));
    lowest.good(
        Tar::default()
            .file("a/f", "lowest")
            .file("a/hidden", "x")
            .file("b/f", "b")
            .link(b'2', "l", "t")
            .file("o/f", "x"),
    );
    let set_id = Block::new(b"a/f", b'0', 2).put(100, b"0004755\0").put(136, b"00000000007\0").sealed();
    lower.good(Tar::default().add(set_id, b"hi").file("a/.wh.hidden", "").file("o/.wh..wh..opq", ""));
    let early = Tar::default()
        .link(b'1', "first", "later")
        .file("later", "x")
        .link(b'1', "taken", "later2")
        .file("taken", "y")
        .file("later2", "");
    let unpacked = dir.good(early);
    assert!(unpacked.deferred.is_empty());
    assert_eq!(dir.meta("first").ino(), dir.meta("later").ino());
    assert_eq!(dir.text("taken"), "y");
    let unpacked = dir.good(
        Tar::default()
            .dir("d")
            .link(b'1', "d/one", "a/f")
            .link(b'1', "d/two", "/a/f")
            .link(b'1', "three", "b/f")
            .link(b'1', "four", "l")
            .link(b'1', "five", "three"),
    );
    assert_eq!(unpacked.deferred.len(), 5);
    let unpacked = Unpacked::decode(&unpacked.encode()).unwrap();
    let lowers = [lower.root(), lowest.root()];
    let lowers = [lowers[0].as_fd(), lowers[1].as_fd()];
    link_from_lower(&lowers, dir.root().as_fd(), &unpacked.deferred).unwrap();
    assert_eq!(["d/one", "d/two", "three"].map(|f| dir.text(f)), ["hi", "hi", "b"]);
    assert_eq!(dir.meta("d/one").ino(), dir.meta("d/two").ino());
    assert_eq!(dir.meta("three").ino(), dir.meta("five").ino());
    assert_eq!((dir.meta("d/one").permissions().mode() & 0o7777, dir.meta("d/one").mtime()), (0o4755, 7));
    assert_eq!(std::fs::read_link(dir.path("four")).unwrap(), Path::new("t"));
    assert_eq!(dir.meta("d").mtime(), 0);
    for target in ["nowhere", "a/hidden", "o/f", "a", "l/x"] {
        let unpacked = dir.good(Tar::default().link(b'1', "bad", target));
        let error = link_from_lower(&lowers, dir.root().as_fd(), &unpacked.deferred).unwrap_err().to_string();
        assert!(error.starts_with(&format!("hard link 'bad' to '{target}'")), "{error}");
    }
}

#[test]
fn limits_are_errors() {
    let dir = Dir::new("limits");
    let tar = Tar::default().file("a", "12345").file("b", "67890").end();
    let with = |limits: Limits| dir.unpack_with(&tar, &limits, false).map_err(|error| error.to_string());
    assert!(with(Limits { entries: 2, stream: 3072, ..Limits::default() }).is_ok());
    assert!(with(Limits { entries: 1, ..Limits::default() }).unwrap_err().contains("more than 1 entries"));
    let error = with(Limits { stream: 3071, ..Limits::default() }).unwrap_err();
    assert_eq!(error, "read the tar archive at byte 3072: it has more than 3071 bytes, too many for its blob");
    let bomb = Tar::default().file("z", &"\0".repeat(1_000_000)).end();
    let error = dir.unpack_with(&bomb, &Limits { stream: 500_000, ..Limits::default() }, false).unwrap_err();
    assert!(error.to_string().starts_with("tar entry 'z' at byte 0: read the tar archive at byte 5"), "{error}");
    assert_eq!((Limits::compressed_to(100).stream, Limits::compressed_to(1 << 30).stream), (1 << 30, 1000 << 30));
    assert!(with(Limits { reserve: u64::MAX, ..Limits::default() }).unwrap_err().contains("ENOSPC"));
    let error = dir.unpack(&tar[..514]).unwrap_err().to_string();
    assert!(error.contains("'a'") && error.contains("truncated at byte 514"), "{error}");
}

#[test]
fn depth_and_numbers_cost_no_more_than_they_have_to() {
    let dir = Dir::new("depth");
    // Each path is as long as Linux allows, and lies where the one before has ended.
    let long = "d/".repeat(2000);
    let mut tar = Tar::default();
    for level in 0..3 {
        let through = if level == 0 { String::new() } else { "s/".to_owned() };
        tar = tar.long(b'L', format!("{through}{long}").as_bytes()).dir("x");
        tar = tar.long(b'K', format!("{through}{long}").as_bytes()).link(b'2', "s", "x");
    }
    let start = std::time::Instant::now();
    let answer = dir.unpack(&tar.end());
    assert!(answer.is_ok() || answer.unwrap_err().to_string().contains("tar entry"));
    let mut tar = Tar::default().dir("o");
    for _ in 0..20_000 {
        tar = tar.file("o/.wh..wh..opq", "");
    }
    dir.good(tar);
    dir.good(Tar::default().file("d", "in place of the deep tree"));
    assert!(start.elapsed().as_secs() < 20);
}

/// Trees that GNU tar packs and unpacks come out the same from ours.
#[test]
fn what_gnu_tar_makes_of_a_real_tree_we_make_too() {
    let (theirs, ours) = (Dir::new("gnu"), Dir::new("own"));
    let tar = theirs.0.join("tar");
    let tar_command = |args: &[&str]| assert!(Command::new("tar").args(args).status().unwrap().success());
    // /etc has files that only root can read.
    let (etc, owners) = if owns_all() { ("etc", "--same-owner") } else { ("bin", "--no-same-owner") };
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    tar_command(&["-C", "/", "-cf", &path(&tar), "--format=posix", "--sparse", etc, "usr/share/zoneinfo", "bin"]);
    tar_command(&["-C", &path(&theirs.layer()), "-xpf", &path(&tar), "--numeric-owner", owners]);
    let unpacked = ours.unpack(&std::fs::read(&tar).unwrap()).unwrap();
    if owns_all() {
        assert_eq!((unpacked.owners_lost, unpacked.devices_lost), (0, 0));
    }
    let listing = |dir: &Dir| {
        let format = "%P %y %m %U %G %n %T@ %l\\n";
        let output =
            Command::new("find").arg(dir.layer()).args(["-mindepth", "1", "-printf", format]).output().unwrap();
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        // Parents that no entry told of have the time of their making.
        lines.retain(|line| !line.starts_with("usr d") && !line.starts_with("usr/share d"));
        lines
    };
    for (a, b) in listing(&theirs).iter().zip(&listing(&ours)) {
        assert_eq!(a, b);
    }
    assert_eq!(listing(&theirs).len(), listing(&ours).len());
    let same =
        Command::new("diff").args(["-r", "--no-dereference"]).args([theirs.layer(), ours.layer()]).status().unwrap();
    assert!(same.success());
}

/// Damaged layers: nothing outside changes, whatever comes of them inside.
#[test]
fn any_damaged_layer_stays_inside() {
    let outside = Dir::new("random");
    std::fs::write(outside.0.join("secret"), "secret").unwrap();
    let mut random = Random::seeded();
    let seed = Tar::default()
        .dir("d/")
        .file("d/f", "hello")
        .link(b'2', "l", "../secret")
        .link(b'1', "h", "d/f")
        .file("l", "x")
        .file("d/.wh.x", "")
        .file("d/.wh..wh..opq", "")
        .pax(b'x', &[("path", b"d/../d/long"), ("uid", b"5")])
        .file("d/g", "")
        .link(b'2', "d/up", "../..")
        .file("d/up/secret", "evil")
        .link(b'1', "d/up/h", "l")
        .end();
    for _ in 0..2000 {
        let mut bytes = seed.clone();
        random.mutate(&mut bytes);
        for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            let sealed = Block(block.try_into().unwrap()).sealed();
            block.copy_from_slice(&sealed.0);
        }
        _ = outside.unpack(&bytes);
        assert_eq!(std::fs::read_to_string(outside.0.join("secret")).unwrap(), "secret");
        let names = std::fs::read_dir(&outside.0).unwrap().count();
        assert_eq!(names, 2);
    }
}

/// Not a test but a measurement: `CCRUN_BENCH_TAR_GZ=x.tar.gz CCRUN_BENCH_DIR=dir cargo test --release
/// --target … bench -- --ignored --nocapture` does what a pull does after the download.
#[test]
#[ignore = "a measurement"]
fn bench_unpack() {
    use sha2::{Digest, Sha256};
    use std::io::Write;
    let Ok(archive) = std::env::var("CCRUN_BENCH_TAR_GZ") else { return };
    struct Hashing<R>(R, Sha256);
    impl<R: Read> Read for Hashing<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.update(&buffer[..count]);
            Ok(count)
        }
    }
    let open = move || crate::image::gzip::Inflate::new(Hashing(File::open(&archive).unwrap(), Sha256::new()));
    let start = std::time::Instant::now();
    let (mut inflate, mut total) = (open(), 0);
    loop {
        let count = inflate.fill_buf().unwrap().len();
        if count == 0 {
            break;
        }
        total += count;
        inflate.consume(count);
    }
    println!("inflate and sha256 of the gzip: {:?} for {total} bytes", start.elapsed());
    let start = std::time::Instant::now();
    let (mut inflate, mut plain) = (open(), Sha256::new());
    loop {
        let ready = inflate.fill_buf().unwrap();
        let count = ready.len();
        if count == 0 {
            break;
        }
        plain.update(ready);
        inflate.consume(count);
    }
    println!("the same and sha256 of the tar: {:?}", start.elapsed());
    let Ok(dir) = std::env::var("CCRUN_BENCH_DIR") else { return };
    let start = std::time::Instant::now();
    let (reader, writer) = fs::pipe2(0).unwrap();
    fs::set_pipe_size(writer.as_fd(), 1 << 20).unwrap();
    let inflating = std::thread::spawn(move || {
        let (mut inflate, mut plain, mut pipe) = (open(), Sha256::new(), File::from(writer));
        loop {
            let ready = inflate.fill_buf().unwrap();
            let count = ready.len();
            if count == 0 {
                break;
            }
            pipe.write_all(ready).unwrap();
            plain.update(ready);
            inflate.consume(count);
        }
    });
    let root = File::open(dir).unwrap();
    let mut record = Vec::new();
    let unpacked =
        unpack(&mut File::from(reader), &mut record, root.as_fd(), &Limits::default(), &fs::mknodat).unwrap();
    inflating.join().unwrap();
    println!("all of it: {:?}: {unpacked:?}", start.elapsed());
    let mut parts = Vec::new();
    crate::image::gzip::Inflate::new(&record[..]).read_to_end(&mut parts).unwrap();
    let compressing = std::time::Instant::now();
    let mut again = crate::image::gzip::Deflate::new(std::io::sink()).unwrap();
    again.write_all(&parts).unwrap();
    again.finish().unwrap();
    println!("a record of {} bytes, {:?} to compress {}", record.len(), compressing.elapsed(), parts.len());
}
