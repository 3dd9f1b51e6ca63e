//! The values that `inspect` shows for a new container, where they differ from Docker's defaults. They are taken from the
//! flags, because the specification no longer has the user's words.

use super::flags::cidfile::CIDFILE;
use super::flags::device::DEVICE;
use super::flags::limits::CPUS;
use super::flags::mount::{TMPFS, VOLUME};
use super::flags::process::{ENTRYPOINT, GROUP_ADD, WORKDIR};
use super::flags::resources;
use super::flags::security::{CAP_ADD, CAP_DROP, SECURITY_OPT};
use crate::cli::args::{Many, Parsed};
use crate::container::anonymous_volume;
use crate::container::spec::{ContainerSpec, Direct, Mount, Source, Stream};
use crate::error::Result;
use crate::image::config::Config;
use crate::isolation::cgroup::Limits;
use crate::isolation::network::Network;
use crate::json::json;
use serde_json::{Map, Value};

/// Docker's `Config`, `HostConfig` and `Mounts` of the container.
pub fn of(parsed: &Parsed, spec: &ContainerSpec, command: &[String], config: Option<&Config>) -> Result<Value> {
    Ok(json!({
        "Config": process(parsed, spec, command, config)?,
        "HostConfig": host(parsed, spec)?,
        "Mounts": mounts(parsed, spec),
    }))
}

fn process(
    parsed: &Parsed,
    spec: &ContainerSpec,
    command: &[String],
    config: Option<&Config>,
) -> Result<Map<String, Value>> {
    let own = parsed.text(ENTRYPOINT)?;
    let of_image = |list: fn(&Config) -> &Vec<String>| config.map(list).filter(|list| !list.is_empty()).cloned();
    let entrypoint = match own {
        Some(entrypoint) => Some(vec![entrypoint.to_owned()]).filter(|_| !entrypoint.is_empty()),
        None => of_image(|config| &config.entrypoint),
    };
    let cmd = match command {
        [] if own.is_none() => of_image(|config| &config.cmd),
        [] => None,
        words => Some(words.to_vec()),
    };
    let added = [format!("HOSTNAME={}", spec.hostname), "TERM=xterm".to_owned()];
    let env = spec.process.env.iter().map(|entry| entry.to_string_lossy().into_owned());
    let volumes = spec.mounts.iter().filter(|mount| mount.source == Source::Anonymous);
    let volumes: Map<String, Value> =
        crate::sort::into(volumes.map(|mount| (mount.target.display().to_string(), json!({}))));
    let interactive = spec.process.interactive;
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    set("Hostname", spec.hostname.as_str().into());
    set("User", spec.process.user.as_str().into());
    set("Tty", spec.process.streams.contains(&Stream::Terminal).into());
    ["AttachStdin", "OpenStdin", "StdinOnce"].into_iter().for_each(|name| set(name, interactive.into()));
    set("Env", env.filter(|entry| !added.contains(entry)).collect::<Vec<_>>().into());
    set("Entrypoint", entrypoint.into());
    set("Cmd", cmd.into());
    // Docker leaves it empty unless the user or the image sets it.
    let cwd = parsed.one(WORKDIR).is_some() || config.is_some_and(|config| !config.working_dir.is_empty());
    set("WorkingDir", if cwd { spec.process.cwd.to_string_lossy().into() } else { "".into() });
    if !volumes.is_empty() {
        set("Volumes", volumes.into());
    }
    set("Labels", json!(config.map(|config| &config.labels).cloned().unwrap_or_default()));
    Ok(shown)
}

