//! `ccrun pull`, and the pull that `ccrun run` does.

use super::flag::{Command, one, switch};
use super::parse::Parsed;
use super::progress::{Display, Stream};
use crate::error::Result;
use crate::image::platform::Platform;
use crate::image::pull::{Progress, Pulled};
use crate::image::reference::Reference;
use crate::store::Store;

pub static COMMAND: Command = Command {
    name: "pull",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    summary: "Download an image from a registry",
    flags: &[
        one(None, "platform", "OS/ARCH", "Pull the image for this platform and not for the machine's own"),
        switch(Some('q'), "quiet", "Print only the image's full name"),
    ],
    operands: (1, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let reference = Reference::parse(words.first().copied().unwrap_or_default())?;
    let platform = platform(parsed.text("platform")?)?;
    let quiet = parsed.is_on("quiet");
    let (store, _) = super::open_store(parsed)?;
    if reference.tag_defaulted() && !quiet {
        super::print("Using default tag: latest\n")?;
    }
    pull(&store, &reference, &platform, Stream::Stdout, quiet)?;
    super::print(&format!("{reference}\n"))?;
    Ok(0)
}

/// The platform of `--platform`, or of the machine.
pub fn platform(flag: Option<&str>) -> Result<Platform> {
    flag.map_or_else(|| Ok(Platform::host()), Platform::parse)
}

/// Pulls and shows how it goes on.
pub fn pull(store: &Store, reference: &Reference, platform: &Platform, stream: Stream, quiet: bool) -> Result<Pulled> {
    let mut display = Display::new(stream, quiet);
    let pulled = crate::image::pull::pull(store, reference, platform, &mut display);
    display.finish();
    let pulled = pulled?;
    if !quiet {
        stream.line(&format!("Digest: {}", pulled.digest));
        let what = if pulled.newer { "Downloaded newer image" } else { "Image is up to date" };
        stream.line(&format!("Status: {what} for {}", reference.familiar()));
    }
    Ok(pulled)
}

/// What Docker warns of before it runs an image that was not made for this machine.
pub fn platform_warning(image: &Platform, asked_for: Option<&Platform>) -> Option<String> {
    let host = Platform::host();
    if asked_for.is_some() || image.runs_on(&host) {
        return None;
    }
    Some(format!(
        "WARNING: The requested image's platform ({image}) does not match the detected host platform ({host}) \
         and no specific platform was requested"
    ))
}
