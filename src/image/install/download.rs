//! One layer's way from the registry into the store, streaming all the way:
//!
//! ```text
//! curl ─→ sha256 of the blob ─→ inflate ─→ sha256 of the tar (diff id) ─→ pipe ═╪═→ unpack
//!                                                                       sandbox ╪
//! ```
//! It runs in a process of its own, so that several layers use several CPUs. Nothing
//! of the layer is visible before both digests are right.

use super::Job;
use super::partial::Partial;
use super::source::{Source, Step, Verdict};
use super::unpacker::{Broken, Unpacker, pump, root};
use crate::error::{Error, Result};
use crate::image::compression::Compression;
use crate::image::decompressor;
use crate::image::digest::Digest;
use crate::image::gzip::Inflate;
use crate::image::layer::{self, Unpacked};
use crate::image::local::layers::{self, LayerDraft, Notes};
use crate::image::origin::Origin;
use crate::store::Store;
use crate::sys::fd::OwnedFd;
use crate::sys::{cstr, fs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long we wait for a sister to begin with a layer, and for one that somebody has put aside; and how often we look.
const BEGIN_WAIT: Duration = Duration::from_secs(2);
const ASIDE_WAIT: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Gets a layer into the store. Gives what could not be kept of it; `None` when it was there already.
pub fn download(store: &Store, origin: &dyn Origin, job: &Job, report: &mut dyn FnMut(Step)) -> Result<Option<Notes>> {
    let Some(draft) = LayerDraft::begin(store, &job.diff_id)? else { return Ok(None) };
    let mut partial = if origin.is_remote() { Partial::open(store, &job.blob) } else { None };
    let mut was_pieced = false;
    let unpacked = loop {
        draft.clear()?;
        let mut source = Source::new(origin, &job.blob, partial.take(), report);
        let fetched = fetch(store, job, &draft, &mut source);
        let (verdict, is_pieced) = (source.verdict(), source.is_pieced());
        let kept = source.into_partial();
        match fetched {
            Ok(unpacked) => {
                // Before the disk is synced: what goes now was never written to it.
                forget(kept);
                break unpacked;
            }
            // It may have been put together wrongly, but that is not tried twice.
            Err(_) if verdict == Verdict::Wrong && is_pieced && !was_pieced => was_pieced = true,
            Err(_) if verdict == Verdict::Wrong && origin.turn_away(&job.blob) => {}
            Err(error) if verdict == Verdict::Cut => return Err(error),
            Err(error) => {
                forget(kept);
                return Err(error);
            }
        }
        forget(kept);
        partial = if origin.is_remote() { Partial::open(store, &job.blob) } else { None };
        report(Step::Retrying);
    };
    let draft = if !unpacked.deferred.is_empty() || (!unpacked.made_up.is_empty() && !job.lowers.is_empty()) {
        let Some(draft) = with_lowers(store, job, draft)? else { return Ok(None) };
        complete(store, job, &draft, &unpacked)?;
        draft
    } else {
        draft
    };
    let notes = Notes {
        size: unpacked.bytes,
        stream: unpacked.stream,
        owners_lost: unpacked.owners_lost,
        devices_lost: unpacked.devices_lost,
        xattrs_lost: unpacked.xattrs_lost,
    };
    draft.publish(&notes, &unpacked.root)?;
    Ok(Some(notes))
}

/// One attempt.
fn fetch(store: &Store, job: &Job, draft: &LayerDraft<'_>, source: &mut Source<'_>) -> Result<Unpacked> {
    let compression = Compression::sniff(source.first()?);
    let mut unpacker = Unpacker::start(store, draft, job.blob.size)?;
    let (pumped, decompressed) = match compression {
        Compression::By(program) => decompressor::decompress(program, source, |plain| pump(plain, &mut unpacker))?,
        _ => (pump(&mut Inflate::or_plain(&mut *source), &mut unpacker), Ok(())),
    };
    let stopped = match pumped {
        Err(Broken::Sink) => unpacker.wait().err(),
        _ => None,
    };
    match stopped {
        // A full disk, say: nothing that the rest of the blob could change.
        Some(error) if error.errno().is_some() => return Err(error),
        // What cannot be read is most often a wrong blob, and then to say so says more.
        _ => source.finish()?,
    }
    if let Some(error) = stopped {
        return Err(error);
    }
    decompressed?;
    unpacker.finish(pumped, job).map_err(|failure| failure.error)
}

fn forget(kept: Option<Partial>) {
    if let Some(kept) = kept {
        kept.remove();
    }
}

/// Waits for the layers below. Meanwhile the layer is put aside and anybody may make it: another pull may have both
/// layers in the opposite order, and wait for this one. `None` when somebody has.
fn with_lowers<'s>(store: &'s Store, job: &Job, draft: LayerDraft<'s>) -> Result<Option<LayerDraft<'s>>> {
    if job.lowers.iter().all(|lower| layers::exists(store, lower)) {
        return Ok(Some(draft));
    }
    let aside = draft.put_aside()?;
    job.lowers.iter().try_for_each(|lower| wait_for(store, lower))?;
    let Some(draft) = LayerDraft::begin(store, &job.diff_id)? else { return Ok(None) };
    draft.take_back(&aside)?;
    Ok(Some(draft))
}

/// Adds what the layer takes from the layers below it, which are there: files that it has hard links to, and
/// attributes of directories that it does not tell of.
fn complete(store: &Store, job: &Job, draft: &LayerDraft<'_>, unpacked: &Unpacked) -> Result<()> {
    let seen = seen_below(store, job, unpacked)?;
    let open = |lower: &Digest| {
        let path = cstr(layers::path(store, lower))?;
        fs::open(&path, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
    };
    let lowers: Vec<OwnedFd> = seen.into_iter().map(open).collect::<Result<_>>()?;
    let sandboxed = store.sandbox().spawn(&draft.root(), &mut || {
        let lowers: Vec<BorrowedFd<'_>> = lowers.iter().map(AsFd::as_fd).collect();
        let root = root()?;
        layer::link_from_lower(&lowers, root.as_fd(), &unpacked.deferred)?;
        layer::adopt(&lowers, root.as_fd(), &unpacked.made_up)?;
        Ok(Vec::new())
    })?;
    sandboxed.wait().map(drop)
}

/// The layers below, the topmost first, that no opaque root hides from this one.
fn seen_below<'j>(store: &Store, job: &'j Job, unpacked: &Unpacked) -> Result<Vec<&'j Digest>> {
    let mut seen = Vec::new();
    let mut hidden = unpacked.root.opaque;
    for lower in job.lowers.iter().rev() {
        if hidden {
            break;
        }
        seen.push(lower);
        hidden = layers::root_of(store, lower)?.opaque;
    }
    Ok(seen)
}

/// Waits until a lower layer is there. The main process starts the lowest first, so one that is neither there
/// nor in the making was taken away after it was found to be there.
fn wait_for(store: &Store, lower: &Digest) -> Result<()> {
    let began = Instant::now();
    loop {
        // Waits as long as somebody is at it.
        match LayerDraft::begin(store, lower)? {
            None => return Ok(()),
            Some(draft) => drop(draft),
        }
        let most = if layers::is_aside(store, lower) { ASIDE_WAIT } else { BEGIN_WAIT };
        if began.elapsed() > most {
            let error = Error::new(format_args!("the layer {lower} below it was removed meanwhile"));
            return Err(error.hint("pull the image again"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
