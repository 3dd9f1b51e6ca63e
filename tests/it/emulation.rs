//! Several users inside: real ones where there are subordinate ids, emulated where there are none. The same
//! scripts must print the same for all, so that the kernel itself is the judge of the emulation.

pub mod ids;
pub mod own_walls;

use crate::cases;
use crate::sandbox::{Cmd, Mode, Sandbox};

cases! {
    Every:
        a_file_can_be_given_away,
        what_a_user_makes_is_his,
        only_root_gives_files_away,
        an_owner_stays_with_his_file,
        a_user_cannot_become_root_again,
        ids_follow_the_rules_of_the_kernel,
        a_user_outlives_his_parent,
        a_process_is_its_users,
        set_user_id_programs_run_as_their_owner,
        a_chroot_is_no_obstacle,
        the_command_itself_may_be_pid_1,
        a_landlocked_program_stays_so,
        a_programs_own_filter_holds,
        many_files_get_an_owner,
        callers_may_die_at_any_time,
        many_ask_at_once;
    Users:
        devices_are_stood_in_for,
        nobody_makes_pid_1_grow_without_end,
        without_its_answerer_nothing_hangs,
}

/// A shell script, with a user `app` (1000:1000, also in staff 50 and video 44) and /it.
fn script(t: &Sandbox, flags: &[&str], script: &str) -> Cmd {
    let mount = format!("{}:/it:ro", t.it);
    let run = ["run", "--rm", "--rootfs", &t.busybox, "-v", &mount];
    t.ccrun(&[&run, flags, &["/bin/sh", "-c", script]].concat())
}

#[track_caller]
fn prints(t: &Sandbox, text: &str, expected: &str) {
    script(t, &[], text).ok().prints(expected);
}

fn a_file_can_be_given_away(t: &Sandbox) {
    prints(
        t,
        "touch f; chown 1000:50 f; stat -c %u:%g f; ls -ln f | tr -s ' ' | cut -d' ' -f1-4",
        "1000:50\n-rw-r--r-- 1 1000 50\n",
    );
    prints(t, "touch f; chown app f; chgrp video f; stat -c %U:%G f; chown 0:0 f; stat -c %u:%g f", "app:video\n0:0\n");
    // Of the image's own files too, which overlayfs copies up on that occasion.
    prints(t, "chown app /etc/passwd /etc; stat -c %u:%g /etc/passwd /etc /etc/group", "1000:0\n1000:0\n0:0\n");
    prints(
        t,
        "cd /etc; chown app passwd; cd /; stat -c %u etc/passwd ../etc/passwd /etc/../etc/passwd",
        "1000\n1000\n1000\n",
    );
    let links = "touch f; ln -s f l; chown -h 7:8 l; stat -c %u:%g l f; stat -L -c %u:%g l; chown 5 l; stat -c %u l f";
    prints(t, links, "7:8\n0:0\n0:0\n7\n5\n");
    prints(t, "ln -s f l; chown -h 7:8 l; ls -ln l | tr -s ' ' | cut -d' ' -f1-4", "lrwxrwxrwx 1 7 8\n");
    // What the kernel takes away on that occasion goes here, too; from a directory nothing.
    let bits = "touch f; mkdir d; chmod 6755 f d; chown 7 f d; stat -c %a f d";
    prints(t, bits, "755\n6755\n");
    // By a descriptor, and by the names of one.
    prints(t, "exec 5>f; chown 3:4 /proc/self/fd/5; stat -c %u:%g f; stat -L -c %u:%g /proc/self/fd/5", "3:4\n3:4\n");
    script(t, &[], "chown 9 none").out().exit(1).says("No such file");
    script(t, &["--read-only"], "chown 9 /etc/passwd").out().exit(1).says("Read-only file system");
}

