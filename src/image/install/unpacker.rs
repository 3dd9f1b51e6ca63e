//! The process in the sandbox that makes files of a tar stream.

use super::Job;
use super::device_maker::DeviceMaker;
use crate::error::{Error, Result};
use crate::image::digest::{Digest, Hasher};
use crate::image::layer::{self, Limits, Unpacked};
use crate::image::local::layers::LayerDraft;
use crate::image::retry::Failure;
use crate::store::{Sandboxed, Store};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// What lies between us and the unpacker; with more, both CPUs wait less for each other.
const PIPE: usize = 1 << 20;

/// Why a stream did not come through.
pub enum Broken {
    Source(io::Error),
    /// The unpacker is gone; it says itself why.
    Sink,
}

/// Copies a plain tar stream to the unpacker; gives its digest.
pub fn pump(plain: &mut dyn BufRead, unpacker: &mut Unpacker) -> std::result::Result<Digest, Broken> {
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

/// The process in the sandbox that makes files of a tar stream.
pub struct Unpacker {
    /// None when the stream is over.
    pipe: Option<File>,
    sandboxed: Option<Sandboxed>,
    /// For the host's root. Dropped after the sandboxed process, which asks it, has ended.
    _devices: Option<DeviceMaker>,
    /// What it has to say lies here, as it can be longer than a message.
    answer: File,
}

impl Unpacker {
    /// Starts it for a blob of `size` bytes.
    pub fn start(store: &Store, draft: &LayerDraft<'_>, size: u64) -> Result<Unpacker> {
        // Before there is a pipe that it could hold open.
        let devices = DeviceMaker::start(store.sandbox().root_ids())?;
        let (reader, writer) = fs::pipe2(0)?;
        // Smaller ones do as well.
        let _ = fs::set_pipe_size(writer.as_fd(), PIPE);
        // The pipe's end and these are all of the outside that it has.
        let answer = new_file(&draft.answer())?;
        let record = new_file(&draft.record())?;
        let mut ends = Some((reader, writer));
        let sandboxed = store.sandbox().spawn(&draft.root(), &mut || {
            // With the child's copy of the writing end open, its reading end would never see the end.
            let (reader, writer) = ends.take().ok_or_else(|| Error::new("the pipe is gone"))?;
            drop(writer);
            let mut tar = File::from(reader);
            let limits = Limits::compressed_to(size);
            let mknodat: &layer::Mknodat<'_> = match &devices {
                Some(devices) => &|dir, name, mode, device| devices.mknodat(dir, name, mode, device),
                None => &fs::mknodat,
            };
            let unpacked = layer::unpack(&mut tar, &mut &record, root()?.as_fd(), &limits, mknodat)?;
            (&answer).write_all(&unpacked.encode()).map_err(|error| Error::io("write the answer", &error))?;
            Ok(Vec::new())
        })?;
        let (_, writer) = ends.ok_or_else(|| Error::new("the pipe is gone"))?;
        Ok(Unpacker { pipe: Some(File::from(writer)), sandboxed: Some(sandboxed), _devices: devices, answer })
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Broken> {
        let pipe = self.pipe.as_mut().ok_or(Broken::Sink)?;
        pipe.write_all(bytes).map_err(|_| Broken::Sink)
    }

    /// Ends the stream; gives what came of it when all of it came and it is the layer that the image means.
    pub fn finish(
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
            return Err(Error::new(format_args!(
                "its tar has the digest {digest}, and not {wanted} as its image says"
            ))
            .into());
        }
        self.wait()?;
        let mut bytes = Vec::new();
        let read = self.answer.rewind().and_then(|()| self.answer.read_to_end(&mut bytes));
        read.map_err(|error| Error::io("read the unpacker's answer", &error))?;
        Ok(Unpacked::decode(&bytes)?)
    }

    /// Closes the pipe and waits for the child.
    pub fn wait(&mut self) -> Result<()> {
        self.pipe = None;
        self.sandboxed.take().map_or(Ok(()), |sandboxed| sandboxed.wait().map(drop))
    }
}

impl Drop for Unpacker {
    /// The draft is removed or used again after this, so nobody may be left writing into it.
    fn drop(&mut self) {
        if let Some(sandboxed) = self.sandboxed.take() {
            let _ = sandboxed.child.signal(libc::SIGKILL);
            let _ = sandboxed.child.wait();
        }
    }
}

/// The layer's directory, as seen in the sandbox.
pub fn root() -> Result<OwnedFd> {
    fs::open(c"/", libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

fn new_file(path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    file.map_err(|error| Error::io(format_args!("make {}", path.display()), &error))
}
