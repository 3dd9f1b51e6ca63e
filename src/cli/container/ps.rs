//! `ccrun ps`.

mod select;

use super::size;
use crate::cli::args::{Command, Parsed, one, switch};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::units::{duration, utc};
use crate::cli::{filter, output, store};
use crate::container::create;
use crate::error::{Error, Result};
use crate::json::json;
use crate::store::Store;
use crate::store::containers::{Exit, Record, State, now, short};
use select::Selection;
use serde_json::Value;
use std::cmp::Reverse;

pub static COMMAND: Command = Command {
    name: "ps",
    usage: "[OPTIONS]",
    summary: "List containers",
    flags: &[
        switch(Some('a'), "all", "Show those that have ended too"),
        filter::FILTER,
        listing::FORMAT,
        one(Some('n'), "last", "NUMBER", "Show the newest containers, those that have ended too"),
        switch(Some('l'), "latest", "Show the newest container, even if it has ended"),
        switch(None, "no-trunc", "Do not cut anything short"),
        switch(Some('q'), "quiet", "Show ids only"),
        switch(Some('s'), "size", "Show how much room they take"),
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
    ("Networks", "NETWORKS"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];

fn run(parsed: &Parsed) -> Result<u8> {
    let mut selection = Selection::read(parsed)?;
    let most = most(parsed)?;
    let (store, _) = store::look(parsed)?;
    // What killed supervisors have left is not worth a failure here.
    let _ = create::sweep(&store);
    selection.find_containers(&store)?;
    let whole = parsed.is_on("no-trunc");
    // As Docker does: who asks for those that have ended wants to see them.
    let all = parsed.is_on("all") || most.is_some() || selection.takes_ended();
    let mut found = newest_first(&store)?;
    found.retain(|(record, state)| (all || *state == State::Running) && selection.takes(record, state));
    found.truncate(most.unwrap_or(usize::MAX));
    let format = parsed.text("format")?;
    let with_size =
        parsed.is_on("size") || format.is_some_and(|format| format.contains("Size") || format.contains("json"));
    let rows = found.iter().map(|(record, state)| {
        let mut fields = fields(record, state, whole);
        fields["Size"] = if with_size { size::shown(&store, record)?.into() } else { "".into() };
        Ok(fields)
    });
    let default = match (parsed.is_on("quiet"), parsed.is_on("size")) {
        (true, _) => "{{.ID}}",
        (_, false) => "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
        (_, true) => {
            "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
        }
    };
    output::print(&listing::show(format, default, HEADINGS, &rows.collect::<Result<Vec<Value>>>()?)?)?;
    Ok(0)
}

/// How many containers are asked for.
fn most(parsed: &Parsed) -> Result<Option<usize>> {
    if parsed.is_on("latest") {
        return Ok(Some(1));
    }
    let Some(text) = parsed.text("last")? else { return Ok(None) };
    let number: i64 =
        text.parse().map_err(|_| Error::new(format_args!("invalid argument \"{text}\" for --last: it is a number")))?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0))
}

/// All containers with a sound record, the newest first.
pub fn newest_first(store: &Store) -> Result<Vec<(Record, State)>> {
    let mut all = Vec::new();
    for id in store.container_ids()? {
        // One without a record is just being made or removed, or damaged: `rm -f` takes it.
        if let Ok(record) = store.record(&id) {
            let state = store.container_state(&id)?;
            all.push((record, state));
        }
    }
    crate::sort::by(&mut all, |(a, _), (b, _)| (Reverse(a.created), &a.id).cmp(&(Reverse(b.created), &b.id)));
    Ok(all)
}

/// The state as Docker calls it.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Running => "running",
        State::Exited(_) => "exited",
    }
}

/// A container's line, field by field, but its size.
pub fn fields(record: &Record, state: &State, whole: bool) -> Value {
    let ago = |seconds: i64| duration(now().saturating_sub(u64::try_from(seconds).unwrap_or(0)));
    let created = record.created.seconds;
    let status = match state {
        State::Running => format!("Up {}", ago(created)),
        // Nobody saw it end, and the disk is too full to say when that was noticed.
        State::Exited(Exit { code, finished, .. }) if finished.seconds == 0 => format!("Exited ({code})"),
        State::Exited(Exit { code, finished, .. }) => format!("Exited ({code}) {} ago", ago(finished.seconds)),
    };
    let command = shell_words(&record.command);
    let cut = |text: String, most: usize| match text.char_indices().nth(most) {
        Some(_) if !whole => text.chars().take(most - 1).chain(['…']).collect(),
        _ => text,
    };
    let mounts = record.mounts().into_iter().map(|name| cut(name, 15)).collect::<Vec<_>>();
    let labels = record.labels().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    json!({
        "Command": format!("\"{}\"", cut(command, 20)),
        "CreatedAt": utc(created, ' ') + " +0000 UTC",
        "ID": if whole { &record.id } else { short(&record.id) },
        "Image": record.image,
        "Labels": labels.join(","),
        "LocalVolumes": record.local_volumes().to_string(),
        "Mounts": mounts.join(","),
        "Names": record.name,
        "Networks": record.network(),
        "Ports": "",
        "RunningFor": format!("{} ago", ago(created)),
        "State": word(state),
        "Status": status,
    })
}

/// The command as Docker shows it: words with blanks in quotes.
fn shell_words(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
