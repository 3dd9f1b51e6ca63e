//! `--security-opt`, `--privileged`, `--cap-add` and `--cap-drop`: the limits of the command's privileges.

use crate::cli::args::{Many, Parsed, Switch, many, switch, utf8};
use crate::container::spec::{Seccomp, Security};
use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;
use crate::isolation::seccomp::Filter;
use std::path::Path;

/// The options of `--security-opt`.
const OPTIONS: &str = "no-new-privileges, seccomp=unconfined, seccomp=builtin or seccomp=FILE";

pub const CAP_ADD: Many = many(None, "cap-add", "NAME", "Give a capability more than the default ones, or ALL");
pub const CAP_DROP: Many = many(None, "cap-drop", "NAME", "Take a capability away, or ALL");
pub const PRIVILEGED: Switch =
    switch(None, "privileged", "Give all that the caller's user namespace can have, which is no root's power");
pub const SECURITY_OPT: Many = many(None, "security-opt", "OPTION", OPTIONS);

pub fn read(parsed: &Parsed) -> Result<Security> {
    let mut security = Security {
        capabilities: capabilities(parsed)?,
        no_new_privileges: false,
        privileged: parsed.is_on(PRIVILEGED),
        seccomp: Seccomp::Default,
    };
    // An explicit profile applies even with --privileged (moby, daemon/seccomp_linux.go).
    let mut profile = if security.privileged { "unconfined" } else { "builtin" };
    for text in parsed.texts(SECURITY_OPT)? {
        // Docker still accepts a colon (docker/cli, opts/opts.go).
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", name) if !name.is_empty() => profile = name,
            // ccrun uses neither.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            ("apparmor" | "label", _) => {
                return Err(Error::new(format_args!("--security-opt {text}: containers get no {} here", what(name)))
                    .hint("the user namespace, capabilities and the system call filter isolate them"));
            }
            _ => return Err(Error::new(format_args!("invalid --security-opt: \"{text}\"")).hint(OPTIONS)),
        }
    }
    security.seccomp = match profile {
        "unconfined" => Seccomp::Unconfined,
        "builtin" => Seccomp::Default,
        file => Seccomp::Profile(Filter::read(Path::new(file), security.capabilities)?),
    };
    Ok(security)
}

fn what(name: &str) -> &'static str {
    if name == "apparmor" { "AppArmor profile" } else { "SELinux label" }
}

/// The capabilities that the flags ask for, merged as Docker does (moby, daemon/pkg/oci/caps/utils.go).
fn capabilities(parsed: &Parsed) -> Result<Set> {
    let list = |flag: Many| parsed.many(flag).map(|value| utf8(value, flag.flag.long)).collect::<Result<Vec<_>>>();
    let (adds, drops) = (list(CAP_ADD)?, list(CAP_DROP)?);
    let set = merge(&adds, &drops, Set::is_known_here)?;
    Ok(if parsed.is_on(PRIVILEGED) { Set::ALL } else { set })
}

/// A capability that is both added and dropped is kept, unless all are added. If all are dropped, the added ones are kept.
fn merge(adds: &[&str], drops: &[&str], is_known_here: impl Fn(Set) -> bool) -> Result<Set> {
    let adds = understand("CapAdd", adds, &is_known_here)?;
    let drops = understand("CapDrop", drops, &is_known_here)?;
    Ok(match (adds, drops) {
        (Asked { all: true, .. }, drops) => Set::ALL.without(drops.single),
        (adds, Asked { all: true, .. }) => adds.single,
        (adds, drops) => Set::docker().without(drops.single).with(adds.single),
    })
}

/// The capabilities in the values of one flag.
#[derive(Default)]
struct Asked {
    all: bool,
    single: Set,
}

fn understand(flag: &str, values: &[&str], is_known_here: impl Fn(Set) -> bool) -> Result<Asked> {
    let mut asked = Asked::default();
    for value in values {
        let name = value.to_ascii_uppercase();
        if name == "ALL" {
            asked.all = true;
            continue;
        }
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        let wrong = |why: &str| Error::new(format_args!("invalid {flag}: {why}: \"CAP_{name}\""));
        let Some(set) = Set::named(name) else {
            let known = Set::ALL.names().into_iter().filter(|known| Set::named(&known[4..]).is_some());
            let known: Vec<String> = known.map(|known| known[4..].to_owned()).collect();
            return Err(wrong("unknown capability").hint(format_args!("ALL or one of {}", known.join(", "))));
        };
        if !is_known_here(set) {
            return Err(wrong("capability not supported by your kernel or not available in the current environment"));
        }
        asked.single = asked.single.with(set);
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(adds: &[&str], drops: &[&str]) -> std::result::Result<Set, String> {
        merge(adds, drops, |_| true).map_err(|error| error.to_string())
    }

    #[test]
    fn they_merge_as_in_docker() {
        let named = |name| Set::named(name).unwrap();
        let docker = Set::docker();
        for (adds, drops, set) in [
            (&[][..], &[][..], docker),
            (&["SYS_ADMIN"], &[], docker.with(named("SYS_ADMIN"))),
            (&["cap_sys_admin", "Net_Admin"], &["chown"], {
                docker.with(named("SYS_ADMIN")).with(named("NET_ADMIN")).without(named("CHOWN"))
            }),
            (&[], &["ALL"], Set::default()),
            (&["CHOWN", "bpf"], &["all"], named("CHOWN").with(named("BPF"))),
            (&["ALL"], &[], Set::ALL),
            (&["All", "CHOWN"], &["MKNOD"], Set::ALL.without(named("MKNOD"))),
            (&["ALL"], &["ALL"], Set::ALL),
            (&["CHOWN"], &["CHOWN"], docker),
        ] {
            assert_eq!(merged(adds, drops), Ok(set), "+{adds:?} -{drops:?}");
        }
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_known_ones() {
        let said = merged(&["bogus"], &[]).unwrap_err();
        assert!(said.starts_with("invalid CapAdd: unknown capability: \"CAP_BOGUS\"; ALL or one of CHOWN, "), "{said}");
        assert!(said.ends_with(", CHECKPOINT_RESTORE") && !said.contains("CAP_CHOWN"), "{said}");
        assert!(merged(&[""], &["x"]).unwrap_err().starts_with("invalid CapAdd: unknown capability: \"CAP_\""));
        assert!(merged(&[], &["CAP_CAP_KILL"]).unwrap_err().starts_with("invalid CapDrop: unknown capability"));
        let missing = merge(&["BPF"], &[], |_| false).unwrap_err().to_string();
        assert!(missing.contains("not supported by your kernel") && missing.ends_with("\"CAP_BPF\""), "{missing}");
    }
}
