//! Killing a container from outside, and cleaning up after supervisors that were killed.

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

/// Kills a running container with SIGKILL, and waits until its supervisor has cleaned up.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    // It may still be starting.
    let State { supervisor, init, .. } = loop {
        match store.state(id)? {
            state if state.is_alive && state.init.is_none() => std::thread::sleep(Duration::from_millis(2)),
            state => break state,
        }
    };
    let dir = store.root().join("containers").join(id);
    if let Ok(supervisor) = control::connect(&dir) {
        supervisor.send(&Message::Signal(libc::SIGKILL), &[])?;
        return store.wait_for_end(id);
    }
    // While its supervisor lives, the kernel cannot give PID 1's number to another process.
    if let (Some(supervisor), Some(init)) = (supervisor, init)
        && let Ok(child) = process::pidfd_open(init.pid)
        && store.is_alive(id)?
        && Stat::of(init.pid).is_some_and(|stat| is_same(&stat, init) && stat.number(4) == Some(supervisor.pid))
    {
        child.signal(libc::SIGKILL)?;
    }
    store.wait_for_end(id)
}

/// Whether a process is the recorded one. ccrun 0.3 recorded no start time.
fn is_same(stat: &Stat, recorded: ProcessId) -> bool {
    recorded.start == 0 || stat.number(22) == Some(recorded.start)
}

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
