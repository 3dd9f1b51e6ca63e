//! `ccrun check`: against this host, and against others that stand in for it in a mount namespace.

use crate::sandbox::{Cmd, Mode, Sandbox, list};
use crate::{cases, skip, sys};

cases! {
    Every:
        this_host_can_do_what_the_tests_do,
        what_is_not_installed_is_named_with_its_package;
    Users:
        only_root_may_fix;
    Root:
        each_distribution_has_its_own_command,
        what_forbids_user_namespaces_is_named,
        an_old_kernel_is_told,
        a_newuidmap_without_power_is_told,
        the_store_needs_room_and_a_place,
        without_overlay_there_are_copies,
        fix_does_each_thing_once,
        fix_trusts_no_path_that_others_can_write,
        fix_takes_over_limits,
        fix_gives_free_ranges_only,
        fix_waits_for_others_at_work,
        fix_knows_its_users,
        fix_gives_a_cgroup_that_limits;
}

/// `ccrun ARGS` on a host as `script` makes it in a mount namespace of its own, where /mnt is empty.
fn on_host(t: &Sandbox, script: &str, args: &[&str]) -> Cmd {
    let script =
        format!("set -e\nmount --make-rprivate /\nmount -t tmpfs -o size=2g none /mnt\n{script}\nexec \"$0\" \"$@\"");
    t.command("unshare", &[&["-m", "sh", "-c", &script, &t.ccrun], args].concat()).env("CCRUN_ROOT", &t.store)
}

/// The same without cgroups, with a copy of /etc, and systemctl and apparmor_parser that only write down how they were called.
fn on_copy(t: &Sandbox, script: &str, args: &[&str]) -> Cmd {
    let log = t.path("log");
    for name in ["systemctl", "apparmor_parser"] {
        let path = t.file(&format!("bin/{name}"), format!("#!/bin/sh\necho {name} \"$@\" >>{log}\n"));
        t.command("chmod", &["755", &path]).ok();
    }
    let copied = t.path("etc");
    if !std::path::Path::new(&copied).exists() {
        t.command("cp", &["-a", "/etc", &copied]).ok();
    }
    let script = format!("mount --bind {copied} /etc\nmount -t tmpfs none /run\numount -l /sys/fs/cgroup\n{script}");
    on_host(t, &script, args).env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", t.path("bin")))
}

/// /proc/sys/kernel of another host.
fn settings(files: &[(&str, &str)]) -> String {
    let write = |(name, value): &(&str, &str)| format!("echo '{value}' >/proc/sys/kernel/{name}\n");
    "mount -t tmpfs none /proc/sys/kernel\n".to_owned() + &files.iter().map(write).collect::<String>()
}

fn user(t: &Sandbox) -> String {
    let out = t.command("id", &["-un"]).ok();
    out.line().to_owned()
}

fn this_host_can_do_what_the_tests_do(t: &Sandbox) {
    let before = list(&t.dir);
    let out = t.ccrun(&["check"]).ok().quiet();
    for line in ["kernel: Linux ", "user namespaces: all ", "store: ", "overlay: ", "curl: "] {
        assert!(out.stdout.contains(&format!("ok     {line}")), "{line}: {}", out.stdout);
    }
    let uid = sys::uid();
    match t.mode {
        Mode::Root => {
            out.has("ok     ids: inside 0-65535 is ").has("ok     id-mapped mounts: ").has("ok     cgroups: ")
        }
        Mode::Subuid => out.has(&format!("ok     ids: inside 0 is {uid}, 1-65535 is ")).lacks("id-mapped"),
        Mode::Nosubuid => out
            .has(&format!("less   ids: /etc/subuid and /etc/subgid grant {} nothing", user(t)))
            .has(&format!("{} check --fix {}", t.ccrun, user(t))),
    };
    assert_eq!(list(&t.dir), before, "it has made something");
    // The store is looked at where it is, too.
    t.sh("true").ok();
    let before = t.store_listing();
    t.ccrun(&["check"]).ok().quiet();
    assert_eq!(t.store_listing(), before, "it has changed the store");
    // For programs.
    let json = t.ccrun(&["check", "--format", "json"]).ok().stdout;
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.iter().any(|row| row["Name"] == "kernel" && row["Verdict"] == "ok"), "{json}");
    t.ccrun(&["check", "--format", "{{.Name}}={{.Verdict}}"]).ok().has("kernel=ok\n").has("user namespaces=ok\n");
}

