//! `ccrun system prune`, `ccrun image prune` and `ccrun container prune`; volume.rs has the one of volumes.

use super::filter::{self, Filters, Selection};
use super::flag::{Command, Flag, switch};
use super::parse::Parsed;
use super::{prompt, rmi, units, volume};
use crate::container::create;
use crate::error::{Error, Result};
use crate::image::local::prune::{Pruned, prune};
use crate::image::local::refs::Ref;
use crate::image::local::remove::Removed;
use crate::isolation::idmap::IdMap;
use crate::store::Store;
use crate::store::containers::State;

pub const FORCE: Flag = switch(Some('f'), "force", "Do not ask");
const ALL: Flag = switch(Some('a'), "all", "Remove all images that no container uses, not only those without a tag");

pub static SYSTEM: Command = Command {
    name: "system prune",
    usage: "[OPTIONS]",
    summary: "Remove stopped containers, unused images and leftovers",
    flags: &[ALL, filter::LONG, FORCE, switch(None, "volumes", "Remove anonymous volumes that no container uses, too")],
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
    let (store, _) = look(parsed)?;
    let containers = containers(&store, &filters)?;
    let volumes = match parsed.is_on("volumes") {
        true => volume::prune(&store, &filters, false)?,
        false => Gone::default(),
    };
    let images = images(&store, parsed, filters)?;
    report(&containers, &volumes, &images)
}

/// The store, with what killed commands have left in it removed as far as that can be.
fn look(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let (store, map) = super::look_at_store(parsed)?;
    if let Err(error) = create::sweep_all(&store) {
        super::complain(&error);
    }
    Ok((store, map))
}

fn image(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, &[FILTERS, &["dangling"]].concat())?;
    let all = parsed.is_on("all") || filters.all("dangling").last().is_some_and(|value| value == "false");
    let which = if all { "images without at least one container associated to them" } else { "dangling images" };
    if !confirm(parsed, &format!("WARNING! This will remove all {which}.\n"))? {
        return Ok(0);
    }
    let (store, _) = look(parsed)?;
    report(&Gone::default(), &Gone::default(), &images(&store, parsed, filters)?)
}

fn container(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTERS)?;
    if !confirm(parsed, "WARNING! This will remove all stopped containers.\n")? {
        return Ok(0);
    }
    let (store, _) = look(parsed)?;
    report(&containers(&store, &filters)?, &Gone::default(), &Pruned::default())
}

/// Asks, unless `--force` says not to. The answer is what comes on stdin, terminal or not.
pub fn confirm(parsed: &Parsed, warning: &str) -> Result<bool> {
    if parsed.is_on("force") {
        return Ok(true);
    }
    let answer = prompt::line(&format!("{warning}Are you sure you want to continue? [y/N] "))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// What was removed: containers by id, or volumes by name.
#[derive(Default)]
pub struct Gone {
    pub names: Vec<String>,
    pub bytes: u64,
    /// Whether something could not be removed, of which the user has been told.
    pub failed: bool,
}

impl Gone {
    /// Removes one more, and counts the room that it took.
    pub fn add(&mut self, name: String, bytes: u64, removed: Result<()>) {
        match removed {
            Ok(()) => {
                self.bytes += bytes;
                self.names.push(name);
            }
            Err(error) => {
                super::complain(&error);
                self.failed = true;
            }
        }
    }

    /// As Docker reports it.
    pub fn report(&self, what: &str) -> String {
        if self.names.is_empty() { String::new() } else { format!("Deleted {what}:\n{}\n\n", self.names.join("\n")) }
    }
}

/// Removes the containers that do not run and that the filters take.
fn containers(store: &Store, filters: &Filters) -> Result<Gone> {
    let until = filters.until()?;
    let mut gone = Gone::default();
    for id in store.container_ids()? {
        let record = store.record(&id).ok();
        // A damaged record fits no filter.
        let is_taken = filters.is_empty()
            || record.is_some_and(|record| {
                until.is_none_or(|until| record.created.seconds < until) && filters.take_labels(&record.labels())
            });
        if !is_taken || store.container_state(&id)? == State::Running {
            continue;
        }
        let bytes = store.usage(&store.root().join("containers").join(&id)).unwrap_or(0);
        let removed = store.remove_container(&id);
        gone.add(id, bytes, removed);
    }
    Ok(gone)
}

/// Removes the images that no container uses and that the filters take; only those without a tag unless `--all`.
fn images(store: &Store, parsed: &Parsed, filters: Filters) -> Result<Pruned> {
    let all = parsed.is_on("all");
    let selection = Selection::new(store, filters, None)?;
    let wanted = |image: &_, names: &[&Ref]| {
        let is_tagged = names.iter().any(|name| name.reference.tag().is_some());
        (all || selection.dangling == Some(false) || !is_tagged) && selection.takes_whatever_its_names(image)
    };
    prune(store, &wanted, || Ok(rmi::users(store)?.into_iter().map(|user| user.image).collect()))
}

fn report(containers: &Gone, volumes: &Gone, images: &Pruned) -> Result<u8> {
    let mut text = containers.report("Containers") + &volumes.report("Volumes");
    if !images.removed.is_empty() {
        let line = |removed: &Removed| match removed {
            Removed::Untagged(reference) => format!("untagged: {}\n", reference.familiar()),
            Removed::Deleted(id) => format!("deleted: {id}\n"),
        };
        text += &format!("Deleted Images:\n{}\n", images.removed.iter().map(line).collect::<String>());
    }
    let bytes = containers.bytes + volumes.bytes + images.bytes;
    super::print(&(text + &format!("Total reclaimed space: {}\n", units::room(bytes))))?;
    Ok(u8::from(containers.failed || volumes.failed))
}
