//! One layer's way from the registry into the store, streaming all the way:
//!
//! ```text
//! curl ─→ sha256 of the blob ─→ inflate ─→ sha256 of the tar (diff id) ─→ pipe ═╪═→ unpack
//!                                                                     the walls ╪
//! ```
//! It runs in a process of its own, so that several layers use several CPUs. Nothing
//! of the layer is visible before both digests are right.

use super::curl::Body;
use super::digest::{Digest, Hasher, Hashing};
use super::gzip::Inflate;
use super::layer::{self, Limits, Unpacked};
use super::local::layers::{self, LayerDraft, Notes};
use super::manifest::{Compression, Descriptor};
use super::registry::Repository;
use super::retry::{Failure, retry};
use super::zstd;
use crate::error::{Error, Result};
use crate::store::{Store, Walled};
use crate::sys::{cstr, fs};
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often progress is told.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// What lies between us and the unpacker; with more, both CPUs wait less for each other.
const PIPE: usize = 1 << 20;

/// A layer to get.
#[derive(Clone, Debug)]
pub struct Job {
    pub blob: Descriptor,
    pub compression: Compression,
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
pub fn download(
    store: &Store,
    repository: &mut Repository,
    job: &Job,
    report: &mut dyn FnMut(Step),
) -> Result<Option<Notes>> {
    let Some(draft) = LayerDraft::begin(store, &job.diff_id)? else { return Ok(None) };
    let report = std::cell::RefCell::new(report);
    let unpacked = retry(
        || report.borrow_mut()(Step::Retrying),
        || {
            draft.clear()?;
            fetch(store, repository, job, &draft, &mut |step| report.borrow_mut()(step))
        },
    )?;
    if !unpacked.deferred.is_empty() {
        link(store, job, &draft, &unpacked)?;
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
    repository: &mut Repository,
    job: &Job,
    draft: &LayerDraft<'_>,
    report: &mut dyn FnMut(Step),
) -> std::result::Result<Unpacked, Failure> {
    if job.compression == Compression::Zstd {
        // The program wants to be written to while it is read from, so that it takes one process more.
        let mut unpacker = Unpacker::start(store, draft)?;
        let mut stream = zstd::Stream::start(|to| transfer(repository, &job.blob, to, report))?;
        let pumped = pump(&mut stream, &mut unpacker);
        if !matches!(pumped, Err(Broken::Sink)) {
            stream.finish()?;
        }
        return unpacker.finish(pumped, job);
    }
    let mut source = Source::new(repository.blob(&job.blob)?, &job.blob, report);
    let mut unpacker = Unpacker::start(store, draft)?;
    let pumped = pump(&mut Inflate::or_plain(&mut source), &mut unpacker);
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
    unpacker.finish(pumped, job)
}

/// Copies a blob as it is to `to`, and verifies it.
fn transfer(
    repository: &mut Repository,
    blob: &Descriptor,
    to: &mut dyn Write,
    report: &mut dyn FnMut(Step),
) -> std::result::Result<(), Failure> {
    let mut source = Source::new(repository.blob(blob)?, blob, report);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => return Err(source.failure(error)),
        };
        to.write_all(&buffer[..length]).map_err(|error| Error::io("write to the decompressing program", &error))?;
    }
    source.finish()
}

/// A blob as it comes: counted, hashed, reported.
struct Source<'a> {
    body: Hashing<Body>,
    blob: &'a Descriptor,
    report: &'a mut dyn FnMut(Step),
    reported: Instant,
}

impl<'a> Source<'a> {
    fn new(body: Body, blob: &'a Descriptor, report: &'a mut dyn FnMut(Step)) -> Source<'a> {
        Source { body: Hashing::new(body, blob.size), blob, report, reported: Instant::now() }
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
        let length = self.body.read(buffer)?;
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            (self.report)(Step::Bytes(self.body.count()));
        }
        Ok(length)
    }
}

/// Why a stream did not come through.
enum Broken {
    Source(io::Error),
    /// The unpacker is gone; it says itself why.
    Sink,
}

