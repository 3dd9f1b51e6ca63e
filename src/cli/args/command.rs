//! A command with its flags, from which parser and help are made, and what a command line says for it.

use super::flag::{Flag, Many, Maybe, One, Switch, Typed};
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

/// A command line that fits its command's table.
pub struct Parsed {
    pub command: &'static Command,
    /// `--root DIR` before the command.
    pub root: Option<OsString>,
    pub(super) flags: Vec<(&'static Flag, OsString)>,
    pub operands: Vec<OsString>,
}

impl Parsed {
    /// Whether a switch is on.
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switch(switch) == Some(true)
    }

    /// Whether a switch is on or off, if the user says so.
    pub fn switch(&self, switch: Switch) -> Option<bool> {
        self.last_switch(self.listed(&switch.flag))
    }

    /// The value of a flag; empty if it was given without one.
    pub fn maybe(&self, flag: Maybe) -> Option<&OsStr> {
        self.last(self.listed(&flag.flag)).map(|(_, value)| value.as_os_str())
    }

    /// The value of a flag.
    pub fn one(&self, flag: One) -> Option<&OsStr> {
        self.last(self.listed(&flag.flag)).map(|(_, value)| value.as_os_str())
    }

    /// The value of a flag as text.
    pub fn text(&self, flag: One) -> Result<Option<&str>> {
        Ok(self.last_text(self.listed(&flag.flag))?.map(|(_, text)| text))
    }

    /// The value of a flag, parsed.
    pub fn get<T>(&self, flag: Typed<T>) -> Result<Option<T>> {
        match self.last_text(self.listed(&flag.flag))? {
            Some((given, text)) => (flag.parse)(given, text),
            None => Ok(None),
        }
    }

    /// All values of a flag, in order.
    pub fn many(&self, flag: Many) -> impl Iterator<Item = &OsStr> {
        self.all(self.listed(&flag.flag)).into_iter()
    }

    /// All values of a flag as text, in order.
    pub fn texts(&self, flag: Many) -> Result<Vec<&str>> {
        self.all_texts(self.listed(&flag.flag))
    }

    /// The values of several flags in the order given, each with its flag and what is said of that here.
    pub fn in_order<'a, T: Copy>(&'a self, flags: &'a [(Many, T)]) -> impl Iterator<Item = (&'a Flag, T, &'a OsStr)> {
        self.flags.iter().filter_map(|(given, value)| {
            let (flag, what) = flags.iter().find(|(flag, _)| self.listed(&flag.flag) == given.long)?;
            Some((&flag.flag, *what, value.as_os_str()))
        })
    }

    /// The flags in the order given.
    pub fn given(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().map(|(flag, _)| *flag)
    }

    /// The name of a flag, by which its values are found. That a command reads one which it does not list is a mistake
    /// in the code.
    fn listed(&self, flag: &Flag) -> &'static str {
        debug_assert!(
            self.command.flags.iter().any(|own| own.long == flag.long && own.kind == flag.kind),
            "ccrun {} does not list --{}",
            self.command.name,
            flag.long
        );
        flag.long
    }

    #[inline(never)]
    fn last(&self, long: &str) -> Option<&(&'static Flag, OsString)> {
        self.flags.iter().rev().find(|(flag, _)| flag.long == long)
    }

    #[inline(never)]
    fn last_switch(&self, long: &str) -> Option<bool> {
        self.last(long).map(|(_, value)| value != "false")
    }

    #[inline(never)]
    fn last_text(&self, long: &str) -> Result<Option<(&'static Flag, &str)>> {
        self.last(long).map(|(flag, value)| Ok((*flag, utf8(value, long)?))).transpose()
    }

    #[inline(never)]
    fn all(&self, long: &str) -> Vec<&OsStr> {
        self.flags.iter().filter(|(flag, _)| flag.long == long).map(|(_, value)| value.as_os_str()).collect()
    }

    #[inline(never)]
    fn all_texts(&self, long: &str) -> Result<Vec<&str>> {
        self.all(long).into_iter().map(|value| utf8(value, &format!("--{long}"))).collect()
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
