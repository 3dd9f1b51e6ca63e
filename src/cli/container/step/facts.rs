//! The output of `?`: the state of a process as the kernel reports it, without what is unchanged since the last step.

use crate::container::in_force::Status;
use crate::container::view::{MountPoint, View};
use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;
use crate::isolation::idmap::Extent;
use crate::isolation::rlimit::Ulimit;
use crate::sys::signal;

/// A process's state in words.
pub struct Facts {
    /// Topics with one value.
    single: Vec<(String, String)>,
    /// Topics with a list of values.
    many: Vec<(&'static str, Known)>,
    mounts: std::result::Result<Vec<MountPoint>, String>,
}

type Known = std::result::Result<Vec<String>, String>;

impl Facts {
    pub fn of(view: View) -> Facts {
        let View { namespaces, uid_map, gid_map, status, dumpable, hostname, directory, streams, .. } = view;
        let mut single: Vec<(String, String)> =
            namespaces.into_iter().map(|(kind, id)| (format!("namespace {kind}"), or_unknown(id))).collect();
        let mut say = |topic: &str, text: String| single.push((topic.to_owned(), text));
        say("uid map", or_unknown(uid_map.map(|map| extents(&map))));
        say("gid map", or_unknown(gid_map.map(|map| extents(&map))));
        say("host name", or_unknown(hostname));
        say("working directory", or_unknown(directory.map(|dir| dir.display().to_string())));
        say("others may look into it", or_unknown(dumpable.map(yes)));
        for (name, stream) in ["stdin", "stdout", "stderr"].into_iter().zip(streams) {
            say(name, or_unknown(stream));
        }
        let mut many = match &status {
            Ok(status) => of_status(status, &mut say),
            Err(error) => {
                say("ids, capabilities and seccomp", unknown(error));
                Vec::new()
            }
        };
        let shared = view.mounts.as_ref().map(|all| all.iter().filter(|mount| mount.is_shared).count());
        let shared = shared.map_or_else(unknown, |count| count.to_string());
        say("mounts shared with other namespaces", shared);
        many.push(("cgroup", view.cgroups.map_err(|error| unknown(&error))));
        let limits = view.limits.map(|limits| limits.iter().map(limit).collect());
        many.push(("limit", limits.map_err(|error| unknown(&error))));
        Facts { single, many, mounts: view.mounts.map_err(|error| unknown(&error)) }
    }

