//! Mounts that neither an image nor a neighbour can lead elsewhere: links, exchanges, masks, and
//! what -v takes.

use crate::archives::form;
use crate::image::Image;
use crate::sandbox::{Mode, Out, Sandbox, walk};
use crate::tar::Tar;
use crate::{cases, sys};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

cases! {
    Every:
        an_image_cannot_move_the_kernels_directories,
        an_images_files_lead_to_nothing_of_the_host,
        targets_of_volumes_stay_inside,
        no_working_directory_is_reached_by_a_magic_link,
        the_kernels_files_are_covered_only_where_that_is_harmless,
        masks_and_read_only_paths_are_dockers,
        the_containers_own_mounts_have_dockers_options,
        a_neighbour_who_exchanges_directories_gets_nowhere,
        a_neighbour_who_exchanges_a_target_gets_nowhere,
        every_mode_of_a_volume_is_read,
        a_source_may_be_any_file,
        an_empty_volume_stays_empty_if_asked_for,
        a_tmpfs_takes_the_mode_of_what_it_covers,
        a_new_volume_is_filled_before_it_is_read_only,
        filling_a_volume_crosses_no_mount,
        fields_of_a_mount_may_be_quoted,
        harmless_devices_can_be_mounted,
        a_target_of_the_wrong_kind_is_named,
        no_message_shows_a_bare_descriptor,
        our_files_lie_on_a_volume_over_etc,
        devices_in_a_mounted_directory_are_told_of,
        no_user_namespace_can_be_made_inside,
        a_user_inside_may_ping_and_have_every_port,
        the_hosts_network_keeps_its_switches,
        ccruns_own_file_is_not_started_inside,
        ccruns_own_file_stays_as_it_is;
    Root:
        groups_of_the_caller_can_be_kept,
        read_only_holds_for_what_is_mounted_below,
        what_cannot_be_mapped_is_nobodys_and_the_rest_is_not,
        many_long_targets_are_all_mapped;
}

/// Loads busybox with a layer on top and these volumes as an image.
fn load(t: &Sandbox, name: &str, layer: Tar, volumes: &[&str]) {
    let volumes: serde_json::Map<_, _> = volumes.iter().map(|path| (path.to_string(), json!({}))).collect();
    let image = Image::busybox(&t.busybox).layer(layer).set("Volumes", volumes.into());
    t.ccrun(&["load"]).stdin(form::docker_old(&[(&image, &[name])])).ok();
}

/// A root file system to be spoilt: the busybox one, of the test's own.
fn evil_root(t: &Sandbox, name: &str) -> std::path::PathBuf {
    let root = t.dir.join(name);
    t.command("cp", &["-a", &t.busybox, root.to_str().expect("UTF-8")]).ok();
    root
}

/// Takes away what is at `path`, and makes a link of it.
fn replace(root: &Path, path: &str, target: &str) {
    let path = root.join(path);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    symlink(target, path).expect("symlink");
}

/// What lies where an image or a neighbour would like to write.
struct Bait(std::path::PathBuf);

impl Bait {
    fn set_out(t: &Sandbox) -> Bait {
        t.file("outside/secret", "untouched");
        t.file("outside/dir/x", "untouched");
        Bait(t.dir.join("outside"))
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        walk(&self.0, &mut |path| {
            let meta = path.symlink_metadata().expect("lstat");
            seen.push(format!("{} {:o} {} {}", path.display(), meta.mode(), meta.size(), meta.ctime_nsec()));
        });
        seen.sort();
        let knobs = ["core_pattern", "modprobe", "hostname"].map(|name| format!("/proc/sys/kernel/{name}"));
        seen.extend(knobs.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default()));
        seen
    }
}

/// It ran, or it was refused with one line.
#[track_caller]
fn ran_or_refused(out: Out) -> bool {
    if out.status == 0 {
        return true;
    }
    out.error(125, "");
    false
}

fn an_image_cannot_move_the_kernels_directories(t: &Sandbox) {
    let bait = Bait::set_out(t);
    let before = bait.seen();
    let outside = t.path("outside");
    for (at, target) in ["/tmp", "..", "../../../..", "/etc", outside.as_str(), "/proc/1/root"].iter().enumerate() {
        for name in ["proc", "sys", "dev"] {
            let root = evil_root(t, &format!("root-{name}-{at}"));
            replace(&root, name, target);
            let root = root.to_str().expect("UTF-8").to_owned();
            for root in [root.clone(), format!("{root}:rw")] {
                t.ccrun(&["run", "--rm", "--rootfs", &root, "true"])
                    .out()
                    .error(125, "of the image is not a directory");
            }
            std::fs::remove_dir_all(&root).expect("rm");
        }
    }
    let root = evil_root(t, "root-file");
    let _ = std::fs::remove_dir_all(root.join("dev"));
    std::fs::write(root.join("dev"), "").expect("write");
    t.ccrun(&["run", "--rm", "--rootfs", root.to_str().expect("UTF-8"), "true"]).out().error(125, "not a directory");
    assert_eq!(bait.seen(), before);
    t.nothing_left();
}

