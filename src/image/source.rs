//! A blob as it comes: first what an earlier pull has kept of it, then its origin's bytes, for whose rest
//! the origin is asked again wherever the line breaks. Whoever reads sees one stream.

use super::compression::Compression;
use super::digest::Hasher;
use super::download::Step;
use super::manifest::Descriptor;
use super::origin::{Blob, Origin};
use super::partial::Partial;
use super::retry::{Failure, Patience};
use crate::error::{Error, Result};
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// How often progress is told.
const REPORT_EVERY: Duration = Duration::from_millis(100);

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
    patience: Patience,
    verdict: Verdict,
    failed: Option<Error>,
    report: &'a mut dyn FnMut(Step),
    reported: Instant,
    /// Bytes that were read to look at them, and how many of them have been read again.
    first: Vec<u8>,
    again: usize,
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
            patience: Patience::default(),
            verdict: Verdict::Open,
            failed: None,
            report,
            reported: Instant::now(),
            first: Vec::new(),
            again: 0,
        }
    }

    /// The blob's first bytes, enough to tell what it is.
    pub fn first(&mut self) -> Result<&[u8]> {
        let mut first = Vec::new();
        let read = self.by_ref().take(Compression::FIRST as u64).read_to_end(&mut first);
        read.map_err(|error| self.failure(&error))?;
        self.first = first;
        Ok(&self.first)
    }

    /// Reads what is left; tells whether all that came is the blob.
    pub fn finish(&mut self) -> Result<()> {
        io::copy(self, &mut io::sink()).map_err(|error| self.failure(&error))?;
        let digest = std::mem::take(&mut self.hasher).finish();
        if digest != self.blob.digest {
            self.verdict = Verdict::Wrong;
            return Err(Error::new(format!("{} is wrong: what came has the digest {digest}", self.blob.digest)));
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
        self.failed.take().unwrap_or_else(|| Error::io(format!("read {}", self.blob.digest), error))
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
            match self.read_body(buffer) {
                Ok(length) if length > 0 => {
                    self.patience.renew();
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
        let error = Error::new(format!("{digest} has {} bytes instead of {size}", self.count));
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
        let mut first = self.first.get(self.again..).unwrap_or_default();
        if !first.is_empty() {
            let length = first.read(buffer)?;
            self.again += length;
            return Ok(length);
        }
        if self.failed.is_some() {
            return Err(io::Error::other("the stream has failed"));
        }
        let read = self.next(buffer).and_then(|length| {
            self.count += length as u64;
            if self.count > self.blob.size {
                self.verdict = Verdict::Wrong;
                let Descriptor { digest, size, .. } = self.blob;
                return Err(Error::new(format!("{digest} is longer than the {size} bytes it was declared with")));
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
            self.partial = self.partial.take().filter(|partial| partial.append(&buffer[..length]));
        }
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            (self.report)(Step::Bytes(self.count));
        }
        Ok(length)
    }
}
