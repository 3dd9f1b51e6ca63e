//! Signals for a running container from other commands, and its end.

use super::control;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::containers::State;
use crate::sys::channel::Message;
use crate::sys::fs;
use crate::sys::poll;
use crate::sys::process::{self, Child};
use std::os::fd::AsFd;
use std::time::Duration;

/// Sends a signal to a running container's PID 1, which passes it on to the command.
pub fn signal(store: &Store, id: &str, number: i32) -> Result<()> {
    match init(store, id, || false)? {
        Some(init) => init.signal(number),
        None => Err(Error::new(format_args!("Container {id} is not running"))),
    }
}

/// Sends a signal, then SIGKILL if that has not ended the container in time (`None`: never), and waits until its
/// supervisor has cleaned up. It is not an error if the container is not running.
pub fn stop(store: &Store, id: &str, number: i32, patience: Option<Duration>) -> Result<()> {
    let Some(init) = init(store, id, || false)? else { return wait(store, id) };
    init.signal(number)?;
    let timeout = patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    if !poll::poll(&[init.as_fd()], timeout)?[0] {
        init.signal(libc::SIGKILL)?;
    }
    // Has no other effect now.
    let _ = ask_supervisor(store, id);
    wait(store, id)
}

/// Ends a running container by SIGKILL, and waits until its supervisor has cleaned up. Its state may be damaged.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    if let Some(init) = init(store, id, || ask_supervisor(store, id).is_ok())? {
        init.signal(libc::SIGKILL)?;
    }
    wait(store, id).or_else(|error| if store.is_alive(id)? { Err(error) } else { Ok(()) })
}

/// Asks the supervisor to kill the container. After that, it does not wait for a client that does not read.
fn ask_supervisor(store: &Store, id: &str) -> Result<()> {
    let supervisor = control::connect(&store.container_dir(id))?;
    supervisor.send(&Message::Signal(libc::SIGKILL), &[])
}

/// Waits until the supervisor has cleaned up, and perhaps removed the container.
fn wait(store: &Store, id: &str) -> Result<()> {
    let ended = store.wait_for_end(id).map(drop);
    if fs::exists(store.container_dir(id)) { ended } else { Ok(()) }
}

/// How often to look for the state of a container that is starting, and how many times if it cannot be read.
const PAUSE: Duration = Duration::from_millis(2);
const MAX_UNREADABLE: u32 = 500;

/// The PID 1 of a container that is running or starting. `None` if there is none, or as soon as `is_done` says so.
fn init(store: &Store, id: &str, is_done: impl Fn() -> bool) -> Result<Option<Child>> {
    let mut unreadable = 0;
    let State { supervisor, init, .. } = loop {
        if is_done() {
            return Ok(None);
        }
        match store.state(id) {
            Ok(state) if !state.is_alive || state.init.is_some() => break state,
            // It is starting, and its state may not be written yet.
            Ok(_) => {}
            Err(_) if !store.is_alive(id)? => return Ok(None),
            Err(error) if unreadable == MAX_UNREADABLE => return Err(error),
            Err(_) => unreadable += 1,
        }
        std::thread::sleep(PAUSE);
    };
    let Some((supervisor, init)) = supervisor.zip(init) else { return Ok(None) };
    let Ok(child) = process::pidfd_open(init.pid) else { return Ok(None) };
    // Only while its supervisor lives, the pid cannot belong to another process.
    let is_ours = store.is_alive(id)? && init.is_same() && process::parent_of(init.pid) == Some(supervisor.pid);
    Ok(is_ours.then_some(child))
}