fn what_is_not_installed_is_named_with_its_package(t: &Sandbox) {
    let debian = std::fs::read_to_string("/etc/os-release").unwrap_or_default().contains("ID=debian");
    let install = |package: &str| match (t.mode, debian) {
        (_, false) => String::new(),
        (Mode::Root, _) => format!(": apt-get install {package}\n"),
        // Neither is sudo on that PATH.
        _ => format!(": su -c 'apt-get install {package}'\n"),
    };
    let out = t.ccrun(&["check"]).env("PATH", t.path("bin")).out().exit(1).quiet();
    let out = out.has(&format!("FAILS  curl: not to be run, and pull needs it; load works without{}", install("curl")));
    let out = out.has(&format!("less   zstd: not to be run: few images have layers that need it{}", install("zstd")));
    if t.mode != Mode::Root {
        let text =
            "less   ids: newuidmap is not on PATH, so that containers have one id only: root inside, you outside";
        out.has(&format!("{text}{}", install("uidmap")));
    }
    // One that is there, and is not what pull needs.
    let curl = t.file("bin/curl", "#!/bin/sh\necho curl 8.1.0; echo Protocols: file http\n");
    t.command("chmod", &["755", &curl]).ok();
    let path = format!("{}:/bin", t.path("bin"));
    t.ccrun(&["check"]).env("PATH", path).out().exit(1).has("FAILS  curl: 8.1.0 has been built without https");
}

fn only_root_may_fix(t: &Sandbox) {
    t.ccrun(&["check", "--fix", "root"]).out().error(1, "only root may; run it with sudo");
}

fn each_distribution_has_its_own_command(t: &Sandbox) {
    for (os_release, command) in [
        ("ID=ubuntu\\nID_LIKE=debian", "apt-get install curl"),
        ("ID=alpine", "apk add curl"),
        ("ID=\"almalinux\"\\nID_LIKE=\"rhel centos fedora\"", "dnf install curl"),
        ("ID=arch", "pacman -S curl"),
        ("ID=\"opensuse-leap\"\\nID_LIKE=\"suse opensuse\"", "zypper install curl"),
    ] {
        let script = format!(
            "printf '{os_release}\\n' >/mnt/os-release; mount --bind /mnt/os-release /etc/os-release; export PATH=/nowhere"
        );
        let out = on_host(t, &script, &["check"]).out().exit(1);
        out.has(&format!("FAILS  curl: not to be run, and pull needs it; load works without: {command}\n"));
    }
    let script = "echo ID=own >/mnt/os-release; mount --bind /mnt/os-release /etc/os-release; export PATH=/nowhere";
    on_host(t, script, &["check"])
        .out()
        .exit(1)
        .has("FAILS  curl: not to be run, and pull needs it; load works without\n");
}

