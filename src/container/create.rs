//! The supervisor's side of a run: make the container, wait, take everything away.

use super::init;
use super::plan::{Plan, message};
use super::spec::{ContainerSpec, Mount, Root, Source};
use super::streams::Streams;
use super::supervise::{self, Ended, Watched};
use super::{handover, jobs, outcome, outer, trees};
use crate::error::{Error, Result};
use crate::isolation::cgroup::Cgroup;
use crate::isolation::idmap::IdMap;
use crate::isolation::ranges::{self, Range};
use crate::isolation::{devices, host_mounts, namespaces, oom, rlimit};
use crate::store::containers::{Live, Processes, Record, State, clock};
use crate::store::locks::Lock;
use crate::store::{Patience, Store, sweep};
use crate::sys::process::{self, Child};
use crate::sys::{signal, socket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

pub use super::callers_terminal::wait_for_foreground;

/// How the command ended.
pub struct Outcome {
    pub code: u8,
    /// Whether the user typed Ctrl-C and the command died of it.
    pub interrupted: bool,
}

/// Runs the container to its end. `lock` keeps the image in the store until the
/// container is on record; `say` tells the user what is not an error.
pub fn run(
    store: &Store,
    map: &IdMap,
    spec: &ContainerSpec,
    lock: Option<Lock>,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    // From here on signals wait until there is somebody to pass them on to.
    signal::block_all()?;
    // A name may be held by a container whose supervisor was killed.
    let live = store.create_container(&spec.id, &spec.name).or_else(|error| {
        sweep(store)?;
        store.create_container(&spec.id, &spec.name).map_err(|_| error)
    })?;
    let outcome = run_in(store, map, spec, &live, lock, say);
    let tidied = match &outcome {
        Ok(outcome) if !spec.remove => store.finish_container(&live, outcome.code),
        // A container that never ran leaves nothing behind.
        _ => store.remove_named(&spec.id, &spec.name),
    };
    // The command's status is what the caller waits for, whatever becomes of the files.
    if let Err(error) = tidied {
        say(&error.to_string());
    }
    // Last, when nobody waits for us any more. What is left by others does not change how this one ended.
    let _ = sweep(store);
    outcome
}

fn run_in(
    store: &Store,
    map: &IdMap,
    spec: &ContainerSpec,
    live: &Live,
    lock: Option<Lock>,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    make_volumes(store, spec, &live.dir)?;
    // On record before it is made: whatever happens from here on, a sweeper finds it.
    let name = spec.cgroup_name.clone().unwrap_or_else(|| format!("ccrun-{}", spec.id));
    let mut cgroup = Cgroup::plan(&name, &spec.limits, spec.cgroup_parent.as_deref())?;
    // Whoever is in it would be killed at the end.
    if let Some(taken) = cgroup.paths().find(|path| spec.cgroup_name.is_some() && path.exists()) {
        return Err(Error::new(format!("cgroup {} is there already", taken.display())));
    }
    store.save_record(&record(spec, &cgroup))?;
    spec.document.as_ref().map_or(Ok(()), |document| store.save_document(&spec.id, document))?;
    drop(lock);
    if let Some(text) = cgroup.discarded() {
        say(text);
    }
    if let Some(score) = spec.process.oom_score_adj {
        oom::go_along(score)?;
    }
    let began = Instant::now();
    let made = cgroup.make();
    let outcome = made.and_then(|()| start(store, map, spec, live, &cgroup, say)).and_then(|started| {
        let Ended { status, interrupted, lost } = supervise::watch(&started.child, started.watched)?;
        // A reader that has gone away (`ccrun run … | head`) is no failure.
        let lost = lost.filter(|error| error.errno() != Some(libc::EPIPE));
        if let Some(error) = &lost {
            say(&format!("output of the container was lost: {error}"));
        }
        if outcome::tell(spec, began.elapsed(), &cgroup, status, say) {
            live.note_oom_kill();
        }
        // The command could not know.
        let code = if lost.is_some() { status.code().max(1) } else { status.code() };
        Ok(Outcome { code, interrupted })
    });
    cgroup.remove();
    outcome
}

/// A container whose command runs.
struct Started {
    child: Child,
    watched: Watched,
    /// Its ids, if they are its own: given back when it has ended.
    _ids: Option<Range>,
}

/// Makes the child, and all that only we can make for it, and waits until the command runs.
fn start(
    store: &Store,
    map: &IdMap,
    spec: &ContainerSpec,
    live: &Live,
    cgroup: &Cgroup,
    say: &mut dyn FnMut(&str),
) -> Result<Started> {
    if spec.process.keep_groups && map.is_shifted() {
        return Err(Error::new("--group-add keep-groups: root's groups are not handed on to a container")
            .hint("run ccrun as the user whose groups it is to have"));
    }
    let host = if map.is_shifted() && spec.root == Root::Host { host_mounts::copies()? } else { Vec::new() };
    let streams = Streams::make(&spec.process.streams)?;
    let (reports, report) = jobs::open()?.unzip();
    let plan = Plan {
        streams: &streams,
        supervisor: &process::pidfd_open(process::getpid())?,
        spec,
        dir: &live.dir,
        single_id: map.is_single(),
        mapped: map.is_shifted(),
        host: &host,
        cgroup,
    };
    rlimit::raise(&spec.process.ulimits)?;
    let (ours, theirs) = socket::socketpair()?;
    let unified = cgroup.open_unified()?;
    // 1. The child, in all its namespaces at once, and in its cgroup where that is v2.
    let flags = namespaces::flags(spec.network.is_own(), !cgroup.is_none() || !spec.cgroup_namespace);
    let cgroup_fd = unified.as_ref().map(AsFd::as_fd);
    let outer = outer::is_needed(spec);
    let first = if outer { (outer::flags(map), None) } else { (flags, cgroup_fd) };
    let mut child = process::clone3(first.0, first.1, || {
        // Copies of what is the supervisor's alone, from here on.
        process::close(&ours);
        process::close(live.lock());
        match outer {
            true => outer::run(&plan, map, theirs, report, (flags, cgroup_fd)),
            false => init::pid1(&plan, theirs, report, None),
        }
    })
    .map_err(namespaces::explain)?;
    let flows = streams.into_flows();
    // 2. What it waits for: its ids, the host's directories under its ids.
    let mut made = || {
        let mut own = match &spec.ids {
            Some(ids) => Some(trees::given(&live.dir, map, ids)?),
            None if map.is_shifted() => own_ids(store, map, spec, live, say),
            None => None,
        };
        let inside = own.as_ref().map_or_else(|| map.clone(), |own| own.map.clone());
        // Behind which the host's directories are shown.
        let holder = if outer && map.is_shifted() { Some(ranges::Holder::new()?) } else { None };
        let holder = holder.as_ref().map_or(&child, ranges::Holder::child);
        inside.write(holder.pid())?;
        let trees = match map.is_shifted() {
            true => trees::make(store, spec, holder, &live.dir, (map, own.as_mut()), &host, say)?,
            false => Vec::new(),
        };
        if map.is_shifted() {
            devices::remake(&spec.devices, &live.dir, map.root_ids(), inside.root_ids())?;
        }
        if outer && map.is_shifted() {
            handover::make_places(&live.dir, &trees, &host)?;
        }
        trees::send(&ours, &trees, own.is_some())?;
        if outer {
            child = outer::receive(&ours, &child)?;
            if map.is_shifted() {
                inside.write(child.pid())?;
                socket::send(ours.as_fd(), b"go", &[])?;
            }
        }
        Ok(own.and_then(|own| own.range))
    };
    let ready = made();
    let processes = Processes { supervisor: process::getpid(), init: child.pid() };
    let started = ready.and_then(|ids| {
        live.note(processes)?;
        Ok((ids, wait_for_start(&ours, say)?))
    });
    match started {
        Ok((_ids, master)) => {
            let (interactive, explicit) = (spec.process.interactive, spec.process.explicit);
            Ok(Started { child, watched: Watched { flows, master, interactive, explicit, reports }, _ids })
        }
        Err(error) => {
            let _ = child.signal(libc::SIGKILL);
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Ids that are this container's alone; where there are none it shares the base range with others, which the user is
/// told once.
fn own_ids(
    store: &Store,
    map: &IdMap,
    spec: &ContainerSpec,
    live: &Live,
    say: &mut dyn FnMut(&str),
) -> Option<trees::Own> {
    let own = trees::own(store, spec, &live.dir, map);
    if !matches!(own, Ok(Some(_))) && ranges::first_time_without() {
        let why = own.as_ref().err().map_or("no range is free or possible".to_owned(), ToString::to_string);
        say(&format!("containers share their host ids here, none has a range of its own ({why})"));
    }
    own.ok().flatten()
}

/// Takes the child's messages until it closes its side, which execve does.
fn wait_for_start(socket: &OwnedFd, say: &mut dyn FnMut(&str)) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    let mut buffer = vec![0; message::MOST_BYTES + 1];
    loop {
        let (size, fds) = socket::receive(socket.as_fd(), &mut buffer)?;
        match buffer[..size].split_first() {
            None => return Ok(terminal),
            Some((&message::FAILED, bytes)) => return Err(Error::from_bytes(bytes)),
            Some((&message::TERMINAL, _)) => terminal = fds.into_iter().next(),
            Some((_, bytes)) => say(&String::from_utf8_lossy(bytes)),
        }
    }
}

/// The directories of the container's volumes, owned by container root, and those of the host that are missing.
fn make_volumes(store: &Store, spec: &ContainerSpec, dir: &Path) -> Result<()> {
    for (at, wanted) in spec.mounts.iter().enumerate() {
        match &wanted.source {
            // As Docker does for -v, but as the user who called: the host's own directory is no container's.
            Source::Bind(path) if !path.exists() => {
                std::fs::create_dir_all(path)
                    .map_err(|e| Error::io(format!("make the directory {}", path.display()), &e))?;
            }
            source => trees::stored(store, dir, at, source)?.map_or(Ok(()), |path| store.make_for_root(&path))?,
        }
    }
    Ok(())
}

fn record(spec: &ContainerSpec, cgroup: &Cgroup) -> Record {
    Record {
        id: spec.id.clone(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        image_id: spec.image_id.clone(),
        command: spec.process.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        created: clock(),
        remove: spec.remove,
        cgroup: cgroup.paths().map(Path::to_owned).collect(),
        stop_signal: spec.stop_signal.clone(),
        init: spec.init,
        volumes: spec.mounts.iter().filter_map(volume).collect(),
        shown: spec.shown.clone(),
    }
}

/// The name of a volume that is mounted.
fn volume(mount: &Mount) -> Option<String> {
    match &mount.source {
        Source::Volume(name) => Some(name.clone()),
        _ => None,
    }
}

/// Ends a running container by SIGKILL, and waits until its supervisor has seen to the rest.
pub fn kill(store: &Store, id: &str) -> Result<()> {
    let Some(Processes { supervisor, init }) = store.container_processes(id)? else { return Ok(()) };
    // Only as long as its supervisor lives is the number sure to be its child's and not a stranger's.
    let Ok(init) = process::pidfd_open(init) else { return store.wait_for_end(id) };
    if store.container_state(id)? == State::Running && process::parent_of(init.pid()) == Some(supervisor) {
        init.signal(libc::SIGKILL)?;
    }
    store.wait_for_end(id)
}

/// Takes away what killed supervisors have left: their containers, cgroups and half-made files. What takes long is
/// left to the next commands, and to those that clean up ([`sweep_all`]).
pub fn sweep(store: &Store) -> Result<()> {
    sweep_with(store, Patience::short())
}

/// The same to the end.
pub fn sweep_all(store: &Store) -> Result<()> {
    sweep_with(store, Patience::endless())
}

fn sweep_with(store: &Store, patience: Patience) -> Result<()> {
    let bury = |record: &Record| Cgroup::from_paths(record.cgroup.iter().cloned()).remove();
    store.sweep_containers(patience, bury).and(sweep::sweep(store, patience))
}
