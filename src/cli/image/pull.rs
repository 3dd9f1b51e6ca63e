//! `ccrun pull`, and the pull that `ccrun run` does.

use crate::cli::args::{Command, One, Parsed, Switch, Typed, one, switch};
use crate::cli::output::progress::{Display, Stream};
use crate::cli::{output, store};
use crate::error::{Error, Result, Visible};
use crate::image::install::Progress;
use crate::image::local::images::{self, Image};
use crate::image::local::layers::Notes;
use crate::image::platform::Platform;
use crate::image::pull::Pulled;
use crate::image::reference::Reference;
use crate::isolation::idmap::IdMap;
use crate::store::Store;

const PLATFORM: Typed<Platform> = platform("Pull the image for this platform and not for the machine's own");
const QUIET: Switch = switch(Some('q'), "quiet", "Print only the image's full name");

pub static COMMAND: Command = Command {
    name: "pull",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    summary: "Download an image from a registry",
    flags: &[PLATFORM.flag, JOBS.flag, QUIET.flag],
    operands: (1, 1),
    runs_program: false,
    failure: 1,
    run,
};

/// A flag of several commands, each with its own words for the help.
pub const fn platform(help: &'static str) -> Typed<Platform> {
    one(None, "platform", "OS/ARCH", help).parsed_by(|_, text| Platform::parse(text).map(Some))
}

/// The flag that [`jobs`] reads.
pub const JOBS: One = one(None, "jobs", "NUMBER", "Download so many layers at once, 1 to 32 (default 3)");

/// How many layers to get at once.
pub fn jobs(parsed: &Parsed) -> Result<usize> {
    let Some(text) = parsed.text(JOBS)? else { return Ok(3) };
    let jobs = text.parse().ok().filter(|jobs| (1..=32).contains(jobs));
    jobs.ok_or_else(|| Error::new(format_args!("invalid number of jobs: '{text}'")).hint("it is from 1 to 32"))
}

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let reference = Reference::parse(words.first().copied().unwrap_or_default())?;
    let platform = parsed.get(PLATFORM)?.unwrap_or_else(Platform::host);
    let how = How { jobs: jobs(parsed)?, quiet: parsed.is_on(QUIET), stream: Stream::Stdout };
    let (store, map) = store::open(parsed)?;
    if reference.tag_defaulted() && !how.quiet {
        output::print("Using default tag: latest\n")?;
    }
    let pulled = pull(&store, &reference, &platform, how)?;
    if !how.quiet {
        tell_lost(&pulled.lost, &map);
    }
    output::print(&format!("{reference}\n"))?;
    Ok(0)
}

/// Tells what could not be kept of an image's layers.
pub fn tell_lost(lost: &Notes, map: &IdMap) {
    // With a single id this is so for every image, and nothing to be told each time.
    if lost.owners_lost > 0 && !map.is_single() {
        Stream::Stderr.line(&format!(
            "{} files have owners with ids that the container's range does not have; they belong to nobody instead",
            lost.owners_lost
        ));
    }
}

/// How to pull.
#[derive(Clone, Copy)]
struct How {
    jobs: usize,
    quiet: bool,
    /// Where to show how it goes on.
    stream: Stream,
}

/// Pulls and shows how it goes on.
fn pull(store: &Store, reference: &Reference, platform: &Platform, how: How) -> Result<Pulled> {
    let How { jobs, quiet, stream } = how;
    let mut display = Display::new(stream, quiet);
    let pulled = crate::image::pull::pull(store, reference, platform, jobs, &mut display);
    display.finish();
    let pulled = pulled.map_err(|error| match display.left() {
        Some(left) => error.hint(left),
        None => error,
    })?;
    if !quiet {
        stream.line(&format!("Digest: {}", pulled.digest));
        let what = if pulled.newer { "Downloaded newer image" } else { "Image is up to date" };
        stream.line(&format!("Status: {what} for {}", reference.familiar()));
    }
    Ok(pulled)
}

/// The image that a word of `run` means, if it is here, whole, and for the platform that was asked for.
pub fn find(store: &Store, word: &str, platform: Option<&Platform>) -> Result<Option<Image>> {
    let Some(found) = images::find(store, word)? else { return Ok(None) };
    // A damaged image counts as none: the pull that follows is its repair.
    let image = images::load(store, &found.id).ok().flatten().filter(|image| image.is_whole(store));
    let image = image.filter(|image| platform.is_none_or(|platform| image.config.platform.runs_on(platform)));
    if let Some(image) = &image {
        warn_of_platform(image, platform);
    }
    Ok(image)
}

/// Pulls the image that `run` needs. Stdout belongs to the container, so all is told on stderr.
pub fn for_run(store: &Store, word: &str, platform: Option<&Platform>, jobs: usize, quiet: bool) -> Result<Image> {
    let how = How { jobs, quiet, stream: Stream::Stderr };
    let reference = Reference::parse(word)?;
    if !how.quiet && images::find(store, word).ok().flatten().is_none() {
        Stream::Stderr.line(&format!("Unable to find image '{}' locally", reference.familiar()));
    }
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let pulled = pull(store, &reference, &wanted, how)?;
    let image = images::load(store, &pulled.id)?.ok_or_else(|| images::not_found(word))?;
    warn_of_platform(&image, platform);
    Ok(image)
}

/// Docker's warning before it runs an image that was not made for this machine.
fn warn_of_platform(image: &Image, asked_for: Option<&Platform>) {
    let (host, platform) = (Platform::host(), &image.config.platform);
    if asked_for.is_none() && !platform.runs_on(&host) {
        Stream::Stderr.line(&format!(
            "WARNING: The requested image's platform ({}) does not match the detected host platform ({host}) \
             and no specific platform was requested",
            Visible(&platform.to_string())
        ));
    }
}
