//! The rules of style, as tests: what a reader may rely on everywhere in src/.

mod circles;
mod flags;

use crate::sandbox::{Sandbox, walk};
use crate::{cases, skip, users};
use std::path::{Path, PathBuf};

cases! {
    Once:
        the_source_is_formatted,
        imports_point_down_only,
        no_files_import_each_other,
        commands_list_the_flags_that_they_read,
        a_module_is_a_file_beside_its_folder,
        unsafe_is_only_in_sys_and_says_why,
        a_start_makes_its_calls_through_sys,
        four_crates_and_no_more,
        nothing_panics_on_what_comes_from_outside,
        files_are_short,
        nobody_prints_or_exits_below_the_command_line,
        the_version_is_in_the_changelog,
        shell_scripts_are_sound,
        make_says_what_building_takes,
        the_repository_tells_of_no_private_place,
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files that are tables, and may be as long as what they list.
const TABLES: &[&str] = &["isolation/seccomp/syscalls.rs"];

/// Pure nouns that stand above the store but may be named in it, as modules of `image`.
const NOUNS: &[&str] = &[];

struct Source {
    /// Below src/: `image/tar.rs`
    name: String,
    /// Without its tests and comments.
    code: String,
    text: String,
}

fn source() -> Vec<Source> {
    let dir = Path::new(ROOT).join("src");
    if !dir.exists() {
        skip!("the source is not on this machine");
    }
    let mut files: Vec<PathBuf> = Vec::new();
    walk(&dir, &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.to_owned());
        }
    });
    files.sort();
    let texts: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).expect("read")).collect();
    let tests: Vec<PathBuf> = files.iter().zip(&texts).flat_map(|(path, text)| test_files(path, text)).collect();
    let mut all = Vec::new();
    for (path, text) in files.iter().zip(texts) {
        // What lies in a directory of tests belongs to the file of tests beside it.
        if !tests.contains(path) && !path.parent().is_some_and(|dir| dir.ends_with("tests")) {
            let name = path.strip_prefix(&dir).expect("below").to_str().expect("UTF-8").to_owned();
            all.push(Source { name, code: without_comments(without_tests(&text)), text });
        }
    }
    all
}

/// The files that are compiled for the unit tests only: `#[cfg(test)] mod NAME;`.
fn test_files(path: &Path, text: &str) -> Vec<PathBuf> {
    let dir = path.parent().expect("a parent");
    let own = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "main") => dir.to_owned(),
        Some(stem) => dir.join(stem),
        None => return Vec::new(),
    };
    let declared = |rest: &str| -> Option<PathBuf> {
        let mut lines = rest.lines().skip(1);
        let line = lines.next()?;
        if let Some(named) = line.trim().strip_prefix("#[path = \"") {
            return Some(dir.join(named.trim_end_matches("\"]")));
        }
        let name = line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?;
        Some(own.join(format!("{name}.rs")))
    };
    text.match_indices("#[cfg(test)]").filter_map(|(at, _)| declared(&text[at..])).collect()
}

