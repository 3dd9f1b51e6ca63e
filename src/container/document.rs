//! The document that describes a container: the config.json of the OCI runtime specification (config.md,
//! config-linux.md). Numbers and paths, no policy.
//!
//! Properties that the specification does not know are ignored, as it demands. A value of the wrong type, or one that
//! the specification does not allow, is an error that names its path: `config.json: mounts[2].destination: …`.
//! ccrun's own properties are in one object, `ccrun`.

mod extension;
mod linux;
mod object;
mod process;
mod resources;
#[cfg(test)]
mod tests;

pub use extension::{BoundDevice, Extension, Ids, MountExtension, MountKind, RootKind, SeccompSource, Stdio};
pub use linux::{DeviceKind, DeviceNode, IdMapping, Linux, Namespace, NamespaceKind, Propagation};
pub use object::Absolute;
pub use process::{Capabilities, Id, ProcessEntry, RlimitEntry, RlimitKind, Score, Umask, UserEntry, Variable};
pub use resources::{
    BlockIoLimits, Bytes, CpuLimits, MemoryLimits, Percent, PidsLimit, Quota, Resources, ThrottleDevice, Weight,
    WeightDevice,
};

use crate::error::{Error, Result};
use object::{At, Json, object};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

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
        ccrun: Extension = "ccrun",
    }
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
    /// A program to run at some point of a container's life (config.md, "POSIX-platform Hooks").
    pub struct Hook {
        path: Absolute = "path",
        args: Vec<String> = "args",
        env: Vec<String> = "env",
        /// In seconds.
        timeout: Option<i64> = "timeout",
    }
    #[derive(Default)]
    pub struct Hooks {
        prestart: Vec<Hook> = "prestart",
        create_runtime: Vec<Hook> = "createRuntime",
        create_container: Vec<Hook> = "createContainer",
        start_container: Vec<Hook> = "startContainer",
        poststart: Vec<Hook> = "poststart",
        poststop: Vec<Hook> = "poststop",
    }
}

impl Document {
    /// Reads the text of a config.json.
    pub fn parse(text: &[u8]) -> Result<Document> {
        let in_context = |error: Error| error.context("config.json");
        let value = serde_json::from_slice(text)
            .map_err(|error| in_context(Error::new(format_args!("is not JSON: {error}"))))?;
        let document = Document::read(&value, &At::TOP).map_err(in_context)?;
        document.check().map_err(in_context)?;
        Ok(document)
    }

    pub fn to_json(&self) -> Value {
        self.write().unwrap_or_default()
    }

    /// Checks the rules that concern several properties.
    fn check(&self) -> Result<()> {
        self.process.check(&At::TOP.member("process"))?;
        self.linux.check(&At::TOP.member("linux"))?;
        if ![0, 3].contains(&self.ccrun.stdio.len()) {
            return Err(At::TOP.member("ccrun").member("stdio").error("takes three streams"));
        }
        if self.annotations.contains_key("") {
            return Err(At::TOP.member("annotations").error("a key is empty"));
        }
        Ok(())
    }
}

impl Hooks {
    /// The names of the kinds that have hooks.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ];
        all.into_iter().filter(|(_, hooks)| !hooks.is_empty()).map(|(kind, _)| kind)
    }
}

/// A version of the specification, 1.x.
#[derive(Clone, Debug, PartialEq)]
pub struct Version(String);

impl Version {
    /// The version that ccrun writes.
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

/// A name that sethostname(2) and setdomainname(2) accept.
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

/// Properties that ccrun knows by name only: kept unchanged, so that they can be refused.
pub type Unread = Map<String, Value>;
