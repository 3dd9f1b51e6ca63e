//! Ending a container from outside, and taking away what killed supervisors have left.

use crate::container::control;
use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::store::containers::{Container, ProcessId, State};
use crate::store::{self, Patience, Store};
use crate::sys::channel::Message;
use crate::sys::proc::stat::Stat;
use crate::sys::{fs, process};
use std::path::PathBuf;
use std::time::Duration;

/// How often, and how many times, to look for what a starting container has not written yet.
const LOOK: Duration = Duration::from_millis(2);
const MOST_LOOKS: u32 = 500;

/// Ends a running container by SIGKILL, and waits until its supervisor has seen to the rest.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    let dir = store.root().join("containers").join(id);
    let mut unreadable = 0;
    let State { supervisor, init, .. } = loop {
        // If its supervisor has just left, there is nobody to be asked.
        if control::connect(&dir).and_then(|control| control.send(&Message::Signal(libc::SIGKILL), &[])).is_ok() {
            return store.wait_for_end(id);
        }
        match store.state(id) {
            Ok(state) if !state.is_alive || state.init.is_some() => break state,
            // It may still be starting, and not be written down yet.
            Ok(_) => {}
            Err(_) if !store.is_alive(id)? => return Ok(()),
            Err(error) if unreadable == MOST_LOOKS => return Err(error),
            Err(_) => unreadable += 1,
        }
        std::thread::sleep(LOOK);
    };
    // Only as long as its supervisor lives is the number sure to be its child's and not a stranger's.
    if let (Some(supervisor), Some(init)) = (supervisor, init)
        && let Ok(child) = process::pidfd_open(init.pid)
        && store.is_alive(id)?
        && Stat::of(init.pid).is_some_and(|stat| is_same(&stat, init) && stat.number(4) == Some(supervisor.pid))
    {
        child.signal(libc::SIGKILL)?;
    }
    store.wait_for_end(id)
}

/// Whether a process is the one that was noted, of which ccrun 0.3 noted no more than its number.
fn is_same(stat: &Stat, noted: ProcessId) -> bool {
    noted.start == 0 || stat.number(22) == Some(noted.start)
}

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