fn what_a_user_makes_is_his(t: &Sandbox) {
    let make = "cd /tmp; touch f; mkdir d; ln -s f l; mkfifo p; echo x >d/g; : >>d/h; cp /etc/passwd c; \
        stat -c \"%n %u:%g %a\" f d l p d/g d/h c";
    let expected = "f 1000:1000 644\nd 1000:1000 755\nl 1000:1000 777\np 1000:1000 644\n\
        d/g 1000:1000 644\nd/h 1000:1000 644\nc 1000:1000 644\n";
    prints(t, &format!("su app -c '{make}'"), expected);
    prints(t, "su app -c 'umask 077; cd /tmp; touch f; mkdir d; stat -c \"%u %a\" f d'", "1000 600\n1000 700\n");
    // What root makes is root's, also where there are others, and what was there keeps its owner.
    prints(t, "cd /tmp; su app -c 'touch a'; touch b; : >a; stat -c %u a b", "1000\n0\n");
    prints(t, "cd /tmp; touch a; chmod 666 a; su app -c 'echo x >a; echo y >>a'; cat a; stat -c %u a", "x\ny\n0\n");
    // A directory with the set-group-id bit gives its group, and the bit to directories in it.
    let shared = "mkdir s; chown 0:50 s; chmod 2777 s; touch s/r; mkdir s/d; su app -c 'touch s/a; mkdir s/e'; \
        stat -c '%u:%g %a' s/r s/d s/a s/e";
    prints(t, shared, "0:50 644\n0:50 2755\n1000:50 644\n1000:50 2755\n");
    prints(t, "su app -c 'cd /tmp; set -C; echo x >f; echo y >f'; cat /tmp/f", "x\n");
    prints(
        t,
        "su app -c id; id",
        "uid=1000(app) gid=1000(app) groups=44(video),50(staff),1000(app)\nuid=0(root) gid=0(root) groups=0(root)\n",
    );
}

fn only_root_gives_files_away(t: &Sandbox) {
    let refused = "cd /tmp; touch root; su app -c 'touch a; chown 0 a || echo 1; chown 1000:50 a && echo 2; \
        chgrp 44 a && echo 3; chgrp 7 a || echo 4; chown app root || echo 5; chgrp 50 root || echo 6; chown app a && \
        echo 7' 2>/dev/null; stat -c %u:%g a root";
    prints(t, refused, "1\n2\n3\n4\n5\n6\n7\n1000:44\n0:0\n");
    script(t, &[], "cd /tmp; su app -c 'touch a; chown 0 a'").out().exit(1).says("Operation not permitted");
}

fn an_owner_stays_with_his_file(t: &Sandbox) {
    let moved = "mkdir a b; touch a/f; chown 5:6 a/f; mv a/f b/g; ln b/g a/h; mv b c; stat -c %u:%g c/g a/h; \
        chown 7 a/h; rm a/h; stat -c %u c/g; sed -i s/x/y/ c/g; stat -c %u c/g";
    prints(t, moved, "5:6\n5:6\n7\n7\n");
    // Gone with it: what is made later in its place is another's.
    let again = "for i in 1 2 3 4 5 6 7 8; do touch f; chown $i f; sleep 0.01; rm f; touch f; stat -c %u f; rm f; done | uniq -c";
    let out = script(t, &[], again).ok();
    assert_eq!(out.stdout.split_whitespace().collect::<Vec<_>>(), ["8", "0"], "{}", out.stdout);
    prints(t, "touch f; chown 5:6 f; chmod 4750 f; cp -p f g; cp f h; stat -c '%u:%g %a' g h", "5:6 4750\n0:0 4750\n");
    let tar = "mkdir d; touch d/f; ln -s f d/l; chown -hR 5:6 d; chown 7:8 d/f; tar -cf t d; rm -r d; tar -xf t; \
        stat -c %u:%g d d/f d/l; tar -tvf t | cut -c1-14";
    prints(t, tar, "5:6\n7:8\n0:0\ndrwxr-xr-x 5/6\n-rw-r--r-- 7/8\nlrwxrwxrwx 5/6\n");
    prints(
        t,
        "mkdir d; touch d/a d/b; chown app d/b; find d -user app; find d ! -user 0; find d -group 0 | sort",
        "d/b\nd/b\nd\nd/a\nd/b\n",
    );
    // On a file system of its own, too.
    script(t, &["--tmpfs", "/m"], "cd /m; touch f; chown 5 f; su app -c 'touch /dev/shm/x'; stat -c %u f /dev/shm/x")
        .ok()
        .prints("5\n1000\n");
}

