//! kill -9 at any point of the way, of any process that has a part in it.

use super::{How, all_is_well, archive, image};
use crate::cases;
use crate::image::Image;
use crate::procs;
use crate::random::Random;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox, eventually};
use crate::sys;
use crate::tar::Tar;
use std::time::{Duration, Instant};

cases! {
    Every:
        a_pull_is_killed_a_hundred_times,
        a_run_is_killed_a_hundred_times,
        a_load_is_killed_a_hundred_times,
}

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Whom {
    /// The process that the user started; the others have to notice.
    Main,
    /// All that are of its process group, at once.
    Group,
    /// One of its descendants: a worker, a curl, an unpacker, the container's first process.
    Helper,
}

fn a_pull_is_killed_a_hundred_times(t: &Sandbox) {
    killed(t, How::Pull);
}

fn a_run_is_killed_a_hundred_times(t: &Sandbox) {
    killed(t, How::Run);
}

fn a_load_is_killed_a_hundred_times(t: &Sandbox) {
    killed(t, How::Load);
}

fn killed(t: &Sandbox, how: How) {
    let mut random = Random::from_environment();
    let registry = Registry::start();
    // More layers, so that there are more ends of something to hit.
    let image =
        (0..3).fold(image(t), |image, n| image.layer(Tar::new().file(&format!("end/{n}"), 0o644, vec![n; 3000])));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    archive::write(t, &image, &name);
    let clean = listing_when_well(t, &name);
    let began = Instant::now();
    assert!(how.judge(how.start(t, &name).out()).is_ok());
    let whole = began.elapsed().as_micros() as usize;
    t.ccrun(&["rmi", &name]).ok();
    // As a user the same with another way of unpacking; there a part of it shall do.
    let rounds = if t.mode == Mode::Root { 100 } else { 30 };
    for round in 0..rounds {
        let whom = *random.of(&[Whom::Main, Whom::Main, Whom::Group, Whom::Helper]);
        let wait = Duration::from_micros(random.below(whole * 5 / 4) as u64);
        let what = format!("round {round}, {whom:?} after {wait:?}");
        kill_once(t, how, &name, whom, wait, &mut random, &what);
        if seen(t, &image, &what) {
            // It may have no name yet.
            let id = &image.id()[7..];
            t.ccrun(&["run", "--rm", "--pull", "never", "--image", id]).ok().prints("the right image\n");
            t.ccrun(&["rmi", id]).ok();
        }
        if round % 20 == 19 {
            assert_eq!(listing_when_well(t, &name), clean, "{what}");
        }
    }
    assert_eq!(listing_when_well(t, &name), clean);
}

fn kill_once(t: &Sandbox, how: How, name: &str, whom: Whom, wait: Duration, random: &mut Random, what: &str) {
    let running = how.start(t, name).spawn();
    std::thread::sleep(wait);
    match whom {
        Whom::Main => running.signal(libc::SIGKILL),
        Whom::Group => drop(sys::kill(-running.pid(), libc::SIGKILL)),
        Whom::Helper => {
            let helpers = procs::descendants(running.pid());
            if !helpers.is_empty() {
                let _ = sys::kill(random.of(&helpers).pid, libc::SIGKILL);
            }
        }
    }
    let out = running.wait();
    if matches!(whom, Whom::Helper) && out.status < 128 {
        // It lives on without its helper, or says so.
        let _ = how.judge(out);
    } else {
        assert!(out.status == 0 || out.status >= 125, "{what}: {} {}", out.status, out.stderr);
    }
    eventually("the others' end", || procs::left_behind().is_empty());
}

/// Whether an image can be seen; it is the right one.
fn seen(t: &Sandbox, image: &Image, what: &str) -> bool {
    let seen = t.ccrun(&["images", "-q"]).ok().quiet().stdout;
    assert!(seen.is_empty() || seen == format!("{}\n", &image.id()[7..19]), "{what}: {seen}");
    !seen.is_empty()
}

/// What lies in the store after a pull, a run and the removal of the image.
fn listing_when_well(t: &Sandbox, name: &str) -> Vec<String> {
    all_is_well(t, name);
    t.ccrun(&["rmi", name]).ok();
    assert_eq!(t.ccrun(&["ps", "-aq"]).ok().stdout, "", "containers are left");
    t.store_listing()
}
