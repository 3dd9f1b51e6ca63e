//! The store: on disks that are full or read-only, on paths that others can change, with trees that take long to remove.

pub mod disk;
pub mod paths;
pub mod removal;
