//! A container, as far as its record tells what `docker inspect` would.

use crate::cli::ps;
use crate::cli::units::utc;
use crate::error::Result;
use crate::image::local::images;
use crate::store::Store;
use crate::store::containers::State;
use serde_json::{Value, json};

pub fn describe(store: &Store, id: &str) -> Result<Value> {
    let record = store.record(id)?;
    let state = store.container_state(id)?;
    let processes = if state == State::Running { store.container_processes(id)? } else { None };
    let (code, finished) = match state {
        State::Running => (0, None),
        State::Exited { code, finished } => (code, Some(finished)),
    };
    let time = |seconds: Option<u64>| {
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        seconds.map_or_else(|| "0001-01-01T00:00:00".to_owned(), |seconds| utc(seconds, 'T')) + "Z"
    };
    let image = record.image_id.as_deref().and_then(images::id_of_record);
    let dir = store.root().join("containers").join(id);
    Ok(json!({
        "Id": record.id,
        "Created": time(Some(record.created)),
        "Path": record.command.first(),
        "Args": record.command.get(1..).unwrap_or_default(),
        "State": {
            "Status": ps::word(&state),
            "Running": state == State::Running,
            "Pid": processes.map_or(0, |processes| processes.init),
            "ExitCode": code,
            "StartedAt": time(Some(record.created)),
            "FinishedAt": time(finished),
        },
        "Image": image.map(|id| id.to_string()).unwrap_or_default(),
        "Name": format!("/{}", record.name),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": dir.join("upper").display().to_string() } },
        "HostConfig": { "AutoRemove": record.remove },
        "Config": {
            "Image": record.image,
            "Cmd": record.command,
            "StopSignal": record.stop_signal,
        },
    }))
}
