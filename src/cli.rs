//! The command line: what the user says, and what he is told.

mod args;
mod commands;
mod container;

mod filter;
mod glob;
mod help;
mod image;
mod inspect;
mod names;
mod output;
mod prompt;
mod prune;
mod store;
mod system;
mod volume;
mod words;

use crate::error::Error;
use crate::isolation::own_file;
use args::parse::{self, Asked};
use args::table::Named;
use commands::TABLE;
use output::{complain, print};
use std::ffi::OsString;
use system::version;

/// Runs the command line `args` (without the program's own name); gives the exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    if !own_file::is_at_home() {
        complain(&Error::new("a container started this machine's ccrun, which is not for it"));
        return 126;
    }
    let outcome = match parse::parse(args, &TABLE) {
        Ok(Asked::Run(parsed)) => {
            let failure = parsed.command.failure;
            (parsed.command.run)(&parsed).map_err(|error| error.with_status(failure))
        }
        Ok(Asked::Help(None)) => print(&help::overview(&TABLE)).map(|()| 0),
        Ok(Asked::Help(Some(Named::Group(group)))) => print(&help::of_group(&TABLE, group)).map(|()| 0),
        Ok(Asked::Help(Some(Named::Command(command)))) => print(&help::of(command)).map(|()| 0),
        Ok(Asked::Steps) => print(&help::steps()).map(|()| 0),
        Ok(Asked::Version) => version::print_version().map(|()| 0),
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        complain(&error);
        error.status().unwrap_or(1)
    })
}
