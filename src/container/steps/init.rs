//! PID 1: from its first instruction in the new namespaces to the fork of the command. [`crate::container::pid1`] has
//! its life after that.
//!
//! It is a clone of ccrun, not an exec of it, and is undumpable, so that nothing inside can look into it: its memory and
//! its descriptors are the host's.

use super::command::Prepare;
use super::{INIT, Side, required, run_all};
use crate::container::id_mapped::DetachedMounts;
use crate::container::plan::Plan;
use crate::container::{filesystem, locked_mounts, mounts, pid1};
use crate::error::{Error, Result};
use crate::isolation::devices::{self, HostDevices, MoreDevices};
use crate::isolation::procfs::{Cover, Shutting};
use crate::isolation::tty::Terminal;
use crate::isolation::{namespaces, network, oom, priority, procfs, rootfs};
use crate::sys::channel::{Channel, Message};
use crate::sys::fd::OwnedFd;
use crate::sys::process::{self, pid_t};
use crate::sys::{cred, namespace, poll, report, tty};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Runs PID 1 and returns its exit status. Closing `supervisor` reports that the command runs. `reports` takes later
/// reports about the command, if a shell may need them. `intermediate` leads to the process that has attached the mounts,
/// if there is one (see [`crate::container::locked_mounts`]).
pub fn run(plan: &Plan<'_>, supervisor: Channel, reports: Option<Channel>, intermediate: Option<Channel>) -> i32 {
    let built = Build::new(plan, &supervisor, intermediate.as_ref()).run();
    report::switch(false);
    // The supervisor still listens for errors.
    match built.and_then(|built| Ok((built.command, pid1::emulator(plan, built.channel)?))) {
        Ok((command, emulator)) => {
            drop(supervisor);
            pid1::live(command, emulator, reports).unwrap_or(125)
        }
        Err(error) => supervisor.fail(error),
    }
}

/// The result of the steps: the command's process.
struct Built {
    command: pid_t,
    channel: Option<Channel>,
}

/// The state of PID 1's steps: what one step leaves for the next ones.
pub struct Build<'a> {
    plan: &'a Plan<'a>,
    supervisor: &'a Channel,
    intermediate: Option<&'a Channel>,
    devices: Option<HostDevices>,
    received: Option<(DetachedMounts, Vec<OwnedFd>)>,
    more: Option<MoreDevices>,
    sources: Option<filesystem::Sources>,
    root: Option<OwnedFd>,
    /// The empty directory that covers hidden directories, once one is hidden.
    empty: Option<OwnedFd>,
    /// Paths to hide or make read-only once everything is mounted.
    late: Vec<&'a Path>,
    dev: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    built: Option<Built>,
}

impl<'a> Build<'a> {
    fn new(plan: &'a Plan<'a>, supervisor: &'a Channel, intermediate: Option<&'a Channel>) -> Build<'a> {
        let (devices, received, more, sources) = (None, None, None, None);
        let (root, empty, dev, terminal, built) = (None, None, None, None, None);
        let late = plan.spec.shut_late();
        Build {
            plan,
            supervisor,
            intermediate,
            devices,
            received,
            more,
            sources,
            root,
            empty,
            late,
            dev,
            terminal,
            built,
        }
    }

    fn run(mut self) -> Result<Built> {
        run_all(Side::Init, INIT, |step| step(&mut self))?;
        let built = required(self.built.take());
        // PID 1 closes all descriptors at once later.
        std::mem::forget(self);
        built
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        required(self.root.as_ref()).map(AsFd::as_fd)
    }

    /// Calls `act` with what it needs to hide paths below its mount and make them read-only.
    fn shutting(&mut self, act: impl FnOnce(BorrowedFd<'_>, Shutting<'_, '_>) -> Result<()>) -> Result<()> {
        let Build { plan, devices, root, empty, late, .. } = self;
        let mut cover = Cover::new(required(devices.as_ref())?.null(), empty.take());
        act(required(root.as_ref())?.as_fd(), (&mut cover, &plan.spec.shut, late))?;
        *empty = cover.into_empty();
        Ok(())
    }
}

pub fn name_itself(_: &mut Build<'_>) -> Result<()> {
    process::set_title("ccrun")?;
    process::setsid()
}

pub fn make_mounts_private(_: &mut Build<'_>) -> Result<()> {
    rootfs::make_private().map_err(namespaces::explain)
}

pub fn open_devices(build: &mut Build<'_>) -> Result<()> {
    build.devices = Some(HostDevices::open()?);
    Ok(())
}

pub fn join_cgroup(build: &mut Build<'_>) -> Result<()> {
    priority::reset()?;
    build.plan.cgroup.join()?;
    build.plan.spec.process.oom_score_adj.map_or(Ok(()), oom::set_score)
}

pub fn receive_mounts(build: &mut Build<'_>) -> Result<()> {
    build.received = Some(match build.intermediate {
        Some(intermediate) => locked_mounts::take(intermediate, build.supervisor, build.plan)?,
        None => (DetachedMounts::receive(build.supervisor)?, Vec::new()),
    });
    Ok(())
}

pub fn shut_off(_: &mut Build<'_>) -> Result<()> {
    cred::set_undumpable()
}

pub fn open_sources(build: &mut Build<'_>) -> Result<()> {
    let plan = build.plan;
    // Devices first: the mount that covers the container's directory allows none.
    build.more = Some(MoreDevices::open(&plan.spec.devices, plan.mapped.then_some(plan.dir))?);
    let (trees, files) = required(build.received.take())?;
    build.sources = Some(filesystem::Sources::open(plan, trees, files)?);
    Ok(())
}

