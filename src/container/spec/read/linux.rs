//! Translates `linux`: namespaces, ids, the cgroup, sysctls, seccomp and masked paths.

use super::Missing;
use crate::container::document::{
    Absolute, DeviceKind, DeviceNode, Extension, IdMapping, Linux, NamespaceKind, Propagation, SeccompSource,
};
use crate::container::spec::Seccomp;
use crate::isolation::capabilities::Set;
use crate::isolation::devices::{self, Device};
use crate::isolation::idmap::{Extent, IdMap};
use crate::isolation::network::Network;
use crate::isolation::procfs::Shut;
use crate::isolation::seccomp::Filter;
use crate::isolation::sysctl::{self, Setting};
use std::path::{Component, Path, PathBuf};

/// The namespaces that a container may share with the host.
pub struct Namespaces {
    pub network: Network,
    /// Whether it has a cgroup namespace of its own.
    pub cgroup: bool,
}

pub fn namespaces(linux: &Linux, missing: &mut Missing) -> Namespaces {
    for (at, namespace) in linux.namespaces.iter().enumerate() {
        let (place, word) = (format!("linux.namespaces[{at}]"), namespace.kind.word());
        match &namespace.path {
            Some(path) => missing.push(place, format_args!("joining the {word} namespace {}", path.0.display())),
            None => missing.refuse(namespace.kind == NamespaceKind::Time, place, "a time namespace"),
        }
    }
    let has = |kind| linux.namespace(kind).is_some();
    let no_user = "there is no user namespace, and ccrun runs nothing as the host's root";
    missing.refuse(!has(NamespaceKind::User), "linux.namespaces", no_user);
    for kind in [NamespaceKind::Pid, NamespaceKind::Mount, NamespaceKind::Ipc, NamespaceKind::Uts] {
        missing.refuse(!has(kind), "linux.namespaces", format_args!("the host's {} namespace", kind.word()));
    }
    let network = if has(NamespaceKind::Network) { Network::None } else { Network::Host };
    Namespaces { network, cgroup: has(NamespaceKind::Cgroup) }
}

/// The id map of the user namespace, if one is asked for.
pub fn ids(linux: &Linux, missing: &mut Missing) -> Option<IdMap> {
    linux.namespace(NamespaceKind::User).filter(|namespace| namespace.path.is_none())?;
    let mut extents = |name: &str, mappings: &[IdMapping]| {
        let place = format!("linux.{name}");
        let total: u64 = mappings.iter().map(|mapping| u64::from(mapping.size)).sum();
        missing.refuse(total == 1, &place, "a single id");
        let is_host_root = mappings.iter().any(|mapping| mapping.host_id.0 == 0);
        missing.refuse(is_host_root, &place, "it includes the host's root, and ccrun runs nothing as the host's root");
        let has_root = mappings.iter().any(|mapping| mapping.container_id.0 == 0);
        missing.refuse(!has_root, &place, "the container's root has no id on the host");
        let extent = |mapping: &IdMapping| Extent {
            inside: mapping.container_id.0,
            outside: mapping.host_id.0,
            count: mapping.size,
        };
        mappings.iter().map(extent).collect::<Vec<_>>()
    };
    let (uids, gids) = (extents("uidMappings", &linux.uid_mappings), extents("gidMappings", &linux.gid_mappings));
    IdMap::of_extents(uids, gids)
}

/// The parent of the cgroup, from the top of each hierarchy, and its name. A relative path starts there, too.
pub fn cgroup(linux: &Linux, missing: &mut Missing) -> Option<(PathBuf, String)> {
    let text = linux.cgroups_path.as_deref().filter(|text| !text.is_empty())?;
    let place = "linux.cgroupsPath";
    let is_systemds = !text.contains('/') && text.split(':').count() == 3;
    let path = Path::new(text.trim_start_matches('/'));
    let name = path.file_name().and_then(|name| name.to_str());
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    match (path.parent(), name) {
        _ if is_systemds => {
            missing.push(place, format_args!("'{text}' is a systemd unit, which ccrun does not support"))
        }
        (Some(parent), Some(name)) if is_plain => return Some((parent.to_owned(), name.to_owned())),
        _ => missing.push(place, format_args!("'{text}' is not the path of a cgroup")),
    }
    None
}

