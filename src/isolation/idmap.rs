//! Id maps: who the container's users are on the host (user_namespaces(7)).
//!
//! Inside a user namespace, uid 0 is a number like any other: the map says which
//! uid of the host stands behind it. Three maps are possible, by who asks:
//!
//! * root: ids 0–65535 are a *base range* of the host that no user has, so that
//!   nothing in a container is ever the host's root;
//! * a user with `newuidmap` and a line in /etc/subuid: container root is that
//!   user, the ids from 1 on are the range that the line grants (subuid(5));
//! * any other user: container root is that user, and there is no other id.

use crate::error::{Error, Result};
use crate::sys::helper::Helper;
use crate::sys::process::Status;
use crate::sys::{accounts, cred, fs, proc, process};
use std::path::{Path, PathBuf};

/// As many ids as an ordinary image uses.
pub const IDS: u32 = 65536;

/// Above the ranges of useradd, systemd-nspawn and SSSD and below 2³¹.
pub(super) const FREE_RANGE: u32 = 2_100_000_000;

/// `count` ids from `inside` on are `outside` and following on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// How a map gets into the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Writer {
    /// By us: root may map any ids, a user may map himself.
    Ourselves,
    /// By the set-user-id programs newuidmap and newgidmap.
    Helpers { newuidmap: PathBuf, newgidmap: PathBuf },
}

/// The map of a container's user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    uids: Vec<Extent>,
    gids: Vec<Extent>,
    writer: Writer,
    /// Who calls.
    caller: u32,
}

impl IdMap {
    /// The map for the calling user. Root's choice of a base range is kept in the file `kept`,
    /// because the files of the store lie in it.
    pub fn of_caller(kept: &Path) -> Result<IdMap> {
        let map = IdMap::to_be(kept)?;
        if map.is_shifted() && !kept.exists() {
            keep_base(kept, map.uids[0].outside)?;
        }
        Ok(map)
    }

    /// The same, without a trace: a range that is not kept may be another one the next time.
    pub fn to_be(kept: &Path) -> Result<IdMap> {
        let (uid, gid) = (cred::geteuid(), cred::getegid());
        if uid == 0 {
            return Ok(base_range(kept)?.map_or_else(|| IdMap::single(uid, gid), IdMap::of_range));
        }
        let helpers = (process::find_program("newuidmap"), process::find_program("newgidmap"));
        let (Some(newuidmap), Some(newgidmap)) = helpers else {
            return Ok(IdMap::single(uid, gid));
        };
        let name = user_name(uid);
        let range = |file| subordinate(&read_or_empty(file), &[name.as_deref().unwrap_or(""), &uid.to_string()]);
        let (Some(uids), Some(gids)) = (range("/etc/subuid"), range("/etc/subgid")) else {
            return Ok(IdMap::single(uid, gid));
        };
        let extents = |own: u32, (start, count): (u32, u32)| {
            vec![
                Extent { inside: 0, outside: own, count: 1 },
                Extent { inside: 1, outside: start, count: count.min(IDS - 1) },
            ]
        };
        Ok(IdMap {
            uids: extents(uid, uids),
            gids: extents(gid, gids),
            writer: Writer::Helpers { newuidmap, newgidmap },
            caller: uid,
        })
    }

    /// The caller alone, as container root.
    pub fn single_of_caller() -> IdMap {
        IdMap::single(cred::geteuid(), cred::getegid())
    }

    /// The ids 0–65535 are those from `first` on.
    pub(super) fn of_range(first: u32) -> IdMap {
        IdMap::moving(0, first)
    }

    /// 65536 ids from `from` on are those from `to` on.
    pub(super) fn moving(from: u32, to: u32) -> IdMap {
        let extents = vec![Extent { inside: from, outside: to, count: IDS }];
        IdMap { uids: extents.clone(), gids: extents, writer: Writer::Ourselves, caller: 0 }
    }

    /// A map that root writes; `None` if it does not hold container root.
    pub fn of_extents(mut uids: Vec<Extent>, mut gids: Vec<Extent>) -> Option<IdMap> {
        // Others ask the first for container root's ids.
        [&mut uids, &mut gids].into_iter().for_each(|extents| crate::sort::by_key(extents, |extent| extent.inside));
        let has_root = [&uids, &gids].iter().all(|extents| extents.first().is_some_and(|first| first.inside == 0));
        has_root.then_some(IdMap { uids, gids, writer: Writer::Ourselves, caller: 0 })
    }

    /// The ids of root in `from` are those of root in `to`.
    pub(super) fn of_roots(from: (u32, u32), to: (u32, u32)) -> IdMap {
        let one = |inside, outside| vec![Extent { inside, outside, count: 1 }];
        IdMap { uids: one(from.0, to.0), gids: one(from.1, to.1), writer: Writer::Ourselves, caller: 0 }
    }

