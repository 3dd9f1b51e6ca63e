//! `ccrun import`.

use super::{load, pull};
use crate::cli::args::{Command, Many, One, Parsed, Typed, many, one, utf8};
use crate::cli::output::progress::Display;
use crate::cli::{output, store};
use crate::error::{Error, Result};
use crate::image::archive::{self, Import};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::store::drafts;
use std::ffi::OsStr;

const CHANGE: Many =
    many(Some('c'), "change", "INSTRUCTION", "Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, …");
const MESSAGE: One = one(Some('m'), "message", "TEXT", "What the image's history says");
const PLATFORM: Typed<Platform> = pull::platform("The platform that the image is for");

pub static COMMAND: Command = Command {
    name: "import",
    usage: "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
    summary: "Make an image of a root file system's tar",
    flags: &[CHANGE.flag, MESSAGE.flag, PLATFORM.flag],
    operands: (1, 2),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let source = words.first().copied().unwrap_or_default();
    if source.starts_with("http://") || source.starts_with("https://") {
        return Err(
            Error::new("images are imported from files only").hint(format_args!("curl -L {source} | ccrun import -"))
        );
    }
    let name = words.get(1).map(|word| Reference::parse(word)).transpose()?;
    if name.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(Error::new("cannot import digest reference").hint("give a name and a tag"));
    }
    let platform = parsed.get(PLATFORM)?.unwrap_or_else(Platform::host);
    let changes = parsed.many(CHANGE).map(|value| utf8(value, CHANGE.flag.long)).collect::<Result<Vec<_>>>()?;
    let message = parsed.text(MESSAGE)?.unwrap_or("Imported from -");
    let input = load::open(Some(source).filter(|source| *source != "-").map(OsStr::new))?;
    let (store, map) = store::open(parsed)?;
    // What cannot be swept takes space but is in nobody's way.
    let _ = drafts::sweep(&store);
    let wanted = Import { name: name.as_ref(), changes: &changes, message, platform: &platform };
    let imported = archive::import(&store, input, &wanted, &mut Display::of_archive(true))?;
    pull::tell_lost(&imported.lost, &map);
    output::print(&format!("{}\n", imported.id))?;
    Ok(0)
}
