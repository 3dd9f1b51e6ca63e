//! `ccrun inspect` and `ccrun image inspect`: all that is known, as Docker's JSON.

mod container;
mod image;
mod security;

use super::flag::{Command, Flag, one, switch};
use super::format::Template;
use super::parse::Parsed;
use crate::container::create;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use serde_json::Value;

const FORMAT: Flag = one(Some('f'), "format", "TEMPLATE", "Print what the template makes of each");
const SECURITY: Flag = switch(None, "security", "Tell what is in force for running containers, read from the kernel");

pub static COMMAND: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    summary: "Tell all about containers and images",
    flags: &[FORMAT, SECURITY, one(None, "type", "TYPE", "Look only for a container or an image")],
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
        Some(other) => {
            Err(Error::new(format!("\"{other}\" is not a valid value for --type")).hint("container or image"))
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
    flags: &[FORMAT, SECURITY],
    run: |parsed| inspect(parsed, if parsed.is_on("security") { &in_force } else { &container }, &no_object),
    ..COMMAND
};

/// The fields that stand first, in Docker's order; those not named here follow.
const FIRST: &str = "
    Id Created Path Args State Image RepoTags RepoDigests Parent Comment Name Status Running DockerVersion Author Config
    Architecture Variant Os Size GraphDriver Type RootFS Metadata Command Init Pid ContainerPid Uid Gid Groups HostUid
    HostGid Capabilities";

type Find = dyn Fn(&Store, &str) -> Result<Option<Value>>;

fn inspect(parsed: &Parsed, find: &Find, missing: &dyn Fn(&str) -> Error) -> Result<u8> {
    let template = parsed.text("format")?.filter(|text| *text != "json").map(Template::parse).transpose()?;
    let (store, _) = super::open_store(parsed)?;
    create::sweep(&store)?;
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for word in parsed.words()? {
        match find(&store, word) {
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
        (None, None) => pretty(&found.into(), 0) + "\n",
    };
    super::print(&text)?;
    errors.iter().for_each(super::complain);
    Ok(u8::from(!errors.is_empty()))
}

/// A container or else an image.
fn any(store: &Store, word: &str) -> Result<Option<Value>> {
    match store.find_container(word) {
        Ok(id) => container::describe(store, &id).map(Some),
        Err(_) => image(store, word),
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

/// As Docker prints it: four blanks for each level, the fields in its order.
fn pretty(value: &Value, depth: usize) -> String {
    let lines = |lines: Vec<String>| {
        let blanks = " ".repeat(4 * depth);
        lines.iter().map(|line| format!("{blanks}    {line}")).collect::<Vec<_>>().join(",\n") + "\n" + &blanks
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            format!("[\n{}]", lines(items.iter().map(|item| pretty(item, depth + 1)).collect()))
        }
        Value::Object(map) if !map.is_empty() => {
            let mut fields: Vec<_> = map.iter().collect();
            let place = |name: &str| FIRST.split_whitespace().position(|first| first == name).unwrap_or(usize::MAX);
            fields.sort_by_key(|(name, _)| place(name));
            let line = |(name, value): &(&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), pretty(value, depth + 1))
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
        assert_eq!(pretty(&json!([]), 0), "[]");
        let text =
            pretty(&json!([{"Os": "linux", "Id": "x", "Config": {"Env": ["a", " b"], "Cmd": null}, "New": []}]), 0);
        let want = "[\n    {\n        \"Id\": \"x\",\n        \"Config\": {\n            \"Cmd\": null,\n            \
                    \"Env\": [\n                \"a\",\n                \" b\"\n            ]\n        },\n        \
                    \"Os\": \"linux\",\n        \"New\": []\n    }\n]";
        assert_eq!(text, want);
    }
}
