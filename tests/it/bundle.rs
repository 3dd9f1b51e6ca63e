//! `run --bundle`: what an engine's config.json asks for is done, or refused by name.

use crate::cases;
use crate::limits::groups;
use crate::sandbox::{Out, Sandbox};
use serde_json::{Value, json};
use std::path::Path;

cases! {
    Root:
        podmans_bundle_with_a_user_namespace_runs,
        other_captured_bundles_are_refused_by_name,
        namespaces_are_new_or_the_hosts,
        mounts_are_made_in_their_order,
        masks_switches_and_names_are_the_bundles,
        the_process_is_as_it_says,
        every_limit_is_set,
        paths_are_shut_wherever_they_lie,
        a_cgroup_that_is_there_is_not_taken,
        a_bundle_that_cannot_be_read_is_named,
        flags_that_config_json_replaces_are_refused;
    Every:
        only_root_runs_a_bundle;
}

/// The host's ids of the bundles here.
const FIRST: u32 = 100_000;

/// A bundle on the busybox file system, whose files belong to its ids.
fn bundle(t: &Sandbox, name: &str, document: &Value) -> String {
    let dir = t.path(name);
    t.file(&format!("{name}/config.json"), document.to_string());
    let rootfs = format!("{dir}/rootfs");
    t.command("cp", &["-a", &t.busybox, &rootfs]).ok();
    t.command("chown", &["-hR", &format!("{FIRST}:{FIRST}"), &rootfs]).ok();
    // All the way there, for whoever the container's root is.
    for dir in Path::new(&dir).ancestors() {
        let _ = t.command("chmod", &["a+x", dir.to_str().expect("UTF-8")]).out();
    }
    dir
}

/// A document that runs `script`, with the mounts that engines ask for.
fn document(script: &str) -> Value {
    let mapping = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    let all = ["user", "pid", "mount", "ipc", "uts", "network", "cgroup"];
    let quiet = ["nosuid", "noexec", "nodev"];
    json!({
        "ociVersion": "1.1.0",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "args": ["/bin/sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": all.map(|kind| json!({"type": kind})),
            "uidMappings": mapping, "gidMappings": mapping,
        },
    })
}

/// The tops of the kernel's file systems, paths with `..`, and what lies where no sysfs is.
fn paths_are_shut_wherever_they_lie(t: &Sandbox) {
    let script = "ls /proc; cat /etc/secret; cat /sys/secret; grep ' /sys ' /proc/self/mountinfo; touch /sys/x";
    let mut shut = document(script);
    shut["linux"]["maskedPaths"] = json!(["/proc/../../etc/secret", "/sys/secret"]);
    shut["mounts"]
        .as_array_mut()
        .expect("mounts")
        .retain(|mount| !mount["destination"].as_str().is_some_and(|place| place.starts_with("/sys")));
    let dir = bundle(t, "shut", &shut);
    for secret in ["etc/secret", "sys/secret"] {
        t.file(&format!("shut/rootfs/{secret}"), "SECRET");
    }
    let out = run(t, &dir);
    assert!(!out.stdout.contains("SECRET"), "{}", out.stdout);
    let mut tops = document("ls /proc; echo; mkdir /sys/fs/x 2>&1");
    tops["linux"]["maskedPaths"] = json!(["/proc"]);
    tops["linux"]["readonlyPaths"] = json!(["/sys"]);
    tops["mounts"][3]["options"] = json!(["nosuid", "noexec", "nodev"]);
    let out = run(t, &bundle(t, "tops", &tops));
    assert!(out.stdout.starts_with('\n') && out.stdout.contains("Read-only"), "{}", out.stdout);
}

fn run(t: &Sandbox, dir: &str) -> Out {
    t.ccrun(&["run", "--rm", "--bundle", dir]).out()
}

