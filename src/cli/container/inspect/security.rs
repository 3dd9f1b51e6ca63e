//! `inspect --security`: the limits and privileges in force for a running container, as the kernel reports them.

use crate::container::in_force::{self, Capabilities, Namespace, RunningProcess};
use crate::error::Result;
use crate::isolation::idmap::Extent;
use crate::isolation::rlimit::Ulimit;
use crate::json::json;
use crate::store::Store;
use serde_json::{Map, Value};

/// The output for the container that the user calls `word`.
pub fn describe(store: &Store, word: &str) -> Result<Value> {
    let id = store.find_container(word)?;
    let found = in_force::read(store, &id)?;
    let inside = |process: &RunningProcess| describe_process(process, &found.uid_map, &found.gid_map);
    let limits = found.cgroup_limits.iter().map(|(path, text)| (path.display().to_string(), text.as_str().into()));
    let limits: Map<String, Value> = crate::sort::into(limits);
    Ok(json!({
        "Id": id,
        "Name": format!("/{}", store.container(&id)?.name()),
        "Command": inside(&found.command),
        "Init": found.init.as_ref().map(inside),
        "IdMap": {
            "Uids": found.uid_map.iter().map(extent).collect::<Vec<_>>(),
            "Gids": found.gid_map.iter().map(extent).collect::<Vec<_>>(),
            "SetGroups": found.setgroups,
        },
        "MaskedPaths": found.mounts.masked,
        "ReadonlyPaths": found.mounts.read_only,
        "ReadonlyRootfs": found.mounts.read_only_root,
        "Cgroup": {
            "Paths": found.cgroups,
            "Limits": limits,
        },
    }))
}

fn describe_process(process: &RunningProcess, uids: &[Extent], gids: &[Extent]) -> Value {
    let status = &process.status;
    let (uid, gid) = (status.uids.get(1), status.gids.get(1));
    let groups: Vec<Value> = status.groups.iter().map(|group| inside(Some(group), gids)).collect();
    let mode = match status.seccomp_mode {
        0 => "disabled",
        1 => "strict",
        _ => "filter",
    };
    json!({
        "Pid": process.pid,
        "ContainerPid": status.pids.last().copied().unwrap_or(0),
        "Uid": inside(uid, uids),
        "Gid": inside(gid, gids),
        "Groups": groups,
        "HostUid": uid,
        "HostGid": gid,
        "Capabilities": capabilities(&status.capabilities),
        "NoNewPrivileges": status.no_new_privileges,
        "Seccomp": { "Mode": mode, "Filters": status.seccomp_filters },
        "Dumpable": process.dumpable,
        "Namespaces": crate::sort::into::<Map<String, Value>, _>(process.namespaces.iter().map(namespace)),
        "Ulimits": process.limits.iter().map(ulimit).collect::<Vec<_>>(),
        "OomScoreAdj": process.oom_score_adj,
        "NotReadable": process.unreadable,
    })
}

/// The container's id for the host id `outside`; null if the map does not have it.
fn inside(outside: Option<&u32>, map: &[Extent]) -> Value {
    let place = |outside: &u32, extent: &Extent| {
        outside.checked_sub(extent.outside).filter(|at| *at < extent.count).map(|at| extent.inside + at)
    };
    outside.and_then(|outside| map.iter().find_map(|extent| place(outside, extent))).into()
}

fn capabilities(sets: &Capabilities) -> Value {
    json!({
        "Bounding": sets.bounding.names(),
        "Effective": sets.effective.names(),
        "Permitted": sets.permitted.names(),
        "Inheritable": sets.inheritable.names(),
        "Ambient": sets.ambient.names(),
    })
}

fn namespace(found: &Namespace) -> (String, Value) {
    (found.kind.to_owned(), json!({ "Id": found.id, "Own": found.own }))
}

fn extent(extent: &Extent) -> Value {
    json!({ "ContainerID": extent.inside, "HostID": extent.outside, "Size": extent.count })
}

/// As Docker shows them: -1 for no limit.
fn ulimit(ulimit: &Ulimit) -> Value {
    let number = |value: u64| i64::try_from(value).unwrap_or(-1);
    json!({ "Name": ulimit.name, "Soft": number(ulimit.limit.soft), "Hard": number(ulimit.limit.hard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ids_are_mapped_to_the_containers() {
        let map = [Extent { inside: 0, outside: 1000, count: 1 }, Extent { inside: 1, outside: 100_000, count: 65535 }];
        for (outside, shown) in [(1000, json!(0)), (100_999, json!(1000)), (999, json!(null)), (165_535, json!(null))] {
            assert_eq!(inside(Some(&outside), &map), shown, "{outside}");
        }
        assert_eq!(inside(None, &map), json!(null));
    }
}
