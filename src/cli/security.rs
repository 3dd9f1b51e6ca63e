//! `--security-opt` and its kin: what the command may do at most.

use super::capabilities;
use super::parse::{Parsed, utf8};
use crate::container::spec::Security;
use crate::error::{Error, Result};
use crate::isolation::seccomp::Filter;
use std::path::Path;

/// What `--security-opt` may say.
pub const OPTIONS: &str = "no-new-privileges, seccomp=unconfined, seccomp=builtin or seccomp=FILE";

pub fn read(parsed: &Parsed) -> Result<Security> {
    let mut security = Security {
        capabilities: capabilities::read(parsed)?,
        no_new_privileges: false,
        privileged: parsed.is_on("privileged"),
        filter: None,
    };
    // A profile that is asked for counts even so (moby, daemon/seccomp_linux.go).
    let mut profile = if security.privileged { "unconfined" } else { "builtin" };
    for value in parsed.many("security-opt") {
        let text = utf8(value, "--security-opt")?;
        // Docker took a colon once, and still does (docker/cli, opts/opts.go).
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", name) if !name.is_empty() => profile = name,
            // There is none of them anyway.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            ("apparmor" | "label", _) => {
                return Err(Error::new(format!("--security-opt {text}: containers get no {} here", what(name)))
                    .hint("their walls are the user namespace, capabilities and the system call filter"));
            }
            _ => return Err(Error::new(format!("invalid --security-opt: \"{text}\"")).hint(OPTIONS)),
        }
    }
    security.filter = match profile {
        "unconfined" => None,
        "builtin" => Some(Filter::docker(security.capabilities)?),
        file => Some(Filter::read(Path::new(file), security.capabilities)?),
    };
    Ok(security)
}

fn what(name: &str) -> &'static str {
    if name == "apparmor" { "AppArmor profile" } else { "SELinux label" }
}