    /// The lines that have changed since `before`; all lines if there is no `before`.
    pub fn since(&self, before: Option<&Facts>) -> String {
        let mut lines = Vec::new();
        for (topic, text) in &self.single {
            let old = before.and_then(|facts| facts.single.iter().find(|(other, _)| other == topic));
            match old {
                Some((_, old)) if old == text => {}
                Some((_, old)) => lines.push(format!("{topic}: {text} (before: {old})")),
                None => lines.push(format!("{topic}: {text}")),
            }
        }
        for (topic, now) in &self.many {
            let old = before.and_then(|facts| facts.many.iter().find(|(other, _)| other == topic));
            difference(topic, now, old.map(|(_, old)| old), &mut lines);
        }
        mounts(&self.mounts, before.map(|facts| &facts.mounts), &mut lines);
        if lines.is_empty() {
            lines.push("nothing has changed since the step before".to_owned());
        }
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }
}

fn or_unknown(text: Result<String>) -> String {
    text.unwrap_or_else(|error| unknown(&error))
}

fn unknown(error: &Error) -> String {
    format!("unknown: {error}")
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn of_status(status: &Status, say: &mut dyn FnMut(&str, String)) -> Vec<(&'static str, Known)> {
    say("process", pids(status));
    say("uid", ids(&status.uids));
    say("gid", ids(&status.gids));
    say("no_new_privs", yes(status.no_new_privileges));
    say("system call filters", filters(status));
    let all_signals = (1..signal::COUNT).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number));
    let blocked = all_signals.clone().filter(|number| status.blocked_signals >> (number - 1) & 1 == 1).count();
    let blocked = match blocked {
        0 => "none".to_owned(),
        // The C library never blocks three of its own.
        most if most + 4 > all_signals.count() => "all".to_owned(),
        some => some.to_string(),
    };
    say("blocked signals", blocked);
    let sets = &status.capabilities;
    let mut many: Vec<(&'static str, Known)> =
        vec![("group", Ok(status.groups.iter().map(|group| group.to_string()).collect()))];
    let named = [
        ("effective capabilities", sets.effective),
        ("permitted capabilities", sets.permitted),
        ("bounding capabilities", sets.bounding),
        ("inheritable capabilities", sets.inheritable),
        ("ambient capabilities", sets.ambient),
    ];
    many.extend(named.map(|(topic, set): (&'static str, Set)| (topic, Ok(set.names()))));
    many
}

fn pids(status: &Status) -> String {
    let pids: Vec<String> = status.pids.iter().map(|pid| pid.to_string()).collect();
    let within = |number: i32| if number == 0 { "from outside".to_owned() } else { number.to_string() };
    format!("{} (session {}, group {})", pids.join(", inside "), within(status.session), within(status.group))
}

/// One number if all four are the same.
fn ids(ids: &[u32]) -> String {
    match ids {
        [real, rest @ ..] if rest.iter().all(|id| id == real) => real.to_string(),
        [real, effective, saved, files] => {
            format!("real {real}, effective {effective}, saved {saved}, files {files}")
        }
        _ => "unknown".to_owned(),
    }
}

fn filters(status: &Status) -> String {
    match (status.seccomp_mode, status.seccomp_filters) {
        (0, _) => "none".to_owned(),
        (2, Some(count)) => count.to_string(),
        (2, None) => "at least 1".to_owned(),
        (mode, _) => format!("mode {mode}"),
    }
}

fn extents(map: &[Extent]) -> String {
    let one = |extent: &Extent| {
        let last = |first: u32| first.saturating_add(extent.count.saturating_sub(1));
        let range = |first: u32| if extent.count == 1 { first.to_string() } else { format!("{first}-{}", last(first)) };
        format!("{} is {}", range(extent.inside), range(extent.outside))
    };
    if map.is_empty() { "none".to_owned() } else { map.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn limit(ulimit: &Ulimit) -> String {
    let number = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
    format!("{}={}:{}", ulimit.name, number(ulimit.limit.soft), number(ulimit.limit.hard))
}

/// Adds lines for the values that a list has gained and lost.
fn difference(topic: &str, now: &Known, old: Option<&Known>, lines: &mut Vec<String>) {
    let list = |all: &[&String]| all.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ");
    match (now, old) {
        (Err(why), Some(Err(old))) if why == old => {}
        (Err(why), _) => lines.push(format!("{topic}: {why}")),
        (Ok(now), Some(Ok(old))) => {
            let gained: Vec<&String> = now.iter().filter(|one| !old.contains(one)).collect();
            let lost: Vec<&String> = old.iter().filter(|one| !now.contains(one)).collect();
            for (sign, some) in [("+", gained), ("-", lost)] {
                if !some.is_empty() {
                    lines.push(format!("{topic} {sign} {}", list(&some)));
                }
            }
        }
        (Ok(now), _) if now.is_empty() => lines.push(format!("{topic}: none")),
        (Ok(now), _) => lines.push(format!("{topic}: {}", list(&now.iter().collect::<Vec<_>>()))),
    }
}

fn mounts(
    now: &std::result::Result<Vec<MountPoint>, String>,
    old: Option<&std::result::Result<Vec<MountPoint>, String>>,
    lines: &mut Vec<String>,
) {
    let (now, old) = match (now, old) {
        (Err(why), Some(Err(old))) if why == old => return,
        (Err(why), _) => return lines.push(format!("mounts: {why}")),
        (Ok(now), Some(Ok(old))) => (now, old),
        (Ok(now), _) => return lines.extend(now.iter().map(|mount| format!("mount {}", described(mount)))),
    };
    let before = |mount: &MountPoint| old.iter().find(|old| old.id == mount.id);
    // pivot_root removes the same prefix from the paths of all the container's mounts.
    let root = now.iter().find(|mount| mount.point == "/").and_then(before).map_or("/", |old| old.point.as_str());
    let has_moved_along =
        |mount: &MountPoint, old: &MountPoint| mount.point != "/" && old.point.strip_prefix(root) == Some(&mount.point);
    let mut along = 0;
    for mount in now {
        match before(mount) {
            None => lines.push(format!("mount + {}", described(mount))),
            Some(old) if old.point == mount.point && old.options == mount.options => {}
            Some(old) if old.options != mount.options => {
                lines.push(format!("mount {} (before: {} {})", described(mount), old.point, old.options));
            }
            Some(old) if has_moved_along(mount, old) => along += 1,
            Some(old) => lines.push(format!("mount {} (before: {})", mount.point, old.point)),
        }
    }
    if along > 0 {
        lines.push(format!("mounts below {root} that are now below /: {along}"));
    }
    let gone = old.iter().filter(|old| now.iter().all(|mount| mount.id != old.id));
    lines.extend(gone.map(|mount| format!("mount - {}", described(mount))));
}

fn described(mount: &MountPoint) -> String {
    let MountPoint { point, kind, source, root, options, .. } = mount;
    let part = if root == "/" { String::new() } else { format!(", its {root}") };
    format!("{point}: {kind} of {source}{part} ({options})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(single: &[(&str, &str)], groups: &[&str], mounts: &[(u64, &str, &str)]) -> Facts {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
        let mount = |(id, point, options): &(u64, &str, &str)| MountPoint {
            id: *id,
            point: point.to_string(),
            kind: "tmpfs".to_owned(),
            source: "none".to_owned(),
            root: "/".to_owned(),
            options: options.to_string(),
            is_shared: false,
        };
        Facts {
            single: single.iter().map(|(topic, text)| (topic.to_string(), text.to_string())).collect(),
            many: vec![("group", Ok(texts(groups)))],
            mounts: Ok(mounts.iter().map(mount).collect()),
        }
    }

    #[test]
    fn only_what_has_changed_is_printed() {
        let before = facts(&[("uid", "7"), ("host name", "a")], &["1", "2"], &[(1, "/", "rw"), (2, "/x", "rw")]);
        let whole = "    uid: 7\n    host name: a\n    group: 1 2\n    mount /: tmpfs of none (rw)\n    \
                     mount /x: tmpfs of none (rw)\n";
        assert_eq!(before.since(None), whole);
        assert!(before.since(Some(&before)).starts_with("    nothing "));
        let after = facts(&[("uid", "0"), ("host name", "a")], &["2", "3"], &[(2, "/y", "rw"), (3, "/p", "ro")]);
        let changed = "    uid: 0 (before: 7)\n    group + 3\n    group - 1\n    mount /y (before: /x)\n    \
                       mount + /p: tmpfs of none (ro)\n    mount - /: tmpfs of none (rw)\n";
        assert_eq!(after.since(Some(&before)), changed);
        let outside =
            facts(&[], &[], &[(1, "/", "rw"), (2, "/c/r", "rw"), (3, "/c/r/proc", "rw"), (4, "/c/r/dev", "rw")]);
        let inside = facts(&[], &[], &[(2, "/", "rw"), (3, "/proc", "rw"), (4, "/dev", "ro")]);
        let pivoted = "    mount / (before: /c/r)\n    mount /dev: tmpfs of none (ro) (before: /c/r/dev rw)\n    \
                       mounts below /c/r that are now below /: 1\n    mount - /: tmpfs of none (rw)\n";
        assert_eq!(inside.since(Some(&outside)), pivoted);
    }

    #[test]
    fn unreadable_values_are_unknown() {
        let nothing = Facts::of(View::read(None)).since(None);
        let lines = ["    uid map: unknown: ", "    ids, capabilities and seccomp: unknown: ", "    mounts: unknown: "];
        assert!(lines.iter().all(|line| nothing.contains(line)), "{nothing}");
    }

    #[test]
    fn ids_and_maps_are_in_words() {
        let extent = |inside, outside, count| Extent { inside, outside, count };
        let map = [extent(0, 1000, 1), extent(1, 100_000, 65535)];
        assert_eq!(extents(&map), "0 is 1000, 1-65535 is 100000-165534");
        assert_eq!((ids(&[5; 4]), ids(&[])), ("5".to_owned(), "unknown".to_owned()));
        assert_eq!(ids(&[1, 2, 3, 4]), "real 1, effective 2, saved 3, files 4");
    }
}
