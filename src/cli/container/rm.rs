//! `ccrun rm`.

use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::container::ending;
use crate::error::{Error, Result};
use crate::store::Store;

const FORCE: Switch = switch(Some('f'), "force", "Kill those that run; do not mind those that are not there");
const VOLUMES: Switch =
    switch(Some('v'), "volumes", "Accepted for Docker's sake: anonymous volumes always go with their container");

pub static COMMAND: Command = Command {
    name: "rm",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Remove containers",
    flags: &[FORCE.flag, VOLUMES.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look_swept(parsed)?;
    let force = parsed.is_on(FORCE);
    words::each(parsed, |word| match remove(&store, word, force) {
        Ok(()) => Ok(Outcome::Done(format!("{word}\n"))),
        Err(error) if force && store.find_container(word).is_err() => Ok(Outcome::Forgiven(error)),
        Err(error) => Err(error),
    })
}

fn remove(store: &Store, word: &str, force: bool) -> Result<()> {
    let id = store.find_container(word)?;
    if store.is_alive(&id)? {
        if !force {
            return Err(Error::new(format_args!(
                "You cannot remove a running container {id}. Stop the container before attempting removal or force \
                 remove"
            )));
        }
        ending::kill(store, &id)?;
    }
    store.remove_container(&id)
}