fn what_forbids_user_namespaces_is_named(t: &Sandbox) {
    let fix = format!(": {} check --fix root\n", t.ccrun);
    // The limit is the user namespace's own: a new one may have a limit that nobody else feels.
    let script = format!("echo 0 >/proc/sys/user/max_user_namespaces && exec {} check", t.ccrun);
    let args = ["--user", "--map-root-user", "sh", "-c", &script];
    let out = t.command("unshare", &args).env("CCRUN_ROOT", t.path("other")).out().exit(1);
    out.has(&format!("FAILS  user namespaces: switched off or used up (user.max_user_namespaces){fix}"))
        .has("less   ids: not tried")
        .has("ok     store: ")
        .lacks("overlay: ");
    // In a chroot the kernel refuses, and so it does for a reason that the settings tell.
    let in_chroot = |settings: &str| {
        let script = format!(
            "mkdir /mnt/root; mount --rbind / /mnt/root\n{settings}\nset -- chroot /mnt/root \"$0\" \"$@\"; \"$@\"; exit $?"
        );
        let out = on_host(t, &script, &["check"]).out().exit(1);
        assert!(!out.stdout.contains("ok     user namespaces"), "{}", out.stdout);
        out
    };
    let inside = |files: &[(&str, &str)]| settings(files).replace("/proc/", "/mnt/root/proc/");
    in_chroot(&inside(&[("apparmor_restrict_unprivileged_userns", "1")])).has(&format!(
        "FAILS  user namespaces: AppArmor forbids them to programs without a profile \
         (kernel.apparmor_restrict_unprivileged_userns){fix}"
    ));
    in_chroot(&inside(&[("unprivileged_userns_clone", "0")]))
        .has(&format!("FAILS  user namespaces: only root may make them (kernel.unprivileged_userns_clone){fix}"));
    in_chroot("").has("FAILS  user namespaces: clone3(").has("EPERM");
    // One that is no mount shows itself.
    let script = format!(
        "mkdir -p {0}/proc; mount -t proc proc {0}/proc; cp {1} {0}/ccrun; set -- chroot {0} /ccrun check; \"$@\"; exit $?",
        t.path("root"),
        t.ccrun
    );
    on_host(t, &script, &[]).env("CCRUN_ROOT", "/store").out().exit(1).has("in a chroot\n");
}

fn an_old_kernel_is_told(t: &Sandbox) {
    let on = |release: &str| on_host(t, &settings(&[("osrelease", release)]), &["check"]).out();
    on("4.18.0-553.el8").exit(1).has("FAILS  kernel: Linux 4.18.0-553.el8 is too old: 5.12 is needed\n");
    on("5.15.0-91-generic").has("less   kernel: Linux 5.15.0-91-generic: before 5.19 ");
}

/// A user with a range, where newuidmap is no longer what it was.
fn a_newuidmap_without_power_is_told(t: &Sandbox) {
    if t.command("id", &["ccrun-sub"]).out().status != 0 {
        skip!("there is no user with subordinate ids");
    }
    t.command("chmod", &["755", t.dir.to_str().expect("UTF-8")]).ok();
    let home = t.path("user");
    t.command("install", &["-d", "-o", "ccrun-sub", &home]).ok();
    let as_user = |script: &str| {
        let script = format!(
            "{script}\nset -- su ccrun-sub -s /bin/sh -c 'CCRUN_ROOT={home}/store exec {} check'; exec \"$@\"",
            t.ccrun
        );
        on_host(t, &script, &[]).out()
    };
    as_user("").exit(0).has("ok     ids: inside 0 is ");
    let weak = "cp /usr/bin/newuidmap /mnt/m; chmod 755 /mnt/m; mount --bind /mnt/m /usr/bin/newuidmap";
    let out = as_user(weak).exit(1).has("ok     user namespaces: ");
    out.has("FAILS  ids: /usr/bin/newuidmap must be set-user-id root or have file capabilities: ")
        .has("chmod u+s /usr/bin/newuidmap");
    let nosuid =
        "cp -p /usr/bin/newgidmap /mnt/m; mount -o remount,nosuid /mnt; mount --bind /mnt/m /usr/bin/newgidmap";
    let out = as_user(nosuid).exit(1);
    out.has("FAILS  ids: /usr/bin/newgidmap lies on a file system that is mounted nosuid: ")
        .has("mount -o remount,suid /usr/bin/newgidmap");
}