/// Runs `script` in a bundle that `change` has changed.
#[track_caller]
fn outcome(t: &Sandbox, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> Out {
    let mut document = document(script);
    change(&mut document);
    run(t, &bundle(t, name, &document))
}

fn captured(t: &Sandbox, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bundles").join(name).with_extension("json");
    let Ok(text) = std::fs::read(path) else { crate::skip!("the source is not on this machine") };
    assert!(!t.dir.as_os_str().is_empty());
    serde_json::from_slice(&text).expect("JSON")
}

fn podmans_bundle_with_a_user_namespace_runs(t: &Sandbox) {
    let mut document = captured(t, "podman-userns");
    document["root"]["path"] = "rootfs".into();
    let group = format!("ccrun-it-bundle-{}", std::process::id());
    document["linux"]["cgroupsPath"] = format!("/{group}/box").into();
    for mount in document["mounts"].as_array_mut().expect("mounts") {
        if mount["type"] != "bind" {
            continue;
        }
        // podman's files, which it gave to the container's root.
        let name = Path::new(mount["source"].as_str().expect("a path")).file_name().expect("a name").to_owned();
        let path = t.path(&format!("userdata-{}", name.display()));
        match name.to_str() {
            Some("shm") => std::fs::create_dir(&path).expect("mkdir"),
            _ => std::fs::write(&path, format!("{}\n", name.display())).expect("write"),
        }
        t.command("chown", &[&format!("{FIRST}:{FIRST}"), &path]).ok();
        mount["source"] = path.into();
    }
    let dir = bundle(t, "box", &document);
    // As it was captured: the id map, not that of a range of ccrun's.
    assert_eq!(document["process"]["args"], json!(["cat", "/proc/self/uid_map"]));
    run(t, &dir).exit(0).quiet().prints("         0     100000      65536\n");
    let script = "id -u; hostname; cat /etc/hosts /etc/hostname /run/.containerenv; echo $$; umask; \
                  echo x >/dev/shm/x; echo x >/w; cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max \
                  /sys/fs/cgroup/pids.max; ulimit -n; grep CapBnd /proc/self/status; cat /proc/timer_list; \
                  grep ' /dev tmpfs' /proc/mounts; ls /sys/dev/block; cat /etc/resolv.conf";
    document["process"]["args"] = json!(["sh", "-c", script]);
    std::fs::write(format!("{dir}/config.json"), document.to_string()).expect("write");
    let out = run(t, &dir);
    let lines: Vec<&str> = out.stdout.lines().collect();
    // The process is PID 1, and its program podman's own umask.
    let beginning = ["0", "66d45a70fbe1", "hosts", "hostname", ".containerenv", "1", "0022"];
    assert_eq!(lines[..beginning.len()], beginning, "{}{}", out.stdout, out.stderr);
    // No cgroup namespace was asked for.
    assert!(lines.iter().any(|line| line.ends_with(&format!(":/{group}/box"))), "{}", out.stdout);
    for line in ["2048", "1024", "CapBnd:\t00000000a80425fb"] {
        assert!(lines.contains(&line), "{line}: {}", out.stdout);
    }
    let dev = lines.iter().find(|line| line.contains(" /dev tmpfs")).expect("/dev");
    assert!(dev.contains("nosuid,noexec"), "{dev}");
    // What the process wrote is in the bundle, and its own.
    let owner = |path: &str| t.command("stat", &["-c", "%u", path]).ok().line().to_owned();
    assert_eq!(owner(&format!("{dir}/rootfs/w")), FIRST.to_string());
    assert_eq!(owner(&t.path("userdata-shm/x")), FIRST.to_string());
    remove_group(&group);
    t.nothing_left();
}

fn remove_group(name: &str) {
    for (point, _) in groups::trees() {
        let _ = std::fs::remove_dir(point.join(name));
    }
}

fn other_captured_bundles_are_refused_by_name(t: &Sandbox) {
    captured(t, "podman-userns");
    std::fs::create_dir(t.dir.join("rootfs")).expect("mkdir");
    let mut refused = 0;
    let list = include_str!("bundles/missing.txt");
    let names: Vec<&str> = list.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(names.len(), 33);
    for name in names {
        let missing: Vec<&str> =
            list.lines().skip_while(|line| *line != name).skip(1).map_while(|line| line.strip_prefix("    ")).collect();
        if missing == ["nothing"] {
            continue;
        }
        let mut document = captured(t, name);
        document["root"]["path"] = t.path("rootfs").into();
        t.file(&format!("{name}/config.json"), document.to_string());
        let dir = t.path(name);
        let said = format!("ccrun: bundle {dir}: ccrun cannot do what config.json asks for: {}\n", missing.join("; "));
        assert_eq!(run(t, &dir).error(125, "").stderr, said);
        refused += 1;
    }
    assert_eq!(refused, 32);
    assert!(!t.store.join("containers").exists() || t.names_in("containers").is_empty());
}

fn namespaces_are_new_or_the_hosts(t: &Sandbox) {
    let kinds = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"];
    let host =
        |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("readlink").display().to_string();
    let script = "cd /proc/1/ns; for kind in user pid mnt ipc uts net cgroup; do readlink $kind; done; \
                  cat /proc/self/uid_map";
    let seen = |name: &str, without: &str| {
        let out = outcome(t, name, script, |document| {
            let of = |value: &Value, key: &str, other: &str| value[key] == other;
            let linux = document["linux"]["namespaces"].as_array_mut().expect("a list");
            linux.retain(|namespace| !of(namespace, "type", without));
            // With a group, which the container is moved into before it makes the namespace.
            document["linux"]["resources"] = json!({"pids": {"limit": 100}});
            if without == "network" {
                // sysfs belongs to the network namespace.
                let mounts = document["mounts"].as_array_mut().expect("a list");
                mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/sys")));
            }
        });
        out.exit(0).stdout
    };
    for (name, without, shared) in
        [("all", "", ""), ("host-net", "network", "net"), ("host-cgroup", "cgroup", "cgroup")]
    {
        let out = seen(name, without);
        assert_eq!(out.matches(":[").count(), kinds.len(), "{out}");
        for (kind, inside) in kinds.iter().zip(out.lines()) {
            assert_eq!(inside == host(kind), *kind == shared, "{name}: {kind}: {inside}");
        }
        assert!(out.contains("100000      65536"), "{out}");
    }
    t.nothing_left();
}

fn mounts_are_made_in_their_order(t: &Sandbox) {
    t.file("source/dir/file", "of the host\n");
    t.file("source/one", "one\n");
    t.command("mkdir", &[&t.path("source/below")]).ok();
    t.command("chown", &["-R", &format!("{FIRST}:{FIRST}"), &t.path("source")]).ok();
    let _mounted = Mounted::tmpfs(t, "source/below");
    let source = t.path("source");
    let script = "grep -E ' /(a|b|c|d|e|t|dev/shm|dev/mqueue)(/| )' /proc/mounts | cut -d' ' -f2-4; echo --; \
                  cat /a/file /c; ls /b /e /d/below; touch /a/new; echo $?; touch /b/new; touch /t/new; stat -c %a:%u /t";
    let out = outcome(t, "order", script, |document| {
        let more = json!([
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/a", "type": "bind", "source": "../source/dir", "options": ["bind", "rprivate"]},
            {"destination": "/b", "type": "bind", "source": format!("{source}/dir"),
                "options": ["rbind", "ro", "nosuid", "nodev", "noexec"]},
            {"destination": "/c", "type": "bind", "source": format!("{source}/one"), "options": ["bind", "ro"]},
            {"destination": "/d", "type": "bind", "source": source, "options": ["rbind", "ro"]},
            // What covers comes after what is covered, and hides it.
            {"destination": "/e/below", "type": "bind", "source": source, "options": ["bind"]},
            {"destination": "/e", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "noexec"]},
            {"destination": "/t", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=750", "uid=7", "size=64k"]},
        ]);
        let mounts = document["mounts"].as_array_mut().expect("a list");
        mounts.extend(more.as_array().expect("a list").iter().cloned());
    });
    let out = out.exit(0);
    let (mounts, files) = out.stdout.split_once("--\n").expect("two parts");
    let options = |place: &str| -> Vec<String> {
        let line = mounts.lines().rev().find(|line| line.split(' ').next() == Some(place));
        let line = line.unwrap_or_else(|| panic!("{place}: {mounts}"));
        line.split(' ').nth(2).expect("options").split(',').map(str::to_owned).collect()
    };
    for (place, has, lacks) in [
        ("/a", "rw", "nosuid nodev noexec"),
        ("/b", "ro nosuid nodev noexec", ""),
        ("/c", "ro", "nosuid nodev"),
        ("/d", "ro", "nosuid"),
        // `ro` is for the mount itself, not for those below it.
        ("/d/below", "rw", ""),
        ("/e", "ro noexec", "nosuid nodev"),
        ("/t", "rw nosuid size=64k", "noexec nodev relatime"),
        ("/dev/shm", "rw nosuid nodev noexec size=65536k", ""),
        ("/dev/mqueue", "nosuid nodev noexec", ""),
    ] {
        let options = options(place);
        let is_there = |option: &str| options.iter().any(|one| one == option);
        assert!(has.split(' ').all(is_there), "{place}: {options:?}");
        assert!(!lacks.split_whitespace().any(is_there), "{place}: {options:?}");
    }
    assert_eq!(files, "of the host\none\n/b:\nfile\n\n/d/below:\nmark\n\n/e:\n0\n750:7\n");
    assert!(out.stderr.contains("/b/new"), "{}", out.stderr);
    assert!(t.dir.join("source/dir/new").exists());
    // Without an entry there is neither /dev/shm nor a file of ccrun's in /etc.
    let bare = "ls -d /dev/shm /dev/mqueue; grep -c ' /etc' /proc/mounts; cat /etc/hostname";
    outcome(t, "bare", bare, |_| ()).has("0\n").lacks("/dev/").lacks("box");
    let read_only = |document: &mut Value| document["root"]["readonly"] = true.into();
    outcome(t, "read-only", "touch /new", read_only).exit(1).says("Read-only file system");
    let missing = |document: &mut Value| {
        let bind = json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]});
        document["mounts"].as_array_mut().expect("a list").push(bind);
    };
    outcome(t, "missing", "true", missing).error(125, "/no/such");
    assert!(!Path::new("/no").exists());
    t.nothing_left();
}

