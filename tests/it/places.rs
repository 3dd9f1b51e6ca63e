//! ccrun starts from any directory that its caller can enter, and in any environment.

use crate::cases;
use crate::sandbox::{Cmd, Mode, Sandbox};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

cases! {
    Every:
        a_private_directory_is_a_place_like_any_other,
        a_directory_that_is_gone_counts_as_the_root,
        the_kernels_own_directories_count_as_the_root,
        a_read_only_view_of_the_host_is_so_everywhere,
        the_store_is_out_of_reach_in_a_view_of_the_host,
        the_store_and_the_rootfs_may_lie_in_a_private_home,
        an_empty_environment_is_enough;
    Root:
        a_directory_of_another_user_is_a_place_like_any_other,
        another_user_starts_from_where_they_may_not_look,
}

fn private(t: &Sandbox, name: &str) -> PathBuf {
    let dir = t.dir.join(name);
    std::fs::create_dir_all(&dir).expect("mkdir");
    set_permissions(&dir, Permissions::from_mode(0o700)).expect("chmod");
    dir
}

/// Every form of root file system starts there, and none is copied for want of a better way.
fn all_forms(t: &Sandbox, dir: &Path) {
    let run = |args: &[&str]| t.ccrun(&[&["run", "--rm"], args].concat()).cwd(dir);
    run(&["echo", "Hello", "Coding", "Challenges!"]).ok().prints("Hello Coding Challenges!\n").quiet();
    run(&["pwd"]).ok().prints(&format!("{}\n", dir.display())).quiet();
    run(&["sh", "-c", "echo x >made; cat made; ls -d ../."]).ok().prints("x\n../.\n").quiet();
    assert!(!dir.join("made").exists(), "the host was written to");
    run(&["--rootfs", &t.busybox, "pwd"]).ok().prints("/\n").quiet();
    // One of our own: it gets places for /etc/hosts and its like.
    let own = t.path("own-rootfs");
    t.command("cp", &["-a", &t.busybox, &own]).ok();
    run(&["--rootfs", &format!("{own}:rw"), "true"]).ok().quiet();
    t.command("rm", &["-rf", &own]).ok();
    run(&["--rootfs", &t.busybox, "-v", ".:/here", "ls", "-d", "/here"]).ok().prints("/here\n").quiet();
}

fn a_private_directory_is_a_place_like_any_other(t: &Sandbox) {
    let dir = private(t, "private");
    all_forms(t, &dir);
    let below = private(t, "private/below/it");
    set_permissions(t.dir.join("private/below"), Permissions::from_mode(0o711)).expect("chmod");
    all_forms(t, &below);
    t.nothing_left();
}

