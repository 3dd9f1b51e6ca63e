//! The processes that get layers, a few at a time.
//!
//! Processes and not threads: a thread could not fork behind the walls. Each tells what
//! happens in messages over a socket; they die with us.

use super::partial;
use super::source::Step;
use super::{Job, download};
use crate::error::{Error, Result};
use crate::image::local::layers::{self, Notes};
use crate::image::origin::Origin;
use crate::image::progress::{LayerState, Progress, Stays};
use crate::store::Store;
use crate::store::drafts;
use crate::sys::fd::OwnedFd;
use crate::sys::signal::Interrupts;
use crate::sys::{cred, poll, process, socket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

struct Worker<'a> {
    job: &'a Job,
    child: process::Child,
    socket: OwnedFd,
}

/// Gets all layers that are not there yet; gives what is noted of those that were unpacked.
/// The first failure ends all workers, and so does an interruption by the user.
pub fn run(store: &Store, origin: &dyn Origin, jobs: &[Job], progress: &mut dyn Progress) -> Result<Vec<Notes>> {
    let mut missing = Vec::new();
    for job in jobs {
        let here = layers::exists(store, &job.diff_id);
        progress.layer(&job.blob.digest.short(), if here { LayerState::Exists } else { LayerState::Waiting });
        if !here {
            missing.push(job);
        }
    }
    let interrupts = Interrupts::hold()?;
    let mut running = Vec::new();
    let outcome = supervise(store, origin, missing.into_iter(), &mut running, &interrupts, progress);
    if outcome.is_err() {
        end(store, &running);
    }
    match outcome? {
        Ended::Done(notes) => Ok(notes),
        Ended::Interrupted(signal) => {
            end(store, &running);
            progress.interrupted(stays(store, jobs));
            Err(Error::new("interrupted").with_status(128u8.saturating_add(signal)))
        }
    }
}

/// How it ended without a failure.
enum Ended {
    Done(Vec<Notes>),
    /// By this signal.
    Interrupted(u8),
}

/// Ends all workers, and what they have half-made.
fn end(store: &Store, running: &[Worker<'_>]) {
    for worker in running {
        let _ = worker.child.signal(libc::SIGKILL);
        let _ = worker.child.wait();
    }
    // The processes behind the walls die with the workers, but a moment later; until then they hold the locks.
    for _ in 0..20 {
        let drafts = running.iter().map(|worker| store.root().join("tmp").join(draft_name(worker.job)));
        let _ = drafts::sweep(store);
        if !drafts.into_iter().any(|draft| draft.exists()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What there is of the image now.
fn stays(store: &Store, jobs: &[Job]) -> Stays {
    let (here, others): (Vec<&Job>, Vec<&Job>) = jobs.iter().partition(|job| layers::exists(store, &job.diff_id));
    let bytes = others.iter().map(|job| partial::length(store, &job.blob.digest)).sum();
    Stays { here: here.len(), layers: jobs.len(), bytes }
}

fn draft_name(job: &Job) -> String {
    layers::LayerDraft::name(&job.diff_id)
}

fn supervise<'a>(
    store: &Store,
    origin: &dyn Origin,
    mut pending: impl Iterator<Item = &'a Job>,
    running: &mut Vec<Worker<'a>>,
    interrupts: &Interrupts,
    progress: &mut dyn Progress,
) -> Result<Ended> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while running.len() < origin.jobs() {
            let Some(job) = pending.next() else { break };
            running.push(start(store, origin, job)?);
        }
        if running.is_empty() {
            return Ok(Ended::Done(all));
        }
        let sockets = running.iter().map(|worker| worker.socket.as_fd());
        let waited_for: Vec<BorrowedFd<'_>> = sockets.chain([interrupts.as_fd()]).collect();
        let ready = poll::poll(&waited_for, -1)?;
        if let Some(signal) = interrupts.read() {
            return Ok(Ended::Interrupted(signal as u8));
        }
        for at in (0..running.len()).rev().filter(|at| ready[*at]) {
            let layer = running[at].job.blob.digest.short();
            let (length, _) = socket::receive(running[at].socket.as_fd(), &mut buffer)?;
            match Message::read(&buffer[..length], running[at].job.blob.size) {
                Some(Message::State(state)) => progress.layer(&layer, state),
                Some(Message::Done(notes)) => {
                    running.remove(at).child.wait()?;
                    progress.layer(&layer, LayerState::Complete);
                    all.extend(notes);
                }
                Some(Message::Failed(error)) => {
                    running.remove(at).child.wait()?;
                    return Err(error.context(format_args!("layer {layer}")));
                }
                None => {
                    let status = running.remove(at).child.wait()?;
                    return Err(Error::new(format_args!("layer {layer}: its process ended early ({status:?})")));
                }
            }
        }
    }
}

fn start<'a>(store: &Store, origin: &dyn Origin, job: &'a Job) -> Result<Worker<'a>> {
    let (ours, theirs) = socket::socketpair()?;
    let mut ours = Some(ours);
    let main = process::getpid();
    let child = process::fork(|| {
        drop(ours.take());
        let outcome = work(store, origin, job, main, &theirs);
        let message = match outcome {
            Ok(notes) => Message::done(notes),
            Err(error) => [&b"E"[..], &error.to_bytes()].concat(),
        };
        i32::from(socket::send(theirs.as_fd(), &message, &[]).is_err())
    })?;
    let socket = ours.ok_or_else(|| Error::new("the socket is gone"))?;
    Ok(Worker { job, child, socket })
}

