//! Trees that take long to remove.

use crate::cases;
use crate::sandbox::{Mode, Running, Sandbox, eventually, pause};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

cases! {
    Every:
        deep_trees_are_removed_with_few_descriptors,
        a_removal_ends_on_sigterm,
        nobody_waits_for_a_long_sweep,
        closed_directories_are_removed;
}

/// A store in memory, where making so many files takes no time; removed with it.
struct InMemory(Sandbox);

impl InMemory {
    fn new(t: &Sandbox) -> InMemory {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { shm.to_owned() } else { t.dir.clone() };
        InMemory(Sandbox { store: dir.join(format!("ccrun-it-{}", std::process::id())), ..t.clone() })
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        // Not std's way, which ends with the stack.
        let _ = Command::new("rm").arg("-rf").arg(&self.0.store).status();
    }
}

/// A container without anything in it.
fn container(t: &Sandbox, name: &str) -> String {
    t.ccrun(&["run", "--name", name, "--rootfs", &t.busybox, "true"]).ok();
    t.ccrun(&["inspect", "-f", "{{.Id}}", name]).ok().line().to_owned()
}

/// Makes `count` directories, each in the one before, with a file here and there. The path is too long for the kernel,
/// so that each is made from the one above it.
fn nest(dir: &Path, count: usize) {
    let script = "import os, sys\nos.chdir(sys.argv[1])\nfor n in range(int(sys.argv[2])):\n os.mkdir('d')\n \
                  os.chdir('d')\n if n % 100 == 0: open('f', 'w').close()";
    let done = Command::new("python3").args(["-c", script]).arg(dir).arg(count.to_string()).status();
    assert!(done.is_ok_and(|status| status.success()), "python3 could not make the tree");
}

/// Makes many small files, which take long to remove.
fn litter(dir: &Path, count: usize) {
    for at in 0..count {
        let dir = dir.join((at / 1000).to_string());
        if at % 1000 == 0 {
            std::fs::create_dir_all(&dir).expect("mkdir");
        }
        std::fs::File::create(dir.join(at.to_string())).expect("create");
    }
}

fn deep_trees_are_removed_with_few_descriptors(t: &Sandbox) {
    let memory = InMemory::new(t);
    let t = &memory.0;
    let id = container(t, "deep");
    nest(&t.store.join("containers").join(&id).join("upper"), 60_000);
    let few = |args: &str| {
        let script = format!("ulimit -n 24; ulimit -s 512; exec {} {args}", t.ccrun);
        t.command("sh", &["-c", &script]).env("CCRUN_ROOT", &t.store).timeout(120)
    };
    few("system df").ok().quiet();
    few("ps -as").ok().quiet();
    few("rm deep").ok().prints("deep\n").quiet();
    t.nothing_left();
    let id = container(t, "deeper");
    nest(&t.store.join("containers").join(&id).join("upper"), 60_000);
    few("container prune -f").ok().quiet().has(&id);
    t.nothing_left();
}

/// Waits until the container `id` is out of sight, and a part of its files is gone or on its way.
fn until_it_is_removed(t: &Sandbox, id: &str) {
    eventually("the removal's beginning", || {
        !t.store.join("containers").join(id).exists() && !t.names_in("tmp").is_empty()
    });
}

fn ends_soon(running: Running) -> Duration {
    let began = Instant::now();
    running.signal(libc::SIGTERM);
    running.wait();
    began.elapsed()
}

fn a_removal_ends_on_sigterm(t: &Sandbox) {
    let memory = InMemory::new(t);
    let t = &memory.0;
    // By `rm`, which has no signals blocked, and at the end of `run --rm`, which has.
    let id = container(t, "many");
    litter(&t.store.join("containers").join(&id).join("upper"), 200_000);
    let removing = t.ccrun(&["rm", "many"]).spawn();
    until_it_is_removed(t, &id);
    assert!(ends_soon(removing) < Duration::from_secs(1));
    t.ccrun(&["ps", "-aq"]).ok().prints("");
    t.ccrun(&["container", "prune", "-f"]).ok();
    t.nothing_left();

    let go = t.dir.join("go");
    std::fs::create_dir(&go).expect("mkdir");
    let mount = format!("{}:/go", go.display());
    let script = "echo up; until test -e /go/go; do sleep 0.05; done; exit 3";
    let running = t.run(&["-v", &mount, "/bin/sh", "-c", script]).spawn();
    running.until("up");
    let id = t.names_in("containers").pop().expect("a container");
    litter(&t.store.join("containers").join(&id).join("upper"), 200_000);
    std::fs::write(go.join("go"), "").expect("write");
    until_it_is_removed(t, &id);
    let began = Instant::now();
    running.signal(libc::SIGTERM);
    let out = running.wait();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(out.status, 3, "{}", out.stderr);
    t.ccrun(&["system", "prune", "-f"]).ok();
    t.nothing_left();
}

fn nobody_waits_for_a_long_sweep(t: &Sandbox) {
    let memory = InMemory::new(t);
    let t = &memory.0;
    // What a killed remover has left, with the mark of a container that was killed, too.
    let id = container(t, "many");
    litter(&t.store.join("containers").join(&id).join("upper"), 400_000);
    let removing = t.ccrun(&["rm", "many"]).spawn();
    until_it_is_removed(t, &id);
    removing.signal(libc::SIGKILL);
    removing.wait();
    assert!(!t.names_in("tmp").is_empty(), "it was removed before it was killed");
    let quick = |args: &[&str]| {
        let began = Instant::now();
        t.ccrun(args).ok();
        began.elapsed()
    };
    let slowest = [&["ps", "-a"][..], &["images"]].map(quick).into_iter().max().expect("two");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // While one command removes it all, others do not wait for that either.
    let pruning = t.ccrun(&["system", "prune", "-f"]).spawn();
    pause(50);
    let began = Instant::now();
    t.ccrun(&["ps", "-a"]).ok();
    t.run(&["true"]).ok();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(pruning.wait().status, 0);
    t.nothing_left();
}

fn closed_directories_are_removed(t: &Sandbox) {
    // `chown` is for those who have more than one id.
    let chown = if t.mode == Mode::Nosubuid { "true" } else { "chown -R 7:7 /srv" };
    let script = format!(
        "mkdir -p /srv/a/b/c /srv/d; echo x >/srv/a/b/c/f; echo x >/srv/d/f; {chown}; chmod 0 /srv/a/b/c /srv/a/b; \
         chmod 555 /srv/d /srv; chmod 0 /srv/a"
    );
    t.sh(&script).ok();
    t.nothing_left();
    t.ccrun(&["run", "--name", "closed", "--rootfs", &t.busybox, "/bin/sh", "-c", &script]).ok();
    t.ccrun(&["rm", "closed"]).ok().quiet();
    t.nothing_left();
}
