//! What a layer takes from the layers below it.

use super::*;

/// Owner, mode and time of a directory.
fn attributes(dir: &Dir, name: &str) -> (u32, u32, i64, i64) {
    let meta = dir.meta(name);
    (meta.uid(), meta.permissions().mode() & 0o7777, meta.mtime(), meta.mtime_nsec())
}

fn directory(name: &str, mode: &[u8], mtime: &[u8]) -> Block {
    let owner: &[u8] = if owns_all() { b"0000007\0" } else { b"0000000\0" };
    Block::new(name.as_bytes(), b'5', 0).put(100, mode).put(108, owner).put(136, mtime).sealed()
}

/// A layer that lies on others, as `download` makes it.
fn above(name: &str, tar: Tar, lowers: &[&Dir]) -> Dir {
    let dir = Dir::new(name);
    let unpacked = Unpacked::decode(&dir.good(tar).encode()).unwrap();
    let roots: Vec<File> = lowers.iter().map(|lower| lower.root()).collect();
    let roots: Vec<BorrowedFd<'_>> = roots.iter().map(AsFd::as_fd).collect();
    adopt(&roots, dir.root().as_fd(), &unpacked.made_up).unwrap();
    dir
}

#[test]
fn directories_that_no_entry_tells_of_are_as_in_the_layers_below() {
    let lowest = Dir::new("lowest-made-up");
    let time = [("mtime", &b"1600000000.5"[..]), ("SCHILY.xattr.user.mine", b"1")];
    lowest.good(
        Tar::default()
            .add(directory("./", b"0000700\0", b"00000000001\0"), b"")
            .pax(b'x', &time)
            .add(directory("a", b"0001777\0", b"00000000001\0"), b"")
            .add(directory("a/b", b"0000500\0", b"00000000002\0"), b"")
            .add(directory("o", b"0000711\0", b"00000000003\0"), b"")
            .add(directory("o/p", b"0000711\0", b"00000000003\0"), b"")
            .add(directory("w", b"0000711\0", b"00000000003\0"), b"")
            .add(directory("w/x", b"0000711\0", b"00000000003\0"), b"")
            .add(directory("f", b"0000711\0", b"00000000003\0"), b"")
            .add(directory("told", b"0000711\0", b"00000000003\0"), b""),
    );
    let lower = above(
        "lower-made-up",
        Tar::default()
            .file("a/b/c/file", "1")
            .file("o/.wh..wh..opq", "")
            .file("o/p/file", "")
            .file(".wh.w", "")
            .file("w/x/file", "")
            .file("f", "no directory any more")
            .file("told/early", "")
            .add(directory("told", b"0000750\0", b"00000000004\0"), b"")
            .file("gone/dir/file", "")
            .link(b'2', "gone", "a"),
        &[&lowest],
    );
    let owner = lowest.meta("a").uid();
    let fresh = |dir: &Dir, name: &str| {
        let (uid, mode, mtime, _) = attributes(dir, name);
        (uid, mode, mtime > 1_600_000_001) == (dir.meta(".").uid(), 0o755, true)
    };
    assert_eq!(attributes(&lower, "a"), (owner, 0o1777, 1_600_000_000, 500_000_000));
    assert_eq!(lower.xattr("a", "user.mine").unwrap(), b"1");
    assert_eq!(attributes(&lower, "a/b"), (owner, 0o500, 2, 0));
    assert_eq!(attributes(&lower, "o"), (owner, 0o711, 3, 0));
    assert_eq!(attributes(&lower, "told"), (owner, 0o750, 4, 0));
    // Nothing shines through into these: they are new ones.
    assert!(["a/b/c", "o/p", "w", "w/x"].iter().all(|name| fresh(&lower, name)));
    assert!(lower.is_opaque("o") && lower.is_opaque("w") && !lower.is_opaque("a"));

    let upper =
        above("upper-made-up", Tar::default().file("a/new", "").file("o/p/q", "").file("f/x", ""), &[&lower, &lowest]);
    assert_eq!(attributes(&upper, "a"), (owner, 0o1777, 1_600_000_000, 500_000_000));
    assert_eq!(attributes(&upper, "o"), (owner, 0o711, 3, 0));
    assert!(!upper.is_opaque("o") && fresh(&upper, "o/p") && fresh(&upper, "f"));
}

/// What an entry tells of a directory belongs to that directory, and not to what has its name later.
#[test]
fn attributes_go_with_their_directory() {
    let dir = Dir::new("go-with");
    dir.good(
        Tar::default()
            .add(directory("d/x", b"0000711\0", b"00000000001\0"), b"")
            .add(directory("e", b"0000750\0", b"00000000002\0"), b"")
            .add(directory("e/x", b"0000700\0", b"00000000003\0"), b"")
            .link(b'2', "d", "e")
            .link(b'2', "s", "e")
            .add(directory("s/y", b"0000701\0", b"00000000004\0"), b"")
            .link(b'2', "s", "nowhere"),
    );
    assert_eq!((attributes(&dir, "e/x").1, attributes(&dir, "e/x").2), (0o700, 3));
    assert_eq!((attributes(&dir, "e/y").1, attributes(&dir, "e/y").2), (0o701, 4));
}
