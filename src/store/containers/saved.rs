//! A container on disk: its document and its state.

use super::state::{State, Status};
use crate::json::json;
use crate::sys::fs::Time;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The record of a container. The document is that of the OCI runtime specification, with ccrun's own properties in
/// `ccrun`.
#[derive(Clone, Debug)]
pub struct Container {
    pub id: String,
    pub document: Value,
    pub state: State,
}

impl Container {
    /// Returns `None` if `document` is not one of the container `id`.
    pub(super) fn new(id: &str, document: Value, state: State) -> Option<Container> {
        let own = &document["ccrun"];
        let is_sound = own["id"] == id && own["name"].is_string() && document["process"]["args"].is_array();
        is_sound.then(|| Container { id: id.to_owned(), document, state })
    }

    fn own(&self, name: &str) -> &Value {
        &self.document["ccrun"][name]
    }

    pub fn name(&self) -> &str {
        self.own("name").as_str().unwrap_or_default()
    }

    /// The image or root file system, as the user named it.
    pub fn image(&self) -> &str {
        self.own("image").as_str().unwrap_or_default()
    }

    /// The image's id, if it was made from one.
    pub fn image_id(&self) -> Option<&str> {
        self.own("imageId").as_str()
    }

    pub fn command(&self) -> Vec<String> {
        let args = self.document["process"]["args"].as_array().into_iter().flatten();
        args.map(|arg| arg.as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Whether to remove it when it ends (`--rm`).
    pub fn is_removed(&self) -> bool {
        self.own("remove") == true
    }

    pub fn stop_signal(&self) -> Option<&str> {
        self.own("stopSignal").as_str()
    }

    /// Whether PID 1 is ccrun, and the command its child.
    pub fn has_init(&self) -> bool {
        self.own("init") == true
    }

    /// The names of its named volumes.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.own("mounts").as_object().into_iter().flatten();
        mounts.filter_map(|(_, mount)| mount["volume"].as_str())
    }

    /// Docker's `Config`, `HostConfig` and `Mounts` for `inspect`, without the values that are Docker's defaults.
    pub fn shown(&self) -> &Value {
        self.own("inspect")
    }

    /// Its mounts, in the order of the command line: volumes by name, others by path.
    pub fn mounts(&self) -> Vec<String> {
        let name = |mount: &Value| ["Name", "Source"].iter().find_map(|name| mount[*name].as_str().map(str::to_owned));
        self.shown_mounts().filter_map(name).collect()
    }

    /// Whether it has a mount with this volume name, source or target.
    pub fn has_mount(&self, word: &str) -> bool {
        self.shown_mounts().any(|mount| ["Name", "Source", "Destination"].iter().any(|name| mount[*name] == word))
    }

    /// The number of its volumes, with or without a name.
    pub fn local_volumes(&self) -> usize {
        self.shown_mounts().filter(|mount| mount["Type"] == "volume").count()
    }

    fn shown_mounts(&self) -> impl Iterator<Item = &Value> {
        self.shown()["Mounts"].as_array().into_iter().flatten()
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.shown()["Config"]["Labels"].as_object().into_iter().flatten();
        crate::sort::into(labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))))
    }

    /// Docker's name of its network.
    pub fn network(&self) -> &str {
        self.shown()["HostConfig"]["NetworkMode"].as_str().unwrap_or("none")
    }
}

/// Converts the record of a container of ccrun 0.3: its `config.json`, its `exit.json` (the end), and its `live/ID` (the
/// pids, if it still runs).
pub(super) fn of_v03(id: &str, record: &Value, exit: &str, live: &str) -> Option<Container> {
    let texts = |name: &str| record[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let volumes = || texts("volumes").map(|name| json!({ "Type": "volume", "Name": name })).collect::<Vec<_>>();
    let shown = if record["shown"].is_object() { record["shown"].clone() } else { json!({ "Mounts": volumes() }) };
    let mounts: Map<String, Value> =
        crate::sort::into(texts("volumes").map(|name| (name.to_owned(), json!({ "volume": name }))));
    let document = json!({
        "process": { "args": record["command"] },
        "ccrun": {
            "id": record["id"], "name": record["name"], "image": record["image"], "imageId": record["imageId"],
            "remove": record["remove"], "init": record["init"].as_bool().unwrap_or(true),
            "stopSignal": record["stopSignal"], "mounts": mounts, "inspect": shown,
        },
    });
    let exit: Value = serde_json::from_slice(exit.lines().next().unwrap_or_default().as_bytes()).unwrap_or_default();
    let mut numbers = live.split_whitespace().map_while(|word| word.parse().ok());
    // Start times were not recorded.
    let mut process = || numbers.next().map(|pid| super::ProcessId { pid, start: 0 });
    let state = State {
        status: if exit.is_object() { Status::Exited } else { Status::Running },
        supervisor: process(),
        init: process(),
        cgroup: texts("cgroup").map(PathBuf::from).collect(),
        created: time(record, "created")?,
        started: time(&exit, "started"),
        finished: time(&exit, "finished"),
        exit_code: exit["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
        oom_killed: exit["oomKilled"] == true,
        ..State::default()
    };
    Container::new(id, document, state)
}

/// A time in seconds and, if present, nanoseconds.
fn time(value: &Value, name: &str) -> Option<Time> {
    let nanoseconds = value[format!("{name}Nanos")].as_u64().and_then(|number| number.try_into().ok());
    Some(Time { seconds: value[name].as_i64()?, nanoseconds: nanoseconds.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_another_container_is_refused() {
        let document = |id: &str| json!({ "process": { "args": ["sh"] }, "ccrun": { "id": id, "name": "n" } });
        assert!(Container::new("ab", document("ab"), State::default()).is_some());
        for damaged in [document("cd"), Value::Null, json!([]), json!({ "ccrun": { "id": "ab", "name": 7 } })] {
            assert!(Container::new("ab", damaged.clone(), State::default()).is_none(), "{damaged}");
            assert!(of_v03("ab", &damaged, "", "").is_none(), "{damaged}");
        }
    }
}
