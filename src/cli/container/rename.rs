//! `ccrun rename`.

use crate::cli::args::{Command, Parsed};
use crate::cli::{names, store};
use crate::error::{Error, Result};

pub static COMMAND: Command = Command {
    name: "rename",
    usage: "CONTAINER NEW_NAME",
    summary: "Give a container another name",
    flags: &[],
    operands: (2, 2),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let words = parsed.words()?;
    let [word, name] = words[..] else { return Err(Error::new("'ccrun rename' takes a container and a name")) };
    let name = names::check_container(name)?;
    let (store, _) = store::look_swept(parsed)?;
    let id = store.find_container(word)?;
    if store.container(&id)?.name() == name {
        return Err(Error::new("Renaming a container with the same name as its current name"));
    }
    store.rename_container(&id, name)?;
    Ok(0)
}
