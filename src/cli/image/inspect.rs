//! `ccrun image inspect`: an image, as Docker tells of it.

use crate::cli::args::Command;
use crate::cli::inspect::{FORMAT, inspect};
use crate::error::Result;
use crate::image::local::images::{self, Image};
use crate::image::local::refs;
use crate::json::json;
use crate::store::Store;
use serde_json::{Map, Value};

pub static COMMAND: Command = Command {
    name: "image inspect",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    summary: "Tell all about images",
    flags: &[FORMAT.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| inspect(parsed, &find, &images::not_found),
};

/// What Docker's config has even if the image says nothing of it.
const CONFIG: &[&str] = &["Cmd", "Entrypoint", "Env", "Labels", "User", "Volumes", "WorkingDir"];

/// All of the image that the user calls `word`.
pub fn find(store: &Store, word: &str) -> Result<Option<Value>> {
    let Some(found) = images::find(store, word)? else { return Ok(None) };
    images::load(store, &found.id)?.map(|image| describe(store, &image)).transpose()
}

fn describe(store: &Store, image: &Image) -> Result<Value> {
    let bytes = images::config(store, &image.id).unwrap_or_default();
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default();
    let (names, _) = refs::list(store)?;
    let own = || names.iter().filter(|name| name.image == image.id).map(|name| &name.reference);
    let tags: Vec<String> = own().filter(|name| name.tag().is_some()).map(|name| name.familiar()).collect();
    let digests: Vec<String> = own().filter(|name| name.digest().is_some()).map(|name| name.familiar()).collect();
    let last = image.config.history.last();
    let mut value = json!({
        "Id": image.id.to_string(),
        "RepoTags": tags,
        "RepoDigests": digests,
        "Parent": "",
        "Comment": if text("comment").is_empty() { last.map_or("", |step| &step.comment) } else { text("comment") },
        "Created": image.config.created,
        "DockerVersion": text("docker_version"),
        "Author": text("author"),
        "Config": config(&told),
        "Architecture": text("architecture"),
        "Os": text("os"),
        "Size": image.size(store),
        "GraphDriver": { "Name": "overlay", "Data": data(store, image) },
        "RootFS": {
            "Type": "layers",
            "Layers": image.config.diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "Metadata": { "LastTagTime": "0001-01-01T00:00:00Z" },
    });
    if !text("variant").is_empty() {
        value["Variant"] = text("variant").into();
    }
    Ok(value)
}

/// The image's own, with nothing left out.
fn config(told: &Value) -> Value {
    let mut config: Map<String, Value> = told.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    for name in CONFIG {
        let nothing = || if ["User", "WorkingDir"].contains(name) { "".into() } else { Value::Null };
        config.entry(*name).or_insert_with(nothing);
    }
    config.into()
}

/// Where the layers lie.
fn data(store: &Store, image: &Image) -> Value {
    let mut layers: Vec<String> = image.layers(store).iter().rev().map(|path| path.display().to_string()).collect();
    if layers.is_empty() {
        return Value::Null;
    }
    let upper = layers.remove(0);
    let mut data = json!({ "UpperDir": upper });
    if !layers.is_empty() {
        data["LowerDir"] = layers.join(":").into();
    }
    data
}
