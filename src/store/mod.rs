//! Where things lie on disk: one directory, no database, no daemon.

pub mod containers;
mod layout;
pub mod locks;
#[cfg(test)]
pub mod testing;
pub mod tree;
mod walls;

pub use layout::{Store, sync_dir};
pub use walls::{Walled, Walls};