/// The tests are a file's last item.
fn without_tests(text: &str) -> &str {
    let items = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at);
    let mut inline = items.filter(|at| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{')));
    &text[..inline.next().unwrap_or(text.len())]
}

fn without_comments(text: &str) -> String {
    let code = |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
    text.lines().map(|line| code(line) + "\n").collect()
}

/// Every offence in one message.
fn none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

fn the_source_is_formatted(t: &Sandbox) {
    source();
    let path = std::env::var("PATH").unwrap_or_default();
    let Ok(home) = std::env::var("HOME") else { skip!("no HOME, so no cargo") };
    if !path.split(':').any(|dir| Path::new(dir).join("cargo").exists()) {
        skip!("no cargo on this machine");
    }
    let mut fmt = t.command("cargo", &["fmt", "--check"]).cwd(ROOT).env("PATH", path).env("HOME", home);
    // Where rustup keeps its things, if it is not below HOME.
    for name in ["RUSTUP_HOME", "CARGO_HOME"] {
        if let Ok(value) = std::env::var(name) {
            fmt = fmt.env(name, value);
        }
    }
    let out = fmt.out();
    if out.stderr.contains("not installed") || out.stderr.contains("no such command") {
        skip!("no rustfmt on this machine");
    }
    out.exit(0);
}

impl Source {
    /// `image` for all files of that layer.
    fn layer(&self) -> &str {
        let first = self.name.split('/').next().expect("a layer");
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// What everyone may import: no layer, but words that the language lacks.
const COMMON: [&str; 4] = ["decimal", "error", "json", "sort"];

/// The layers that a layer may import.
fn may_import(layer: &str) -> &'static [&'static str] {
    match layer {
        "main" => &["cli", "container", "host", "isolation", "image", "store", "sys"],
        "cli" => &["cli", "container", "host", "isolation", "image", "store", "sys"],
        "container" => &["container", "isolation", "image", "store", "sys"],
        "host" => &["host", "isolation", "image", "store", "sys"],
        "image" => &["image", "store", "sys"],
        "isolation" => &["isolation", "sys"],
        "store" => &["store", "sys"],
        "sys" => &["sys"],
        _ => &[],
    }
}

fn imports_point_down_only(_: &Sandbox) {
    let mut offences = Vec::new();
    for file in source() {
        let layer = file.layer();
        let allowed = may_import(layer);
        for (at, _) in file.code.match_indices("crate::") {
            let rest = &file.code[at + "crate::".len()..];
            // `crate::{a, b}` counts for each of them.
            let group = rest.strip_prefix('{').map_or(rest, |group| &group[..group.find('}').unwrap_or(0)]);
            let names = if rest.starts_with('{') { group.split(',').collect() } else { vec![group] };
            for name in names {
                let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let noun =
                    rest.strip_prefix("image::").is_some_and(|rest| NOUNS.iter().any(|noun| rest.starts_with(noun)));
                let may = allowed.iter().chain(&COMMON).any(|may| *may == name) || (layer == "store" && noun);
                if !name.is_empty() && !may {
                    offences.push(format!("src/{} imports crate::{name}", file.name));
                }
            }
        }
    }
    none(
        "imports point down: main → cli → container, host → isolation, image (→ store), store → sys; decimal, error, json and sort are everyone's",
        offences,
    );
}

/// Files of a start in which a call past `sys` would not be explained. Left out in isolation: what looks at processes
/// for `stats` and `top`, and what is read from files that the command line names.
fn is_of_a_start(name: &str) -> bool {
    const NOT: [&str; 4] =
        ["isolation/processes.rs", "isolation/kernel_log.rs", "isolation/seccomp.rs", "isolation/idmap.rs"];
    const OTHERS: [&str; 12] = [
        "container/steps.rs",
        "container/plan.rs",
        "container/filesystem.rs",
        "container/mounts.rs",
        "container/host_files.rs",
        "container/id_mapped.rs",
        "container/locked_mounts.rs",
        "container/streams.rs",
        "container/pid1.rs",
        "container/user.rs",
        "store/containers.rs",
        "store/tree.rs",
    ];
    let isolation = name.starts_with("isolation/") && !NOT.contains(&name) && !name.starts_with("isolation/emulation/");
    isolation || name.starts_with("container/steps/") || OTHERS.contains(&name)
}

fn a_start_makes_its_calls_through_sys(_: &Sandbox) {
    let mut offences = Vec::new();
    let mut files = 0;
    for file in source().into_iter().filter(|file| is_of_a_start(&file.name)) {
        files += 1;
        let code = file.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            let past =
                ["std::fs::", "File::", "Command::new", "env::current_dir", "thread::spawn", "std::os::unix::fs"];
            // What another one keeps for it, or a test's.
            let line = line.split("//").next().unwrap_or_default();
            if past.iter().any(|past| line.contains(past)) {
                offences.push(format!("src/{}:{}: {}", file.name, at + 1, line.trim()));
            }
        }
    }
    assert!(files > 40, "only {files} files");
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

fn no_files_import_each_other(_: &Sandbox) {
    none("files do not import each other, in circles of any length", circles::find(&source()));
}

fn commands_list_the_flags_that_they_read(_: &Sandbox) {
    none("a command lists each flag that is read for it", flags::read_but_not_listed(&source()));
}

fn a_module_is_a_file_beside_its_folder(_: &Sandbox) {
    let is_mod = |file: &Source| Path::new(&file.name).file_name().is_some_and(|name| name == "mod.rs");
    let offences = source().iter().filter(|file| is_mod(file)).map(|file| format!("src/{}", file.name)).collect();
    none("the module NAME is NAME.rs, and what belongs to it lies in NAME/; no mod.rs", offences);
}

fn unsafe_is_only_in_sys_and_says_why(_: &Sandbox) {
    let mut offences = Vec::new();
    for file in source() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let words = || code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if !words().any(|word| word == "unsafe") {
                continue;
            }
            let place = format!("src/{}:{}: {}", file.name, at + 1, line.trim());
            if file.layer() != "sys" {
                offences.push(place);
                continue;
            }
            // A declaration of foreign functions does nothing by itself.
            let above = lines[..at].iter().rev().take(12);
            let said = above.take_while(|line| !line.trim().is_empty()).any(|line| line.contains("SAFETY:"));
            if !said && !code.contains("extern \"C\"") {
                offences.push(format!("{place} (no SAFETY comment)"));
            }
        }
    }
    none("unsafe stands only in src/sys/, each with what makes it safe", offences);
}

fn four_crates_and_no_more(_: &Sandbox) {
    source();
    let manifest = std::fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("Cargo.toml");
    let mut crates = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            assert!(!line.contains("dependencies") || inside, "{line}: crates stand in [dependencies] alone");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            crates.push(name.trim().to_owned());
        }
    }
    assert_eq!(crates, ["libc", "miniz_oxide", "serde_json", "sha2"]);
}

