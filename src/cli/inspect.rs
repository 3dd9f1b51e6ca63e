//! What every `inspect` does: all that is known of each thing, as Docker's JSON.

use super::args::{One, Parsed, one};
use super::output::format::Template;
use super::{output, store};
use crate::error::{Error, Result};
use crate::store::Store;
use serde_json::Value;

pub const FORMAT: One = one(Some('f'), "format", "TEMPLATE", "Print what the template makes of each");

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

/// Finds the thing that a word names, and tells all of it.
type Find<'a> = dyn Fn(&Store, &str) -> Result<Option<Value>> + 'a;

/// Shows each thing that the command line names; returns the exit status.
pub fn inspect(parsed: &Parsed, find: &Find<'_>, missing: &dyn Fn(&str) -> Error) -> Result<u8> {
    let template = parsed.text(FORMAT)?.filter(|text| *text != "json").map(Template::parse).transpose()?;
    let (store, _) = store::look_swept(parsed)?;
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for word in parsed.words()? {
        match find(&store, word) {
            Ok(Some(value)) => found.push(value),
            Ok(None) => errors.push(missing(word)),
            Err(error) => errors.push(error),
        }
    }
    let text = match (&template, parsed.text(FORMAT)?) {
        (Some(template), _) => {
            let lines = found.iter().map(|value| template.render(value).map(|line| line + "\n"));
            lines.collect::<Result<String>>()?
        }
        (None, Some(_)) => Value::from(found).to_string() + "\n",
        (None, None) => pretty(&found.into(), "", 0) + "\n",
    };
    output::print(&text)?;
    errors.iter().for_each(output::complain);
    Ok(u8::from(!errors.is_empty()))
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
            crate::sort::by_key(&mut fields, |(name, _)| place(name));
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
    use crate::json::json;

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
