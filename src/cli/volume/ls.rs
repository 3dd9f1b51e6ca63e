//! `ccrun volume ls`.

use super::inspect::mountpoint;
use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::filter::{FILTER, Filters, label_fits};
use crate::cli::output::listing::{self, Headings};
use crate::cli::{output, store};
use crate::error::Result;
use crate::json::json;
use crate::store::Store;
use crate::store::volumes::Volume;
use serde_json::Value;

const QUIET: Switch = switch(Some('q'), "quiet", "Show names only");

pub static COMMAND: Command = Command {
    name: "volume ls",
    usage: "[OPTIONS]",
    summary: "List volumes",
    flags: &[FILTER.flag, listing::FORMAT.flag, QUIET.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("Availability", "AVAILABILITY"),
    ("Driver", "DRIVER"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

fn run(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, FILTER, &["dangling", "driver", "label", "name"])?;
    let dangling = filters.switch("dangling")?;
    let (store, _) = store::look(parsed)?;
    let mut rows = Vec::new();
    for volume in store.volumes()? {
        let any = |name: &str, fits: &dyn Fn(&str) -> bool| {
            let mut values = filters.all(name).peekable();
            values.peek().is_none() || values.any(fits)
        };
        let takes = any("driver", &|value| value == "local")
            && any("name", &|value| volume.name.contains(value))
            && filters.all("label").all(|wanted| label_fits(&volume.labels, wanted))
            && match dangling {
                Some(dangling) => store.volume_users(&volume.name)?.is_empty() == dangling,
                None => true,
            };
        if takes {
            rows.push(row(&store, &volume));
        }
    }
    let default = if parsed.is_on(QUIET) { "{{.Name}}" } else { "table {{.Driver}}\t{{.Name}}" };
    output::print(&listing::show(parsed.text(listing::FORMAT)?, default, HEADINGS, &rows)?)?;
    Ok(0)
}

fn row(store: &Store, volume: &Volume) -> Value {
    let labels = volume.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    json!({
        "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": labels.join(","), "Links": "N/A",
        "Mountpoint": mountpoint(store, &volume.name), "Name": volume.name, "Scope": "local", "Size": "N/A",
        "Status": "N/A",
    })
}
