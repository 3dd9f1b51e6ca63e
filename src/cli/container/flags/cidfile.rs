//! `--cidfile FILE`: writes the container's id to a file, for scripts.

use crate::cli::args::{One, Parsed, one};
use crate::cli::output::file::half_name;
use crate::error::{Error, Result};
use crate::sys::fs;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

pub const CIDFILE: One = one(None, "cidfile", "FILE", "Write the container's id to a new file");

/// A file that is to hold the container's id.
pub struct CidFile(PathBuf);

impl CidFile {
    /// Reads the flag. An existing file is refused, before anything is made.
    pub fn read(parsed: &Parsed) -> Result<Option<CidFile>> {
        let Some(path) = parsed.one(CIDFILE).filter(|path| !path.is_empty()) else { return Ok(None) };
        let path = PathBuf::from(path);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => Err(found(&path)),
            Err(_) => Ok(Some(CidFile(path))),
        }
    }

    /// Writes the file whole or not at all. Never replaces a file or symbolic link that exists by now.
    pub fn write(&self, id: &str) -> Result<()> {
        let what = format!("failed to create the container ID file: open {}", self.0.display());
        let failed = |error: std::io::Error| Error::io(what.clone(), &error);
        let made = fs::create_temporary(&half_name(&self.0), 0o666);
        let (file, half) = made.map_err(|error| error.renamed(what.clone()))?;
        let written = File::from(file).write_all(id.as_bytes()).and_then(|()| link(&half, &self.0));
        let _ = std::fs::remove_file(&half);
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(found(&self.0)),
            written => written.map_err(failed),
        }
    }

    /// Removes the file: there is no such container.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn found(path: &Path) -> Error {
    Error::new(format_args!(
        "container ID file found, make sure the other container isn't running or delete {}",
        path.display()
    ))
}

/// Renames a file to `path`, which must not exist.
fn link(half: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(half, path) {
        // Some file systems have no hard links.
        Err(error) if [Some(libc::EPERM), Some(libc::EOPNOTSUPP)].contains(&error.raw_os_error()) => {
            let mut file = std::fs::File::create_new(path)?;
            std::io::copy(&mut std::fs::File::open(half)?, &mut file).map(drop)
        }
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_replaces_another_file() {
        let dir = std::env::temp_dir().join(format!("ccrun-cidfile-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = CidFile(dir.join("cid"));
        file.write("one").unwrap();
        assert!(file.write("two").unwrap_err().to_string().starts_with("container ID file found"));
        assert_eq!(std::fs::read_to_string(dir.join("cid")).unwrap(), "one");
        std::os::unix::fs::symlink(dir.join("victim"), dir.join("link")).unwrap();
        assert!(CidFile(dir.join("link")).write("x").is_err() && !dir.join("victim").exists());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
