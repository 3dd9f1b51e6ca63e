//! The kernel's parts of a container, one to a file, each a lesson: what it is,
//! why it is done in this order, and the man page to read on in.

pub mod idmap;
pub mod namespaces;
pub mod rootfs;
