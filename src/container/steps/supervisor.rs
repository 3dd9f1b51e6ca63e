//! The supervisor's side: what only it can make, and the clone that makes PID 1.

use super::{SUPERVISOR, Side, init, made, run_all};
use crate::container::plan::{Plan, message};
use crate::container::spec::{ContainerSpec, Mount, Root, Source};
use crate::container::streams::Streams;
use crate::container::supervise::Watched;
use crate::container::{handover, jobs, outer, trees};
use crate::error::{Error, Result};
use crate::isolation::cgroup::Cgroup;
use crate::isolation::idmap::IdMap;
use crate::isolation::ranges::{self, Range};
use crate::isolation::{devices, host_mounts, namespaces, oom, rlimit};
use crate::store::Store;
use crate::store::containers::{Live, Processes, Record, clock};
use crate::store::locks::Lock;
use crate::sys::fd::OwnedFd;
use crate::sys::process::{self, Child};
use crate::sys::{fs, report, socket};
use std::os::fd::AsFd;
use std::path::Path;

/// A container whose command runs.
pub struct Started {
    pub child: Child,
    pub watched: Watched,
    /// Its ids, if they are its own: given back when it has ended.
    pub ids: Option<Range>,
}

/// A container in the making, from the outside: what one step leaves for the next ones.
pub struct Start<'a> {
    pub store: &'a Store,
    pub map: &'a IdMap,
    pub spec: &'a ContainerSpec,
    pub live: &'a Live,
    /// Tells the user what is not an error.
    pub say: &'a mut dyn FnMut(&str),
    /// Keeps the image in the store until the container is on record.
    pub lock: Option<Lock>,
    /// To be removed by whoever made this, however the start ends.
    pub cgroup: &'a mut Cgroup,
    made: Made,
}

/// What the steps have made so far.
#[derive(Default)]
struct Made {
    host: Vec<host_mounts::Copy>,
    streams: Option<Streams>,
    reports: (Option<OwnedFd>, Option<OwnedFd>),
    socket: Option<OwnedFd>,
    child: Option<Child>,
    own: Option<trees::Own>,
    inside: Option<IdMap>,
    /// Has the user namespace that the host's directories are shown behind, where PID 1 comes later.
    holder: Option<ranges::Holder>,
    trees: Vec<OwnedFd>,
    master: Option<OwnedFd>,
}

impl<'a> Start<'a> {
    pub fn new(
        (store, live): (&'a Store, &'a Live),
        (map, spec): (&'a IdMap, &'a ContainerSpec),
        cgroup: &'a mut Cgroup,
        lock: Option<Lock>,
        say: &'a mut dyn FnMut(&str),
    ) -> Start<'a> {
        Start { store, map, spec, live, say, lock, cgroup, made: Made::default() }
    }

    /// Runs the table; nothing of the container runs after an error.
    pub fn run(mut self) -> Result<Started> {
        let ran = run_all(Side::Supervisor, SUPERVISOR, |step| step(&mut self));
        report::switch(false);
        let Made { child, own, master, streams, reports, .. } = self.made;
        let (flows, child) = (streams.map(Streams::into_flows).unwrap_or_default(), made(child));
        match (ran, child) {
            (Ok(()), Ok(child)) => {
                let (interactive, explicit) = (self.spec.process.interactive, self.spec.process.explicit);
                let watched = Watched { flows, master, interactive, explicit, reports: reports.0 };
                Ok(Started { child, watched, ids: own.and_then(|own| own.range) })
            }
            (Err(error), Ok(child)) => {
                let _ = child.signal(libc::SIGKILL);
                let _ = child.wait();
                Err(error)
            }
            (ran, Err(missing)) => Err(ran.err().unwrap_or(missing)),
        }
    }

    fn has_process_between(&self) -> bool {
        outer::is_needed(self.spec)
    }
}

/// The directories of the container's volumes, owned by container root, and those of the host that are missing.
pub fn make_volumes(start: &mut Start<'_>) -> Result<()> {
    for (at, wanted) in start.spec.mounts.iter().enumerate() {
        match &wanted.source {
            // As Docker does for -v, but as the user who called: the host's own directory is no container's.
            Source::Bind(path) if !fs::exists(path) => {
                fs::mkdir_all(path, 0o777)
                    .map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))?;
            }
            source => {
                let path = trees::stored(start.store, &start.live.dir, at, source)?;
                path.map_or(Ok(()), |path| start.store.make_for_root(&path))?;
            }
        }
    }
    Ok(())
}

/// Whatever happens from here on, a sweeper finds it.
pub fn save_record(start: &mut Start<'_>) -> Result<()> {
    let spec = start.spec;
    let name = spec.cgroup_name.clone().unwrap_or_else(|| format!("ccrun-{}", spec.id));
    let cgroup = Cgroup::plan(&name, &spec.limits, spec.cgroup_parent.as_deref())?;
    // Whoever is in it would be killed at the end.
    if let Some(taken) = cgroup.paths().find(|path| spec.cgroup_name.is_some() && fs::exists(path)) {
        return Err(Error::new(format_args!("cgroup {} is there already", taken.display())));
    }
    *start.cgroup = cgroup;
    start.store.save_record(&record(spec, start.cgroup))?;
    spec.document.as_ref().map_or(Ok(()), |document| start.store.save_document(&spec.id, document))?;
    start.lock = None;
    if let Some(text) = start.cgroup.discarded() {
        (start.say)(text);
    }
    spec.process.oom_score_adj.map_or(Ok(()), oom::go_along)
}

pub fn make_cgroup(start: &mut Start<'_>) -> Result<()> {
    start.cgroup.make()
}

