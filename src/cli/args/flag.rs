//! Flags: each is a constant, whose type says what reading it returns.

use crate::error::{Error, Result};

/// What the parser and the help know of a flag.
#[derive(Clone, Copy)]
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
    Switch { flag: Flag { short, long, value: Value::Switch, help } }
}

/// The help calls the value `name`.
pub const fn maybe(long: &'static str, name: &'static str, help: &'static str) -> Maybe {
    Maybe { flag: Flag { short: None, long, value: Value::Maybe(name), help } }
}

/// The help calls the value `name`.
pub const fn one(short: Option<char>, long: &'static str, name: &'static str, help: &'static str) -> One {
    One { flag: Flag { short, long, value: Value::One(name), help } }
}

/// The help calls each value `name`.
pub const fn many(short: Option<char>, long: &'static str, name: &'static str, help: &'static str) -> Many {
    Many { flag: Flag { short, long, value: Value::Many(name), help } }
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
        Error::new(format!("invalid argument \"{text}\" for \"{short}--{}\" flag: {why}", self.long))
    }
}
