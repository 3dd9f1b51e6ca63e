//! A layer's tar, which is not kept, made again.

use super::layers;
use crate::error::{Error, Result};
use crate::image::digest::{Digest, Hasher};
use crate::image::layer;
use crate::store::drafts::Draft;
use crate::store::{Sandboxed, Store};
use crate::sys::{fs, memory};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

/// What is copied at once, and what lies between us and the process that reads the files.
const BUFFER: usize = 256 << 10;

/// Writes the exact tar of a layer to `out`; gives its length. When its digest turns out not to be the
/// layer's, that is an error, but `out` has been written to.
pub fn rebuild(store: &Store, diff_id: &Digest, out: &mut dyn Write) -> Result<u64> {
    write(store, diff_id, out).map_err(|error| error.context(format_args!("layer {}", diff_id.short())))
}

fn write(store: &Store, diff_id: &Digest, out: &mut dyn Write) -> Result<u64> {
    let again = |error: Error| error.hint("remove its image and pull it again");
    let path = layers::record_path(store, diff_id);
    let record = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => again(Error::new("an older version of ccrun unpacked it and kept no record of its tar")),
        _ => Error::io(format_args!("open {}", path.display()), &error),
    })?;
    // On a full or read-only disk memory has to do.
    let draft = Draft::new(store).ok();
    let scratch = draft.as_ref().and_then(|draft| {
        File::options().read(true).write(true).create_new(true).open(draft.path().join("scratch")).ok()
    });
    let scratch = scratch.map_or_else(|| memory::memfd_create(c"scratch").map(File::from), Ok)?;
    // Dropping the pipe ends the child, should we fail first.
    let (mut pipe, sandboxed) = start(store, diff_id, &record, &scratch)?;
    let (mut hasher, mut length) = (Hasher::new(), 0);
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count.map_err(|error| Error::io("read its tar", &error))?,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        out.write_all(bytes).map_err(|error| Error::io("write its tar", &error))?;
        hasher.update(bytes);
        length += count as u64;
    }
    sandboxed.wait().map_err(again)?;
    match hasher.finish() {
        digest if digest == *diff_id => Ok(length),
        digest => {
            Err(again(Error::new(format_args!("its files have been changed: its tar has the digest {digest} now"))))
        }
    }
}

/// Starts the process that puts the tar together. It is in the sandbox, where container root may
/// read the files of the container's other users.
fn start(store: &Store, diff_id: &Digest, record: &File, scratch: &File) -> Result<(File, Sandboxed)> {
    let (reader, writer) = fs::pipe2(0)?;
    // Smaller ones do as well.
    let _ = fs::set_pipe_size(writer.as_fd(), BUFFER);
    let mut ends = Some((reader, writer));
    let sandboxed = store.sandbox().spawn(&layers::path(store, diff_id), &mut || {
        let (reader, writer) = ends.take().ok_or_else(|| Error::new("the pipe is gone"))?;
        drop(reader);
        let root = fs::open(c"/", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        layer::rebuild(record, scratch, root.as_fd(), &mut File::from(writer)).map(|_| Vec::new())
    })?;
    let (reader, _) = ends.ok_or_else(|| Error::new("the pipe is gone"))?;
    Ok((File::from(reader), sandboxed))
}
