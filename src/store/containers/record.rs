//! What is written down of a container: `config.json` when it is made, `exit.json` at its end.

use crate::json::json;
use crate::sys::fs::Time;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is kept about a container beside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: Option<String>,
    pub command: Vec<String>,
    pub created: Time,
    /// Whether it is to be removed when it ends.
    pub remove: bool,
    /// The cgroup directories that were made for it.
    pub cgroup: Vec<PathBuf>,
    pub stop_signal: Option<String>,
    /// Whether PID 1 is ccrun, and the command its child.
    pub init: bool,
    /// The names of the volumes that are mounted into it.
    pub volumes: Vec<String>,
    /// What `inspect` shows of it beside that: Docker's `Config`, `HostConfig`, `Mounts` and `NetworkSettings`.
    /// Null for containers of ccrun 0.3.
    pub shown: Value,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    pub code: u8,
    pub finished: Time,
    /// When its command began; ccrun 0.3 did not note it.
    pub started: Option<Time>,
    /// Whether a process in it was ended because it had reached its memory limit.
    pub oom_killed: bool,
}

impl Record {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "image": self.image, "imageId": self.image_id,
            "command": self.command, "created": self.created.seconds, "createdNanos": self.created.nanoseconds,
            "remove": self.remove,
            "cgroup": self.cgroup.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "stopSignal": self.stop_signal, "init": self.init, "volumes": self.volumes,
            "shown": self.shown,
        })
    }

    pub(super) fn from_json(id: &str, value: &Value) -> Option<Record> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let texts =
            |name: &str| value[name].as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned));
        Some(Record {
            id: text("id").filter(|own| own == id)?,
            name: text("name")?,
            image: text("image")?,
            image_id: text("imageId"),
            command: texts("command")?.collect(),
            created: time(value, "created")?,
            remove: value["remove"].as_bool()?,
            cgroup: texts("cgroup")?.map(PathBuf::from).collect(),
            stop_signal: text("stopSignal"),
            init: value["init"].as_bool().unwrap_or(true),
            volumes: texts("volumes").into_iter().flatten().collect(),
            shown: value["shown"].clone(),
        })
    }
}

impl Record {
    /// What is mounted into it: volumes by name, the rest by path, in the order of the command line.
    pub fn mounts(&self) -> Vec<String> {
        let Some(mounts) = self.shown["Mounts"].as_array() else { return self.volumes.clone() };
        let name = |mount: &Value| ["Name", "Source"].iter().find_map(|name| mount[*name].as_str().map(str::to_owned));
        mounts.iter().filter_map(name).collect()
    }

    /// Whether a volume of this name is mounted into it, or something at this place or from this path.
    pub fn has_mount(&self, word: &str) -> bool {
        let names = |mount: &Value| ["Name", "Source", "Destination"].iter().any(|name| mount[*name] == word);
        self.volumes.iter().any(|name| name == word)
            || self.shown["Mounts"].as_array().is_some_and(|mounts| mounts.iter().any(names))
    }

    /// How many volumes it has, with a name or without.
    pub fn local_volumes(&self) -> usize {
        let is_volume = |mount: &&Value| mount["Type"] == "volume";
        let mounts = self.shown["Mounts"].as_array();
        mounts.map_or(self.volumes.len(), |mounts| mounts.iter().filter(is_volume).count())
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.shown["Config"]["Labels"].as_object().into_iter().flatten();
        crate::sort::into(labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))))
    }

    /// Docker's name of its network.
    pub fn network(&self) -> &str {
        self.shown["HostConfig"]["NetworkMode"].as_str().unwrap_or("none")
    }
}

impl Exit {
    pub(super) fn to_json(&self) -> Value {
        let mut value = json!({
            "code": self.code, "finished": self.finished.seconds, "finishedNanos": self.finished.nanoseconds,
            "oomKilled": self.oom_killed,
        });
        if let Some(started) = self.started {
            value["started"] = started.seconds.into();
            value["startedNanos"] = started.nanoseconds.into();
        }
        value
    }

    /// Reads the first line; what follows was there before it.
    pub(super) fn from_text(text: &str) -> Option<Exit> {
        let value: Value = serde_json::from_slice(text.lines().next()?.as_bytes()).ok()?;
        Some(Exit {
            code: value["code"].as_u64()?.try_into().ok()?,
            finished: time(&value, "finished").unwrap_or_default(),
            started: time(&value, "started"),
            oom_killed: value["oomKilled"].as_bool().unwrap_or(false),
        })
    }
}

/// The time called `name`: seconds, and nanoseconds where ccrun is newer than 0.3.
fn time(value: &Value, name: &str) -> Option<Time> {
    let nanoseconds = value[format!("{name}Nanos")].as_u64().and_then(|number| number.try_into().ok());
    Some(Time { seconds: value[name].as_i64()?, nanoseconds: nanoseconds.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_disk_and_a_damaged_one_is_none() {
        let record = Record {
            id: "ab".into(),
            name: "n".into(),
            image: "alpine".into(),
            command: vec!["sh".into()],
            cgroup: vec!["/sys/fs/cgroup/x".into()],
            ..Record::default()
        };
        let json = record.to_json();
        assert_eq!(Record::from_json("ab", &json), Some(record));
        assert_eq!(Record::from_json("other", &json), None);
        for damaged in ["null", "[]", "{}", r#"{"id":"ab","name":7}"#] {
            assert_eq!(Record::from_json("ab", &serde_json::from_str(damaged).unwrap()), None, "{damaged}");
        }
    }
}
