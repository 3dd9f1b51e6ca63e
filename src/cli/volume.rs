//! `ccrun volume create`, `ls`, `inspect`, `rm` and `prune`.

use super::filter::{self, Filters, label_fits};
use super::flag::{Command, Flag, many, one, switch};
use super::listing::{self, Headings};
use super::parse::{Parsed, utf8};
use super::prune::{self, Gone};
use super::{inspect, mount, names, units};
use crate::container::create;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::locks::Lock;
use crate::store::volumes::Volume;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub static CREATE: Command = Command {
    name: "volume create",
    usage: "[OPTIONS] [VOLUME]",
    summary: "Create a volume",
    flags: &[
        one(Some('d'), "driver", "DRIVER", "Kind of volume: local is the only one"),
        many(None, "label", "NAME[=VALUE]", "Note something about the volume"),
    ],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run: make,
};

pub static LS: Command = Command {
    name: "volume ls",
    usage: "[OPTIONS]",
    summary: "List volumes",
    flags: &[filter::FILTER, listing::FORMAT, switch(Some('q'), "quiet", "Show names only")],
    operands: (0, 0),
    run: list,
    ..CREATE
};

const FORMAT: Flag = one(Some('f'), "format", "TEMPLATE", "Print what the template makes of each");

pub static INSPECT: Command = Command {
    name: "volume inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    summary: "Show all about volumes",
    flags: &[FORMAT],
    operands: (1, usize::MAX),
    run: |parsed| inspect::inspect(parsed, &describe, &missing),
    ..CREATE
};

pub static RM: Command = Command {
    name: "volume rm",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    summary: "Remove volumes that no container uses",
    flags: &[switch(Some('f'), "force", "Do not mind volumes that are not there")],
    operands: (1, usize::MAX),
    run: remove,
    ..CREATE
};

pub static PRUNE: Command = Command {
    name: "volume prune",
    usage: "[OPTIONS]",
    summary: "Remove anonymous volumes that no container uses",
    flags: &[
        switch(Some('a'), "all", "Remove all volumes that no container uses, not only those without a name"),
        filter::LONG,
        prune::FORCE,
    ],
    operands: (0, 0),
    run: run_prune,
    ..CREATE
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

pub fn missing(name: &str) -> Error {
    Error::new(format!("get {name}: no such volume"))
}

fn make(parsed: &Parsed) -> Result<u8> {
    if let Some(driver) = parsed.text("driver")?.filter(|driver| *driver != "local") {
        return Err(Error::new(format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found"))
            .hint("local is the only driver"));
    }
    let words = parsed.words()?;
    let name = match words.first() {
        Some(name) if name.len() == 1 => {
            return Err(Error::new(format!(
                "create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )));
        }
        Some(name) if !name.is_empty() => {
            mount::volume_name(name).map_err(|error| error.context(format!("create {name}")))?
        }
        _ => names::random_id()?,
    };
    let mut labels = BTreeMap::new();
    for label in parsed.many("label") {
        let (name, value) = utf8(label, "--label").map(|label| label.split_once('=').unwrap_or((label, "")))?;
        labels.insert(name.to_owned(), value.to_owned());
    }
    let (store, _) = super::open_store(parsed)?;
    let _lock = Lock::shared(&store)?;
    store.make_volume(&name, &labels, words.iter().all(|name| name.is_empty()))?;
    super::print(&format!("{name}\n")).map(|()| 0)
}

fn list(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, &["dangling", "driver", "label", "name"])?;
    let dangling = filters.switch("dangling")?;
    let (store, _) = super::look_at_store(parsed)?;
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
    let default = if parsed.is_on("quiet") { "{{.Name}}" } else { "table {{.Driver}}\t{{.Name}}" };
    super::print(&listing::show(parsed.text("format")?, default, HEADINGS, &rows)?)?;
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

fn mountpoint(store: &Store, name: &str) -> String {
    store.shown().join("volumes").join(name).join("_data").display().to_string()
}

/// As `docker volume inspect` shows it.
pub fn describe(store: &Store, word: &str) -> Result<Option<Value>> {
    // A name that no volume can have is the name of none.
    let Some(volume) = mount::volume_name(word).ok().and_then(|name| store.volume(&name)) else { return Ok(None) };
    let mut labels = volume.labels.clone();
    if volume.anonymous {
        labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
    }
    Ok(Some(json!({
        "CreatedAt": units::utc(volume.created.seconds, 'T') + "Z",
        "Driver": "local",
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "Mountpoint": mountpoint(store, &volume.name),
        "Name": volume.name,
        "Options": null,
        "Scope": "local",
    })))
}

fn remove(parsed: &Parsed) -> Result<u8> {
    let (store, _) = super::look_at_store(parsed)?;
    let _ = create::sweep(&store);
    let mut status = 0;
    for word in parsed.words()? {
        match remove_one(&store, word, parsed.is_on("force")) {
            Ok(()) => super::print(&format!("{word}\n"))?,
            Err(error) => {
                super::complain(&error);
                status = 1;
            }
        }
    }
    Ok(status)
}

fn remove_one(store: &Store, word: &str, force: bool) -> Result<()> {
    let lock = Lock::exclusive(store)?;
    if mount::volume_name(word).ok().and_then(|name| store.volume(&name)).is_none() {
        return if force { Ok(()) } else { Err(missing(word)) };
    }
    let users = store.volume_users(word)?;
    if !users.is_empty() {
        return Err(Error::new(format!("remove {word}: volume is in use - [{}]", users.join(", "))));
    }
    let gone = store.put_volume_away(word)?;
    drop(lock);
    gone.remove(crate::store::Patience::endless()).map(drop)
}

fn run_prune(parsed: &Parsed) -> Result<u8> {
    let filters = Filters::parse(parsed, &["all", "label"])?;
    let all = parsed.is_on("all") || filters.switch("all")? == Some(true);
    let which = if all { "all local volumes" } else { "anonymous local volumes" };
    if !prune::confirm(parsed, &format!("WARNING! This will remove {which} not used by at least one container.\n"))? {
        return Ok(0);
    }
    let (store, _) = super::look_at_store(parsed)?;
    let _ = create::sweep_all(&store);
    let gone = prune(&store, &filters, all)?;
    super::print(&(gone.report("Volumes") + &format!("Total reclaimed space: {}\n", units::room(gone.bytes))))?;
    Ok(u8::from(gone.failed))
}

/// Removes the volumes that no container uses and that the filters take; only those without a name unless `all`.
pub fn prune(store: &Store, filters: &Filters, all: bool) -> Result<Gone> {
    let lock = Lock::exclusive(store)?;
    let (mut gone, mut files) = (Gone::default(), Vec::new());
    for volume in store.volumes()? {
        let takes = (all || volume.anonymous) && filters.take_labels(&volume.labels);
        if !takes || !store.volume_users(&volume.name)?.is_empty() {
            continue;
        }
        let bytes = store.usage(&store.volume_data(&volume.name)).unwrap_or(0);
        let put_away = store.put_volume_away(&volume.name);
        gone.add(volume.name, bytes, put_away.map(|put_away| files.push(put_away)));
    }
    // To remove the files takes time, and nobody needs to wait for it.
    drop(lock);
    drop(files);
    Ok(gone)
}
