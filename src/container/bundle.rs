//! An OCI bundle: a directory with a config.json and a root file system, as engines hand it to a runtime.
//!
//! Each part of the document is translated by the function that knows it. What ccrun cannot do is not left out: it
//! goes on the list of what is missing, with its place in the document, and a bundle with such a list is not run.

mod linux;
mod mounts;
mod process;
mod resources;
#[cfg(test)]
mod tests;

use super::document::Document;
use super::spec::{ContainerSpec, Root, Security, Stream};
use crate::error::{Error, Result};
use crate::sys::fs;
use std::fmt::Display;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The longest config.json that is read; an engine's has about 30 KiB.
const MOST_BYTES: usize = 4 << 20;

pub struct Bundle {
    dir: PathBuf,
    document: Document,
}

/// What a container is called, and what is settled by who runs it.
pub struct Asked {
    pub id: String,
    pub name: String,
    pub streams: [Stream; 3],
    /// Whether ccrun is PID 1, if that is said.
    pub init: Option<bool>,
    pub remove: bool,
    pub stats: bool,
}

/// What a document asks for and ccrun cannot do.
#[derive(Default)]
struct Missing(Vec<String>);

impl Missing {
    fn push(&mut self, place: impl Display, why: impl Display) {
        self.0.push(format!("{place}: {why}"));
    }

    /// Lists `place` if it is so.
    fn refuse(&mut self, is_so: bool, place: impl Display, why: impl Display) {
        if is_so {
            self.push(place, why);
        }
    }
}

impl Bundle {
    /// Reads DIR/config.json.
    pub fn read(dir: &Path) -> Result<Bundle> {
        let said = |error: Error| error.context(format!("bundle {}", dir.display()));
        let dir = std::fs::canonicalize(dir).map_err(|error| Error::io(format!("bundle {}", dir.display()), &error))?;
        let document = text(&dir.join("config.json")).and_then(|text| Document::parse(&text)).map_err(said)?;
        Ok(Bundle { dir, document })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the document describes, in the terms of [`super::create`]; an error that lists all that is missing. `note`
    /// takes what the user should know.
    pub fn spec(&self, asked: Asked, note: &mut dyn FnMut(&str)) -> Result<ContainerSpec> {
        let said = |error: Error| error.context(format!("bundle {}", self.dir.display()));
        let (spec, missing) = self.translate(asked, note).map_err(said)?;
        if missing.is_empty() {
            return Ok(spec);
        }
        Err(said(Error::new(format!("ccrun cannot do what config.json asks for: {}", missing.join("; ")))))
    }

    /// The specification, and what it lacks of the document.
    fn translate(&self, asked: Asked, note: &mut dyn FnMut(&str)) -> Result<(ContainerSpec, Vec<String>)> {
        let Document { oci_version: _, hostname, domainname, annotations: _, root, process, mounts, hooks, linux, own } =
            &self.document;
        let mut missing = Missing::default();
        hooks.kinds().for_each(|kind| missing.push(format_args!("hooks.{kind}"), "ccrun runs no hooks"));
        let text = |name: &Option<super::document::Hostname>| name.as_ref().map(|name| name.0.clone());
        let namespaces = linux::namespaces(linux, &mut missing);
        let capabilities = process::capabilities(process, &mut missing, note);
        let security = Security {
            capabilities,
            no_new_privileges: process.no_new_privileges.unwrap_or(false),
            filter: linux::filter(linux, capabilities, &mut missing),
            privileged: false,
        };
        let (settings, nis) = linux::settings(linux, namespaces.network.is_own(), &mut missing);
        let (kernel, mounts) = mounts::translate(mounts, &self.dir, namespaces.network.is_own(), &mut missing);
        let (cgroup_parent, cgroup_name) = linux::cgroup(linux, &mut missing).unzip();
        linux::refuse(linux, &mut missing);
        let (limits, process) = (
            resources::limits(linux.resources.as_ref(), cgroup_name.is_some(), &mut missing),
            process::translate(process, own, asked.streams, &mut missing)?,
        );
        let spec = ContainerSpec {
            id: asked.id,
            name: asked.name,
            image: self.dir.display().to_string(),
            image_id: None,
            hostname: text(hostname).unwrap_or_default(),
            domainname: text(domainname).or(nis),
            root: self.root(&root.path.0)?,
            read_only: root.readonly.unwrap_or(false),
            process,
            kernel,
            own_files: false,
            mounts,
            shut: linux::shut(linux),
            settings,
            ids: linux::ids(linux, &mut missing),
            devices: Vec::new(),
            network: namespaces.network,
            limits,
            cgroup_parent,
            cgroup_name,
            cgroup_namespace: namespaces.cgroup,
            stats: asked.stats,
            security,
            // The process is PID 1 of a bundle's container.
            init: asked.init.or(own.init).unwrap_or(false),
            remove: asked.remove,
            stop_signal: None,
            shown: serde_json::Value::Null,
            document: Some(self.document.to_json()),
        };
        Ok((spec, missing.0))
    }

    fn root(&self, path: &Path) -> Result<Root> {
        let path = self.dir.join(path);
        let said = |what: &str| Error::new(format!("root.path: {} {what}", path.display()));
        let found = std::fs::canonicalize(&path)
            .map_err(|error| Error::io(format!("root.path: {}", path.display()), &error))?;
        if found == Path::new("/") {
            return Err(said("is this machine's own root").hint("a container would write to it"));
        }
        if !found.is_dir() {
            return Err(said("is not a directory"));
        }
        Ok(Root::Directory { path: found, writable: true })
    }
}

/// The text of a config.json: a regular file, as a FIFO would keep us waiting.
fn text(path: &Path) -> Result<Vec<u8>> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = fs::open(&crate::sys::cstr(path)?, flags, 0)?;
    if fs::fstat(file.as_fd())?.kind() != libc::S_IFREG {
        return Err(Error::new("config.json: is not a regular file"));
    }
    let text = fs::read_to_end(file.as_fd(), MOST_BYTES).map_err(|error| error.context("read config.json"))?;
    if text.len() > MOST_BYTES {
        return Err(Error::new("config.json: is larger than 4 MiB"));
    }
    Ok(text)
}