fn an_images_files_lead_to_nothing_of_the_host(t: &Sandbox) {
    let bait = Bait::set_out(t);
    let before = bait.seen();
    let outside = t.path("outside");
    let secret = format!("{outside}/secret");
    let up = format!("../../../../../../../../../..{secret}");
    // What is a link, where to, and what ccrun says of it if it does not run.
    let table: [(&str, &str, Option<&str>); 14] = [
        ("dev/null", "/proc/sys/kernel/core_pattern", None),
        ("dev/pts", "/proc/sys", None),
        ("dev/console", "/proc/sys/kernel/core_pattern", None),
        ("etc/hosts", "/proc/sys/kernel/core_pattern", Some("is inside /proc")),
        ("etc/hostname", "/proc/sys/kernel/hostname", Some("is inside /proc")),
        ("etc/resolv.conf", "/proc/self/attr/exec", Some("is inside /proc")),
        ("etc/resolv.conf", "/proc/self/fd/1", Some("/etc/resolv.conf")),
        ("etc/resolv.conf", "/proc/1/root/etc/shadow", Some("/etc/resolv.conf")),
        ("etc/resolv.conf", &secret, None),
        ("etc/hosts", &up, None),
        ("etc/hosts", "/etc/hosts", Some("/etc/hosts")),
        ("etc", "/proc", Some("/etc/hosts")),
        ("etc", &outside, None),
        ("etc", "/sys/kernel", Some("/etc/hosts")),
    ];
    for (at, (path, target, said)) in table.iter().enumerate() {
        let root = evil_root(t, &format!("root-{at}"));
        replace(&root, path, target);
        let script = "stat -c %t:%T /dev/null; wc -c </proc/interrupts; echo ran";
        let out =
            t.ccrun(&["run", "--rm", "-t", "--rootfs", root.to_str().expect("UTF-8"), "/bin/sh", "-c", script]).out();
        match said {
            Some(said) => drop(out.error(125, said)),
            None => assert_eq!(out.exit(0).stdout.replace('\r', ""), "1:3\n0\nran\n", "{path} -> {target}"),
        }
        assert_eq!(bait.seen(), before, "{path} -> {target}");
        std::fs::remove_dir_all(&root).expect("rm");
    }
    t.nothing_left();
}

fn targets_of_volumes_stay_inside(t: &Sandbox) {
    let bait = Bait::set_out(t);
    let before = bait.seen();
    let root = evil_root(t, "root");
    replace(&root, "up", "../../../../../../../../..");
    replace(&root, "out", &t.path("outside"));
    replace(&root, "magic", "/proc/self/fd");
    replace(&root, "cwd", "/proc/self/cwd");
    replace(&root, "kernel", "/proc/sys");
    let root = root.to_str().expect("UTF-8");
    let run = |target: &str| {
        let mount = format!("vol:{target}");
        t.ccrun(&["run", "--rm", "--rootfs", root, "-v", &mount, "/bin/sh", "-c", "echo x >\"$0\"/file", target]).out()
    };
    for target in ["/up/tmp/a", "/out", "/out/dir", "/bin/../../../../tmp/b", "/up/etc/../out/new"] {
        run(target).exit(0);
        assert_eq!(bait.seen(), before, "{target}");
    }
    for target in ["/magic/3", "/magic/7/x", "/cwd", "/cwd/x", "/proc/self/fd/4", "/proc/1/root/tmp", "/kernel/kernel"]
    {
        run(target).error(125, target);
    }
    assert_eq!(bait.seen(), before);
    assert_eq!(std::fs::read_to_string(t.store.join("volumes/vol/_data/file")).expect("the volume's file"), "x\n");
    t.nothing_left();
}

fn no_working_directory_is_reached_by_a_magic_link(t: &Sandbox) {
    let root = evil_root(t, "root");
    replace(&root, "link", "/proc/self/fd/7");
    replace(&root, "cwd", "/proc/self/cwd");
    replace(&root, "root-of-1", "/proc/1/root");
    let root = root.to_str().expect("UTF-8");
    let run = |dir: &str| t.ccrun(&["run", "--rm", "--rootfs", root, "-w", dir, "ls", "/"]).out();
    for fd in 3..20 {
        run(&format!("/proc/self/fd/{fd}")).error(125, "working directory");
    }
    // Cleaned as text, so that no link is followed on the way.
    run("/link/..").exit(0);
    for dir in ["/link", "/cwd", "/root-of-1", "/proc/self/root", "/proc/thread-self/cwd"] {
        run(dir).error(125, "working directory");
    }
    t.nothing_left();
}

fn the_kernels_files_are_covered_only_where_that_is_harmless(t: &Sandbox) {
    t.file("data/file", "mine\n");
    let (data, file) = (t.path("data"), t.path("data/file"));
    let on = |source: &str, target: &str| {
        t.run(&["-v", &format!("{source}:{target}"), "/bin/sh", "-c", "ls -d /proc/1; cat \"$0\"", target]).out()
    };
    on(&data, "/proc").error(125, "\"/proc\" cannot be mounted because it is not of type proc");
    for target in ["/proc/sys", "/proc/sys/kernel", "/proc/self/attr", "/proc/1"] {
        on(&data, target).error(125, "cannot be mounted because it is inside /proc");
    }
    for target in ["/proc/version", "/proc/self/status", "/proc/sys/kernel/hostname"] {
        on(&file, target).error(125, &format!("\"{target}\" cannot be mounted because it is inside /proc"));
    }
    t.run(&["--tmpfs", "/proc/sys", "true"]).out().error(125, "inside /proc");
    // As lxcfs does it.
    on(&file, "/proc/cpuinfo").exit(0).prints("/proc/1\nmine\n");
    on(&file, "/proc/uptime").exit(0).prints("/proc/1\nmine\n");
    // What is not there is not made, neither by us nor by the kernel.
    on(&file, "/proc/no-such-file").error(125, "/proc/no-such-file");
    // Who asks for the host's processes gets them, with a user's eyes.
    let out = t.run(&["-v", "/proc:/host/proc:ro", "/bin/sh", "-c", "ls /host/proc | grep -c '^[0-9]'"]).out().exit(0);
    assert!(out.line().parse::<u32>().expect("a count") > 3, "{}", out.stdout);
    t.run(&["-v", "/proc:/host/proc", "/bin/sh", "-c", "cat /host/proc/1/environ; echo x >/host/proc/sysrq-trigger"])
        .out()
        .exit(1)
        .prints("");
    // A directory on a file, and a file on a directory.
    on(&data, "/etc/passwd").error(125, "Are you trying to mount a directory onto a file");
    on(&file, "/etc").error(125, "Are you trying to mount a directory onto a file");
    t.nothing_left();
}

