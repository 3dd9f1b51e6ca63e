//! `ccrun volume rm`.

use super::inspect::missing;
use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::words::{self, Outcome};
use crate::cli::{names, store};
use crate::error::{Error, Result};
use crate::store::locks::Lock;
use crate::store::{Patience, Store};

const FORCE: Switch = switch(Some('f'), "force", "Do not mind volumes that are not there");

pub static COMMAND: Command = Command {
    name: "volume rm",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    summary: "Remove volumes that no container uses",
    flags: &[FORCE.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look_swept(parsed)?;
    words::each(parsed, |word| remove(&store, word, parsed.is_on(FORCE)).map(|()| Outcome::Done(format!("{word}\n"))))
}

fn remove(store: &Store, word: &str, force: bool) -> Result<()> {
    let lock = Lock::exclusive(store)?;
    if names::check_volume(word).ok().and_then(|name| store.volume(&name)).is_none() {
        return if force { Ok(()) } else { Err(missing(word)) };
    }
    let users = store.volume_users(word)?;
    if !users.is_empty() {
        return Err(Error::new(format_args!("remove {word}: volume is in use - [{}]", users.join(", "))));
    }
    let gone = store.put_volume_away(word)?;
    drop(lock);
    gone.remove(Patience::endless()).map(drop)
}