/// What a worker does.
fn work(
    store: &Store,
    origin: &dyn Origin,
    job: &Job,
    main: process::pid_t,
    socket: &OwnedFd,
) -> Result<Option<Notes>> {
    cred::set_pdeathsig(libc::SIGKILL)?;
    if process::getppid() != main {
        return Err(Error::new("the main process has ended"));
    }
    download::download(store, origin, job, &mut |step| {
        let message = match step {
            Step::Bytes(count) => [&b"B"[..], &count.to_le_bytes()].concat(),
            Step::Downloaded => b"D".to_vec(),
            Step::Retrying => b"R".to_vec(),
        };
        // With the main process gone we are about to be as well.
        let _ = socket::send(socket.as_fd(), &message, &[]);
    })
}

/// What a worker tells.
enum Message {
    State(LayerState),
    /// None: the layer was there by then.
    Done(Option<Notes>),
    Failed(Error),
}

impl Message {
    fn done(notes: Option<Notes>) -> Vec<u8> {
        let mut message = b"K".to_vec();
        if let Some(Notes { size, stream, owners_lost, devices_lost, xattrs_lost }) = notes {
            for number in [size, stream, owners_lost, devices_lost, xattrs_lost] {
                message.extend(number.to_le_bytes());
            }
        }
        message
    }

    /// None: it is no message, because the worker is gone.
    fn read(message: &[u8], total: u64) -> Option<Message> {
        let numbers = |bytes: &[u8]| -> Vec<u64> {
            bytes.chunks_exact(8).filter_map(|chunk| Some(u64::from_le_bytes(chunk.try_into().ok()?))).collect()
        };
        let (tag, rest) = message.split_first()?;
        match (tag, numbers(rest).as_slice()) {
            (b'B', [count]) => Some(Message::State(LayerState::Downloading(*count, total))),
            (b'D', _) => Some(Message::State(LayerState::Downloaded)),
            (b'R', _) => Some(Message::State(LayerState::Retrying)),
            (b'K', &[size, stream, owners_lost, devices_lost, xattrs_lost]) => {
                Some(Message::Done(Some(Notes { size, stream, owners_lost, devices_lost, xattrs_lost })))
            }
            (b'K', _) => Some(Message::Done(None)),
            (b'E', _) => Some(Message::Failed(Error::from_bytes(rest))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let notes = Notes { size: 1, stream: 5, owners_lost: 2, devices_lost: 3, xattrs_lost: u64::MAX };
        for sent in [None, Some(notes)] {
            assert!(matches!(Message::read(&Message::done(sent), 0), Some(Message::Done(got)) if got == sent));
        }
        let bytes = [&b"B"[..], &7u64.to_le_bytes()].concat();
        assert!(matches!(Message::read(&bytes, 9), Some(Message::State(LayerState::Downloading(7, 9)))));
        for bad in [&b""[..], b"B", b"x", b"B1234567"] {
            assert!(Message::read(bad, 0).is_none());
        }
    }
}
