//! Steps 2 to 5: hostname, root, processes, users; and that the host keeps what is its own.

use crate::sandbox::{Mode, Sandbox};
use crate::{cases, procs, sys};

cases! {
    Every:
        the_hostname_is_its_own,
        alpine_is_the_root_and_stays_it,
        the_old_way_out_of_a_chroot_leads_nowhere,
        ps_shows_ccrun_the_shell_and_ps,
        the_hosts_mounts_stay_as_they_are,
        every_namespace_is_new,
        root_inside_is_nobody_outside,
        proc_and_sys_are_own_and_read_only_where_it_matters,
        dev_has_what_programs_need_and_no_more,
        etc_files_are_the_containers_own,
        only_loopback_and_it_is_up,
        the_hosts_network_when_asked_for,
        writes_never_reach_the_rootfs,
        writes_never_reach_the_host,
        orphans_are_reaped,
        without_init_the_command_is_pid_1,
        two_runs_do_not_see_each_other,
        secrets_on_the_command_line_stay_outside;
    Root:
        no_mount_is_shared_with_a_host_that_shares_all,
}

/// As systemd and OpenRC leave a machine: every mount is shared.
fn no_mount_is_shared_with_a_host_that_shares_all(t: &Sandbox) {
    t.file("volume/file", "x");
    // The two sides wait for each other, but not for ever.
    let wait_for = |file: &str| format!("for n in $(seq 300); do [ ! -e {file} ] || break; sleep 0.1; done");
    let inside = format!(
        "grep -E 'shared:|master:' /proc/self/mountinfo; touch /volume/ready; {}; rm /volume/ready /volume/go
        ls /volume /volume/dir",
        wait_for("/volume/go")
    )
    .replace('$', "\\$");
    let script = format!(
        "mkdir -p volume/dir; mount --bind volume volume
        ({}; mount -t tmpfs none volume/dir; touch volume/dir/late volume/go) &
        {} run --rm --rootfs {} -v $PWD/volume:/volume /bin/sh -c \"{inside}\"; wait; umount volume/dir volume",
        wait_for("volume/ready"),
        t.ccrun,
        t.busybox
    );
    let out = t.command("unshare", &["-m", "--propagation", "shared", "sh", "-c", &script]).ok();
    assert_eq!(out.stdout, "/volume:\ndir\nfile\n\n/volume/dir:\n", "{}", out.stderr);
}

fn the_hostname_is_its_own(t: &Sandbox) {
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname");
    t.run(&["hostname"]).ok().prints("container\n");
    // Whether root inside may change it or not (Docker's may not), it is not this machine's.
    let changed = t.sh("hostname changed 2>/dev/null; hostname").ok().stdout;
    assert!(["changed\n", "container\n"].contains(&changed.as_str()), "{changed}");
    t.run(&["--hostname", "web1", "hostname"]).ok().prints("web1\n");
    t.run(&["-h", "web2", "/bin/sh", "-c", "cat /etc/hostname; echo $HOSTNAME"]).ok().prints("web2\nweb2\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname"), before);
}

fn alpine_is_the_root_and_stays_it(t: &Sandbox) {
    let alpine = |args: &[&str]| t.ccrun(&[&["run", "--rm"], args].concat()).env("CCRUN_ROOTFS", &t.alpine);
    let out = alpine(&["/bin/busybox", "sh", "-c", "ls /; cd ..; pwd; cd ../../..; pwd; ls -d ALPINE_FS_ROOT"]).ok();
    assert!(out.stdout.lines().any(|line| line == "ALPINE_FS_ROOT"), "{}", out.stdout);
    assert!(out.stdout.ends_with("/\n/\nALPINE_FS_ROOT\n"), "{}", out.stdout);
    alpine(&["cat", "/etc/alpine-release"]).ok().has("3.");
    let other = t.ccrun(&["run", "--rm", "--rootfs", &t.busybox, "ls", "/"]).env("CCRUN_ROOTFS", &t.alpine).ok();
    other.lacks("ALPINE_FS_ROOT");
}

