//! Signals for a running container from other commands, and its end.

use super::control;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::containers::{ProcessId, State};
use crate::sys::channel::Message;
use crate::sys::fs;
use crate::sys::poll;
use crate::sys::proc::stat::Stat;
use crate::sys::process::{self, Child};
use std::os::fd::AsFd;
use std::time::Duration;

/// Sends a signal to a running container's PID 1, which passes it on to the command.
pub fn signal(store: &Store, id: &str, number: i32) -> Result<()> {
    match init(store, id)? {
        Some(init) => init.signal(number),
        None => Err(Error::new(format_args!("Container {id} is not running"))),
    }
}

/// Sends a signal, then SIGKILL if that has not ended the container in time (`None`: whatever that takes), and waits
/// until its supervisor has seen to the rest. One that does not run is fine.
pub fn stop(store: &Store, id: &str, number: i32, patience: Option<Duration>) -> Result<()> {
    let Some(init) = init(store, id)? else { return wait(store, id) };
    init.signal(number)?;
    let timeout = patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    if !poll::poll(&[init.as_fd()], timeout)?[0] {
        init.signal(libc::SIGKILL)?;
    }
    wait(store, id)
}

/// Ends a running container by SIGKILL, and waits until its supervisor has seen to the rest.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    let dir = store.root().join("containers").join(id);
    if let Ok(supervisor) = control::connect(&dir) {
        supervisor.send(&Message::Signal(libc::SIGKILL), &[])?;
    } else if let Some(init) = init(store, id)? {
        init.signal(libc::SIGKILL)?;
    }
    wait(store, id)
}

/// Waits until the supervisor has seen to the rest, which may be that nothing is left.
fn wait(store: &Store, id: &str) -> Result<()> {
    let ended = store.wait_for_end(id).map(drop);
    if fs::exists(store.root().join("containers").join(id)) { ended } else { Ok(()) }
}

/// The PID 1 of a container that runs, or starts at this moment.
fn init(store: &Store, id: &str) -> Result<Option<Child>> {
    let State { supervisor, init, .. } = loop {
        match store.state(id)? {
            state if state.is_alive && state.init.is_none() => std::thread::sleep(Duration::from_millis(2)),
            state => break state,
        }
    };
    let Some((supervisor, init)) = supervisor.zip(init) else { return Ok(None) };
    let Ok(child) = process::pidfd_open(init.pid) else { return Ok(None) };
    // Only as long as its supervisor lives is the number sure to be its child's and not a stranger's.
    let is_ours = store.is_alive(id)?
        && Stat::of(init.pid).is_some_and(|stat| is_same(&stat, init) && stat.number(4) == Some(supervisor.pid));
    Ok(is_ours.then_some(child))
}

/// Whether a process is the one that was noted, of which ccrun 0.3 noted no more than its number.
fn is_same(stat: &Stat, noted: ProcessId) -> bool {
    noted.start == 0 || stat.number(22) == Some(noted.start)
}
