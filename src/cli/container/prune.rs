//! `ccrun container prune`.

use crate::cli::args::{Command, Parsed};
use crate::cli::filter::Filters;
use crate::cli::prune::{self, FILTERS, FORCE, Gone};
use crate::error::Result;
use crate::image::local::prune::Pruned;
use crate::store::Store;

pub static COMMAND: Command = Command {
    name: "container prune",
    usage: "[OPTIONS]",
    summary: "Remove all stopped containers",
    flags: &[prune::FILTER.flag, FORCE.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, prune::FILTER, FILTERS)?;
    if !prune::confirm(parsed, "WARNING! This will remove all stopped containers.\n")? {
        return Ok(0);
    }
    let (store, _) = prune::look(parsed)?;
    prune::report(&remove_stopped(&store, &filters)?, &Gone::default(), &Pruned::default())
}

/// Removes the stopped containers that match the filters.
pub fn remove_stopped(store: &Store, filters: &Filters) -> Result<Gone> {
    let until = filters.until()?;
    let mut gone = Gone::default();
    for id in store.container_ids()? {
        let container = store.container(&id).ok();
        // A damaged one matches no filter.
        let is_taken = filters.is_empty()
            || container.is_some_and(|container| {
                until.is_none_or(|until| container.state.created.seconds < until)
                    && filters.take_labels(&container.labels())
            });
        if !is_taken || store.is_alive(&id)? {
            continue;
        }
        let bytes = store.usage(&store.container_dir(&id)).unwrap_or(0);
        let removed = store.remove_container(&id);
        gone.add(id, bytes, removed);
    }
    Ok(gone)
}
