//! `ccrun tag`.

use crate::cli::args::{Command, Parsed};
use crate::cli::store;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::image::reference::Reference;

pub static COMMAND: Command = Command {
    name: "tag",
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    summary: "Give an image another name",
    flags: &[],
    operands: (2, 2),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let [source, target] = words[..] else { return Ok(1) };
    let reference = Reference::parse(target).map_err(|error| error.context(format_args!("target '{target}'")))?;
    if reference.digest().is_some() {
        return Err(Error::new("refusing to create a tag with a digest reference"));
    }
    let (store, _) = store::open(parsed)?;
    images::tag(&store, source, &reference)?;
    Ok(0)
}
