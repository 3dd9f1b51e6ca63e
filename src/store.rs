//! Where things lie on disk: one directory, no database, no daemon.

pub mod containers;
pub mod drafts;
mod format;
mod layout;
pub mod locks;
pub mod path;
mod remove;
mod sandbox;
pub mod sweep;
#[cfg(test)]
pub mod testing;
pub mod tree;
mod usage;
pub mod volumes;

pub use layout::{Store, sync_dir};
pub use remove::{Patience, remove, remove_seen};
pub use sandbox::{Sandbox, Sandboxed};
