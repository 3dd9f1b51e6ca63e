//! Package managers, as plain commands: what real packages do with owners, modes, users
//! and groups comes out the same for every user of ccrun, and the same as in Docker.

mod apk;
mod deb;
mod dish;
mod sign;

use crate::image::{Image, Layer};
use crate::judges::debian;
use crate::judges::engine::Engine;
use crate::registry::Registry;
use crate::sandbox::{Cmd, Out, Sandbox};
use crate::tar::{Entry, Tar, entry};
use crate::{cases, skip};
use serde_json::json;
use std::path::Path;

cases! {
    Every:
        apk_installs_upgrades_and_removes,
        apt_installs_upgrades_and_removes,
        debians_own_packages_install,
        a_daemon_is_its_users_and_keeps_no_power;
    Root:
        packages_come_out_as_in_docker;
}

/// One package of either kind.
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    /// As the index writes it.
    pub depends: &'static str,
    /// The directories that this package's trigger waits for (apk only; dpkg has a file for it).
    pub triggers: &'static str,
    /// Scripts, and what else lies beside the description.
    pub scripts: Vec<(&'static str, String)>,
    pub files: Vec<Entry>,
}

impl Package {
    /// With the directories that are in no list, as every packer puts them in.
    fn with_parents(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.files.clone();
        for one in &self.files {
            let path = String::from_utf8_lossy(&one.path).into_owned();
            for (at, _) in path.match_indices('/') {
                if !all.iter().any(|other| other.path == path.as_bytes()[..at]) {
                    all.push(entry(&path[..at], b'5', 0o755));
                }
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

/// An image in the store under a bare name, and the registry that has it for others.
fn in_store(t: &Sandbox, name: &str, image: &Image) -> (Registry, String) {
    let registry = Registry::open();
    registry.push(&format!("library/{name}"), "latest", image);
    let full = format!("{}/library/{name}:latest", registry.host);
    t.ccrun(&["pull", "-q", &full]).timeout(120).ok();
    t.ccrun(&["tag", &full, name]).ok();
    (registry, full)
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn alpine(t: &Sandbox) -> Image {
    // A user's copy of the fixture may lack it, and has lost its group.
    let shadow = Entry { data: b"root:*::0:::::\n".to_vec(), ..entry("etc/shadow", b'0', 0o640).owner(0, 42) };
    let tree = Tar::new().tree(Path::new(&t.alpine), "").finish();
    let image = Image::new(vec![Layer::gzip(tree)]).layer(Tar::new().entry(&shadow));
    image.set("Env", json!([PATH])).set("Cmd", json!(["/bin/sh"]))
}

/// `run` with these volumes and no other option, of ccrun or of a judge.
fn run(cmd: &dyn Fn(&[&str]) -> Cmd, volumes: &[String], image: &str, words: &[&str]) -> Out {
    let mut args = vec!["run"];
    for volume in volumes {
        args.extend(["-v", volume]);
    }
    args.push(image);
    cmd(&[&args[..], words].concat()).timeout(180).out()
}

/// Neither the package manager nor a script of a package has found anything to complain of.
fn content(out: Out) -> Out {
    // dpkg's count of files is long; the next two are of every installation in a minimal Debian without an init,
    // whoever runs it; the last is ccrun's word on --network host.
    let usual = [
        "(Reading database",
        "debconf: delaying package configuration, since apt-utils",
        "invoke-rc.d: ",
        "ccrun: the container shares this machine's network: ",
    ];
    let unusual = |text: &str| -> String {
        let lines = text.lines().filter(|line| !usual.iter().any(|start| line.starts_with(start)));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let out = Out { stdout: unusual(&out.stdout), stderr: unusual(&out.stderr), ..out };
    if out.status != 0 {
        println!("{}", out.stdout);
    }
    let out = out.exit(0).quiet();
    for line in out.stdout.lines() {
        let small = line.to_lowercase();
        let bad = ["error", "warning", "w: ", "e: ", "not permitted", "denied", "failed", "unsandboxed", "invalid"];
        if let Some(word) = bad.iter().find(|word| small.contains(*word)) {
            panic!("{word:?} in the output of {}:\n{}", out.shown, out.stdout);
        }
    }
    out
}

/// What stands between two marks that a script prints.
fn part<'a>(out: &'a str, name: &str) -> &'a str {
    let start = format!("== {name}\n");
    let at = out.find(&start).unwrap_or_else(|| panic!("no {start:?} in {out}")) + start.len();
    out[at..].split("== ").next().expect("a part")
}

/// With whatever their files' owners are on the host.
fn two_containers_go(t: &Sandbox) {
    let ids = t.ccrun(&["ps", "-aq"]).ok();
    let ids: Vec<&str> = ids.stdout.lines().collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    t.ccrun(&[&["rm"], &ids[..]].concat()).ok();
    t.nothing_left();
}

fn apk_installs_upgrades_and_removes(t: &Sandbox) {
    let life = dish::alpines(t);
    let (_registry, _) = in_store(t, "alpine", &alpine(t));
    let ccrun = |args: &[&str]| t.ccrun(args);
    content(run(&ccrun, &life.volumes, "alpine", &["apk", "add", "dish"])).has("dish");
    life.lived(&ccrun, "alpine");
    two_containers_go(t);
}

/// apt's methods are another user by the time that they do their work, and have made sure of it.
fn verified_by_apt(out: &str) {
    let who = part(out, "verifier");
    assert!(who.contains("(_apt) gid=65534(nogroup) groups=65534(nogroup)"), "{who}");
    assert!(!who.contains("uid=0"), "{who}");
}

fn apt_installs_upgrades_and_removes(t: &Sandbox) {
    let life = dish::debians(t);
    let (_registry, _) = in_store(t, "debian", &debian::image(t, "gz"));
    let ccrun = |args: &[&str]| t.ccrun(args);
    let plain = ["sh", "-c", "apt-get update && apt-get install -y dish"];
    content(run(&ccrun, &life.volumes, "debian", &plain)).has("Setting up dish (1.1)");
    verified_by_apt(&life.lived(&ccrun, "debian"));
    two_containers_go(t);
}

/// Who owns what in packages of Debian's own, whose scripts were written by many hands.
const DEBIANS: &str = "\
-rw-r----- root:daemon /etc/at.deny
drwxr-xr-x root:root /etc/cron.d
-rwsr-sr-x daemon:daemon /usr/bin/at
-rwxr-sr-x root:crontab /usr/bin/crontab
-rwxr-sr-x root:plocate /usr/bin/plocate
-rwxr-sr-x root:_ssh /usr/bin/ssh-agent
-rwsr-xr-- root:messagebus /usr/lib/dbus-1.0/dbus-daemon-launch-helper
-rwsr-xr-x root:root /usr/lib/openssh/ssh-keysign
drwx------ _apt:root /var/lib/apt/lists/partial
drwxrwsr-x uuidd:uuidd /var/lib/libuuid
drwxrwx--T daemon:daemon /var/spool/cron/atjobs
-rw------- daemon:daemon /var/spool/cron/atjobs/.SEQ
drwxrwx--T daemon:daemon /var/spool/cron/atspool
drwx-wx--T root:crontab /var/spool/cron/crontabs
";

/// From the mirror that the image names, by the network of the host.
fn debians_own(cmd: &dyn Fn(&[&str]) -> Cmd, image: &str) {
    let paths: Vec<&str> = DEBIANS.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let script = format!(
        "set -e; apt-get update; apt-get install -y --no-install-recommends at cron dbus openssh-client plocate uuid-runtime
        echo == files; stat -c '%A %U:%G %n' {}
        echo == sound; dpkg --verify; dpkg --audit
        echo == end",
        paths.join(" ")
    );
    let online = |args: &[&str]| cmd(&[&["run", "--network", "host"], &args[1..]].concat());
    let out = content(run(&online, &[], image, &["sh", "-c", &script])).stdout;
    assert_eq!(part(&out, "files"), DEBIANS, "of all:\n{out}");
    assert_eq!(part(&out, "sound"), "", "of all:\n{out}");
}

fn no_mirror(t: &Sandbox) -> Option<String> {
    let list = t.ccrun(&["run", "--rm", "debian", "cat", "/etc/apt/sources.list"]).ok().stdout;
    let words: Vec<&str> = list.split_whitespace().collect();
    let [.., url, suite, _] = words[..] else { panic!("{list}") };
    let release = format!("{}/dists/{suite}/InRelease", url.trim_end_matches('/'));
    let status = t.command("curl", &["-fsIL", "-m", "20", "-o", "/dev/null", &release]).out().status;
    (status != 0).then(|| format!("Debian's mirror is not to be reached ({release})"))
}

fn debians_own_packages_install(t: &Sandbox) {
    let (_registry, _) = in_store(t, "debian", &debian::image(t, "gz"));
    if let Some(why) = no_mirror(t) {
        skip!("{why}");
    }
    debians_own(&|args| t.ccrun(args), "debian");
}

/// What scripts around daemons ask of the kernel besides.
fn a_daemon_is_its_users_and_keeps_no_power(t: &Sandbox) {
    let (_registry, _) = in_store(t, "debian", &debian::image(t, "gz"));
    // With its capabilities kept for a while it changes its groups after its user.
    let script = "setpriv --reuid games --regid games --clear-groups id
        setpriv --reuid games --regid games --clear-groups setpriv --reuid root id 2>&1
        daemon() { start-stop-daemon --pidfile /run/pid --user \"$@\"; }
        daemon games --start --background --make-pidfile --chuid games --startas /bin/sleep -- 60
        until grep -qsx sleep /proc/$(cat /run/pid)/comm; do sleep 0.1; done
        stat -c %U:%G /proc/$(cat /run/pid)
        daemon daemon --status; echo $?
        daemon games --status; echo $?
        daemon games --stop --quiet --retry 10; echo $?
        daemon games --status; echo $?";
    let out = t.ccrun(&["run", "--rm", "debian", "sh", "-c", script]).ok().quiet();
    out.prints(
        "uid=5(games) gid=60(games) groups=60(games)
setpriv: setresuid failed: Operation not permitted
games:games
1
0
0
1
",
    );
}

/// Docker says the same, word for word.
fn packages_come_out_as_in_docker(t: &Sandbox) {
    let engine = Engine::start(t);
    let ccrun = |args: &[&str]| t.ccrun(args);
    let docker = |args: &[&str]| engine.docker(args);
    let offline = |args: &[&str]| docker(&[&["run", "--network", "none"], &args[1..]].concat());
    for (name, life, image) in
        [("alpine", dish::alpines(t), alpine(t)), ("debian", dish::debians(t), debian::image(t, "gz"))]
    {
        let (_registry, full) = in_store(t, name, &image.docker());
        engine.docker(&["pull", "-q", &full]).ok();
        let ours = life.lived(&ccrun, name);
        let theirs = life.lived(&offline, &full);
        assert_eq!(ours, theirs);
        if name == "debian" && no_mirror(t).is_none() {
            debians_own(&docker, &full);
        }
    }
}