/// A tmpfs with a file `mark`, unmounted when dropped.
struct Mounted(String);

impl Mounted {
    fn tmpfs(t: &Sandbox, name: &str) -> Mounted {
        let path = t.path(name);
        t.command("mount", &["-t", "tmpfs", "tmpfs", &path]).ok();
        let mounted = Mounted(path);
        std::fs::write(format!("{}/mark", mounted.0), "").expect("write");
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", &self.0]).status();
    }
}

fn masks_switches_and_names_are_the_bundles(t: &Sandbox) {
    let script = "wc -c </proc/version; touch /proc/sys/kernel/hostname; ls /secret /sys/kernel; wc -c </file; \
                  touch /fixed/new; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/domainname; \
                  cat /proc/sys/net/ipv4/conf/lo/forwarding; hostname; wc -c </proc/interrupts";
    let all = |document: &mut Value| {
        let linux = &mut document["linux"];
        linux["maskedPaths"] = json!(["/proc/version", "/secret", "/sys/kernel", "/file", "/no/such", "/covered/x"]);
        linux["readonlyPaths"] = json!(["/proc/sys", "/fixed", "/no/such"]);
        linux["sysctl"] = json!({
            "net.ipv4.ip_unprivileged_port_start": "7", "net/ipv4/conf/lo/forwarding": "1",
            "kernel.domainname": "example",
        });
    };
    let mut wanted = document(script);
    all(&mut wanted);
    let dir = bundle(t, "all", &wanted);
    for name in ["secret", "fixed"] {
        t.command("mkdir", &[&format!("{dir}/rootfs/{name}")]).ok();
        std::fs::write(format!("{dir}/rootfs/{name}/x"), "x").expect("write");
    }
    std::fs::write(format!("{dir}/rootfs/file"), "x").expect("write");
    t.command("chown", &["-R", &format!("{FIRST}:{FIRST}"), &format!("{dir}/rootfs/fixed")]).ok();
    let out = run(t, &dir);
    // What is not masked is not: ccrun's own list is for its own containers.
    let lines: Vec<&str> = out.stdout.lines().collect();
    let [version, secret, gap, kernel, file, port, domain, forwarding, host, interrupts] = lines[..] else {
        panic!("{}{}", out.stdout, out.stderr)
    };
    assert_eq!([version, secret, gap, kernel, file, port], ["0", "/secret:", "", "/sys/kernel:", "0", "7"]);
    assert_eq!([domain, forwarding, host], ["example", "1", "box"]);
    assert_ne!(interrupts, "0");
    let read_only = out.stderr.matches("Read-only file system").count();
    assert_eq!(read_only, 2, "{}", out.stderr);
    let unknown = |document: &mut Value| document["linux"]["sysctl"] = json!({"net.ipv4.no_such_switch": "1"});
    outcome(t, "unknown", "true", unknown).error(125, "sysctl net.ipv4.no_such_switch");
    t.nothing_left();
}

