//! Mounts, masks and devices: what of the host's files and of the kernel's can be reached.

use super::{all_are, snapshot, times};
use crate::cases;
use crate::probe::Vector;
use crate::sandbox::{Mode, Sandbox};
use crate::sys;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

cases! {
    Every:
        e03_mount_targets_led_astray,
        e04_masks_by_the_images_devices,
        e10_switches_of_the_kernel,
        e11_release_agent,
        e20_devices,
        e21_leaks_of_the_kernel,
        e22_set_user_id_in_the_store,
        e27_propagation,
        e28_the_old_root;
}

fn host(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Puts a link to `target` in the place of a directory.
fn link_instead(root: &Path, name: &str, target: &str) {
    let place = root.join(name);
    let _ = std::fs::remove_dir_all(&place);
    symlink(target, place).expect("symlink");
}

/// CVE-2019-19921, 2021-30465, 2023-27561, 2023-28642: the place of a mount is a link, or becomes one.
fn e03_mount_targets_led_astray(t: &Sandbox) {
    t.file("outside/file", "untouched");
    let outside = t.path("outside");
    let before = snapshot(outside.as_ref());
    // The kernel's own places.
    for (name, target) in [("proc", "/tmp"), ("sys", ".."), ("dev", "/etc"), ("proc", outside.as_str())] {
        let root = t.root("root", |root| link_instead(root, name, target));
        let run = ["run", "--rm", "--rootfs", &root, "/bin/ls", "/proc/self/fd"];
        t.ccrun(&run).out().error(125, &format!("/{name} "));
        std::fs::remove_dir_all(&root).expect("remove");
    }
    // What the user mounts, by way of the image's links.
    let up = format!("{}{outside}", "../".repeat(30));
    let root = t.root("root", |root| {
        for (name, target) in
            [("up", up.as_str()), ("absolute", &outside), ("loop", "loop"), ("magic", "/proc/self/cwd")]
        {
            link_instead(root, name, target);
        }
    });
    let volume = t.file("volume/mine", "mine");
    let volume = Path::new(&volume).parent().expect("a parent").to_str().expect("UTF-8").to_owned();
    // Where they lead inside, all is missing and is made.
    for place in ["/up", "/up/deeper", "/absolute", "/absolute/file"] {
        let mount = format!("{volume}:{place}");
        let look = format!("ls {outside} {outside}/deeper {outside}/file 2>/dev/null | grep -c mine");
        t.ccrun(&["run", "--rm", "--rootfs", &root, "-v", &mount, "/bin/sh", "-c", &look]).ok().prints("1\n");
    }
    for place in ["/loop", "/magic", "/magic/x"] {
        let mount = format!("{volume}:{place}");
        t.ccrun(&["run", "--rm", "--rootfs", &root, "-v", &mount, "/bin/true"]).out().error(125, place);
    }
    assert_eq!(snapshot(outside.as_ref()), before);
    // A neighbour exchanges a directory of a shared volume for a link while the container starts.
    std::fs::create_dir_all(t.path("shared/a/b")).expect("mkdir");
    symlink(&outside, t.path("shared/link")).expect("symlink");
    let (one, other) = (t.dir.join("shared/a"), t.dir.join("shared/link"));
    let over = AtomicBool::new(false);
    let mut started = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                sys::exchange(&one, &other).expect("renameat2");
            }
        });
        let shared = format!("{}:/shared", t.path("shared"));
        for at in 0..times(20) {
            let mount = format!("{volume}:/shared/a/new-{at}");
            let run = ["run", "--rm", "--rootfs", &root, "-v", &shared, "-v", &mount, "/bin/true"];
            let out = t.ccrun(&run).out();
            assert!([0, 125].contains(&out.status), "{} {}", out.status, out.stderr);
            started += usize::from(out.status == 0);
            // Who renames all the time keeps no one from finding `..` in his own root (openat2 answers EAGAIN).
            let mount = format!("{volume}:/up");
            t.ccrun(&["run", "--rm", "--rootfs", &root, "-v", &mount, "/bin/true"]).ok();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(snapshot(outside.as_ref()), before, "something was made outside");
    println!("{started} of {} got their mount inside, the others were refused", times(20));
}

