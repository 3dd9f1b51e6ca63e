//! A range of host ids for each running container of root's.

use crate::image::Image;
use crate::sandbox::{Running, Sandbox};
use crate::tar::Tar;
use crate::{cases, procs, sys};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

cases! {
    Root:
        two_containers_are_two_users,
        what_is_written_is_the_next_ones,
        two_share_a_volume_and_see_the_same_owners,
        a_set_user_id_program_is_its_owners,
        a_hundred_layers_are_seen_through,
        more_mounts_than_a_message_carries,
        a_range_comes_back_when_its_supervisor_is_killed,
        ids_of_the_hosts_users_are_not_given_out,
        without_a_place_for_locks_the_base_range_is_shared,
        on_a_file_system_without_id_maps_the_base_range_is_shared;
    Every:
        a_long_way_of_mounts_keeps_its_order,
}

/// The first host id behind a running container's root.
fn first_id(map: &str) -> u32 {
    map.split_whitespace().nth(1).expect("a map").parse().expect("an id")
}

fn map_of(t: &Sandbox, flags: &[&str]) -> u32 {
    first_id(&t.run(&[flags, &["cat", "/proc/self/uid_map"]].concat()).ok().quiet().stdout)
}

/// The first id of the files in the store.
fn base(t: &Sandbox) -> u32 {
    std::fs::read_to_string(t.store.join("idmap")).expect("idmap").trim().parse().expect("an id")
}

/// A container that has written a secret and sleeps; its sleep as the host sees it, and that one's uid.
fn sleeper(t: &Sandbox, seconds: &str) -> (Running, i32, u32) {
    let running = t.sh(&format!("umask 077; echo x >/secret; echo ready; exec sleep {seconds}")).spawn();
    running.until("ready");
    let pid = procs::with_args(&["sleep", seconds]);
    let uid = procs::status(pid, "Uid")[0].parse().expect("uid");
    (running, pid, uid)
}

fn the_upper_directory(t: &Sandbox) -> PathBuf {
    t.store.join("containers").join(&t.names_in("containers")[0]).join("upper")
}

/// As a process that has left a container would do, with all it could bring along: its uid, and a directory it is in.
fn two_containers_are_two_users(t: &Sandbox) {
    let other = t.with_store("another-store");
    let (first, pid, uid) = sleeper(t, "71.1");
    let (second, pid_2, uid_2) = sleeper(&other, "71.2");
    assert!(uid.abs_diff(uid_2) >= 65536, "{uid} and {uid_2}");
    assert!(base(t).abs_diff(uid) >= 65536, "{uid} is in the base range");
    let attack = |uid: u32, pid: i32, dir: PathBuf| {
        let script = format!(
            "kill -0 {pid} 2>/dev/null && echo signal; \
             cat /proc/{pid}/environ >/dev/null 2>&1 && echo environ; ls /proc/{pid}/fd/ >/dev/null 2>&1 && echo fd; \
             ls /proc/{pid}/root/ >/dev/null 2>&1 && echo root; \
             cat secret 2>/dev/null && echo read; {{ echo y >>secret; }} 2>/dev/null && echo wrote; \
             touch new 2>/dev/null && echo made; true"
        );
        let id = uid.to_string();
        t.command(&t.it, &["--inside", "as", &id, "/bin/sh", "-c", &script]).cwd(dir).ok().stdout
    };
    // The attack can succeed: it does with the victim's own uid …
    assert_eq!(attack(uid_2, pid_2, the_upper_directory(&other)), format!("signal\nfd\n{uid_2}\n"));
    // … and with that of the files, which nobody has who runs.
    assert_eq!(
        attack(base(&other), pid_2, the_upper_directory(&other)),
        format!("x\nread\nwrote\nmade\n{}\n", base(t))
    );
    // But not with the neighbour's.
    assert_eq!(attack(uid, pid_2, the_upper_directory(&other)), format!("{uid}\n"));
    assert_eq!(attack(uid_2, pid, the_upper_directory(t)), format!("{uid_2}\n"));
    for running in [first, second] {
        running.signal(libc::SIGKILL);
        running.wait();
    }
}

