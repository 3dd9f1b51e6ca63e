//! A command with its flags, from which parser and help are made, and what a command line says for it.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};

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
    pub run: fn(&Parsed) -> Result<u8>,
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

/// A command line that fits its command's table.
pub struct Parsed {
    pub command: &'static Command,
    /// `--root DIR` before the command.
    pub root: Option<OsString>,
    pub(super) flags: Vec<(&'static str, OsString)>,
    pub operands: Vec<OsString>,
}

impl Parsed {
    /// Whether a switch is on.
    pub fn is_on(&self, long: &str) -> bool {
        self.one(long).is_some_and(|value| value != "false")
    }

    /// The value of a flag, the last one given.
    pub fn one(&self, long: &str) -> Option<&OsStr> {
        self.flags.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_os_str())
    }

    /// The value of a flag as text.
    pub fn text(&self, long: &str) -> Result<Option<&str>> {
        self.one(long).map(|value| utf8(value, long)).transpose()
    }

    /// All values of a flag, in order.
    pub fn many<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a OsStr> {
        self.flags.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_os_str())
    }

    /// The flags in the order given, for those whose order among each other counts.
    pub fn in_order(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.flags.iter().map(|(name, value)| (*name, value.as_os_str()))
    }

    /// The operands as text.
    pub fn words(&self) -> Result<Vec<&str>> {
        self.operands.iter().map(|operand| utf8(operand, "argument")).collect()
    }
}

/// `value` as text; `name` says whose value it is.
pub fn utf8<'a>(value: &'a OsStr, name: &str) -> Result<&'a str> {
    value.to_str().ok_or_else(|| Error::new(format_args!("{name} {}: not valid UTF-8", value.display())))
}
