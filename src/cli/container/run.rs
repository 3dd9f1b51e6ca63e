//! `ccrun run`.

mod bundle;

use super::flags::cidfile::CidFile;
use super::flags::container::{BUNDLE, HOSTNAME, NAME, NETWORK, READ_ONLY, RM, STATS, init};
use super::flags::pull::Pull;
use super::flags::streams::{Ids, Streams};
use super::flags::{self, device, mount, operand, process, resources, security};
use super::request::{self, Request};
use super::{notices, scope, shown, step};
use crate::cli::args::{Command, Parsed};
use crate::cli::output::note;
use crate::cli::{names, store};
use crate::container::document::Document;
use crate::container::spec::{ContainerSpec, Mount, Root, Security, Source};
use crate::container::{NewContainer, supervisor};
use crate::error::{Error, Result};
use crate::image::local::images::Image;
use crate::isolation::host_view;
use crate::isolation::idmap::IdMap;
use crate::isolation::network::Network;
use crate::isolation::procfs::Shut;
use crate::isolation::sysctl::{self, Setting};
use crate::store::Store;
use crate::store::locks::Lock;
use crate::sys::signal;
use operand::Wanted;
use std::path::{Path, PathBuf};

/// The text of `run --help` about a run without an image.
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
    flags: flags::OF_RUN,
    operands: (0, usize::MAX),
    runs_program: true,
    failure: 125,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    step::check(parsed)?;
    if let Some(dir) = parsed.one(BUNDLE) {
        return bundle::run(parsed, Path::new(dir));
    }
    // Check all arguments before making anything.
    let limits = resources::read(parsed)?;
    let (shm_size, cgroup_parent) = (resources::shm_size(parsed)?, resources::cgroup_parent(parsed)?);
    let network = parsed.get(NETWORK)?.unwrap_or(Network::None);
    let security = security::read(parsed)?;
    let mounts = mount::read(parsed)?;
    let devices = device::read(parsed)?;
    let hostname = parsed.get(HOSTNAME)?.unwrap_or_else(|| "container".to_owned());
    let name = parsed.get(NAME)?;
    let cidfile = CidFile::read(parsed)?;
    let request = process::read(parsed)?;
    let pull = Pull::read(parsed)?;
    let streams = Streams::read(parsed)?;
    if streams.asks_for_keys() {
        // Before taking any lock: the shell may stop us here for long.
        supervisor::wait_for_foreground()?;
    }

    scope::enter(parsed, &limits)?;
    let (store, map) = store::open(parsed)?;
    let (wanted, command) = operand::understand(parsed, &store)?;
    let image = match &wanted {
        Wanted::Image(word) => {
            Some(pull.image(&store, word).map_err(|error| operand::explain_guess(parsed, word, error))?)
        }
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
    let name = name.unwrap_or_else(|| names::random_name(&store, &id));
    let mut spec = ContainerSpec {
        name,
        image: wanted.to_string(),
        image_id: image.as_ref().map(|image| image.id.hex().to_owned()),
        hostname,
        domainname: None,
        root: root(&wanted, image.as_ref(), &store)?,
        read_only: parsed.is_on(READ_ONLY),
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
        stats: parsed.is_on(STATS),
        security,
        init: init(parsed).unwrap_or(true),
        remove: parsed.is_on(RM),
        stop_signal: config.and_then(|config| config.stop_signal.clone()),
        shown: serde_json::Value::Null,
        id,
    };
    spec.shown = shown::of(parsed, &spec, &words, config)?;
    // Nobody may remove the image or a volume until the container's record is written.
    let is_volume = |mount: &Mount| matches!(mount.source, Source::Volume(_));
    let needs_lock = image.is_some() || spec.mounts.iter().any(is_volume);
    let lock = needs_lock.then(|| Lock::shared(&store)).transpose()?;
    if let Some(image) = image.filter(|image| !image.is_whole(&store)) {
        return Err(Error::new(format_args!("image {} was removed just now", image.id.short())));
    }
    if spec.network == Network::Host {
        note(SHARED_NETWORK);
    }
    mount::notes(&spec.mounts).iter().for_each(|text| note(text));
    start(parsed, (&store, &map), (&spec, &spec.document()), lock, cidfile.as_ref(), || wanted.explain())
}

/// Runs the container to its end; returns the exit status. `searched` explains where the command was looked for.
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
    let mut notify = |notice| note(&notices::text(&notice));
    let outcome = supervisor::run(&NewContainer { store, map, spec, document }, lock, &mut notify);
    let outcome = outcome.map_err(hint).map_err(step::failed).inspect_err(|error| {
        // As in Docker, the file stays if only the command could not be run.
        if let (Some(file), None | Some(125)) = (cidfile, error.status()) {
            file.remove();
        }
    })?;
    if outcome.interrupted {
        // A shell stops its loop only if SIGINT killed us.
        let _ = signal::die_by(libc::SIGINT);
    }
    Ok(outcome.code)
}

/// The sysctls of the container's own namespaces.
fn settings(map: &IdMap, network: Network, security: &Security, user: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    if network.is_own() {
        settings.extend(sysctl::of_own_network(map.last_gid()));
    }
    if !security.capabilities.has("SYS_ADMIN") {
        // With a single id, a user other than root gets a user namespace of their own.
        let is_root = ["", "0", "0:0"].contains(&user);
        settings.push(sysctl::user_namespaces(u32::from(map.is_single() && !is_root)));
    }
    settings
}

fn root(wanted: &Wanted, image: Option<&Image>, store: &crate::store::Store) -> Result<Root> {
    match (wanted, image) {
        (Wanted::Rootfs { path, writable }, _) => {
            let path = std::fs::canonicalize(path)
                .map_err(|e| Error::io(format_args!("root file system {}", path.display()), &e))?;
            if !path.is_dir() {
                return Err(Error::new(format_args!("root file system {} is not a directory", path.display())));
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

/// Adds an anonymous volume for each of the image's volumes, where the user has mounted nothing.
fn with_image_volumes(mut mounts: Vec<Mount>, volumes: &[String]) -> Vec<Mount> {
    for volume in volumes {
        let target = PathBuf::from(volume);
        // A volume over the root or the kernel's files is ignored.
        let allowed =
            target.is_absolute() && !["/", "/proc", "/sys", "/dev"].iter().any(|dir| target == Path::new(dir));
        if allowed && mounts.iter().all(|mount| mount.target != target) {
            mounts.push(Mount { source: Source::Anonymous, target, read_only: false, copy: true });
        }
    }
    mounts
}