/// Copies a plain tar stream to the unpacker; gives its digest.
fn pump(plain: &mut dyn BufRead, unpacker: &mut Unpacker) -> std::result::Result<Digest, Broken> {
    let mut hasher = Hasher::new();
    loop {
        let ready = match plain.fill_buf() {
            Ok([]) => return Ok(hasher.finish()),
            Ok(ready) => ready,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Source(error)),
        };
        // Handed over first, so that the other side works while we hash.
        unpacker.write(ready)?;
        hasher.update(ready);
        let length = ready.len();
        plain.consume(length);
    }
}

/// The process behind the walls that makes files of a tar stream.
struct Unpacker {
    /// None when the stream is over.
    pipe: Option<File>,
    walled: Option<Walled>,
    /// What it has to say lies here, as it can be longer than a message.
    answer: File,
}

impl Unpacker {
    fn start(store: &Store, draft: &LayerDraft<'_>) -> Result<Unpacker> {
        let (reader, writer) = fs::pipe2(0)?;
        // Smaller ones do as well.
        let _ = fs::set_pipe_size(writer.as_fd(), PIPE);
        // The pipe and these are all it can write to outside.
        let answer = new_file(&draft.answer())?;
        let record = new_file(&draft.record())?;
        let mut ends = Some((reader, writer));
        let walled = store.walls().spawn(&draft.root(), &mut || {
            // With the child's copy of the writing end open, its reading end would never see the end.
            let (reader, writer) = ends.take().ok_or_else(|| Error::new("the pipe is gone"))?;
            drop(writer);
            let mut tar = File::from(reader);
            let unpacked = layer::unpack(&mut tar, &mut &record, root()?.as_fd(), &Limits::default())?;
            (&answer).write_all(&unpacked.encode()).map_err(|error| Error::io("write the answer", &error))?;
            Ok(Vec::new())
        })?;
        let (_, writer) = ends.ok_or_else(|| Error::new("the pipe is gone"))?;
        Ok(Unpacker { pipe: Some(File::from(writer)), walled: Some(walled), answer })
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Broken> {
        let pipe = self.pipe.as_mut().ok_or(Broken::Sink)?;
        pipe.write_all(bytes).map_err(|_| Broken::Sink)
    }

    /// Ends the stream; gives what came of it when all of it came and it is the layer that the image means.
    fn finish(
        mut self,
        pumped: std::result::Result<Digest, Broken>,
        job: &Job,
    ) -> std::result::Result<Unpacked, Failure> {
        let digest = match pumped {
            Ok(digest) => digest,
            Err(Broken::Source(error)) => return Err(Error::new(error.to_string()).into()),
            Err(Broken::Sink) => {
                let failed = self.wait().err();
                return Err(failed.unwrap_or_else(|| Error::new("the unpacking process ended early")).into());
            }
        };
        if digest != job.diff_id {
            let wanted = job.diff_id;
            return Err(
                Error::new(format!("its tar has the digest {digest}, and not {wanted} as its image says")).into()
            );
        }
        self.wait()?;
        let mut bytes = Vec::new();
        let read = self.answer.rewind().and_then(|()| self.answer.read_to_end(&mut bytes));
        read.map_err(|error| Error::io("read the unpacker's answer", &error))?;
        Ok(Unpacked::decode(&bytes)?)
    }

    /// Closes the pipe and waits for the child.
    fn wait(&mut self) -> Result<()> {
        self.pipe = None;
        self.walled.take().map_or(Ok(()), |walled| walled.wait().map(drop))
    }
}

impl Drop for Unpacker {
    /// The draft is removed or used again after this, so nobody may be left writing into it.
    fn drop(&mut self) {
        if let Some(walled) = self.walled.take() {
            let _ = walled.child.signal(libc::SIGKILL);
            let _ = walled.child.wait();
        }
    }
}

/// Makes the layer's hard links into lower layers, each as a copy of the file, as soon as those layers are there.
fn link(store: &Store, job: &Job, draft: &LayerDraft<'_>, unpacked: &Unpacked) -> Result<()> {
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
        layer::link_from_lower(&lowers, root()?.as_fd(), &unpacked.deferred)?;
        Ok(Vec::new())
    })?;
    walled.wait().map(drop)
}

/// The layer's directory, as it is seen behind the walls.
fn root() -> Result<OwnedFd> {
    fs::open(c"/", libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

fn new_file(path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    file.map_err(|error| Error::io(format!("make {}", path.display()), &error))
}
