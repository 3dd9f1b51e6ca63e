//! `ccrun run`.

mod bundle;
pub mod request;

use super::flags::cidfile::CidFile;
use super::flags::streams::{Ids, Streams};
use super::flags::{device, environment, limits, mount, operand, security, ulimit};
use super::{explain, notices, scope, shown, step};
use crate::cli::args::{Command, Parsed, many, one, switch, utf8};
use crate::cli::image::pull;
use crate::cli::output::note;
use crate::cli::{names, store};
use crate::container::document::Document;
use crate::container::spec::{ContainerSpec, Mount, Root, Security, Source};
use crate::container::{Order, supervisor};
use crate::error::{Error, Result};
use crate::image::local::images::Image;
use crate::image::platform::Platform;
use crate::isolation::host_view;
use crate::isolation::idmap::IdMap;
use crate::isolation::network::Network;
use crate::isolation::procfs::Shut;
use crate::isolation::sysctl::{self, Setting};
use crate::store::Store;
use crate::store::locks::Lock;
use crate::sys::signal;
use operand::Wanted;
use request::Request;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What `run --help` says beside its flags.
pub const HOST_VIEW: &str = "\
Without an image or --rootfs, COMMAND runs on a view of this machine's own files.
  What it writes stays in the container. It sees the files that you see; root's sees the files that root sees.
  Hidden are /run, /var/run, and proc, sysfs and their like wherever they are mounted. No socket or device of the
  machine's answers. /proc, /sys and /dev are the container's own.
";

pub const SHARED_NETWORK: &str =
    "the container shares this machine's network: services on 127.0.0.1 and abstract sockets are open to it";

