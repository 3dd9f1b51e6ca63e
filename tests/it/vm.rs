//! The same binary on another machine: a bare Alpine guest with a pure cgroup v2, of this architecture and of Arm.

pub mod guest;

use crate::cases;
use crate::sandbox::{Cmd, Out, Sandbox};
use guest::Guest;

cases! {
    Once:
        walls_hold_on_arm,
        the_challenge_passes_on_arm,
        limits_hold_in_the_alpine_guest,
        threats_fail_in_the_alpine_guest,
        runs_in_the_alpine_guest
}

const SCRIPT: &str = r#"#!/bin/sh
# As root and as alice: what people would type first, then limits and leftovers.
set -u
bad=0
check() { if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "NOT SO: $1: got '$2', not '$3'"; bad=1; fi; }
mkdir -p /job/fixtures && tar -xf fixtures.tar -C /job/fixtures
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
	check "$user: nobody outside" "$(as $user 'cd /; ccrun run --rm ROOTFS sleep 33.3 & for n in $(seq 40); do sleep 0.5
		uid=$(for p in /proc/[0-9]*; do [ "$(tr "\0" " " <$p/cmdline)" = "sleep 33.3 " ] && sed -n "s/^Uid:.\([0-9]*\).*/\1/p" $p/status; done 2>/dev/null)
		[ -z "$uid" ] || break; done; kill $!; wait; echo "$uid" | grep -c "[1-9]"')" 1
done
check "root: -m ends what takes too much" "$(ccrun run --rm -m 64m -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside eat 200 >/dev/null 2>&1; echo $?)" 137
check "root: -m leaves the rest alone" "$(ccrun run --rm -m 64m -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside eat 30 2>&1)" "ate 30 MB"
check "root: --pids-limit" "$(ccrun run --rm --pids-limit 20 -v /job/it:/it:ro --rootfs /job/fixtures/busybox /it --inside forks 40 2>&1 | tail -n 1 | grep -c '^1[0-9] started')" 1
# Here root has all of root's power, as on most machines, and not on the one that the tests were made on.
check "root: a hard limit is raised" "$(ulimit -l 64; ccrun run --rm --ulimit memlock=-1 --rootfs /job/fixtures/busybox /bin/sh -c 'ulimit -l' 2>&1)" unlimited
check "alice: a hard limit is not" "$(su alice -c 'ulimit -l 64; ccrun run --rm --ulimit memlock=-1 --rootfs /job/alice/busybox true 2>/dev/null; echo $?')" 125
check "root: importance is not handed on" "$(echo -5 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj | tr '\n' ' '; ccrun run --rm --rootfs /job/fixtures/busybox cat /proc/self/oom_score_adj 2>&1)" "-5 0"
check "root: every capability can be had" "$(ccrun run --rm --cap-add ALL --rootfs /job/fixtures/busybox grep CapEff /proc/self/status 2>&1)" "$(grep CapEff /proc/self/status)"
# Whom root has delegated cgroups to has limits like root.
ccrun check --fix alice | grep '^done   gave alice the cgroups '
mine() { sh -c 'echo $$ >/sys/fs/cgroup/ccrun/1000/login/cgroup.procs; exec su alice -c "$0"' "$1" 2>&1; }
inside="-v /job/it:/it:ro --rootfs /job/alice/busybox /it --inside"
between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] && echo "between $2 and $3" || echo "$1"; }
check "alice: limits are to be had" "$(mine 'ccrun check | grep -c "^ok     cgroups: v2; limits of memory, cpu"')" 1
check "alice: -m ends what takes too much" "$(mine "ccrun run --rm -m 64m $inside eat 200 >/dev/null 2>&1; echo \$?")" 137
check "alice: -m is told of" "$(mine "ccrun run --rm -m 64m $inside eat 200" | grep -c 'it reached its limit of 64MiB (--memory)')" 1
check "alice: -m leaves the rest alone" "$(mine "ccrun run --rm -m 64m $inside eat 60")" "ate 60 MB"
check "alice: --pids-limit" "$(mine "ccrun run --rm --pids-limit 20 $inside forks 40" | tail -n 1 | grep -c '^1[0-9] started')" 1
check "alice: --cpuset-cpus" "$(mine 'ccrun run --rm --cpuset-cpus 0 --rootfs /job/alice/busybox grep Cpus_allowed_list /proc/self/status')" "Cpus_allowed_list:	0"
check "alice: --cpus" "$(between "$(mine "ccrun run --rm --cpus 0.5 $inside burn 4")" 1800 2200)" "between 1800 and 2200"
start=$(($(date +%s) + 15))000
mine "ccrun run --rm -c 512 $inside burn-from $start 4000" >/tmp/less & mine "ccrun run --rm -c 1024 $inside burn-from $start 4000" >/tmp/more
wait
check "alice: --cpu-shares" "$(between $(($(cat /tmp/more) * 100 / $(cat /tmp/less))) 170 230)" "between 170 and 230"
check "no cgroup is left" "$(find /sys/fs/cgroup -type d | grep -c '[0-9a-f]\{64\}')" 0
check "no mount is left" "$(grep -c ccrun /proc/mounts)" 0
exit $bad
"#;