pub fn seccomp(linux: &Linux, ccrun: &Extension, capabilities: Set, missing: &mut Missing) -> Seccomp {
    let mut profile = match (ccrun.seccomp, linux.seccomp.clone()) {
        (Some(SeccompSource::Default), _) => return Seccomp::Default,
        (Some(SeccompSource::Unconfined), _) | (_, None) => return Seccomp::Unconfined,
        // Checked on the command line.
        (Some(SeccompSource::Profile), Some(profile)) => return Seccomp::Profile(profile),
        (None, Some(profile)) => profile,
    };
    // Properties of Docker's format, which the OCI's ignores.
    if let Some(object) = profile.as_object_mut() {
        object.remove("archMap");
        let rules = object.get_mut("syscalls").and_then(serde_json::Value::as_array_mut).into_iter().flatten();
        for rule in rules.filter_map(serde_json::Value::as_object_mut) {
            ["name", "includes", "excludes"].iter().for_each(|name| drop(rule.remove(*name)));
        }
    }
    if let Err(error) = Filter::of_profile(&profile, capabilities) {
        missing.push("linux.seccomp", error);
    }
    Seccomp::Profile(profile)
}

/// The sysctls, and the domain name, which is a sysctl but has a system call of its own.
pub fn settings(
    linux: &Linux,
    ccrun: &Extension,
    own_network: bool,
    missing: &mut Missing,
) -> (Vec<Setting>, Option<String>) {
    let (mut settings, mut domain) = (Vec::new(), None);
    for (name, value) in &linux.sysctl {
        let setting = Setting {
            name: sysctl::dotted(name),
            value: value.clone(),
            required: !ccrun.optional_sysctls.contains(name),
        };
        if setting.name == "kernel.domainname" {
            domain = Some(value.clone());
        } else if setting.is_of_namespace(own_network) {
            settings.push(setting);
        } else {
            missing.push(format_args!("linux.sysctl.{name}"), "does not belong to a namespace of the container's own");
        }
    }
    (settings, domain)
}

pub fn shut(linux: &Linux) -> Shut {
    let paths = |list: &[Absolute]| list.iter().map(|path| path.0.clone()).collect();
    Shut { masked: paths(&linux.masked_paths), read_only: paths(&linux.readonly_paths) }
}

/// Devices of the host to bind.
pub fn bound(ccrun: &Extension) -> Vec<Device> {
    let all = ccrun.devices.iter();
    all.map(|device| Device { source: device.source.0.clone(), target: device.destination.0.clone() }).collect()
}

/// Lists further properties that ccrun cannot honor.
pub fn refuse(linux: &Linux, missing: &mut Missing) {
    let is_private = |propagation| matches!(propagation, Propagation::Private | Propagation::Rprivate);
    if let Some(propagation) = linux.rootfs_propagation.filter(|propagation| !is_private(*propagation)) {
        let why = format_args!("'{}': mounts are private here", propagation.word());
        missing.push("linux.rootfsPropagation", why);
    }
    let is_labelled = linux.mount_label.as_ref().is_some_and(|label| !label.is_empty());
    missing.refuse(is_labelled, "linux.mountLabel", "ccrun sets no label of a security module");
    let mut others = linux.devices.iter().enumerate().filter(|(_, device)| !is_everywhere(device));
    if let Some((at, device)) = others.next() {
        let more = match others.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let path = device.path.0.display();
        let why = format_args!("{path}{more}: no device node can be made in a user namespace");
        missing.push(format_args!("linux.devices[{at}]"), why);
    }
    linux.unread.keys().for_each(|name| missing.push(format_args!("linux.{name}"), "ccrun does not set it"));
}

/// Whether every container has this device, with the same mode and owner.
fn is_everywhere(device: &DeviceNode) -> bool {
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let (Some(major), Some(minor)) = (number(device.major), number(device.minor)) else { return false };
    // The mode may include the file type.
    let mode = device.file_mode.is_none_or(|mode| mode & 0o7777 == 0o666);
    let is_root = [device.uid, device.gid].iter().flatten().all(|id| id.0 == 0);
    let is_character = matches!(device.kind, DeviceKind::Character | DeviceKind::Unbuffered);
    is_character && mode && is_root && devices::is_everywhere(&device.path.0, major, minor)
}