pub static COMMAND: Command = Command {
    name: "run",
    usage: "[OPTIONS] [IMAGE] COMMAND [ARG...]",
    summary: "Run a command in a new container",
    flags: &[
        one(
            None,
            "rootfs",
            "DIR[:rw]",
            "Run on the files in DIR, which are not changed; rw: writes go through ($CCRUN_ROOTFS)",
        ),
        bundle::FLAG,
        one(None, "image", "IMAGE", "Run on this image; all operands are the command"),
        one(None, "pull", "WHEN", "Pull the image: always, missing (default) or never"),
        one(None, "platform", "OS/ARCH", "Platform of the image, if it is not this machine's"),
        pull::JOBS,
        switch(Some('i'), "interactive", "Pass stdin on, to the terminal too"),
        switch(Some('t'), "tty", "Give the container a terminal"),
        many(Some('e'), "env", "NAME[=VALUE]", "Set a variable, or pass the caller's on"),
        many(None, "env-file", "FILE", "Read variables from a file"),
        one(Some('w'), "workdir", "DIR", "Working directory in the container"),
        one(Some('u'), "user", "USER[:GROUP]", "Names or ids to run as"),
        many(None, "group-add", "GROUP", "Name or id of one more group to be in, or keep-groups: the caller's own"),
        one(None, "name", "NAME", "Name of the container"),
        one(None, "cidfile", "FILE", "Write the container's id to a new file"),
        one(Some('h'), "hostname", "NAME", "Host name inside (default container)"),
        one(None, "entrypoint", "PROGRAM", "Run this in place of the image's entrypoint"),
        switch(None, "rm", "Remove the container when it ends"),
        many(Some('v'), "volume", "SOURCE:DIR[:ro]", "Mount a file or directory of the host or a named volume"),
        many(None, "mount", "type=…,…", "Mount a bind, volume or tmpfs, in words"),
        many(None, "tmpfs", "DIR[:OPTIONS]", "Mount an empty file system in memory"),
        switch(None, "read-only", "Make the root file system read-only"),
        switch(None, "init", "Make ccrun PID 1, which reaps processes and passes signals on (default)"),
        switch(None, "no-init", "Make the command itself PID 1"),
        one(
            None,
            "network",
            "none|host",
            "Containers have no network yet but loopback (none, the default), or the host's (host)",
        ),
        limits::MEMORY,
        limits::MEMORY_SWAP,
        limits::MEMORY_RESERVATION,
        one(None, "memory-swappiness", "NUMBER", "How readily memory is swapped out, 0 to 100 (cgroup v1 only)"),
        limits::CPUS,
        limits::CPU_SHARES,
        limits::CPU_QUOTA,
        limits::CPU_PERIOD,
        limits::CPUSET_CPUS,
        limits::CPUSET_MEMS,
        limits::PIDS_LIMIT,
        limits::BLKIO_WEIGHT,
        many(None, "blkio-weight-device", "DEVICE:NUMBER", "Share of one busy disk"),
        many(None, "device-read-bps", "DEVICE:BYTES", "Limit of bytes read from a disk in a second"),
        many(None, "device-write-bps", "DEVICE:BYTES", "Limit of bytes written to a disk in a second"),
        many(None, "device-read-iops", "DEVICE:NUMBER", "Limit of reads from a disk in a second"),
        many(None, "device-write-iops", "DEVICE:NUMBER", "Limit of writes to a disk in a second"),
        one(None, "oom-score-adj", "NUMBER", "Whom the kernel ends first when out of memory, -1000 to 1000"),
        switch(None, "oom-kill-disable", "Refused: use --oom-score-adj"),
        one(None, "shm-size", "BYTES", "Size of /dev/shm (default 64m)"),
        one(None, "cgroup-parent", "PATH", "Cgroup of the host, from its top, below which the container's is made"),
        switch(None, "stats", "Tell at the end what time and memory it took"),
        many(None, "cap-add", "NAME", "Give a capability more than the default ones, or ALL"),
        many(None, "cap-drop", "NAME", "Take a capability away, or ALL"),
        switch(None, "privileged", "Give all that the caller's user namespace can have, which is no root's power"),
        many(None, "security-opt", "OPTION", security::OPTIONS),
        many(None, "ulimit", "NAME=SOFT[:HARD]", "Limit of each process, such as nofile=1024:4096; -1 for none"),
        many(
            None,
            "device",
            "HOST[:CONTAINER]",
            "Show a device of the host, or all in a directory, to be opened by whom it lets",
        ),
        switch(Some('q'), "quiet", "Do not show the progress of a pull"),
        explain::FLAG,
        step::FLAG,
    ],
    operands: (0, usize::MAX),
    runs_program: true,
    failure: 125,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    step::check(parsed)?;
    if let Some(dir) = parsed.one("bundle") {
        return bundle::run(parsed, Path::new(dir));
    }
    // Everything that can be wrong with the arguments is found before anything is made.
    let limits = limits::read(parsed)?;
    let (shm_size, cgroup_parent) = (limits::shm_size(parsed)?, limits::cgroup_parent(parsed)?);
    let network = network(parsed)?;
    let security = security::read(parsed)?;
    let mounts = mount::read(parsed)?;
    let devices = device::read(parsed)?;
    let hostname = hostname(parsed)?;
    let name = parsed.text("name")?.map(names::check_container).transpose()?;
    let cidfile = CidFile::read(parsed)?;
    let request = request(parsed)?;
    let wanted_platform = parsed.text("platform")?.map(Platform::parse).transpose()?;
    pull::jobs(parsed)?;
    let when = When::parse(parsed.text("pull")?.unwrap_or("missing"))?;
    let streams = Streams::read(parsed)?;
    if streams.asks_for_keys() {
        // Before any lock is taken: the shell may stop us here for as long as it likes.
        supervisor::wait_for_foreground()?;
    }

    scope::enter(parsed, &limits)?;
    let (store, map) = store::open(parsed)?;
    let (wanted, command) = operand::understand(parsed, &store)?;
    let image = match &wanted {
        Wanted::Image(word) => Some(
            find_image(parsed, &store, word, when, wanted_platform.as_ref())
                .map_err(|error| operand::explain_guess(parsed, word, error))?,
        ),
        _ => None,
    };
    let config = image.as_ref().map(|image| &image.config);
    let here = std::env::current_dir().ok().filter(|dir| wanted == Wanted::Host && host_view::shows(dir));
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let ids = Ids { single: map.is_single(), root: request.is_root(config) };
    let request = Request {
        command,
        streams: streams.of_command(image.is_none(), ids),
        explicit: streams.explicit,
        interactive: streams.interactive,
        ..request
    };
    let process = request.process(config, &hostname, here.as_deref().unwrap_or(Path::new("/")))?;
    let id = names::random_id()?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => names::random_name(&store, &id),
    };
    let mut spec = ContainerSpec {
        name,
        image: wanted.to_string(),
        image_id: image.as_ref().map(|image| image.id.hex().to_owned()),
        hostname,
        domainname: None,
        root: root(&wanted, image.as_ref(), &store)?,
        read_only: parsed.is_on("read-only"),
        kernel: request::kernel(map.is_single(), shm_size, security.privileged),
        own_files: true,
        mounts: with_image_volumes(mounts, config.map(|config| &config.volumes[..]).unwrap_or_default()),
        shut: if security.privileged { Shut::default() } else { Shut::docker() },
        settings: settings(&map, network, &security, &process.user),
        ids: None,
        process,
        devices,
        network,
        limits,
        cgroup_parent,
        cgroup_name: None,
        cgroup_namespace: true,
        stats: parsed.is_on("stats"),
        security,
        init: init(parsed).unwrap_or(true),
        remove: parsed.is_on("rm"),
        stop_signal: config.and_then(|config| config.stop_signal.clone()),
        shown: serde_json::Value::Null,
        id,
    };
    spec.shown = shown::of(parsed, &spec, &words, config)?;
    // From the look at the image until the container's record is there, nobody may remove the image.
    // The same goes for a volume.
    let is_volume = |mount: &Mount| matches!(mount.source, Source::Volume(_));
    let needs_lock = image.is_some() || spec.mounts.iter().any(is_volume);
    let lock = needs_lock.then(|| Lock::shared(&store)).transpose()?;
    if let Some(image) = image.filter(|image| !image.is_whole(&store)) {
        return Err(Error::new(format!("image {} was removed just now", image.id.short())));
    }
    if spec.network == Network::Host {
        note(SHARED_NETWORK);
    }
    mount::notes(&spec.mounts).iter().for_each(|text| note(text));
    start(parsed, (&store, &map), (&spec, &spec.document()), lock, cidfile.as_ref(), || wanted.explain())
}

