//! `ccrun wait`.

use crate::cli::args::{Command, Parsed};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::error::Result;

pub static COMMAND: Command = Command {
    name: "wait",
    usage: "CONTAINER [CONTAINER...]",
    summary: "Wait until containers end, and print their exit codes",
    flags: &[],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look_swept(parsed)?;
    words::each(parsed, |word| {
        let end = store.wait_for_end(&store.find_container(word)?)?;
        Ok(Outcome::Done(format!("{}\n", end.exit_code)))
    })
}