fn what_is_written_is_the_next_ones(t: &Sandbox) {
    let script = "echo x >/f; chown 5:6 /f; mkdir /d; echo kept; cat /proc/self/uid_map";
    let out = t.ccrun(&["run", "--name", "kept", "--rootfs", &t.busybox, "/bin/sh", "-c", script]).ok();
    let own = first_id(out.stdout.strip_prefix("kept\n").expect("kept"));
    let upper = the_upper_directory(t);
    let owner = |name: &str| std::fs::metadata(upper.join(name)).map(|meta| (meta.uid(), meta.gid())).expect("stat");
    let base = base(t);
    assert_ne!(own, base);
    assert_eq!((owner("f"), owner("d")), ((base + 5, base + 6), (base, base)));
    // Nothing in the store belongs to a range that comes and goes.
    crate::sandbox::walk(&t.store, &mut |path| {
        let uid = path.symlink_metadata().expect("lstat").uid();
        assert!(uid == 0 || uid.wrapping_sub(base) < 65536, "{} belongs to {uid}", path.display());
    });
    t.ccrun(&["rm", "kept"]).ok();
    t.nothing_left();
}

fn two_share_a_volume_and_see_the_same_owners(t: &Sandbox) {
    let mount = ["-v", "shared:/v"];
    let write = "touch /v/root /v/five; chown 5:6 /v/five; cat /proc/self/uid_map; echo ready; \
                 until [ -e /v/answer ]; do sleep 0.05; done; stat -c %u:%g /v/answer /v/five";
    let first = t.run(&[&mount[..], &["/bin/sh", "-c", write]].concat()).spawn();
    first.until("ready");
    let read = "stat -c %u:%g /v /v/root /v/five; touch /v/answer; chown 7:8 /v/answer; cat /proc/self/uid_map";
    let second = t.run(&[&mount[..], &["/bin/sh", "-c", read]].concat()).ok();
    let map = second.stdout.strip_prefix("0:0\n0:0\n5:6\n").unwrap_or_else(|| panic!("{}", second.stdout));
    let first = first.wait().exit(0);
    assert_ne!(first_id(map), first_id(&first.stdout), "they are two users");
    assert!(first.stdout.ends_with("7:8\n5:6\n"), "{}", first.stdout);
    let on_disk = std::fs::metadata(t.store.join("volumes/shared/_data/answer")).expect("stat");
    assert_eq!((on_disk.uid(), on_disk.gid()), (base(t) + 7, base(t) + 8));
}

fn a_set_user_id_program_is_its_owners(t: &Sandbox) {
    // In a layer, which is seen through, and in a volume.
    let program = std::fs::read(&t.it).expect("it");
    let image = Image::busybox(&t.busybox)
        .layer(Tar::new().file("set-user-id", 0o4755, &program).file("plain", 0o755, &program).dir("v", 0o755));
    image.write_layout(&t.dir.join("layout"));
    t.ccrun(&["load", "-i", "layout"]).ok();
    let run = |flags: &[&str], command: &[&str]| {
        t.ccrun(&[&["run", "--rm", "-v", "vol:/v"], flags, &[&image.id()], command].concat()).ok().stdout
    };
    assert_eq!(run(&["-u", "1000"], &["/plain", "--inside", "ids"]), "1000 1000\n");
    assert_eq!(run(&["-u", "1000"], &["/set-user-id", "--inside", "ids"]), "1000 0\n");
    run(&[], &["/bin/sh", "-c", "cp /plain /v/p; chown 7 /v/p; chmod 4755 /v/p"]);
    assert_eq!(run(&["-u", "1000"], &["/v/p", "--inside", "ids"]), "1000 7\n");
}

fn a_hundred_layers_are_seen_through(t: &Sandbox) {
    let mut image = Image::busybox(&t.busybox);
    for n in 0..100 {
        image = image.layer(Tar::new().file(&format!("layer-{n}"), 0o644, format!("{n}\n")).file("last", 0o644, [n]));
    }
    image.write_layout(&t.dir.join("layout"));
    t.ccrun(&["load", "-i", "layout"]).ok();
    let script = "ls -d /layer-* | wc -l; cat /layer-0 /layer-99; od -An -tu1 /last; stat -c %u /layer-7; \
                  echo y >/layer-7 && cat /proc/self/uid_map";
    let out = t.ccrun(&["run", "--rm", &image.id(), "/bin/sh", "-c", script]).ok().quiet();
    let map = out.stdout.strip_prefix("100\n0\n99\n  99\n0\n").unwrap_or_else(|| panic!("{:?}", out.stdout));
    assert_ne!(first_id(map), base(t));
    t.nothing_left();
}