fn the_store_needs_room_and_a_place(t: &Sandbox) {
    let check = |script: &str| {
        let script = format!("mkdir -p {0}; chmod 700 {0}; {script}", t.store.display())
            .replace("STORE", t.store.to_str().expect("UTF-8"));
        on_host(t, &script, &["check"]).out()
    };
    check("mount -t tmpfs -o size=40m,mode=700 none STORE")
        .exit(1)
        .has(&format!("FAILS  store: {} on tmpfs: 0.0 GB free\n", t.store.display()));
    check("mount -t tmpfs -o size=500m,mode=700 none STORE").ok_with("less   store: ", "on tmpfs: only 0.5 GB free\n");
    // Overlay's own mount is what programs are run from.
    check("mount -t tmpfs -o size=2g,mode=700,noexec,nosuid none STORE").ok_with("ok     store: ", "ok     overlay: ");
    check("mount -t tmpfs -o ro,mode=700 none STORE").exit(1).has("FAILS  store: ").has("EROFS");
    check("chmod 755 STORE").exit(1).has("FAILS  store: ").has("open to other users");
    check("chown 4242 STORE").exit(1).has("FAILS  store: ").has("belongs to uid 4242");
}

trait OkWith {
    fn ok_with(self, one: &str, other: &str);
}

impl OkWith for crate::sandbox::Out {
    fn ok_with(self, one: &str, other: &str) {
        self.exit(0).has(one).has(other);
    }
}

fn without_overlay_there_are_copies(t: &Sandbox) {
    // An overlay cannot be the upper directory of another.
    let script = |noexec: &str| {
        format!(
            "mkdir -p {0}; mkdir -m 700 /mnt/l /mnt/u /mnt/w
            mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w{noexec} none {0}",
            t.store.display()
        )
    };
    let out = on_host(t, &script(""), &["check"]).out().exit(0);
    out.has("less   overlay: mount(").has("; each container gets a copy of its image instead\n").has("ok     store: ");
    on_host(t, &script(",noexec"), &["check"]).out().exit(1).has("mounted noexec, and no overlay there");
}

fn fix_does_each_thing_once(t: &Sandbox) {
    let forbidden = settings(&[("apparmor_restrict_unprivileged_userns", "1"), ("unprivileged_userns_clone", "0")]);
    let script = format!("mkdir -p /run/systemd/system\n{forbidden}");
    let fix = |script: &str| on_copy(t, script, &["check", "--fix", "daemon"]).ok().quiet().stdout;
    let first = fix(&script);
    assert_eq!(first.lines().filter(|line| line.starts_with("done   ")).count(), 4, "{first}");
    let read = |name: &str| std::fs::read_to_string(t.dir.join("etc").join(name)).unwrap_or_default();
    let profile = format!("apparmor.d/{}", t.ccrun.trim_start_matches('/').replace('/', "."));
    let files =
        ["subuid", "subgid", "sysctl.d/99-ccrun.conf", "systemd/system/user@.service.d/ccrun-delegate.conf", &profile];
    let once = files.map(read);
    assert!(once[0].lines().filter(|line| line.starts_with("daemon:")).count() == 1 && once[0] != once[2], "{once:?}");
    assert_eq!(once[2], "kernel.unprivileged_userns_clone = 1\n");
    assert_eq!(once[3], "[Service]\nDelegate=cpu cpuset io memory pids\n");
    assert!(once[4].contains(&format!("profile \"{}\" flags=(unconfined) {{\n  userns,\n}}\n", t.ccrun)), "{once:?}");
    let log = std::fs::read_to_string(t.path("log")).expect("log");
    assert_eq!(log, format!("apparmor_parser -r /etc/{profile}\nsystemctl daemon-reload\n"));

    // Again: the sysctl is off in this namespace once more, all the rest is as it was.
    let second = fix(&script);
    assert_eq!(second.lines().filter(|line| line.starts_with("done   ")).count(), 1, "{second}");
    assert_eq!(files.map(read), once);
    let third = fix("mkdir -p /run/systemd/system");
    assert!(third.lines().all(|line| line.starts_with("ok     ")) && third.lines().count() == 3, "{third}");
    assert_eq!(files.map(read), once);
    assert_eq!(std::fs::read_to_string(t.path("log")).expect("log"), log);
    let left = |name: &&String| {
        name.contains(".lock") && *name != ".pwd.lock" || name.contains("ccrun-") && !name.ends_with(".conf")
    };
    assert_eq!(list(&t.dir.join("etc")).iter().find(left), None);
}

