//! What this host can do: each thing that a run or a pull needs is tried, and
//! what does not work is told with the one command that mends it here.
//!
//! Trying beats asking for versions: distributions carry patches both ways. What
//! is made for a try (a child in its namespaces, a directory on the store's file
//! system) is gone again when the answer is there.

mod distribution;
mod kernel;
mod programs;
mod storage;
mod users;

use crate::isolation::idmap::{self, IdMap};
use crate::store::Sandbox;
use crate::sys::cred;
use crate::sys::process::find_program;
use distribution::Distribution;
use std::path::{Path, PathBuf};

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, but not all of it.
    Less,
    /// `run` or `pull` does not work without it.
    Fails,
}

/// One line of the answer.
#[derive(Debug)]
pub struct Finding {
    pub about: &'static str,
    pub verdict: Verdict,
    pub text: String,
    /// What mends it.
    pub command: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { about, verdict: Verdict::Ok, text: text.into(), command: None }
    }

    fn less(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Less, ..Finding::ok(about, text) }
    }

    fn fails(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fails, ..Finding::ok(about, text) }
    }

    fn mended_by(mut self, command: impl Into<Option<String>>) -> Finding {
        self.command = command.into();
        self
    }
}

/// What all the tries have to know of this host.
struct Host {
    /// Where the store is or will be.
    store: PathBuf,
    map: IdMap,
    distribution: Distribution,
    user: String,
}

impl Host {
    fn is_root(&self) -> bool {
        cred::geteuid() == 0
    }

    /// The command as this user has to type it.
    fn as_root(&self, command: &str) -> String {
        let way = ["sudo", "doas"].into_iter().find(|program| find_program(program).is_some());
        match way {
            _ if self.is_root() => command.to_owned(),
            Some(way) => format!("{way} {command}"),
            None => format!("su -c '{command}'"),
        }
    }

    fn install(&self, program: &str) -> Option<String> {
        Some(self.as_root(&self.distribution.install(program)?))
    }

    /// What root can do for this user by ccrun itself.
    fn fix(&self) -> String {
        let exe = std::env::current_exe().map_or("ccrun".into(), |path| path.display().to_string());
        self.as_root(&format!("{exe} check --fix {}", self.user))
    }
}

/// Tries everything, for a store at `store`, which need not exist, with its ids and in its sandbox.
pub fn all(store: &Path, map: IdMap, sandbox: &dyn Sandbox) -> Vec<Finding> {
    let uid = cred::geteuid();
    let host = Host {
        store: store.to_owned(),
        map,
        distribution: Distribution::of_host(),
        user: idmap::user_name(uid).unwrap_or_else(|| uid.to_string()),
    };
    let mut findings = vec![kernel::version(&host)];
    let (namespaces, ids) = users::check(&host);
    // What follows is done by container root, whom there is only in a user namespace.
    let sandboxed = namespaces.verdict != Verdict::Fails && ids.verdict != Verdict::Fails;
    findings.extend([namespaces, ids]);
    findings.extend(storage::check(&host, sandboxed.then_some(sandbox)));
    findings.push(kernel::cgroups(&host));
    findings.extend(programs::check(&host));
    findings
}

/// The command by which root installs `program` here.
pub fn install(program: &str) -> Option<String> {
    Distribution::of_host().install(program)
}
