//! The properties for Linux: `linux`.

use super::object::{Absolute, At, object, words};
use super::process::Id;
use super::resources::Resources;
use crate::error::Result;
use serde_json::Value;
use std::collections::BTreeMap;

object! {
    #[derive(Default)]
    pub struct Linux {
        namespaces: Vec<Namespace> = "namespaces",
        uid_mappings: Vec<IdMapping> = "uidMappings",
        gid_mappings: Vec<IdMapping> = "gidMappings",
        devices: Vec<DeviceNode> = "devices",
        cgroups_path: Option<String> = "cgroupsPath",
        resources: Option<Resources> = "resources",
        sysctl: BTreeMap<String, String> = "sysctl",
        /// As `isolation::seccomp` reads it.
        seccomp: Option<Value> = "seccomp",
        masked_paths: Vec<Absolute> = "maskedPaths",
        readonly_paths: Vec<Absolute> = "readonlyPaths",
        rootfs_propagation: Option<Propagation> = "rootfsPropagation",
        mount_label: Option<String> = "mountLabel",
    } keeps unread: ["intelRdt", "memoryPolicy", "netDevices", "personality", "timeOffsets"]
    /// A namespace of the container: the one at `path`, or else a new one.
    pub struct Namespace {
        kind: NamespaceKind = "type",
        path: Option<Absolute> = "path",
    }
    pub struct IdMapping {
        container_id: Id = "containerID",
        host_id: Id = "hostID",
        size: u32 = "size",
    }
    pub struct DeviceNode {
        path: Absolute = "path",
        kind: DeviceKind = "type",
        major: Option<i64> = "major",
        minor: Option<i64> = "minor",
        file_mode: Option<u32> = "fileMode",
        uid: Option<Id> = "uid",
        gid: Option<Id> = "gid",
    }
}

words! {
    pub enum NamespaceKind("a namespace") {
        Pid = "pid",
        Network = "network",
        Mount = "mount",
        Ipc = "ipc",
        Uts = "uts",
        User = "user",
        Cgroup = "cgroup",
        Time = "time",
    }
    pub enum DeviceKind("a type of device") {
        Character = "c",
        Unbuffered = "u",
        Block = "b",
        Pipe = "p",
    }
    pub enum Propagation("a propagation of mounts") {
        Private = "private",
        Rprivate = "rprivate",
        Slave = "slave",
        Rslave = "rslave",
        Shared = "shared",
        Rshared = "rshared",
        Unbindable = "unbindable",
        Runbindable = "runbindable",
    }
}

impl Linux {
    /// The entry of a kind. Without one the container has the host's.
    pub fn namespace(&self, kind: NamespaceKind) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    pub(super) fn check(&self, at: &At<'_>) -> Result<()> {
        for (number, one) in self.namespaces.iter().enumerate() {
            if self.namespaces[..number].iter().any(|before| before.kind == one.kind) {
                let what = format!("'{}' is listed twice", one.kind.word());
                return Err(at.member("namespaces").item(number).member("type").error(what));
            }
        }
        for (name, mappings) in [("uidMappings", &self.uid_mappings), ("gidMappings", &self.gid_mappings)] {
            let list = at.member(name);
            mappings.iter().enumerate().try_for_each(|(number, one)| one.check(&list.item(number)))?;
        }
        let devices = at.member("devices");
        for (number, one) in self.devices.iter().enumerate() {
            if one.kind != DeviceKind::Pipe && (one.major.is_none() || one.minor.is_none()) {
                return Err(devices.item(number).error("a device needs major and minor"));
            }
        }
        if let Some(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) = &self.seccomp {
            return Err(at.member("seccomp").is_not(value, "an object"));
        }
        Ok(())
    }
}

impl IdMapping {
    fn check(&self, at: &At<'_>) -> Result<()> {
        let ends = |first: u32| u64::from(first) + u64::from(self.size) > u64::from(u32::MAX);
        match self.size {
            0 => Err(at.member("size").error("a range has at least one id")),
            _ if ends(self.container_id.0) || ends(self.host_id.0) => Err(at.error("the range ends above the last id")),
            _ => Ok(()),
        }
    }
}
