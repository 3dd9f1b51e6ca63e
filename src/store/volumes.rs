//! Volumes: `volumes/<name>/_data` is what is mounted, `volumes/<name>/volume.json` what was said when it was made.

use super::Store;
use super::layout::write_file;
use super::sweep::Gone;
use crate::error::{Error, Result};
use crate::sys::fs::Time;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A volume that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub created: Time,
    pub labels: BTreeMap<String, String>,
    /// Whether it was made without a name.
    pub anonymous: bool,
}

impl Store {
    /// The directory of the volume `name` that is mounted into containers, whether it is there or not.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.root().join("volumes").join(name).join("_data")
    }

    /// Makes a volume; one that is there already stays as it is.
    pub fn make_volume(&self, name: &str, labels: &BTreeMap<String, String>, anonymous: bool) -> Result<()> {
        if self.volume(name).is_some() {
            return Ok(());
        }
        let dir = self.dir("volumes")?.join(name);
        std::fs::create_dir_all(&dir)
            .map_err(|error| Error::io(format!("make the directory {}", dir.display()), &error))?;
        if !labels.is_empty() || anonymous {
            let text = json!({ "labels": labels, "anonymous": anonymous }).to_string();
            write_file(&dir.join("volume.json"), text.as_bytes())?;
        }
        self.make_for_root(&self.volume_data(name))
    }

    /// The volume called `name`.
    pub fn volume(&self, name: &str) -> Option<Volume> {
        let data = self.volume_data(name);
        let dir = data.parent()?;
        let created = std::fs::metadata(dir).ok().filter(|_| data.is_dir())?;
        let text = std::fs::read(dir.join("volume.json")).unwrap_or_default();
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let labels = value.get("labels").and_then(Value::as_object).into_iter().flatten();
        let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Some(Volume {
            name: name.to_owned(),
            created: Time { seconds: created.mtime(), nanoseconds: u32::try_from(created.mtime_nsec()).unwrap_or(0) },
            labels: labels.filter_map(label).collect(),
            anonymous: value.get("anonymous").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let mut names = self.names_in("volumes")?;
        names.sort();
        Ok(names.iter().filter_map(|name| self.volume(name)).collect())
    }

    /// The ids of the containers that a volume is mounted into, running or not.
    pub fn volume_users(&self, name: &str) -> Result<Vec<String>> {
        let mut users = self.container_ids()?;
        users.retain(|id| self.container(id).is_ok_and(|container| container.volumes().any(|own| own == name)));
        users.sort();
        Ok(users)
    }

    /// Takes a volume out of sight; the caller holds the exclusive lock and knows that nothing uses it.
    pub fn put_volume_away(&self, name: &str) -> Result<Gone<'_>> {
        let path = self.root().join("volumes").join(name);
        self.put_away(&path)
    }
}
