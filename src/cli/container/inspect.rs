//! `ccrun container inspect`: what a container's record holds, laid over all that Docker tells of one.

mod security;

use crate::cli::args::{Command, Flag, switch};
use crate::cli::inspect::{FORMAT, inspect};
use crate::cli::output::units::exact;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use crate::store::containers::{Container, State, Status};
use crate::sys::fs::Time;
use serde_json::{Map, Value, json};

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
    Error::new(format!("No such object: {word}"))
}

pub fn describe(store: &Store, id: &str) -> Result<Value> {
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
        "State": told_state(&container.state),
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
        "HostConfig": laid_over(host_config(&container), &shown["HostConfig"]),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": file("upper"), "WorkDir": file("work") } },
        "Mounts": mounts(store, &container),
        "Config": laid_over(config(&container), &shown["Config"]),
        "NetworkSettings": network_settings(container.network()),
    });
    if let Some(signal) = container.stop_signal() {
        value["Config"]["StopSignal"] = signal.into();
    }
    Ok(value)
}

fn told_state(state: &State) -> Value {
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

/// The fields of `over` in the place of those of `base`.
fn laid_over(base: Value, over: &Value) -> Value {
    let mut all: Map<String, Value> = base.as_object().cloned().unwrap_or_default();
    all.extend(over.as_object().cloned().unwrap_or_default());
    all.into()
}

/// What a container has that nothing else was said of.
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

/// Its mounts; where a volume is on this machine is the store's affair.
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
