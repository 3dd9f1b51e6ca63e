//! A disk that is full or read-only locks nobody out.

use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::{Running, Sandbox, eventually};
use crate::{cases, procs, sys};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

cases! {
    Root:
        a_disk_that_is_full_to_the_last_byte,
        a_disk_that_has_no_inode_left,
        a_disk_that_is_read_only,
        a_store_that_was_never_made_is_empty;
}

/// A store on a file system of its own with an image, a volume and containers of every kind.
struct Disk {
    t: Sandbox,
    dir: PathBuf,
    image: String,
    /// Runs until its standard input ends, and then exits with status 5.
    running: Option<Running>,
    filled: u32,
    options: &'static str,
}

const TO_THE_BYTE: &str = "size=60m";
const TO_THE_INODE: &str = "size=200m,nr_inodes=3000";

impl Disk {
    fn new(t: &Sandbox, options: &'static str) -> Disk {
        sys::private_mounts().expect("a mount namespace");
        let dir = t.dir.join("disk");
        std::fs::create_dir(&dir).expect("mkdir");
        sys::mount_tmpfs(&dir, 0, options).expect("mount");
        let t = t.with_store("disk/store");
        let registry = Registry::start();
        registry.push("some/app", "v1", &Image::busybox(&t.busybox));
        let image = format!("{}/some/app:v1", registry.host);
        t.ccrun(&["pull", "-q", &image]).ok();
        t.ccrun(&["run", "--rm", "-v", "data:/v", &image, "true"]).ok();
        for name in ["ended", "ended2", "ended3"] {
            t.ccrun(&["run", "--name", name, &image, "/bin/sh", "-c", "echo x >/f; exit 3"]).out().exit(3);
        }
        // Their supervisors are killed; nobody sweeps before the disk is full.
        for flag in ["--name=killed", "--rm"] {
            let running = t.ccrun(&["run", flag, &image, "/bin/sh", "-c", "echo up; exec sleep 72.1"]).spawn();
            running.until("up").signal(libc::SIGKILL);
            running.wait();
        }
        eventually("their end", || procs::find_args(&["sleep", "72.1"]).is_empty());
        let script = "echo up; until test -e /v/go; do sleep 0.05; done; exit 5";
        let go = t.dir.join("go");
        std::fs::create_dir(&go).expect("mkdir");
        let go = format!("{}:/v", go.display());
        let running = t.ccrun(&["run", "--name", "running", "-v", &go, &image, "/bin/sh", "-c", script]).spawn();
        running.until("up");
        Disk { t, dir, image, running: Some(running), filled: 0, options }
    }

    /// Takes all room, or all inodes, that are left.
    fn fill(&mut self) {
        loop {
            self.filled += 1;
            let Ok(mut file) = File::create(self.dir.join(format!("filler-{}", self.filled))) else { return };
            let mut size = if self.options == TO_THE_BYTE { 1 << 20 } else { 0 };
            while size > 0 {
                match file.write(&vec![b'x'; size]) {
                    Ok(written) if written == size => {}
                    _ => size /= 2,
                }
            }
            if self.options == TO_THE_BYTE {
                return;
            }
        }
    }

    fn ok(&self, args: &[&str]) -> String {
        self.t.ccrun(args).ok().quiet().stdout
    }

    fn names(&self) -> Vec<String> {
        self.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).lines().map(str::to_owned).collect()
    }

    /// Everything that only looks.
    fn look(&self) {
        for args in [
            &["images"][..],
            &["history", &self.image],
            &["inspect", "ended"],
            &["image", "inspect", &self.image],
            &["system", "df", "-v"],
            &["ps", "-as"],
            &["volume", "ls"],
            &["volume", "inspect", "data"],
        ] {
            self.t.ccrun(args).ok().quiet();
        }
        let saved = self.t.ccrun(&["save", "-o", "../saved.tar", &self.image]).cwd(&self.dir).out();
        saved.exit(0).quiet();
        self.t.ccrun(&["export", "-o", "../exported.tar", "ended"]).cwd(&self.dir).out().exit(0).quiet();
    }
}

fn a_disk_that_is_full_to_the_last_byte(t: &Sandbox) {
    full(t, TO_THE_BYTE);
}

fn a_disk_that_has_no_inode_left(t: &Sandbox) {
    full(t, TO_THE_INODE);
}