fn more_mounts_than_a_message_carries(t: &Sandbox) {
    let names: Vec<String> = (0..130).map(|n| format!("vol-{n}:/v/{n}")).collect();
    let flags: Vec<&str> = names.iter().flat_map(|name| ["-v", name]).collect();
    let script = "for n in $(seq 0 129); do echo $n >/v/$n/n || exit 1; done; stat -c %u /v/*/n | sort -u";
    t.run(&[&flags[..], &["/bin/sh", "-c", script]].concat()).ok().prints("0\n");
    for n in [0, 63, 64, 129] {
        let path = t.store.join(format!("volumes/vol-{n}/_data/n"));
        assert_eq!(std::fs::read_to_string(path).expect("written"), format!("{n}\n"));
    }
}

/// What the supervisor sends and what the child takes go by the same order.
fn a_long_way_of_mounts_keeps_its_order(t: &Sandbox) {
    for n in 0..70 {
        t.file(&format!("dir-{n}/n"), format!("{n}\n"));
    }
    let mounts: Vec<String> = (0..70)
        .map(
            |n| if n % 9 == 4 { format!("v{n}x:/v/{n}") } else { format!("{}:/v/{n}:ro", t.path(&format!("dir-{n}"))) },
        )
        .collect();
    let flags: Vec<&str> = mounts.iter().flat_map(|name| ["-v", name]).collect();
    let script = "for n in $(seq 0 69); do if [ $((n % 9)) = 4 ]; then touch /v/$n/x; else \
                  [ $(cat /v/$n/n) = $n ] || echo $n; touch /v/$n/x 2>/dev/null && echo $n; fi; done; echo all";
    t.run(&[&flags[..], &["/bin/sh", "-c", script]].concat()).ok().prints("all\n");
}

fn a_range_comes_back_when_its_supervisor_is_killed(t: &Sandbox) {
    let (running, pid, uid) = sleeper(t, "72.3");
    let slot = format!("/run/ccrun/ranges/{uid}");
    let free = || {
        let file = std::fs::File::open(&slot).expect("the range's file");
        // Even who would share it gets none.
        sys::flock(std::os::fd::AsRawFd::as_raw_fd(&file), libc::LOCK_SH | libc::LOCK_NB)
    };
    assert!(!free(), "it is taken while the container runs");
    running.signal(libc::SIGKILL);
    running.wait();
    crate::sandbox::eventually("the container ends with its supervisor", || {
        !std::path::Path::new(&format!("/proc/{pid}/environ")).exists()
    });
    assert!(free(), "it is free again");
    t.ccrun(&["ps"]).ok();
}

fn ids_of_the_hosts_users_are_not_given_out(t: &Sandbox) {
    assert_ne!(map_of(t, &[]), base(t));
    sys::private_mounts().expect("mounts");
    sys::mount_tmpfs("/run".as_ref(), 0, "mode=755").expect("a new /run");
    let granted = t.file("subuid", "somebody:2100000000:47483648\n");
    sys::mount(&granted, "/etc/subuid".as_ref(), libc::MS_BIND).expect("bind");
    assert_shared(t);
}

fn without_a_place_for_locks_the_base_range_is_shared(t: &Sandbox) {
    assert_ne!(map_of(t, &[]), base(t));
    sys::private_mounts().expect("mounts");
    sys::mount_tmpfs("/run".as_ref(), libc::MS_RDONLY, "mode=755").expect("a new /run");
    let out = t.run(&["cat", "/proc/self/uid_map"]).ok().says("share their host ids").says("EROFS");
    assert_eq!(first_id(&out.stdout), base(t));
}

fn on_a_file_system_without_id_maps_the_base_range_is_shared(t: &Sandbox) {
    sys::private_mounts().expect("mounts");
    sys::mount_tmpfs("/run".as_ref(), 0, "mode=755").expect("a new /run");
    let script = format!(
        "mkdir -m 700 store lower upper work; mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work store; \
         chmod 700 store; {0} run --rm --rootfs {1} cat /proc/self/uid_map; {0} run --rm --rootfs {1} true; umount store",
        t.ccrun, t.busybox
    );
    let out = t.command("/bin/sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok();
    assert_eq!(out.stderr.matches("share their host ids").count(), 1, "it is said once: {}", out.stderr);
    assert!(out.stderr.contains("EINVAL"), "{}", out.stderr);
    let base: u32 = std::fs::read_to_string(t.path("upper/idmap")).expect("idmap").trim().parse().expect("an id");
    assert_eq!(first_id(&out.stdout), base);
}

/// The container works in the base range, and the user is told once.
fn assert_shared(t: &Sandbox) {
    let out = t.run(&["cat", "/proc/self/uid_map"]).ok().says("share their host ids");
    assert_eq!(first_id(&out.stdout), base(t));
    assert_eq!(map_of(t, &["-v", "vol:/v"]), base(t));
}
