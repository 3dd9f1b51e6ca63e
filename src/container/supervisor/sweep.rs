//! Cleaning up after supervisors that were killed.

use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::store::containers::Container;
use crate::store::{self, Patience, Store};
use crate::sys::fs;
use std::path::PathBuf;

/// Removes what killed supervisors have left: containers, cgroups and half-made files. Gives up soon; the next commands
/// and [`sweep_all`] do the rest.
pub fn sweep(store: &Store) -> Result<()> {
    sweep_with(store, Patience::short())
}

/// The same as [`sweep`], without giving up.
pub fn sweep_all(store: &Store) -> Result<()> {
    sweep_with(store, Patience::endless())
}

fn sweep_with(store: &Store, patience: Patience) -> Result<()> {
    // A cgroup that a bundle has named may be in use by others now: remove it only if it is empty.
    let clean_up = |Container { id, state, .. }: &Container| {
        let is_own = |path: &PathBuf| path.file_name().is_some_and(|name| *name == *format!("ccrun-{id}"));
        let (own, named): (Vec<PathBuf>, Vec<PathBuf>) = state.cgroup.iter().cloned().partition(is_own);
        Cgroup::from_paths(own).remove();
        named.iter().for_each(|path| drop(fs::rmdir(path)));
    };
    store.sweep_containers(patience, clean_up).and(store::sweep::sweep(store, patience))
}
