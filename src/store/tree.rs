//! Whole directory trees: removing them, whoever owns what is inside.

use super::Store;
use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

impl Store {
    /// Removes `path` and all below it; that it is not there is fine. Without root, files that belong
    /// to a container's other users are removed behind the walls, where we are root of them.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => {}
        }
        self.walls().spawn(path, &mut || empty(Path::new("/")).map(|()| Vec::new()))?.wait()?;
        std::fs::remove_dir(path).map_err(|e| Error::io(format!("remove {}", path.display()), &e))
    }
}

/// Removes all that is in `dir`.
fn empty(dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(format!("remove {}", dir.display()), &e);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let removed = if entry.file_type().map_err(failed)?.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.map_err(|e| Error::io(format!("remove {}", entry.path().display()), &e))?;
    }
    Ok(())
}
