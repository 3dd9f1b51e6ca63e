//! `ccrun history`.

use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::{self, units};
use crate::cli::store;
use crate::error::Result;
use crate::image::local::images::{self, Image};
use crate::image::local::layers::Notes;
use crate::json::json;
use crate::store::Store;
use serde_json::Value;

const HUMAN: Switch = switch(Some('H'), "human", "Sizes and times for humans; on unless --human=false");
const NO_TRUNC: Switch = switch(None, "no-trunc", "Do not cut anything short");
const QUIET: Switch = switch(Some('q'), "quiet", "Show only ids");

pub static COMMAND: Command = Command {
    name: "history",
    usage: "[OPTIONS] IMAGE",
    summary: "Show how an image was made, step by step",
    flags: &[listing::FORMAT.flag, HUMAN.flag, NO_TRUNC.flag, QUIET.flag],
    operands: (1, 1),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("Comment", "COMMENT"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("CreatedSince", "CREATED"),
    ("ID", "IMAGE"),
    ("Size", "SIZE"),
];

/// As long as Docker shows a step, the last place being an ellipsis.
const SHOWN: usize = 45;

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look(parsed)?;
    let word = parsed.words()?.first().copied().unwrap_or_default();
    let found = images::find(&store, word)?.ok_or_else(|| images::not_found(word))?;
    let image = images::load(&store, &found.id)?.ok_or_else(|| images::not_found(word))?;
    let human = parsed.switch(HUMAN).unwrap_or(true);
    let default = match (parsed.is_on(QUIET), human) {
        (true, _) => "{{.ID}}",
        (_, true) => "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
        (_, false) => "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    };
    let steps = steps(&store, &image, human, parsed.is_on(NO_TRUNC));
    output::print(&listing::show(parsed.text(listing::FORMAT)?, default, HEADINGS, &steps)?)?;
    Ok(0)
}

/// The steps, the last one first. Only that one's image is known: the others are the builder's own.
fn steps(store: &Store, image: &Image, human: bool, whole: bool) -> Vec<Value> {
    let mut layers = image.config.diff_ids.iter();
    let mut steps: Vec<Value> = Vec::new();
    let last = image.config.history.len().saturating_sub(1);
    for (at, step) in image.config.history.iter().enumerate() {
        let layer = if step.empty_layer { None } else { layers.next() };
        let size = layer.map_or(0, |diff_id| Notes::read(store, diff_id).size);
        let made = step.created.as_deref().and_then(units::rfc3339);
        let by = step.created_by.replace(['\t', '\n'], " ");
        let id = match at {
            _ if at != last => "<missing>".to_owned(),
            _ if whole => image.id.to_string(),
            _ => image.id.short(),
        };
        steps.push(json!({
            "ID": id,
            "CreatedAt": made.map_or_else(|| "N/A".to_owned(), |made| units::utc(made, 'T') + "Z"),
            "CreatedSince": units::ago(made),
            "CreatedBy": if whole || by.chars().count() <= SHOWN { by } else { ellipsis(&by) },
            "Size": if human { units::size(size) } else { size.to_string() },
            "Comment": step.comment,
        }));
    }
    steps.reverse();
    steps
}

fn ellipsis(text: &str) -> String {
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}
