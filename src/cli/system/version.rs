//! `ccrun version`.

use crate::cli::args::{Command, One, Parsed, one};
use crate::cli::output;
use crate::cli::output::format::Template;
use crate::error::Result;
use crate::json::json;
use serde_json::Value;

const FORMAT: One = one(Some('f'), "format", "FORMAT", "Use a template, such as {{.Server.Version}}, or json");

pub static COMMAND: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    summary: "Show the version",
    flags: &[FORMAT.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    match parsed.text(FORMAT)? {
        None | Some("") => print_version()?,
        Some("json") => output::print(&format!("{}\n", told()))?,
        Some(template) => output::print(&(Template::parse(template)?.render(&told())? + "\n"))?,
    }
    Ok(0)
}

pub fn print_version() -> Result<()> {
    output::print(&format!("ccrun version {}, {}\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH))
}

/// Client and server as Docker tells of them, which are one here.
fn told() -> Value {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let version = env!("CARGO_PKG_VERSION");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim_end();
    json!({
        "Client": { "Version": version, "Os": "linux", "Arch": arch },
        "Server": {
            "Platform": { "Name": "ccrun" },
            "Components": [{ "Name": "ccrun", "Version": version }],
            "Version": version,
            "Os": "linux",
            "Arch": arch,
            "KernelVersion": kernel,
        },
    })
}
