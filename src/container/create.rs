//! The supervisor's side of a run: make the container, wait, take everything away.

use super::document::Document;
use super::outcome;
use super::spec::ContainerSpec;
use super::steps::{Start, Started};
use super::supervise::{self, Ended};
use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::idmap::IdMap;
use crate::store::containers::{Container, Live, State, Status, clock};
use crate::store::locks::Lock;
use crate::store::{Patience, Store, sweep};
use crate::sys::{fs, process, signal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use super::callers_terminal::wait_for_foreground;

/// How the command ended.
pub struct Outcome {
    pub code: u8,
    /// Whether the user typed Ctrl-C and the command died of it.
    pub interrupted: bool,
}

/// Runs the container that `document` describes, which `spec` is in ccrun's terms, to its end. `lock` keeps the image
/// in the store until the container is written down; `say` tells the user what is not an error.
pub fn run(
    store: &Store,
    map: &IdMap,
    (spec, document): (&ContainerSpec, &Document),
    lock: Option<Lock>,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    // From here on signals wait until there is somebody to pass them on to.
    signal::block_all()?;
    // A name may be held by a container whose supervisor was killed.
    let live = store.create_container(&spec.id, &spec.name).or_else(|error| {
        sweep(store)?;
        store.create_container(&spec.id, &spec.name).map_err(|_| error)
    })?;
    let mut state = State { created: clock(), ..State::default() };
    let outcome = run_in((store, &live), map, (spec, document), &mut state, lock, say);
    let tidied = match &outcome {
        Ok(_) if !spec.remove => store.finish_container(&live, &state),
        // A container that never ran leaves nothing behind.
        _ => store.remove_named(&spec.id, &spec.name),
    };
    // The command's status is what the caller waits for, whatever becomes of the files.
    if let Err(error) = tidied {
        say(&error.to_string());
    }
    // Last, when nobody waits for us any more. What is left by others does not change how this one ended.
    let _ = sweep(store);
    outcome
}

fn run_in(
    (store, live): (&Store, &Live),
    map: &IdMap,
    (spec, document): (&ContainerSpec, &Document),
    state: &mut State,
    lock: Option<Lock>,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    let began = Instant::now();
    let mut cgroup = Cgroup::default();
    let outcome = Start::new((store, live), map, (spec, document), (&mut cgroup, state), lock, say).run();
    let outcome = outcome.and_then(|Started { child, watched, ids: _ids }| {
        let Ended { status, interrupted, lost } = supervise::watch(&child, watched)?;
        // A reader that has gone away (`ccrun run … | head`) is no failure.
        let lost = lost.filter(|error| error.errno() != Some(libc::EPIPE));
        if let Some(error) = &lost {
            say(&format!("output of the container was lost: {error}"));
        }
        state.oom_killed = outcome::tell(spec, began.elapsed(), &cgroup, status, say);
        // The command could not know.
        let code = if lost.is_some() { status.code().max(1) } else { status.code() };
        (state.status, state.finished, state.exit_code) = (Status::Exited, Some(clock()), code);
        Ok(Outcome { code, interrupted })
    });
    cgroup.remove();
    outcome
}

/// Ends a running container by SIGKILL, and waits until its supervisor has seen to the rest.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    // It may still be starting.
    let State { supervisor, init, .. } = loop {
        match store.state(id)? {
            state if state.is_alive && state.init.is_none() => std::thread::sleep(Duration::from_millis(2)),
            state => break state,
        }
    };
    // Only as long as its supervisor lives is the number sure to be its child's and not a stranger's.
    if let (Some(supervisor), Some(init)) = (supervisor, init)
        && let Ok(child) = process::pidfd_open(init.pid)
        && store.is_alive(id)?
        && process::parent_of(init.pid) == Some(supervisor.pid)
    {
        child.signal(libc::SIGKILL)?;
    }
    store.wait_for_end(id)
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
    store.sweep_containers(patience, bury).and(sweep::sweep(store, patience))
}
