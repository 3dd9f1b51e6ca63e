//! How a pull goes on, told to whoever shows it.

use super::reference::Reference;

/// How far a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// It was there already.
    Exists,
    Waiting,
    /// So many bytes have come of so many.
    Downloading(u64, u64),
    /// The transfer was cut off, and goes on after a while.
    Retrying,
    /// All bytes have come and are right; what is left is to write them.
    Downloaded,
    Complete,
}

/// What there is of an image that did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stays {
    /// So many of so many layers are here.
    pub here: usize,
    pub layers: usize,
    /// Bytes that are here of the others' blobs.
    pub bytes: u64,
}

/// Who is told how a pull goes on. A layer is called by the first digits of its blob's digest.
pub trait Progress {
    /// The image was found.
    fn found(&mut self, reference: &Reference);
    fn layer(&mut self, layer: &str, state: LayerState);
    /// It was interrupted; what of it stays for the next time.
    fn interrupted(&mut self, stays: Stays);
    /// Before something else is printed: a failure, or the end.
    fn finish(&mut self);
}
