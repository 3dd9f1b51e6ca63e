//! Tests of `writer`: what it writes, our reader and other people's programs read.

use super::super::fixture::Random;
use super::super::{Archive, Entry};
use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

fn entry(name: impl AsRef<[u8]>, kind: Kind) -> Entry {
    Entry {
        name: name.as_ref().to_vec(),
        link: Vec::new(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Time::default(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
        offset: 0,
    }
}

fn file(name: impl AsRef<[u8]>, size: u64) -> Entry {
    Entry { size, ..entry(name, Kind::File) }
}

fn written(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for &(ref entry, mut body) in entries {
        writer.append(entry, &mut body).unwrap();
    }
    writer.finish().unwrap()
}

/// All entries with their bodies.
fn read(tar: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut archive = Archive::new(tar);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next().unwrap() {
        let mut body = Vec::new();
        while !archive.body().unwrap().is_empty() {
            body.extend_from_slice(archive.body().unwrap());
            let count = archive.body().unwrap().len();
            archive.consume(count);
        }
        entries.push((entry, body));
    }
    entries
}

/// What the reader makes of an entry is the entry.
fn assert_round_trip(entry: &Entry, body: &[u8]) {
    let tar = written(&[(entry.clone(), body), (file("after", 1), b"x")]);
    assert_eq!(tar.len() % BLOCK, 0);
    let back = read(&tar);
    assert_eq!(back.len(), 2);
    let told = Entry { offset: 0, ..back[0].0.clone() };
    assert_eq!(format!("{told:?}"), format!("{entry:?}"));
    assert_eq!(back[0].1, body);
    assert_eq!((&back[1].0.name[..], &back[1].1[..]), (&b"after"[..], &b"x"[..]));
}

#[test]
fn every_kind_comes_back_as_it_went() {
    let link = |kind, target: &str| Entry { link: target.into(), ..entry("l", kind) };
    let time = Time { seconds: 1_700_000_000, nanoseconds: 0 };
    assert_round_trip(&Entry { mode: 0o4755, uid: 1000, gid: 100, mtime: time, ..file("bin/su", 3) }, b"abc");
    assert_round_trip(&file("empty", 0), b"");
    assert_round_trip(&file("block", 512), &[7; 512]);
    assert_round_trip(&file("big", 200_001), &[7; 200_001]);
    assert_round_trip(&Entry { mode: 0o1777, ..entry("tmp/", Kind::Directory) }, b"");
    assert_round_trip(&link(Kind::Symlink, "../x"), b"");
    assert_round_trip(&link(Kind::HardLink, "bin/su"), b"");
    assert_round_trip(&Entry { device: (5, 1), ..entry("dev/console", Kind::Character) }, b"");
    assert_round_trip(&Entry { device: (4095, 1_048_575), ..entry("dev/sda", Kind::Block) }, b"");
    assert_round_trip(&entry("fifo", Kind::Fifo), b"");
}

#[test]
fn what_ustar_cannot_say_goes_into_records() {
    let plain = written(&[(file("a", 0), b"")]).len();
    let needs_none = |entry: &Entry| written(&[(entry.clone(), b"")]).len() == plain;
    for (at, seconds) in [0, -1, -5, 1 << 33, -(1 << 40), (1 << 33) - 1].into_iter().enumerate() {
        for nanoseconds in [0, 1, 100_000_000, 999_999_999] {
            assert_round_trip(&Entry { mtime: Time { seconds, nanoseconds }, ..file(format!("t{at}"), 0) }, b"");
        }
    }
    assert_round_trip(&Entry { uid: 3_000_000_000, gid: 2_097_152, ..file("ids", 0) }, b"");
    assert!(needs_none(&Entry { uid: 2_097_151, gid: 2_097_151, ..file("ids", 0) }));
    let xattrs = vec![(b"user.a".to_vec(), b"1\0\n2".to_vec()), (b"security.capability".to_vec(), vec![1, 0, 0, 2])];
    assert_round_trip(&Entry { xattrs, ..file("xattrs", 0) }, b"");
    for length in [99, 100, 101, 155, 156, 254, 255, 256, 257, 1000, 4000] {
        // A slash at every tenth place, nearly at every, none in reach.
        for step in [10, 101, 200] {
            let name: String = (1..=length).map(|at| if at % step == 0 && at < length { '/' } else { 'n' }).collect();
            assert_round_trip(&file(&name, 0), b"");
            assert_round_trip(&Entry { link: name.into(), ..entry("link", Kind::Symlink) }, b"");
        }
    }
    assert!(needs_none(&file(format!("{}/{}", "d".repeat(155), "f".repeat(100)), 0)));
    assert!(!needs_none(&file(format!("{}/{}", "d".repeat(156), "f".repeat(100)), 0)));
    for name in ["schön", "日本語", &"ü".repeat(120)] {
        assert_round_trip(&file(name, 0), b"");
    }
    assert_round_trip(&file(b"not \xff utf-8", 0), b"");
    assert_round_trip(&file([b"\xff".repeat(150), b"/\xfe".to_vec()].concat(), 0), b"");
}

#[test]
fn a_body_must_be_as_long_as_it_is_said_to_be() {
    let error = |size: u64, mut body: &[u8]| {
        Writer::new(Vec::new()).append(&file("f", size), &mut body).map_err(|error| error.to_string())
    };
    assert_eq!(error(3, b"ab"), Err("tar entry 'f': the file ends 1 bytes before its size, 3".into()));
    assert_eq!(error(3, b"abcd"), Err("tar entry 'f': the file is longer than its size, 3".into()));
    assert_eq!(error(3, b"abc"), Ok(()));
    let odd = Entry { xattrs: vec![(b"user.a=b".to_vec(), Vec::new())], ..file("f", 0) };
    assert!(Writer::new(Vec::new()).append(&odd, &mut std::io::empty()).is_err());
}

#[test]
fn thousands_of_random_entries_come_back() {
    let mut random = Random::seeded();
    for _ in 0..3000 {
        let part = |random: &mut Random, most: usize| -> String {
            (0..1 + random.below(most)).map(|_| ['a', 'b', '.', 'é', ' '][random.below(5)]).collect()
        };
        let name = (0..1 + random.below(9)).map(|_| part(&mut random, 60)).collect::<Vec<_>>().join("/");
        let body = vec![b'x'; random.below(1500)];
        let kind = [Kind::File, Kind::Symlink, Kind::Directory][random.below(3)];
        let mtime = Time { seconds: random.next() as i64 >> 20, nanoseconds: random.below(1_000_000_000) as u32 };
        let is_file = kind == Kind::File;
        let told = Entry {
            size: if is_file { body.len() as u64 } else { 0 },
            link: if kind == Kind::Symlink { part(&mut random, 200).into() } else { Vec::new() },
            mode: random.below(0o10000) as u32,
            uid: random.next() >> 32,
            mtime,
            ..entry(name, kind)
        };
        assert_round_trip(&told, if is_file { &body } else { b"" });
    }
}

/// What a program lists of an archive on its standard input.
fn listed(program: &str, args: &[&str], tar: &[u8]) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(tar).ok()?;
    let output = child.wait_with_output().ok()?;
    assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn other_programs_read_it() {
    let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
    let long = format!("{}/{}", "d".repeat(200), "ü".repeat(60));
    let tar = written(&[
        (Entry { mode: 0o1755, mtime: time(1_700_000_000, 123_456_789), ..entry("d/", Kind::Directory) }, b""),
        (Entry { uid: 3_000_000, gid: 7, mtime: time(-1, 0), ..file(&long, 5) }, b"hello"),
        (Entry { link: long.clone().into(), ..entry("hard", Kind::HardLink) }, b""),
        (Entry { link: "t".repeat(150).into(), ..entry("soft", Kind::Symlink) }, b""),
        (Entry { device: (5, 1), ..entry("console", Kind::Character) }, b""),
        (Entry { xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())], ..file("last", 0) }, b""),
    ]);
    for (program, args) in [("tar", &["-tvf", "-", "--numeric-owner"][..]), ("bsdtar", &["-tvf", "-"])] {
        let Some(list) = listed(program, args, &tar) else { continue };
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 6, "{list}");
        assert!(lines[0].starts_with("drwxr-xr-t") && lines[0].ends_with(" d/"), "{list}");
        assert!(
            lines[1].starts_with("-rw-r--r--") && lines[1].contains("3000000") && lines[1].ends_with(&long),
            "{list}"
        );
        assert!(lines[2].starts_with('h') && lines[2].contains(&format!("hard link to {long}")), "{list}");
        assert!(lines[3].ends_with(&format!("soft -> {}", "t".repeat(150))), "{list}");
        assert!(lines[4].starts_with('c') && lines[4].contains("5,1"), "{list}");
        assert!(lines[5].ends_with("last"), "{list}");
    }
    if let Some(times) = listed("tar", &["--full-time", "-tvf", "-"], &tar) {
        assert!(times.contains("2023-11-14 22:13:20.123456789") && times.contains("1969-12-31 23:59:59"), "{times}");
    }
}
