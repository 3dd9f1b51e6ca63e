//! `ccrun image prune`.

use super::rmi;
use super::selection::Selection;
use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::filter::Filters;
use crate::cli::prune::{self, FILTERS, FORCE, Gone};
use crate::error::Result;
use crate::image::local::prune::Pruned;
use crate::image::local::refs::Ref;
use crate::store::Store;

pub const ALL: Switch =
    switch(Some('a'), "all", "Remove all images that no container uses, not only those without a tag");

pub static COMMAND: Command = Command {
    name: "image prune",
    usage: "[OPTIONS]",
    summary: "Remove unused images and what cancelled pulls have left",
    flags: &[ALL.flag, prune::FILTER.flag, FORCE.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, prune::FILTER, &[FILTERS, &["dangling"]].concat())?;
    let all = parsed.is_on(ALL) || filters.all("dangling").last().is_some_and(|value| value == "false");
    let which = if all { "images without at least one container associated to them" } else { "dangling images" };
    if !prune::confirm(parsed, &format!("WARNING! This will remove all {which}.\n"))? {
        return Ok(0);
    }
    let (store, _) = prune::look(parsed)?;
    prune::report(&Gone::default(), &Gone::default(), &remove_unused(&store, parsed, filters)?)
}

/// Removes the images that no container uses and that the filters take; only those without a tag unless `--all`.
pub fn remove_unused(store: &Store, parsed: &Parsed, filters: Filters) -> Result<Pruned> {
    let all = parsed.is_on(ALL);
    let selection = Selection::new(store, filters, None)?;
    let wanted = |image: &_, names: &[&Ref]| {
        let is_tagged = names.iter().any(|name| name.reference.tag().is_some());
        (all || selection.dangling == Some(false) || !is_tagged) && selection.takes_whatever_its_names(image)
    };
    crate::image::local::prune::prune(store, &wanted, || {
        Ok(crate::sort::into(rmi::users(store)?.into_iter().map(|user| user.image)))
    })
}
