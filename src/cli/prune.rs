//! `ccrun system prune`, `ccrun image prune` and `ccrun container prune`.

use super::filter::{self, Filters, Selection};
use super::flag::{Command, Flag, switch};
use super::parse::Parsed;
use super::{prompt, rmi, units};
use crate::container::create;
use crate::error::{Error, Result};
use crate::image::local::prune::{Pruned, prune};
use crate::image::local::refs::Ref;
use crate::image::local::remove::Removed;
use crate::store::Store;
use crate::store::containers::State;

const FORCE: Flag = switch(Some('f'), "force", "Do not ask");
const ALL: Flag = switch(Some('a'), "all", "Remove all images that no container uses, not only those without a tag");

pub static SYSTEM: Command = Command {
    name: "system prune",
    usage: "[OPTIONS]",
    summary: "Remove stopped containers, unused images and leftovers",
    flags: &[
        ALL,
        filter::LONG,
        FORCE,
        switch(None, "volumes", "Remove unused anonymous volumes too; they always go with their containers"),
    ],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run: system,
};

pub static IMAGE: Command = Command {
    name: "image prune",
    summary: "Remove unused images and what cancelled pulls have left",
    flags: &[ALL, filter::LONG, FORCE],
    run: image,
    ..SYSTEM
};

pub static CONTAINER: Command = Command {
    name: "container prune",
    summary: "Remove all stopped containers",
    flags: &[filter::LONG, FORCE],
    run: container,
    ..SYSTEM
};

const FILTERS: &[&str] = &["label", "until"];

fn system(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTERS)?;
    if parsed.is_on("volumes") && filters.all("until").next().is_some() {
        return Err(Error::new("the \"until\" filter is not supported with \"--volumes\""));
    }
    let mut warning = "WARNING! This will remove:\n  - all stopped containers\n".to_owned();
    if parsed.is_on("volumes") {
        warning += "  - all anonymous volumes not used by at least one container\n";
    }
    warning += if parsed.is_on("all") {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    };
    warning += "  - what cancelled pulls have left\n";
    if !filters.is_empty() {
        warning += "\n  Items to be pruned will be filtered with:\n";
        warning.extend(filters.texts().map(|text| format!("  - {text}\n")));
    }
    if !confirm(parsed, &(warning + "\n"))? {
        return Ok(0);
    }
    let (store, _) = super::open_store(parsed)?;
    let containers = containers(&store, &filters)?;
    let images = images(&store, parsed, filters)?;
    report(&containers, &images)
}

fn image(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, &[FILTERS, &["dangling"]].concat())?;
    let all = parsed.is_on("all") || filters.all("dangling").last().is_some_and(|value| value == "false");
    let which = if all { "images without at least one container associated to them" } else { "dangling images" };
    if !confirm(parsed, &format!("WARNING! This will remove all {which}.\n"))? {
        return Ok(0);
    }
    let (store, _) = super::open_store(parsed)?;
    report(&Containers::default(), &images(&store, parsed, filters)?)
}

fn container(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTERS)?;
    if !confirm(parsed, "WARNING! This will remove all stopped containers.\n")? {
        return Ok(0);
    }
    let (store, _) = super::open_store(parsed)?;
    report(&containers(&store, &filters)?, &Pruned::default())
}

/// Asks, unless `--force` says not to. The answer is what comes on stdin, terminal or not.
fn confirm(parsed: &Parsed, warning: &str) -> Result<bool> {
    if parsed.is_on("force") {
        return Ok(true);
    }
    let answer = prompt::line(&format!("{warning}Are you sure you want to continue? [y/N] "))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

#[derive(Default)]
struct Containers {
    ids: Vec<String>,
    bytes: u64,
}

/// Removes the containers that do not run and that the filters take.
fn containers(store: &Store, filters: &Filters) -> Result<Containers> {
    create::sweep(store)?;
    let until = filters.until()?;
    let mut gone = Containers::default();
    for id in store.container_ids()? {
        // A damaged record fits no filter.
        let created = store.record(&id).ok().and_then(|record| i64::try_from(record.created).ok());
        let is_taken = until.is_none_or(|until| created.is_some_and(|created| created < until));
        // Containers have no labels.
        if !is_taken || filters.all("label").next().is_some() || store.container_state(&id)? == State::Running {
            continue;
        }
        let bytes = store.usage(&store.root().join("containers").join(&id)).unwrap_or(0);
        match store.remove_container(&id) {
            Ok(()) => {
                gone.bytes += bytes;
                gone.ids.push(id);
            }
            Err(error) => super::complain(&error),
        }
    }
    Ok(gone)
}

/// Removes the images that no container uses and that the filters take; only those without a tag unless `--all`.
fn images(store: &Store, parsed: &Parsed, filters: Filters) -> Result<Pruned> {
    create::sweep(store)?;
    let all = parsed.is_on("all");
    let selection = Selection::new(store, filters, None)?;
    let wanted = |image: &_, names: &[&Ref]| {
        let is_tagged = names.iter().any(|name| name.reference.tag().is_some());
        (all || selection.dangling == Some(false) || !is_tagged) && selection.takes_whatever_its_names(image)
    };
    prune(store, &wanted, || Ok(rmi::users(store)?.into_iter().map(|user| user.image).collect()))
}

fn report(containers: &Containers, images: &Pruned) -> Result<u8> {
    let mut text = String::new();
    if !containers.ids.is_empty() {
        text += &format!("Deleted Containers:\n{}\n\n", containers.ids.join("\n"));
    }
    if !images.removed.is_empty() {
        let line = |removed: &Removed| match removed {
            Removed::Untagged(reference) => format!("untagged: {}\n", reference.familiar()),
            Removed::Deleted(id) => format!("deleted: {id}\n"),
        };
        text += &format!("Deleted Images:\n{}\n", images.removed.iter().map(line).collect::<String>());
    }
    text += &format!("Total reclaimed space: {}\n", units::room(containers.bytes + images.bytes));
    super::print(&text)?;
    Ok(0)
}
