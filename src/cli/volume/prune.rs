//! `ccrun volume prune`.

use crate::cli::args::{Command, Parsed, switch};
use crate::cli::filter::{self, Filters};
use crate::cli::output::{self, units};
use crate::cli::prune::{self, Gone};
use crate::cli::store;
use crate::container::supervisor;
use crate::error::Result;
use crate::store::Store;
use crate::store::locks::Lock;

pub static COMMAND: Command = Command {
    name: "volume prune",
    usage: "[OPTIONS]",
    summary: "Remove anonymous volumes that no container uses",
    flags: &[
        switch(Some('a'), "all", "Remove all volumes that no container uses, not only those without a name"),
        filter::LONG,
        prune::FORCE,
    ],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, &["all", "label"])?;
    let all = parsed.is_on("all") || filters.switch("all")? == Some(true);
    let which = if all { "all local volumes" } else { "anonymous local volumes" };
    if !prune::confirm(parsed, &format!("WARNING! This will remove {which} not used by at least one container.\n"))? {
        return Ok(0);
    }
    let (store, _) = store::look(parsed)?;
    let _ = supervisor::sweep_all(&store);
    let gone = remove_unused(&store, &filters, all)?;
    output::print(&(gone.report("Volumes") + &format!("Total reclaimed space: {}\n", units::room(gone.bytes))))?;
    Ok(u8::from(gone.failed))
}

/// Removes the volumes that no container uses and that the filters take; only those without a name unless `all`.
pub fn remove_unused(store: &Store, filters: &Filters, all: bool) -> Result<Gone> {
    let lock = Lock::exclusive(store)?;
    let (mut gone, mut files) = (Gone::default(), Vec::new());
    for volume in store.volumes()? {
        let takes = (all || volume.anonymous) && filters.take_labels(&volume.labels);
        if !takes || !store.volume_users(&volume.name)?.is_empty() {
            continue;
        }
        let bytes = store.usage(&store.volume_data(&volume.name)).unwrap_or(0);
        let put_away = store.put_volume_away(&volume.name);
        gone.add(volume.name, bytes, put_away.map(|put_away| files.push(put_away)));
    }
    // To remove the files takes time, and nobody needs to wait for it.
    drop(lock);
    drop(files);
    Ok(gone)
}
