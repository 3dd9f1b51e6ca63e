//! `--security-opt` and its kin: what the command may do at most.

use super::parse::{Parsed, utf8};
use crate::container::spec::Security;
use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;

pub fn read(parsed: &Parsed) -> Result<Security> {
    let mut security = Security { capabilities: Set::docker(), no_new_privileges: false };
    for value in parsed.many("security-opt") {
        let text = utf8(value, "--security-opt")?;
        // Docker took a colon once, and still does (docker/cli, opts/opts.go).
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            _ => return Err(Error::new(format!("invalid --security-opt: \"{text}\"")).hint("no-new-privileges")),
        }
    }
    Ok(security)
}
