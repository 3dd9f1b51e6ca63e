//! A bare Alpine guest that runs this very program: what it is handed, and `it --vm`.

use crate::sandbox::{Cmd, Mode, Sandbox, walk};
use crate::{skip, users};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Of all tests those for which a kernel, busybox and ccrun are enough.
const DEFAULT: &[&str] = &[
    "threats::start",
    "threats::mounts",
    "threats::kernel",
    "threats::neighbours",
    "limits::",
    "stats::",
    " check::",
    " run::",
    "isolation::",
    "privileges::",
];

/// What is left out of them there, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("stats::memory_is_counted_as_docker_does", "there is no Docker Engine"),
    ("privileges::docker::docker_gives_the_same", "there is no Docker Engine"),
    ("privileges::a_root_only_device_stays_roots", "it has no device that root alone may open and that is there"),
    (
        "privileges::a_root_only_device_can_be_given_by_root",
        "it has no device that root alone may open and that is there",
    ),
];

/// What a guest of one architecture runs.
pub struct Guest {
    arch: String,
    pub ccrun: String,
    it: String,
    fixtures: PathBuf,
}

impl Guest {
    /// Of this machine's architecture: with what is tested here.
    pub fn own(t: &Sandbox) -> Guest {
        let fixtures = Path::new(&t.busybox).parent().expect("a parent").to_owned();
        Guest { arch: std::env::consts::ARCH.to_owned(), ccrun: t.ccrun.clone(), it: t.it.clone(), fixtures }
    }

    /// Of another one: with what `make dist-test ARCH=…` has made.
    pub fn other(arch: &str) -> Guest {
        let root = env!("CARGO_MANIFEST_DIR");
        let [ccrun, it] = ["ccrun", "it"].map(|name| format!("{root}/dist/{arch}/{name}"));
        let fixtures = PathBuf::from(format!("{root}/rootfs-fixtures/out/{arch}"));
        if [&ccrun, &it].iter().any(|file| !Path::new(file).exists()) || !fixtures.exists() {
            skip!("there is nothing to run on {arch} (make dist-test ARCH={arch})");
        }
        Guest { arch: arch.to_owned(), ccrun, it, fixtures }
    }

    fn is_own(&self) -> bool {
        self.arch == std::env::consts::ARCH
    }

    /// The script that runs the tests with these words in their names, as all kinds of user that there can be. The
    /// machine is slow and has one CPU: of what is done many times it does a part.
    pub fn tests(&self, filters: &[&str]) -> String {
        let mut script = String::from(
            "#!/bin/sh\nset -eu\nmkdir fixtures && tar -xf fixtures.tar -C fixtures
        [ ! -e newuidmap.tar ] || { tar -xf newuidmap.tar -C /; chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap; }
        export CCRUN_BIN=/usr/local/bin/ccrun CCRUN_FIXTURES=/job/fixtures CCRUN_IT_PART=10\n",
        );
        if !self.is_own() {
            // There is no newuidmap of that architecture here.
            script += "export CCRUN_IT_MODES=root,nosubuid\n";
        }
        let quoted = |word: &str| format!(" '{}'", word.replace('\'', "'\\''"));
        let mut line = String::from("exec ./it");
        let asked_for = |name: &str| filters.iter().any(|filter| format!(" {name}").contains(filter));
        for (name, why) in WITHOUT.iter().filter(|(name, _)| asked_for(name)) {
            script += &format!("echo {}\n", quoted(&format!("not here: {name}: {why}")));
            line += &quoted(&format!("--without={name}"));
        }
        line.extend(filters.iter().map(|filter| quoted(filter)));
        script + &line + "\n"
    }
}

/// `it --vm [--arch=ARCH] [FILTER…]`: this program's tests there, as if they were run here.
pub fn main(args: &[String]) -> ExitCode {
    let dir = PathBuf::from(format!("/var/tmp/ccrun-it.{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("mkdir");
    let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    let fixtures = users::fixtures().expect("no fixtures: run `make fixtures`, or set CCRUN_FIXTURES");
    let t = Sandbox {
        mode: Mode::Root,
        store: dir.join("store"),
        ccrun: text(users::ccrun().expect("no ccrun to test: run `make`, or set CCRUN_BIN")),
        it: text(std::env::current_exe().expect("exe")),
        busybox: text(fixtures.join("busybox")),
        alpine: text(fixtures.join("alpine")),
        dir,
    };
    let arch = args.iter().find_map(|arg| arg.strip_prefix("--arch="));
    let guest = arch.map_or_else(|| Guest::own(&t), Guest::other);
    let filters: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let tests = if filters.is_empty() {
        println!(
            "in the guest: {}; others if FILTER names them, but there is no registry, judge or source",
            DEFAULT.join(" ").replace("  ", " ")
        );
        guest.tests(DEFAULT)
    } else {
        guest.tests(&filters)
    };
    // Emulated, all of them take as long as many a coffee.
    let status = run(&t, &guest, &tests, &["busybox", "alpine"]).env("VM_TIMEOUT", "7200").through();
    let _ = std::fs::remove_dir_all(&t.dir);
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

/// A command that runs the script there, beside it the tests' program and the fixtures of these names.
pub fn run(t: &Sandbox, guest: &Guest, script: &str, fixtures: &[&str]) -> Cmd {
    let vm = std::env::var("CCRUN_VM_RUN").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/run").to_owned());
    if !Path::new(&vm).exists() {
        skip!("neither tests/vm/run nor $CCRUN_VM_RUN is on this machine");
    }
    if !users::have(&format!("qemu-system-{}", guest.arch)) {
        skip!("QEMU (qemu-system-{}) is not installed", guest.arch);
    }
    let mut args = vec![t.path("ccrun"), t.file("script", script), t.path("fixtures.tar"), t.path("it")];
    let all = guest.fixtures.to_str().expect("UTF-8");
    t.command("tar", &[&["-C", all, "-cf", &t.path("fixtures.tar")], fixtures].concat()).ok();
    let mut files = 0;
    walk(&guest.fixtures.join("busybox"), &mut |_| files += 1);
    assert!(files > 100);
    std::fs::copy(&guest.ccrun, t.dir.join("ccrun")).expect("copy");
    // What only a debugger reads would take long to get there.
    if !users::have("strip") || t.command("strip", &["-o", &t.path("it"), &guest.it]).out().status != 0 {
        std::fs::copy(&guest.it, t.dir.join("it")).expect("copy");
    }
    if guest.is_own() {
        args.extend(pack_newuidmap(t));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut cmd = t.command(&vm, &args).env("ARCH", &guest.arch);
    for name in ["PATH", "HOME", "XDG_CACHE_HOME"] {
        if let Ok(value) = std::env::var(name) {
            cmd = cmd.env(name, value);
        }
    }
    cmd
}

/// What gives a user his range of ids, which Alpine has not, as a tar of absolute places: this machine's, with all that
/// it needs to run.
fn pack_newuidmap(t: &Sandbox) -> Option<String> {
    let programs = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];
    if programs.iter().any(|program| !Path::new(program).exists()) {
        return None;
    }
    // Nothing is said of a static one.
    let needed = t.command("ldd", &programs).out().stdout;
    let words = needed.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let libraries: std::collections::BTreeSet<&str> = words.collect();
    let names: Vec<&str> = programs.into_iter().chain(libraries).map(|name| &name[1..]).collect();
    let tar = t.path("newuidmap.tar");
    t.command("tar", &[&["-C", "/", "-chf", &tar], &names[..]].concat()).ok();
    Some(tar)
}
