//! `ccrun ps`.

use super::flag::{Command, switch};
use super::parse::Parsed;
use crate::container::create;
use crate::error::{Result, Visible};
use crate::store::containers::{State, now, short};
use std::fmt::Write;

pub static COMMAND: Command = Command {
    name: "ps",
    usage: "[OPTIONS]",
    summary: "List containers",
    flags: &[
        switch(Some('a'), "all", "Show those that have ended too"),
        switch(Some('q'), "quiet", "Show ids only"),
        switch(None, "no-trunc", "Do not cut anything short"),
    ],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = super::open_store(parsed)?;
    create::sweep(&store)?;
    let whole = parsed.is_on("no-trunc");
    let mut rows = Vec::new();
    for id in store.container_ids()? {
        let record = match store.record(&id) {
            Ok(record) => record,
            // It is just being made or removed, or damaged: `rm -f` takes it.
            Err(_) => continue,
        };
        let state = store.container_state(&id)?;
        if state == State::Running || parsed.is_on("all") {
            rows.push((record, state));
        }
    }
    rows.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    let shown = |id: &str| if whole { id.to_owned() } else { short(id).to_owned() };
    if parsed.is_on("quiet") {
        let ids: String = rows.iter().map(|(record, _)| shown(&record.id) + "\n").collect();
        return super::print(&ids).map(|()| 0);
    }
    let mut table =
        vec![["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"].map(str::to_owned)];
    for (record, state) in rows {
        let since = now().saturating_sub(record.created);
        let status = match state {
            State::Running => format!("Up {}", duration(since)),
            State::Exited { code, finished } => {
                format!("Exited ({code}) {} ago", duration(now().saturating_sub(finished)))
            }
        };
        let command = shell_words(&record.command);
        let command = if whole || command.chars().count() <= 20 {
            command
        } else {
            command.chars().take(19).chain(['…']).collect()
        };
        table.push([
            shown(&record.id),
            Visible(&record.image).to_string(),
            format!("\"{}\"", Visible(&command)),
            format!("{} ago", duration(since)),
            status,
            String::new(),
            record.name,
        ]);
    }
    super::print(&columns(&table)).map(|()| 0)
}

/// The command as Docker shows it: words with blanks in quotes.
fn shell_words(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Docker's table: columns at least 10 wide, three blanks between.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(|column| (width(column) + 3).max(10)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let padding = if column + 1 < N { widths[column] } else { 0 };
            let _ = write!(text, "{cell:<padding$}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// A span of time as Docker says it (docker/go-units, HumanDuration).
pub fn duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_told_as_docker_does() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (5, "5 seconds"),
            (60, "About a minute"),
            (180, "3 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 21, "3 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 800, "2 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn columns_have_dockers_widths() {
        let rows = [["A", "LONG-HEADING", "C"], ["abcdefghijkl", "x", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "A              LONG-HEADING   C\nabcdefghijkl   x\n");
    }
}
