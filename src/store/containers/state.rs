//! The changing part of a container's record, `state.json`; its `config.json` never changes.

use crate::json::json;
use crate::sys::fs::Time;
use crate::sys::proc::stat::Stat;
use serde_json::Value;
use std::path::PathBuf;

/// The status of a container, in the words of Docker's `State.Status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    Exited,
}

impl Status {
    const ALL: [Status; 4] = [Status::Created, Status::Running, Status::Paused, Status::Exited];

    pub fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Exited => "exited",
        }
    }
}

/// A process on the host: its pid and its start time in clock ticks since the boot (proc_pid_stat(5)). Together they are
/// unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    pub pid: i32,
    pub start: u64,
}

impl ProcessId {
    /// The process that has this pid now. Its start time is 0 if there is none.
    pub fn of(pid: i32) -> ProcessId {
        ProcessId { pid, start: Stat::of(pid).and_then(|stat| stat.number(22)).unwrap_or_default() }
    }

    /// Whether the process that has this pid now is the recorded one. ccrun 0.3 recorded no start time.
    pub fn is_same(self) -> bool {
        self.start == 0 || ProcessId::of(self.pid) == self
    }
}

/// The state of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub status: Status,
    /// Whether its supervisor is alive. Not saved: the lock of `live/ID` shows it.
    pub is_alive: bool,
    pub supervisor: Option<ProcessId>,
    /// PID 1, by its pid on the host.
    pub init: Option<ProcessId>,
    /// The directories of its cgroups.
    pub cgroup: Vec<PathBuf>,
    /// The command's uid, gid and supplementary groups inside, if its user was given by name.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// Its id maps, uids and gids: the first id inside, the first one of the host, how many.
    pub id_maps: Option<[Vec<[u32; 3]>; 2]>,
    pub created: Time,
    /// When its command started.
    pub started: Option<Time>,
    pub finished: Option<Time>,
    pub exit_code: u8,
    /// Whether a process in it was killed because it had reached its memory limit.
    pub oom_killed: bool,
    /// An error at its end.
    pub error: String,
}

/// The exit status of a container whose supervisor was killed.
const KILLED: u8 = 137;

impl State {
    /// Whether its command is running or paused.
    pub fn is_running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }

    /// The state after its supervisor was killed; `now` is when that was noticed.
    pub(super) fn killed(self, now: Option<Time>) -> State {
        State {
            status: Status::Exited,
            is_alive: false,
            finished: now,
            exit_code: KILLED,
            error: "its supervisor was killed".to_owned(),
            ..self
        }
    }

    pub(super) fn to_text(&self) -> String {
        let process = |id: Option<ProcessId>| id.map(|id| json!({ "pid": id.pid, "start": id.start }));
        let mut value = json!({
            "status": self.status.word(),
            "supervisor": process(self.supervisor),
            "init": process(self.init),
            "cgroup": self.cgroup.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "created": nanoseconds(self.created),
            "started": self.started.map(nanoseconds),
            "finished": self.finished.map(nanoseconds),
        });
        if let Some((uid, gid, groups)) = &self.user {
            value["user"] = json!({ "uid": uid, "gid": gid, "additionalGids": groups });
        }
        if let Some([uids, gids]) = &self.id_maps {
            let mapping = |[inside, outside, count]: &[u32; 3]| json!({ "containerID": inside, "hostID": outside, "size": count });
            value["uidMappings"] = uids.iter().map(mapping).collect::<Vec<_>>().into();
            value["gidMappings"] = gids.iter().map(mapping).collect::<Vec<_>>().into();
        }
        if self.status == Status::Exited {
            value["exitCode"] = self.exit_code.into();
            value["oomKilled"] = self.oom_killed.into();
            value["error"] = self.error.as_str().into();
        }
        value.to_string() + "\n"
    }

    /// Reads the first line. Later lines are the rest of an older, longer text.
    pub(super) fn from_text(text: &str) -> Option<State> {
        let value: Value = serde_json::from_slice(text.lines().next()?.as_bytes()).ok()?;
        let process = |name: &str| {
            let pid = value[name]["pid"].as_i64()?.try_into().ok()?;
            Some(ProcessId { pid, start: value[name]["start"].as_u64()? })
        };
        let time = |name: &str| value[name].as_i64().map(time_of);
        let word = value["status"].as_str()?;
        Some(State {
            status: Status::ALL.into_iter().find(|status| status.word() == word)?,
            is_alive: false,
            supervisor: process("supervisor"),
            init: process("init"),
            cgroup: value["cgroup"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from).collect(),
            user: user(&value["user"]),
            id_maps: mappings(&value["uidMappings"]).zip(mappings(&value["gidMappings"])).map(<[_; 2]>::from),
            created: time("created")?,
            started: time("started"),
            finished: time("finished"),
            exit_code: value["exitCode"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
            oom_killed: value["oomKilled"].as_bool().unwrap_or_default(),
            error: value["error"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

fn user(value: &Value) -> Option<(u32, u32, Vec<u32>)> {
    let number = |value: &Value| value.as_u64()?.try_into().ok();
    let groups = value["additionalGids"].as_array()?.iter().filter_map(number).collect();
    Some((number(&value["uid"])?, number(&value["gid"])?, groups))
}

fn mappings(value: &Value) -> Option<Vec<[u32; 3]>> {
    let number = |mapping: &Value, name: &str| mapping[name].as_u64()?.try_into().ok();
    let mapping = |one: &Value| Some([number(one, "containerID")?, number(one, "hostID")?, number(one, "size")?]);
    value.as_array()?.iter().map(mapping).collect()
}

/// Nanoseconds since 1970; they last until the year 2262.
fn nanoseconds(time: Time) -> i64 {
    time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanoseconds.into())
}

fn time_of(nanoseconds: i64) -> Time {
    let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    Time { seconds, nanoseconds: rest.try_into().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_written_and_a_damaged_one_is_refused() {
        let at = |seconds, nanoseconds| Time { seconds, nanoseconds };
        let state = State {
            status: Status::Exited,
            supervisor: Some(ProcessId { pid: 7, start: u64::MAX }),
            cgroup: vec!["/sys/fs/cgroup/x".into()],
            user: Some((7, 8, vec![9])),
            id_maps: Some([vec![[0, 7, 1], [1, 100_000, 65535]], Vec::new()]),
            created: at(1_767_323_045, 999_999_999),
            started: Some(at(-1, 1)),
            finished: Some(at(0, 0)),
            exit_code: 255,
            oom_killed: true,
            error: "\"\n".into(),
            ..State::default()
        };
        let text = state.to_text();
        assert_eq!(State::from_text(&(text.clone() + "rest of an older one")), Some(state));
        for damaged in ["", "null", "[]", "{}", r#"{"status":"odd","cgroup":[],"created":1}"#, &text[..text.len() / 2]]
        {
            assert_eq!(State::from_text(damaged), None, "{damaged}");
        }
    }
}
