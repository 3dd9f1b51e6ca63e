//! `ccrun images`.

use super::flag::{Command, switch};
use super::parse::Parsed;
use super::ps::{columns, duration};
use super::units;
use crate::container::create;
use crate::error::Result;
use crate::image::digest::Digest;
use crate::image::local::images::{self, Image};
use crate::image::local::refs::{self, Ref};
use crate::image::reference::Reference;
use crate::store::Store;
use crate::store::containers::now;

pub static COMMAND: Command = Command {
    name: "images",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    summary: "List the images that are here",
    flags: &[
        switch(Some('a'), "all", "Accepted for Docker's sake: all images are always shown"),
        switch(None, "digests", "Show digests"),
        switch(None, "no-trunc", "Show ids in full"),
        switch(Some('q'), "quiet", "Show only ids"),
    ],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run,
};

/// One line of the list.
struct Row {
    created: i64,
    repository: String,
    tag: String,
    digest: String,
    id: Digest,
    size: u64,
}

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = super::open_store(parsed)?;
    // What a killed pull left is not worth a failure here.
    let _ = create::sweep(&store);
    let words = parsed.words()?;
    let filter = words.first().map(|word| Ok((Reference::parse(word)?, *word))).transpose()?;
    let mut rows = rows(&store)?;
    if let Some((wanted, word)) = &filter {
        let names_tag = !wanted.tag_defaulted() && !word.contains('@');
        rows.retain(|row| {
            row.repository == wanted.familiar_name() && (!names_tag || Some(row.tag.as_str()) == wanted.tag())
        });
    }
    let full = parsed.is_on("no-trunc");
    let id = |id: &Digest| if full { id.to_string() } else { id.short() };
    if parsed.is_on("quiet") {
        super::print(&rows.iter().map(|row| id(&row.id) + "\n").collect::<String>())?;
        return Ok(0);
    }
    let head = ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned);
    let cells =
        |row: Row| [row.repository, row.tag, row.digest, id(&row.id), created(row.created), units::size(row.size)];
    let lines: Vec<[String; 6]> = std::iter::once(head).chain(rows.into_iter().map(cells)).collect();
    let text = if parsed.is_on("digests") {
        columns(&lines)
    } else {
        let without =
            lines.into_iter().map(|[repository, tag, _, id, created, size]| [repository, tag, id, created, size]);
        columns(&without.collect::<Vec<_>>())
    };
    super::print(&text)?;
    Ok(0)
}

/// All images, the newest first: a row for each tag, one for those without any.
fn rows(store: &Store) -> Result<Vec<Row>> {
    let (names, damaged) = refs::list(store)?;
    damaged.iter().for_each(super::complain);
    let mut rows = Vec::new();
    for id in images::ids(store)? {
        let image = match images::load(store, &id) {
            Ok(Some(image)) => image,
            // Removed since we looked.
            Ok(None) => continue,
            Err(error) => {
                super::complain(&error);
                continue;
            }
        };
        rows.extend(rows_of(store, &image, &names));
    }
    rows.sort_by(|a, b| (b.created, &a.repository, &a.tag).cmp(&(a.created, &b.repository, &b.tag)));
    Ok(rows)
}

fn rows_of(store: &Store, image: &Image, names: &[Ref]) -> Vec<Row> {
    let none = || "<none>".to_owned();
    let size = image.size(store);
    let created = image.config.created.as_deref().and_then(units::rfc3339).unwrap_or(i64::MIN);
    let row = |repository, tag, digest| Row { created, repository, tag, digest, id: image.id, size };
    let mut rows: Vec<Row> = Vec::new();
    let own = || names.iter().filter(|name| name.image == image.id);
    for name in own() {
        if let Some(tag) = name.reference.tag() {
            rows.push(row(name.reference.familiar_name(), tag.to_owned(), name.digest.to_string()));
        }
    }
    // A digest is a row only where no tag of its repository is one.
    for name in own().filter(|name| name.reference.tag().is_none()) {
        let repository = name.reference.familiar_name();
        if !rows.iter().any(|row| row.repository == repository) {
            rows.push(row(repository, none(), name.digest.to_string()));
        }
    }
    if rows.is_empty() {
        rows.push(row(none(), none(), none()));
    }
    rows
}

fn created(seconds: i64) -> String {
    if seconds == i64::MIN {
        return "N/A".to_owned();
    }
    let ago = i64::try_from(now()).unwrap_or(i64::MAX).saturating_sub(seconds);
    format!("{} ago", duration(u64::try_from(ago).unwrap_or(0)))
}