fn threats_fail_in_the_alpine_guest(t: &Sandbox) {
    let filters = ["threats::start", "threats::mounts", "threats::kernel", "threats::neighbours"];
    tests_pass(t, &Guest::own(t), &filters, &["busybox"], 90);
}

fn limits_hold_in_the_alpine_guest(t: &Sandbox) {
    tests_pass(t, &Guest::own(t), &["limits::", "stats::", " check::"], &["busybox"], 70);
}

/// What depends on the numbers and structures of the kernel's other ABI; what takes long there is left out.
fn walls_hold_on_arm(t: &Sandbox) {
    let filters = [
        "root isolation::",
        "nosubuid isolation::root_inside",
        "nosubuid isolation::every_namespace",
        "nosubuid isolation::alpine_is",
        "limits::inside",
        "limits::ends",
        "seccomp::the_ways",
        "nosubuid emulation::a_file",
        "nosubuid emulation::a_user_cannot",
        "nosubuid emulation::a_landlocked",
        "nosubuid emulation::a_programs",
        "nosubuid emulation::devices",
        "nosubuid emulation::set_user",
    ];
    tests_pass(t, &Guest::other("aarch64"), &filters, &["busybox", "alpine"], 35);
}

fn the_challenge_passes_on_arm(t: &Sandbox) {
    steps_pass(t, &Guest::other("aarch64"));
}

/// The guest's runner has run at least so many tests, and none of them has skipped.
fn tests_pass(t: &Sandbox, guest: &Guest, filters: &[&str], fixtures: &[&str], at_least: usize) {
    let out = within_the_time(guest::run(t, guest, &guest.tests(filters), fixtures));
    println!("{}", out.stdout);
    let last = out.stdout.trim_end().lines().last().unwrap_or_default().to_owned();
    let passed = last.split(' ').next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    assert!(out.status == 0 && last.ends_with(" passed, 0 failed, 0 skipped"), "{last}\n{}", out.stderr);
    assert!(passed >= at_least, "only {passed} tests were run in the guest");
}

fn runs_in_the_alpine_guest(t: &Sandbox) {
    steps_pass(t, &Guest::own(t));
}

fn steps_pass(t: &Sandbox, guest: &Guest) {
    let out = within_the_time(guest::run(t, guest, SCRIPT, &["busybox"]));
    println!("{}", out.stdout);
    assert!(!out.stdout.contains("NOT SO"), "{}", out.stdout);
    out.exit(0).has("ok: alice: a rootfs").has("ok: alice: --cpu-shares");
}

/// So that the guest is ended, and tells how far it came, before the runner ends this test.
fn within_the_time(guest: Cmd) -> Out {
    guest.timeout(910).env("VM_TIMEOUT", "900").out()
}
