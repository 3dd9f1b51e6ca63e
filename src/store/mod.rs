//! Where things lie on disk: one directory, no database, no daemon.

pub mod containers;
mod format;
mod layout;
pub mod locks;
mod remove;
#[cfg(test)]
pub mod testing;
pub mod tree;
mod usage;
mod walls;

pub use layout::{Store, sync_dir};
pub use remove::{remove, remove_seen};
pub use walls::{Walled, Walls};
