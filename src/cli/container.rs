//! Commands about containers.

mod explain;
pub mod export;
pub mod flags;
pub mod inspect;
mod notices;
pub mod prune;
pub mod ps;
mod request;
pub mod rm;
pub mod run;
mod scope;
mod shown;
pub mod size;
pub mod stats;
mod step;
pub mod update;
