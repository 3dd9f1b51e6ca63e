//! Commands about containers.

mod explain;
pub mod export;
pub mod flags;
pub mod inspect;
pub mod kill;
mod notices;
pub mod prune;
pub mod ps;
pub mod rename;
mod request;
pub mod rm;
pub mod run;
mod scope;
mod shown;
pub mod size;
pub mod stats;
mod step;
pub mod stop;
pub mod update;
pub mod wait;
