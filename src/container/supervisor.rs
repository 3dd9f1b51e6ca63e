//! The owner of a container: the process that makes it, lives as long as it does, and takes away what is left.
//!
//! It holds what must end with the container: the lock of `live/ID`, the range of ids, the cgroup, the terminal's
//! master, the control socket, and what leads into the namespaces. One loop waits for all that can happen. It is the process that the user started, but
//! where the container has the user's terminal (`-it`): then that one is a client (see [`super::client`]), and the
//! supervisor is forked from it before anything is made.
//!
//! What happens when somebody dies:
//!
//! * *The command*: PID 1 ends with its status, and the kernel ends whatever is left of its PID namespace
//!   (pid_namespaces(7)). The supervisor sees PID 1 end, and tidies up.
//! * *PID 1*, by anything: the same.
//! * *The supervisor*, by SIGKILL even: PID 1 has asked the kernel to be killed then (PR_SET_PDEATHSIG), so that the
//!   container ends at once. Its locks end with it, too: by the free lock of `live/ID` the next command knows, removes
//!   the cgroup, and writes that the container has ended with status 137 (see [`sweep`]).
//! * *The client*: the container's terminal hangs up, as with ssh, and the command gets SIGHUP. A client that was
//!   left by its detach keys is not missed.
//! * *The machine*: like the supervisor. Ranges and notes of this boot lie in /run.

mod near;
mod sweep;

use super::client::{self, Connection};
use super::notice::Notice;
use super::outcome::{self, Outcome};
use super::plan::Order;
use super::steps::{Start, Started};
use crate::error::Result;
use crate::isolation::cgroup::Cgroup;
use crate::store::containers::{Live, State, Status, clock};
use crate::store::locks::Lock;
use crate::sys::channel::{self, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, process, signal, socket, tty};
use near::{Client, Ended, Near};
use std::os::fd::AsFd;
use std::time::Instant;

pub use super::callers_terminal::wait_for_foreground;
pub use sweep::{kill, sweep, sweep_all};

/// Who stands in front of the container.
enum Caller {
    /// This process has the caller's streams. Whether it is a job of a shell's, too.
    Here {
        is_job: bool,
    },
    Client {
        client: Client,
        is_job: bool,
    },
}

/// Runs the container to its end. `lock` keeps the image in the store until the container is written down; `tell`
/// takes what is no error.
pub fn run(order: &Order<'_>, lock: Option<Lock>, tell: &mut dyn FnMut(Notice)) -> Result<Outcome> {
    // From here on signals wait until there is somebody to pass them on to.
    signal::block_all()?;
    let is_job = tty::has_controlling();
    let process = &order.spec.process;
    if !(process.explicit && process.interactive && process.has_terminal()) {
        return own(order, lock, Caller::Here { is_job }, tell);
    }
    let (terminal, their_terminal) = socket::stream_pair()?;
    let (said, their_voice) = fs::pipe2(0)?;
    let mut given = Some((their_terminal, their_voice, lock));
    let (child, channel) = channel::fork(0, None, |client| {
        process::close(&terminal);
        process::close(&said);
        let Some((terminal, voice, lock)) = given.take() else { return 125 };
        let outcome = leave_caller(&voice).and_then(|()| {
            let caller = Caller::Client { client: Client::new(client.try_clone()?, terminal), is_job };
            own(order, lock, caller, tell)
        });
        drop(voice);
        let message = outcome.map_or_else(Message::Failed, |outcome| Message::Ended(outcome.code));
        // After it was detached nobody is there.
        let _ = client.send(&message, &[]);
        0
    })?;
    drop(given);
    client::run(Connection { channel, terminal, said }, &child, tell)
}

/// Leaves the caller's session, and has none of the caller's streams any more; what is said goes to `voice`.
fn leave_caller(voice: &OwnedFd) -> Result<()> {
    process::setsid()?;
    let null = fs::open(c"/dev/null", libc::O_RDWR, 0)?;
    process::dup2(null.as_fd(), 0)?;
    process::dup2(null.as_fd(), 1)?;
    process::dup2(voice.as_fd(), 2)
}

/// Makes the container, watches it to its end, and takes away what is not to stay.
fn own(order: &Order<'_>, lock: Option<Lock>, caller: Caller, tell: &mut dyn FnMut(Notice)) -> Result<Outcome> {
    let Order { store, spec, .. } = *order;
    // A name may be held by a container whose supervisor was killed.
    let live = store.create_container(&spec.id, &spec.name).or_else(|error| {
        sweep(store)?;
        store.create_container(&spec.id, &spec.name).map_err(|_| error)
    })?;
    let mut state = State { created: clock(), ..State::default() };
    let outcome = live_through(order, &live, &mut state, lock, caller, tell);
    let tidied = match &outcome {
        Ok(_) if !spec.remove => store.finish_container(&live, &state),
        // A container that never ran leaves nothing behind.
        _ => store.remove_named(&spec.id, &spec.name),
    };
    // The command's status is what the caller waits for, whatever becomes of the files.
    if let Err(error) = tidied {
        tell(Notice::Untidy(error));
    }
    // Last, when nobody waits for us any more. What is left by others does not change how this one ended.
    let _ = sweep(store);
    outcome
}

fn live_through(
    order: &Order<'_>,
    live: &Live,
    state: &mut State,
    lock: Option<Lock>,
    caller: Caller,
    tell: &mut dyn FnMut(Notice),
) -> Result<Outcome> {
    let began = Instant::now();
    let mut cgroup = Cgroup::default();
    let (Caller::Here { is_job } | Caller::Client { is_job, .. }) = &caller;
    let started = Start::new(order, live, (&mut cgroup, state), *is_job, lock, tell).run();
    let outcome = started.and_then(|Started { child, flows, master, reports, ids: _ids, namespaces: _namespaces }| {
        let near = Near::new(&child, master, reports);
        let process = &order.spec.process;
        let ended = match caller {
            Caller::Here { .. } => near.watch_here(flows, process.interactive, process.explicit)?,
            Caller::Client { client, .. } => {
                client.channel.send(&Message::Running, &[])?;
                // A directory of the caller's is not held.
                process::chdir(c"/")?;
                near.watch_for(client, &live.dir)?
            }
        };
        let Ended { status, interrupted, lost } = ended;
        let code = outcome::code_with(status.code(), lost, tell);
        for notice in outcome::notices(order.spec, began.elapsed(), &cgroup, status) {
            state.oom_killed |= matches!(notice, Notice::OutOfMemory(_));
            tell(notice);
        }
        (state.status, state.finished, state.exit_code) = (Status::Exited, Some(clock()), code);
        Ok(Outcome { code, interrupted })
    });
    cgroup.remove();
    outcome
}
