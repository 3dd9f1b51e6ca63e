//! `ccrun inspect` and `ccrun image inspect`: all that is known, as Docker's JSON.

mod container;
mod image;
mod security;

use super::flag::{Command, Flag, one, switch};
use super::format::Template;
use super::parse::Parsed;
use super::volume;
use crate::container::create;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use serde_json::Value;

const FORMAT: Flag = one(Some('f'), "format", "TEMPLATE", "Print what the template makes of each");
const SIZE: Flag = switch(Some('s'), "size", "Show how much room containers take");
const SECURITY: Flag = switch(None, "security", "Tell what is in force for running containers, read from the kernel");

pub static COMMAND: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    summary: "Tell all about containers, images and volumes",
    flags: &[FORMAT, SECURITY, SIZE, one(None, "type", "TYPE", "Look only for a container, an image or a volume")],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| match parsed.text("type")? {
        None | Some("" | "container") if parsed.is_on("security") => inspect(parsed, &in_force, &no_object),
        None | Some("") => inspect(parsed, &any, &no_object),
        Some("container") => inspect(parsed, &container, &no_object),
        Some("image") if parsed.is_on("security") => {
            Err(Error::new("--security tells of running containers, not of images"))
        }
        Some("image") => inspect(parsed, &image, &images::not_found),
        Some("volume") => inspect(parsed, &volume::describe, &volume::missing),
        Some(other) => {
            Err(Error::new(format!("\"{other}\" is not a valid value for --type")).hint("container, image or volume"))
        }
    },
};

pub static IMAGE: Command = Command {
    name: "image inspect",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    summary: "Tell all about images",
    flags: &[FORMAT],
    run: |parsed| inspect(parsed, &image, &images::not_found),
    ..COMMAND
};

pub static CONTAINER: Command = Command {
    name: "container inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Tell all about containers",
    flags: &[FORMAT, SECURITY, SIZE],
    run: |parsed| inspect(parsed, if parsed.is_on("security") { &in_force } else { &container }, &no_object),
    ..COMMAND
};

/// The fields that stand first in objects of a name, in Docker's order; those not named here follow.
const ORDERS: &[(&str, &str)] = &[
    (
        "",
        "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath RepoTags RepoDigests Parent
         Comment Name RestartCount Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig
         DockerVersion Author Architecture Variant Os Size GraphDriver SizeRw SizeRootFs Mounts Config RootFS Metadata
         Command Init",
    ),
    ("State", "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt"),
    ("Mounts", "Type Name Source Destination Driver Mode RW Propagation"),
    (
        "Config",
        "Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image Volumes
         WorkingDir Entrypoint",
    ),
    ("RootFS", "Type Layers"),
    ("Command", PROCESS),
    ("Init", PROCESS),
];
const PROCESS: &str = "Pid ContainerPid Uid Gid Groups HostUid HostGid Capabilities";

type Find = dyn Fn(&Store, &str) -> Result<Option<Value>>;

pub fn inspect(parsed: &Parsed, find: &Find, missing: &dyn Fn(&str) -> Error) -> Result<u8> {
    let template = parsed.text("format")?.filter(|text| *text != "json").map(Template::parse).transpose()?;
    let (store, _) = super::look_at_store(parsed)?;
    let _ = create::sweep(&store);
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for word in parsed.words()? {
        match find(&store, word) {
            Ok(Some(value)) if parsed.is_on("size") && value["State"].is_object() => {
                found.push(container::add_size(&store, value)?);
            }
            Ok(Some(value)) => found.push(value),
            Ok(None) => errors.push(missing(word)),
            Err(error) => errors.push(error),
        }
    }
    let text = match (&template, parsed.text("format")?) {
        (Some(template), _) => {
            let lines = found.iter().map(|value| template.render(value).map(|line| line + "\n"));
            lines.collect::<Result<String>>()?
        }
        (None, Some(_)) => Value::from(found).to_string() + "\n",
        (None, None) => pretty(&found.into(), "", 0) + "\n",
    };
    super::print(&text)?;
    errors.iter().for_each(super::complain);
    Ok(u8::from(!errors.is_empty()))
}

/// A container or else an image or a volume.
fn any(store: &Store, word: &str) -> Result<Option<Value>> {
    if let Ok(id) = store.find_container(word) {
        return container::describe(store, &id).map(Some);
    }
    match image(store, word) {
        Ok(None) => volume::describe(store, word),
        Err(error) => volume::describe(store, word)?.map_or(Err(error), |volume| Ok(Some(volume))),
        found => found,
    }
}

fn container(store: &Store, word: &str) -> Result<Option<Value>> {
    container::describe(store, &store.find_container(word)?).map(Some)
}

fn in_force(store: &Store, word: &str) -> Result<Option<Value>> {
    security::describe(store, word).map(Some)
}

fn image(store: &Store, word: &str) -> Result<Option<Value>> {
    let Some(found) = images::find(store, word)? else { return Ok(None) };
    images::load(store, &found.id)?.map(|image| image::describe(store, &image)).transpose()
}

fn no_object(word: &str) -> Error {
    Error::new(format!("No such object: {word}"))
}

/// As Docker prints it: four blanks for each level, the fields in its order. `name` is the field's that holds `value`.
fn pretty(value: &Value, name: &str, depth: usize) -> String {
    let lines = |lines: Vec<String>| {
        let blanks = " ".repeat(4 * depth);
        lines.iter().map(|line| format!("{blanks}    {line}")).collect::<Vec<_>>().join(",\n") + "\n" + &blanks
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            format!("[\n{}]", lines(items.iter().map(|item| pretty(item, name, depth + 1)).collect()))
        }
        Value::Object(map) if !map.is_empty() => {
            let mut fields: Vec<_> = map.iter().collect();
            // A volume has no id, and its fields stand as they are in the alphabet.
            let is_ordered = !name.is_empty() || map.contains_key("Id");
            let order = ORDERS.iter().find(|(own, _)| *own == name && is_ordered).map_or("", |(_, order)| order);
            let place = |name: &str| order.split_whitespace().position(|first| first == name).unwrap_or(usize::MAX);
            fields.sort_by_key(|(name, _)| place(name));
            let line = |(name, value): &(&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), pretty(value, name, depth + 1))
            };
            format!("{{\n{}}}", lines(fields.iter().map(line).collect()))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_printed_as_docker_does() {
        assert_eq!(pretty(&json!([]), "", 0), "[]");
        let text =
            pretty(&json!([{"Os": "linux", "Id": "x", "Config": {"Env": ["a", " b"], "Cmd": null}, "New": []}]), "", 0);
        let want = "[\n    {\n        \"Id\": \"x\",\n        \"Os\": \"linux\",\n        \"Config\": {\n            \
                    \"Env\": [\n                \"a\",\n                \" b\"\n            ],\n            \
                    \"Cmd\": null\n        },\n        \"New\": []\n    }\n]";
        assert_eq!(text, want);
    }
}
