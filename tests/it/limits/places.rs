//! Where a user has limits from, who may not make cgroups just anywhere.

use super::groups::{Group, pure_v2, trees};
use crate::sandbox::{Mode, Sandbox};
use crate::{cases, sys};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

cases! {
    Users:
        a_limit_that_cannot_be_applied_is_an_error,
        systemd_is_asked_for_a_scope;
    Root:
        a_parent_may_be_named,
        who_asks_before_each_step_is_no_stranger_in_a_scope,
        what_root_has_delegated_is_used;
}

/// Whether we may make groups below one that we are in.
pub fn is_delegated() -> bool {
    crate::procs::cgroup_dirs(std::process::id() as i32)
        .iter()
        .any(|dir| std::fs::metadata(dir).is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == sys::uid()))
}

fn a_limit_that_cannot_be_applied_is_an_error(t: &Sandbox) {
    if is_delegated() {
        t.inside(&["-m", "64m"], &["eat", "200"]).out().exit(137);
        return;
    }
    for flags in [["-m", "64m"], ["--cpus", "0.5"], ["--pids-limit", "20"], ["-c", "512"], ["--cpuset-cpus", "0"]] {
        let out = t.run(&[&flags[..], &["true"]].concat()).out();
        out.error(
            125,
            &format!("once, as root: {} check --fix USER; or run ccrun as root, or through systemd-run", t.ccrun),
        );
    }
    t.nothing_left();
}

/// A stand-in that notes how it was called, and does nothing but become the command.
const SYSTEMD_RUN: &str = "#!/bin/sh\n\
    for word; do echo \"$word\"; done >\"$XDG_RUNTIME_DIR/asked\"\n\
    while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n";

fn systemd_is_asked_for_a_scope(t: &Sandbox) {
    if is_delegated() {
        t.run(&["-m", "64m", "true"]).ok();
        return;
    }
    let program = t.file("bin/systemd-run", SYSTEMD_RUN);
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
    // As short a name as a socket's has to be.
    let runtime = PathBuf::from(format!("/tmp/ccrun-it-{}", std::process::id()));
    std::fs::create_dir_all(&runtime).expect("mkdir");
    let asked = || std::fs::read_to_string(runtime.join("asked")).unwrap_or_default();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", t.path("bin"));
    let run = |args: &[&str]| t.run(args).env("PATH", &path).env("XDG_RUNTIME_DIR", &runtime).out();
    // Nobody answers there: systemd is left alone.
    run(&["-m", "64m", "true"]).error(125, "cgroup");
    assert_eq!(asked(), "");
    let _manager = std::os::unix::net::UnixListener::bind(runtime.join("bus")).expect("bind");
    // Nothing is asked for that takes a cgroup.
    run(&["--pids-limit", "-1", "true"]).exit(0);
    assert_eq!(asked(), "");
    // The stand-in has moved nobody, so that it is an error all the same, and one call.
    run(&["-m", "64m", "/bin/echo", "a b", ""]).error(125, "cgroup");
    let words = ["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--", &t.ccrun, "run", "--rm"];
    let own = ["--rootfs", &t.busybox, "-m", "64m", "/bin/echo", "a b", ""];
    let line = [&words[..], &own].concat().join("\n") + "\n";
    // systemd gives users nothing of v1.
    assert_eq!(asked(), if pure_v2().is_some() { line } else { String::new() });
    std::fs::remove_dir_all(&runtime).expect("remove");
    t.nothing_left();
}

fn a_parent_may_be_named(t: &Sandbox) {
    let group = Group::first(t, "parent");
    let inner = format!("/{}/a/b", group.name);
    let script = "echo ready; exec sleep 82.1";
    let flags = ["--cgroup-parent", &inner, "-m", "64m", "--cpuset-cpus", "0", "/bin/sh", "-c", script];
    let running = t.run(&flags).spawn();
    running.until("ready");
    let theirs = crate::procs::cgroup_dirs(crate::procs::with_args(&["sleep", "82.1"]));
    let below: Vec<_> = theirs.iter().filter(|dir| dir.to_string_lossy().contains(&inner)).collect();
    assert!(!below.is_empty(), "{theirs:?}");
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    // The container's own group is gone; those above are the user's, who may have given them limits.
    for (point, _) in trees() {
        for dir in [inner.trim_start_matches('/'), &format!("{}/a", group.name)] {
            let _ = std::fs::remove_dir(point.join(dir));
        }
        let _ = std::fs::remove_dir(point.join(&group.name));
        assert!(!point.join(&group.name).exists(), "left below {}", point.display());
    }
    t.nothing_left();
}

