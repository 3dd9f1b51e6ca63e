//! `ccrun load`.

use super::pull;
use crate::cli::args::{Command, One, Parsed, Switch, Typed, one, switch};
use crate::cli::output::progress::Display;
use crate::cli::{output, store};
use crate::error::{Error, Result};
use crate::image::archive::{self, Files, Loaded};
use crate::image::platform::Platform;
use crate::store::drafts;
use crate::sys::tty;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;

const INPUT: One =
    one(Some('i'), "input", "FILE", "Read from an archive or a directory with an OCI layout, not from stdin");
const PLATFORM: Typed<Platform> = pull::platform("Load the image for this platform and not for the machine's own");
const QUIET: Switch = switch(Some('q'), "quiet", "Do not show progress");

pub static COMMAND: Command = Command {
    name: "load",
    usage: "[OPTIONS]",
    summary: "Load images from an archive or from standard input",
    flags: &[INPUT.flag, PLATFORM.flag, QUIET.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let platform = parsed.get(PLATFORM)?;
    let path = parsed.one(INPUT);
    let input = open(path)?;
    let (store, map) = store::open(parsed)?;
    // What cannot be swept takes space but is in nobody's way.
    let _ = drafts::sweep(&store);
    let files = match path {
        Some(path) if input.metadata().is_ok_and(|meta| meta.is_dir()) => Files::Directory(path.into()),
        _ => Files::read(&store, input)?,
    };
    let mut display = Display::of_archive(parsed.is_on(QUIET));
    archive::load(&store, &files, platform.as_ref(), &mut display, &mut |loaded| {
        output::print(&lines(loaded))?;
        pull::tell_lost(&loaded.lost, &map);
        Ok(())
    })?;
    Ok(0)
}

/// What is read: the file, or stdin, at which somebody has to write.
pub fn open(path: Option<&OsStr>) -> Result<File> {
    if let Some(path) = path {
        return File::open(path).map_err(|error| Error::io(format_args!("open {}", path.display()), &error));
    }
    let stdin = std::io::stdin();
    if tty::isatty(stdin.as_fd()) {
        return Err(Error::new("requested load from stdin, but stdin is empty")
            .hint("give a file with -i, or the output of docker save through a pipe"));
    }
    let copy = stdin.as_fd().try_clone_to_owned().map_err(|error| Error::io("share stdin", &error))?;
    Ok(File::from(copy))
}

fn lines(loaded: &Loaded) -> String {
    let taken = loaded.taken.iter().map(|(name, old)| {
        format!("The image {} already exists, renaming the old one with ID {old} to empty string\n", name.familiar())
    });
    let names = loaded.names.iter().map(|name| format!("Loaded image: {}\n", name.familiar()));
    let text: String = taken.chain(names).collect();
    if text.is_empty() { format!("Loaded image ID: {}\n", loaded.id) } else { text }
}
