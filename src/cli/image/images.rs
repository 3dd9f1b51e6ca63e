//! `ccrun images`.

use super::selection::{Selection, created};
use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::filter::{FILTER, Filters};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::{self, units};
use crate::cli::store;
use crate::error::Result;
use crate::image::local::images::{self, Image};
use crate::image::local::refs::{self, Ref};
use crate::image::reference::Reference;
use crate::json::json;
use crate::store::Store;
use serde_json::Value;

const ALL: Switch = switch(Some('a'), "all", "Accepted for Docker's sake: all images are always shown");
const DIGESTS: Switch = switch(None, "digests", "Show digests");
const NO_TRUNC: Switch = switch(None, "no-trunc", "Show ids in full");
const QUIET: Switch = switch(Some('q'), "quiet", "Show only ids");

pub static COMMAND: Command = Command {
    name: "images",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    summary: "List the images that are here",
    flags: &[ALL.flag, DIGESTS.flag, FILTER.flag, listing::FORMAT.flag, NO_TRUNC.flag, QUIET.flag],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// One line of the list.
struct Row {
    created: i64,
    repository: String,
    tag: String,
    fields: Value,
}

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTER, Selection::KNOWN)?;
    let (store, _) = store::look_swept(parsed)?;
    let selection = Selection::new(&store, filters, parsed.words()?.first().copied())?;
    let rows = rows(&store, &selection, parsed.is_on(NO_TRUNC))?;
    let rows: Vec<Value> = rows.into_iter().map(|row| row.fields).collect();
    let default = match (parsed.is_on(QUIET), parsed.is_on(DIGESTS)) {
        (true, _) => "{{.ID}}",
        (_, true) => "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
        (_, false) => "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    };
    output::print(&listing::show(parsed.text(listing::FORMAT)?, default, HEADINGS, &rows)?)?;
    Ok(0)
}

/// The images of the selection, the newest first: a row for each tag, one for those without any.
fn rows(store: &Store, selection: &Selection, whole_ids: bool) -> Result<Vec<Row>> {
    let (names, damaged) = refs::list(store)?;
    damaged.iter().for_each(output::complain);
    let mut rows = Vec::new();
    for id in images::ids(store)? {
        let image = match images::load(store, &id) {
            Ok(Some(image)) => image,
            // Removed since we looked.
            Ok(None) => continue,
            Err(error) => {
                output::complain(&error);
                continue;
            }
        };
        let own: Vec<&Ref> = names.iter().filter(|name| name.image == image.id).collect();
        if selection.takes(&image, &own) {
            rows.extend(rows_of(store, &image, &own, selection, whole_ids));
        }
    }
    crate::sort::by(&mut rows, |a, b| (b.created, &a.repository, &a.tag).cmp(&(a.created, &b.repository, &b.tag)));
    Ok(rows)
}

fn rows_of(store: &Store, image: &Image, names: &[&Ref], selection: &Selection, whole_ids: bool) -> Vec<Row> {
    let (size, made) = (image.size(store), created(image));
    let id = if whole_ids { image.id.to_string() } else { image.id.short() };
    let none = "<none>";
    let row = |repository: &str, tag: &str, digest: &str| Row {
        created: made.unwrap_or(i64::MIN),
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        fields: json!({
            "Containers": "N/A", "CreatedAt": made.map_or("N/A".to_owned(), |made| units::utc(made, ' ') + " +0000 UTC"),
            "CreatedSince": units::ago(made), "Digest": digest, "ID": id, "Repository": repository,
            "SharedSize": "N/A", "Size": units::size(size), "Tag": tag, "UniqueSize": "N/A",
            "VirtualSize": units::room(size),
        }),
    };
    let of_repository = |own: &Reference| {
        let digests = names.iter().filter(|name| name.reference.tag().is_none());
        digests.filter(|name| name.reference.name() == own.name()).map(|name| name.digest.to_string()).next()
    };
    let mut rows: Vec<Row> = Vec::new();
    for name in names.iter().filter(|name| selection.takes_name(Some(&name.reference))) {
        let (reference, repository) = (&name.reference, name.reference.familiar_name());
        let digest = of_repository(reference);
        let digest = digest.as_deref().unwrap_or(none);
        match reference.tag() {
            Some(tag) => rows.push(row(&repository, tag, digest)),
            // A digest is a row only where no tag of its repository is one.
            None if names.iter().any(|n| n.reference.tag().is_some() && n.reference.name() == reference.name()) => {}
            None => rows.push(row(&repository, none, &name.digest.to_string())),
        }
    }
    if names.is_empty() && selection.takes_name(None) {
        rows.push(row(none, none, none));
    }
    rows
}
