//! A blob as it comes: first what an earlier pull has kept of it, then its origin's bytes, for whose rest
//! the origin is asked again wherever the line breaks. Whoever reads sees one stream.

use super::partial::Partial;
use crate::error::{Error, Result};
use crate::image::compression::First;
use crate::image::digest::Hasher;
use crate::image::manifest::Descriptor;
use crate::image::origin::{Blob, Origin};
use crate::image::retry::{Failure, Patience};
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// How often progress is told.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What counts as progress, in bytes: with less at a time nobody would live to see the end.
const PROGRESS: u64 = 16 << 10;

/// What happens with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of the blob have come.
    Bytes(u64),
    /// All of it has come and is what it should be.
    Downloaded,
    /// The transfer was cut off, and goes on after a while.
    Retrying,
}

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not at its end.
    Open,
    Right,
    /// All of it came, and it is not the blob.
    Wrong,
    /// The rest of it cannot be had, for now.
    Cut,
}

/// The bytes of one blob: counted, hashed, reported.
pub struct Source<'a> {
    blob: &'a Descriptor,
    origin: &'a dyn Origin,
    /// None: not asked yet, or not since the line broke.
    body: Option<Box<dyn Blob + 'a>>,
    partial: Option<Partial>,
    /// Whether `partial` has more to read.
    kept: bool,
    pieces: usize,
    count: u64,
    hasher: Hasher,
    /// How long we have waited for the origin.
    waited: Duration,
    patience: Patience,
    /// The count at which the patience was renewed.
    renewed: u64,
    verdict: Verdict,
    failed: Option<Error>,
    report: &'a mut dyn FnMut(Step),
    reported: Instant,
    first: First,
}