fn the_old_way_out_of_a_chroot_leads_nowhere(t: &Sandbox) {
    let out = t.inside(&[], &["escape"]).ok().has("still inside");
    assert!(!out.stdout.contains("lost+found") && out.stdout.contains("\"bin\""), "{}", out.stdout);
    // No mount of the host's is left to climb into.
    let mounts = t.sh("cat /proc/self/mountinfo").ok();
    let host_root = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(mounts.stdout.lines().count() < 60, "{}", mounts.stdout);
    assert!(!host_root.is_empty());
}

fn ps_shows_ccrun_the_shell_and_ps(t: &Sandbox) {
    let run = t.ccrun(&["run", "--rm", "/bin/busybox", "sh", "-c", "ps -o pid,comm,args; true"]);
    let out = run.env("CCRUN_ROOTFS", &t.alpine).ok();
    let lines: Vec<Vec<&str>> = out.stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{}", out.stdout);
    assert_eq!(lines[0][..2], ["1", "ccrun"], "{}", out.stdout);
    assert!(lines[1][2..].starts_with(&["/bin/busybox", "sh"]), "{}", out.stdout);
    assert_eq!(lines[2][2], "ps", "{}", out.stdout);
    // In the form that people type, too.
    let plain = t.ccrun(&["run", "--rm", "ps"]).env("CCRUN_ROOTFS", &t.alpine).ok();
    assert_eq!(plain.stdout.lines().count(), 3, "{}", plain.stdout);
    assert!(plain.stdout.lines().nth(1).expect("PID 1").contains("ccrun"), "{}", plain.stdout);
}

fn host_mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo")
}

fn the_hosts_mounts_stay_as_they_are(t: &Sandbox) {
    let before = host_mounts();
    let shell = t.command("sh", &["-c", "mount | grep proc"]).ok().stdout;
    let running = t.sh("mount >/tmp/mounts; echo ready; sleep 3.17").spawn();
    running.until("ready");
    assert_eq!(host_mounts(), before, "while the container runs");
    assert_eq!(t.command("sh", &["-c", "mount | grep proc"]).ok().stdout, shell);
    running.wait().exit(0);
    assert_eq!(host_mounts(), before, "after it has ended");
    t.nothing_left();
}

fn every_namespace_is_new(t: &Sandbox) {
    let out = t.sh("cd /proc/self/ns; for ns in user pid mnt uts ipc cgroup net; do readlink $ns; done").ok();
    assert_eq!(out.stdout.lines().count(), 7);
    for line in out.stdout.lines() {
        let kind = line.split(':').next().expect("a kind");
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("readlink");
        assert_ne!(own.to_str(), Some(line), "{kind} is the host's");
    }
    let cgroups = t.sh("cat /proc/self/cgroup").ok();
    assert!(cgroups.stdout.lines().all(|line| line.ends_with(":/")), "{}", cgroups.stdout);
}

fn root_inside_is_nobody_outside(t: &Sandbox) {
    t.run(&["id", "-u"]).ok().prints("0\n");
    let running = t.sh("echo ready; exec sleep 61.803").spawn();
    running.until("ready");
    let pid = procs::with_args(&["sleep", "61.803"]);
    let (uids, gids) = (procs::status(pid, "Uid"), procs::status(pid, "Gid"));
    if t.mode == Mode::Root {
        assert!(uids.iter().chain(&gids).all(|id| id.parse::<u32>().expect("an id") >= 100_000), "{uids:?} {gids:?}");
        // Nor may it be a user that this host knows.
        let passwd = std::fs::read_to_string("/etc/passwd").expect("passwd");
        let known = passwd.lines().any(|line| line.split(':').nth(2) == Some(uids[0].as_str()));
        assert!(!known, "uid {} is someone's here", uids[0]);
    } else {
        assert!(uids.iter().all(|uid| *uid == sys::uid().to_string()), "{uids:?}");
        assert!(gids.iter().all(|gid| *gid == sys::gid().to_string()), "{gids:?}");
    }
    // No process of the container is root's.
    for process in procs::descendants(running.pid()) {
        let uid = procs::status(process.pid, "Uid");
        assert_ne!(uid.first().map(String::as_str), Some("0"), "{process:?}");
    }
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    let groups = t.sh("id -G; cat /proc/self/setgroups").ok();
    let setgroups = if t.mode == Mode::Nosubuid { "deny" } else { "allow" };
    groups.prints(&format!("0\n{setgroups}\n"));
}

