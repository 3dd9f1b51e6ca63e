//! Translates `process`.

use super::{Missing, Unknown};
use crate::container::document::{Capabilities, Extension, Id, Ids, ProcessEntry, RlimitKind, Stdio};
use crate::container::spec::{DEFAULT_UMASK, Process, Stream};
use crate::error::Result;
use crate::isolation::capabilities::Set;
use crate::isolation::rlimit::{self, Ulimit};
use crate::sys::resource::Rlimit;

pub fn translate(entry: &ProcessEntry, ccrun: &Extension, missing: &mut Missing) -> Result<Process> {
    let streams = streams(ccrun);
    let has_terminal = entry.terminal == Some(true);
    missing.refuse(
        has_terminal && !streams.contains(&Stream::Terminal),
        "process.terminal",
        "a bundle's process cannot have a terminal",
    );
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let no_labels = "ccrun sets no label of a security module";
    missing.refuse(is_set(&entry.apparmor_profile), "process.apparmorProfile", no_labels);
    missing.refuse(is_set(&entry.selinux_label), "process.selinuxLabel", no_labels);
    // consoleSize means nothing without a terminal.
    let unread = entry.unread.keys().filter(|name| *name != "consoleSize");
    unread.for_each(|name| missing.push(format_args!("process.{name}"), "ccrun does not set it"));
    let number = |id: Option<Id>| id.map_or(0, |id| id.0);
    let user = &entry.user;
    let numbers = || format!("{}:{}", number(user.uid), number(user.gid));
    let groups = match ccrun.user {
        Some(_) => ccrun.groups.clone(),
        None => user.additional_gids.iter().map(|id| id.0.to_string()).chain(ccrun.groups.iter().cloned()).collect(),
    };
    Ok(Process {
        args: entry.args.clone(),
        env: entry.env.iter().map(|variable| variable.0.clone()).collect(),
        cwd: entry.cwd.0.clone(),
        user: ccrun.user.clone().unwrap_or_else(numbers),
        groups,
        keep_groups: ccrun.keep_groups == Some(true),
        only_groups: ccrun.user.is_none(),
        umask: user.umask.map_or(DEFAULT_UMASK, |mask| mask.0),
        ulimits: ulimits(entry, ccrun.ids == Some(Ids::Store), missing)?,
        streams,
        explicit: ccrun.explicit == Some(true),
        interactive: ccrun.interactive == Some(true),
        oom_score_adj: entry.oom_score_adj.map(|score| score.0),
    })
}

fn streams(ccrun: &Extension) -> [Stream; 3] {
    let stream = |at: usize| match ccrun.stdio.get(at) {
        Some(Stdio::Null) => Stream::Null,
        Some(Stdio::Pipe) => Stream::Pipe,
        Some(Stdio::Terminal) => Stream::Terminal,
        Some(Stdio::Inherit) | None => Stream::Inherit,
    };
    [stream(0), stream(1), stream(2)]
}

fn ulimits(entry: &ProcessEntry, is_ours: bool, missing: &mut Missing) -> Result<Vec<Ulimit>> {
    let mut ulimits = Vec::new();
    for (at, one) in entry.rlimits.iter().enumerate() {
        let name = one.kind.word();
        let no_space = "ccrun does not limit address space (RLIMIT_AS); use the memory limit";
        missing.refuse(name == RlimitKind::AS, format_args!("process.rlimits[{at}]"), no_space);
        if name != RlimitKind::AS {
            ulimits.push(Ulimit { name, limit: Rlimit { soft: one.soft, hard: one.hard } });
        }
    }
    // Without an entry the process has the caller's limits. For core files ccrun's own containers have a limit of 0.
    if !is_ours && ulimits.iter().all(|ulimit| ulimit.name != rlimit::CORE) {
        ulimits.push(Ulimit::of_caller(rlimit::CORE)?);
    }
    Ok(ulimits)
}

/// The bounding set. After execve root has all of it and other users have nothing, whatever the effective and permitted
/// sets were before (capabilities(7), "Transformation of capabilities during execve()").
pub fn capabilities(entry: &ProcessEntry, ccrun: &Extension, missing: &mut Missing, unknown: &mut Vec<Unknown>) -> Set {
    if ccrun.all_capabilities == Some(true) {
        return Set::ALL;
    }
    // As in runc: no entry means no capabilities.
    let Some(Capabilities { bounding, effective: _, permitted, inheritable, ambient }) = &entry.capabilities else {
        return Set::default();
    };
    let none = "ccrun keeps no capability for programs of other users than root";
    missing.refuse(!inheritable.is_empty(), "process.capabilities.inheritable", none);
    missing.refuse(!ambient.is_empty(), "process.capabilities.ambient", none);
    let mut set = |names: &[String]| {
        let one = |set: Set, name: &String| match name.strip_prefix("CAP_").and_then(Set::named) {
            Some(one) => set.with(one),
            None => {
                unknown.push(Unknown { capability: name.clone() });
                set
            }
        };
        names.iter().fold(Set::default(), one)
    };
    let bounding = set(bounding);
    // But with no_new_privs, execve gives root nothing that it did not have (prctl(2)).
    let is_root = entry.user.uid.is_none_or(|uid| uid.0 == 0);
    if is_root && entry.no_new_privileges == Some(true) {
        let less = bounding.without(set(permitted)) != Set::default();
        missing.refuse(
            less,
            "process.capabilities.permitted",
            "is smaller than the bounding set, with noNewPrivileges",
        );
    }
    bounding
}