/// Runs the container to its end; returns the exit status. `searched` says where its command was looked for.
pub fn start(
    parsed: &Parsed,
    (store, map): (&Store, &IdMap),
    (spec, document): (&ContainerSpec, &Document),
    lock: Option<Lock>,
    cidfile: Option<&CidFile>,
    searched: impl Fn() -> String,
) -> Result<u8> {
    step::begin(parsed, &spec.security)?;
    if let Some(file) = cidfile {
        file.write(&spec.id)?;
    }
    let hint = |error: Error| if error.status() == Some(127) { error.hint(searched()) } else { error };
    let mut tell = |notice| note(&notices::text(&notice));
    let outcome = supervisor::run(&Order { store, map, spec, document }, lock, &mut tell);
    let outcome = outcome.map_err(hint).map_err(step::failed).inspect_err(|error| {
        // As in Docker the file stays where only the command could not be run.
        if let (Some(file), None | Some(125)) = (cidfile, error.status()) {
            file.remove();
        }
    })?;
    if outcome.interrupted {
        // A shell that runs a loop stops only if it sees what ended us.
        let _ = signal::die_by(libc::SIGINT);
    }
    Ok(outcome.code)
}

/// The switches of the container's own namespaces.
fn settings(map: &IdMap, network: Network, security: &Security, user: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    if network.is_own() {
        settings.extend(sysctl::of_own_network(map.last_gid()));
    }
    if !security.capabilities.has("SYS_ADMIN") {
        // With a single id, another user than root lives in a user namespace of his own.
        let is_root = ["", "0", "0:0"].contains(&user);
        settings.push(sysctl::user_namespaces(u32::from(map.is_single() && !is_root)));
    }
    settings
}

