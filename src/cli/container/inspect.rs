//! `ccrun container inspect`: what a container's record holds, laid over all that Docker tells of one.

mod security;

use super::ps;
use crate::cli::args::{Command, Flag, switch};
use crate::cli::inspect::{FORMAT, inspect};
use crate::cli::output::units::exact;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::json::json;
use crate::store::Store;
use crate::store::containers::{Exit, Record, State};
use crate::sys::fs::Time;
use serde_json::{Map, Value};

pub static COMMAND: Command = Command {
    name: "container inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Tell all about containers",
    flags: &[FORMAT, SECURITY, SIZE],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| inspect(parsed, if parsed.is_on("security") { &in_force } else { &find }, &missing),
};

pub const SIZE: Flag = switch(Some('s'), "size", "Show how much room containers take");
pub const SECURITY: Flag =
    switch(None, "security", "Tell what is in force for running containers, read from the kernel");

pub fn find(store: &Store, word: &str) -> Result<Option<Value>> {
    describe(store, &store.find_container(word)?).map(Some)
}

/// What is in force for a running container.
pub fn in_force(store: &Store, word: &str) -> Result<Option<Value>> {
    security::describe(store, word).map(Some)
}

pub fn missing(word: &str) -> Error {
    Error::new(format_args!("No such object: {word}"))
}

pub fn describe(store: &Store, id: &str) -> Result<Value> {
    let record = store.record(id)?;
    let state = store.container_state(id)?;
    let image = record.image_id.as_deref().and_then(images::id_of_record);
    let dir = store.shown().join("containers").join(id);
    let file = |name: &str| dir.join(name).display().to_string();
    let mut value = json!({
        "Id": record.id,
        "Created": exact(record.created),
        "Path": record.command.first(),
        "Args": record.command.get(1..).unwrap_or_default(),
        "State": told_state(store, &record, &state)?,
        "Image": image.map(|id| id.to_string()).unwrap_or_default(),
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": "",
        "Name": format!("/{}", record.name),
        "RestartCount": 0,
        "Driver": "overlay",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": laid_over(host_config(&record), &record.shown["HostConfig"]),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": file("upper"), "WorkDir": file("work") } },
        "Mounts": mounts(store, &record),
        "Config": laid_over(config(&record), &record.shown["Config"]),
        "NetworkSettings": network_settings(record.network()),
    });
    if let Some(signal) = &record.stop_signal {
        value["Config"]["StopSignal"] = signal.as_str().into();
    }
    Ok(value)
}

fn told_state(store: &Store, record: &Record, state: &State) -> Result<Value> {
    let is_running = *state == State::Running;
    let processes = if is_running { store.container_processes(&record.id)? } else { None };
    let (exit, started) = match state {
        State::Running => (Exit::default(), store.container_start(&record.id)),
        State::Exited(exit) => (exit.clone(), exit.started),
    };
    let never = Time { seconds: -62_135_596_800, nanoseconds: 0 };
    Ok(json!({
        "Status": ps::word(state),
        "Running": is_running,
        "Paused": false,
        "Restarting": false,
        "OOMKilled": exit.oom_killed,
        "Dead": false,
        "Pid": processes.map_or(0, |processes| processes.init),
        "ExitCode": exit.code,
        "Error": "",
        "StartedAt": exact(started.unwrap_or(record.created)),
        "FinishedAt": exact(Some(exit.finished).filter(|time| time.seconds > 0).unwrap_or(never)),
    }))
}

/// The fields of `over` in the place of those of `base`.
fn laid_over(base: Value, over: &Value) -> Value {
    let mut all: Map<String, Value> = base.as_object().cloned().unwrap_or_default();
    all.extend(over.as_object().cloned().unwrap_or_default());
    all.into()
}

/// What a container has that nothing else was said of.
fn config(record: &Record) -> Value {
    json!({
        "Hostname": "container", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
        "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": record.command,
        "Image": record.image, "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {},
    })
}

fn host_config(record: &Record) -> Value {
    let mut config: Value = serde_json::from_slice(HOST_CONFIG.as_bytes()).unwrap_or_default();
    config["AutoRemove"] = record.remove.into();
    config["Init"] = record.init.into();
    config
}

const HOST_CONFIG: &str = r#"{
    "Binds": null, "ContainerIDFile": "", "LogConfig": { "Type": "none", "Config": {} }, "NetworkMode": "none",
    "PortBindings": {}, "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 }, "VolumeDriver": "",
    "VolumesFrom": null, "CapAdd": null, "CapDrop": null, "CgroupnsMode": "private", "Dns": [], "DnsOptions": [],
    "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null, "IpcMode": "private", "Cgroup": "", "Links": null,
    "OomScoreAdj": 0, "PidMode": "", "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false,
    "SecurityOpt": null, "UTSMode": "", "UsernsMode": "", "ShmSize": 67108864, "Runtime": "ccrun", "Isolation": "",
    "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [],
    "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
    "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": null, "OomKillDisable": false, "PidsLimit": null, "Ulimits": []
}"#;

/// The record's mounts; where a volume is on this machine is the store's affair.
fn mounts(store: &Store, record: &Record) -> Value {
    let volumes = || record.volumes.iter().map(|name| json!({ "Type": "volume", "Name": name })).collect();
    let mut mounts = record.shown["Mounts"].as_array().cloned().unwrap_or_else(volumes);
    for mount in mounts.iter_mut().filter(|mount| mount["Type"] == "volume") {
        let source = match (mount["Name"].as_str(), mount["Source"].as_str()) {
            (Some(name), _) => store.shown().join("volumes").join(name).join("_data"),
            (None, own) => store.shown().join("containers").join(&record.id).join(own.unwrap_or_default()),
        };
        if mount["Name"].is_null() {
            mount["Name"] = "".into();
        }
        mount["Source"] = source.display().to_string().into();
        mount["Driver"] = "local".into();
    }
    mounts.into()
}

fn network_settings(mode: &str) -> Value {
    json!({
        "Bridge": "", "SandboxID": "", "SandboxKey": "", "Ports": {}, "HairpinMode": false, "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0, "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null, "EndpointID": "",
        "Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPAddress": "", "IPPrefixLen": 0,
        "IPv6Gateway": "", "MacAddress": "",
        "Networks": { mode: {
            "IPAMConfig": null, "Links": null, "Aliases": null, "DriverOpts": null, "NetworkID": "", "EndpointID": "",
            "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0, "MacAddress": "",
        }},
    })
}
