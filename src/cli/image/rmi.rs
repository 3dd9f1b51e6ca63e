//! `ccrun rmi`.

use crate::cli::args::{Command, Parsed, switch};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::container::supervisor;
use crate::error::Result;
use crate::image::local::images;
use crate::image::local::remove::{Removed, User, remove};
use crate::store::Store;

pub static COMMAND: Command = Command {
    name: "rmi",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    summary: "Remove images",
    flags: &[switch(Some('f'), "force", "Remove names of images that containers use, and ids with several names")],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look(parsed)?;
    let force = parsed.is_on("force");
    let status = words::each(parsed, |word| match remove(&store, word, force, || users(&store))? {
        Some(removed) => Ok(Outcome::Done(removed.iter().map(line).collect())),
        // With --force, what is not there is as good as removed.
        None if force => Ok(Outcome::Forgiven(images::not_found(word))),
        None => Err(images::not_found(word)),
    })?;
    let _ = supervisor::sweep(&store);
    Ok(status)
}

fn line(removed: &Removed) -> String {
    match removed {
        Removed::Untagged(reference) => format!("Untagged: {}\n", reference.familiar()),
        Removed::Deleted(id) => format!("Deleted: {id}\n"),
    }
}

/// The containers that there are, by the images that they were made from.
pub fn users(store: &Store) -> Result<Vec<User>> {
    let mut users = Vec::new();
    for id in store.container_ids()? {
        // A damaged container holds on to no image: it cannot be started again.
        let Ok(container) = store.container(&id) else { continue };
        let Some(image) = container.image_id().and_then(images::id_of_record) else { continue };
        users.push(User { container: id, image, running: container.state.is_alive });
    }
    Ok(users)
}
