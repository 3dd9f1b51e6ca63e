//! Everything that can go wrong on the way of an image, against everything that gets one.
//!
//! |what goes wrong|`pull` and `run`|`load`|
//! |-|-|-|
//! |429, 503, reset at half, cut, corrupt byte, short body, long body, wrong length, HTML, redirect loop|`ROWS`, in manifest, config and layer|the same bytes damaged: [`archive`]|
//! |stall|`a_stalled_transfer_is_begun_again`|a pipe that says no more: [`archive`]|
//! |expired token|`a_token_that_runs_out_is_asked_for_again`|no tokens|
//! |redirect to http|`nobody_is_led_away_from_tls`|no redirects|
//! |disk full|[`disk`]|[`disk`]|
//! |kill -9 at random points|[`kill`]|[`kill`]|
//!
//! Whatever it is: success (after new tries), or one clear line; never a wrong image that can be
//! seen; never anything left that the next command does not sweep.

pub mod archive;
pub mod disk;
pub mod kill;

use crate::cases;
use crate::image::Image;
use crate::registry::{Fault, Registry};
use crate::sandbox::{Out, Sandbox};
use crate::tar::Tar;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

cases! {
    Root:
        a_stalled_transfer_is_begun_again,
        the_matrix;
    Users:
        the_matrix_of_users;
    Every:
        a_token_that_runs_out_is_asked_for_again;
    Hub:
        nobody_is_led_away_from_tls,
}

/// What must come of a fault.
#[derive(Clone, Copy, Debug)]
enum Then {
    Heals,
    /// Exit status and one line, with these words in it.
    Fails(&'static str),
    /// One of the two.
    Either,
}

use Then::{Either, Fails, Heals};

/// The fault, what comes of it when it happens once, and when it happens every time.
const ROWS: &[(Fault, Then, Then)] = &[
    (Fault::Status(429, "Retry-After: 1\r\n", SLOW), Heals, Fails("slow down")),
    (Fault::Status(503, "Retry-After: 0\r\n", ""), Heals, Fails("503")),
    (Fault::Reset, Heals, Fails("")),
    // Where each new try goes on from where the last one ended, it comes to its end at last.
    (Fault::ResetAtHalf, Heals, Either),
    (Fault::CutAt(40), Heals, Either),
    (Fault::WrongByte, Either, Fails("")),
    (Fault::ShortBody, Either, Fails("")),
    (Fault::Longer, Either, Fails("")),
    (Fault::WrongLength(7), Either, Fails("")),
    (Fault::WrongLength(-7), Either, Fails("")),
    (Fault::Html, Either, Fails("")),
    (Fault::RedirectLoop, Heals, Fails("redirects")),
];

const SLOW: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;

/// Which request it is that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Manifest,
    Config,
    Layer,
}

const PARTS: [Part; 3] = [Part::Manifest, Part::Config, Part::Layer];

/// The commands that get an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Pull,
    Run,
    /// Of the archive that [`archive::write`] has made.
    Load,
}

/// From a registry.
const HOW: [How; 2] = [How::Pull, How::Run];

/// An image with a layer in each size, that says what it is when it is run.
pub fn image(t: &Sandbox) -> Image {
    let files = Tar::new().dir("srv", 0o755).file("srv/motd", 0o644, "the right image\n");
    let more = (0..20).fold(Tar::new(), |tar, n| tar.file(&format!("more/{n}"), 0o644, vec![n; 5000]));
    let cmd = serde_json::json!(["/bin/cat", "/srv/motd"]);
    let path = serde_json::json!(["PATH=/bin"]);
    Image::busybox(&t.busybox).layer(files).layer(more).set("Cmd", cmd).set("Env", path)
}

impl How {
    /// The command, on an image that is served under `name`.
    pub fn start(self, t: &Sandbox, name: &str) -> crate::sandbox::Cmd {
        match self {
            How::Pull => t.ccrun(&["pull", name]),
            How::Run => t.ccrun(&["run", "--rm", name]),
            How::Load => t.ccrun(&["load"]).stdin(std::fs::read(t.dir.join("archive.tar")).expect("archive.tar")),
        }
    }

    /// Whether it did what it should; if not, it has said so as it should.
    #[track_caller]
    pub fn judge(self, out: Out) -> Result<(), Out> {
        assert!(!out.stderr.contains("panicked") && out.status < 128, "{}: {}", out.shown, out.stderr);
        if out.status == 0 {
            let ran = self != How::Run || out.stdout == "the right image\n";
            assert!(ran, "{}: it ran something else: {} {}", out.shown, out.stdout, out.stderr);
            return Ok(());
        }
        let out = out.exit(if self == How::Run { 125 } else { 1 });
        let lines: Vec<&str> = out.stderr.lines().collect();
        let errors = lines.iter().filter(|line| line.starts_with("ccrun: ")).count();
        let is_last = lines.last().is_some_and(|line| line.starts_with("ccrun: "));
        assert!(errors == 1 && is_last, "{}: not one clear line: {}", out.shown, out.stderr);
        assert!(self != How::Pull || lines.len() == 1, "{}: more than one line: {}", out.shown, out.stderr);
        Err(out)
    }
}

/// What may be seen after a command: the right image if it succeeded, no image if it failed.
#[track_caller]
pub fn only_what_is_right_is_seen(t: &Sandbox, image: &Image, succeeded: bool) {
    let seen = t.ccrun(&["images", "-q"]).ok().stdout;
    let right = format!("{}\n", &image.id()[7..19]);
    assert_eq!(seen, if succeeded { right } else { String::new() }, "in {}", t.store.display());
}