fn the_process_is_as_it_says(t: &Sandbox) {
    let script = "id -u; id -g; grep -E '^(Groups|NoNewPrivs|Seccomp|Cap(Inh|Prm|Eff|Bnd|Amb)):' /proc/self/status; umask; \
                  pwd; echo $X; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; echo $$; mkdir /tmp/x 2>&1";
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        // A word of Docker's own, which a runtime does not know.
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
            "includes": {"caps": ["CAP_SYS_ADMIN"]}}],
    });
    let all = |document: &mut Value| {
        document["linux"]["seccomp"] = profile;
        let process = &mut document["process"];
        process["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 7], "umask": 63});
        process["cwd"] = "/tmp".into();
        process["env"] = json!(["PATH=/bin", "X=y z"]);
        process["noNewPrivileges"] = true.into();
        process["oomScoreAdj"] = 100.into();
        process["capabilities"] = json!({"bounding": ["CAP_KILL", "CAP_CHOWN"]});
        process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]);
    };
    let out = outcome(t, "user", script, all);
    let expected = "1000\n1001\nGroups:\t5 7 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                    CapEff:\t0000000000000000\nCapBnd:\t0000000000000021\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n\
                    Seccomp:\t2\n0077\n/tmp\ny z\n50\n60\n100\n1\n\
                    mkdir: can't create directory '/tmp/x': Function not implemented\n";
    assert_eq!(out.stdout, expected, "{}", out.stderr);
    // Where no capabilities are named there are none, as runc has it; other limits are not set.
    let free = "grep -E '^(Groups|Seccomp|CapBnd|CapEff|NoNewPrivs):' /proc/self/status; ulimit -c";
    let limit = t.command("sh", &["-c", "ulimit -c"]).ok().stdout;
    let set = format!("{:016x}", 0);
    let out = outcome(t, "free", free, |_| ());
    let expected = format!("Groups:\t \nCapEff:\t{set}\nCapBnd:\t{set}\nNoNewPrivs:\t0\nSeccomp:\t0\n{limit}");
    assert_eq!(out.stdout.replace("Groups:\t\n", "Groups:\t \n"), expected, "{}", out.stderr);
    let named = |document: &mut Value| document["ccrun"] = json!({"user": "nobody", "init": true});
    outcome(t, "named", "id -un; echo $$", named).prints("nobody\n2\n");
    outcome(t, "status", "exit 7", |_| ()).exit(7);
    let unknown = |document: &mut Value| document["process"]["args"] = json!(["no-such-program"]);
    outcome(t, "unknown", "", unknown).error(127, "root file system of");
    t.nothing_left();
}