/// moby, daemon/pkg/oci/defaults.go.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn masks_and_read_only_paths_are_dockers(t: &Sandbox) {
    let throttles = std::fs::read_dir("/sys/devices/system/cpu").expect("cpus").flatten();
    let throttles = throttles.map(|cpu| cpu.path().join("thermal_throttle").to_str().expect("UTF-8").to_owned());
    let mut masked: Vec<String> = MASKED.map(str::to_owned).into_iter().chain(throttles).collect();
    masked.retain(|path| Path::new(path).exists());
    assert!(masked.len() >= 3, "{masked:?}");
    for network in ["none", "host"] {
        let script = "for p; do if [ -d $p ]; then ls -A $p; touch $p/x 2>/dev/null && echo wrote $p; \
                      else stat -c %t:%T $p; wc -c <$p; fi; done; true";
        let args = ["--network", network, "/bin/sh", "-c", script, "sh"];
        let words: Vec<&str> = masked.iter().map(String::as_str).collect();
        let files = masked.iter().filter(|path| !Path::new(path).is_dir()).count();
        let out = t.run(&[&args[..], &words].concat()).ok();
        assert_eq!(out.stdout, "1:3\n0\n".repeat(files), "{masked:?}");
    }
    let there: Vec<&str> = READ_ONLY.into_iter().filter(|path| Path::new(path).exists()).collect();
    assert!(there.len() >= 3, "{there:?}");
    let mounts = t.sh("cat /proc/mounts").ok().stdout;
    for path in there {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(path));
        let options = line.and_then(|line| line.split(' ').nth(3)).unwrap_or_else(|| panic!("{path} in {mounts}"));
        assert!(options.starts_with("ro,nosuid,nodev,noexec"), "{path}: {options}");
    }
}

fn the_containers_own_mounts_have_dockers_options(t: &Sandbox) {
    let mounts = t.sh("cat /proc/mounts").ok().stdout;
    let table = [
        ("/proc", "proc", "rw,nosuid,nodev,noexec"),
        ("/sys", "sysfs", "ro,nosuid,nodev,noexec"),
        ("/dev", "tmpfs", "rw,nosuid"),
        ("/dev/pts", "devpts", "rw,nosuid,noexec"),
        ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec"),
        ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"),
    ];
    for (target, kind, options) in table {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(target));
        let fields: Vec<&str> = line.unwrap_or_else(|| panic!("{target} in {mounts}")).split(' ').collect();
        assert_eq!(fields[2], kind, "{target}");
        assert!(fields[3].starts_with(options), "{target}: {}", fields[3]);
    }
    let sizes =
        |target: &str| mounts.lines().find(|line| line.contains(&format!(" {target} "))).expect("it").to_owned();
    assert!(sizes("/dev").contains("size=65536k,mode=755"), "{mounts}");
    assert!(sizes("/dev/shm").contains("size=65536k"), "{mounts}");
    let mode = if t.mode == Mode::Nosubuid { "mode=620,ptmxmode=666" } else { "gid=5,mode=620,ptmxmode=666" };
    let pts = sizes("/dev/pts");
    // The kernel shows the group as the host's.
    assert!(
        pts.contains(mode.trim_start_matches("gid=5,")) && pts.contains("gid=") == mode.starts_with("gid"),
        "{pts}"
    );
}

/// Exchanges two names for another as fast as it can, until `during` has ended; gives how often.
fn exchanging(one: &Path, other: &Path, during: impl FnOnce()) -> usize {
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sys::exchange(one, other).expect("renameat2");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Also when an assertion fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        during();
    });
    count.into_inner()
}

/// Starts containers for some seconds; gives how many ran and how many were refused.
fn starts(run: impl Fn() -> Out) -> (usize, usize) {
    let end = Instant::now() + Duration::from_secs(4);
    let (mut ran, mut refused) = (0, 0);
    while Instant::now() < end && ran + refused < 400 {
        if ran_or_refused(run()) { ran += 1 } else { refused += 1 }
    }
    (ran, refused)
}

/// Two containers write through to one root, or a neighbour has it.
fn a_neighbour_who_exchanges_directories_gets_nowhere(t: &Sandbox) {
    let bait = Bait::set_out(t);
    let before = bait.seen();
    let root = evil_root(t, "root");
    std::fs::create_dir_all(root.join("made-up")).expect("mkdir");
    symlink(t.path("outside"), root.join("to-outside")).expect("symlink");
    symlink("/etc", root.join("to-etc")).expect("symlink");
    for (name, other, said) in [
        ("proc", "to-outside", "/proc of the image is not a directory"),
        ("dev", "to-etc", "/dev of the image is not a directory"),
        // A directory like another, but for what is in it.
        ("proc", "made-up", "somebody exchanged /proc"),
    ] {
        let through = format!("{}:rw", root.display());
        let script = "echo x >/dev/full/x; echo x >/proc/secret; echo x >/proc/sys/kernel/core_pattern; true";
        let hits = AtomicUsize::new(0);
        let exchanges = exchanging(&root.join(name), &root.join(other), || {
            let (ran, refused) = starts(|| {
                let out = t.ccrun(&["run", "--rm", "--rootfs", &through, "/bin/sh", "-c", script]).out();
                hits.fetch_add(out.stderr.contains(said).into(), Ordering::Relaxed);
                out
            });
            assert!(ran + refused > 10, "{ran} ran, {refused} were refused");
        });
        assert!(exchanges > 1000, "{exchanges} exchanges");
        assert!(hits.into_inner() > 0, "it was never exchanged in time: {said}");
        assert_eq!(bait.seen(), before);
        if exchanges % 2 == 1 {
            sys::exchange(&root.join(name), &root.join(other)).expect("renameat2");
        }
    }
}

