//! `ccrun logout`.

use super::login::server;
use crate::cli::args::{Command, Parsed};
use crate::cli::output;
use crate::error::Result;
use crate::image::registry::credentials;

pub static COMMAND: Command = Command {
    name: "logout",
    usage: "[SERVER]",
    summary: "Log out from a registry, Docker Hub unless it is named",
    flags: &[],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let server = server(parsed)?;
    let what = if credentials::forget(&server)? { "Removing login credentials for" } else { "Not logged in to" };
    output::print(&format!("{what} {server}\n"))?;
    Ok(0)
}
