//! What comes in comes out again: [`Dir::unpack`] compares, so here it is enough to unpack what is odd.

use super::*;

#[test]
fn contents_that_are_replaced_later_are_kept() {
    let dir = Dir::new("replaced");
    let sparse = [("GNU.sparse.size", &b"10000000000000"[..]), ("GNU.sparse.map", b"0,2,5000000000000,3")];
    dir.good(
        Tar::default()
            .file("f", "1")
            .file("f", "22")
            .file("f", "")
            .file("f", "333")
            .link(b'2', "f", "x")
            .file("f", "4444")
            .dir("d/e")
            .file("d/a", "5")
            .link(b'1', "d/b", "d/a")
            .pax(b'x', &sparse)
            .file("d/e/s", "abcde")
            .file("d/e/t", &"t".repeat(200_000))
            .file("d", "6")
            .dir("d")
            .file("d/a", "7")
            .link(b'1', "d", "d/a/nowhere")
            .dir("d")
            .file("d/a", "8"),
    );
    assert_eq!((dir.text("f"), dir.text("d/a")), ("4444".into(), "8".into()));
}

#[test]
fn contents_are_found_though_symlinks_lead_elsewhere_by_now() {
    for old_kernel in [false, true] {
        let dir = Dir::new(&format!("alias-{old_kernel}"));
        let tar = Tar::default()
            .dir("a/sub")
            .dir("b")
            .link(b'2', "s", "a")
            .link(b'2', "a/up", "../s/./sub/..")
            .file("s/f", "1")
            .file("a/up/g", "2")
            .link(b'2', "s", "/b")
            .file("s/f", "3")
            .file("a/f", "4")
            .file("s/f", "5")
            .end();
        dir.unpack_with(&tar, &Limits::default(), old_kernel).unwrap();
        assert_eq!(["a/f", "a/g", "b/f"].map(|f| dir.text(f)), ["4", "2", "5"]);
    }
}

#[test]
fn bytes_that_make_no_file_are_kept() {
    let dir = Dir::new("bytes");
    let mut tar = Tar::default()
        .file(".wh.x", "a whiteout's body")
        .file("d/.wh..wh..opq", "another")
        .file(".wh..wh.aufs", &"ignored".repeat(30_000))
        .add(Block::new(b"l", b'2', 5).put(157, b"target").sealed(), b"")
        .pax(b'g', &[("comment", b"git")])
        .file("last", "x")
        .bytes(&[0; 1024])
        .bytes(&[0; 9000])
        .bytes(b"what follows the end");
    tar = tar.bytes(&[0xff; 100_000]);
    dir.unpack(&tar.open_end()).unwrap();
    Dir::new("nothing").unpack(b"").unwrap();
}

/// A tar and its record, the file not replaced.
fn recorded(dir: &Dir) -> (Vec<u8>, Vec<u8>) {
    let tar = Tar::default().file("a", "1").file("a", "2").dir("d").file("d/f", &"text".repeat(1000)).end();
    let mut record = Vec::new();
    unpack(&mut &tar[..], &mut record, dir.root().as_fd(), &Limits::default(), &fs::mknodat).unwrap();
    (tar, record)
}

#[test]
fn a_damaged_record_is_an_error() {
    let dir = Dir::new("damaged");
    let (tar, record) = recorded(&dir);
    assert_eq!(dir.rebuild(&record).unwrap(), tar);
    for cut in 0..record.len() {
        assert!(dir.rebuild(&record[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..record.len() {
        let mut flipped = record.clone();
        flipped[at] ^= 0x10;
        // A few bits say nothing.
        assert!(dir.rebuild(&flipped).map_or(true, |again| again == tar), "flipped at {at}");
    }
}

#[test]
fn a_file_that_is_not_as_it_was_is_an_error() {
    let dir = Dir::new("changed");
    let (_, record) = recorded(&dir);
    let file = dir.path("d/f");
    let error = |dir: &Dir| dir.rebuild(&record).unwrap_err().to_string();
    std::fs::write(&file, "short").unwrap();
    assert_eq!(error(&dir), "the layer's file \"d/f\": is shorter than it was");
    std::fs::remove_file(&file).unwrap();
    assert!(error(&dir).starts_with("the layer's file \"d/f\": openat("));
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(error(&dir).contains("ELOOP"));
    std::fs::remove_file(&file).unwrap();
    Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(error(&dir).contains("ESPIPE"));
    std::fs::remove_dir_all(dir.path("d")).unwrap();
    assert_eq!(error(&dir), "the layer's file \"d/f\": is gone");
}

/// Removing all names of one file costs its contents once and no more, or the record is given up.
#[test]
fn what_is_replaced_cannot_fill_the_disk() {
    let dir = Dir::new("names");
    let mut tar = Tar::default().dir("d").file("d/f", &"x".repeat(100_000));
    for number in 0..100 {
        tar = tar.link(b'1', &format!("d/{number}"), "d/f");
    }
    let tar = tar.file("d", "").end();
    let mut record = Vec::new();
    unpack(&mut &tar[..], &mut record, dir.root().as_fd(), &Limits::default(), &fs::mknodat).unwrap();
    assert!(record.len() < 100_000);
    let error = dir.rebuild(&record).unwrap_err().to_string();
    assert_eq!(error, "it replaces more of its own files than its record keeps");
}