pub fn make_streams(start: &mut Start<'_>) -> Result<()> {
    let (spec, map) = (start.spec, start.map);
    if spec.process.keep_groups && map.is_shifted() {
        return Err(Error::new("--group-add keep-groups: root's groups are not handed on to a container")
            .hint("run ccrun as the user whose groups it is to have"));
    }
    start.made.streams = Some(Streams::make(&spec.process.streams)?);
    start.made.reports = jobs::open()?.unzip();
    Ok(())
}

pub fn clone_init(start: &mut Start<'_>) -> Result<()> {
    let (spec, map) = (start.spec, start.map);
    start.made.host = if map.is_shifted() && spec.root == Root::Host { host_mounts::copies()? } else { Vec::new() };
    let supervisor = process::pidfd_open(process::getpid())?;
    let plan = Plan {
        streams: made(start.made.streams.as_ref())?,
        supervisor: &supervisor,
        spec,
        dir: &start.live.dir,
        single_id: map.is_single(),
        mapped: map.is_shifted(),
        host: &start.made.host,
        cgroup: start.cgroup,
    };
    rlimit::raise(&spec.process.ulimits)?;
    let (ours, theirs) = socket::socketpair()?;
    let unified = start.cgroup.open_unified()?;
    let flags = namespaces::flags(spec.network.is_own(), !start.cgroup.is_none() || !spec.cgroup_namespace);
    let cgroup_fd = unified.as_ref().map(AsFd::as_fd);
    let between = start.has_process_between();
    let first = if between { (outer::flags(map), None) } else { (flags, cgroup_fd) };
    let report = start.made.reports.1.take();
    let child = process::clone3(first.0, first.1, || {
        // Copies of what is the supervisor's alone, from here on.
        process::close(&ours);
        process::close(start.live.lock());
        match between {
            true => outer::run(&plan, map, theirs, report, (flags, cgroup_fd), init::pid1),
            false => init::pid1(&plan, theirs, report, None),
        }
    });
    start.made.child = Some(child.map_err(namespaces::explain)?);
    start.made.socket = Some(ours);
    // The container's ends; a pipe ends when its last copy is closed.
    start.made.streams.iter_mut().for_each(Streams::close_theirs);
    Ok(())
}

pub fn write_id_maps(start: &mut Start<'_>) -> Result<()> {
    let map = start.map;
    start.made.own = match &start.spec.ids {
        Some(ids) => Some(trees::given(&start.live.dir, map, ids)?),
        None if map.is_shifted() => own_ids(start),
        None => None,
    };
    let inside = start.made.own.as_ref().map_or_else(|| map.clone(), |own| own.map.clone());
    // Behind which the host's directories are shown.
    let holder = if start.has_process_between() && map.is_shifted() { Some(ranges::Holder::new()?) } else { None };
    let child = match &holder {
        Some(holder) => holder.child(),
        None => made(start.made.child.as_ref())?,
    };
    inside.write(child.pid())?;
    (start.made.inside, start.made.holder) = (Some(inside), holder);
    Ok(())
}

pub fn make_mounts(start: &mut Start<'_>) -> Result<()> {
    let (store, map, spec, dir) = (start.store, start.map, start.spec, &start.live.dir);
    if !map.is_shifted() {
        return Ok(());
    }
    let Made { child, holder, own, host, inside, .. } = &mut start.made;
    let child = match holder {
        Some(holder) => holder.child(),
        None => made(child.as_ref())?,
    };
    let trees = trees::make(store, spec, child, dir, (map, own.as_mut()), host, start.say)?;
    devices::remake(&spec.devices, dir, map.root_ids(), made(inside.as_ref())?.root_ids())?;
    if outer::is_needed(spec) {
        handover::make_places(dir, &trees, host)?;
    }
    start.made.trees = trees;
    Ok(())
}

pub fn hand_over(start: &mut Start<'_>) -> Result<()> {
    let shifted = start.map.is_shifted();
    let between = start.has_process_between();
    let Made { child, socket, own, inside, trees, holder, .. } = &mut start.made;
    let socket = made(socket.as_ref())?;
    trees::send(socket, trees, own.is_some())?;
    if between {
        let init = outer::receive(socket, made(child.as_ref())?)?;
        let init = child.insert(init);
        if shifted {
            made(inside.as_ref())?.write(init.pid())?;
            socket::send(socket.as_fd(), b"go", &[])?;
        }
    }
    trees.clear();
    *holder = None;
    Ok(())
}

/// Takes PID 1's messages until it closes its side, which execve does.
pub fn wait_for_start(start: &mut Start<'_>) -> Result<()> {
    let child = made(start.made.child.as_ref())?;
    start.live.note(Processes { supervisor: process::getpid(), init: child.pid() })?;
    let socket = made(start.made.socket.take())?;
    let mut buffer = vec![0; message::MOST_BYTES + 1];
    loop {
        let (size, fds) = socket::receive(socket.as_fd(), &mut buffer)?;
        match buffer[..size].split_first() {
            None => return Ok(()),
            Some((&message::FAILED, bytes)) => return Err(Error::from_bytes(bytes)),
            Some((&message::TERMINAL, _)) => start.made.master = fds.into_iter().next(),
            Some((_, bytes)) => (start.say)(&String::from_utf8_lossy(bytes)),
        }
    }
}

/// Ids that are this container's alone; where there are none it shares the base range with others, which the user is
/// told once.
fn own_ids(start: &mut Start<'_>) -> Option<trees::Own> {
    let own = trees::own(start.store, start.spec, &start.live.dir, start.map);
    if !matches!(own, Ok(Some(_))) && ranges::first_time_without() {
        let why = own.as_ref().err().map_or("no range is free or possible".to_owned(), ToString::to_string);
        (start.say)(&format!("containers share their host ids here, none has a range of its own ({why})"));
    }
    own.ok().flatten()
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
