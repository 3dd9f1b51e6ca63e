//! `ccrun version`.

use super::flag::Command;
use crate::error::Result;

pub static COMMAND: Command = Command {
    name: "version",
    usage: "",
    summary: "Show the version",
    flags: &[],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run: |_| print_version().map(|()| 0),
};

pub fn print_version() -> Result<()> {
    super::print(&format!("ccrun version {}, {}\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH))
}