/// Whether ccrun is PID 1, if the user says so.
pub fn init(parsed: &Parsed) -> Option<bool> {
    if parsed.is_on("no-init") {
        return Some(false);
    }
    parsed.one("init").map(|value| value != "false")
}

/// When to pull an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Missing,
    Never,
}

impl When {
    fn parse(text: &str) -> Result<When> {
        match text {
            "always" => Ok(When::Always),
            "missing" => Ok(When::Missing),
            "never" => Ok(When::Never),
            _ => Err(Error::new(format!(
                "invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\""
            ))),
        }
    }
}

fn find_image(
    parsed: &Parsed,
    store: &crate::store::Store,
    word: &str,
    when: When,
    platform: Option<&Platform>,
) -> Result<Image> {
    let here = if when == When::Always { None } else { pull::find(store, word, platform)? };
    if let Some(image) = here {
        return Ok(image);
    }
    if when == When::Never {
        return Err(crate::image::local::images::not_found(word).hint("--pull=never forbids to fetch it"));
    }
    pull::for_run(parsed, store, word, platform)
}

fn root(wanted: &Wanted, image: Option<&Image>, store: &crate::store::Store) -> Result<Root> {
    match (wanted, image) {
        (Wanted::Rootfs { path, writable }, _) => {
            let path = std::fs::canonicalize(path)
                .map_err(|e| Error::io(format!("root file system {}", path.display()), &e))?;
            if !path.is_dir() {
                return Err(Error::new(format!("root file system {} is not a directory", path.display())));
            }
            if path == Path::new("/") {
                return Ok(Root::Host);
            }
            Ok(Root::Directory { path, writable: *writable })
        }
        (_, Some(image)) => Ok(Root::Image(image.overlay(store)?)),
        _ => Ok(Root::Host),
    }
}

/// The image's volumes get a place of their own, where the user has mounted nothing.
fn with_image_volumes(mut mounts: Vec<Mount>, volumes: &[String]) -> Vec<Mount> {
    for volume in volumes {
        let target = PathBuf::from(volume);
        // An image that wants one over the kernel's files is not heard.
        let allowed =
            target.is_absolute() && !["/", "/proc", "/sys", "/dev"].iter().any(|dir| target == Path::new(dir));
        if allowed && mounts.iter().all(|mount| mount.target != target) {
            mounts.push(Mount { source: Source::Anonymous, target, read_only: false, copy: true });
        }
    }
    mounts
}

fn network(parsed: &Parsed) -> Result<Network> {
    match parsed.text("network")? {
        None | Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(Error::new(format!("network {other} not found")).hint("there are none and host")),
    }
}

fn hostname(parsed: &Parsed) -> Result<String> {
    let name = parsed.text("hostname")?.unwrap_or("container");
    // What hostname(7) allows; it becomes part of files and of the environment.
    let valid = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !name.starts_with(['-', '.']);
    if valid {
        Ok(name.to_owned())
    } else {
        Err(Error::new(format!("invalid hostname: {name}"))
            .hint("it is made of letters, digits, - and ., at most 64 of them"))
    }
}

fn request(parsed: &Parsed) -> Result<Request> {
    Ok(Request {
        command: Vec::new(),
        entrypoint: parsed.one("entrypoint").map(OsStr::to_owned),
        env: environment::read(parsed)?,
        workdir: parsed.one("workdir").map(PathBuf::from),
        user: parsed.text("user")?.map(str::to_owned),
        groups: parsed
            .many("group-add")
            .map(|group| utf8(group, "--group-add").map(str::to_owned))
            .collect::<Result<_>>()?,
        ulimits: ulimit::read(parsed)?,
        oom_score_adj: limits::oom_score_adj(parsed)?,
        ..Request::default()
    })
}