fn a_user_cannot_become_root_again(t: &Sandbox) {
    let root = "0/0/0 0 0/0/0 0 [0, 0, 0, 0] [0]\n";
    let app = "1000/1000/1000 1000 50/50/50 50 [1000, 1000, 50, 50] [50]\n";
    let tried = "setuid(0) = -1\nsetgid(0) = -1\nseteuid(0): Operation not permitted (os error 1)\n";
    let expected = [root, root, app, app, tried, app, app, app].concat();
    t.inside(&[], &["ids", "drop", "1000", "50"]).ok().prints(&expected);
    t.inside(&["--security-opt", "no-new-privileges"], &["ids", "drop", "1000", "50"]).ok().prints(&expected);
    // Root is in the groups that the image says.
    let groups = t.file("group", "root:x:0:root\ndisk:x:6:root\nadm:x:4:root\n");
    t.inside(&["-v", &format!("{groups}:/etc/group")], &["ids", "show"])
        .ok()
        .prints(&root.replace("[0]\n", "[0, 4, 6]\n"));
    t.inside(&["-u", "0:7"], &["ids", "show"]).ok().prints("0/0/0 0 7/7/7 7 [0, 0, 7, 7] [7]\n");
}

/// The digest is the kernel's: what it answers root and users with subordinate ids to the same calls.
fn ids_follow_the_rules_of_the_kernel(t: &Sandbox) {
    // Which calls are tried is chosen by their numbers, which differ.
    let digest = match cfg!(target_arch = "x86_64") {
        true => "f11c11c9109113ca95bc5411426f99c6e3d8a41cd09511b50a37ca757c401e34",
        false => "0c490de87d64ca65dc59f58cead5cd828cca2b3344532fa8a0f5c21d18b70ff2",
    };
    let out = t.inside(&[], &["ids", "digest", "300"]).timeout(120).ok();
    out.prints(&format!("sha256:{digest}\n"));
}

fn a_user_outlives_his_parent(t: &Sandbox) {
    let orphan = "su app -c '(sleep 0.3; id -u; touch /tmp/f; stat -c %u /tmp/f) & echo started'; echo gone; sleep 1";
    prints(t, orphan, "started\ngone\n1000\n1000\n");
    prints(t, "su app -c 'setsid sh -c \"sleep 0.2; id -un\" & exit'; sleep 0.8", "app\n");
    prints(t, "su app -c 'ulimit -x 5; ulimit -x 0; id -u'", "1000\n");
}

fn a_process_is_its_users(t: &Sandbox) {
    let own = "su app -c 'sleep 5 & stat -c %u:%g /proc/$! /proc/self /proc/1; cd /proc/$!; stat -c %u . status; kill $!'; \
        stat -c %u:%g /proc/self/ /proc/$$/stat /proc/self/fd/0";
    let out = script(t, &[], own).ok();
    // /proc/self is a link, which is the host's.
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines, ["1000:1000", "65534:65534", "0:0", "1000", "1000", "0:0", "0:0", "0:0"]);
    let ps = script(t, &[], "su app -c 'sleep 5 & ps -o user,comm; kill $!'").ok();
    let app: Vec<&str> = ps.stdout.lines().filter(|line| line.starts_with("app ")).collect();
    assert_eq!(app.len(), 3, "{}", ps.stdout);
}

fn set_user_id_programs_run_as_their_owner(t: &Sandbox) {
    let show = |user: &str| format!("su {user} -c '/tmp/it --inside ids show'");
    let copy = |owner: &str, mode: u32| format!("cp /it /tmp/it; chown {owner} /tmp/it; chmod {mode:o} /tmp/it; ");
    let of = |owner, mode, user| script(t, &[], &(copy(owner, mode) + &show(user))).ok().stdout;
    assert_eq!(of("0:0", 0o4755, "app"), "1000/0/0 0 1000/1000/1000 1000 [1000, 0, 1000, 1000] [44, 50, 1000]\n");
    assert_eq!(of("7:8", 0o6755, "app"), "1000/7/7 7 1000/8/8 8 [1000, 7, 1000, 8] [44, 50, 1000]\n");
    // Without the execute bit for the group it means something else.
    assert_eq!(
        of("7:8", 0o2745, "app"),
        "1000/1000/1000 1000 1000/1000/1000 1000 [1000, 1000, 1000, 1000] [44, 50, 1000]\n"
    );
    assert_eq!(of("7:0", 0o4755, "root"), "0/7/7 7 0/0/0 0 [0, 7, 0, 0] [0]\n");
    // Nor does a script count, nor one who has given it up.
    let text = "printf '#!/it --inside ids show\\n' >/tmp/s; echo '#!/bin/sh' >/tmp/s; echo id -u >>/tmp/s; chmod 4755 /tmp/s; su app -c /tmp/s";
    prints(t, text, "1000\n");
    let given_up = script(t, &["--security-opt", "no-new-privileges"], &(copy("0:0", 0o4755) + &show("app"))).ok();
    assert!(given_up.stdout.starts_with("1000/1000/1000 "), "{}", given_up.stdout);
    let forbidden = copy("0:0", 0o4755).replace("/tmp/", "/m/") + "su app -c '/m/it --inside ids show'";
    let forbidden = script(t, &["--tmpfs", "/m:exec"], &forbidden).ok();
    assert!(forbidden.stdout.starts_with("1000/1000/1000 "), "{}", forbidden.stdout);
    // What cannot be run gives nothing.
    prints(t, "su app -c '/none; /etc/passwd; /etc' 2>/dev/null; su app -c 'id -u'", "1000\n");
}

