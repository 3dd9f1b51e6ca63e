//! The document that describes a container, in the words of the OCI runtime specification (config.md,
//! config-linux.md): numbers and paths, and no policy.
//!
//! Properties that the specification does not know are ignored, as it demands. A value of the wrong type, or one that
//! the specification does not allow, is an error that names its place: `config.json: mounts[2].destination: …`.
//! What is ccrun's own stands in one object, `ccrun`.

mod hooks;
mod linux;
mod mount;
mod object;
mod own;
mod process;
mod resources;
#[cfg(test)]
mod tests;

pub use hooks::Hooks;
pub use linux::{DeviceKind, DeviceNode, IdMapping, Linux, Namespace, NamespaceKind, Propagation};
pub use mount::{Location, MountEntry, RootEntry};
pub use object::Absolute;
pub use own::{BoundDevice, Ids, Own, OwnMount, OwnMountKind, RootKind, SeccompSource, Stdio};
pub use process::{Capabilities, Id, ProcessEntry, RlimitEntry, RlimitKind, Score, Umask, UserEntry, Variable};
pub use resources::{
    BlockIoLimits, Bytes, CpuLimits, MemoryLimits, Percent, PidsLimit, Quota, Resources, ThrottleDevice, Weight,
    WeightDevice,
};

use crate::error::{Error, Result};
use object::{At, Json, object};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

object! {
    /// The whole of a config.json.
    pub struct Document {
        oci_version: Version = "ociVersion",
        hostname: Option<Hostname> = "hostname",
        domainname: Option<Hostname> = "domainname",
        annotations: BTreeMap<String, String> = "annotations",
        root: RootEntry = "root",
        process: ProcessEntry = "process",
        mounts: Vec<MountEntry> = "mounts",
        hooks: Hooks = "hooks",
        linux: Linux = "linux",
        own: Own = "ccrun",
    }
}

impl Document {
    /// Reads the text of a config.json.
    pub fn parse(text: &[u8]) -> Result<Document> {
        let said = |error: Error| error.context("config.json");
        let value = serde_json::from_slice(text).map_err(|error| said(Error::new(format!("is not JSON: {error}"))))?;
        let document = Document::read(&value, &At::TOP).map_err(said)?;
        document.check().map_err(said)?;
        Ok(document)
    }

    pub fn to_json(&self) -> Value {
        self.write().unwrap_or_default()
    }

    /// The rules that concern several properties.
    fn check(&self) -> Result<()> {
        self.process.check(&At::TOP.member("process"))?;
        self.linux.check(&At::TOP.member("linux"))?;
        if ![0, 3].contains(&self.own.stdio.len()) {
            return Err(At::TOP.member("ccrun").member("stdio").error("takes three streams"));
        }
        if self.annotations.contains_key("") {
            return Err(At::TOP.member("annotations").error("a key is empty"));
        }
        Ok(())
    }
}

/// A version of the specification, 1.x.
#[derive(Clone, Debug, PartialEq)]
pub struct Version(String);

impl Version {
    /// The one whose words ccrun writes.
    pub fn ours() -> Version {
        Version("1.2.0".to_owned())
    }
}

impl Json for Version {
    fn read(value: &Value, at: &At<'_>) -> Result<Version> {
        let text = String::read(value, at)?;
        let is_known = text.strip_prefix("1.").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_known { Ok(Version(text)) } else { Err(at.error(format!("'{text}' is not a version 1.x"))) }
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

/// What sethostname(2) and setdomainname(2) take.
#[derive(Clone, Debug, PartialEq)]
pub struct Hostname(pub String);

impl Json for Hostname {
    fn read(value: &Value, at: &At<'_>) -> Result<Hostname> {
        const LONGEST: usize = 64;
        let text = String::read(value, at)?;
        if text.len() > LONGEST {
            return Err(at.error(format!("'{text}' is longer than {LONGEST} bytes")));
        }
        Ok(Hostname(text))
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

/// Properties that ccrun knows by name only: kept as they are, to be refused.
pub type Unread = Map<String, Value>;
