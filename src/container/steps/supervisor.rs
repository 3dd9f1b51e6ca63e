//! The supervisor's steps: what only it can make, and the clone of PID 1.

use super::{SUPERVISOR, Side, init, required, run_all};
use crate::container::document::Document;
use crate::container::flow::Flow;
use crate::container::notice::Notice;
use crate::container::plan::{NewContainer, Plan};
use crate::container::spec::{ContainerSpec, Root, Source};
use crate::container::streams::Streams;
use crate::container::{id_mapped, locked_mounts};
use crate::error::{Error, Result};
use crate::isolation::cgroup::Cgroup;
use crate::isolation::idmap::{Extent, IdMap};
use crate::isolation::ranges::{self, Range};
use crate::isolation::{devices, host_mounts, namespaces, oom, rlimit};
use crate::store::Store;
use crate::store::containers::{Live, ProcessId, State, Status, clock};
use crate::store::locks::Lock;
use crate::sys::channel::{self, Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::process::{self, Child};
use crate::sys::tty::WindowSize;
use crate::sys::{fs, report};
use std::os::fd::AsFd;
use std::path::Path;

/// A container whose command runs.
pub struct Started {
    pub child: Child,
    /// Pipes between the caller's streams and the container's.
    pub flows: Vec<Flow>,
    /// The master of the container's terminal.
    pub master: Option<OwnedFd>,
    /// PID 1's reports about the command, if a shell may need them.
    pub reports: Option<Channel>,
    /// Its range of ids, if it has its own: returned to the pool when dropped.
    pub ids: Option<Range>,
    /// Its namespaces, where the supervisor could not open them later.
    pub namespaces: Vec<OwnedFd>,
}

/// The state of the supervisor's steps: what one step leaves for the next ones.
pub struct Start<'a> {
    pub store: &'a Store,
    pub map: &'a IdMap,
    pub spec: &'a ContainerSpec,
    pub document: &'a Document,
    pub live: &'a Live,
    pub state: &'a mut State,
    /// Whether this process is a job of a shell, which must know when the command stops.
    is_job: bool,
    /// The size of the caller's terminal, for the container's.
    window: Option<WindowSize>,
    /// Tells the user what is not an error.
    pub notify: &'a mut dyn FnMut(Notice),
    /// Keeps the image in the store until the container's record is written.
    pub lock: Option<Lock>,
    /// The caller removes it, however the start ends.
    pub cgroup: &'a mut Cgroup,
    parts: Parts,
}

/// The parts that the steps have made so far.
#[derive(Default)]
struct Parts {
    host: Vec<host_mounts::Copy>,
    streams: Option<Streams>,
    reports: (Option<Channel>, Option<Channel>),
    channel: Option<Channel>,
    child: Option<Child>,
    own: Option<id_mapped::OwnIds>,
    inside: Option<IdMap>,
    /// A process with the user namespace that maps the host's directories, where PID 1 does not exist yet.
    holder: Option<ranges::Holder>,
    detached: id_mapped::DetachedMounts,
    namespaces: Vec<OwnedFd>,
    master: Option<OwnedFd>,
}

impl<'a> Start<'a> {
    pub fn new(
        new: &NewContainer<'a>,
        live: &'a Live,
        (cgroup, state): (&'a mut Cgroup, &'a mut State),
        (is_job, window): (bool, Option<WindowSize>),
        lock: Option<Lock>,
        notify: &'a mut dyn FnMut(Notice),
    ) -> Start<'a> {
        let NewContainer { store, map, spec, document } = *new;
        let parts = Parts::default();
        Start { store, map, spec, document, live, state, is_job, window, notify, lock, cgroup, parts }
    }

    /// Runs the table. After an error no process of the container is left.
    pub fn run(mut self) -> Result<Started> {
        let ran = run_all(Side::Supervisor, SUPERVISOR, |step| step(&mut self));
        report::switch(false);
        let Parts { child, own, master, streams, reports, namespaces, .. } = self.parts;
        let (flows, child) = (streams.map(Streams::into_flows).unwrap_or_default(), required(child));
        match (ran, child) {
            (Ok(()), Ok(child)) => {
                let ids = own.and_then(|own| own.range);
                Ok(Started { child, flows, master, reports: reports.0, ids, namespaces })
            }
            (Err(error), Ok(child)) => {
                let _ = child.signal(libc::SIGKILL);
                let _ = child.wait();
                Err(error)
            }
            (ran, Err(missing)) => Err(ran.err().unwrap_or(missing)),
        }
    }

    fn has_intermediate(&self) -> bool {
        locked_mounts::is_needed(self.spec)
    }
}