/// What others can put there would have the profile's rights.
fn fix_trusts_no_path_that_others_can_write(t: &Sandbox) {
    let forbidden = settings(&[("apparmor_restrict_unprivileged_userns", "1")]);
    // Each beginning of the path is as `change` leaves it, where $d is the program's directory.
    let fix = |change: &str| {
        let script = format!(
            "mkdir -p /run/systemd/system /mnt/a/b; {forbidden}\nd=/mnt/a/b; cp \"$0\" $d/ccrun; chmod 755 /mnt $d/ccrun
            {change}\nexec $d/ccrun check --fix daemon"
        );
        on_copy(t, &script, &[]).ok().quiet().stdout
    };
    let refused = |change: &str, part: &str| {
        let out = fix(change);
        let text = format!(
            "left   /mnt/a/b/ccrun gets no AppArmor profile, as others than root and daemon can write to {part}: \
             install ccrun in /usr/local/bin\n"
        );
        assert!(out.contains(&text), "{change}: {out}");
        assert!(!t.dir.join("etc/apparmor.d/mnt.a.b.ccrun").exists(), "{change}");
    };
    refused("chmod 777 $d", "/mnt/a/b");
    refused("chmod 777 /mnt/a", "/mnt/a");
    refused("chown games $d/..", "/mnt/a");
    refused("chown games $d/ccrun", "/mnt/a/b/ccrun");
    refused("chmod 775 $d; chgrp users $d; echo users:x:100:games >>/etc/group", "/mnt/a/b");
    refused("chmod 757 $d/ccrun", "/mnt/a/b/ccrun");
    // The owner of a sticky directory may replace what others have in it.
    refused("chmod 1777 $d; chown games $d", "/mnt/a/b");
    let private = "echo own:x:4321:daemon >>/etc/group; chgrp 4321 $d; chmod 775 $d";
    for trusted in ["chown -R daemon $d", "chmod 1777 $d", private] {
        let out = fix(trusted);
        assert!(out.contains("done   gave /mnt/a/b/ccrun an AppArmor profile"), "{trusted}: {out}");
        std::fs::remove_file(t.dir.join("etc/apparmor.d/mnt.a.b.ccrun")).expect("the profile");
    }
}

