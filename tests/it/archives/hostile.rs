//! Archives that are damaged, cut off or lie: one clear error, and nothing visible of them.

use super::form::{self, Named};
use super::{app, needs};
use crate::cases;
use crate::image::{Blob, Image, Layer, gzip, sha256};
use crate::sandbox::{Cmd, Sandbox, walk};
use crate::tar::{Entry, Tar, entry};
use serde_json::{Value, json};

cases! {
    Every:
        what_cannot_be_loaded_is_told_in_a_line,
        an_archive_that_leads_out_leads_nowhere,
        whatever_is_damaged_an_image_is_whole_or_not_there,
        an_archive_takes_no_memory;
    Root:
        a_full_disk_is_told_and_swept;
}

impl Sandbox {
    /// `ccrun load` fails with this, and leaves nothing.
    #[track_caller]
    fn refuses(&self, archive: impl Into<Vec<u8>>, said: &str) {
        self.ccrun(&["load"]).stdin(archive).out().error(1, said).prints("");
        assert_eq!(self.names_in("images"), [""; 0], "{said}");
        assert_eq!(self.names_in("tmp"), [""; 0], "{said}");
    }
}

fn what_cannot_be_loaded_is_told_in_a_line(t: &Sandbox) {
    let image = app(t, "me");
    let named: [Named<'_>; 1] = [(&image, &["me:1"])];
    let good = form::docker_old(&named);
    // What is no archive of images.
    t.refuses("", "the archive is empty");
    t.refuses("this is text, and not an archive\n".repeat(100), "begins as no tar archive does");
    t.refuses("BZh91AY&SY", "bzip2: ");
    t.refuses(b"\xfd7zXZ\0\0\x04".to_vec(), "xz: ");
    t.refuses(Tar::new().file("etc/hostname", 0o644, "x").finish(), "use 'ccrun import'");
    t.refuses(Tar::new().file("repositories", 0o644, "{}").finish(), "a Docker older than 1.10");
    t.ccrun(&["load", "-i", "nowhere.tar"]).out().error(1, "nowhere.tar");
    t.refuses([vec![0; 512 * 2], good.clone()].concat(), "neither index.json nor manifest.json");
    // What ends early.
    let packed = gzip(&good);
    for part in [5, 50, 99] {
        t.refuses(&good[..good.len() / 100 * part], "truncated");
        t.refuses(&packed[..packed.len() / 100 * part], "truncated");
    }
    let cut = t.command("sh", &["-c", "zstd -q | head -c 20000 | $0 load", &t.ccrun]).env("CCRUN_ROOT", &t.store);
    cut.stdin(good.clone()).out().error(1, "zstd");
    // What says one thing and is another.
    let list = |value: Value| Tar::new().file("manifest.json", 0o644, value.to_string()).finish();
    t.refuses(list(json!([])), "the archive holds no image");
    t.refuses(list(json!({})), "manifest.json is no JSON list");
    t.refuses(list(json!([{ "Config": "c.json", "Layers": [] }])), "the archive lacks c.json");
    let mut wrong = image.clone();
    wrong.layers[2].blob = Blob::new(Tar::new().file("who", 0o644, "evil").finish());
    t.refuses(form::docker_old(&[(&wrong, &[])]), "is wrong: what came has the digest");
    let three = json!([{ "Config": "config.json", "Layers": ["a", "b", "c"] }]).to_string();
    let three = Tar::new().file("config.json", 0o644, &*image.config().bytes).file("manifest.json", 0o644, three);
    t.refuses(three.finish(), "has 3 layers, the image config 4");
    let named = format!("{}.json", &sha256(b"something else")[7..]);
    let misnamed = Tar::new().file(&named, 0o644, &*image.config().bytes);
    let misnamed = misnamed.file("manifest.json", 0o644, json!([{ "Config": named, "Layers": [] }]).to_string());
    t.refuses(misnamed.finish(), "is wrong: it has the digest");
    a_layout_that_lies(t, &image);
    // The good one still is.
    t.ccrun(&["load"]).stdin(good).ok().prints("Loaded image: me:1\n");
    t.ccrun(&["run", "--rm", "me:1"]).ok().prints("me");
}

fn a_layout_that_lies(t: &Sandbox, image: &Image) {
    let named: [Named<'_>; 1] = [(image, &[])];
    let entry = form::entry(image, Value::Null);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut entry = entry.clone();
        change(&mut entry);
        form::layout(&named, &[entry])
    };
    t.refuses(with(&|entry| entry["size"] = json!(7)).finish(), "bytes instead of 7");
    t.refuses(with(&|entry| entry["digest"] = json!(sha256(b"x"))).finish(), "lacks the blob");
    t.refuses(with(&|entry| entry["digest"] = json!("sha256:../../../etc/passwd")).finish(), "invalid digest");
    t.refuses(
        with(&|entry| entry["annotations"] = json!({ "io.containerd.image.name": "../x" })).finish(),
        "reference",
    );
    // Of several with one name the last one counts.
    let replaced = |digest: &str, bytes: &[u8]| with(&|_| {}).file(&form::member(digest), 0o644, bytes).finish();
    let manifest = Blob::json(&image.manifest());
    t.refuses(replaced(&manifest.digest, b"{}"), "bytes instead of");
    t.refuses(replaced(&image.id(), &vec![b' '; image.config().bytes.len()]), "is wrong: what came has the digest");
    // Where the good layer is not there already.
    let short = t.elsewhere("new", &["load"]).stdin(replaced(&image.layers[1].diff_id, b"short"));
    short.out().error(1, "bytes instead of").prints("");
    t.elsewhere("new", &["images", "-q"]).ok().prints("");
    let version = with(&|_| {}).file("oci-layout", 0o644, "{\"imageLayoutVersion\":\"2.0.0\"}").finish();
    t.refuses(version, "unknown version '2.0.0'");
    t.refuses(with(&|_| {}).file("index.json", 0o644, "<html>").finish(), "index.json");
    t.refuses(with(&|_| {}).file("index.json", 0o644, vec![b' '; 5 << 20]).finish(), "more than 4194304");
}

fn an_archive_that_leads_out_leads_nowhere(t: &Sandbox) {
    let image = app(t, "me");
    let secret = t.file("secret.json", &*image.config().bytes);
    let list = json!([{ "Config": "config.json", "Layers": [] }]).to_string();
    let with = |tar: Tar| tar.file("manifest.json", 0o644, list.clone()).finish();
    for target in [&secret, "../../secret.json", "../secret.json", "/proc/self/environ"] {
        t.refuses(with(Tar::new().symlink("config.json", target)), "lacks config.json");
        t.refuses(with(Tar::new().hardlink("config.json", target)), "lacks config.json");
    }
    t.refuses(with(Tar::new().symlink("config.json", "a").symlink("a", "config.json")), "in a circle");
    let outside = json!([{ "Config": "../secret.json", "Layers": [] }]).to_string();
    t.refuses(Tar::new().file("manifest.json", 0o644, outside).finish(), "leads out of the archive");
    t.refuses(with(Tar::new().file("../config.json", 0o644, "x")), "leads out of the archive");
    t.refuses(with(Tar::new().entry(&entry("config.json", b'3', 0o666))), "lacks config.json");
    // A layout in a directory that somebody else has made.
    image.write_layout(&t.dir.join("layout"));
    let config = t.dir.join("layout").join(form::member(&image.id()));
    std::fs::remove_file(&config).expect("remove");
    std::os::unix::fs::symlink(&secret, &config).expect("symlink");
    t.ccrun(&["load", "-i", "layout"]).out().error(1, "ELOOP");
}

/// Bytes at places that wander through the archive are changed, taken away or put in.
fn whatever_is_damaged_an_image_is_whole_or_not_there(t: &Sandbox) {
    let small = |who: &str| Layer::plain(Tar::new().file("who", 0o644, who).finish());
    let image = Image::new(vec![small("one"), small("two")]);
    let named: [Named<'_>; 1] = [(&image, &["me:1"])];
    let forms = [form::docker_old(&named), form::docker_new(&named), gzip(&form::oci_archive(&named))];
    let seed = std::env::var("CCRUN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(88_172_645_463_325_252u64);
    println!("CCRUN_SEED={seed}");
    let mut state = seed;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut loaded, mut refused) = (0, 0);
    for number in 0..90 {
        let mut archive = forms[number % forms.len()].clone();
        let at = random(archive.len());
        match random(4) {
            0 => archive[at] ^= 1 << random(8),
            1 => archive.truncate(at),
            2 => drop(archive.drain(at..(at + 512).min(archive.len()))),
            _ => drop(archive.splice(at..at, vec![b'7'; random(600)])),
        }
        let out = t.ccrun(&["load"]).stdin(archive).out();
        match out.status {
            0 => loaded += 1,
            _ => {
                out.error(1, "");
                refused += 1;
            }
        }
        let ids = t.image_ids();
        // A byte of a name may have been hit: it is this image, whatever it is called.
        assert!(ids.iter().all(|id| *id == image.id()), "{ids:?}");
        for id in ids {
            t.ccrun(&["rmi", "-f", &id]).ok();
        }
        t.nothing_left();
    }
    assert!(loaded > 0 && refused > 20, "{loaded} loaded, {refused} refused");
}

fn an_archive_takes_no_memory(t: &Sandbox) {
    // A header that announces more than there is, names without end, and much of nothing, well compressed.
    let lie = Tar::new().lying(&Entry { data: vec![1; 100], ..entry("manifest.json", b'0', 0o644) }, u64::MAX >> 2);
    let deep = "d/".repeat(1500);
    let many = (0..4000).fold(Tar::new(), |tar, n| tar.file(&format!("{deep}{n}"), 0o644, ""));
    for (archive, said) in [(lie.finish(), "truncated"), (many.finish(), "too many members")] {
        limited(t, "exec $0 load").stdin(archive).out().error(1, said);
        t.nothing_left();
    }
    std::fs::File::create(t.path("manifest.json")).and_then(|file| file.set_len(120 << 20)).expect("create");
    limited(t, "tar -c manifest.json | gzip -1 | $0 load").out().error(1, "more than 4194304");
    t.nothing_left();
}

/// A script with little memory, and not much time.
fn limited(t: &Sandbox, script: &str) -> Cmd {
    let script = format!("ulimit -v 100000; {script}");
    t.command("sh", &["-c", &script, &t.ccrun]).env("CCRUN_ROOT", &t.store).timeout(40)
}

fn a_full_disk_is_told_and_swept(t: &Sandbox) {
    needs("unshare");
    let noise: Vec<u8> = (0..60_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let image = app(t, "me").layer(Tar::new().file("big", 0o644, noise));
    t.file("archive.tar", form::docker_old(&[(&image, &["me:1"])]));
    std::fs::create_dir(t.dir.join("disk")).expect("mkdir");
    // Not enough for the copy of the archive, then not for its layers.
    for script in ["cat archive.tar | $0 --root disk/store load", "$0 --root disk/store load -i archive.tar"] {
        let script = format!(
            "mount -t tmpfs -o size=64m none disk; {{ {script}; echo $?; }} 2>&1; ls disk/store/tmp disk/store/images 2>&1; umount disk"
        );
        let out = t.command("unshare", &["-m", "sh", "-c", &script, &t.ccrun]).ok();
        assert!(out.stdout.contains("No space left on device (ENOSPC)"), "{}", out.stdout);
        let lines: Vec<&str> = out.stdout.lines().collect();
        assert_eq!(lines[1], "1", "{}", out.stdout);
        assert!(shows_nothing(&lines[2..]), "{}", out.stdout);
    }
    let mut left = Vec::new();
    walk(&t.dir.join("disk"), &mut |path| left.push(path.to_owned()));
    assert!(left.is_empty(), "{left:?}");
}

/// Whether `ls` of two directories has shown nothing in them.
fn shows_nothing(lines: &[&str]) -> bool {
    lines.iter().all(|line| line.is_empty() || line.ends_with(':') || line.contains("No such file"))
}