/// One container has a volume at /s, and another volume inside of that one: its place is the neighbour's to move.
fn a_neighbour_who_exchanges_a_target_gets_nowhere(t: &Sandbox) {
    let bait = Bait::set_out(t);
    let before = bait.seen();
    t.file("shared/x/empty", "");
    let up = format!("../../../../../../../..{}", t.path("outside"));
    for target in ["/proc/sys", "/proc", "/proc/self/fd/5", up.as_str()] {
        let (place, link) = (t.dir.join("shared/x"), t.dir.join("shared/link"));
        symlink(target, &link).expect("symlink");
        let mount = format!("{}:/s", t.path("shared"));
        let script = "echo y >/s/x/written; [ -e /proc/sys/kernel/core_pattern ] || echo covered; cat /proc/interrupts";
        let exchanges = exchanging(&place, &link, || {
            let (ran, refused) = starts(|| {
                let out = t.run(&["-v", &mount, "-v", "vol:/s/x", "/bin/sh", "-c", script]).out();
                // Whether or not what is written got into the volume: the shell may have come too late.
                if out.status == 125 { out } else { out.exit(0).prints("") }
            });
            assert!(ran + refused > 10, "{ran} ran, {refused} were refused");
        });
        assert!(exchanges > 1000, "{exchanges} exchanges");
        assert_eq!(bait.seen(), before, "{target}");
        let link = if link.is_symlink() { link } else { place };
        std::fs::remove_file(&link).expect("rm");
        if !t.dir.join("shared/x").exists() {
            std::fs::rename(t.dir.join("shared/link"), t.dir.join("shared/x")).expect("mv");
        }
    }
}

fn every_mode_of_a_volume_is_read(t: &Sandbox) {
    t.file("data/file", "data\n");
    let mode = |mode: &str| {
        let mount = format!("{}:/d:{mode}", t.path("data"));
        t.run(&["-v", &mount, "/bin/sh", "-c", "cat /d/file; touch /d/x 2>/dev/null || echo read-only"]).out()
    };
    for writable in
        ["rw", "z", "Z", "rw,Z", "private", "rprivate", "slave", "rslave", "cached", "delegated,z", "consistent"]
    {
        mode(writable).exit(0).prints("data\n").quiet();
    }
    for read_only in ["ro", "ro,z", "z,ro,rprivate", "cached,ro"] {
        mode(read_only).exit(0).prints("data\nread-only\n").quiet();
    }
    for bad in ["zz", "ro,rw", "ro,ro", "RO", "ro ", "rshared,zz", "uid=0", "nosuid"] {
        mode(bad).error(125, "invalid mode");
    }
    for shared in ["shared", "rshared", "ro,rshared"] {
        mode(shared).error(125, "does not show on the host");
    }
    mode("nocopy").error(125, "nocopy is for volumes");
    let long = |more: &str| {
        let mount = format!("type=bind,source={},target=/d,{more}", t.path("data"));
        t.run(&["--mount", &mount, "/bin/sh", "-c", "cat /d/file; touch /d/x 2>/dev/null || echo read-only"]).out()
    };
    for words in ["bind-propagation=rprivate", "bind-propagation=slave", "consistency=cached", "readonly=false"] {
        long(words).exit(0).prints("data\n");
    }
    long("ro,bind-recursive=readonly").exit(0).prints("data\nread-only\n");
    long("bind-propagation=rshared").error(125, "does not show on the host");
    long("bind-propagation=sideways").error(125, "invalid mode: sideways");
    long("bind-recursive=disabled").error(125, "bind-recursive=disabled");
    t.nothing_left();
}

fn a_source_may_be_any_file(t: &Sandbox) {
    t.file("data/file", "data\n");
    let source =
        |source: &str, script: &str| t.run(&["-v", &format!("{}:/m", t.path(source)), "/bin/sh", "-c", script]).out();
    symlink("data", t.dir.join("to-dir")).expect("symlink");
    symlink("data/file", t.dir.join("to-file")).expect("symlink");
    symlink("nothing", t.dir.join("to-nothing")).expect("symlink");
    source("to-dir", "cat /m/file").exit(0).prints("data\n");
    source("to-file", "cat /m").exit(0).prints("data\n");
    source("to-nothing", "true").error(125, "to-nothing");
    source("data/../data/file", "cat /m").exit(0).prints("data\n");
    source("data/file/x", "true").error(125, "data/file/x");
    // A service's socket, as with Docker's own.
    let _listener = std::os::unix::net::UnixListener::bind(t.dir.join("socket")).expect("bind");
    source("socket", "[ -S /m ] && echo socket").exit(0).prints("socket\n");
    t.command("mkfifo", &[&t.path("fifo")]).ok();
    source("fifo", "[ -p /m ] && echo fifo").exit(0).prints("fifo\n");
    t.nothing_left();
}

fn an_empty_volume_stays_empty_if_asked_for(t: &Sandbox) {
    let ls = ["/bin/sh", "-c", "ls /usr | wc -l"];
    let run = |flags: &[&str]| t.run(&[flags, &ls].concat()).ok().stdout;
    let all = run(&[]);
    assert_ne!(all, "0\n");
    assert_eq!(run(&["-v", "empty:/usr:nocopy"]), "0\n");
    assert_eq!(run(&["--mount", "source=empty-too,target=/usr,volume-nocopy"]), "0\n");
    assert_eq!(run(&["-v", "filled:/usr"]), all);
    // What is not empty any more is left as it is.
    assert_eq!(run(&["-v", "filled:/usr:nocopy"]), all);
}

