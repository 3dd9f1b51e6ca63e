//! The command line: what the user says, and what he is told.

mod block_io;
mod bundle;
mod capabilities;
mod check;
mod cidfile;
mod csv;
mod device;
mod df;
mod environment;
mod export;
mod filter;
mod flag;
mod format;
mod glob;
mod help;
mod history;
mod images;
mod import;
mod inspect;
mod limits;
mod listing;
mod load;
mod login;
mod logout;
mod mount;
mod names;
mod nearest;
mod operand;
mod output;
mod parse;
mod progress;
mod prompt;
mod prune;
mod ps;
mod pull;
mod rm;
mod rmi;
mod run;
mod save;
mod scope;
mod security;
mod shown;
mod stats;
mod streams;
mod table;
mod tag;
mod ulimit;
mod units;
mod update;
mod version;
mod volume;

use crate::container::walls::NamespaceWalls;
use crate::error::{Error, Result, Visible};
use crate::isolation::idmap::IdMap;
use crate::isolation::own_file;
use crate::store::Store;
use crate::sys::tty;
use parse::{Asked, Parsed};
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use table::{Named, Table};

static TABLE: Table = Table {
    commands: &[
        &run::COMMAND,
        &pull::COMMAND,
        &images::COMMAND,
        &history::COMMAND,
        &tag::COMMAND,
        &rmi::COMMAND,
        &load::COMMAND,
        &save::COMMAND,
        &import::COMMAND,
        &login::COMMAND,
        &logout::COMMAND,
        &ps::COMMAND,
        &rm::COMMAND,
        &stats::COMMAND,
        &update::COMMAND,
        &export::COMMAND,
        &inspect::COMMAND,
        &inspect::IMAGE,
        &inspect::CONTAINER,
        &df::COMMAND,
        &prune::SYSTEM,
        &prune::IMAGE,
        &prune::CONTAINER,
        &volume::CREATE,
        &volume::LS,
        &volume::INSPECT,
        &volume::RM,
        &volume::PRUNE,
        &check::COMMAND,
        &version::COMMAND,
    ],
    aliases: &[
        ("image history", &history::COMMAND),
        ("image import", &import::COMMAND),
        ("image load", &load::COMMAND),
        ("image ls", &images::COMMAND),
        ("image pull", &pull::COMMAND),
        ("image rm", &rmi::COMMAND),
        ("image save", &save::COMMAND),
        ("image tag", &tag::COMMAND),
        ("container export", &export::COMMAND),
        ("container ls", &ps::COMMAND),
        ("container rm", &rm::COMMAND),
        ("container run", &run::COMMAND),
        ("container stats", &stats::COMMAND),
        ("container update", &update::COMMAND),
        ("volume list", &volume::LS),
        ("volume remove", &volume::RM),
    ],
};

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
        Ok(Asked::Version) => version::print_version().map(|()| 0),
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        complain(&error);
        error.status().unwrap_or(1)
    })
}

/// The one line that a failure gets.
fn complain(error: &Error) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "ccrun: {error}");
}

/// Writes to stdout; a reader that has gone away (`ccrun images | head`) is no failure. On a terminal nothing that an
/// image says of itself moves the cursor.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let safe: String;
    let text = if tty::isatty(out.as_fd()) {
        safe = visible(text);
        &safe
    } else {
        text
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("write to stdout", &error)),
        _ => Ok(()),
    }
}

/// Text without anything that moves the cursor but tabs and the ends of lines.
fn visible(text: &str) -> String {
    let safe = |line: &str| line.split('\t').map(|text| Visible(text).to_string()).collect::<Vec<_>>().join("\t");
    text.split('\n').map(safe).collect::<Vec<_>>().join("\n")
}

/// Where the store is: as `--root`, `$CCRUN_ROOT` or the user's home says.
fn store_root(parsed: &Parsed) -> Result<PathBuf> {
    let named = parsed.root.clone().or_else(|| std::env::var_os("CCRUN_ROOT")).filter(|root| !root.is_empty());
    let root = named.map_or_else(Store::default_root, |root| Ok(PathBuf::from(root)))?;
    std::path::absolute(&root).map_err(|e| Error::io(format!("store {}", root.display()), &e))
}

/// That store as it is, to list, save or remove what is in it: nothing is written before that.
fn look_at_store(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let place = Store::look(&store_root(parsed)?)?;
    let map = IdMap::to_be(&place.path().join("idmap"))?;
    let walls = NamespaceWalls { map: map.clone() };
    Ok((Store::open(place, Box::new(walls)), map))
}

/// That store for new things, made if it is missing, behind the walls that fit the user.
fn open_store(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let root = Store::prepare(&store_root(parsed)?)?;
    let map = IdMap::of_caller(&root.join("idmap"))?;
    let walls = NamespaceWalls { map: map.clone() };
    Ok((Store::open(root, Box::new(walls)), map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for command in TABLE.commands {
            for (i, flag) in command.flags.iter().enumerate() {
                let others = &command.flags[..i];
                assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{} --{}", command.name, flag.long);
                assert!(others.iter().all(|other| other.long != flag.long), "{} --{} twice", command.name, flag.long);
                assert!(
                    flag.short.is_none() || others.iter().all(|other| other.short != flag.short),
                    "{} -{:?} twice",
                    command.name,
                    flag.short
                );
            }
        }
    }
}