/// Nothing goes wrong any more: the image comes, it is right, and of what went wrong nothing is left.
#[track_caller]
pub fn all_is_well(t: &Sandbox, name: &str) {
    t.ccrun(&["pull", name]).ok();
    for dir in ["tmp", "partial"] {
        assert_eq!(t.names_in(dir), Vec::<String>::new(), "left in {dir} of {}", t.store.display());
    }
    t.ccrun(&["run", "--rm", "--pull", "never", name]).ok().prints("the right image\n");
    t.nothing_left();
}

/// A fault in one request, or in all of its kind.
#[derive(Clone, Debug)]
struct Cell {
    how: How,
    part: Part,
    fault: Fault,
    times: usize,
    then: Then,
}

impl Cell {
    fn check(&self, t: &Sandbox, image: &Image) {
        let registry = Registry::open();
        registry.push("some/app", "v1", image);
        let name = format!("{}/some/app:v1", registry.host);
        let path = match self.part {
            Part::Manifest => "/manifests/".to_owned(),
            Part::Config => image.id(),
            Part::Layer => image.layers[0].blob.digest.clone(),
        };
        registry.fault(&path, self.times, self.fault.clone());
        let outcome = self.how.judge(self.how.start(t, &name).timeout(200).out());
        match (self.then, &outcome) {
            (Heals, Err(out)) => panic!("did not heal: {}", out.stderr),
            (Fails(_), Ok(())) => panic!("was taken"),
            (Fails(words), Err(out)) => assert!(out.stderr.contains(words), "no {words:?} in {}", out.stderr),
            _ => {}
        }
        only_what_is_right_is_seen(t, image, outcome.is_ok());
        registry.no_faults();
        all_is_well(t, &name);
    }
}

/// Checks the cells, many at a time: most of them wait most of the time.
fn check_all(t: &Sandbox, cells: &[Cell]) {
    let image = image(t);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some((at, cell)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, cells.get(n)?)))
                {
                    let own = t.with_store(&format!("store-{at}"));
                    if std::panic::catch_unwind(AssertUnwindSafe(|| cell.check(&own, &image))).is_err() {
                        failed.lock().expect("lock").push(format!("{at}: {cell:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("lock");
    assert!(failed.is_empty(), "{} of {} places of the matrix:\n{}", failed.len(), cells.len(), failed.join("\n"));
}

fn cells(how: &[How]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (fault, once, always) in ROWS {
        for (times, then) in [(usize::MAX, always), (1, once)] {
            for &part in &PARTS {
                cells.extend(how.iter().map(|&how| Cell { how, part, fault: fault.clone(), times, then: *then }));
            }
        }
    }
    // The slowest first.
    cells.sort_by_key(|cell| cell.times == 1);
    cells
}

fn the_matrix(t: &Sandbox) {
    check_all(t, &cells(&HOW));
}

/// Transport is the same for everybody, unpacking is not: the layers.
fn the_matrix_of_users(t: &Sandbox) {
    let mut cells = cells(&[How::Run]);
    cells.retain(|cell| cell.part == Part::Layer && cell.times == 1);
    check_all(t, &cells);
}

fn a_stalled_transfer_is_begun_again(t: &Sandbox) {
    let stall = Fault::Stall(Duration::from_secs(3600));
    let of = |part| HOW.map(|how| Cell { how, part, fault: stall.clone(), times: 1, then: Heals });
    check_all(t, &PARTS.map(of).concat());
}

fn a_token_that_runs_out_is_asked_for_again(t: &Sandbox) {
    let image = image(t);
    let registry = Registry::start();
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    for how in HOW {
        let t = t.with_store(&format!("{how:?}"));
        registry.switch(|switches| switches.token_uses = Some(1));
        assert!(how.judge(how.start(&t, &name).out()).is_ok());
        only_what_is_right_is_seen(&t, &image, true);
        registry.switch(|switches| switches.token_uses = None);
        all_is_well(&t, &name);
    }
    for how in HOW {
        let t = t.with_store(&format!("{how:?}-refused"));
        registry.switch(|switches| switches.refuse_tokens = true);
        let out = how.judge(how.start(&t, &name).out()).expect_err("a token that is no good").stderr;
        assert!(out.contains("pull access denied for"), "{out}");
        only_what_is_right_is_seen(&t, &image, false);
        registry.switch(|switches| switches.refuse_tokens = false);
        all_is_well(&t, &name);
    }
}

fn nobody_is_led_away_from_tls(t: &Sandbox) {
    let image = image(t);
    let hub = Registry::hub();
    hub.push("library/app", "v1", &image);
    let away = Registry::open();
    away.push("library/app", "v1", &image);
    for how in HOW {
        for (part, place) in [
            ("/manifests/", "/v2/library/app/manifests/v1".to_owned()),
            (&image.id(), format!("/v2/library/app/blobs/{}", image.id())),
            (&image.layers[0].blob.digest, format!("/v2/library/app/blobs/{}", image.layers[0].blob.digest)),
        ] {
            let t = t.with_store(&format!("{how:?}-{}", &part[1..9].replace('/', ".")));
            // On its way to the registry itself, in the clear; and to another place.
            for host in [away.host.clone(), format!("registry-1.docker.io:{}", crate::hub::PORT)] {
                hub.fault(part, usize::MAX, Fault::RedirectTo(format!("http://{host}{place}")));
                let outcome = how.judge(how.start(&t, "app:v1").out());
                let said = outcome.expect_err("a redirect to http was followed").stderr;
                assert!(said.contains("redirect") && said.contains("http"), "{said}");
                only_what_is_right_is_seen(&t, &image, false);
                hub.no_faults();
            }
            all_is_well(&t, "app:v1");
        }
    }
    assert!(away.log().is_empty(), "{:?}", away.log());
}
