//! The processes that get layers, a few at a time.
//!
//! Processes and not threads: a thread could not fork into the sandbox. Each reports what
//! happens in messages over a socket; they die with us.

use super::partial;
use super::source::Step;
use super::{Job, download};
use crate::error::{Error, Result};
use crate::image::install::{LayerState, Progress, Stays};
use crate::image::local::layers::{self, Notes};
use crate::image::origin::Origin;
use crate::store::Store;
use crate::store::drafts;
use crate::sys::channel::{self, Channel, Message};
use crate::sys::signal::Interrupts;
use crate::sys::{cred, poll, process};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

struct Worker<'a> {
    job: &'a Job,
    child: process::Child,
    channel: Channel,
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
    // The processes in the sandbox die with the workers, but a moment later; until then they hold the locks.
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
    loop {
        while running.len() < origin.jobs() {
            let Some(job) = pending.next() else { break };
            running.push(start(store, origin, job)?);
        }
        if running.is_empty() {
            return Ok(Ended::Done(all));
        }
        let channels = running.iter().map(|worker| worker.channel.as_fd());
        let waited_for: Vec<BorrowedFd<'_>> = channels.chain([interrupts.as_fd()]).collect();
        let ready = poll::poll(&waited_for, -1)?;
        if let Some(signal) = interrupts.read() {
            return Ok(Ended::Interrupted(signal as u8));
        }
        for at in (0..running.len()).rev().filter(|at| ready[*at]) {
            let layer = running[at].job.blob.digest.short();
            match running[at].channel.receive()?.map(|(message, _)| message) {
                Some(Message::Downloading(bytes)) => {
                    let total = running[at].job.blob.size;
                    progress.layer(&layer, LayerState::Downloading(bytes, total));
                }
                Some(Message::Downloaded) => progress.layer(&layer, LayerState::Downloaded),
                Some(Message::Retrying) => progress.layer(&layer, LayerState::Retrying),
                Some(Message::Done(notes)) => {
                    running.remove(at).child.wait()?;
                    progress.layer(&layer, LayerState::Complete);
                    all.extend(decode(&notes));
                }
                Some(Message::Failed(error)) => {
                    running.remove(at).child.wait()?;
                    return Err(error.context(format_args!("layer {layer}")));
                }
                _ => {
                    let status = running.remove(at).child.wait()?;
                    return Err(Error::new(format_args!("layer {layer}: its process ended early ({status:?})")));
                }
            }
        }
    }
}

fn start<'a>(store: &Store, origin: &dyn Origin, job: &'a Job) -> Result<Worker<'a>> {
    let main = process::getpid();
    let (child, channel) = channel::fork(0, None, |parent| {
        let outcome = work(store, origin, job, main, &parent);
        let message = outcome.map_or_else(Message::Failed, |notes| Message::Done(encode(notes)));
        i32::from(parent.send(&message, &[]).is_err())
    })?;
    Ok(Worker { job, child, channel })
}

/// What a worker does.
fn work(
    store: &Store,
    origin: &dyn Origin,
    job: &Job,
    main: process::pid_t,
    parent: &Channel,
) -> Result<Option<Notes>> {
    cred::set_pdeathsig(libc::SIGKILL)?;
    if process::getppid() != main {
        return Err(Error::new("the main process has ended"));
    }
    download::download(store, origin, job, &mut |step| {
        let message = match step {
            Step::Bytes(count) => Message::Downloading(count),
            Step::Downloaded => Message::Downloaded,
            Step::Retrying => Message::Retrying,
        };
        // With the main process gone we are about to be as well.
        let _ = parent.send(&message, &[]);
    })
}

/// The notes on a layer as bytes; none of them if it was there by then.
fn encode(notes: Option<Notes>) -> Vec<u8> {
    let numbers = |notes: Notes| {
        let Notes { size, stream, owners_lost, devices_lost, xattrs_lost } = notes;
        [size, stream, owners_lost, devices_lost, xattrs_lost].map(u64::to_le_bytes).concat()
    };
    notes.map(numbers).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Option<Notes> {
    let mut numbers = bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(u64::from_le_bytes);
    let mut next = || numbers.next();
    let (size, stream, owners_lost, devices_lost, xattrs_lost) = (next()?, next()?, next()?, next()?, next()?);
    Some(Notes { size, stream, owners_lost, devices_lost, xattrs_lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_arrive_as_they_were_sent() {
        let notes = Notes { size: 1, stream: 5, owners_lost: 2, devices_lost: 3, xattrs_lost: u64::MAX };
        assert_eq!(decode(&encode(Some(notes))), Some(notes));
        assert_eq!(decode(&encode(None)), None);
    }
}
