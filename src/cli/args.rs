//! The arguments: what commands and flags are, and how a command line is read.

mod command;
mod flag;
mod nearest;
pub mod parse;
pub mod table;

pub use command::{Command, Parsed, utf8};
pub use flag::{Flag, Kind, Many, Maybe, One, Switch, Typed, many, maybe, one, switch};
