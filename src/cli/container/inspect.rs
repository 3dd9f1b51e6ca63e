//! `ccrun container inspect`: a container's record, merged over the defaults of Docker's output.

mod security;

use super::size;
use crate::cli::args::{Command, Switch, switch};
use crate::cli::inspect::{FORMAT, inspect};
use crate::cli::output::units::exact;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::json::json;
use crate::store::Store;
use crate::store::containers::{Container, State, Status};
use crate::sys::fs::Time;
use serde_json::{Map, Value};

pub static COMMAND: Command = Command {
    name: "container inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Tell all about containers",
    flags: &[FORMAT.flag, SECURITY.flag, SIZE.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| {
        let find = |store: &Store, word: &str| find(store, word, parsed.is_on(SIZE));
        inspect(parsed, if parsed.is_on(SECURITY) { &in_force } else { &find }, &missing)
    },
};

pub const SIZE: Switch = switch(Some('s'), "size", "Show how much room containers take");
pub const SECURITY: Switch =
    switch(None, "security", "Tell what is in force for running containers, read from the kernel");

pub fn find(store: &Store, word: &str, size: bool) -> Result<Option<Value>> {
    describe(store, &store.find_container(word)?, size).map(Some)
}

/// The limits and privileges in force for a running container.
pub fn in_force(store: &Store, word: &str) -> Result<Option<Value>> {
    security::describe(store, word).map(Some)
}

pub fn missing(word: &str) -> Error {
    Error::new(format_args!("No such object: {word}"))
}

/// The whole output for one container; `size` adds the sizes of its files.
pub fn describe(store: &Store, id: &str, size: bool) -> Result<Value> {
    let container = store.container(id)?;
    let (command, shown) = (container.command(), container.shown());
    let image = container.image_id().and_then(images::id_of_record);
    let dir = store.shown().join("containers").join(id);
    let file = |name: &str| dir.join(name).display().to_string();
    let mut value = json!({
        "Id": container.id,
        "Created": exact(container.state.created),
        "Path": command.first(),
        "Args": command.get(1..).unwrap_or_default(),
        "State": shown_state(&container.state),
        "Image": image.map(|id| id.to_string()).unwrap_or_default(),
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": "",
        "Name": format!("/{}", container.name()),
        "RestartCount": 0,
        "Driver": "overlay",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": merged(host_config(&container), &shown["HostConfig"]),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": file("upper"), "WorkDir": file("work") } },
        "Mounts": mounts(store, &container),
        "Config": merged(config(&container), &shown["Config"]),
        "NetworkSettings": network_settings(container.network()),
    });
    if let Some(signal) = container.stop_signal() {
        value["Config"]["StopSignal"] = signal.into();
    }
    if size {
        size::add_to(store, &container, &mut value)?;
    }
    Ok(value)
}

fn shown_state(state: &State) -> Value {
    let is_running = state.is_running();
    let never = Time { seconds: -62_135_596_800, nanoseconds: 0 };
    json!({
        "Status": state.status.word(),
        "Running": is_running,
        "Paused": state.status == Status::Paused,
        "Restarting": false,
        "OOMKilled": state.oom_killed,
        "Dead": false,
        "Pid": state.init.filter(|_| is_running).map_or(0, |init| init.pid),
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": exact(state.started.unwrap_or(never)),
        "FinishedAt": exact(state.finished.unwrap_or(never)),
    })
}

/// `base` with the fields of `over` replaced or added.
fn merged(base: Value, over: &Value) -> Value {
    let mut all: Map<String, Value> = base.as_object().cloned().unwrap_or_default();
    all.extend(over.as_object().cloned().unwrap_or_default());
    all.into()
}

/// The default `Config`.
fn config(container: &Container) -> Value {
    json!({
        "Hostname": "container", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
        "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": container.command(),
        "Image": container.image(), "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {},
    })
}

fn host_config(container: &Container) -> Value {
    let mut config: Value = serde_json::from_str(HOST_CONFIG).unwrap_or_default();
    config["AutoRemove"] = container.is_removed().into();
    config["Init"] = container.has_init().into();
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

/// Its mounts, with the paths of volumes added.
fn mounts(store: &Store, container: &Container) -> Value {
    let mut mounts = container.shown()["Mounts"].as_array().cloned().unwrap_or_default();
    for mount in mounts.iter_mut().filter(|mount| mount["Type"] == "volume") {
        let source = match (mount["Name"].as_str(), mount["Source"].as_str()) {
            (Some(name), _) => store.shown().join("volumes").join(name).join("_data"),
            (None, own) => store.shown().join("containers").join(&container.id).join(own.unwrap_or_default()),
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