    fn single(uid: u32, gid: u32) -> IdMap {
        let one = |outside| vec![Extent { inside: 0, outside, count: 1 }];
        IdMap { uids: one(uid), gids: one(gid), writer: Writer::Ourselves, caller: uid }
    }

    /// The map of a user namespace in one with this map: the same ids.
    pub fn nested(&self) -> IdMap {
        let same = |extents: &[Extent]| extents.iter().map(|e| Extent { outside: e.inside, ..*e }).collect();
        IdMap { uids: same(&self.uids), gids: same(&self.gids), writer: Writer::Ourselves, caller: 0 }
    }

    pub fn uids(&self) -> &[Extent] {
        &self.uids
    }

    pub fn gids(&self) -> &[Extent] {
        &self.gids
    }

    /// Whether container root is the only id there is.
    pub fn is_single(&self) -> bool {
        self.uids.len() == 1 && self.uids[0].count == 1
    }

    /// Whether container root is somebody else than the caller: true for root's base range.
    pub fn is_shifted(&self) -> bool {
        self.uids[0].outside != self.caller
    }

    /// The host's uid and gid behind container root.
    pub fn root_ids(&self) -> (u32, u32) {
        (self.uids[0].outside, self.gids[0].outside)
    }

    /// The highest group id of the container.
    pub fn last_gid(&self) -> u32 {
        self.gids.iter().map(|e| e.inside + (e.count - 1)).max().unwrap_or(0)
    }

    /// Writes the map for the user namespace of our child `pid`, which must still be dumpable
    /// (its /proc files are root's otherwise).
    pub fn write(&self, pid: process::pid_t) -> Result<()> {
        match &self.writer {
            Writer::Helpers { newuidmap, newgidmap } => {
                // Both at once: each is a program to start, and they do not depend on each other.
                let running = start_helper(newuidmap, pid, &self.uids)?;
                let second = start_helper(newgidmap, pid, &self.gids)?;
                finish_helper(newuidmap, "/etc/subuid", running)?;
                finish_helper(newgidmap, "/etc/subgid", second)
            }
            Writer::Ourselves => {
                if self.is_single() {
                    // Without it the kernel refuses an unprivileged gid_map: a process could leave a
                    // group that a file's mode excludes (CVE-2014-8989).
                    write_file(pid, "setgroups", "deny")?;
                }
                write_file(pid, "uid_map", &lines(&self.uids))?;
                write_file(pid, "gid_map", &lines(&self.gids))
            }
        }
    }
}

fn lines(extents: &[Extent]) -> String {
    extents.iter().map(|e| format!("{} {} {}\n", e.inside, e.outside, e.count)).collect()
}

fn write_file(pid: process::pid_t, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    fs::write_text(path, text).map_err(super::namespaces::explain)
}

fn start_helper(program: &Path, pid: process::pid_t, extents: &[Extent]) -> Result<Helper> {
    let numbers = extents.iter().flat_map(|e| [e.inside, e.outside, e.count]).map(|n| n.to_string());
    let args: Vec<String> = std::iter::once(pid.to_string()).chain(numbers).collect();
    Helper::start(program, &args).map_err(|error| error.context(format_args!("start {}", program.display())))
}

fn finish_helper(program: &Path, file: &str, running: Helper) -> Result<()> {
    let (status, said) = running.finish().map_err(|error| error.context(program.display().to_string()))?;
    if status == Status::Exited(0) {
        return Ok(());
    }
    let said = said.lines().next().unwrap_or("no reason given").to_owned();
    Err(super::namespaces::explain(Error::new(said))
        .hint(format_args!("{} must be set-user-id root and {file} must grant your user the range", program.display())))
}

/// The first id of root's base range; `None` when this user namespace does not have it
/// (root of another container).
fn base_range(kept: &Path) -> Result<Option<u32>> {
    if let Ok(text) = fs::read_record(kept) {
        let base = text.trim().parse().map_err(|_| {
            Error::new(format_args!("{}: not a number", kept.display()))
                .hint("it holds the first host id of root's containers")
        })?;
        return Ok(Some(base));
    }
    let (subuid, subgid) = (read_or_empty("/etc/subuid"), read_or_empty("/etc/subgid"));
    let users = ["root", "0", "containers", "ccrun"];
    let granted = |text: &str| subordinate(text, &users).filter(|(_, count)| *count >= IDS).map(|(start, _)| start);
    let base = match (granted(&subuid), granted(&subgid)) {
        (Some(uids), Some(gids)) if uids == gids => uids,
        _ => free_range(&taken(&[&subuid, &subgid], &read_or_empty("/etc/passwd"))),
    };
    if !is_covered(base) {
        return Ok(None);
    }
    Ok(Some(base))
}