fn every_limit_is_set(t: &Sandbox) {
    let group = format!("ccrun-it-limits-{}", std::process::id());
    let script = "cd /sys/fs/cgroup; for file in memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes \
                  memory/memory.memsw.limit_in_bytes memory/memory.swappiness cpu/cpu.shares cpu/cpu.cfs_quota_us \
                  cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems pids/pids.max memory.max memory.low \
                  memory.swap.max cpu.weight cpu.max cpuset.cpus cpuset.mems pids.max; \
                  do [ ! -e $file ] || echo $file $(cat $file); done";
    let out = outcome(t, "limits", script, |document| {
        document["linux"]["cgroupsPath"] = format!("{group}/box").into();
        document["linux"]["resources"] = json!({
            "memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 50},
        });
    });
    let v1 = [
        ("memory/memory.limit_in_bytes", "67108864"),
        ("memory/memory.soft_limit_in_bytes", "33554432"),
        ("memory/memory.memsw.limit_in_bytes", "134217728"),
        ("cpu/cpu.shares", "512"),
        ("cpu/cpu.cfs_quota_us", "50000"),
        ("cpu/cpu.cfs_period_us", "100000"),
        ("cpuset/cpuset.cpus", "0"),
        ("cpuset/cpuset.mems", "0"),
        ("pids/pids.max", "50"),
    ];
    let v2 = [
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.swap.max", "67108864"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "50"),
    ];
    let out = out.exit(0);
    let seen = |(file, value): &(&str, &str)| match out.stdout.lines().find_map(|line| line.strip_prefix(file)) {
        None => false,
        Some(line) if line.trim() == *value => true,
        Some(line) => panic!("{file} is {line}, not {value}"),
    };
    let count = v1.iter().chain(&v2).filter(|one| seen(one)).count();
    assert!(count >= 6, "{}", out.stdout);
    remove_group(&group);
    let none = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null";
    // Without a limit there is none, not that of ccrun's own containers.
    let grouped = |document: &mut Value| document["linux"]["cgroupsPath"] = format!("/{group}/box").into();
    let out = outcome(t, "none", none, grouped);
    assert!(["max\n", "4194304\n"].contains(&out.stdout.as_str()), "{}{}", out.stdout, out.stderr);
    remove_group(&group);
    t.nothing_left();
}