fn proc_and_sys_are_own_and_read_only_where_it_matters(t: &Sandbox) {
    // As everywhere: scripts look for "proc on /proc" in the list of mounts.
    t.sh("cut -d' ' -f1-3 /proc/mounts")
        .ok()
        .has("proc /proc proc\n")
        .has("sysfs /sys sysfs\n")
        .has("tmpfs /dev tmpfs\n");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/irq/x \
        /sys/class/x; do { echo b >$f; } 2>/dev/null && echo wrote $f; done; echo tried";
    t.sh(script).ok().prints("tried\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern"), pattern);
    t.sh("head -c 1 /proc/kcore 2>/dev/null | wc -c; wc -c </proc/interrupts; ls -A /sys/firmware 2>/dev/null | wc -l")
        .ok()
        .prints("0\n0\n0\n");
    // A mount made inside is nobody else's.
    t.sh("mount -t tmpfs none /mnt 2>/dev/null; mkdir -p /tmp/m; mount -t tmpfs none /tmp/m 2>/dev/null; true").ok();
}

fn dev_has_what_programs_need_and_no_more(t: &Sandbox) {
    let out = t.sh("ls -1 /dev").ok();
    let names: Vec<&str> = out.stdout.lines().filter(|name| *name != "console" && *name != "core").collect();
    let wanted = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(names.join(" "), wanted);
    t.sh("head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x >/dev/null; cat /dev/null | wc -c")
        .ok()
        .prints("5\n5\n0\n");
    t.sh("echo x >/dev/full").out().exit(1);
    t.sh("echo y >/dev/shm/f && cat /dev/shm/f; echo z | cat /dev/stdin; stat -c %a /dev/shm")
        .ok()
        .prints("y\nz\n1777\n");
    t.sh("mknod /tmp/b b 8 0 2>/dev/null && cat /tmp/b; dd if=/dev/mem 2>/dev/null; true").ok().prints("");
    t.sh("stat -c %t:%T /dev/null /dev/urandom").ok().prints("1:3\n1:9\n");
}

fn etc_files_are_the_containers_own(t: &Sandbox) {
    t.sh("cat /etc/hostname").ok().prints("container\n");
    t.sh("cat /etc/hosts").ok().has("127.0.0.1").has("localhost").has("ip6-localhost");
    t.sh("test -e /etc/resolv.conf && echo mine >>/etc/hosts && tail -n 1 /etc/hosts").ok().prints("mine\n");
    t.sh("cat /etc/hosts").ok().lacks("mine");
    assert!(!std::fs::read_to_string("/etc/hosts").expect("hosts").contains("mine"));
}

fn only_loopback_and_it_is_up(t: &Sandbox) {
    let out = t.sh("ip -o link").ok();
    assert_eq!(out.stdout.lines().filter(|line| line.contains(",UP")).count(), 1, "{}", out.stdout);
    assert!(out.stdout.contains("lo: <LOOPBACK,UP"), "{}", out.stdout);
    t.sh("nc -l -p 7777 >/tmp/got & sleep 0.3; echo over loopback | nc 127.0.0.1 7777; wait; cat /tmp/got")
        .ok()
        .prints("over loopback\n");
}

fn the_hosts_network_when_asked_for(t: &Sandbox) {
    let own = std::fs::read_link("/proc/self/ns/net").expect("readlink");
    let own = format!("{}\n", own.display());
    t.run(&["--network", "host", "readlink", "/proc/self/ns/net"]).ok().prints(&own);
    let none = t.run(&["--network", "none", "readlink", "/proc/self/ns/net"]).ok();
    assert_ne!(none.stdout, own);
    t.run(&["--network", "no-such-network", "true"]).out().error(125, "no-such-network");
}