fn keep_base(kept: &Path, base: u32) -> Result<()> {
    fs::replace_file(kept, &fs::name_beside(kept), format!("{base}\n").as_bytes(), 0o600, &|_| Ok(()))
}

/// The first range of this host that nobody has a part of.
fn free_range(taken: &[(u32, u32)]) -> u32 {
    (0..).map(|slot| FREE_RANGE + slot * IDS).find(|first| touches_none(*first, taken)).unwrap_or(FREE_RANGE)
}

/// The first range from `first` on that ends by `end` and that nobody has a part of, by these texts.
pub fn free_range_from(first: u32, end: u32, subordinates: &[&str], passwd: &str) -> Option<u32> {
    let taken = taken(subordinates, passwd);
    (first..=end.saturating_sub(IDS)).step_by(IDS as usize).find(|first| touches_none(*first, &taken))
}

/// Whether no user of this host has a part of the range from `first` on, and this user namespace has all of it.
pub(super) fn is_free(first: u32) -> bool {
    let (subuid, subgid) = (read_or_empty("/etc/subuid"), read_or_empty("/etc/subgid"));
    touches_none(first, &taken(&[&subuid, &subgid], &read_or_empty("/etc/passwd"))) && is_covered(first)
}

/// What the subordinate id files and passwd(5) give to somebody: first ids and how many.
fn taken(subordinates: &[&str], passwd: &str) -> Vec<(u32, u32)> {
    let mut taken: Vec<(u32, u32)> = subordinates.iter().flat_map(|text| text.lines().filter_map(range_of)).collect();
    taken.extend(accounts::users(passwd).filter_map(|user| Some((user.uid()?, 1))));
    taken
}

fn touches_none(first: u32, taken: &[(u32, u32)]) -> bool {
    let end = |start: u32, count: u32| u64::from(start) + u64::from(count);
    taken.iter().all(|(start, count)| end(*start, *count) <= first.into() || u64::from(*start) >= end(first, IDS))
}

/// Whether this user namespace has all ids of the range from `first` on.
fn is_covered(first: u32) -> bool {
    covers(&read_or_empty("/proc/self/uid_map"), first) && covers(&read_or_empty("/proc/self/gid_map"), first)
}

fn range_of(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.trim().split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The first range of at least one id that a subuid(5) text grants to one of `users`.
pub fn subordinate(text: &str, users: &[&str]) -> Option<(u32, u32)> {
    text.lines()
        .filter(|line| line.split(':').next().is_some_and(|user| !user.is_empty() && users.contains(&user)))
        .find_map(|line| range_of(line).filter(|(start, count)| *count > 0 && start.checked_add(*count).is_some()))
}

/// Whether a /proc/PID/uid_map text has all ids of the range from `base` on.
fn covers(map: &str, base: u32) -> bool {
    proc::id_map(map).any(|[inside, _, count]| {
        u64::from(base) >= inside && u64::from(base) + u64::from(IDS) <= inside.saturating_add(count)
    })
}

pub fn user_name(uid: u32) -> Option<String> {
    let passwd = read_or_empty("/etc/passwd");
    accounts::user_of(uid, &passwd).map(|user| user.name.to_owned())
}

fn read_or_empty(path: &str) -> String {
    fs::read_text(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_number_and_broken_lines_are_passed_over() {
        let text = "alice:100000:65536\n# no\nbob:x:1\nbob:165536:0\n1001:231072:65536\nbob:4294967295:2\n";
        assert_eq!(subordinate(text, &["alice"]), Some((100_000, 65536)));
        assert_eq!(subordinate(text, &["bob"]), None);
        assert_eq!(subordinate(text, &["bob", "1001"]), Some((231_072, 65536)));
        assert_eq!(subordinate(text, &[""]), None);
    }

    #[test]
    fn the_free_range_avoids_every_user_and_grant() {
        let free = |subordinate: &str, passwd: &str| free_range(&taken(&[subordinate], passwd));
        assert_eq!(free("a:100000:65536", "root:x:0:0"), FREE_RANGE);
        assert_eq!(free(&format!("a:{}:10", FREE_RANGE + 5), ""), FREE_RANGE + IDS);
        assert_eq!(free("", &format!("u:x:{}:0", FREE_RANGE + 1)), FREE_RANGE + IDS);
    }

    #[test]
    fn a_nested_user_namespace_does_not_cover_the_base_range() {
        assert!(covers("         0          0 4294967295\n", FREE_RANGE));
        assert!(!covers("0 1000 1\n1 100000 65536\n", FREE_RANGE));
    }
}
