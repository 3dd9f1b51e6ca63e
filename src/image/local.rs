//! What of images is on this machine: layers, images, and the names that they have.
//!
//! The store knows directories and locks; what a digest or a reference is, it need not know.

pub mod images;
pub mod layers;
pub mod prune;
pub mod rebuild;
pub mod refs;
pub mod remove;
