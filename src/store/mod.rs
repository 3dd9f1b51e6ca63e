//! Where things lie on disk: one directory, no database, no daemon.

pub mod containers;
pub mod images;
pub mod layers;
mod layout;
pub mod locks;
pub mod refs;
#[cfg(test)]
pub mod testing;
pub mod tree;
mod walls;

pub use layout::{Store, sync_dir};
pub use walls::{Walled, Walls};