/// runc, libcontainer/rootfs_linux.go; the owner is root, whoever has the directory below.
fn a_tmpfs_takes_the_mode_of_what_it_covers(t: &Sandbox) {
    let layer = Tar::new().dir("plain", 0o755).dir("sticky", 0o1777).dir("closed", 0o700).dir("group", 0o2770);
    let layer = layer.symlink("link", "closed");
    load(t, "modes", layer, &[]);
    let mode = |flags: &[&str], place: &str| {
        let run = [&["run", "--rm"], flags, &["modes", "stat", "-c", "%a %u:%g", place]].concat();
        t.ccrun(&run).ok().stdout
    };
    for (place, expected) in [
        ("/plain", "755 0:0\n"),
        ("/sticky", "1777 0:0\n"),
        ("/closed", "700 0:0\n"),
        ("/group", "2770 0:0\n"),
        ("/link/", "700 0:0\n"),
        ("/new", "1777 0:0\n"),
        ("/plain/new", "1777 0:0\n"),
    ] {
        let target = place.trim_end_matches('/');
        assert_eq!(mode(&["--tmpfs", target], place), expected, "{place}");
        assert_eq!(mode(&["--tmpfs", &format!("{target}:size=1m")], place), expected, "{place} with a size");
        let words = format!("type=tmpfs,target={target}");
        assert_eq!(mode(&["--mount", &words], place), expected, "{words}");
        assert_eq!(mode(&["--mount", &format!("{words},tmpfs-size=1m")], place), expected, "{words} with a size");
        assert_eq!(mode(&["--tmpfs", &format!("{target}:mode=711")], place), "711 0:0\n", "{place}");
        assert_eq!(mode(&["--mount", &format!("{words},tmpfs-mode=0750")], place), "750 0:0\n", "{words}");
    }
}

fn a_new_volume_is_filled_before_it_is_read_only(t: &Sandbox) {
    let script = "ls /usr | wc -l; touch /usr/x 2>/dev/null || echo read-only";
    let run = |flags: &[&str]| t.run(&[flags, &["/bin/sh", "-c", script]].concat()).ok().quiet().stdout;
    let count = t.sh("ls /usr | wc -l").ok().stdout;
    assert_ne!(count, "0\n");
    let all = format!("{count}read-only\n");
    assert_eq!(run(&["-v", "one:/usr:ro"]), all);
    assert_eq!(run(&["--mount", "source=two,target=/usr,readonly"]), all);
    assert_eq!(run(&["--mount", "target=/usr,ro"]), all);
    assert_eq!(run(&["-v", "one:/usr:ro,nocopy"]), all, "filled before");
    assert_eq!(run(&["-v", "three:/usr:ro,nocopy"]), "0\nread-only\n");
    // The next one may write there.
    t.run(&["-v", "one:/usr", "touch", "/usr/x"]).ok();
    t.nothing_left();
}

fn filling_a_volume_crosses_no_mount(t: &Sandbox) {
    let layer = Tar::new().symlink("to-root", "/").symlink("to-dev", "dev").symlink("to-sys", "/sys");
    let layer = layer.dir("data", 0o755).file("data/own", 0o644, "own").dir("data/below", 0o755);
    let layer = layer.file("data/below/file", 0o644, "image").file("data/file", 0o644, "image");
    load(t, "plain", layer, &[]);
    let run = |flags: &[&str], script: &str| {
        t.ccrun(&[&["run", "--rm"], flags, &["plain", "/bin/sh", "-c", script]].concat()).out()
    };
    let volume = |name: &str| t.store.join("volumes").join(name).join("_data");
    // What is mounted below the place is not the image's; what it covers is.
    t.file("host/file", "host");
    let (dir, file) = (format!("{}:/data/below", t.path("host")), format!("{}:/data/file", t.path("host/file")));
    let script = "cat /data/own /data/below/file /data/file";
    run(&["-v", "below:/data", "-v", &dir, "-v", &file, "--tmpfs", "/data/t"], script).exit(0).prints("ownhosthost");
    let filled = volume("below");
    assert_eq!(crate::sandbox::list(&filled), ["below", "file", "own", "t"]);
    assert_eq!(crate::sandbox::list(&filled.join("below")), ["file"]);
    let own = t.ccrun(&["run", "--rm", "-v", "below:/v", "plain", "cat", "/v/below/file", "/v/file"]);
    own.ok().prints("imageimage");
    // A link to a place of the kernel's.
    run(&["-v", "dev:/to-dev"], "true").exit(0);
    assert_eq!(crate::sandbox::list(&volume("dev")), [""; 0]);
    run(&["-v", "sys:/to-sys"], "true").exit(0);
    assert_eq!(crate::sandbox::list(&volume("sys")), [""; 0]);
    run(&["-v", "root:/to-root"], "true").error(125, "/to-root: a link of the image leads to '/'");
    run(&["-v", &format!("{}:/to-root", t.path("host"))], "true").error(125, "leads to '/'");
    // An image that asks for it gets none.
    let layer = Tar::new().symlink("to-root", "/").symlink("to-dev", "dev");
    load(t, "links", layer, &["/to-root", "/to-dev"]);
    let out = t.ccrun(&["run", "--rm", "links", "/bin/sh", "-c", "ls -d /proc/1 /bin/sh; ls /to-dev"]).out();
    out.exit(0).prints("/bin/sh\n/proc/1\n").quiet();
    t.nothing_left();
}

