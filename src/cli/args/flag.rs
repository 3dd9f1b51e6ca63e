//! Flags: each is a constant, whose type says what reading it returns.

use crate::error::{Error, Result};

/// What the parser and the help know of a flag.
#[derive(Clone, Copy)]
pub struct Flag {
    pub kind: Kind,
    pub short: Option<char>,
    pub long: &'static str,
    /// What the help calls its value.
    pub value: &'static str,
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is on, or `--flag=false` and off.
    Switch,
    /// Nothing, or a value in the same word: `--flag=VALUE`.
    Maybe,
    /// One value, the last one given counts.
    One,
    /// Any number of values, in order.
    Many,
}

/// A flag that is on or off.
#[derive(Clone, Copy)]
pub struct Switch {
    pub flag: Flag,
}

/// A flag that may have a value.
#[derive(Clone, Copy)]
pub struct Maybe {
    pub flag: Flag,
}

/// A flag with one value.
#[derive(Clone, Copy)]
pub struct One {
    pub flag: Flag,
}

/// A flag that may be given many times.
#[derive(Clone, Copy)]
pub struct Many {
    pub flag: Flag,
}

/// A flag with one value, and how to parse it.
#[derive(Clone, Copy)]
pub struct Typed<T> {
    pub flag: Flag,
    pub parse: Parse<T>,
}

/// Parses the value of a flag; `None` is for a value that means the same as no flag, such as 0 for no limit.
pub type Parse<T> = fn(&Flag, &str) -> Result<Option<T>>;

pub const fn switch(short: Option<char>, long: &'static str, help: &'static str) -> Switch {
    Switch { flag: Flag { kind: Kind::Switch, short, long, value: "", help } }
}

pub const fn maybe(long: &'static str, value: &'static str, help: &'static str) -> Maybe {
    Maybe { flag: Flag { kind: Kind::Maybe, short: None, long, value, help } }
}

pub const fn one(short: Option<char>, long: &'static str, value: &'static str, help: &'static str) -> One {
    One { flag: Flag { kind: Kind::One, short, long, value, help } }
}

pub const fn many(short: Option<char>, long: &'static str, value: &'static str, help: &'static str) -> Many {
    Many { flag: Flag { kind: Kind::Many, short, long, value, help } }
}

impl One {
    /// The same flag with a parser for its value.
    pub const fn parsed_by<T>(self, parse: Parse<T>) -> Typed<T> {
        Typed { flag: self.flag, parse }
    }
}

impl Flag {
    /// The error for a value that the flag does not take, in Docker's words.
    pub fn invalid(&self, text: &str, why: &str) -> Error {
        let short = self.short.map_or(String::new(), |short| format!("-{short}, "));
        Error::new(format_args!("invalid argument \"{text}\" for \"{short}--{}\" flag: {why}", self.long))
    }
}