fn a_chroot_is_no_obstacle(t: &Sandbox) {
    let jail = "mkdir -p j/bin j/tmp j/etc; chmod 1777 j/tmp; cp /bin/busybox j/bin/sh; cp /etc/passwd /etc/group j/etc; touch j/f f; ";
    let text = "chroot j sh -c 'busybox() { /bin/sh \"$@\"; }; cd /tmp; echo $PWD; chown app ../f /tmp/../../f; ln -s /f l; chown -h 9 l; \
        chown 1000:6 l; touch g; chown 3 g; stat -c %u:%g /f l g' && stat -c %u:%g f j/f j/tmp/l j/tmp/g";
    let applets = "for a in chown ln touch stat; do ln -s sh j/bin/$a; done; ";
    prints(t, &[jail, applets, text].concat(), "/tmp\n1000:6\n9:0\n3:0\n0:0\n1000:6\n9:0\n3:0\n");
    let user = "chroot j sh -c 'ln -s sh /bin/su; su app -c \"cd /tmp; >x; ln -s /f /tmp/y; stat -c %u x y\"'; stat -c %u j/tmp/x";
    prints(t, &[jail, applets, user].concat(), "1000\n1000\n1000\n");
}

fn the_command_itself_may_be_pid_1(t: &Sandbox) {
    let text = "echo $$; touch f; chown 5:6 f; stat -c %u:%g f; su app -c 'id -u; cd /tmp; touch g; stat -c %u g'";
    script(t, &["--no-init"], text).ok().prints("1\n5:6\n1000\n1000\n");
    // Nobody else's child is the command's to wait for.
    script(t, &["--no-init"], "sleep 0.1 & wait; echo $?; exit 7").out().prints("0\n").exit(7);
    script(t, &["--no-init"], "exec /none").out().exit(127);
    t.run(&["--no-init", "/none"]).out().error(127, "/none");
    t.run(&["--no-init", "-u", "app", "id", "-u"]).ok().prints("1000\n");
    t.nothing_left();
}

/// The ruleset forbids to make anything; where others make it for the program, there is no ruleset to be had.
fn a_landlocked_program_stays_so(t: &Sandbox) {
    let out = t.inside(&[], &["own-walls", "landlock"]).ok();
    let held = "done\nEACCES\nEACCES\nEACCES\nEACCES\n";
    let expected = if t.mode == Mode::Nosubuid { "no rulesets: ENOSYS\n" } else { held };
    if t.mode != Mode::Nosubuid && ["no rulesets: ENOSYS\n", "no rulesets: EOPNOTSUPP\n"].contains(&&*out.stdout) {
        crate::skip!("this kernel has no Landlock");
    }
    out.prints(expected);
}