fn fields_of_a_mount_may_be_quoted(t: &Sandbox) {
    t.file("a,b/file", "comma\n");
    t.file("a\"b/file", "quote\n");
    let run = |mount: &str, place: &str| t.run(&["--mount", mount, "cat", place]).out();
    let dir = t.path("");
    run(&format!("type=bind,\"source={dir}a,b\",target=/m"), "/m/file").exit(0).prints("comma\n");
    run(&format!("\"type=bind\",\"src={dir}a\"\"b\",\"dst=/m,n\""), "/m,n/file").exit(0).prints("quote\n");
    run(&format!("type=bind,source={dir}a,b,target=/m"), "/m").error(125, "unexpected key or value in 'b'");
    run(&format!("type=bind,source=\"{dir}a,b\",target=/m"), "/m").error(125, "bare \" in non-quoted field");
    run("type=bind,\"source=/tmp", "/m").error(125, "extraneous or missing \" in quoted-field");
    run("", "/m").error(125, "value is empty");
}

fn harmless_devices_can_be_mounted(t: &Sandbox) {
    symlink("/dev/zero", t.dir.join("to-zero")).expect("symlink");
    for (source, target) in [("/dev/zero", "/m"), (&*t.path("to-zero"), "/dev/zero"), ("/dev/full", "/dev/null")] {
        for mount in
            [["-v", &format!("{source}:{target}")], ["--mount", &format!("type=bind,src={source},dst={target}")]]
        {
            let script = "head -c 3 $0 | wc -c; stat -c %t:%T $0";
            let out = t.run(&[&mount[..], &["/bin/sh", "-c", script, target]].concat()).ok().quiet();
            assert_eq!(out.stdout, if source == "/dev/full" { "3\n1:7\n" } else { "3\n1:5\n" });
        }
    }
    t.run(&["-v", "/dev/null:/m:ro", "/bin/sh", "-c", "echo x >/m && cat /m && echo over"])
        .ok()
        .quiet()
        .prints("over\n");
    t.run(&["-v", "/dev/urandom:/a", "-v", "/dev/random:/b", "/bin/sh", "-c", "head -c 1 /a | wc -c; [ -c /b ]"]).ok();
    // Any other one says how it can be had.
    for device in ["/dev/kmsg", "/dev/fuse", "/dev/ptmx", "/dev/console"] {
        if !Path::new(device).exists() {
            continue;
        }
        let said =
            format!("{device} is a device, which a mount does not let anybody open; give it by --device {device}:/m");
        t.run(&["-v", &format!("{device}:/m"), "true"]).out().error(125, &said);
        t.run(&["--mount", &format!("type=bind,src={device},dst=/m"), "true"]).out().error(125, &said);
    }
    t.nothing_left();
}

fn a_target_of_the_wrong_kind_is_named(t: &Sandbox) {
    t.file("data/file", "");
    let (dir, file) = (t.path("data"), t.path("data/file"));
    let run = |flags: &[&str]| t.run(&[flags, &["true"]].concat()).out();
    let of = |source: &str, target: &str| run(&["-v", &format!("{source}:{target}")]);
    let (on_file, on_dir) = ("a directory cannot be mounted on a file; ", "a file cannot be mounted on a directory; ");
    of(&dir, "/etc/passwd").error(125, &format!("mount on /etc/passwd: {dir} of the host: {on_file}"));
    of(&file, "/etc").error(125, &format!("mount on /etc: {file} of the host: {on_dir}"));
    of(&dir, "/etc/hosts").error(125, on_file);
    of(&dir, "/dev/null").error(125, "a directory cannot be mounted on a device");
    of("/dev/zero", "/etc").error(125, "mount on /etc: a device cannot be mounted on a directory");
    of("vol", "/etc/passwd").error(125, &format!("mount on /etc/passwd: {on_file}"));
    run(&["-v", "/etc/passwd"]).error(125, &format!("mount on /etc/passwd: {on_file}"));
    run(&["--tmpfs", "/etc/passwd"]).error(125, &format!("mount on /etc/passwd: {on_file}"));
    run(&["--mount", "type=tmpfs,target=/etc/passwd"]).error(125, on_file);
    run(&["--device", "/dev/null:/etc"]).error(125, "device /etc: a device cannot be mounted on a directory");
    of(&file, "/etc/passwd/x").error(125, "/etc/passwd/x");
    run(&["--tmpfs", "/etc/passwd/x"]).error(125, "/etc/passwd/x");
    for name in ["hosts", "hostname", "resolv.conf"] {
        let root = evil_root(t, &format!("root-{name}"));
        // There as a file if the caller's own root file system was written to before.
        let _ = std::fs::remove_file(root.join("etc").join(name));
        std::fs::create_dir_all(root.join("etc").join(name)).expect("mkdir");
        let out = t.ccrun(&["run", "--rm", "--rootfs", root.to_str().expect("UTF-8"), "true"]).out();
        out.error(125, &format!("mount on /etc/{name}: {on_dir}"));
        std::fs::remove_dir_all(root).expect("remove");
    }
    t.nothing_left();
}

/// `call(13, …` tells nobody anything.
fn no_message_shows_a_bare_descriptor(t: &Sandbox) {
    t.file("data/file", "");
    let root = evil_root(t, "root");
    replace(&root, "etc/hosts", "hosts");
    replace(&root, "loop", "loop");
    replace(&root, "fd", "/proc/self/fd/3");
    let root = root.to_str().expect("UTF-8");
    let (dir, file) = (t.path("data"), t.path("data/file"));
    for flags in [
        &["-v", &format!("{dir}:/loop/x")][..],
        &["-v", &format!("{file}:/fd")],
        &["-v", &format!("{file}:/fd/x")],
        &["--tmpfs", "/fd"],
        &["--tmpfs", "/m:size=lots"],
        &["--tmpfs", "/m:mode=9"],
        &["-w", "/loop"],
        &["-w", "/fd"],
        &["-v", &format!("{}:/m", t.path("data/file/x"))],
        &["--device", "/dev/null:/loop/x"],
        &[],
    ] {
        let out = t.ccrun(&[&["run", "--rm", "--rootfs", root], flags, &["true"]].concat()).out().error(125, "");
        let shown = out.stderr.split('(').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let octal = out.stderr.contains(", 0o") || out.stderr.contains(", 0x");
        assert!(!shown && !octal, "{flags:?}: {}", out.stderr);
    }
}

