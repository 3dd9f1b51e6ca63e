//! Where an image's blobs come from: a repository of a registry, or an archive.

use super::manifest::Descriptor;
use super::retry::Failure;
use std::io::{self, Read};

/// Gives blobs by their digests. Workers are forked with it, so that each has a copy of what it remembers.
pub trait Origin {
    /// Starts to read a blob at byte `from`. Size and digest of what comes are for the caller to check.
    fn open(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Blob + '_>, Failure>;

    /// Turns away from the place that gave this blob last, as what it gives is no good. Tells whether
    /// there is another.
    fn turn_away(&self, _blob: &Descriptor) -> bool {
        false
    }

    /// Whether its bytes come over a network: what came of a blob is kept when the rest does not.
    fn is_remote(&self) -> bool {
        false
    }

    /// How many blobs are to be read at once, as long as there are so many.
    fn jobs(&self) -> usize {
        3
    }
}

/// The bytes of a blob as they come.
pub trait Blob: Read {
    /// What an error that came out of reading means.
    fn failure(&mut self, error: io::Error) -> Failure;
}