fn a_directory_that_is_gone_counts_as_the_root(t: &Sandbox) {
    for args in [&["pwd"][..], &["--rootfs", &t.busybox, "pwd"]] {
        let dir = private(t, "gone");
        let command = [&[t.ccrun.as_str(), "run", "--rm"], args].concat().join(" ");
        let script = format!("cd {0} && rmdir {0} && exec {command}", dir.display());
        t.command("/bin/sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).ok().prints("/\n").quiet();
    }
    t.nothing_left();
}

fn the_kernels_own_directories_count_as_the_root(t: &Sandbox) {
    for dir in ["/", "/proc", "/proc/self/fd", "/sys", "/dev", "/dev/shm", "/run"] {
        t.ccrun(&["run", "--rm", "pwd"]).cwd(dir).ok().prints("/\n").quiet();
        t.run(&["pwd"]).cwd(dir).ok().prints("/\n").quiet();
    }
    t.nothing_left();
}

fn the_store_and_the_rootfs_may_lie_in_a_private_home(t: &Sandbox) {
    let home = private(t, "own home");
    let rootfs = home.join("rootfs");
    let copy = t.command("cp", &["-a", &t.busybox, rootfs.to_str().expect("UTF-8")]);
    copy.ok();
    let there = |cmd: Cmd| cmd.cwd(&home).env("HOME", &home).env("TMPDIR", &home).env("CCRUN_ROOT", home.join("store"));
    for rootfs in ["rootfs", "./rootfs", rootfs.to_str().expect("UTF-8")] {
        let run = there(t.ccrun(&["run", "--rm", "--rootfs", rootfs, "sh", "-c", "echo x >/made; cat /made"]));
        run.ok().prints("x\n").quiet();
    }
    there(t.ccrun(&["run", "--rm", "sh", "-c", "pwd; echo x >made"]))
        .ok()
        .prints(&format!("{}\n", home.display()))
        .quiet();
    // Without --rm, so that what it wrote can be looked at: a copy would have brought everything.
    there(t.ccrun(&["run", "--name", "kept", "--rootfs", "rootfs", "touch", "/made"])).ok().quiet();
    let mut written = Vec::new();
    for id in crate::sandbox::list(&home.join("store/containers")) {
        written = crate::sandbox::list(&home.join("store/containers").join(id).join("upper"));
    }
    assert!(written.contains(&"made".to_owned()) && !written.contains(&"bin".to_owned()), "copied: {written:?}");
    there(t.ccrun(&["rm", "kept"])).ok();
    assert!(!rootfs.join("made").exists());
}

fn an_empty_environment_is_enough(t: &Sandbox) {
    // As a service or cron starts a program, but for the store.
    let store = t.store.to_str().expect("UTF-8").to_owned();
    let bare = |vars: &[&str], args: &[&str]| {
        let words = [&["-i"], vars, &[t.ccrun.as_str(), "--root", &store], args].concat();
        t.command("env", &words).cwd("/")
    };
    bare(&[], &["run", "--rm", "echo", "hi"]).ok().prints("hi\n").quiet();
    bare(&["PATH="], &["run", "--rm", "echo", "hi"]).ok().prints("hi\n").quiet();
    bare(&["PATH=/usr/bin:/bin"], &["run", "--rm", "echo", "hi"]).ok().prints("hi\n").quiet();
    bare(&[], &["run", "--rm", "--rootfs", &t.busybox, "sh", "-c", "echo $HOME"]).ok().prints("/root\n").quiet();
    // The user's home is where /etc/passwd says if nobody else does.
    if t.mode != Mode::Root {
        let user = t.command("id", &["-un"]).ok().stdout;
        let passwd = std::fs::read_to_string("/etc/passwd").expect("read");
        let home = passwd.lines().find(|line| line.starts_with(&format!("{}:", user.trim())));
        let home = home.and_then(|line| line.split(':').nth(5)).expect("a home");
        for kept in [&[][..], &["HOME=/root"], &["HOME="]] {
            let run = [t.ccrun.as_str(), "run", "--rm", "--rootfs", &t.busybox, "true"];
            let words = [&["-i"], kept, &run].concat();
            let out = t.command("env", &words).cwd("/").out();
            let is_there = Path::new(home).join(".local/share/ccrun").exists();
            assert!(out.status == 0 && is_there || out.stderr.contains(home), "{kept:?}: {}", out.stderr);
        }
    }
    t.nothing_left();
}

fn a_directory_of_another_user_is_a_place_like_any_other(t: &Sandbox) {
    let dir = private(t, "others");
    std::os::unix::fs::chown(&dir, Some(4242), Some(4242)).expect("chown");
    all_forms(t, &dir);
    t.nothing_left();
}

fn another_user_starts_from_where_they_may_not_look(t: &Sandbox) {
    // sudo -u USER keeps the directory that root is in, and su keeps HOME, too.
    let dir = private(t, "roots");
    let home = t.dir.join("users");
    std::fs::create_dir_all(&home).expect("mkdir");
    std::os::unix::fs::chown(&home, Some(4343), Some(4343)).expect("chown");
    let busybox = t.dir.join("busybox");
    t.command("cp", &["-a", &t.busybox, busybox.to_str().expect("UTF-8")]).ok();
    t.command("chown", &["-R", "4343:4343", busybox.to_str().expect("UTF-8")]).ok();
    for args in [&["run", "--rm", "pwd"][..], &["run", "--rm", "--rootfs", busybox.to_str().expect("UTF-8"), "pwd"]] {
        let words = [&["--inside", "as", "4343", &t.ccrun], args].concat();
        let out = t.command(&t.it, &words).cwd(&dir).env("HOME", &home).out().exit(0);
        assert!(out.stdout.starts_with("/\n"), "{} {}", out.stdout, out.stderr);
        // With another user's HOME it is the one of passwd, and an error names that if there is none.
        let out = t.command(&t.it, &words).cwd(&dir).env("HOME", &dir).out();
        assert!(out.status == 125 && out.stderr.contains("/etc/passwd has no home"), "{}", out.stderr);
    }
}

fn a_read_only_view_of_the_host_is_so_everywhere(t: &Sandbox) {
    let volume = t.dir.join("volume");
    std::fs::create_dir_all(&volume).expect("mkdir");
    let script = "for dir in / /etc /usr /var /opt /tmp /var/tmp .; do touch $dir/ccrun-was-here 2>/dev/null && echo $dir; done; \
        touch /opt/new/place/x /mnt/tmp/x && echo volumes";
    let mount = format!("{}:/opt/new/place", volume.display());
    let run = ["run", "--rm", "--read-only", "-v", &mount, "--tmpfs", "/mnt/tmp", "/bin/sh", "-c", script];
    t.ccrun(&run).ok().prints("volumes\n").quiet();
    assert!(volume.join("x").exists());
    t.nothing_left();
}

/// `/bin/sh` of the host may do all that a container's root can.
fn the_store_is_out_of_reach_in_a_view_of_the_host(t: &Sandbox) {
    let store = t.store.display();
    let script = format!(
        "cd {store} && for file in $(find . -type f 2>/dev/null); do mount -o remount,rw,bind {store}/$file 2>/dev/null; \
         echo changed >>$file; done; echo done"
    );
    t.ccrun(&["run", "--name", "kept", "--privileged", "/bin/sh", "-c", &script]).ok().has("done");
    let mut changed = Vec::new();
    crate::sandbox::walk(&t.store, &mut |path| {
        if !path.to_string_lossy().contains("/upper")
            && std::fs::read(path).is_ok_and(|text| text.ends_with(b"changed\n"))
        {
            changed.push(path.to_owned());
        }
    });
    assert!(changed.is_empty(), "{changed:?}");
    t.ccrun(&["rm", "kept"]).ok();
    t.nothing_left();
}