fn our_files_lie_on_a_volume_over_etc(t: &Sandbox) {
    let script = "head -n 1 /etc/hosts; cat /etc/hostname; grep -c nameserver /etc/resolv.conf; ls /etc";
    let run = |flags: &[&str]| t.run(&[&["-h", "box"], flags, &["/bin/sh", "-c", script]].concat()).out();
    let own = "127.0.0.1\tlocalhost\nbox\n";
    run(&["-v", "new:/etc"]).exit(0).has(own).has("passwd");
    run(&["-v", "new:/etc:ro"]).exit(0).has(own).has("passwd");
    run(&["--tmpfs", "/etc"]).exit(0).has(own).lacks("passwd");
    t.file("etc/hosts", "of the host\n");
    t.file("etc/hostname", "of the host\n");
    let etc = t.path("etc");
    run(&["-v", &format!("{etc}:/etc")]).exit(0).has(own);
    assert_eq!(std::fs::read_to_string(t.dir.join("etc/hosts")).expect("hosts"), "of the host\n");
    // A file that is missing, and cannot be made.
    let _ = std::fs::remove_file(t.dir.join("etc/resolv.conf"));
    run(&["-v", &format!("{etc}:/etc:ro")]).has(own).lacks("resolv.conf");
    // One that is asked for by name is the user's.
    let mount = format!("{etc}/hosts:/etc/hosts");
    run(&["-v", "new:/etc", "-v", &mount]).exit(0).has("of the host\nbox\n");
    run(&["-v", &mount]).exit(0).has("of the host\nbox\n");
    t.nothing_left();
}

fn devices_in_a_mounted_directory_are_told_of(t: &Sandbox) {
    let said = |path: &str| format!("devices in {path} cannot be opened in the container; --device gives one that can");
    for source in ["/dev:/dev", "/dev:/host-dev:ro"] {
        let out = t.run(&["-v", source, "/bin/sh", "-c", ":"]).out().exit(0);
        let path = source.split(':').next().expect("a source");
        assert_eq!(out.stderr.matches(&said(path)).count(), 1, "{source}: {}", out.stderr);
    }
    t.file("data/file", "");
    let data = format!("{}:/dev/data", t.path("data"));
    for source in [&data, "/dev/shm:/dev/shm", "/dev/null:/x"] {
        let out = t.run(&["-v", source, "true"]).ok();
        assert!(!out.stderr.contains("devices in"), "{source}: {}", out.stderr);
    }
}

/// podman's --group-add keep-groups.
fn groups_of_the_caller_can_be_kept(t: &Sandbox) {
    let file = t.file("data/file", "for the group\n");
    std::os::unix::fs::chown(&file, Some(0), Some(54321)).expect("chown");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let mount = format!("{}:/d", t.path("data"));
    let passwd = std::fs::read_to_string("/etc/passwd").expect("passwd");
    let with = passwd.lines().find(|line| line.starts_with(&format!("{}:", crate::users::WITH)));
    let with = with.and_then(|line| line.split(':').nth(2)?.parse().ok());
    for (id, own) in [(Some(12345), false), (with, true)] {
        let Some(id) = id else { continue };
        let store = t.dir.join(format!("store-{id}"));
        std::fs::create_dir(&store).expect("mkdir");
        std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        std::os::unix::fs::chown(&store, Some(id), Some(id)).expect("chown");
        let t = t.with_store(&format!("store-{id}"));
        let run = |flags: &[&str]| {
            let all = [&["run", "--rm", "-v", &mount], flags, &["cat", "/d/file"]].concat();
            t.ccrun(&all).user_in_groups(id, id, &[54321, 54322]).out()
        };
        for user in [&[][..], &["-u", "0"]] {
            run(&[user, &["--group-add", "keep-groups"]].concat()).exit(0).prints("for the group\n");
        }
        if own {
            run(&["-u", "1000", "--group-add", "keep-groups"]).exit(0).prints("for the group\n");
            run(&[]).exit(1).prints("");
        }
        run(&["--group-add", "keep-groups", "--group-add", "5"]).error(125, "not allowed with any other --group-add");
    }
    t.run(&["--group-add", "keep-groups", "true"]).out().error(125, "root's groups are not handed on");
}

fn read_only_holds_for_what_is_mounted_below(t: &Sandbox) {
    sys::private_mounts().expect("mounts");
    t.file("data/file", "");
    std::fs::create_dir(t.dir.join("data/below")).expect("mkdir");
    sys::mount_tmpfs(&t.dir.join("data/below"), 0, "mode=777").expect("tmpfs");
    let script = "touch /d/x /d/below/x 2>/dev/null; ls /d /d/below; mount -o remount,rw,bind /d/below 2>/dev/null; \
                  touch /d/below/y 2>/dev/null; ls /d/below";
    let run = |mode: &str| {
        let mount = format!("{}:/d{mode}", t.path("data"));
        t.run(&["-v", &mount, "/bin/sh", "-c", script]).out().stdout
    };
    assert_eq!(run(":ro"), "/d:\nbelow\nfile\n\n/d/below:\n");
    assert!(run("").ends_with("x\ny\n"), "it can be written otherwise");
}