/// Whoever is limited is so in the group, too, that they get for their own.
fn fix_takes_over_limits(t: &Sandbox) {
    let name = format!("ccrun-it-over-{}", std::process::id());
    let set = |dir: &str, file: &str, value: &str| format!("[ ! -e {dir}/{file} ] || echo {value} >{dir}/{file}\n");
    let mut script = "mount -t tmpfs none /run; cp -a /etc /mnt/; mount --bind /mnt/etc /etc
        chmod 755 /mnt; : >/mnt/pid; chown games /mnt/pid\n"
        .to_owned();
    let (mut places, mut inner, mut clean) = (Vec::new(), String::new(), String::new());
    for (point, controllers) in crate::limits::groups::trees() {
        let unified = std::fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
        let point = point.to_str().expect("UTF-8").to_owned();
        if unified.contains("memory") {
            script += &format!("echo +memory +cpu +pids >{point}/cgroup.subtree_control 2>/dev/null || :\n");
        } else if !["memory", "cpu", "pids", "cpuset"].iter().any(|one| controllers.split(',').any(|word| word == *one))
        {
            continue;
        }
        let (outer, dir) = (format!("{point}/{name}"), format!("{point}/{name}/in"));
        script += &format!("mkdir {outer}\n");
        // The tighter of the two counts, wherever it is.
        script += &set(&outer, "cpuset.cpus", "0");
        script += &set(&outer, "cpuset.mems", "0");
        script += &set(&outer, "cgroup.subtree_control", "+memory +cpu +pids");
        script += &format!("mkdir {dir}\n");
        script += &set(&dir, "cpuset.cpus", "0");
        script += &set(&dir, "cpuset.mems", "0");
        for (file, value) in [("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"), ("pids.max", "77")] {
            script += &set(&outer, file, value);
        }
        script += &set(&dir, "pids.max", "500");
        script += &set(&dir, "cpu.cfs_quota_us", "50000");
        script += &set(&dir, "cpu.max", "'50000 100000'");
        inner += &format!("echo $$ >{dir}/cgroup.procs; ");
        clean += &format!("rmdir {dir} {outer}; ");
        places.push(point);
    }
    script += &format!(
        "sh -c '{inner} exec su games -s /bin/sh -c \"echo \\$\\$ >/mnt/pid; exec sleep 47.1\"' & sleep 0.5
        \"$0\" check --fix games; \"$0\" check --fix games\n"
    );
    let uid = t.command("id", &["-u", "games"]).ok();
    for point in &places {
        let own = format!("{point}/ccrun/{}", uid.line());
        script += &format!(
            "for file in memory.limit_in_bytes memory.max pids.max cpu.cfs_quota_us cpu.max cpuset.cpus; do
            [ ! -e {own}/$file ] || echo $file $(cat {own}/$file); done\n"
        );
    }
    script += &format!("kill $(cat /mnt/pid); wait; sleep 0.2; {clean}exit 0");
    let out = on_host(t, &script, &[]).out();
    for place in own_groups(std::path::Path::new("/sys/fs/cgroup"), uid.line()) {
        for dir in [place.join("login"), place.clone(), place.parent().expect("a parent").to_owned()] {
            let _ = std::fs::remove_dir(dir);
        }
    }
    let out = out.exit(0);
    let second = out.stdout.lines().filter(|line| line.contains("games has cgroups")).count();
    assert_eq!(second, 1, "{}", out.stdout);
    for limit in [
        "memory.limit_in_bytes 67108864",
        "memory.max 67108864",
        "pids.max 77",
        "cpu.cfs_quota_us 50000",
        "cpuset.cpus 0",
    ] {
        let file = limit.split(' ').next().expect("a file");
        if out.stdout.contains(&format!("\n{file} ")) {
            assert!(out.stdout.contains(&format!("\n{limit}\n")), "{limit}: {}", out.stdout);
        }
    }
    out.has("took over the limits of the groups that games is in: ").has("\npids.max 77\n");
}

fn fix_gives_free_ranges_only(t: &Sandbox) {
    let etc = "printf 'a:100000:65536\\nb:165537:1' >/etc/subuid; printf 'c:290000:5\\n' >/etc/subgid
        echo x:x:300000:300000::/:/ >>/etc/passwd; printf 'SUB_UID_MIN 100000\\n' >/etc/login.defs";
    on_copy(t, etc, &["check", "--fix", "daemon"])
        .ok()
        .has("gave daemon the ids 362144-427679 in /etc/subuid and /etc/subgid\n");
    let read = |name: &str| std::fs::read_to_string(t.dir.join("etc").join(name)).expect("read");
    assert_eq!(read("subuid"), "a:100000:65536\nb:165537:1\ndaemon:362144:65536\n");
    assert_eq!(read("subgid"), "c:290000:5\ndaemon:362144:65536\n");
    // One of the two is enough to leave the other alone.
    on_copy(t, "sed -i /daemon/d /etc/subgid", &["check", "--fix", "daemon"]).ok().has(" in /etc/subgid\n");
    assert_eq!(read("subuid").lines().count(), 3);
    let full = "echo 'SUB_UID_MAX 120000' >/etc/login.defs";
    on_copy(t, full, &["check", "--fix", "bin"]).out().error(1, "no 65536 ids are free between 100000 and 120000");
    // Two at once.
    let both = "rm -f /etc/login.defs /etc/subuid /etc/subgid; for user in bin mail games; do \"$0\" check --fix $user & done; wait; exit";
    on_copy(t, both, &[]).ok().quiet();
    let mut starts: Vec<String> =
        read("subuid").lines().filter_map(|line| Some(line.split(':').nth(1)?.to_owned())).collect();
    starts.sort();
    assert_eq!(starts, ["100000", "165536", "231072"]);
    assert_eq!(read("subuid"), read("subgid"));
}

