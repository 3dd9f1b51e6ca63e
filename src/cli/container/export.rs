//! `ccrun export`.

use crate::cli::args::{Command, Parsed, one};
use crate::cli::output::file::Output;
use crate::cli::store;
use crate::container::{export, supervisor};
use crate::error::Result;

pub static COMMAND: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTAINER",
    summary: "Write a container's files as a tar archive",
    flags: &[one(Some('o'), "output", "FILE", "Write to FILE and not to stdout")],
    operands: (1, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let output = Output::open(parsed.one("output"), "save")?;
    let (store, map) = store::look(parsed)?;
    let _ = supervisor::sweep(&store);
    let id = store.find_container(parsed.words()?.first().copied().unwrap_or_default())?;
    export::export(&store, &map, &id, output.file())?;
    output.finish().map(|()| 0)
}