/// CVE-2025-31133, 2025-52565, 2025-52881, 2026-41579, 2026-47766: the image's own /dev and its links.
fn e04_masks_by_the_images_devices(t: &Sandbox) {
    let pattern = "/proc/sys/kernel/core_pattern";
    let before = host(pattern);
    let root = t.root("root", |root| {
        let dev = root.join("dev");
        std::fs::create_dir_all(dev.join("pts")).expect("mkdir");
        for name in ["null", "zero", "console", "pts/0", "ptmx", "shm", "mqueue", "fd"] {
            link_instead(&dev, name, pattern);
        }
    });
    let look = "stat -c %t:%T /dev/null /dev/zero; [ ! -e /proc/kcore ] || wc -c </proc/kcore; cat /proc/interrupts /proc/keys; ls /sys/firmware; \
        echo x >/dev/null; true </dev/console; echo over";
    for flags in [&[][..], &["-t"], &["--no-init"], &["--read-only"]] {
        let run = [&["run", "--rm", "--rootfs", &root], flags, &["/bin/sh", "-c", look]].concat();
        let out = t.ccrun(&run).out().exit(0);
        let told = out.stdout.replace('\r', "");
        assert!(["1:3\n1:5\nover\n", "1:3\n1:5\n0\nover\n"].contains(&told.as_str()), "{flags:?}: {told}");
        assert_eq!(host(pattern), before, "{flags:?}");
    }
    link_instead(Path::new(&root), "dev", "/proc/sys/kernel");
    t.ccrun(&["run", "--rm", "--rootfs", &root, "/bin/true"]).out().error(125, "/dev ");
    assert_eq!(host(pattern), before);
}

fn e10_switches_of_the_kernel(t: &Sandbox) {
    let names = ["core_pattern", "modprobe", "sysrq", "uevent_helper"];
    let files = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/sys/kernel/uevent_helper"];
    let before = files.map(host);
    let seen = t.attempts(&[], &names);
    // Some kernels have no such helper.
    all_are(&seen, &names, &["EROFS", "EACCES", "ENOENT"]);
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/fs/binfmt_misc/register \
        /proc/sys/vm/drop_caches /proc/fs/x /proc/irq/default_smp_affinity /sys/kernel/mm/ksm/run /sys/power/state; do \
        { echo h >$f; } 2>/dev/null && echo wrote $f; done; echo tried";
    t.sh(script).ok().prints("tried\n");
    // A capability of the container's own says nothing about the host.
    let all = ["--cap-add", "ALL", "--security-opt", "seccomp=unconfined"];
    t.run(&[&all[..], &["/bin/sh", "-c", script]].concat()).ok().prints("tried\n");
    assert_eq!(files.map(host), before);
}

/// CVE-2022-0492.
fn e11_release_agent(t: &Sandbox) {
    let seen = t.probe(&[], &["namespaces", "try=unshare-user-and-all,mount-cgroup,cgroup,unshare-mount"]);
    seen.all(&["try.unshare-user-and-all", "try.mount-cgroup", "try.unshare-mount"], "EPERM");
    all_are(&seen, &["cgroup"], &["EROFS", "ENOENT"]);
    assert_eq!(seen.get("cgroups"), "/");
    let script = "find / -xdev -name release_agent 2>/dev/null; find /sys -name release_agent -o -name cgroup.procs -writable 2>/dev/null";
    t.sh(script).out().prints("");
}

fn e20_devices(t: &Sandbox) {
    let seen = t.probe(&[], &["devices", "try=mknod-disk,syslog", "files"]);
    let mut devices = seen.list("devices");
    // A terminal that nobody has cannot be opened.
    devices.retain(|device| !device.starts_with("/dev/tty="));
    let wanted =
        ["/dev/full=1:7", "/dev/null=1:3", "/dev/pts/ptmx=5:2", "/dev/random=1:8", "/dev/urandom=1:9", "/dev/zero=1:5"];
    assert_eq!(devices, wanted);
    // Where root is emulated it is an empty file that looks like a device.
    all_are(&seen, &["mknod-disk"], &["EPERM", "EACCES", "ENOTTY"]);
    all_are(&seen, &["syslog"], &["EPERM"]);
    seen.all(&["secret.kmsg", "secret.mem"], "ENOENT");
}

/// GHSA-6fw5-f8r9-fgfm, GHSA-jq35-85cj-fj4p: what tells of other work on this machine, or of its kernel.
fn e21_leaks_of_the_kernel(t: &Sandbox) {
    let script = "for f in kcore keys interrupts timer_list sched_debug latency_stats timer_stats; do \
        [ ! -e /proc/$f ] || wc -c </proc/$f; done | sort -u; \
        for d in /sys/firmware /sys/devices/virtual/powercap /proc/acpi /proc/scsi /proc/asound; do ls -A $d 2>/dev/null; done; \
        ls -A /sys/devices/system/cpu/cpu*/thermal_throttle/* 2>/dev/null; \
        for f in $(find /sys/devices/system/cpu -name thermal_throttle -type d); do ls -A $f; done; echo over";
    t.sh(script).ok().prints("0\nover\n");
}