/// A scope that holds nobody but ccrun was made for it. The process that asks for `--step` is there, too, and the
/// client of `-it`.
fn who_asks_before_each_step_is_no_stranger_in_a_scope(t: &Sandbox) {
    let Some(point) = pure_v2() else { crate::skip!("cgroups of v1 are in use") };
    std::fs::write(point.join("cgroup.subtree_control"), "+memory +pids +cpu").expect("hand on");
    let file = t.path("explained");
    let mut ended = Vec::new();
    for (at, (flags, keys)) in [("--step", 60), ("-it", 0), ("-it --step", 60)].into_iter().enumerate() {
        // A new one for each: what hands controllers on may hold no shell.
        let scope = point.join(format!("ccrun-it-{}-{at}.scope", std::process::id()));
        std::fs::create_dir(&scope).expect("mkdir");
        let scope_path = scope.display();
        let run = format!("{} run --rm {flags} --explain={file} -m 64m --rootfs {} true", t.ccrun, t.busybox);
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(format!("echo $$ >{scope_path}/cgroup.procs && exec {run}")).env("CCRUN_ROOT", &t.store);
        let mut pty = crate::pty::Pty::spawn(shell);
        pty.send(&"\n".repeat(keys));
        let moved = format!("\"{scope_path}/ccrun-supervisor");
        ended.push((flags, moved, pty.wait(), std::fs::read_to_string(&file).expect("read")));
        let _ = std::fs::remove_dir(scope.join("ccrun-supervisor"));
        std::fs::remove_dir(&scope).expect("rmdir");
    }
    for (flags, moved, (status, seen), explained) in ended {
        assert_eq!(status, 0, "{flags}: {seen}");
        assert!(explained.contains(&moved), "{flags}: {explained}");
    }
    t.nothing_left();
}

/// As `ccrun/UID` below the top of each tree, with `login` in it for the user's processes.
fn what_root_has_delegated_is_used(t: &Sandbox) {
    let base = Path::new(&t.busybox).parent().and_then(Path::parent).expect("a base");
    let Some((busybox, uid)) = [Mode::Subuid, Mode::Nosubuid].into_iter().find_map(|mode| {
        let busybox = base.join(mode.name()).join("busybox");
        Some((busybox.clone(), std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(busybox).ok()?)))
    }) else {
        crate::skip!("there is no user to delegate to");
    };
    let mut made = Vec::new();
    let mut procs = Vec::new();
    for (point, controllers) in trees() {
        if controllers.contains("name=") || (controllers.is_empty() && pure_v2().is_none()) {
            continue;
        }
        let dir = point.join("ccrun").join(uid.to_string());
        let login = dir.join("login");
        std::fs::create_dir_all(&login).expect("mkdir");
        if controllers.is_empty() {
            for dir in [&point, &point.join("ccrun")] {
                std::fs::write(dir.join("cgroup.subtree_control"), "+memory +pids +cpu").expect("hand on");
            }
            for file in ["login/cgroup.procs", "login"] {
                chown(dir.join(file), Some(uid), None).expect("chown");
            }
            procs.push(login.join("cgroup.procs"));
        }
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"] {
            let _ = chown(dir.join(file), Some(uid), None);
        }
        made.push(dir);
    }
    let store = t.path("users-store");
    std::fs::create_dir(&store).expect("mkdir");
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o700)).expect("chmod");
    chown(&store, Some(uid), None).expect("chown");
    let user = t.command("stat", &["-c", "%U", busybox.to_str().expect("UTF-8")]).ok().line().to_owned();
    let run = format!("{} --root {store} run --rm --rootfs {}", t.ccrun, busybox.display());
    let ccrun = format!("{run} -m 64m -v {}:/it:ro /it --inside", t.it);
    let enter: String = procs.iter().map(|file| format!("echo $$ >{}; ", file.display())).collect();
    let as_user =
        |script: &str| t.command("sh", &["-c", &format!("{enter}exec su -s /bin/sh -c '{script}' {user}")]).out();
    let out = as_user(&format!("{ccrun} eat 200"));
    let out = out.error(137, "it reached its limit of 64MiB (--memory)");
    // To a user the kernel does not tell its name, and on v2, where PID 1 has died too, not its size.
    if let Some((_, rest)) = out.stderr.split_once("the biggest process had ") {
        let size: f64 = rest.strip_suffix("MiB\n").and_then(|size| size.parse().ok()).expect("a size");
        assert!((50.0..70.0).contains(&size), "{}", out.stderr);
    } else {
        assert!(pure_v2().is_some(), "{}", out.stderr);
    }
    let out = as_user(&format!("{ccrun} eat 40"));
    assert!(out.status == 0 && out.stdout == "ate 40 MB\n" && out.stderr.is_empty(), "{}", out.stderr);
    let out = as_user(&format!("{run} sh -c \"cd /sys/fs/cgroup; cat pids.max pids/pids.max 2>/dev/null; :\""));
    assert!(out.status == 0 && out.stdout == "2048\n", "{} {}", out.stdout, out.stderr);
    // On v2, from outside nobody may go there.
    if let [file] = &procs[..] {
        let out = t.command("su", &["-s", "/bin/sh", "-c", &format!("{run} -m 64m true"), &user]).out();
        out.error(125, &format!("echo PID > {}", file.display()));
    }
    for dir in made {
        // Another test may have a container there right now.
        crate::sandbox::eventually("no group is left", || {
            !crate::sandbox::list(&dir).iter().any(|name| name.starts_with("ccrun-"))
        });
        let _ = std::fs::remove_dir(dir.join("login"));
        std::fs::remove_dir(&dir).expect("rmdir");
        let _ = std::fs::remove_dir(dir.parent().expect("a parent"));
    }
}
