//! The root file system, and what is mounted into it.

use super::object::{Absolute, At, Json, object};
use crate::error::Result;
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

object! {
    pub struct RootEntry {
        path: Location = "path",
        readonly: Option<bool> = "readonly",
    }
    pub struct MountEntry {
        destination: Absolute = "destination",
        kind: Option<String> = "type",
        source: Option<OsString> = "source",
        options: Vec<String> = "options",
    } keeps unread: ["uidMappings", "gidMappings"]
}

/// A path, absolute or below the bundle's directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Location(pub PathBuf);

impl Json for Location {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let text = OsString::read(value, at)?;
        if text.is_empty() { Err(at.error("is empty")) } else { Ok(Location(text.into())) }
    }

    fn write(&self) -> Option<Value> {
        self.0.as_os_str().to_owned().write()
    }
}
