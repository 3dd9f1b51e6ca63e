//! An OCI bundle: a directory with a config.json and a root file system, as engines hand it to a runtime.

#[cfg(test)]
mod tests;

use super::document::{Document, Extension};
use super::spec::read::{Unknown, read};
use super::spec::{ContainerSpec, Root};
use crate::error::{Error, Result};
use crate::sys::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The longest config.json that is read; an engine's has about 30 KiB.
const MOST_BYTES: usize = 4 << 20;

pub struct Bundle {
    dir: PathBuf,
    document: Document,
}

impl Bundle {
    /// Reads DIR/config.json.
    pub fn read(dir: &Path) -> Result<Bundle> {
        let in_context = |error: Error| error.context(format_args!("bundle {}", dir.display()));
        let dir =
            std::fs::canonicalize(dir).map_err(|error| Error::io(format_args!("bundle {}", dir.display()), &error))?;
        let document = text(&dir.join("config.json")).and_then(|text| Document::parse(&text)).map_err(in_context)?;
        Ok(Bundle { dir, document })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// ccrun's own properties, for the caller to set.
    pub fn extension(&mut self) -> &mut Extension {
        &mut self.document.ccrun
    }

    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The specification that the document describes. The error lists everything that ccrun cannot do.
    pub fn spec(&self) -> Result<(ContainerSpec, Vec<Unknown>)> {
        let in_context = |error: Error| error.context(format_args!("bundle {}", self.dir.display()));
        let (spec, missing, unknown) =
            self.root().and_then(|root| read(&self.document, root, &self.dir)).map_err(in_context)?;
        if missing.is_empty() {
            return Ok((spec, unknown));
        }
        Err(in_context(Error::new(format_args!("ccrun cannot do what config.json asks for: {}", missing.join("; ")))))
    }

    fn root(&self) -> Result<Root> {
        let path = self.dir.join(&self.document.root.path.0);
        let refused = |what: &str| Error::new(format_args!("root.path: {} {what}", path.display()));
        let found = std::fs::canonicalize(&path)
            .map_err(|error| Error::io(format_args!("root.path: {}", path.display()), &error))?;
        if found == Path::new("/") {
            return Err(refused("is this machine's own root").hint("a container would write to it"));
        }
        if !found.is_dir() {
            return Err(refused("is not a directory"));
        }
        Ok(Root::Directory { path: found, writable: true })
    }
}

/// Reads a config.json. It must be a regular file, because a FIFO would block us.
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
