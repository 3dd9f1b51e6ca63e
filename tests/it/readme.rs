//! The README's commands are run, so that it stays true.

use crate::image::Image;
use crate::pty::Pty;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use crate::{cases, skip};
use serde_json::json;
use std::path::Path;

cases! {
    Once: every_command_exists, the_steps_are_the_codes;
    Users: the_demo_leaves_out_only_limits_that_cannot_be_had;
    Hub: every_example_works;
}

fn the_demo_leaves_out_only_limits_that_cannot_be_had(t: &Sandbox) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo.sh");
    if !demo.exists() {
        skip!("the demo is not on this machine");
    }
    let demo = t.command(demo.to_str().expect("UTF-8"), &[]).env("CCRUN", &t.ccrun).env("IT", &t.it).timeout(120);
    let out = demo.env("XDG_CACHE_HOME", t.path("cache")).ok();
    let last = match crate::limits::places::is_delegated() {
        true => "all steps as they should be",
        false => "all steps as they should be; step 6 (limits) was skipped",
    };
    assert_eq!(out.stdout.lines().last(), Some(last), "{}", out.stdout);
    out.has("$ ccrun run /no/such/program\n").has("$ echo $?\n127\n").has("$ echo $?\n3\n").lacks("as it should: /");
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).unwrap_or_else(|_| skip!("the README is not on this machine"))
}

/// The lines of all ```sh blocks; those that begin with a blank go on the one before.
fn commands(readme: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.trim().is_empty() {
            let code = line.split("   #").next().unwrap_or(line).trim_end();
            all.push(code.to_owned());
        }
    }
    all
}

/// What tests cannot run: it needs another machine, or is the very thing that runs them.
fn not_ours(command: &str) -> bool {
    let needs_a_machine = ["scp ", "ssh ", "git clone ", "cd "];
    needs_a_machine.iter().any(|start| command.starts_with(start)) || command == "make" || command.starts_with("make ")
}

fn every_command_exists(t: &Sandbox) {
    let makefile = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).expect("Makefile");
    let help = t.ccrun(&["--help"]).ok().stdout;
    let commands = commands(&readme());
    assert!(commands.len() >= 10, "{commands:#?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        if let ["make", targets @ ..] = &words[..] {
            for target in targets.iter().filter(|word| !word.contains('=')) {
                assert!(makefile.contains(&format!("\n{target}:")), "`{command}`: no such target");
            }
        }
        if let Some(at) = words.iter().position(|word| *word == "ccrun")
            && let Some(name) = words.get(at + 1).filter(|word| !word.starts_with('-'))
        {
            let is_there = help.contains(&format!("\n  {name} "))
                || words.get(at..at + 3).is_some_and(|words| help.contains(&words.join(" ")));
            assert!(is_there, "`{command}`: no such command");
        }
    }
}

/// Each in its turn, in one directory, as its reader would.
fn every_example_works(t: &Sandbox) {
    let hub = Registry::hub();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let files =
        Tar::new().file("etc/os-release", 0o644, "ID=alpine\n").file("bin/bash", 0o755, "#!/bin/sh\nexec sh \"$@\"\n");
    let image = Image::busybox(&t.busybox).layer(files).set("Env", json!([path])).set("Cmd", json!(["sh"]));
    for name in ["alpine", "ubuntu", "busybox", "debian"] {
        for tag in ["latest", "3.23"] {
            hub.push(&format!("library/{name}"), tag, &image);
        }
    }
    std::fs::create_dir_all(t.dir.join("bin")).expect("mkdir");
    std::os::unix::fs::symlink(&t.ccrun, t.dir.join("bin/ccrun")).expect("symlink");
    std::os::unix::fs::symlink(&t.ccrun, t.dir.join("ccrun")).expect("symlink");
    std::os::unix::fs::symlink(&t.alpine, t.dir.join("rootfs")).expect("symlink");
    let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", t.dir.display());
    for command in commands(&readme()).iter().filter(|command| !not_ours(command)) {
        if command.contains(" -m ") && t.mode != crate::sandbox::Mode::Root {
            continue;
        }
        if command.contains(" --step ") {
            answered(t, command, &path);
            continue;
        }
        // Nobody sits at a terminal here.
        let run = command.replace(" -it ", " -i ");
        let out = t.command("sh", &["-c", &run]).env("PATH", &path).env("CCRUN_ROOT", &t.store).stdin("exit\n").out();
        assert_eq!(out.status, 0, "README: `{command}`: {} {}", out.stdout, out.stderr);
    }
}

/// One that asks: somebody at a terminal presses Enter.
fn answered(t: &Sandbox, command: &str, path: &str) {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().current_dir(&t.dir);
    shell.env("PATH", path).env("HOME", t.dir.join("home")).env("CCRUN_ROOT", &t.store);
    let mut pty = Pty::spawn(shell);
    pty.send(&"\n".repeat(60));
    let (status, seen) = pty.wait();
    assert_eq!(status, 0, "README: `{command}`: {seen}");
}

/// The table of steps is what ccrun says of itself.
fn the_steps_are_the_codes(t: &Sandbox) {
    let help = t.ccrun(&["help", "steps"]).ok().stdout;
    let row = |line: &str| {
        let (place, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let (name, notes) = rest.strip_suffix(')')?.split_once(" (")?;
        let (man, step) = notes.split_once("; challenge step ").unwrap_or((notes, ""));
        Some(format!("| {place} | {name} | {man} | {step} |"))
    };
    let rows: Vec<String> = help.lines().filter_map(row).collect();
    assert!(rows.len() > 30 && help.matches("challenge step").count() > 20, "{help}");
    assert!(rows.iter().any(|row| row == "| PID 1 16 | pivot_root | pivot_root(2) | 3 |"), "{rows:#?}");
    let readme = readme();
    assert!(readme.contains(&(rows.join("\n") + "\n\n")), "README's table of steps is not:\n{}", rows.join("\n"));
}
