//! The same binary on another machine: a bare Alpine guest with a pure cgroup v2.

use crate::sandbox::{Out, Sandbox, walk};
use crate::{cases, skip, users};
use std::path::Path;

cases! {
    Once:
        threats_fail_in_the_alpine_guest,
        runs_in_the_alpine_guest
}

const SCRIPT: &str = r#"#!/bin/sh
# As root and as alice: what people would type first, then limits and leftovers.
set -u
bad=0
check() { if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "NOT SO: $1: got '$2', not '$3'"; bad=1; fi; }
mkdir -p /job/fixtures && tar -xf busybox.tar -C /job/fixtures
# In the words' commands, ROOTFS is a directory of the user's own.
as() { set -- "$1" "$(echo "$2" | sed "s|ROOTFS|--rootfs $fixtures/busybox|")"; as_user "$@"; }
as_user() { if [ "$1" = root ]; then sh -c "$2"; else su "$1" -c "$2"; fi 2>&1; }
cp -a /job/fixtures /job/alice && chown -R alice /job/alice
for user in root alice; do
	fixtures=/job/fixtures
	[ $user = root ] || fixtures=/job/alice
	check "$user: echo" "$(as $user 'cd /; ccrun run echo Hello Coding Challenges!')" "Hello Coding Challenges!"
	check "$user: a rootfs" "$(as $user 'cd /; ccrun run --rm ROOTFS /bin/sh -c "id -u; hostname; exit 3"; echo $?')" "0
container
3"
	check "$user: status" "$(as $user 'cd /; ccrun run --rm ROOTFS nope 2>/dev/null; echo $?')" 127
	check "$user: nobody outside" "$(as $user 'cd /; ccrun run --rm ROOTFS sleep 3.3 & sleep 2
		for p in /proc/[0-9]*; do [ "$(tr "\0" " " <$p/cmdline 2>/dev/null)" = "sleep 3.3 " ] && sed -n "s/^Uid:.\([0-9]*\).*/\1/p" $p/status; done | grep -cv "^0$"; wait')" 1
done
check "root: -m ends what takes too much" "$(ccrun run --rm -m 64m -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside eat 200 >/dev/null 2>&1; echo $?)" 137
check "root: -m leaves the rest alone" "$(ccrun run --rm -m 64m -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside eat 30 2>&1)" "ate 30 MB"
check "root: --pids-limit" "$(ccrun run --rm --pids-limit 20 -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside forks 40 2>&1 | tail -n 1 | grep -c '^1[0-9] started')" 1
# Here root has all of root's power, as on most machines, and not on the one that the tests were made on.
check "root: a hard limit is raised" "$(ulimit -l 64; ccrun run --rm --ulimit memlock=-1 --rootfs /job/fixtures/busybox /bin/sh -c 'ulimit -l' 2>&1)" unlimited
check "alice: a hard limit is not" "$(su alice -c 'ulimit -l 64; ccrun run --rm --ulimit memlock=-1 --rootfs /job/alice/busybox true 2>/dev/null; echo $?')" 125
check "root: importance is not handed on" "$(echo -5 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj | tr '\n' ' '; ccrun run --rm --rootfs /job/fixtures/busybox cat /proc/self/oom_score_adj 2>&1)" "-5 0"
check "root: every capability can be had" "$(ccrun run --rm --cap-add ALL --rootfs /job/fixtures/busybox grep CapEff /proc/self/status 2>&1)" "$(grep CapEff /proc/self/status)"
check "no cgroup is left" "$(find /sys/fs/cgroup -type d | grep -c '[0-9a-f]\{64\}')" 0
check "no mount is left" "$(grep -c ccrun /proc/mounts)" 0
exit $bad
"#;

/// The rows of threats.rs that need nothing but ccrun, as all three kinds of user. A slow machine, and one CPU: of what
/// is done many times it does a part.
const THREATS: &str = r#"#!/bin/sh
set -eu
mkdir fixtures && tar -xf busybox.tar -C fixtures
# It has no newuidmap: the host's, with the libraries that it is made with.
tar -xf newuidmap.tar -C / && chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap
mkdir -p /var/tmp
export CCRUN_BIN=/usr/local/bin/ccrun CCRUN_FIXTURES=/job/fixtures CCRUN_IT_PART=10
echo "not here, as it is about the source or needs a registry: threats::every_row_has_its_tests, unpack, registry"
exec ./it threats::start threats::mounts threats::kernel threats::neighbours
"#;

fn threats_fail_in_the_alpine_guest(t: &Sandbox) {
    pack_newuidmap(t);
    let out = in_the_guest(t, THREATS, &["newuidmap.tar"]);
    println!("{}", out.stdout);
    let last = out.stdout.trim_end().lines().last().unwrap_or_default().to_owned();
    let passed = last.split(' ').next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    assert!(out.status == 0 && last.ends_with(" passed, 0 failed, 0 skipped"), "{last}\n{}", out.stderr);
    assert!(passed > 90, "only {passed} tests were run in the guest");
}

/// What gives a user his range of ids, with all that it needs to run, as a tar of absolute places.
fn pack_newuidmap(t: &Sandbox) {
    let programs = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];
    if programs.iter().any(|program| !Path::new(program).exists()) {
        skip!("newuidmap is not installed");
    }
    let needed = t.command("ldd", &programs).ok().stdout;
    let words = needed.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let libraries: std::collections::BTreeSet<&str> = words.collect();
    let names: Vec<&str> = programs.into_iter().chain(libraries).map(|name| &name[1..]).collect();
    let tar = t.path("newuidmap.tar");
    t.command("tar", &[&["-C", "/", "-chf", &tar], &names[..]].concat()).ok();
}

fn runs_in_the_alpine_guest(t: &Sandbox) {
    let out = in_the_guest(t, SCRIPT, &[]);
    println!("{}", out.stdout);
    assert!(!out.stdout.contains("NOT SO"), "{}", out.stdout);
    out.exit(0).has("ok: alice: a rootfs");
}

/// Runs the script there, with the tests' own program, the busybox fixture and more files beside it.
fn in_the_guest(t: &Sandbox, script: &str, more: &[&str]) -> Out {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vm/run");
    let vm = std::env::var("CCRUN_VM_RUN").unwrap_or(beside.to_owned());
    if !Path::new(&vm).exists() {
        skip!("there is no virtual machine at ../shared/vm/run or $CCRUN_VM_RUN");
    }
    let script = t.file("script", script);
    // The fixture as one file.
    let fixtures = Path::new(&t.busybox).parent().expect("a parent").to_str().expect("UTF-8");
    t.command("tar", &["-C", fixtures, "-cf", &t.path("busybox.tar"), "busybox"]).ok();
    let mut files = 0;
    walk(Path::new(&t.busybox), &mut |_| files += 1);
    assert!(files > 100);
    // What only a debugger reads would take long to get there.
    for (from, name) in [(&t.it, "it"), (&t.ccrun, "ccrun")] {
        if !users::have("strip") || t.command("strip", &["-o", &t.path(name), from]).out().status != 0 {
            std::fs::copy(from, t.dir.join(name)).expect("copy");
        }
    }
    let mut args = vec![t.path("ccrun"), script, t.path("busybox.tar"), t.path("it")];
    args.extend(more.iter().map(|name| t.path(name)));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let cmd = t.command(&vm, &args).timeout(390).env("VM_TIMEOUT", "380");
    let cmd = cmd.env("PATH", std::env::var("PATH").unwrap_or_default());
    cmd.env("HOME", std::env::var("HOME").unwrap_or("/root".into())).out()
}
