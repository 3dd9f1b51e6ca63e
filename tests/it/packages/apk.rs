//! A repository of Alpine's: packages and index as gzip members one behind the other
//! (signature, what it says of itself, files), as apk(5) and abuild make them.

use super::Package;
use super::sign::{Key, sha1};
use crate::image::{gzip, sha256};
use crate::registry::base64;
use crate::tar::{Entry, Tar, entry};
use std::fmt::Write;
use std::path::Path;

const KEY: &str = "ccrun-tests.rsa.pub";
pub const ARCH: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// Writes `dir` with the packages, and beside it what is bound into /etc/apk: the
/// `-v` for all three.
pub fn repository(key: &Key, dir: &Path, packages: &[Package]) -> Vec<String> {
    let arch = dir.join(ARCH);
    std::fs::create_dir_all(&arch).expect("mkdir");
    let mut index = String::new();
    for package in packages {
        let control = gzip(&control(package));
        let bytes = [signature(key, &control), control.clone(), gzip(&data(package))].concat();
        let Package { name, version, .. } = package;
        let _ = write!(
            index,
            "C:Q1{}\nP:{name}\nV:{version}\nA:{ARCH}\nS:{}\nI:4096\nT:of the tests\nU:\nL:MIT\n",
            base64(&sha1(&control)),
            bytes.len()
        );
        if !package.depends.is_empty() {
            let _ = writeln!(index, "D:{}", package.depends);
        }
        index.push('\n');
        std::fs::write(arch.join(format!("{name}-{version}.apk")), bytes).expect("write");
    }
    let index = gzip(&Tar::new().file("DESCRIPTION", 0o644, "tests").file("APKINDEX", 0o644, index).finish());
    std::fs::write(arch.join("APKINDEX.tar.gz"), [signature(key, &index), index].concat()).expect("write");
    let beside = dir.with_extension("etc");
    std::fs::create_dir_all(&beside).expect("mkdir");
    std::fs::write(beside.join("repositories"), "/repo\n").expect("write");
    std::fs::write(beside.join(KEY), key.public()).expect("write");
    let (dir, beside) = (dir.display(), beside.display());
    vec![
        format!("{dir}:/repo:ro"),
        format!("{beside}/repositories:/etc/apk/repositories:ro"),
        format!("{beside}/{KEY}:/etc/apk/keys/{KEY}:ro"),
    ]
}

/// The archive goes on in the next member.
fn signature(key: &Key, signed: &[u8]) -> Vec<u8> {
    gzip(&Tar::new().file(&format!(".SIGN.RSA256.{KEY}"), 0o644, key.sign(signed)).unfinished())
}

fn control(package: &Package) -> Vec<u8> {
    let Package { name, version, .. } = package;
    let mut about = format!(
        "pkgname = {name}\npkgver = {version}\npkgdesc = of the tests\nurl =\nbuilddate = 1700000000\nsize = 4096\n\
         arch = {ARCH}\nlicense = MIT\n"
    );
    for needed in package.depends.split_whitespace() {
        let _ = writeln!(about, "depend = {needed}");
    }
    if !package.triggers.is_empty() {
        let _ = writeln!(about, "triggers = {}", package.triggers);
    }
    let _ = writeln!(about, "datahash = {}", &sha256(&gzip(&data(package)))["sha256:".len()..]);
    let mut tar = Tar::new().file(".PKGINFO", 0o644, about);
    for (name, script) in &package.scripts {
        tar = tar.file(&format!(".{name}"), 0o755, script);
    }
    tar.unfinished()
}

fn data(package: &Package) -> Vec<u8> {
    let mut tar = Tar::new();
    for one in package.with_parents() {
        let sum = |bytes: &[u8]| sha1(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digest = |one: Entry, bytes: &[u8]| one.pax("APK-TOOLS.checksum.SHA1", sum(bytes));
        let name = if one.names.0.is_empty() { ("root", "root") } else { one.names };
        let one = one.named(name.0, name.1);
        tar = tar.entry(&match one.kind {
            b'0' => digest(one.clone(), &one.data),
            b'2' => digest(one.clone(), &one.link),
            b'5' => Entry { path: [&one.path, &b"/"[..]].concat(), ..one },
            _ => one,
        });
    }
    tar.finish()
}

/// A file of a package.
pub fn file(path: &str, mode: u32, text: &str) -> Entry {
    Entry { data: text.into(), ..entry(path, b'0', mode) }
}
