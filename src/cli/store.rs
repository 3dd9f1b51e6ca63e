//! The store that a command line means.

use crate::cli::args::Parsed;
use crate::container::sandbox::NamespaceSandbox;
use crate::container::supervisor;
use crate::error::{Error, Result};
use crate::isolation::idmap::IdMap;
use crate::store::Store;
use std::path::PathBuf;

/// Where the store is: as `--root`, `$CCRUN_ROOT` or the user's home says.
pub fn root(parsed: &Parsed) -> Result<PathBuf> {
    let named = parsed.root.clone().or_else(|| std::env::var_os("CCRUN_ROOT")).filter(|root| !root.is_empty());
    let root = named.map_or_else(Store::default_root, |root| Ok(PathBuf::from(root)))?;
    std::path::absolute(&root).map_err(|e| Error::io(format_args!("store {}", root.display()), &e))
}

/// That store as it is, to list, save or remove what is in it: nothing is written before that.
pub fn look(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let path = Store::look(&root(parsed)?)?;
    let map = IdMap::to_be(&path.path().join("idmap"))?;
    let sandbox = NamespaceSandbox { map: map.clone() };
    Ok((Store::open(path, Box::new(sandbox)), map))
}

/// The same as [`look`], for a command that shows or changes containers: first cleans up what killed supervisors have
/// left. A failure to clean up is not the command's.
pub fn look_swept(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let (store, map) = look(parsed)?;
    let _ = supervisor::sweep(&store);
    Ok((store, map))
}

/// That store for new things, made if it is missing, with the sandbox that fits the user.
pub fn open(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let root = Store::prepare(&root(parsed)?)?;
    let map = IdMap::of_caller(&root.join("idmap"))?;
    let sandbox = NamespaceSandbox { map: map.clone() };
    Ok((Store::open(root, Box::new(sandbox)), map))
}
