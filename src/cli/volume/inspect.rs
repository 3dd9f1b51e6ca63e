//! `ccrun volume inspect`.

use crate::cli::args::Command;
use crate::cli::output::units;
use crate::cli::{inspect, names};
use crate::error::{Error, Result};
use crate::json::json;
use crate::store::Store;
use serde_json::Value;

pub static COMMAND: Command = Command {
    name: "volume inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    summary: "Show all about volumes",
    flags: &[inspect::FORMAT.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| inspect::inspect(parsed, &describe, &missing),
};

/// As `docker volume inspect` shows it.
pub fn describe(store: &Store, word: &str) -> Result<Option<Value>> {
    // A name that no volume can have is the name of none.
    let Some(volume) = names::check_volume(word).ok().and_then(|name| store.volume(&name)) else { return Ok(None) };
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

pub fn missing(name: &str) -> Error {
    Error::new(format_args!("get {name}: no such volume"))
}

/// Where a volume's files are.
pub fn mountpoint(store: &Store, name: &str) -> String {
    store.shown().join("volumes").join(name).join("_data").display().to_string()
}
