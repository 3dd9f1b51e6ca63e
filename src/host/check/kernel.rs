//! The kernel's version and its cgroups.

use super::{Finding, Host};
use crate::isolation::cgroup::host::Hierarchies;
use crate::isolation::cgroup::limits::Controller;

const KERNEL: &str = "kernel";
const CGROUPS: &str = "cgroups";

/// mount_setattr(2), and with it the mounts of every start.
const NEEDED: (u32, u32) = (5, 12);

/// Overlay on lower layers with mapped ids.
const OWN_RANGES: (u32, u32) = (5, 19);

/// Nothing depends on it alone, but it says what cannot be expected.
pub fn version(host: &Host) -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    judge(release.trim(), host.is_root())
}

fn judge(release: &str, root: bool) -> Finding {
    let Some(version) = parse(release) else {
        return Finding::less(KERNEL, format!("/proc/sys/kernel/osrelease says {release:?}, which is no version"));
    };
    if version < NEEDED {
        return Finding::fails(KERNEL, format!("Linux {release} is too old: 5.12 is needed"));
    }
    if root && version < OWN_RANGES {
        return Finding::less(KERNEL, format!("Linux {release}: before 5.19 root's containers share one range of ids"));
    }
    Finding::ok(KERNEL, format!("Linux {release}"))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Which controllers can limit a container of this user's.
pub fn cgroups(host: &Host) -> Finding {
    let hierarchies = match Hierarchies::read() {
        Ok(hierarchies) => hierarchies,
        Err(error) => return Finding::less(CGROUPS, error.to_string()),
    };
    let Some(kind) = hierarchies.kind() else {
        return Finding::less(CGROUPS, "none are mounted, so that there are no limits");
    };
    let (usable, missing): (Vec<Controller>, Vec<Controller>) =
        Controller::ALL.into_iter().partition(|controller| hierarchies.is_usable(*controller));
    let names = |list: &[Controller]| list.iter().map(|controller| controller.name()).collect::<Vec<_>>().join(", ");
    let text = match (usable.is_empty(), missing.is_empty()) {
        (_, true) => return Finding::ok(CGROUPS, format!("{kind}; limits of {}", names(&usable))),
        (true, _) => format!("{kind}; no limits can be set"),
        _ => format!("{kind}; limits of {}, none of {}", names(&usable), names(&missing)),
    };
    let finding = Finding::less(CGROUPS, text);
    if host.is_root() { finding } else { finding.mended_by(host.fix()) }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (release, root, verdict) in [
            ("6.18.5-0-virt", true, Verdict::Ok),
            ("5.9.16", false, Verdict::Fails),
            ("5.12", false, Verdict::Ok),
            ("5.15.0-91-generic", true, Verdict::Less),
            ("5.15.0-91-generic", false, Verdict::Ok),
            ("4.18.0-553.el8", true, Verdict::Fails),
            ("", true, Verdict::Less),
            ("x.y", true, Verdict::Less),
        ] {
            assert_eq!(judge(release, root).verdict, verdict, "{release}");
        }
    }
}
