//! The spool: what a user hands over, uncompressed, in one file that can be read from anywhere in it.

use crate::error::{Error, Result};
use crate::image::compression::{Compression, First};
use crate::image::decompressor;
use crate::image::gzip::Inflate;
use crate::store::Store;
use crate::store::drafts::Draft;
use crate::sys::{fs, poll};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long whoever writes to us may be silent after the first byte.
const SILENCE: Duration = Duration::from_secs(300);
/// What is read at once.
const BUFFER: usize = 256 << 10;
/// How often the free space is looked at: after so many bytes; and how many have to stay free.
const SPACE_CHECK: u64 = 32 << 20;
const RESERVE: u64 = 32 << 20;

/// A file that holds the plain bytes; it goes away with this unless it is the user's own.
pub struct Spool<'s> {
    pub file: File,
    _draft: Option<Draft<'s>>,
}

/// Puts the plain bytes of `input` into a file, while `read` looks at them; it has to read up to the
/// end. A plain file stays where it is.
pub fn spool<'s, T: Send>(
    store: &'s Store,
    input: File,
    read: impl FnOnce(&mut dyn BufRead) -> Result<T> + Send,
) -> Result<(Spool<'s>, T)> {
    let mut source = Source::new(input, SILENCE)?;
    let first = source.first()?;
    if first.is_empty() {
        return Err(Error::new("nothing came: the archive is empty"));
    }
    let compression = Compression::sniff(first);
    if compression == Compression::None && source.lies_whole {
        let mut reader = BufReader::with_capacity(BUFFER, source);
        let made = read(&mut reader)?;
        return Ok((Spool { file: reader.into_inner().file, _draft: None }, made));
    }
    let draft = Draft::new(store)?;
    let path = draft.path().join("archive");
    let opened = File::options().read(true).write(true).create_new(true).open(&path);
    let file = opened.map_err(|error| Error::io(format_args!("make {}", path.display()), &error))?;
    let (made, decompressed) = match compression {
        Compression::By(program) => {
            let drain = |mut plain: &mut dyn BufRead| Tee::new(&mut plain, &file).through(read);
            decompressor::decompress(program, &mut source, drain).map_err(|error| error.context("the archive"))?
        }
        _ => (Tee::new(&mut Inflate::or_plain(&mut source), &file).through(read), Ok(())),
    };
    // The first thing that went wrong is the cause of the others.
    source.failed.map_or(Ok(()), Err)?;
    if !made.as_ref().is_err_and(|error| error.errno().is_some()) {
        decompressed?;
    }
    Ok((Spool { file, _draft: Some(draft) }, made?))
}

/// What the user hands over, as it comes.
struct Source {
    file: File,
    /// It is a plain file, and we are at its beginning.
    lies_whole: bool,
    silence: Duration,
    first: First,
    /// Why no more came, which the readers above would tell in their own way.
    failed: Option<Error>,
}

impl Source {
    fn new(mut file: File, silence: Duration) -> Result<Source> {
        let kind = file.metadata().map_err(|error| Error::io("look at the archive", &error))?.file_type();
        if kind.is_dir() {
            return Err(Error::call("read the archive", libc::EISDIR));
        }
        let lies_whole = kind.is_file() && file.stream_position().is_ok_and(|at| at == 0);
        Ok(Source { file, lies_whole, silence, first: First::default(), failed: None })
    }

    /// The first bytes, enough to tell what it is. They are waited for without end: who has to
    /// collect an archive first may take long to begin.
    fn first(&mut self) -> Result<&[u8]> {
        self.first = First::of(&mut self.file).map_err(|error| Error::io("read the archive", &error))?;
        Ok(self.first.seen())
    }

    fn wait_and_read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let began = Instant::now();
        while !self.lies_whole && !poll::poll(&[self.file.as_fd()], 1000)?.contains(&true) {
            if began.elapsed() >= self.silence {
                return Err(Error::new(format_args!("nothing more has come for {} seconds", self.silence.as_secs())));
            }
        }
        self.file.read(buffer).map_err(|error| Error::io("read the archive", &error))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.first.is_left() {
            return self.first.read(buffer);
        }
        self.wait_and_read(buffer).map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            told
        })
    }
}

/// Hands bytes on, and keeps in a file what was used of them.
struct Tee<'a> {
    plain: &'a mut dyn BufRead,
    file: &'a File,
    /// Bytes written since the free space was looked at.
    unchecked: u64,
    failed: Option<Error>,
}

