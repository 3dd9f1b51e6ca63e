//! The one table: each command with its flags. Parser and help are made from it.

use crate::error::Result;

/// A subcommand.
pub struct Command {
    pub name: &'static str,
    /// What stands behind `ccrun NAME ` in the usage line.
    pub usage: &'static str,
    pub summary: &'static str,
    pub flags: &'static [Flag],
    /// How many operands it takes: at least, at most.
    pub operands: (usize, usize),
    /// Whether the first operand ends the flags, because the rest belongs to a program.
    pub runs_program: bool,
    /// The exit status of its own failures.
    pub failure: u8,
    pub run: fn(&super::parse::Parsed) -> Result<u8>,
}

/// An option of a command.
pub struct Flag {
    pub short: Option<char>,
    pub long: &'static str,
    pub value: Value,
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Nothing: it is on, or `--flag=false` and off.
    Switch,
    /// Nothing, or a value in the same word: `--flag=VALUE`.
    Maybe(&'static str),
    /// One value, the last one given counts.
    One(&'static str),
    /// Any number of values, in order.
    Many(&'static str),
}

/// A flag that takes no value.
pub const fn switch(short: Option<char>, long: &'static str, help: &'static str) -> Flag {
    Flag { short, long, value: Value::Switch, help }
}

/// A flag that may have a value, called `name` in the help.
pub const fn maybe(long: &'static str, name: &'static str, help: &'static str) -> Flag {
    Flag { short: None, long, value: Value::Maybe(name), help }
}

/// A flag that takes one value, called `name` in the help.
pub const fn one(short: Option<char>, long: &'static str, name: &'static str, help: &'static str) -> Flag {
    Flag { short, long, value: Value::One(name), help }
}

/// A flag that may be given many times.
pub const fn many(short: Option<char>, long: &'static str, name: &'static str, help: &'static str) -> Flag {
    Flag { short, long, value: Value::Many(name), help }
}
