//! Registries, manifests and layers that mean harm: whatever comes in, nothing outside the store
//! changes, memory stays bounded, and it ends soon, with success or one clear error.

pub mod documents;
pub mod layers;

use crate::sandbox::{Out, Sandbox, walk};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No process of a pull may take more memory (KiB), whatever the image says.
const MEMORY_MAX: u64 = 64 << 10;
/// Nothing here is large: what takes longer (seconds) is led round in circles.
const TIME_MAX: u64 = 30;

/// Pulls what may be anything; `what` names it when something is not as it must be.
fn pull(t: &Sandbox, name: &str, what: &str) -> Out {
    let usage = t.store.with_extension("usage");
    let usage = usage.to_str().expect("UTF-8");
    let args = ["--inside", "measured", usage, &t.ccrun, "pull", name];
    let out = t.command(&t.it, &args).env("CCRUN_ROOT", &t.store).timeout(TIME_MAX).out();
    let peak: u64 = std::fs::read_to_string(usage).expect("usage").parse().expect("KiB");
    assert!(peak < MEMORY_MAX, "{what}: took {peak} KiB");
    if out.status == 0 { out } else { out.error(1, "") }
}

/// The next command has swept what a worker that was ended in the midst of it has left.
fn nothing_is_left(t: &Sandbox) {
    t.ccrun(&["images"]).ok();
    t.nothing_left();
}

/// What lies in the test's directory beside its stores: names, sizes, modes and times.
fn outside(t: &Sandbox) -> Vec<String> {
    let mut seen = Vec::new();
    walk(&t.dir.join("outside"), &mut |path: &Path| {
        let meta = path.symlink_metadata().expect("lstat");
        let times = (meta.mtime_nsec(), meta.ctime_nsec());
        seen.push(format!("{} {:o} {} {} {times:?}", path.display(), meta.mode(), meta.uid(), meta.size()));
    });
    seen.sort();
    seen
}

/// Makes what an evil image would like to have: a file, a directory and a link to it.
fn set_out_bait(t: &Sandbox) {
    t.file("outside/secret", "untouched");
    std::fs::create_dir(t.dir.join("outside/dir")).expect("mkdir");
    std::os::unix::fs::symlink("dir", t.dir.join("outside/link")).expect("symlink");
}

/// Does `work` for all numbers below `count`, each in a store of its worker's, some at a time.
fn several_at_once(t: &Sandbox, count: usize, work: impl Fn(&Sandbox, usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                let own = t.with_store(&format!("store-{worker}"));
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count) {
                    work(&own, at);
                }
            });
        }
    });
}