fn what_cannot_be_mapped_is_nobodys_and_the_rest_is_not(t: &Sandbox) {
    let script = "stat -c %u /host /host/etc /host/proc; cat /host/etc/hostname >/dev/null; touch /host/proc/x";
    let out = t.run(&["-v", "/:/host:ro", "/bin/sh", "-c", script]).out().exit(1);
    out.says("mounted below /: there files are nobody's").prints("0\n0\n65534\n");
}

fn no_user_namespace_can_be_made_inside(t: &Sandbox) {
    t.sh("cat /proc/sys/user/max_user_namespaces").ok().prints("0\n");
    t.sh("unshare -U true").out().exit(1);
    t.run(&["--no-init", "unshare", "-U", "true"]).out().exit(1);
    t.sh("echo 9 >/proc/sys/user/max_user_namespaces; cat /proc/sys/user/max_user_namespaces").ok().prints("0\n");
    // Whoever it is run as: with a single id that user lives in a user namespace himself.
    t.run(&["-u", "1000", "unshare", "-U", "true"]).out().exit(1);
    t.run(&["-u", "1000", "id", "-u"]).ok().prints("1000\n");
}

fn a_user_inside_may_ping_and_have_every_port(t: &Sandbox) {
    for user in ["0", "1000", "1000:7"] {
        t.inside(&["-u", user], &["network-rights"]).ok().prints("echo socket: yes\nport 80: yes\n");
    }
}

fn the_hosts_network_keeps_its_switches(t: &Sandbox) {
    let switches = || {
        ["ip_unprivileged_port_start", "ping_group_range"]
            .map(|name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("a switch"))
    };
    let before = switches();
    let out = t.run(&["--network", "host", "true"]).ok();
    assert!(out.stderr.starts_with("ccrun: the container shares this machine's network"), "{}", out.stderr);
    assert_eq!(switches(), before);
}

/// The caller's own copy of ccrun, as people have it in ~/bin, and a root that would like to write to it.
fn own_ccrun(t: &Sandbox) -> (Sandbox, std::path::PathBuf) {
    let own = t.path("ccrun");
    std::fs::copy(&t.ccrun, &own).expect("copy");
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let root = evil_root(t, "root");
    let attack =
        "#!/bin/sh\nfor e in /proc/[0-9]*/exe; do chmod 777 $e; echo x >>$e; done 2>/dev/null\necho attacked\n";
    let scripts = [("curl", attack), ("script", "#!/proc/self/exe pull\n"), ("again", "#!/bin/script\n")];
    for (name, text) in scripts {
        let path = root.join("bin").join(name);
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    symlink("/proc/self/exe", root.join("bin/to-exe")).expect("symlink");
    (Sandbox { ccrun: own, ..t.clone() }, root)
}

/// The file's bytes, and what else its owner might change.
fn state(t: &Sandbox) -> (String, u32, u64) {
    let meta = std::fs::metadata(&t.ccrun).expect("stat");
    (crate::image::sha256(&std::fs::read(&t.ccrun).expect("read")), meta.mode(), meta.ino())
}

fn ccruns_own_file_is_not_started_inside(t: &Sandbox) {
    let (t, root) = own_ccrun(t);
    let root = root.to_str().expect("UTF-8");
    let before = state(&t);
    for command in [
        &["/proc/self/exe", "version"][..],
        &["/proc/self/exe", "pull", "localhost:1/x"],
        &["/proc/thread-self/exe", "pull", "localhost:1/x"],
        &["/bin/to-exe", "pull", "localhost:1/x"],
        &["/bin/script", "localhost:1/x"],
        &["/bin/again"],
    ] {
        for init in ["--init", "--no-init"] {
            let run = ["run", "--rm", init, "--rootfs", root, "-v", "/tmp"];
            let out = t.ccrun(&[&run, command].concat()).out();
            out.error(126, "a container started this machine's ccrun").prints("");
            assert_eq!(state(&t), before, "{command:?}");
        }
    }
    // Where it is mounted, on purpose, it is a program like others.
    let mount = format!("{}:/bin/ccrun:ro", t.ccrun);
    t.ccrun(&["run", "--rm", "--rootfs", root, "-v", &mount, "ccrun", "version"]).ok().has("ccrun version");
    // One that was replaced while it ran, and one that has no name at all.
    let replaced = format!("cp {0} new && (exec 7<new; rm new; exec /proc/self/fd/7 version)", t.ccrun);
    t.command("/bin/sh", &["-c", &replaced]).ok().has("ccrun version");
}

fn ccruns_own_file_stays_as_it_is(t: &Sandbox) {
    let (t, root) = own_ccrun(t);
    let root = root.to_str().expect("UTF-8");
    let before = state(&t);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < 200) {
                    let init = ["--init", "--no-init"][at % 2];
                    t.ccrun(&["run", "--rm", init, "--rootfs", root, "curl"]).out().exit(0).prints("attacked\n");
                }
            });
        }
    });
    assert_eq!(state(&t), before);
    t.nothing_left();
}

fn many_long_targets_are_all_mapped(t: &Sandbox) {
    std::fs::create_dir(t.dir.join("src")).expect("mkdir");
    let long = "x".repeat(200);
    let volumes: Vec<String> = (0..70).map(|at| format!("{}:/m/{at}/{long}/{long}", t.path("src"))).collect();
    for more in [&[][..], &["--cap-add", "SYS_ADMIN"]] {
        let flags = volumes.iter().flat_map(|volume| ["-v", volume.as_str()]).chain(more.iter().copied());
        let args: Vec<&str> = flags.chain(["/bin/sh", "-c", "stat -c %u /m/*/*/* | uniq -c"]).collect();
        let owners = t.run(&args).ok().line().to_owned();
        assert_eq!(owners.split_whitespace().collect::<Vec<_>>(), ["70", "0"]);
    }
    t.nothing_left();
}
