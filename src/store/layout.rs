//! The store's directory.
//!
//! ```text
//! format -> 2                     see format.rs
//! layers/<diff id>/               a layer's files, immutable once the name exists; beside them its record and notes
//! images/<image id>/              config.json and manifest.json, as served
//! refs/<domain>/<path>/_tags/…    small files that name an image
//! containers/<id>/                upper, work, config.json (the OCI document), state.json, hosts, …
//! live/<id>                       locked by the supervisor of a running container
//! names/<name>                    holds the id of the container called so
//! volumes/<name>/_data
//! registries/<host>.json          what auth/memory.rs remembers
//! partial/<blob's digest>         the beginning of a blob that did not come whole
//! tmp/<random>/                   half-made, locked by its maker
//! ```

use super::{Sandbox, format, path};
use crate::error::{Error, Result};
use crate::sys::{self, fs};
use libc::{O_DIRECTORY, O_NOFOLLOW, O_RDONLY};
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A directory that is ours alone and holds everything that ccrun keeps.
pub struct Store {
    path: StorePath,
    sandbox: Box<dyn Sandbox>,
}

/// Where a store is.
pub struct StorePath {
    path: PathBuf,
    /// What the user calls it, if that is not its path.
    shown: Option<PathBuf>,
}

impl StorePath {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl From<PathBuf> for StorePath {
    fn from(path: PathBuf) -> StorePath {
        StorePath { path, shown: None }
    }
}

const OTHER: &str = "choose another directory with --root DIR or $CCRUN_ROOT";

impl Store {
    /// Makes the store's directory at the absolute path `root` when it is not there, and returns its path without
    /// links. Refuses a directory that others can look into, change or replace: what it holds becomes file systems
    /// that we run.
    pub fn prepare(root: &Path) -> Result<PathBuf> {
        let place = trusted(root)?;
        let meta = match std::fs::symlink_metadata(&place) {
            Ok(meta) => meta,
            Err(_) => {
                make_private(&place)?;
                // Somebody may have been faster where all can write.
                if trusted(root)? != place {
                    return Err(Error::new(format_args!("store {}: its path was changed just now", root.display())));
                }
                metadata(&place)?
            }
        };
        check_owner(root, &meta)?;
        if meta.mode() & 0o077 != 0 {
            close(root, &place, &meta)?;
        }
        if !is_ours(root, &place)? {
            format::mark(&place);
        }
        Ok(place)
    }

    /// The store at `root`, to list, save and remove what is in it: makes and changes nothing, and takes one that
    /// [`Store::prepare`] refuses, as long as it belongs to the caller. A store that is missing is empty. May change
    /// the working directory.
    pub fn look(root: &Path) -> Result<StorePath> {
        let walked = path::walk(root).map_err(|error| error.context("store"))?;
        let failed = |error| Error::io(format_args!("store {}", root.display()), &error);
        let dir = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(walked.path.into()),
            opened => opened.map_err(failed)?,
        };
        let meta = dir.metadata().map_err(failed)?;
        check_owner(root, &meta)?;
        if meta.mode() & 0o022 != 0 {
            check_contents(root, &dir)?;
        }
        is_ours(root, root)?;
        if walked.refusal.is_none() {
            return Ok(walked.path.into());
        }
        // A path that others can change may lead elsewhere the next time, but our working directory cannot.
        sys::process::fchdir(dir.as_fd())?;
        Ok(StorePath { path: ".".into(), shown: Some(root.to_owned()) })
    }

    /// The store at a place that [`Store::prepare`] or [`Store::look`] returned.
    pub fn open(path: impl Into<StorePath>, sandbox: Box<dyn Sandbox>) -> Store {
        Store { path: path.into(), sandbox }
    }