pub fn become_root(build: &mut Build<'_>) -> Result<()> {
    let plan = build.plan;
    rootfs::become_root(plan.single_id || plan.spec.process.keep_groups)?;
    cred::set_pdeathsig(libc::SIGKILL)?;
    // The supervisor may have died before. Its end of the socket does not show that: other processes that it started may
    // hold it a moment longer.
    if poll::poll(&[plan.supervisor.as_fd()], 0)?[0] {
        return Err(Error::new("the supervisor ended"));
    }
    let mut more = required(build.more.take())?;
    for device in more.useless() {
        build.supervisor.send(&Message::UselessDevice(device.to_owned()), &[])?;
    }
    if plan.spec.security.privileged {
        more.add_openable();
    }
    build.more = Some(more);
    Ok(())
}

pub fn mount_root(build: &mut Build<'_>) -> Result<()> {
    build.root = Some(filesystem::mount_root(build.plan, required(build.sources.as_ref())?, build.supervisor)?);
    Ok(())
}

pub fn mount_proc(build: &mut Build<'_>) -> Result<()> {
    let spec = build.plan.spec;
    build.shutting(|root, shutting| procfs::mount_proc(root, &spec.kernel.proc, &spec.settings, shutting))
}

pub fn mount_sys(build: &mut Build<'_>) -> Result<()> {
    let spec = build.plan.spec;
    let Some(sys) = &spec.kernel.sys else { return Ok(()) };
    build.shutting(|root, shutting| procfs::mount_sys(root, sys, spec.network.is_own(), shutting))
}

pub fn mount_cgroups(build: &mut Build<'_>) -> Result<()> {
    let Plan { spec, cgroup, .. } = build.plan;
    if !cgroup.is_none() && spec.cgroup_namespace {
        // Not by clone3: the namespace's root is the cgroup of the process that makes it.
        namespace::unshare(process::CLONE_NEWCGROUP)?;
    }
    if spec.kernel.cgroup { cgroup.mount_view(build.root()?, spec.cgroup_namespace) } else { Ok(()) }
}

pub fn mount_dev(build: &mut Build<'_>) -> Result<()> {
    let (plan, devices) = (build.plan, required(build.devices.as_ref())?);
    build.dev = Some(devices::mount_dev(build.root()?, devices, &plan.spec.kernel.dev)?);
    Ok(())
}

pub fn mount_volumes(build: &mut Build<'_>) -> Result<()> {
    let sources = required(build.sources.take())?;
    mounts::mount_all(build.plan, sources, build.root()?)?;
    required(build.more.as_ref())?.mount(build.root()?)?;
    build.shutting(procfs::shut_late)
}

pub fn open_terminal(build: &mut Build<'_>) -> Result<()> {
    let dev = required(build.dev.take())?;
    if build.plan.spec.process.has_terminal() {
        let Terminal { master, peer } = Terminal::open(dev.as_fd())?;
        if let Some(size) = build.plan.window {
            // Before there is a program that could ask.
            let _ = tty::set_window_size(master.as_fd(), size);
        }
        tty::set_controlling(peer.as_fd())?;
        build.supervisor.send(&Message::Terminal, &[master.as_fd()])?;
        build.terminal = Some(peer);
    }
    Ok(())
}

pub fn pivot(build: &mut Build<'_>) -> Result<()> {
    rootfs::pivot_to(&required(build.root.take())?)
}

pub fn set_hostname(build: &mut Build<'_>) -> Result<()> {
    let spec = build.plan.spec;
    if !spec.hostname.is_empty() {
        namespace::sethostname(&spec.hostname)?;
    }
    spec.domainname.as_ref().map_or(Ok(()), |name| namespace::setdomainname(name))
}

pub fn bring_up_network(build: &mut Build<'_>) -> Result<()> {
    if build.plan.spec.network.is_own() { network::bring_up() } else { Ok(()) }
}

pub fn fork_command(build: &mut Build<'_>) -> Result<()> {
    let (plan, supervisor) = (build.plan, build.supervisor);
    let (ours, theirs) = if plan.single_id { Some(Channel::pair()?) } else { None }.unzip();
    let terminal = build.terminal.take();
    if !plan.spec.init {
        if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
            process::fork_unwaited(|| {
                report::switch(false);
                theirs.close_copy();
                pid1::emulate(plan, ours, supervisor)
            })?;
        }
        super::end(Side::Init)?;
        return Err(Prepare::new(plan, supervisor, terminal, theirs.as_ref()).run());
    }
    let child = process::fork(|| {
        // The command must see the channel close when PID 1 ends.
        ours.iter().for_each(Channel::close_copy);
        let error = Prepare::new(plan, supervisor, terminal, theirs.as_ref()).run();
        report::switch(false);
        supervisor.fail(error)
    })
    .map_err(|error| no_room(error, plan))?;
    build.built = Some(Built { command: child.pid(), channel: ours });
    Ok(())
}

/// Explains a failed fork under a low limit of processes: PID 1 counts, too.
fn no_room(error: Error, plan: &Plan<'_>) -> Error {
    match (error.errno(), plan.spec.limits.pids) {
        (Some(libc::EAGAIN), Some(limit)) => error.hint(format_args!(
            "--pids-limit {limit} leaves no room for the command beside ccrun as PID 1; --no-init does without it"
        )),
        _ => error,
    }
}