fn a_cgroup_that_is_there_is_not_taken(t: &Sandbox) {
    let group = format!("ccrun-it-taken-{}", std::process::id());
    let mut made = Vec::new();
    for (point, _) in groups::trees() {
        if std::fs::create_dir(point.join(&group)).is_ok() {
            made.push(point.join(&group));
        }
    }
    // Who is in it must not be killed when the container ends.
    let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
    let joined = made.iter().filter(|dir| std::fs::write(dir.join("cgroup.procs"), child.id().to_string()).is_ok());
    assert!(joined.count() > 0);
    let taken = |document: &mut Value| {
        document["linux"]["cgroupsPath"] = format!("/{group}").into();
        document["linux"]["resources"] = json!({"pids": {"limit": 10}});
    };
    outcome(t, "taken", "true", taken).error(125, "already exists");
    assert_eq!(child.try_wait().expect("wait"), None);
    let _ = child.kill();
    let _ = child.wait();
    remove_group(&group);
    t.nothing_left();
}

fn a_bundle_that_cannot_be_read_is_named(t: &Sandbox) {
    let dir = t.path("b");
    run(t, &dir).error(125, &format!("ccrun: bundle {dir}: No such file or directory (ENOENT)"));
    std::fs::create_dir(&dir).expect("mkdir");
    run(t, &dir).error(125, &format!("ccrun: bundle {dir}: "));
    t.command("mkfifo", &[&format!("{dir}/config.json")]).ok();
    run(t, &dir).error(125, "config.json: is not a regular file");
    std::fs::remove_file(format!("{dir}/config.json")).expect("rm");
    t.file("b/config.json", " ".repeat(5 << 20));
    run(t, &dir).error(125, "config.json: is larger than 4 MiB");
    t.file("b/config.json", "{");
    run(t, &dir).error(125, &format!("ccrun: bundle {dir}: config.json: is not JSON: EOF"));
    let mut wanted = document("true");
    wanted["linux"]["namespaces"][2]["type"] = "foo".into();
    t.file("b/config.json", wanted.to_string());
    run(t, &dir).error(125, "config.json: linux.namespaces[2].type: 'foo' is not a namespace (pid, network, ");
    for (path, said) in [("none", "ENOENT"), ("/", "is this machine's own root"), ("config.json", "is not a directory")]
    {
        let mut wanted = document("true");
        wanted["root"]["path"] = path.into();
        t.file("b/config.json", wanted.to_string());
        run(t, &dir).error(125, "root.path: ").says(said);
    }
    t.nothing_left();
}

fn flags_that_config_json_replaces_are_refused(t: &Sandbox) {
    let dir = bundle(t, "b", &document("echo $$; sleep 0.1"));
    let with = |more: &[&str]| t.ccrun(&[&["run", "--bundle", &dir], more].concat()).out();
    for flags in [&["-m", "64m"][..], &["-v", "/a:/b"], &["-it"], &["--rootfs", "/"], &["--privileged"], &["-u", "0"]] {
        with(flags).error(125, "conflicting options: cannot specify both --bundle and --");
    }
    with(&["echo"]).error(125, "--bundle takes no command: echo; it stands in config.json, process.args");
    let cidfile = t.path("cid");
    let out = with(&["--name", "box", "--cidfile", &cidfile, "--init", "--stats"]).exit(0).has("2\n");
    assert!(out.stderr.contains("peak memory"), "{}", out.stderr);
    let id = std::fs::read_to_string(&cidfile).expect("the file");
    t.ccrun(&["ps", "-a", "--no-trunc"]).ok().has(&id).has("box");
    // The document is kept.
    let kept = std::fs::read(t.store.join("containers").join(&id).join("config.json")).expect("config.json");
    let kept: Value = serde_json::from_slice(&kept).expect("JSON");
    assert_eq!(kept["process"], document("echo $$; sleep 0.1")["process"]);
    t.ccrun(&["inspect", "box"]).ok();
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn only_root_runs_a_bundle(t: &Sandbox) {
    t.file("b/config.json", document("true").to_string());
    std::fs::create_dir(t.dir.join("b/rootfs")).expect("mkdir");
    if t.mode != crate::sandbox::Mode::Root {
        run(t, &t.path("b")).error(125, "--bundle: only root of the host can run a bundle");
    }
    t.nothing_left();
}
