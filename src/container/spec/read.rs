//! Translates a document into a specification.
//!
//! Properties that ccrun cannot honor are not dropped silently: they are listed as missing, with their path in the
//! document, and no container is made from such a document.

mod linux;
mod mounts;
pub mod options;
mod process;
mod resources;

use super::{ContainerSpec, Root, Security};
use crate::container::document::{Document, Hostname, Ids};
use crate::error::Result;
use std::fmt::Display;
use std::path::Path;

/// The properties of a document that ccrun cannot honor.
#[derive(Default)]
pub struct Missing(pub Vec<String>);

impl Missing {
    fn push(&mut self, place: impl Display, why: impl Display) {
        self.0.push(format!("{place}: {why}"));
    }

    /// Lists `place` if `is_missing`.
    fn refuse(&mut self, is_missing: bool, place: impl Display, why: impl Display) {
        if is_missing {
            self.push(place, why);
        }
    }
}

/// An unknown value that is only worth a warning.
pub struct Unknown {
    /// A capability by name.
    pub capability: String,
}

/// Returns the specification, the properties that ccrun cannot honor, and the unknown values. `root` is the root file
/// system that the document names; relative paths start at `dir`.
pub fn read(document: &Document, root: Root, dir: &Path) -> Result<(ContainerSpec, Vec<String>, Vec<Unknown>)> {
    let Document {
        oci_version: _,
        hostname,
        domainname,
        annotations: _,
        root: entry,
        process,
        mounts,
        hooks,
        linux,
        ccrun,
    } = document;
    let (mut missing, mut unknown) = (Missing::default(), Vec::new());
    // A document that ccrun wrote itself: ids and limits may be left to the store.
    let is_ours = ccrun.ids == Some(Ids::Store);
    hooks.kinds().for_each(|kind| missing.push(format_args!("hooks.{kind}"), "ccrun runs no hooks"));
    let text = |name: &Option<Hostname>| name.as_ref().map(|name| name.0.clone());
    let namespaces = linux::namespaces(linux, &mut missing);
    let capabilities = process::capabilities(process, ccrun, &mut missing, &mut unknown);
    let security = Security {
        capabilities,
        no_new_privileges: process.no_new_privileges.unwrap_or(false),
        seccomp: linux::seccomp(linux, ccrun, capabilities, &mut missing),
        privileged: ccrun.privileged == Some(true),
    };
    let (settings, nis) = linux::settings(linux, ccrun, namespaces.network.is_own(), &mut missing);
    let (kernel, mounts) = mounts::translate(mounts, ccrun, dir, namespaces.network.is_own(), &mut missing);
    let (cgroup_parent, cgroup_name) = linux::cgroup(linux, &mut missing).unzip();
    linux::refuse(linux, &mut missing);
    let mut limits = resources::limits(linux.resources.as_ref(), is_ours, cgroup_name.is_some(), &mut missing);
    limits.default_pids = ccrun.default_pids;
    let spec = ContainerSpec {
        id: ccrun.id.clone().unwrap_or_default(),
        name: ccrun.name.clone().unwrap_or_default(),
        image: ccrun.image.clone().unwrap_or_default(),
        image_id: ccrun.image_id.clone(),
        hostname: text(hostname).unwrap_or_default(),
        domainname: text(domainname).or(nis),
        root,
        read_only: entry.readonly.unwrap_or(false),
        process: process::translate(process, ccrun, &mut missing)?,
        kernel,
        own_files: ccrun.host_files == Some(true),
        mounts,
        shut: linux::shut(linux),
        settings,
        ids: if is_ours { None } else { linux::ids(linux, &mut missing) },
        devices: linux::bound(ccrun),
        network: namespaces.network,
        limits,
        cgroup_parent: cgroup_parent.or(ccrun.cgroup_parent.as_ref().map(Into::into)),
        cgroup_name,
        cgroup_namespace: namespaces.cgroup,
        stats: ccrun.stats == Some(true),
        security,
        // A bundle's process is PID 1 of its container.
        init: ccrun.init.unwrap_or(false),
        remove: ccrun.remove == Some(true),
        stop_signal: ccrun.stop_signal.clone(),
        shown: ccrun.inspect.clone().unwrap_or_default(),
    };
    Ok((spec, missing.0, unknown))
}