fn a_programs_own_filter_holds(t: &Sandbox) {
    let abis: &[&str] =
        if cfg!(target_arch = "x86_64") { &["seccomp", "prctl", "i386"] } else { &["seccomp", "prctl"] };
    for how in abis {
        let filter = |answer: u32| t.inside(&[], &["own-walls", "filter", how, &format!("{answer:x}")]).ok();
        filter(0x0005_0000 | libc::EPERM as u32).prints("done\nEPERM\nEPERM\nEPERM\nEPERM\n");
        filter(0x0005_0000).prints("done\ndone\ndone\ndone\ndone\n");
        for allowed in [0x7fff_0000, 0x7ffc_0000] {
            filter(allowed).prints("done\ndone\ndone\ndone\ndone\n");
        }
        // Of a tracer that is not there. We would be asked first: so there is no such filter.
        let (refused, held) = ("EINVAL\ndone\ndone\ndone\ndone\n", "done\nENOSYS\nENOSYS\nENOSYS\nENOSYS\n");
        filter(0x7ff0_0001).prints(if t.mode == Mode::Nosubuid { refused } else { held });
        // One that ends the program.
        t.inside(&[], &["own-walls", "filter", how, "80000000"]).out().exit(159).prints("done\n");
    }
}

fn many_files_get_an_owner(t: &Sandbox) {
    let text = "mkdir d; cd d; seq 10000 | xargs touch; chown -R app:staff .; find . -user app -group staff | wc -l; \
        seq 1 2 10000 | xargs rm; find . -user app | wc -l; su app -c 'umask 0; mkdir /tmp/e; cd /tmp/e; seq 3000 | xargs touch'; \
        find /tmp/e -user app | wc -l";
    script(t, &[], text).timeout(200).ok().prints("10001\n5001\n3001\n");
}

fn callers_may_die_at_any_time(t: &Sandbox) {
    let text = "cd /tmp; touch f; chown 5 f; for i in $(seq 40); do \
        (while :; do stat f; chown 7 g; touch g; id; rm -f g; done >/dev/null 2>&1) & pids=\"$pids $!\"; done; \
        sleep 0.3; for p in $pids; do kill -9 $p; done; wait; su app -c 'id -u; stat -c %u f'";
    script(t, &[], text).timeout(200).ok().prints("1000\n5\n");
    // Signals that kill nobody make nothing happen twice.
    t.inside(&[], &["ids", "interrupted", "2000"]).ok().prints("made\n");
}

fn many_ask_at_once(t: &Sandbox) {
    let text = "touch f; chown 5:6 f; for i in $(seq 150); do (for j in 1 2 3 4 5; do su app -c 'stat -c %u:%g f; id -u'; done) & \
        done | sort | uniq -c; wait";
    let out = script(t, &[], text).timeout(300).ok();
    assert_eq!(out.stdout.split_whitespace().collect::<Vec<_>>(), ["750", "1000", "750", "5:6"], "{}", out.stdout);
}

fn devices_are_stood_in_for(t: &Sandbox) {
    let text =
        "mknod b b 8 1; mknod -m 600 c c 1 3; su app -c 'mknod /tmp/d c 1 3'; stat -c '%F %t:%T %u %a' b c; cat b c";
    let out = script(t, &[], text).out().says("Operation not permitted");
    if t.mode == Mode::Nosubuid {
        out.prints("block special file 8:1 0 644\ncharacter special file 1:3 0 600\n");
        prints(
            t,
            "mknod b b 8 1; chown 5 b; mv b c; stat -c '%F %u' c; rm c; touch c; stat -c '%F %u' c",
            "block special file 5\nregular empty file 0\n",
        );
    }
}

fn nobody_makes_pid_1_grow_without_end(t: &Sandbox) {
    if t.mode != Mode::Nosubuid {
        return;
    }
    let out =
        script(t, &[], "/it --inside ids many 30000; grep VmRSS /proc/1/status; su app -c id; touch f; stat -c %u f")
            .ok();
    let resident: u64 = out.stdout.split_whitespace().nth(3).and_then(|number| number.parse().ok()).expect("VmRSS");
    assert!(out.stdout.starts_with("refused some\n") && out.stdout.ends_with("0\n"), "{}", out.stdout);
    assert!(resident < 40 << 10, "PID 1 has {resident} KiB");
}

fn without_its_answerer_nothing_hangs(t: &Sandbox) {
    if t.mode != Mode::Nosubuid {
        return;
    }
    // The helper of a container without init is a process like others there, which its root may kill.
    let out = script(t, &["--no-init"], "echo $$; kill -9 2; stat -c %u /etc; echo still").out();
    assert!(out.stdout.starts_with("1\n") && out.stdout.ends_with("still\n"), "{}", out.stdout);
}
