//! `ccrun ps`.

mod select;

use super::size;
use crate::cli::args::{Command, One, Parsed, Switch, one, switch};
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::units::{duration, utc};
use crate::cli::{filter, output, store};
use crate::error::{Error, Result};
use crate::json::json;
use crate::store::Store;
use crate::store::containers::{Container, State, Status, now, short};
use select::Selection;
use serde_json::Value;
use std::cmp::Reverse;

const ALL: Switch = switch(Some('a'), "all", "Show those that have ended too");
const LAST: One = one(Some('n'), "last", "NUMBER", "Show the newest containers, those that have ended too");
const LATEST: Switch = switch(Some('l'), "latest", "Show the newest container, even if it has ended");
const NO_TRUNC: Switch = switch(None, "no-trunc", "Do not cut anything short");
const QUIET: Switch = switch(Some('q'), "quiet", "Show ids only");
const SIZE: Switch = switch(Some('s'), "size", "Show how much room they take");

pub static COMMAND: Command = Command {
    name: "ps",
    usage: "[OPTIONS]",
    summary: "List containers",
    flags: &[
        ALL.flag,
        filter::FILTER.flag,
        listing::FORMAT.flag,
        LAST.flag,
        LATEST.flag,
        NO_TRUNC.flag,
        QUIET.flag,
        SIZE.flag,
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
    let (store, _) = store::look_swept(parsed)?;
    selection.find_containers(&store)?;
    let whole = parsed.is_on(NO_TRUNC);
    // As in Docker, a filter for ended containers implies --all.
    let all = parsed.is_on(ALL) || most.is_some() || selection.takes_ended();
    let mut found = newest_first(&store)?;
    found.retain(|container| (all || container.state.is_running()) && selection.takes(container));
    found.truncate(most.unwrap_or(usize::MAX));
    let format = parsed.text(listing::FORMAT)?;
    let with_size =
        parsed.is_on(SIZE) || format.is_some_and(|format| format.contains("Size") || format.contains("json"));
    let rows = found.iter().map(|container| {
        let mut fields = fields(container, whole);
        fields["Size"] = if with_size { size::shown(&store, container)?.into() } else { "".into() };
        Ok(fields)
    });
    let default = match (parsed.is_on(QUIET), parsed.is_on(SIZE)) {
        (true, _) => "{{.ID}}",
        (_, false) => "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
        (_, true) => {
            "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
        }
    };
    output::print(&listing::show(format, default, HEADINGS, &rows.collect::<Result<Vec<Value>>>()?)?)?;
    Ok(0)
}

/// The number of containers to list.
fn most(parsed: &Parsed) -> Result<Option<usize>> {
    if parsed.is_on(LATEST) {
        return Ok(Some(1));
    }
    let Some(text) = parsed.text(LAST)? else { return Ok(None) };
    let number: i64 =
        text.parse().map_err(|_| Error::new(format_args!("invalid argument \"{text}\" for --last: it is a number")))?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0))
}

/// All sound containers, the newest first.
pub fn newest_first(store: &Store) -> Result<Vec<Container>> {
    // A container that cannot be read is being made or removed, or is damaged: `rm -f` removes it.
    let mut all: Vec<Container> = store.container_ids()?.iter().filter_map(|id| store.container(id).ok()).collect();
    let key = |container: &Container| Reverse(container.state.created);
    crate::sort::by(&mut all, |a, b| (key(a), &a.id).cmp(&(key(b), &b.id)));
    Ok(all)
}

/// The fields of a container's line, without its size.
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
        // Its supervisor was killed, and the disk was too full to record when that was noticed.
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

/// The command as Docker shows it, with quotes around words with blanks.
fn shell_words(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