impl<'a> Source<'a> {
    /// The blob from `origin`, but for what `partial` has of it, which in turn keeps what comes.
    pub fn new(
        origin: &'a dyn Origin,
        blob: &'a Descriptor,
        partial: Option<Partial>,
        report: &'a mut dyn FnMut(Step),
    ) -> Source<'a> {
        Source {
            blob,
            origin,
            body: None,
            kept: partial.is_some(),
            partial,
            pieces: 0,
            count: 0,
            hasher: Hasher::new(),
            waited: Duration::ZERO,
            patience: Patience::default(),
            renewed: 0,
            verdict: Verdict::Open,
            failed: None,
            report,
            reported: Instant::now(),
            first: First::default(),
        }
    }

    /// The blob's first bytes, enough to tell what it is.
    pub fn first(&mut self) -> Result<&[u8]> {
        self.first = First::of(self).map_err(|error| self.failure(&error))?;
        Ok(self.first.seen())
    }

    /// Reads what is left; tells whether all that came is the blob.
    pub fn finish(&mut self) -> Result<()> {
        io::copy(self, &mut io::sink()).map_err(|error| self.failure(&error))?;
        let digest = std::mem::take(&mut self.hasher).finish();
        if digest != self.blob.digest {
            self.verdict = Verdict::Wrong;
            return Err(Error::new(format_args!("{} is wrong: what came has the digest {digest}", self.blob.digest)));
        }
        self.verdict = Verdict::Right;
        (self.report)(Step::Downloaded);
        Ok(())
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the stream was put together from several answers, or from one and what was kept.
    pub fn is_pieced(&self) -> bool {
        self.pieces > 1
    }

    /// What is kept of the blob, for the next stream.
    pub fn into_partial(self) -> Option<Partial> {
        self.partial
    }

    fn failure(&mut self, error: &io::Error) -> Error {
        self.failed.take().unwrap_or_else(|| Error::io(format_args!("read {}", self.blob.digest), error))
    }

    /// The next bytes, from whoever has them; 0 at the end of the blob.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.kept {
            let length = self.partial.as_mut().map_or(0, |partial| partial.read(buffer));
            if length > 0 {
                self.pieces = 1;
                return Ok(length);
            }
            self.kept = false;
        }
        while self.count < self.blob.size || self.body.is_some() {
            let began = Instant::now();
            let read = self.read_body(buffer);
            self.waited += began.elapsed();
            match read {
                Ok(length) if length > 0 => {
                    if self.count + length as u64 >= self.renewed + PROGRESS {
                        self.patience.renew();
                        self.renewed = self.count;
                    }
                    return Ok(length);
                }
                // What was promised beyond the blob's size, nobody needs.
                _ if self.count == self.blob.size => self.body = None,
                Ok(_) => {
                    let failure = self.short();
                    self.mend(failure)?;
                }
                Err(failure) => self.mend(failure)?,
            }
        }
        Ok(0)
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        if self.body.is_none() {
            self.body = Some(self.origin.open(self.blob, self.count)?);
            self.patience.reach();
            self.pieces += 1;
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        loop {
            match body.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(body.failure(error)),
                Ok(length) => return Ok(length),
            }
        }
    }

    /// An answer has ended before the blob does. Whether there is more to be had, its origin knows.
    fn short(&mut self) -> Failure {
        let Descriptor { digest, size, .. } = self.blob;
        let error = Error::new(format_args!("{digest} has {} bytes instead of {size}", self.count));
        let end = ErrorKind::UnexpectedEof.into();
        match &mut self.body {
            Some(body) => Failure { error, ..body.failure(end) },
            None => error.into(),
        }
    }

    /// Makes ready to ask for the rest, after a while; the error when that makes no sense any more.
    fn mend(&mut self, failure: Failure) -> Result<()> {
        self.body = None;
        match self.patience.after(failure) {
            Ok(wait) => {
                (self.report)(Step::Retrying);
                std::thread::sleep(wait);
                self.waited += wait;
                Ok(())
            }
            // Another place begins with all our patience.
            Err(_) if self.origin.turn_away(self.blob) => {
                self.patience = Patience::default();
                Ok(())
            }
            Err(error) => {
                self.verdict = Verdict::Cut;
                Err(error)
            }
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.first.is_left() {
            return self.first.read(buffer);
        }
        if self.failed.is_some() {
            return Err(io::Error::other("the stream has failed"));
        }
        let read = self.next(buffer).and_then(|length| {
            self.count += length as u64;
            if self.count > self.blob.size {
                self.verdict = Verdict::Wrong;
                let Descriptor { digest, size, .. } = self.blob;
                return Err(Error::new(format_args!("{digest} is longer than the {size} bytes it was declared with")));
            }
            Ok(length)
        });
        let length = match read {
            Ok(length) => length,
            Err(error) => {
                let shown = io::Error::other(error.to_string());
                self.failed = Some(error);
                return Err(shown);
            }
        };
        self.hasher.update(&buffer[..length]);
        if !self.kept {
            // A disk that is full now is not to be filled further.
            self.partial = self.partial.take().and_then(|partial| partial.append(&buffer[..length], self.waited));
        }
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            (self.report)(Step::Bytes(self.count));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest::Digest;
    use crate::image::retry::Outlook;
    use crate::store::testing::TestStore;
    use std::cell::RefCell;

    /// What a place does when it is asked: gives so many bytes and breaks, or fails at once.
    #[derive(Clone, Copy)]
    enum Does {
        Gives(usize),
        Fails(Outlook),
    }

    struct FakeOrigin {
        bytes: Vec<u8>,
        plan: RefCell<Vec<Does>>,
        asked: RefCell<Vec<u64>>,
        others: RefCell<usize>,
    }

    struct Piece(Vec<u8>, bool);

    fn soon(outlook: Outlook) -> Failure {
        Failure { outlook, retry_after: Some(Duration::from_millis(1)), ..Failure::passing(Error::new("broken")) }
    }

    impl Read for Piece {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() && self.1 {
                return Err(io::Error::other("broken"));
            }
            let length = buffer.len().min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0.drain(..length);
            Ok(length)
        }
    }

    impl Blob for Piece {
        fn failure(&mut self, _: io::Error) -> Failure {
            soon(Outlook::Passing)
        }
    }

    impl Origin for FakeOrigin {
        fn open(&self, _: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
            self.asked.borrow_mut().push(from);
            let rest = &self.bytes[from as usize..];
            match self.plan.borrow_mut().pop() {
                None => Ok(Box::new(Piece(rest.to_vec(), false))),
                Some(Does::Gives(length)) => Ok(Box::new(Piece(rest[..length].to_vec(), true))),
                Some(Does::Fails(outlook)) => Err(soon(outlook)),
            }
        }

        fn turn_away(&self, _: &Descriptor) -> bool {
            let others = *self.others.borrow();
            *self.others.borrow_mut() = others.saturating_sub(1);
            others > 0
        }
    }

    const BYTES: &[u8] = b"0123456789";

    fn fake(plan: &[Does]) -> FakeOrigin {
        let plan = plan.iter().rev().copied().collect();
        FakeOrigin {
            bytes: BYTES.to_vec(),
            plan: RefCell::new(plan),
            asked: RefCell::default(),
            others: RefCell::default(),
        }
    }

    fn blob(size: u64) -> Descriptor {
        Descriptor::new("", Digest::of(BYTES), size)
    }

    /// Reads all; gives what came, what was asked for, and the verdict with its error.
    fn read(origin: &FakeOrigin, size: u64, partial: Option<Partial>) -> (Vec<u8>, Vec<u64>, Verdict, String) {
        let blob = blob(size);
        let mut report = |_| {};
        let mut source = Source::new(origin, &blob, partial, &mut report);
        let mut bytes = Vec::new();
        let _ = source.read_to_end(&mut bytes);
        let error = source.finish().err().map(|error| error.to_string()).unwrap_or_default();
        (bytes, origin.asked.borrow().clone(), source.verdict(), error)
    }

    #[test]
    fn a_cut_blob_goes_on_where_it_was_cut() {
        let plan = [Does::Gives(4), Does::Fails(Outlook::Passing), Does::Gives(3), Does::Fails(Outlook::Unreached)];
        let (bytes, asked, verdict, _) = read(&fake(&plan), 10, None);
        assert_eq!((&bytes[..], &asked[..], verdict), (BYTES, &[0, 4, 4, 7, 7][..], Verdict::Right));
    }

    #[test]
    fn a_line_that_gives_something_each_time_is_never_given_up() {
        let long = vec![7; PROGRESS as usize * 20];
        let blob = Descriptor { digest: Digest::of(&long), ..blob(long.len() as u64) };
        let origin = FakeOrigin { bytes: long, ..fake(&[Does::Gives(PROGRESS as usize); 20]) };
        let mut report = |_| {};
        assert!(Source::new(&origin, &blob, None, &mut report).finish().is_ok());
        assert_eq!(origin.asked.borrow().len(), 20);
    }

    #[test]
    fn what_gives_nothing_is_given_up() {
        let (bytes, asked, verdict, error) = read(&fake(&[Does::Gives(4), Does::Gives(0)]), 11, None);
        assert_eq!((&bytes[..], asked[2], verdict), (BYTES, 4, Verdict::Cut));
        assert!(error.ends_with(" has 10 bytes instead of 11"), "{error}");
        let (bytes, asked, verdict, error) = read(&fake(&[Does::Fails(Outlook::Lasting)]), 10, None);
        assert_eq!((bytes.len(), asked.len(), verdict, error.as_str()), (0, 1, Verdict::Cut, "broken"));
        // Nor does a trickle keep it going.
        let (bytes, _, verdict, _) = read(&fake(&[Does::Gives(1); 10]), 10, None);
        assert_eq!((bytes.len(), verdict), (5, Verdict::Cut));
        // Another place is asked for the rest.
        let origin = fake(&[Does::Gives(4), Does::Fails(Outlook::Lasting)]);
        origin.others.replace(1);
        let (bytes, asked, verdict, _) = read(&origin, 10, None);
        assert_eq!((&bytes[..], &asked[..], verdict), (BYTES, &[0, 4, 4][..], Verdict::Right));
    }

    #[test]
    fn a_blob_is_no_longer_than_it_should_be_and_has_its_digest() {
        let (_, _, verdict, error) = read(&fake(&[]), 9, None);
        assert_eq!(verdict, Verdict::Wrong);
        assert!(error.ends_with("is longer than the 9 bytes it was declared with"), "{error}");
        let mut origin = fake(&[Does::Gives(4)]);
        origin.bytes[5] ^= 1;
        let (_, _, verdict, error) = read(&origin, 10, None);
        assert_eq!(verdict, Verdict::Wrong);
        assert!(error.contains("is wrong: what came has the digest"), "{error}");
    }

    #[test]
    fn what_was_kept_comes_first_and_grows() {
        let store = TestStore::new();
        let file = store.dir("partial").unwrap().join(Digest::of(BYTES).hex());
        std::fs::write(&file, &BYTES[..3]).unwrap();
        let partial = Partial::open(&store, &Descriptor { size: 1 << 20, ..blob(0) });
        let (bytes, asked, verdict, _) = read(&fake(&[Does::Gives(2)]), 10, partial);
        assert_eq!((&bytes[..], &asked[..], verdict), (BYTES, &[3, 5][..], Verdict::Right));
        assert_eq!(std::fs::read(&file).unwrap(), BYTES);
        // All of it was kept: nobody is asked.
        let partial = Partial::open(&store, &Descriptor { size: 1 << 20, ..blob(0) });
        let (bytes, asked, verdict, _) = read(&fake(&[]), 10, partial);
        assert_eq!((&bytes[..], asked.len(), verdict), (BYTES, 0, Verdict::Right));
    }

    #[test]
    fn the_first_bytes_are_read_twice() {
        let (origin, blob) = (fake(&[Does::Gives(2)]), blob(10));
        let mut report = |_| {};
        let mut source = Source::new(&origin, &blob, None, &mut report);
        assert_eq!(source.first().unwrap(), &BYTES[..First::LENGTH]);
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, BYTES);
        assert!(source.is_pieced() && source.finish().is_ok());
    }
}
