//! `ccrun ps`.

use super::filter::{FILTER, Filters};
use super::flag::{Command, switch};
use super::listing::{self, Headings};
use super::parse::Parsed;
use super::units::{duration, utc};
use crate::container::create;
use crate::error::Result;
use crate::store::containers::{Record, State, now, short};
use serde_json::{Value, json};

pub static COMMAND: Command = Command {
    name: "ps",
    usage: "[OPTIONS]",
    summary: "List containers",
    flags: &[
        switch(Some('a'), "all", "Show those that have ended too"),
        FILTER,
        listing::FORMAT,
        switch(None, "no-trunc", "Do not cut anything short"),
        switch(Some('q'), "quiet", "Show ids only"),
    ],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];

const FILTERS: &[&str] = &["ancestor", "exited", "id", "name", "status"];

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTERS)?;
    let (store, _) = super::open_store(parsed)?;
    create::sweep(&store)?;
    let whole = parsed.is_on("no-trunc");
    // As Docker does: who asks for those that have ended wants to see them.
    let all = parsed.is_on("all") || filters.all("exited").chain(filters.all("status")).next().is_some();
    let mut rows = Vec::new();
    for id in store.container_ids()? {
        let record = match store.record(&id) {
            Ok(record) => record,
            // It is just being made or removed, or damaged: `rm -f` takes it.
            Err(_) => continue,
        };
        let state = store.container_state(&id)?;
        if (state == State::Running || all) && take(&filters, &record, &state) {
            rows.push((record, state));
        }
    }
    rows.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    let rows: Vec<Value> = rows.iter().map(|(record, state)| fields(record, state, whole)).collect();
    let default = if parsed.is_on("quiet") {
        "{{.ID}}"
    } else {
        "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
    };
    super::print(&listing::show(parsed.text("format")?, default, HEADINGS, &rows)?)?;
    Ok(0)
}

/// Whether the filters take a container: one value of each name that is given has to fit.
fn take(filters: &Filters, record: &Record, state: &State) -> bool {
    let fits = |name: &str, value: &str| match (name, state) {
        ("ancestor", _) => {
            let image_id = record.image_id.as_deref().unwrap_or_default();
            record.image == value || image_id.trim_start_matches("sha256:").starts_with(value)
        }
        ("exited", State::Exited { code, .. }) => code.to_string() == value,
        ("id", _) => record.id.starts_with(value),
        ("name", _) => record.name.contains(value),
        ("status", state) => word(state) == value,
        _ => false,
    };
    FILTERS.iter().all(|name| {
        let mut values = filters.all(name).peekable();
        values.peek().is_none() || values.any(|value| fits(name, value))
    })
}

/// The state as Docker calls it.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Running => "running",
        State::Exited { .. } => "exited",
    }
}

/// A container's line, field by field.
pub fn fields(record: &Record, state: &State, whole: bool) -> Value {
    let since = now().saturating_sub(record.created);
    let status = match state {
        State::Running => format!("Up {}", duration(since)),
        State::Exited { code, finished } => {
            format!("Exited ({code}) {} ago", duration(now().saturating_sub(*finished)))
        }
    };
    let command = shell_words(&record.command);
    let short_command = || command.chars().take(19).chain(['…']).collect();
    let command = if whole || command.chars().count() <= 20 { command } else { short_command() };
    json!({
        "Command": format!("\"{command}\""),
        "CreatedAt": utc(i64::try_from(record.created).unwrap_or(0), ' ') + " +0000 UTC",
        "ID": if whole { &record.id } else { short(&record.id) },
        "Image": record.image,
        "Labels": "",
        "LocalVolumes": record.volumes.len().to_string(),
        "Mounts": record.volumes.join(","),
        "Names": record.name,
        "Ports": "",
        "RunningFor": format!("{} ago", duration(since)),
        "State": word(state),
        "Status": status,
    })
}

/// The command as Docker shows it: words with blanks in quotes.
fn shell_words(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
