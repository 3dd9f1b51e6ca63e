//! A repository of Debian's: packages as ar(1) archives of two tars, an index, and
//! over that a release file with its signature around it.

use super::Package;
use super::sign::Key;
use crate::image::{HOST_ARCH, gzip, sha256};
use crate::tar::{Entry, Tar};
use std::fmt::Write;
use std::path::Path;

/// What apt's `gpgv` method calls in the place of apt-key: who the method is by then,
/// it says before it does its work.
const WITNESS: &str = "#!/bin/sh\nid >>/tmp/who-verifies\nexec /usr/bin/apt-key \"$@\"\n";

/// Writes `dir` with the packages and with any .deb that lies there already: the `-v` that
/// bind it and its list of sources.
pub fn repository(key: &Key, dir: &Path, packages: &[Package]) -> Vec<String> {
    std::fs::create_dir_all(dir).expect("mkdir");
    let mut index = String::new();
    for package in packages {
        let bytes = archive(package);
        let file = format!("{}_{}_{HOST_ARCH}.deb", package.name, package.version);
        let digest = sha256(&bytes);
        let about = fields(package);
        index += &listed(&about, &file, bytes.len(), &digest);
        std::fs::write(dir.join(file), bytes).expect("write");
    }
    seal(key, dir, &index)
}

/// One paragraph of the index.
pub fn listed(about: &str, file: &str, size: usize, digest: &str) -> String {
    format!("{about}Filename: ./{file}\nSize: {size}\nSHA256: {}\n\n", &digest["sha256:".len()..])
}

/// The index, the release file, and what is bound in.
pub fn seal(key: &Key, dir: &Path, index: &str) -> Vec<String> {
    let packed = gzip(index.as_bytes());
    let mut release = format!(
        "Origin: tests\nSuite: stable\nDate: Wed, 15 Nov 2023 00:00:00 UTC\nArchitectures: {HOST_ARCH}\nSHA256:\n"
    );
    for (name, bytes) in [("Packages", index.as_bytes()), ("Packages.gz", &packed)] {
        let _ = writeln!(release, " {} {} {name}", &sha256(bytes)["sha256:".len()..], bytes.len());
    }
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).expect("write");
    // As mirrors do, with the packed one alone.
    write("Packages.gz", &packed);
    write("InRelease", key.clear_signed(&release).as_bytes());
    write("key.asc", key.openpgp().as_bytes());
    write("sources.list", b"deb [signed-by=/repo/key.asc] file:/repo ./\n");
    write("witness", WITNESS.as_bytes());
    write("witness.conf", b"Dir::Bin::apt-key \"/repo/witness\";\n");
    let dir = dir.display();
    std::process::Command::new("chmod").args(["755", &format!("{dir}/witness")]).status().expect("chmod");
    vec![
        format!("{dir}:/repo:ro"),
        format!("{dir}/sources.list:/etc/apt/sources.list:ro"),
        format!("{dir}/witness.conf:/etc/apt/apt.conf.d/witness:ro"),
    ]
}

fn fields(package: &Package) -> String {
    let Package { name, version, .. } = package;
    let mut about = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {HOST_ARCH}\nMaintainer: Tests <tests@localhost>\n\
         Description: of the tests\n"
    );
    if !package.depends.is_empty() {
        let _ = writeln!(about, "Depends: {}", package.depends);
    }
    about
}

fn archive(package: &Package) -> Vec<u8> {
    let mut control = Tar::new().file("./control", 0o644, fields(package));
    for (name, text) in &package.scripts {
        control = control.file(&format!("./{name}"), 0o755, text);
    }
    let mut data = Tar::new().dir(".", 0o755);
    for one in package.with_parents() {
        let end: &[u8] = if one.kind == b'5' { b"/" } else { b"" };
        data = data.entry(&Entry { path: [b"./", &one.path[..], end].concat(), ..one });
    }
    let mut all = b"!<arch>\n".to_vec();
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&control.finish())),
        ("data.tar.gz", gzip(&data.finish())),
    ] {
        all.extend(format!("{name:<16}1700000000  0     0     100644  {:<10}`\n", bytes.len()).into_bytes());
        all.extend(&bytes);
        all.resize(all.len().next_multiple_of(2), b'\n');
    }
    all
}
