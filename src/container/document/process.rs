//! The process to run: `process`.

use super::object::{Absolute, At, Json, object};
use crate::error::Result;
use crate::isolation::rlimit;
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

object! {
    #[derive(Default)]
    pub struct ProcessEntry {
        args: Vec<OsString> = "args",
        env: Vec<Variable> = "env",
        cwd: Absolute = "cwd",
        terminal: Option<bool> = "terminal",
        user: UserEntry = "user",
        capabilities: Option<Capabilities> = "capabilities",
        rlimits: Vec<RlimitEntry> = "rlimits",
        no_new_privileges: Option<bool> = "noNewPrivileges",
        oom_score_adj: Option<Score> = "oomScoreAdj",
        apparmor_profile: Option<String> = "apparmorProfile",
        selinux_label: Option<String> = "selinuxLabel",
    } keeps unread: ["consoleSize", "scheduler", "ioPriority", "execCPUAffinity"]
    #[derive(Default)]
    pub struct UserEntry {
        uid: Option<Id> = "uid",
        gid: Option<Id> = "gid",
        additional_gids: Vec<Id> = "additionalGids",
        umask: Option<Umask> = "umask",
    }
    /// Names as in capabilities(7). An unknown name is a warning and not an error, as the specification demands.
    #[derive(Default)]
    pub struct Capabilities {
        bounding: Vec<String> = "bounding",
        effective: Vec<String> = "effective",
        permitted: Vec<String> = "permitted",
        inheritable: Vec<String> = "inheritable",
        ambient: Vec<String> = "ambient",
    }
    pub struct RlimitEntry {
        kind: RlimitKind = "type",
        soft: u64 = "soft",
        hard: u64 = "hard",
    }
}

impl ProcessEntry {
    pub(super) fn check(&self, at: &At<'_>) -> Result<()> {
        if self.args.first().is_none_or(|program| program.is_empty()) {
            return Err(at.member("args").error("names no program"));
        }
        let rlimits = at.member("rlimits");
        for (number, one) in self.rlimits.iter().enumerate() {
            let (at, name) = (rlimits.item(number), one.kind.name());
            if one.soft > one.hard {
                return Err(at.error(format!("the soft limit {} is above the hard one, {}", one.soft, one.hard)));
            }
            if self.rlimits[..number].iter().any(|before| before.kind == one.kind) {
                return Err(at.member("type").error(format!("RLIMIT_{name} is listed twice")));
            }
        }
        Ok(())
    }
}

/// A user or group id. The last number means "none" to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u32);

impl Json for Id {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX);
        id.map(Id).ok_or_else(|| at.is_not(value, "a user or group id from 0 to 4294967294"))
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

/// A mask of permission bits, umask(2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Umask(pub u32);

impl Json for Umask {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let mask = value.as_u64().filter(|mask| *mask <= 0o777).and_then(|mask| u32::try_from(mask).ok());
        mask.map(Umask).ok_or_else(|| at.is_not(value, "a mask from 0 to 511"))
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

/// `NAME=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable(pub OsString);

impl Json for Variable {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let text = OsString::read(value, at)?;
        let is_valid = text.as_bytes().iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0);
        if is_valid { Ok(Variable(text)) } else { Err(at.error(format!("'{}' is not NAME=VALUE", text.display()))) }
    }

    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

/// How readily the kernel kills the process when memory is short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(pub i32);

impl Json for Score {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let score = value.as_i64().and_then(|score| i32::try_from(score).ok());
        let score = score.filter(|score| (-1000..=1000).contains(score));
        score.map(Score).ok_or_else(|| at.is_not(value, "a score from -1000 to 1000"))
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

/// A kind of limit, by ccrun's name for it: `nofile`. The specification writes `RLIMIT_NOFILE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RlimitKind(&'static str);

impl RlimitKind {
    /// The limit on address space, which ccrun does not set.
    pub const AS: &'static str = "as";

    pub fn word(self) -> &'static str {
        self.0
    }

    /// One of ccrun's own names.
    pub fn of_word(word: &'static str) -> RlimitKind {
        RlimitKind(word)
    }

    /// The name after `RLIMIT_`.
    fn name(self) -> String {
        self.0.to_ascii_uppercase()
    }
}

impl Json for RlimitKind {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let words = || rlimit::NAMES.iter().map(|(name, _)| *name).chain([RlimitKind::AS]);
        let name = value.as_str().and_then(|text| text.strip_prefix("RLIMIT_"));
        let known = words().find(|word| name.is_some_and(|name| word.to_ascii_uppercase() == name));
        known.map(RlimitKind).ok_or_else(|| at.is_not(value, "a limit of setrlimit(2) (RLIMIT_NOFILE, …)"))
    }

    fn write(&self) -> Option<Value> {
        Some(format!("RLIMIT_{}", self.name()).into())
    }
}
