//! The store's directory.
//!
//! ```text
//! format -> 2                     see format.rs
//! layers/<diff id>/               a layer's files, immutable once the name exists; beside them its record and notes
//! images/<image id>/              config.json and manifest.json, as served
//! refs/<domain>/<path>/_tags/…    small files that name an image
//! containers/<id>/                upper, work, config.json, hosts, …
//! live/<id>                       locked by the supervisor of a running container
//! names/<name>                    holds the id of the container called so
//! volumes/<name>/_data
//! registries/<host>.json          what auth/memory.rs remembers
//! partial/<blob's digest>         the beginning of a blob that did not come whole
//! tmp/<random>/                   half-made, locked by its maker
//! ```

use super::Walls;
use crate::error::{Error, Result};
use crate::sys;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A directory that is ours alone and holds everything that ccrun keeps.
pub struct Store {
    root: PathBuf,
    walls: Box<dyn Walls>,
}

impl Store {
    /// Makes the store's directory at the absolute path `root` when it is not there, and gives it back.
    /// A directory that belongs to somebody else is refused: what it holds becomes file systems that we run.
    pub fn prepare(root: &Path) -> Result<PathBuf> {
        make_private(root)?;
        let meta = std::fs::metadata(root).map_err(|e| Error::io(format!("store {}", root.display()), &e))?;
        let me = sys::cred::geteuid();
        if meta.uid() != me {
            return Err(Error::new(format!(
                "store {} belongs to uid {}, not to you ({me})",
                root.display(),
                meta.uid()
            ))
            .hint("choose another with --root DIR or $CCRUN_ROOT"));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(Error::new(format!("store {} is open to other users", root.display()))
                .hint(format!("set-user-id programs of images lie there: chmod 700 {}", root.display())));
        }
        super::format::check(root)?;
        Ok(root.to_owned())
    }

    /// The store at `root`, which [`Store::prepare`] gave.
    pub fn open(root: PathBuf, walls: Box<dyn Walls>) -> Store {
        Store { root, walls }
    }

    /// Where the store of this user is unless `--root` or `$CCRUN_ROOT` says otherwise.
    pub fn default_root() -> Result<PathBuf> {
        if sys::cred::geteuid() == 0 {
            return Ok("/var/lib/ccrun".into());
        }
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("ccrun"))
            .ok_or_else(|| Error::new("no place for the store: HOME is not set").hint("set HOME, or use --root DIR"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn walls(&self) -> &dyn Walls {
        &*self.walls
    }

    /// The directory `name` of the store, made when it is not there.
    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        make_private(&path)?;
        Ok(path)
    }
}

/// Makes a directory (and its parents) that only we may enter.
fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    let made = match made {
        Err(error) if error.kind() == ErrorKind::NotFound => DirBuilder::new().mode(0o700).recursive(true).create(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        other => other,
    };
    made.map_err(|e| Error::io(format!("make the directory {}", path.display()), &e))
}

/// fsync(2) of a directory: what was renamed into it survives a power loss.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| Error::io(format!("sync {}", path.display()), &e))
}

/// Writes a small file whole or not at all: readers see the old one or the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    // A name of our own: another process may be writing the same file.
    sys::fs::create_temporary(&path.with_extension(format!("new{}", sys::process::getpid())), 0o666)
        .and_then(|(mut file, new)| {
            file.write_all(bytes)?;
            std::fs::rename(&new, path)
        })
        .map_err(|e| Error::io(format!("write {}", path.display()), &e))
}
