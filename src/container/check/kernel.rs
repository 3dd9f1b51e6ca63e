//! The kernel's version. Nothing depends on it alone, but it says what cannot be expected.

use super::{Finding, Host};

const ABOUT: &str = "kernel";

/// mount_setattr(2), and with it the mounts of every start.
const NEEDED: (u32, u32) = (5, 12);

/// Overlay on lower layers with mapped ids.
const OWN_RANGES: (u32, u32) = (5, 19);

pub fn version(host: &Host) -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    judge(release.trim(), host.is_root())
}

fn judge(release: &str, root: bool) -> Finding {
    let Some(version) = parse(release) else {
        return Finding::less(ABOUT, format!("/proc/sys/kernel/osrelease says {release:?}, which is no version"));
    };
    if version < NEEDED {
        return Finding::fails(ABOUT, format!("Linux {release} is too old: 5.12 is needed"));
    }
    if root && version < OWN_RANGES {
        return Finding::less(ABOUT, format!("Linux {release}: before 5.19 root's containers share one range of ids"));
    }
    Finding::ok(ABOUT, format!("Linux {release}"))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
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