fn fix_waits_for_others_at_work(t: &Sandbox) {
    // 4194305 is no process: more than there can be.
    let stale = "echo 4194305 >/etc/subuid.lock";
    on_copy(t, stale, &["check", "--fix", "daemon"]).ok().has("done   gave daemon the ids ");
    let held = "sed -i /daemon/d /etc/subuid; (sleep 1; rm /etc/subgid.lock) & echo $! >/etc/subgid.lock";
    on_copy(t, held, &["check", "--fix", "daemon"]).ok().has("done   gave daemon the ids ");
    let kept = "sed -i /daemon/d /etc/subuid; echo $$ >/etc/subgid.lock; \"$0\" check --fix daemon; exit";
    let out = on_copy(t, kept, &[]).out().exit(1).says("/etc/subgid.lock is held by another program");
    assert!(!out.stdout.contains("gave daemon"), "{}", out.stdout);
    assert!(t.dir.join("etc/subgid.lock").exists() && !t.dir.join("etc/subuid.lock").exists());
}

fn fix_knows_its_users(t: &Sandbox) {
    for name in ["no-such-user", "", "-u", "a:b"] {
        let arg = format!("--fix={name}");
        on_copy(t, "", &["check", &arg]).out().error(1, &format!("unknown user: {name}"));
    }
    let uid = t.command("id", &["-u", "daemon"]).ok();
    on_copy(t, "", &["check", "--fix", uid.line()]).ok().has("gave daemon the ids ");
    // Root needs no range, and gets none.
    on_copy(t, "", &["check", "--fix", "root"]).ok().prints("ok     no sysctl forbids user namespaces\n");
}

/// On a machine without systemd. The groups are real, and so are the limits of a user's in them.
fn fix_gives_a_cgroup_that_limits(t: &Sandbox) {
    t.command("chmod", &["755", t.dir.to_str().expect("UTF-8")]).ok();
    let home = t.path("user");
    t.command("install", &["-d", "-o", "games", &home]).ok();
    t.command("cp", &["-a", &t.busybox, &t.path("rootfs")]).ok();
    t.command("chown", &["-R", "games", &t.path("rootfs")]).ok();
    let fix = "mount -t tmpfs none /run; cp -a /etc /mnt/; mount --bind /mnt/etc /etc; for n in 1 2; do \"$0\" check --fix games; done";
    let limited = format!(
        "CCRUN_ROOT={home}/store exec {} run --rm -m 64m -v {}:/it:ro --rootfs {} /it --inside",
        t.ccrun,
        t.it,
        t.path("rootfs")
    );
    // Whoever runs something of games' when the second word comes is moved; the shell is, by root, who it belongs to.
    let script = format!(
        "{fix}; su games -s /bin/sh -c 'CCRUN_ROOT={home}/store {0} check | grep cgroups'
        su games -s /bin/sh -c 'for n in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; {limited} eat 200' & sleep 0.3
        {0} check --fix games; wait $! || echo status $?
        su games -s /bin/sh -c 'for n in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; {limited} eat 30' & sleep 0.3
        {0} check --fix games; wait $! || echo status $?; exit 0",
        t.ccrun
    );
    let out = on_host(t, &script, &[]).out();
    let uid = t.command("id", &["-u", "games"]).ok();
    for place in own_groups(std::path::Path::new("/sys/fs/cgroup"), uid.line()) {
        for dir in [place.join("login"), place.clone(), place.parent().expect("a parent").to_owned()] {
            let _ = std::fs::remove_dir(dir);
        }
    }
    let out = out.exit(0).has("done   gave games the cgroups /").has("ok     games has cgroups\n").has("status 137\n");
    assert_eq!(out.stdout.matches("status ").count(), 1, "{}", out.stdout);
    out.has("ate 30 MB\n");
}

/// `ccrun/UID` in each tree.
fn own_groups(dir: &std::path::Path, uid: &str) -> Vec<std::path::PathBuf> {
    let mut tops = vec![dir.to_owned()];
    tops.extend(list(dir).iter().map(|name| dir.join(name)));
    tops.into_iter().map(|top| top.join("ccrun").join(uid)).filter(|place| place.is_dir()).collect()
}