fn writes_never_reach_the_rootfs(t: &Sandbox) {
    let listing = || {
        let mut all = Vec::new();
        crate::sandbox::walk(t.busybox.as_ref(), &mut |path| {
            let meta = path.symlink_metadata().expect("lstat");
            all.push((path.to_owned(), meta.len(), meta.modified().ok()));
        });
        all
    };
    let before = listing();
    t.sh("echo x >/new; rm /bin/ls; echo y >>/etc/passwd; mkdir -p /a/b; chmod 700 /etc; chown 0:0 /etc; ls /new /a")
        .ok();
    assert_eq!(listing(), before);
    t.sh("ls /new; ls /bin/ls; tail -n 1 /etc/passwd").out().has("/bin/ls\n").lacks("/new").lacks("y\n");
    // Nor does the rootfs become readable through what it was mounted on.
    t.nothing_left();
}

fn writes_never_reach_the_host(t: &Sandbox) {
    let mine = t.file("mine", "before");
    let script =
        format!("echo after >{mine} && cat {mine}; touch /var/tmp/ccrun-was-here 2>/dev/null; rm -f {mine}; ls {mine}");
    let out = t.ccrun(&["run", "--rm", "sh", "-c", &script]).out();
    assert!(out.stdout.starts_with("after\n"), "{} {}", out.stdout, out.stderr);
    assert_eq!(std::fs::read_to_string(&mine).expect("still there"), "before");
    assert!(!std::path::Path::new("/var/tmp/ccrun-was-here").exists());
    // The next one starts afresh.
    t.ccrun(&["run", "--rm", "cat", &mine]).ok().prints("before");
    t.nothing_left();
}

fn orphans_are_reaped(t: &Sandbox) {
    let out = t.sh("for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 0.6; ps -o pid,stat,comm; true").ok();
    assert!(!out.stdout.lines().any(|line| line.contains(" Z ")), "{}", out.stdout);
    assert_eq!(out.stdout.lines().count(), 4, "{}", out.stdout);
}

fn without_init_the_command_is_pid_1(t: &Sandbox) {
    t.run(&["--no-init", "/bin/sh", "-c", "echo $$"]).ok().prints("1\n");
    assert_ne!(t.run(&["--init", "/bin/sh", "-c", "echo $$"]).ok().stdout, "1\n");
    t.run(&["--no-init", "/bin/sh", "-c", "exit 9"]).out().exit(9);
    t.run(&["--no-init", "nosuchprogram"]).out().error(127, "nosuchprogram");
}

fn two_runs_do_not_see_each_other(t: &Sandbox) {
    let first = t.sh("echo first >/tmp/mark; hostname first; echo ready; sleep 27.1828").spawn();
    first.until("ready");
    let second = t.sh("ls /tmp; hostname; ps -o args").ok();
    assert!(second.stdout.contains("container\n"), "{}", second.stdout);
    second.lacks("mark").lacks("27.1828");
    first.signal(libc::SIGKILL);
    assert_eq!(first.wait().status, 137);
}

fn secrets_on_the_command_line_stay_outside(t: &Sandbox) {
    let out = t
        .run(&["-e", "SECRET", "/bin/sh", "-c", "unset SECRET; cat /proc/1/cmdline; cat /proc/1/environ; true"])
        .env("SECRET", "open-sesame")
        .env("OTHER_SECRET", "hidden-treasure")
        .ok();
    out.lacks("open-sesame").lacks("hidden-treasure");
    // PID 1 is ccrun: what it has open or in its memory is the host's.
    let script = "ls /proc/1/fd; ls /proc/1/root/; cat /proc/1/mem; head -c 4 /proc/1/exe; readlink /proc/1/cwd; true";
    t.sh(script).ok().prints("");
}