fn host(parsed: &Parsed, spec: &ContainerSpec) -> Result<Map<String, Value>> {
    let texts =
        |flag: Many| -> Result<Vec<String>> { Ok(parsed.texts(flag)?.into_iter().map(str::to_owned).collect()) };
    let mut shown = limits(parsed, &spec.limits)?;
    let mut set = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    let lists = [
        ("CapAdd", texts(CAP_ADD)?.iter().map(|name| capability(name)).collect()),
        ("CapDrop", texts(CAP_DROP)?.iter().map(|name| capability(name)).collect()),
        ("GroupAdd", texts(GROUP_ADD)?),
        ("SecurityOpt", texts(SECURITY_OPT)?),
        // An anonymous volume is not listed here.
        ("Binds", texts(VOLUME)?.into_iter().filter(|text| text.contains(':')).collect()),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list): &(_, Vec<String>)| !list.is_empty()) {
        set(name, list.into());
    }
    let tmpfs = texts(TMPFS)?;
    if !tmpfs.is_empty() {
        let split = tmpfs.iter().map(|text| text.split_once(':').unwrap_or((text, "")));
        set(
            "Tmpfs",
            crate::sort::into::<Map<_, _>, _>(split.map(|(dir, options)| (dir.to_owned(), options.into()))).into(),
        );
    }
    set("NetworkMode", if spec.network == Network::Host { "host".into() } else { "none".into() });
    set("ReadonlyRootfs", spec.read_only.into());
    set("Privileged", spec.security.privileged.into());
    set("ShmSize", resources::shm_size(parsed)?.into());
    set("OomScoreAdj", spec.process.oom_score_adj.unwrap_or(0).into());
    if let Some(path) = parsed.text(CIDFILE)? {
        set("ContainerIDFile", path.into());
    }
    if let Some(parent) = &spec.cgroup_parent {
        set("CgroupParent", parent.display().to_string().into());
    }
    let ulimit = |limit: &crate::isolation::rlimit::Ulimit| {
        let number = |value: u64| i64::try_from(value).unwrap_or(-1);
        json!({ "Name": limit.name, "Hard": number(limit.limit.hard), "Soft": number(limit.limit.soft) })
    };
    set("Ulimits", spec.process.ulimits.iter().map(ulimit).collect::<Vec<_>>().into());
    let device = |text: &String| {
        let mut parts = text.split(':');
        let source = parts.next().unwrap_or_default();
        let target = parts.next().filter(|target| target.starts_with('/')).unwrap_or(source);
        json!({ "PathOnHost": source, "PathInContainer": target, "CgroupPermissions": "rwm" })
    };
    set("Devices", texts(DEVICE)?.iter().map(device).collect::<Vec<_>>().into());
    Ok(shown)
}

/// Docker's name of a capability.
fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

/// The limits that are asked for, in Docker's words.
fn limits(parsed: &Parsed, limits: &Limits) -> Result<Map<String, Value>> {
    let (memory, cpu) = (&limits.memory, &limits.cpu);
    let mut shown = Map::new();
    let mut set = |name: &str, value: Option<Value>| value.map(|value| shown.insert(name.to_owned(), value));
    set("Memory", memory.limit.map(Value::from));
    // By default there is no swap beyond the memory limit.
    set("MemorySwap", memory.swap.map(Value::from).or(memory.limit.map(Value::from)));
    set("MemoryReservation", memory.reservation.map(Value::from));
    set("MemorySwappiness", memory.swappiness.map(Value::from));
    set("CpuShares", cpu.shares.map(Value::from));
    match parsed.get(CPUS)? {
        Some(cpus) => drop(set("NanoCpus", Some(((cpus * 1e9).round() as i64).into()))),
        None => {
            set("CpuQuota", cpu.quota.map(Value::from));
            set("CpuPeriod", cpu.period.map(Value::from));
        }
    }
    set("CpusetCpus", cpu.cpus.clone().map(Value::from));
    set("CpusetMems", cpu.mems.clone().map(Value::from));
    set("PidsLimit", limits.pids.map(Value::from));
    set("BlkioWeight", limits.block_io.weight.map(Value::from));
    Ok(shown)
}

/// The mounts without `--tmpfs`, which Docker shows elsewhere. `inspect` adds the paths of volumes.
fn mounts(parsed: &Parsed, spec: &ContainerSpec) -> Vec<Value> {
    let short: Vec<&str> = parsed.many(VOLUME).filter_map(|text| text.to_str()).collect();
    let options = |mount: &Mount| {
        let target = mount.target.display().to_string();
        let own = short.iter().map(|text| text.split(':').collect::<Vec<_>>());
        let mut own = own.filter(|parts| parts.get(1).is_some_and(|own| own.trim_end_matches('/') == target));
        own.next().and_then(|parts| parts.get(2).map(|options| (*options).to_owned()))
    };
    let in_words = |target: &str| {
        parsed.many(TMPFS).all(|text| text.to_str().unwrap_or_default().split(':').next() != Some(target))
    };
    let shown = |(at, mount): (usize, &Mount)| {
        let target = mount.target.display().to_string();
        let mode = options(mount);
        let mut shown = match &mount.source {
            Source::Bind(path) | Source::Direct(Direct { path, .. }) => {
                json!({ "Type": "bind", "Source": path.display().to_string(), "Propagation": "rprivate" })
            }
            Source::Device(device) => {
                json!({ "Type": "bind", "Source": device.path().display().to_string(), "Propagation": "rprivate" })
            }
            Source::Volume(name) => json!({ "Type": "volume", "Name": name, "Propagation": "" }),
            Source::Anonymous => {
                json!({ "Type": "volume", "Source": anonymous_volume(at).display().to_string(), "Propagation": "" })
            }
            Source::Tmpfs(_) if in_words(&target) => json!({ "Type": "tmpfs", "Source": "", "Propagation": "" }),
            Source::Tmpfs(_) => return None,
        };
        shown["Destination"] = target.into();
        shown["Mode"] = mode.unwrap_or_default().into();
        shown["RW"] = (!mount.read_only).into();
        Some(shown)
    };
    spec.mounts.iter().enumerate().filter_map(shown).collect()
}
