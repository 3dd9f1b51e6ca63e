//! The arguments: what commands and flags are, and how a command line is read.

mod command;
mod nearest;
pub mod parse;
pub mod table;

pub use command::{Command, Flag, Parsed, Value, many, maybe, one, switch, utf8};
