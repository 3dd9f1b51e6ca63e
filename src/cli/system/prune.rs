//! `ccrun system prune`.

use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::filter::Filters;
use crate::cli::prune::{self, FILTERS, FORCE, Gone};
use crate::cli::{container, image, volume};
use crate::error::{Error, Result};

const VOLUMES: Switch = switch(None, "volumes", "Remove anonymous volumes that no container uses, too");

pub static COMMAND: Command = Command {
    name: "system prune",
    usage: "[OPTIONS]",
    summary: "Remove stopped containers, unused images and leftovers",
    flags: &[image::prune::ALL.flag, prune::FILTER.flag, FORCE.flag, VOLUMES.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, prune::FILTER, FILTERS)?;
    if parsed.is_on(VOLUMES) && filters.all("until").next().is_some() {
        return Err(Error::new("the \"until\" filter is not supported with \"--volumes\""));
    }
    let mut warning = "WARNING! This will remove:\n  - all stopped containers\n".to_owned();
    if parsed.is_on(VOLUMES) {
        warning += "  - all anonymous volumes not used by at least one container\n";
    }
    warning += if parsed.is_on(image::prune::ALL) {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    };
    warning += "  - what cancelled pulls have left\n";
    if !filters.is_empty() {
        warning += "\n  Items to be pruned will be filtered with:\n";
        warning.extend(filters.texts().map(|text| format!("  - {text}\n")));
    }
    if !prune::confirm(parsed, &(warning + "\n"))? {
        return Ok(0);
    }
    let (store, _) = prune::look(parsed)?;
    let containers = container::prune::remove_stopped(&store, &filters)?;
    let volumes = match parsed.is_on(VOLUMES) {
        true => volume::prune::remove_unused(&store, &filters, false)?,
        false => Gone::default(),
    };
    let images = image::prune::remove_unused(&store, parsed, filters)?;
    prune::report(&containers, &volumes, &images)
}