    /// Where the store of this user is unless `--root` or `$CCRUN_ROOT` says otherwise.
    pub fn default_root() -> Result<PathBuf> {
        if sys::cred::geteuid() == 0 {
            return Ok("/var/lib/ccrun".into());
        }
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home =
            || absolute("HOME").filter(|home| is_usable(home)).or_else(home).map(|home| home.join(".local/share"));
        let data = absolute("XDG_DATA_HOME").or_else(in_home);
        data.map(|data| data.join("ccrun")).ok_or_else(|| {
            Error::new("no place for the store: HOME is not set, and /etc/passwd has no home for this user")
                .hint("set HOME, or use --root DIR")
        })
    }

    pub fn root(&self) -> &Path {
        &self.path.path
    }

    /// The store's path as the user knows it.
    pub fn shown(&self) -> &Path {
        self.path.shown.as_ref().unwrap_or(&self.path.path)
    }

    pub fn sandbox(&self) -> &dyn Sandbox {
        &*self.sandbox
    }

    /// The directory `name` of the store, made when it is not there.
    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.root().join(name);
        // Nearly always it is there.
        if !fs::stat(&path).is_ok_and(|stat| stat.is_dir()) {
            make_private(&path)?;
        }
        Ok(path)
    }

    /// The names in the directory `name` of the store; none when it is not there.
    pub fn names_in(&self, name: &str) -> Result<Vec<String>> {
        let path = self.root().join(name);
        match fs::entries(&path) {
            Ok(entries) => Ok(entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect()),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            Err(error) => Err(error.renamed(format_args!("read {}", path.display()))),
        }
    }
}

/// Where `root` leads, if nobody else can change that.
fn trusted(root: &Path) -> Result<PathBuf> {
    let walked = path::walk(root).map_err(|error| error.context("store"))?;
    match walked.refusal {
        None => Ok(walked.path),
        Some(why) => Err(why.context(format_args!("store {}", root.display())).hint(OTHER)),
    }
}

fn metadata(path: &Path) -> Result<Metadata> {
    std::fs::metadata(path).map_err(|error| Error::io(format_args!("store {}", path.display()), &error))
}

fn check_owner(root: &Path, meta: &Metadata) -> Result<()> {
    let (uid, me) = (meta.uid(), sys::cred::geteuid());
    let wrong = if !meta.is_dir() {
        "is not a directory".to_owned()
    } else if uid != me {
        format!("belongs to uid {uid}, not to you ({me})")
    } else {
        return Ok(());
    };
    Err(Error::new(format_args!("store {} {wrong}", root.display())).hint(OTHER))
}

/// Shuts a directory of the caller's that is open to others, if it is empty: a fresh one from mkdir(1). Others are
/// refused, as other programs may rely on their modes.
fn close(root: &Path, place: &Path, meta: &Metadata) -> Result<()> {
    let dir = fs::open(&sys::cstr(place)?, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)?;
    let names = || -> Result<Vec<Vec<u8>>> {
        let dir = fs::openat(dir.as_fd(), c".", O_RDONLY | O_DIRECTORY, 0)?;
        let mut names =
            fs::entries_of(dir.as_fd()).map(|entry| Ok(entry?.name.into_bytes())).collect::<Result<Vec<_>>>()?;
        // It is on every fresh ext4.
        names.retain(|name| name != b"lost+found");
        Ok(names)
    };
    let found = names()?;
    if found.is_empty() && meta.mode() & 0o7002 == 0 {
        fs::fchmod(dir.as_fd(), 0o700).map_err(|error| {
            Error::call(format_args!("chmod 700 {}", root.display()), error.errno().unwrap_or(libc::EIO))
        })?;
        if names()?.is_empty() {
            return Ok(());
        }
    }
    let has = |names: &[&str]| names.iter().all(|name| found.iter().any(|own| own == name.as_bytes()));
    let error = Error::new(format_args!("store {} is open to other users", root.display()));
    Err(if has(&["containers", "live"]) || has(&["images", "layers"]) {
        error.hint(format_args!("set-user-id programs of images lie there: chmod 700 {}", root.display()))
    } else {
        error.hint("choose a new or empty directory with --root DIR or $CCRUN_ROOT")
    })
}

