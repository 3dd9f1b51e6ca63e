//! `--name`, `--rm`, `--init` and other flags about the container as a whole.

use crate::cli::args::{Flag, One, Parsed, Switch, Typed, one, switch};
use crate::cli::names;
use crate::error::{Error, Result};
use crate::isolation::network::Network;

pub const BUNDLE: One = one(None, "bundle", "DIR", "Run the OCI bundle in DIR, as its config.json says (root only)");
pub const NAME: Typed<String> = one(None, "name", "NAME", "Name of the container")
    .parsed_by(|_, text| names::check_container(text).map(|name| Some(name.to_owned())));
pub const HOSTNAME: Typed<String> =
    one(Some('h'), "hostname", "NAME", "Host name inside (default container)").parsed_by(hostname);
pub const NETWORK: Typed<Network> = one(
    None,
    "network",
    "none|host",
    "Containers have no network yet but loopback (none, the default), or the host's (host)",
)
.parsed_by(network);
pub const READ_ONLY: Switch = switch(None, "read-only", "Make the root file system read-only");
pub const INIT: Switch =
    switch(None, "init", "Make ccrun PID 1, which reaps processes and passes signals on (default)");
pub const NO_INIT: Switch = switch(None, "no-init", "Make the command itself PID 1");
pub const RM: Switch = switch(None, "rm", "Remove the container when it ends");
pub const STATS: Switch = switch(None, "stats", "Tell at the end what time and memory it took");

/// Whether ccrun is PID 1, if a flag says so.
pub fn init(parsed: &Parsed) -> Option<bool> {
    if parsed.is_on(NO_INIT) {
        return Some(false);
    }
    parsed.switch(INIT)
}

fn network(_: &Flag, name: &str) -> Result<Option<Network>> {
    match name {
        "none" => Ok(Some(Network::None)),
        "host" => Ok(Some(Network::Host)),
        other => Err(Error::new(format_args!("network {other} not found")).hint("there are none and host")),
    }
}

fn hostname(_: &Flag, name: &str) -> Result<Option<String>> {
    // As hostname(7) allows. The name goes into files and the environment.
    let valid = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !name.starts_with(['-', '.']);
    if valid {
        Ok(Some(name.to_owned()))
    } else {
        Err(Error::new(format_args!("invalid hostname: {name}"))
            .hint("it is made of letters, digits, - and ., at most 64 of them"))
    }
}