/// CVE-2021-41091, 2021-41103, 2024-25621: other users must not find a set-user-id file of an image.
fn e22_set_user_id_in_the_store(t: &Sandbox) {
    let tar = crate::tar::Tar::new().file("bin/evil", 0o4755, "x").file("bin/also", 0o6755, "x");
    t.load("evil", tar, &[]);
    // Other tests run beside this one.
    let mine = format!("mine-{}-{}", t.mode.name(), std::process::id());
    let make = format!("cd /bin; cp evil {mine}; chmod 6755 {mine}; ls -l {mine}");
    t.ccrun(&["run", "--name", "job", "evil", "/bin/sh", "-c", &make]).ok().has("-rwsr-sr-x");
    let mode = std::fs::metadata(&t.store).expect("the store").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700, "the store's mode");
    assert_eq!(std::fs::metadata(&t.store).expect("the store").uid(), sys::uid());
    if t.mode == Mode::Root {
        let store = t.store.to_str().expect("UTF-8");
        // The way there is open to everybody, the store is not.
        let look = format!("ls {store} || find {store} -perm -4000");
        let out = t.command("sh", &["-c", &look]).user(12345, 12345).out();
        assert!(out.stdout.is_empty() && out.stderr.contains("ermission denied"), "{} {}", out.stdout, out.stderr);
        t.command("sh", &["-c", &format!("ls {}", t.dir.display())]).user(12345, 12345).ok();
    }
    // Nor is one left behind outside of it.
    let found = t.command("find", &["/tmp", "/var/tmp", "/run", "-xdev", "-perm", "-4000", "-name", &mine]).out();
    assert!(found.stdout.lines().all(|path| Path::new(path).starts_with(&t.store)), "{}", found.stdout);
    t.ccrun(&["rm", "job"]).ok();
}

fn e27_propagation(t: &Sandbox) {
    let mountinfo = || host("/proc/self/mountinfo");
    std::fs::create_dir_all(t.path("shared/dir")).expect("mkdir");
    if t.mode == Mode::Root {
        // A volume whose mounts its host shares with everybody.
        sys::private_mounts().expect("unshare");
        sys::mount(&t.path("shared"), t.path("shared").as_ref(), libc::MS_BIND).expect("bind");
        sys::mount("none", t.path("shared").as_ref(), libc::MS_SHARED).expect("make it shared");
    }
    let before = mountinfo();
    let volume = format!("{}:/shared", t.path("shared"));
    let more: &[&str] = &["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"];
    let script = "mount -t tmpfs none /shared/dir && echo mounted; grep -cE 'shared:|master:' /proc/self/mountinfo; touch /shared/dir/x";
    let out = t.run(&[more, &["-v", &volume, "/bin/sh", "-c", script]].concat()).out();
    assert_eq!(out.stdout, "mounted\n0\n", "{}", out.stderr);
    assert_eq!(mountinfo(), before, "the host has mounts of a container's");
    assert_eq!(crate::sandbox::list(t.path("shared/dir").as_ref()), [""; 0]);
    // Without them it cannot mount at all, and nothing comes back either.
    let seen = t.probe(&["-v", &volume], &["try=mount,umount,remount", "mounts"]);
    seen.all(&["try.mount", "try.umount", "try.remount"], "EPERM");
    assert_eq!(seen.get("mounts.shared"), "");
    assert_eq!(mountinfo(), before);
    if t.mode == Mode::Root {
        sys::unmount(t.path("shared").as_ref()).expect("umount");
    }
}

/// Out of a chroot by a deeper one; and nothing of the host's tree is left to climb to.
fn e28_the_old_root(t: &Sandbox) {
    t.inside(&[], &["escape"]).ok().has("still inside");
    let all = ["--cap-add", "ALL", "--security-opt", "seccomp=unconfined"];
    t.inside(&all, &["escape"]).ok().has("still inside");
    // With all of it, unmounting the root does not show what was there before.
    let out = t.run(&[&all[..], &["/bin/sh", "-c", "umount -l / 2>/dev/null; ls /"]].concat()).out();
    assert!(!out.stdout.contains("lost+found"), "{}", out.stdout);
    let mounts = t.sh("cat /proc/self/mountinfo").ok();
    for place in [t.dir.to_str().expect("UTF-8"), t.store.to_str().expect("UTF-8"), &t.busybox] {
        // A file that is mounted by itself tells where it lies in its file system, as Docker's three do.
        let files = [" /etc/hosts ", " /etc/hostname ", " /etc/resolv.conf "];
        let told = mounts.stdout.lines().filter(|line| line.contains(place));
        let told: Vec<&str> = told.filter(|line| !files.iter().any(|file| line.contains(file))).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
    let lines = Vector::parse(&t.inside(&[], &["probe", "mounts"]).ok().stdout);
    assert_eq!(lines.list("mounts.shared"), [""; 0]);
}
