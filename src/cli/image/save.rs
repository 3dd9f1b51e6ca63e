//! `ccrun save`.

use crate::cli::args::{Command, One, Parsed, one};
use crate::cli::output::file::Output;
use crate::cli::store;
use crate::error::Result;
use crate::image::archive;

const OUTPUT: One = one(Some('o'), "output", "FILE", "Write to a file, not to stdout");

pub static COMMAND: Command = Command {
    name: "save",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    summary: "Save images to an archive that Docker and others load, or to standard output",
    flags: &[OUTPUT.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let mut output = Output::open(parsed.one(OUTPUT), "save")?;
    let (store, _) = store::look(parsed)?;
    archive::save(&store, &words, &mut output)?;
    output.finish().map(|()| 0)
}