fn nothing_panics_on_what_comes_from_outside(_: &Sandbox) {
    let mut offences = Vec::new();
    for file in source() {
        for (at, line) in file.code.lines().enumerate() {
            for word in
                [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", ".unwrap_err()"]
            {
                if line.contains(word) {
                    offences.push(format!("src/{}:{}: {}", file.name, at + 1, line.trim()));
                }
            }
        }
    }
    none("nothing ends in a panic", offences);
}

fn files_are_short(_: &Sandbox) {
    let mut offences = Vec::new();
    for file in source() {
        let lines = without_tests(&file.text).lines().count();
        if lines > 400 && !TABLES.contains(&file.name.as_str()) {
            offences.push(format!("src/{}: {lines} lines", file.name));
        }
        if !file.text.starts_with("//!") {
            offences.push(format!("src/{}: doesn't say what it is for", file.name));
        }
    }
    none("a file has at most 400 lines without its tests, and begins with what it is for", offences);
}

fn nobody_prints_or_exits_below_the_command_line(_: &Sandbox) {
    let mut offences = Vec::new();
    for file in source() {
        if ["cli", "main"].contains(&file.layer()) {
            continue;
        }
        for (at, line) in file.code.lines().enumerate() {
            for word in ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!(", "process::exit(", "env::args"] {
                let found = line.find(word).is_some_and(|at| !line[..at].ends_with(|c: char| c.is_alphanumeric()));
                if found {
                    offences.push(format!("src/{}:{}: {}", file.name, at + 1, line.trim()));
                }
            }
        }
    }
    none("below cli nobody prints, reads the command line or exits", offences);
}

fn the_version_is_in_the_changelog(_: &Sandbox) {
    source();
    let changelog = std::fs::read_to_string(Path::new(ROOT).join("CHANGELOG.md")).expect("CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.contains(&format!("\n## [{version}] - ")), "no section [{version}] in CHANGELOG.md");
}

fn shell_scripts_are_sound(t: &Sandbox) {
    source();
    let scripts = ["rootfs-fixtures/alpine.sh", "rootfs-fixtures/busybox.sh", "tests/demo.sh", "tests/prepare.sh"];
    for script in scripts.into_iter().chain(["tests/vm/run"]) {
        let script = format!("{ROOT}/{script}");
        t.command("sh", &["-n", &script]).ok();
        let text = std::fs::read_to_string(&script).expect("read");
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -eu\n"), "{script}");
        if users::have("shellcheck") {
            t.command("shellcheck", &["-x", "-P", "SCRIPTDIR", "-S", "warning", &script]).cwd(ROOT).ok();
        }
    }
    // The guest's PID 1 must go on whatever fails.
    t.command("sh", &["-n", &format!("{ROOT}/tests/vm/guest-init")]).ok();
    for script in [".ci/run", "tests/bench/run.sh"] {
        t.command("bash", &["-n", &format!("{ROOT}/{script}")]).ok();
    }
}

fn make_says_what_building_takes(t: &Sandbox) {
    source();
    if !users::have("make") {
        skip!("make is not installed");
    }
    std::fs::create_dir(t.dir.join("tools")).expect("mkdir");
    for tool in ["sh", "uname", "sed", "make"] {
        let found = t.command("sh", &["-c", &format!("command -v {tool}")]).ok();
        std::os::unix::fs::symlink(found.line(), t.dir.join("tools").join(tool)).expect("symlink");
    }
    let make = |target: &str| t.command("make", &["-s", "-C", ROOT, target]).env("PATH", t.path("tools")).out();
    let least = env!("CARGO_PKG_RUST_VERSION");
    let takes = format!("make: building ccrun takes Rust {least} or newer (cargo and rustc), cc and make; here is ");
    for target in ["all", "lint", "dist"] {
        let out = make(target).exit(2);
        assert_eq!(
            out.stderr.lines().next(),
            Some(&*format!("{takes}no rustc. Rust comes from https://rustup.rs")),
            "{}",
            out.stderr
        );
    }
    for (name, text) in [("rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'"), ("cargo", "exit 1")] {
        let path = t.file(&format!("tools/{name}"), format!("#!/bin/sh\n{text}\n"));
        t.command("chmod", &["755", &path]).ok();
    }
    let out = make("all").exit(2);
    assert!(out.stderr.starts_with(&format!("{takes}rustc 1.63.0 ")), "{}", out.stderr);
}

fn the_repository_tells_of_no_private_place(t: &Sandbox) {
    source();
    let out = t.command("git", &["-C", ROOT, "-c", "safe.directory=*", "ls-files", "-z"]).out();
    if out.status != 0 {
        skip!("not a git repository");
    }
    let mut offences = Vec::new();
    for name in out.stdout.split('\0').filter(|name| !name.is_empty()) {
        let text = String::from_utf8_lossy(&std::fs::read(Path::new(ROOT).join(name)).unwrap_or_default()).into_owned();
        // Written in two parts, so that this file doesn't hold them.
        for word in [concat!("/wo", "rk/"), concat!("/ho", "me/user"), concat!("/ro", "ot/.rustup")] {
            if let Some(line) = text.lines().find(|line| line.contains(word)) {
                offences.push(format!("{name}: {line}"));
            }
        }
    }
    none("paths of one machine have no place here", offences);
}