fn full(t: &Sandbox, options: &'static str) {
    let mut disk = Disk::new(t, options);
    disk.fill();
    let began = disk.names();
    assert!(began.iter().any(|line| line.starts_with("ended Exited (3) ")), "{began:?}");
    assert!(began.iter().any(|line| line.starts_with("killed Exited (137)")), "{began:?}");
    assert!(began.iter().any(|line| line.starts_with("running Up ")), "{began:?}");
    assert_eq!(began.len(), 5, "the one with --rm is there: {began:?}");
    disk.fill();
    disk.look();
    // Nothing is left to be swept, and so nothing new can begin.
    disk.t.ccrun(&["run", "--rm", &disk.image, "true"]).out().error(125, "No space left on device");
    // One that ends now has its own status, for its caller and for everybody.
    disk.fill();
    std::fs::write(disk.t.dir.join("go/go"), "").expect("write");
    let out = disk.running.take().expect("it runs").wait();
    assert_eq!((out.status, out.stderr.as_str()), (5, ""), "{}", out.stderr);
    let line = disk.ok(&["ps", "-a", "--filter", "name=running", "--format", "{{.Status}}"]);
    assert!(line.starts_with("Exited (5) "), "{line}");
    assert_eq!(disk.ok(&["inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", "running"]), "5 false\n");
    // Each kind of removal begins on a full disk.
    let remove = |disk: &mut Disk, args: &[&str]| {
        disk.fill();
        disk.ok(args)
    };
    assert_eq!(remove(&mut disk, &["rm", "ended"]), "ended\n");
    assert_eq!(remove(&mut disk, &["rm", "-f", "ended2"]), "ended2\n");
    assert_eq!(remove(&mut disk, &["volume", "rm", "data"]), "data\n");
    let pruned = remove(&mut disk, &["container", "prune", "-f"]);
    assert!(pruned.starts_with("Deleted Containers:\n") && pruned.lines().count() == 6, "{pruned}");
    disk.t.ccrun(&["rm", "ended"]).out().error(1, "No such container: ended");
    assert_eq!(disk.names(), Vec::<String>::new());
    let image = disk.image.clone();
    assert!(remove(&mut disk, &["rmi", &image]).contains("Deleted: sha256:"));
    remove(&mut disk, &["system", "prune", "-af", "--volumes"]);
    remove(&mut disk, &["volume", "prune", "-af"]);
    disk.t.nothing_left();
    assert_eq!(disk.t.layers(), Vec::<String>::new());
    // With room again all is well.
    for name in crate::sandbox::list(&disk.dir) {
        if name.starts_with("filler") {
            std::fs::remove_file(disk.dir.join(name)).expect("remove");
        }
    }
    disk.t.run(&["echo", "fine"]).ok().prints("fine\n").quiet();
}

fn a_disk_that_is_read_only(t: &Sandbox) {
    let mut disk = Disk::new(t, TO_THE_BYTE);
    std::fs::write(disk.t.dir.join("go/go"), "").expect("write");
    disk.running.take().expect("it runs").wait();
    // The last run has swept.
    let before = disk.t.store_listing();
    sys::mount_tmpfs(&disk.dir, libc::MS_REMOUNT | libc::MS_RDONLY, "").expect("remount");
    let names = disk.names();
    assert!(names.iter().any(|line| line.starts_with("ended Exited (3) ")), "{names:?}");
    assert!(names.iter().any(|line| line.starts_with("killed Exited (137) ")), "{names:?}");
    disk.look();
    for args in [&["rm", "ended"][..], &["rm", "-f", "ended"], &["rmi", "-f", &disk.image], &["volume", "rm", "data"]] {
        disk.t.ccrun(args).out().error(1, "Read-only file system");
    }
    for args in [&["container", "prune", "-f"][..], &["system", "prune", "-af"], &["volume", "prune", "-af"]] {
        let out = disk.t.ccrun(args).out();
        assert!(out.status == 1 && out.stderr.contains("Read-only file system"), "{args:?}: {}", out.stderr);
    }
    disk.t.ccrun(&["run", "--rm", &disk.image, "true"]).out().error(125, "Read-only file system");
    assert_eq!(disk.names().len(), names.len());
    sys::mount_tmpfs(&disk.dir, libc::MS_REMOUNT, "").expect("remount");
    assert_eq!(disk.t.store_listing(), before);
    disk.ok(&["rm", "ended", "ended2", "ended3", "killed", "running"]);
}

fn a_store_that_was_never_made_is_empty(t: &Sandbox) {
    sys::private_mounts().expect("a mount namespace");
    let dir = t.dir.join("disk");
    std::fs::create_dir(&dir).expect("mkdir");
    sys::mount_tmpfs(&dir, libc::MS_RDONLY, "").expect("mount");
    let t = t.with_store("disk/store");
    t.ccrun(&["ps", "-aq"]).ok().prints("").quiet();
    t.ccrun(&["images", "-q"]).ok().prints("").quiet();
    t.ccrun(&["volume", "ls", "-q"]).ok().prints("").quiet();
    t.ccrun(&["system", "df"]).ok().quiet();
    t.ccrun(&["system", "prune", "-f", "--volumes"]).ok().prints("Total reclaimed space: 0B\n").quiet();
    t.ccrun(&["rm", "-f", "x"]).out().error(0, "No such container: x");
    t.ccrun(&["rmi", "x"]).out().error(1, "No such image: x:latest");
    t.ccrun(&["save", "x"]).out().error(1, "No such image: x:latest");
    t.run(&["true"]).out().error(125, "Read-only file system");
}
