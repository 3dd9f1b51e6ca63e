//! A disk that is full at any point of the way.

use super::{How, all_is_well, archive, image, only_what_is_right_is_seen};
use crate::cases;
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::sys;

cases! {
    Root:
        a_full_disk_is_said_and_nothing_is_left,
        a_disk_without_inodes_is_said_and_nothing_is_left,
}

fn a_full_disk_is_said_and_nothing_is_left(t: &Sandbox) {
    // The image takes some 2.2 MB, and unpacking leaves 32 MB to others.
    let early = [8, 16, 24, 48, 200].iter();
    let late = [4, 16, 40, 80, 120, 160, 1000, 2000, 2100, 2200, 2300, 2500, 4000];
    let sizes = early.copied().chain(late.map(|more| (32 << 10) + more));
    on_small_disks(t, &sizes.map(|kilobytes| format!("size={kilobytes}k")).collect::<Vec<_>>());
}

fn a_disk_without_inodes_is_said_and_nothing_is_left(t: &Sandbox) {
    let inodes = [2, 3, 4, 5, 6, 8, 12, 16, 20, 30, 50, 100, 300, 320, 340, 350, 355, 360, 365, 370, 380, 400];
    on_small_disks(t, &inodes.map(|inodes| format!("size=80m,nr_inodes={inodes}")));
}

/// Pulls and runs on a disk of each kind, then with enough space on what is left there.
fn on_small_disks(t: &Sandbox, kinds: &[String]) {
    sys::private_mounts().expect("a mount namespace");
    let registry = Registry::open();
    let image = image(t);
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    archive::write(t, &image, &name);
    let mut full = 0;
    for (at, kind) in kinds.iter().enumerate() {
        for how in [How::Pull, How::Run, How::Load] {
            let disk = t.dir.join(format!("disk-{at}-{how:?}"));
            std::fs::create_dir(&disk).expect("mkdir");
            sys::mount_tmpfs(&disk, 0, kind).expect("mount");
            let t = t.with_store(&format!("disk-{at}-{how:?}/store"));
            let outcome = how.judge(how.start(&t, &name).out());
            if let Err(out) = &outcome {
                assert!(out.stderr.contains("No space left on device"), "{kind}: {}", out.stderr);
                full += 1;
            }
            sys::mount_tmpfs(&disk, libc::MS_REMOUNT, "size=80m,nr_inodes=10000").expect("remount");
            // A run may have come as far as to have the image, and then have no space for the container.
            let has_image = outcome.is_ok() || how == How::Run && !t.names_in("images").is_empty();
            only_what_is_right_is_seen(&t, &image, has_image);
            all_is_well(&t, &name);
            sys::unmount(&disk).expect("unmount");
        }
    }
    assert!((4..3 * kinds.len()).contains(&full), "{full} of {} disks were full", 3 * kinds.len());
}
