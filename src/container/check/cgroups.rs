//! Which controllers can limit a container of this user's.

use super::{Finding, Host};
use crate::isolation::cgroup::host::Trees;
use crate::isolation::cgroup::limits::Controller;

const ABOUT: &str = "cgroups";

pub fn check(host: &Host) -> Finding {
    let trees = match Trees::read() {
        Ok(trees) => trees,
        Err(error) => return Finding::less(ABOUT, error.to_string()),
    };
    let Some(kind) = trees.kind() else {
        return Finding::less(ABOUT, "none are mounted, so that there are no limits");
    };
    let (usable, missing): (Vec<Controller>, Vec<Controller>) =
        Controller::ALL.into_iter().partition(|controller| trees.is_usable(*controller));
    let names = |list: &[Controller]| list.iter().map(|controller| controller.name()).collect::<Vec<_>>().join(", ");
    let text = match (usable.is_empty(), missing.is_empty()) {
        (_, true) => return Finding::ok(ABOUT, format!("{kind}; limits of {}", names(&usable))),
        (true, _) => format!("{kind}; no limits can be set"),
        _ => format!("{kind}; limits of {}, none of {}", names(&usable), names(&missing)),
    };
    let finding = Finding::less(ABOUT, text);
    if host.is_root() { finding } else { finding.mended_by(host.fix()) }
}
