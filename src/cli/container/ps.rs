//! `ccrun ps`.

mod select;

use super::size;
use crate::cli::args::{Command, Parsed, one, switch};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::units::{duration, utc};
use crate::cli::{filter, output, store};
use crate::container::supervisor;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::containers::{Container, State, Status, now, short};
use select::Selection;
use serde_json::{Value, json};
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
    let _ = supervisor::sweep(&store);
    selection.find_containers(&store)?;
    let whole = parsed.is_on("no-trunc");
    // As Docker does: who asks for those that have ended wants to see them.
    let all = parsed.is_on("all") || most.is_some() || selection.takes_ended();
    let mut found = newest_first(&store)?;
    found.retain(|container| (all || container.state.is_running()) && selection.takes(container));
    found.truncate(most.unwrap_or(usize::MAX));
    let format = parsed.text("format")?;
    let with_size =
        parsed.is_on("size") || format.is_some_and(|format| format.contains("Size") || format.contains("json"));
    let rows = found.iter().map(|container| {
        let mut fields = fields(container, whole);
        fields["Size"] = if with_size { size::shown(&store, container)?.into() } else { "".into() };
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
        text.parse().map_err(|_| Error::new(format!("invalid argument \"{text}\" for --last: it is a number")))?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0))
}

/// All sound containers, the newest first.
pub fn newest_first(store: &Store) -> Result<Vec<Container>> {
    // One that cannot be read is just being made or removed, or damaged: `rm -f` takes it.
    let mut all: Vec<Container> = store.container_ids()?.iter().filter_map(|id| store.container(id).ok()).collect();
    let key = |container: &Container| Reverse(container.state.created);
    crate::sort::by(&mut all, |a, b| (key(a), &a.id).cmp(&(key(b), &b.id)));
    Ok(all)
}

/// A container's line, field by field, but its size.
pub fn fields(container: &Container, whole: bool) -> Value {
    let ago = |seconds: i64| duration(now().saturating_sub(u64::try_from(seconds).unwrap_or(0)));
    let State { status, created, started, finished, exit_code, .. } = &container.state;
    let created = created.seconds;
    let up = || format!("Up {}", ago(started.map_or(created, |time| time.seconds)));
    let shown = match (status, finished) {
        (Status::Created, _) => "Created".to_owned(),
        (Status::Running, _) => up(),
        (Status::Paused, _) => up() + " (Paused)",
        (Status::Exited, Some(finished)) => format!("Exited ({exit_code}) {} ago", ago(finished.seconds)),
        // Nobody saw it end, and the disk is too full to say when that was noticed.
        (Status::Exited, None) => format!("Exited ({exit_code})"),
    };
    let command = shell_words(&container.command());
    let cut = |text: String, most: usize| match text.char_indices().nth(most) {
        Some(_) if !whole => text.chars().take(most - 1).chain(['…']).collect(),
        _ => text,
    };
    let mounts = container.mounts().into_iter().map(|name| cut(name, 15)).collect::<Vec<_>>();
    let labels = container.labels().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    json!({
        "Command": format!("\"{}\"", cut(command, 20)),
        "CreatedAt": utc(created, ' ') + " +0000 UTC",
        "ID": if whole { &container.id } else { short(&container.id) },
        "Image": container.image(),
        "Labels": labels.join(","),
        "LocalVolumes": container.local_volumes().to_string(),
        "Mounts": mounts.join(","),
        "Names": container.name(),
        "Networks": container.network(),
        "Ports": "",
        "RunningFor": format!("{} ago", ago(created)),
        "State": status.word(),
        "Status": shown,
    })
}

/// The command as Docker shows it: words with blanks in quotes.
fn shell_words(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