/// The directories of a store.
const NAMES: [&str; 10] =
    ["containers", "live", "names", "images", "layers", "refs", "volumes", "registries", "tmp", "partial"];

/// Whether the store has its format number; refuses a directory that has none and is not one of ours.
fn is_ours(root: &Path, place: &Path) -> Result<bool> {
    if format::is_marked(place)? {
        return Ok(true);
    }
    match check_origin(root, place) {
        // Another first command may have made it meanwhile.
        Err(error) => {
            if format::is_marked(place)? {
                Ok(true)
            } else {
                Err(error)
            }
        }
        Ok(()) => Ok(false),
    }
}

/// Refuses a directory without a format number if something in it has a name of ours and is not what ccrun 0.3 made:
/// sweeping `tmp` of `/`, or of somebody's home, would take away what other programs keep there.
fn check_origin(root: &Path, place: &Path) -> Result<()> {
    let found = |name: &str| std::fs::symlink_metadata(place.join(name)).ok();
    // In the others only files are removed whose names are digests.
    let swept = || NAMES.into_iter().filter(|name| !["refs", "registries", "partial"].contains(name));
    let mut own = swept().filter_map(|name| Some((name, found(name)?))).peekable();
    if own.peek().is_none() {
        return Ok(());
    }
    let pairs = [["live", "tmp"], ["containers", "live"], ["images", "layers"]];
    let foreign = own.find(|(_, meta)| !meta.is_dir() || meta.mode() & 0o022 != 0).map(|(name, _)| name);
    match foreign.or_else(|| swept().find(|name| found(name).is_some())) {
        Some(name) if foreign.is_some() || !pairs.iter().any(|pair| pair.iter().all(|one| found(one).is_some())) => {
            Err(Error::new(format_args!("store {}: {name} in it was not made by ccrun", root.display())).hint(OTHER))
        }
        _ => Ok(()),
    }
}

/// Refuses a store that others can write to if what is in it may be theirs.
fn check_contents(root: &Path, dir: &File) -> Result<()> {
    for name in NAMES {
        let Ok(stat) = fs::fstatat(dir.as_fd(), &sys::cstr(name)?, libc::AT_SYMLINK_NOFOLLOW) else { continue };
        // Layers may belong to the root of containers, which is nobody's on the host.
        let is_ours = stat.uid == sys::cred::geteuid() || sys::cred::geteuid() == 0 && name == "layers";
        if !stat.is_dir() || !is_ours {
            return Err(Error::new(format_args!("store {}: {name} in it is not what ccrun made", root.display())));
        }
    }
    Ok(())
}

/// Makes a directory (and its parents) that only we may enter.
fn make_private(path: &Path) -> Result<()> {
    fs::mkdir_all(path, 0o700).map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))
}

/// fsync(2) of a directory: what was renamed into it survives a power loss.
pub fn sync_dir(path: &Path) -> Result<()> {
    let synced = fs::open(&sys::cstr(path)?, O_RDONLY | O_DIRECTORY, 0).and_then(|dir| fs::fsync(dir.as_fd()));
    synced.map_err(|error| error.renamed(format_args!("sync {}", path.display())))
}

/// Writes a small file whole or not at all; after a power loss it may be the old one, or empty.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::replace_file(path, &fs::name_beside(path), bytes, 0o666, &|_| Ok(()))
}

/// The home of this user by passwd(5): cron and services have no HOME, and sudo and su may have kept another user's.
fn home() -> Option<PathBuf> {
    let passwd = fs::read_text("/etc/passwd").ok()?;
    let user = sys::accounts::user_of(sys::cred::geteuid(), &passwd)?;
    Some(PathBuf::from(user.home)).filter(|home| home.is_absolute())
}

/// Whether this user has a store in `home`, or can make one.
fn is_usable(home: &Path) -> bool {
    home.join(".local/share/ccrun").exists() || sys::fs::may_write(home)
}
