//! A container's life: from what the user asked for to its exit status.

pub mod bundle;
mod callers_terminal;
pub mod create;
pub mod document;
mod emulation;
pub mod export;
mod filesystem;
mod flow;
mod handover;
mod host_files;
pub mod in_force;
mod jobs;
mod outcome;
mod outer;
mod plan;
pub mod spec;
pub mod stats;
pub mod steps;
pub mod streams;
mod supervise;
mod top;
mod trees;
mod user;
pub mod view;
pub mod walls;

pub use trees::anonymous;
