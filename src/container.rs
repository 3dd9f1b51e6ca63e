//! A container's life: from what the user asked for to its exit status.

pub mod bundle;
mod callers_terminal;
mod client;
mod control;
mod detach_keys;
pub mod document;
pub mod ending;
pub mod export;
mod filesystem;
mod flow;
mod frontend;
mod host_files;
mod id_mapped;
pub mod in_force;
mod locked_mounts;
mod mounts;
pub mod notice;
mod pid1;
mod plan;
pub mod sandbox;
pub mod spec;
pub mod stats;
pub mod steps;
pub mod streams;
pub mod supervisor;
mod user;
pub mod view;

pub use id_mapped::anonymous_volume;
pub use plan::NewContainer;
