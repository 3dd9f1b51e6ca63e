//! Taking away what killed supervisors have left.

use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::store::containers::Container;
use crate::store::{self, Patience, Store};
use crate::sys::fs;
use std::path::PathBuf;

/// Takes away what killed supervisors have left: their containers, cgroups and half-made files. What takes long is
/// left to the next commands, and to those that clean up ([`sweep_all`]).
pub fn sweep(store: &Store) -> Result<()> {
    sweep_with(store, Patience::short())
}

/// The same to the end.
pub fn sweep_all(store: &Store) -> Result<()> {
    sweep_with(store, Patience::endless())
}

fn sweep_with(store: &Store, patience: Patience) -> Result<()> {
    // A group that a bundle has named may be somebody else's by now: it only goes if it is empty.
    let bury = |Container { id, state, .. }: &Container| {
        let is_own = |path: &PathBuf| path.file_name().is_some_and(|name| *name == *format!("ccrun-{id}"));
        let (own, named): (Vec<PathBuf>, Vec<PathBuf>) = state.cgroup.iter().cloned().partition(is_own);
        Cgroup::from_paths(own).remove();
        named.iter().for_each(|path| drop(fs::rmdir(path)));
    };
    store.sweep_containers(patience, bury).and(store::sweep::sweep(store, patience))
}
