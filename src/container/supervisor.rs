//! The supervisor: the process that makes a container, lives as long as it does, and cleans up after it.
//!
//! It holds everything that must end with the container: the lock of `live/ID`, the range of ids, the cgroup, the
//! terminal's master, the control socket, and descriptors of the namespaces. One loop waits for all events. It is the
//! process that the user started, unless the container has the user's terminal (`-it`): then that process is a client
//! (see [`super::client`]), and forks the supervisor before anything is made.
//!
//! What happens when a process dies:
//!
//! * *The command*: PID 1 ends with its status, and the kernel ends whatever is left of its PID namespace
//!   (pid_namespaces(7)). The supervisor sees PID 1 end, and tidies up.
//! * *PID 1*, by anything: the same.
//! * *The supervisor*, even by SIGKILL: PID 1 has asked the kernel to be killed then (PR_SET_PDEATHSIG), so the
//!   container ends at once. The supervisor's locks end with it, too. The next command finds the lock of `live/ID` free,
//!   removes the cgroup, and records that the container ended with status 137 (see [`sweep`](sweep())).
//! * *The client*: the container's terminal hangs up, as with ssh, and the command gets SIGHUP. After the detach keys
//!   the container goes on without a client.
//! * *The machine*: like the supervisor. Ranges and notes of this boot lie in /run.

mod running;
mod sweep;

use super::client::{self, Connection};
use super::notice::{self, Notice, Outcome};
use super::plan::NewContainer;
use super::steps::{Start, Started};
use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::store::containers::{Live, State, Status, clock};
use crate::store::locks::Lock;
use crate::sys::channel::{self, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::tty::WindowSize;
use crate::sys::{fs, process, signal, socket, tty};
use running::{Client, Ended, RunningContainer};
use std::os::fd::AsFd;
use std::time::Instant;

pub use super::callers_terminal::wait_for_foreground;
pub use sweep::{sweep, sweep_all};

/// The process that has the caller's streams. `is_job`: whether it is a job of a shell.
enum Caller {
    /// This one.
    Here {
        is_job: bool,
    },
    Client {
        client: Client,
        is_job: bool,
    },
}

/// Runs the container to its end. `lock` keeps the image in the store until the container's record is written; `notify`
/// is called with everything that is not an error.
pub fn run(new: &NewContainer<'_>, lock: Option<Lock>, notify: &mut dyn FnMut(Notice)) -> Result<Outcome> {
    // From here on signals stay pending until a process can receive them.
    signal::block_all()?;
    let is_job = tty::has_controlling();
    let window = if new.spec.process.has_terminal() { tty::callers_window() } else { None };
    let process = &new.spec.process;
    if !(process.explicit && process.interactive && process.has_terminal()) {
        return supervise(new, lock, (Caller::Here { is_job }, window), notify);
    }
    let (terminal, their_terminal) = socket::stream_pair()?;
    let (messages, messages_writer) = fs::pipe2(0)?;
    let mut moved = Some((their_terminal, messages_writer, lock));
    let (child, channel) = channel::fork(0, None, |client| {
        process::close(&terminal);
        process::close(&messages);
        let Some((terminal, stderr, lock)) = moved.take() else { return 125 };
        let outcome = leave_caller(&stderr).and_then(|()| {
            let caller = Caller::Client { client: Client::new(client.try_clone()?, terminal), is_job };
            supervise(new, lock, (caller, window), notify)
        });
        drop(stderr);
        let message = outcome.map_or_else(Message::Failed, |outcome| Message::Ended(outcome.code));
        // The client is gone if it was detached.
        let _ = client.send(&message, &[]);
        0
    })?;
    drop(moved);
    client::run(Connection { channel, terminal, messages }, &child, notify)
}

/// Leaves the caller's session and closes the caller's streams; `stderr` takes the place of stderr.
fn leave_caller(stderr: &OwnedFd) -> Result<()> {
    process::setsid()?;
    let null = fs::open(c"/dev/null", libc::O_RDWR, 0)?;
    process::dup2(null.as_fd(), 0)?;
    process::dup2(null.as_fd(), 1)?;
    process::dup2(stderr.as_fd(), 2)
}

/// Makes the container, watches it to its end, and removes what is not to stay.
fn supervise(
    new: &NewContainer<'_>,
    lock: Option<Lock>,
    caller: (Caller, Option<WindowSize>),
    notify: &mut dyn FnMut(Notice),
) -> Result<Outcome> {
    let NewContainer { store, spec, .. } = *new;
    // The name may belong to a container whose supervisor was killed.
    let live = store.create_container(&spec.id, &spec.name).or_else(|error| {
        sweep(store)?;
        store.create_container(&spec.id, &spec.name).map_err(|_| error)
    })?;
    let mut state = State { created: clock(), ..State::default() };
    let outcome = run_to_end(new, &live, &mut state, lock, caller, notify);
    let tidied = match &outcome {
        Ok(_) if !spec.remove => store.finish_container(&live, &state),
        Ok(_) => {
            let _ = live.leave_state(&state);
            store.remove_named(&spec.id, &spec.name)
        }
        // A container that never ran leaves nothing behind.
        _ => store.remove_named(&spec.id, &spec.name),
    };
    // The caller gets the command's status, even if cleaning up fails.
    if let Err(error) = tidied {
        notify(Notice::Untidy(error));
    }
    // Last, because nobody waits for us any more. Leftovers of others do not change how this container ended.
    let _ = sweep(store);
    outcome
}

fn run_to_end(
    new: &NewContainer<'_>,
    live: &Live,
    state: &mut State,
    lock: Option<Lock>,
    (caller, window): (Caller, Option<WindowSize>),
    notify: &mut dyn FnMut(Notice),
) -> Result<Outcome> {
    let began = Instant::now();
    let mut cgroup = Cgroup::default();
    let (Caller::Here { is_job } | Caller::Client { is_job, .. }) = &caller;
    let started = Start::new(new, live, (&mut cgroup, state), (*is_job, window), lock, notify).run();
    let outcome = started.and_then(|Started { child, flows, master, reports, ids: _ids, namespaces: _namespaces }| {
        let container = RunningContainer::new(&child, master, reports);
        let process = &new.spec.process;
        let ended = match caller {
            Caller::Here { .. } => container.watch_with_streams(flows, process.interactive, process.explicit)?,
            Caller::Client { client, .. } => {
                client.channel.send(&Message::Running, &[])?;
                // Do not keep a directory of the caller's busy.
                process::chdir(c"/")?;
                container.watch_for_client(client, &live.dir)?
            }
        };
        let Ended { status, interrupted, lost } = ended;
        let code = notice::code_with(status.code(), lost, notify);
        for notice in notice::at_end(new.spec, began.elapsed(), &cgroup, status) {
            state.oom_killed |= matches!(notice, Notice::OutOfMemory(_));
            notify(notice);
        }
        (state.status, state.finished, state.exit_code) = (Status::Exited, Some(clock()), code);
        Ok(Outcome { code, interrupted })
    });
    cgroup.remove();
    outcome
}
