//! `ccrun export`.

use crate::cli::args::{Command, One, Parsed, one};
use crate::cli::output::file::Output;
use crate::cli::store;
use crate::container::export;
use crate::error::Result;

const OUTPUT: One = one(Some('o'), "output", "FILE", "Write to FILE and not to stdout");

pub static COMMAND: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTAINER",
    summary: "Write a container's files as a tar archive",
    flags: &[OUTPUT.flag],
    operands: (1, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let output = Output::open(parsed.one(OUTPUT), "save")?;
    let (store, map) = store::look_swept(parsed)?;
    let id = store.find_container(parsed.words()?.first().copied().unwrap_or_default())?;
    export::export(&store, &map, &id, output.file())?;
    output.finish().map(|()| 0)
}
