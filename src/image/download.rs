//! One layer's way from the registry into the store, streaming all the way:
//!
//! ```text
//! curl ─→ sha256 of the blob ─→ inflate ─→ sha256 of the tar (diff id) ─→ pipe ═╪═→ unpack
//!                                                                     the walls ╪
//! ```
//! It runs in a process of its own, so that several layers use several CPUs. Nothing
//! of the layer is visible before both digests are right.

use super::compression::Compression;
use super::digest::{Digest, Hashing};
use super::gzip::Inflate;
use super::layer::{self, Unpacked};
use super::local::layers::{self, LayerDraft, Notes};
use super::manifest::Descriptor;
use super::origin::{Blob, Origin};
use super::retry::{Failure, retry};
use super::unpacker::{Broken, Unpacker, pump, root};
use super::zstd;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::sys::{cstr, fs};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often progress is told.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// A layer to get.
#[derive(Clone, Debug)]
pub struct Job {
    pub blob: Descriptor,
    pub diff_id: Digest,
    /// The diff ids of the layers below it in the image, the lowest first.
    pub lowers: Vec<Digest>,
}

/// What happens with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of the blob have come.
    Bytes(u64),
    /// All of it has come and is what it should be.
    Downloaded,
    /// The transfer failed and begins again.
    Retrying,
}

/// Gets a layer into the store. Gives what could not be kept of it; `None` when it was there already.
pub fn download(store: &Store, origin: &dyn Origin, job: &Job, report: &mut dyn FnMut(Step)) -> Result<Option<Notes>> {
    let Some(draft) = LayerDraft::begin(store, &job.diff_id)? else { return Ok(None) };
    let report = std::cell::RefCell::new(report);
    let unpacked = retry(
        || report.borrow_mut()(Step::Retrying),
        || {
            draft.clear()?;
            fetch(store, origin, job, &draft, &mut |step| report.borrow_mut()(step))
        },
    )?;
    if unpacked.depends_on_lower() {
        settle(store, job, &draft, &unpacked)?;
    }
    let notes = Notes {
        size: unpacked.bytes,
        owners_lost: unpacked.owners_lost,
        devices_lost: unpacked.devices_lost,
        xattrs_lost: unpacked.xattrs_lost,
    };
    draft.publish(&notes)?;
    Ok(Some(notes))
}

/// One attempt.
fn fetch(
    store: &Store,
    origin: &dyn Origin,
    job: &Job,
    draft: &LayerDraft<'_>,
    report: &mut dyn FnMut(Step),
) -> std::result::Result<Unpacked, Failure> {
    let mut source = Source::open(origin, &job.blob, report)?;
    let compression = Compression::sniff(source.first()?)?;
    let mut unpacker = Unpacker::start(store, draft)?;
    let (pumped, decompressed) = match compression {
        Compression::Zstd => zstd::decompress(&mut source, |plain| pump(plain, &mut unpacker))?,
        _ => (pump(&mut Inflate::or_plain(&mut source), &mut unpacker), Ok(())),
    };
    let stopped = match pumped {
        Err(Broken::Sink) => unpacker.wait().err(),
        _ => None,
    };
    match stopped {
        // A full disk, say: nothing that the rest of the blob could change.
        Some(error) if error.errno().is_some() => return Err(error.into()),
        // What cannot be read is most often a wrong blob, and then to say so says more.
        _ => source.finish()?,
    }
    if let Some(error) = stopped {
        return Err(error.into());
    }
    decompressed?;
    unpacker.finish(pumped, job)
}

/// A blob as it comes: counted, hashed, reported.
struct Source<'a> {
    body: Hashing<Box<dyn Blob + 'a>>,
    blob: &'a Descriptor,
    report: &'a mut dyn FnMut(Step),
    reported: Instant,
    /// Bytes that were read to look at them, and how many of them have been read again.
    first: Vec<u8>,
    again: usize,
}

impl<'a> Source<'a> {
    fn open(
        origin: &'a dyn Origin,
        blob: &'a Descriptor,
        report: &'a mut dyn FnMut(Step),
    ) -> std::result::Result<Source<'a>, Failure> {
        let body = Hashing::new(origin.open(blob, 0)?, blob.size);
        Ok(Source { body, blob, report, reported: Instant::now(), first: Vec::new(), again: 0 })
    }

    /// The blob's first bytes, enough to tell what it is.
    fn first(&mut self) -> std::result::Result<&[u8], Failure> {
        let mut first = Vec::new();
        let read = (&mut self.body).take(Compression::FIRST as u64).read_to_end(&mut first);
        read.map_err(|error| self.failure(error))?;
        self.first = first;
        Ok(&self.first)
    }

    fn failure(&mut self, error: io::Error) -> Failure {
        self.body.source().failure(error)
    }

    /// Reads what is left; tells whether all that came is the blob.
    fn finish(mut self) -> std::result::Result<(), Failure> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| self.failure(error))?;
        let (_, count, digest) = self.body.finish();
        let Descriptor { digest: wanted, size, .. } = self.blob;
        if count != *size {
            return Err(Error::new(format!("{wanted} has {count} bytes instead of {size}")).into());
        }
        if digest != *wanted {
            return Err(Error::new(format!("{wanted} is wrong: what came has the digest {digest}")).into());
        }
        (self.report)(Step::Downloaded);
        Ok(())
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut first = self.first.get(self.again..).unwrap_or_default();
        if !first.is_empty() {
            let length = first.read(buffer)?;
            self.again += length;
            return Ok(length);
        }
        let length = self.body.read(buffer)?;
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            (self.report)(Step::Bytes(self.body.count()));
        }
        Ok(length)
    }
}

/// Makes of the layer what depends on the layers below, as soon as those are there.
fn settle(store: &Store, job: &Job, draft: &LayerDraft<'_>, unpacked: &Unpacked) -> Result<()> {
    // They are being made by our sisters: the main process starts the lowest first, and ends us if one fails.
    while !job.lowers.iter().all(|lower| layers::exists(store, lower)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let open = |lower: &Digest| {
        let path = cstr(layers::path(store, lower))?;
        fs::open(&path, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
    };
    let lowers: Vec<OwnedFd> = job.lowers.iter().rev().map(open).collect::<Result<_>>()?;
    let walled = store.walls().spawn(&draft.root(), &mut || {
        let lowers: Vec<BorrowedFd<'_>> = lowers.iter().map(AsFd::as_fd).collect();
        layer::settle(&lowers, root()?.as_fd(), &unpacked)?;
        Ok(Vec::new())
    })?;
    walled.wait().map(drop)
}