/// Makes the directories of the container's volumes, owned by container root, and missing directories of the host.
pub fn make_volumes(start: &mut Start<'_>) -> Result<()> {
    for (at, wanted) in start.spec.mounts.iter().enumerate() {
        match &wanted.source {
            // As Docker does for -v, but as the caller: it is a directory of the host.
            Source::Bind(path) if !fs::exists(path) => {
                fs::mkdir_all(path, 0o777)
                    .map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))?;
            }
            source => {
                let path = id_mapped::volume_dir(start.store, &start.live.dir, at, source)?;
                path.map_or(Ok(()), |path| start.store.make_for_root(&path))?;
            }
        }
    }
    Ok(())
}

/// Writes the container's record. From here on a sweep can clean up, whatever happens.
pub fn save_container(start: &mut Start<'_>) -> Result<()> {
    let spec = start.spec;
    let name = spec.cgroup_name.clone().unwrap_or_else(|| format!("ccrun-{}", spec.id));
    let cgroup = Cgroup::plan(&name, &spec.limits, spec.cgroup_parent.as_deref())?;
    // Its processes would be killed at the end.
    if let Some(taken) = cgroup.paths().find(|path| spec.cgroup_name.is_some() && fs::exists(path)) {
        return Err(Error::new(format_args!("cgroup {} already exists", taken.display())));
    }
    start.state.cgroup = cgroup.paths().map(Path::to_owned).collect();
    *start.cgroup = cgroup;
    start.store.save_container(&spec.id, &start.document.to_json(), start.state)?;
    start.lock = None;
    if start.cgroup.lacks_swappiness() {
        (start.notify)(Notice::NoSwappiness);
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
    start.parts.streams = Some(Streams::make(&spec.process.streams)?);
    start.parts.reports = if start.is_job { Some(Channel::pair()?) } else { None }.unzip();
    Ok(())
}

pub fn clone_init(start: &mut Start<'_>) -> Result<()> {
    let (spec, map) = (start.spec, start.map);
    start.parts.host = if map.is_shifted() && spec.root == Root::Host { host_mounts::copies()? } else { Vec::new() };
    let supervisor = process::pidfd_open(process::getpid())?;
    let security = &spec.security;
    let filter = security.seccomp.compile(security.capabilities);
    let filter = filter.map_err(|error| error.context("seccomp profile"))?;
    let plan = Plan {
        streams: required(start.parts.streams.as_ref())?,
        supervisor: &supervisor,
        window: start.window,
        filter: filter.as_ref(),
        spec,
        dir: &start.live.dir,
        single_id: map.is_single(),
        mapped: map.is_shifted(),
        host: &start.parts.host,
        cgroup: start.cgroup,
    };
    rlimit::raise(&spec.process.ulimits)?;
    let unified = start.cgroup.open_unified()?;
    let flags = namespaces::flags(spec.network.is_own(), !start.cgroup.is_none() || !spec.cgroup_namespace);
    let cgroup_fd = unified.as_ref().map(AsFd::as_fd);
    let intermediate = start.has_intermediate();
    let first = if intermediate { (locked_mounts::flags(map), None) } else { (flags, cgroup_fd) };
    let mut reports = start.parts.reports.1.take();
    let forked = channel::fork(first.0, first.1, |supervisor| {
        // The lock belongs to the supervisor alone.
        process::close(start.live.lock());
        let mut pid1 = |supervisor, intermediate| init::run(&plan, supervisor, reports.take(), intermediate);
        match intermediate {
            true => locked_mounts::run(&plan, map, supervisor, (flags, cgroup_fd), &mut |supervisor, intermediate| {
                pid1(supervisor, Some(intermediate))
            }),
            false => pid1(supervisor, None),
        }
    });
    let (child, channel) = forked.map_err(namespaces::explain)?;
    (start.parts.child, start.parts.channel) = (Some(child), Some(channel));
    // Close the container's ends: a pipe ends when its last copy is closed.
    start.parts.streams.iter_mut().for_each(Streams::close_theirs);
    Ok(())
}

pub fn write_id_maps(start: &mut Start<'_>) -> Result<()> {
    let map = start.map;
    start.parts.own = match &start.spec.ids {
        Some(ids) => Some(id_mapped::with_ids(&start.live.dir, map, ids)?),
        None if map.is_shifted() => own_ids(start),
        None => None,
    };
    let inside = start.parts.own.as_ref().map_or_else(|| map.clone(), |own| own.map.clone());
    // A process whose user namespace maps the host's directories.
    let holder = if start.has_intermediate() && map.is_shifted() { Some(ranges::Holder::new()?) } else { None };
    let child = match &holder {
        Some(holder) => holder.child(),
        None => required(start.parts.child.as_ref())?,
    };
    inside.write(child.pid())?;
    (start.parts.inside, start.parts.holder) = (Some(inside), holder);
    Ok(())
}

pub fn make_mounts(start: &mut Start<'_>) -> Result<()> {
    let (store, map, spec, dir) = (start.store, start.map, start.spec, &start.live.dir);
    if !map.is_shifted() {
        return Ok(());
    }
    let Parts { child, holder, own, host, inside, .. } = &mut start.parts;
    let child = match holder {
        Some(holder) => holder.child(),
        None => required(child.as_ref())?,
    };
    let detached = id_mapped::make_mounts(store, spec, child, dir, (map, own.as_mut()), host, start.notify)?;
    devices::remake(&spec.devices, dir, map.root_ids(), required(inside.as_ref())?.root_ids())?;
    if locked_mounts::is_needed(spec) {
        locked_mounts::make_places(dir, &detached, host)?;
    }
    start.parts.detached = detached;
    Ok(())
}

pub fn hand_over(start: &mut Start<'_>) -> Result<()> {
    let shifted = start.map.is_shifted();
    let intermediate = start.has_intermediate();
    let Parts { child, channel, inside, detached, holder, namespaces, .. } = &mut start.parts;
    let channel = required(channel.as_ref())?;
    if intermediate {
        detached.send(channel)?;
        let init = locked_mounts::receive(channel, required(child.as_ref())?)?;
        let init = child.insert(init);
        if shifted {
            required(inside.as_ref())?.write(init.pid())?;
        }
    }
    if !shifted {
        *namespaces = namespaces::open(required(child.as_ref())?.pid())?;
    }
    match intermediate {
        true => channel.send(&Message::Go, &[])?,
        false => detached.send(channel)?,
    }
    (*detached, *holder) = (id_mapped::DetachedMounts::default(), None);
    Ok(())
}

/// Takes PID 1's messages until it closes its side, which execve does.
pub fn wait_for_start(start: &mut Start<'_>) -> Result<()> {
    let child = required(start.parts.child.as_ref())?;
    let state = &mut *start.state;
    (state.supervisor, state.init) = (Some(ProcessId::of(process::getpid())), Some(ProcessId::of(child.pid())));
    let numbers = |extents: &[Extent]| extents.iter().map(|one| [one.inside, one.outside, one.count]).collect();
    state.id_maps = start.parts.inside.as_ref().map(|map| [numbers(map.uids()), numbers(map.gids())]);
    (state.status, state.started) = (Status::Running, Some(clock()));
    start.store.save_state(start.live, state)?;
    let channel = required(start.parts.channel.take())?;
    while let Some((message, fds)) = channel.receive()? {
        match message {
            Message::Failed(error) => return Err(error),
            Message::Terminal => start.parts.master = fds.into_iter().next(),
            Message::NoOverlay(errno) => (start.notify)(Notice::NoOverlay(errno)),
            Message::UselessDevice(path) => (start.notify)(Notice::UselessDevice(path)),
            Message::User { uid, gid, groups } => start.state.user = Some((uid, gid, groups)),
            other => return Err(Error::new(format_args!("PID 1 sent an unexpected message: {other:?}"))),
        }
    }
    // The ids behind a user's name are known only now.
    if start.state.user.is_some() { start.store.save_state(start.live, start.state) } else { Ok(()) }
}

/// Takes ids for this container alone. If there are none it shares the base range with others, and the user gets one
/// notice of that.
fn own_ids(start: &mut Start<'_>) -> Option<id_mapped::OwnIds> {
    let own = id_mapped::take_range(start.store, start.spec, &start.live.dir, start.map);
    if !matches!(own, Ok(Some(_))) && ranges::first_time_without() {
        let (own, why) = match own {
            Ok(own) => (own, None),
            Err(error) => (None, Some(error)),
        };
        (start.notify)(Notice::SharedIds(why));
        return own;
    }
    own.ok().flatten()
}