impl<'a> Tee<'a> {
    fn new(plain: &'a mut dyn BufRead, file: &'a File) -> Tee<'a> {
        Tee { plain, file, unchecked: SPACE_CHECK, failed: None }
    }

    fn through<T>(mut self, read: impl FnOnce(&mut dyn BufRead) -> Result<T>) -> Result<T> {
        let made = read(&mut self);
        self.failed.map_or(made, Err)
    }

    fn keep(&mut self, count: usize) -> Result<()> {
        let ready = self.plain.fill_buf().map_err(|error| Error::io("read the archive", &error))?;
        let used = ready.get(..count).unwrap_or(ready);
        self.file.write_all(used).map_err(|error| Error::io("write the archive into the store", &error))?;
        self.unchecked = self.unchecked.saturating_add(count as u64);
        if self.unchecked >= SPACE_CHECK {
            self.unchecked = 0;
            if fs::fstatfs(self.file.as_fd())?.available < RESERVE {
                return Err(Error::call("keep some space free on the store's disk", libc::ENOSPC)
                    .hint("an uncompressed archive that is given with -i needs no second copy"));
            }
        }
        Ok(())
    }
}

impl BufRead for Tee<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(failed) = &self.failed {
            return Err(io::Error::other(failed.to_string()));
        }
        self.plain.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Err(error) = self.keep(count) {
            self.failed.get_or_insert(error);
        }
        self.plain.consume(count);
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;
    use std::os::unix::fs::FileExt;

    fn all(plain: &mut dyn BufRead) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map_err(|error| Error::io("read", &error))?;
        Ok(bytes)
    }

    fn piped(bytes: &'static [u8]) -> File {
        let (reader, writer) = fs::pipe2(0).unwrap();
        std::thread::spawn(move || File::from(writer).write_all(bytes));
        File::from(reader)
    }

    fn in_store(store: &Store) -> usize {
        std::fs::read_dir(store.root().join("tmp")).map_or(0, Iterator::count)
    }

    #[test]
    fn what_comes_through_a_pipe_is_kept_until_it_is_dropped() {
        let store = TestStore::new();
        let (spool, seen) = spool(&store, piped(b"plain bytes"), all).unwrap();
        let mut kept = [0; 5];
        spool.file.read_exact_at(&mut kept, 6).unwrap();
        assert_eq!((seen.as_slice(), &kept), (&b"plain bytes"[..], b"bytes"));
        assert_eq!(in_store(&store), 1);
        drop(spool);
        assert_eq!(in_store(&store), 0);
    }

    #[test]
    fn a_plain_file_is_not_copied() {
        let store = TestStore::new();
        let path = store.root().join("given");
        std::fs::write(&path, "plain bytes").unwrap();
        let (_spool, seen) = spool(&store, File::open(&path).unwrap(), all).unwrap();
        assert_eq!(seen, b"plain bytes");
        assert_eq!(in_store(&store), 0);
        // From its middle on it is a stream.
        let mut file = File::open(&path).unwrap();
        file.seek(io::SeekFrom::Start(6)).unwrap();
        let (_spool, seen) = spool(&store, file, all).unwrap();
        assert_eq!(seen, b"bytes");
        assert_eq!(in_store(&store), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let store = TestStore::new();
        let error = |bytes| spool(&store, piped(bytes), all).err().unwrap().to_string();
        assert_eq!(error(b""), "nothing came: the archive is empty");
        assert!(error(b"BZh91AY").contains("bzip2"), "{}", error(b"BZh91AY"));
        assert!(error(b"\x1f\x8b\x08\0\0").contains("truncated"), "{}", error(b"\x1f\x8b\x08\0\0"));
        assert_eq!(in_store(&store), 0);
        let directory = File::open(store.root()).unwrap();
        assert!(spool(&store, directory, all).err().unwrap().to_string().contains("EISDIR"));
    }

    #[test]
    fn silence_is_not_waited_out_for_ever() {
        let (reader, writer) = fs::pipe2(0).unwrap();
        let mut writer = File::from(writer);
        writer.write_all(b"beginning").unwrap();
        let mut source = Source::new(File::from(reader), Duration::ZERO).unwrap();
        source.first().unwrap();
        let mut bytes = Vec::new();
        assert!(source.read_to_end(&mut bytes).is_err());
        assert_eq!(bytes, b"beginning");
        assert_eq!(source.failed.unwrap().to_string(), "nothing more has come for 0 seconds");
    }
}
