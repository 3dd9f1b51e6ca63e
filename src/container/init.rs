//! PID 1: from the first instruction in the new namespaces to the end of the container.
//!
//! It is a clone of ccrun, never an exec of it, and cannot be looked into from
//! inside (undumpable): its memory and its descriptors are the host's.

use super::filesystem;
use super::plan::{Plan, message};
use super::trees::Trees;
use super::{command, emulation, handover, jobs};
use crate::error::{Error, Result};
use crate::isolation::devices::{self, HostDevices, MoreDevices};
use crate::isolation::emulation::Emulator;
use crate::isolation::procfs::Cover;
use crate::isolation::tty::Terminal;
use crate::isolation::{capabilities, namespaces, network, oom, priority, procfs, rootfs};
use crate::sys::process::{self, Status, pid_t};
use crate::sys::signal::SignalFd;
use crate::sys::{cred, namespace, poll, signal, socket, tty};
use std::os::fd::{AsFd, OwnedFd};

/// The life of PID 1; returns its exit status. The end of `socket` tells the supervisor that the command runs;
/// `reports` takes what becomes of it then, if a shell may want to know.
/// `outer`: it comes from a process between, which has the mounts (see [`super::outer`]).
pub fn pid1(plan: &Plan<'_>, socket: OwnedFd, reports: Option<OwnedFd>, outer: Option<OwnedFd>) -> i32 {
    let started = build(plan, &socket, outer.as_ref()).and_then(|terminal| {
        let (ours, theirs) = if plan.single_id { Some(socket::socketpair()?) } else { None }.unzip();
        if !plan.spec.init {
            if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
                process::fork_unwaited(|| {
                    process::close(theirs);
                    emulate(plan, ours, &socket)
                })?;
            }
            return Err(command::exec(plan, terminal, theirs.as_ref()));
        }
        let child = process::fork(|| {
            // The other end must be gone when PID 1 is.
            ours.iter().for_each(process::close);
            let error = command::exec(plan, terminal, theirs.as_ref());
            fail(&socket, error)
        })
        .map_err(|error| no_room(error, plan))?;
        Ok((child.pid(), ours))
    });
    match started {
        Ok((command, channel)) => {
            // What goes wrong with it is told like anything else, as long as the supervisor listens.
            match emulator(plan, channel) {
                Ok(emulator) => {
                    drop(socket);
                    live(command, emulator, reports).unwrap_or(125)
                }
                Err(error) => fail(&socket, error),
            }
        }
        Err(error) => fail(&socket, error),
    }
}

/// PID 1 with the container's command running: it keeps no descriptor but what it needs, and little power.
fn live(command: pid_t, emulator: Option<Emulator>, reports: Option<OwnedFd>) -> Result<i32> {
    let Some(mut emulator) = emulator else {
        let reports = match reports {
            Some(reports) => {
                let [kept] = process::keep_only([reports.as_fd()])?;
                // What it had is closed.
                std::mem::forget(reports);
                Some(kept)
            }
            None => {
                process::close_range_from(0);
                None
            }
        };
        capabilities::keep_kill()?;
        return reap(command, reports.as_ref(), signal::wait_any);
    };
    let reports = emulator.close_others(reports)?;
    let signals = SignalFd::new()?;
    reap(command, reports.as_ref(), || {
        loop {
            if let Some(signal) = signals.read() {
                return Ok(signal);
            }
            emulator.serve_until(signals.as_fd())?;
        }
    })
}

/// Waits for the command at the other end of `channel`, and gets ready to emulate root for it.
fn emulator(plan: &Plan<'_>, channel: Option<OwnedFd>) -> Result<Option<Emulator>> {
    let Some(channel) = channel else { return Ok(None) };
    emulation::answerer(&channel, plan.spec.security.capabilities)
}

/// Emulates root where the command is PID 1 and cannot be asked to; ends when nobody is left to ask.
fn emulate(plan: &Plan<'_>, channel: &OwnedFd, socket: &OwnedFd) -> i32 {
    match emulation::answerer(channel, plan.spec.security.capabilities) {
        Ok(None) => 0,
        Ok(Some(mut emulator)) => emulator.close_others(None).and_then(|_| emulator.serve()).map_or(125, |()| 0),
        Err(error) => fail(socket, error),
    }
}

/// PID 1 is a process, too.
fn no_room(error: Error, plan: &Plan<'_>) -> Error {
    match (error.errno(), plan.spec.limits.pids) {
        (Some(libc::EAGAIN), Some(limit)) => error.hint(format!(
            "--pids-limit {limit} leaves no room for the command beside ccrun as PID 1; --no-init does without it"
        )),
        _ => error,
    }
}

pub fn fail(socket: &OwnedFd, error: Error) -> i32 {
    let bytes = error.to_bytes();
    let length = bytes.len().min(message::MOST_BYTES);
    let _ = socket::send(socket.as_fd(), &[&[message::FAILED], &bytes[..length]].concat(), &[]);
    125
}

/// Makes the container around this process. Gives its terminal, if it is to have one.
fn build(plan: &Plan<'_>, socket: &OwnedFd, outer: Option<&OwnedFd>) -> Result<Option<OwnedFd>> {
    let spec = plan.spec;
    // 1. What needs no ids is done while the supervisor is busy with them. From here on no mount is seen
    //    by the host, and none of the host's new ones here.
    process::set_title("ccrun")?;
    // Leads the session that the container's terminal, if it has one, belongs to: then it is among the processes
    // of that terminal, and the command is not an orphan to the terminal's job control.
    process::setsid()?;
    rootfs::make_private().map_err(namespaces::explain)?;
    let devices = HostDevices::open()?;
    priority::reset()?;
    plan.cgroup.join()?;
    if let Some(score) = spec.process.oom_score_adj {
        oom::set_score(score)?;
    }

    // 2. Wait for the supervisor: it writes the id maps, and as root it sends mounts whose files it has mapped
    //    to our ids.
    let (trees, files) = match outer {
        Some(outer) => handover::take(outer, socket, plan)?,
        None => (Trees::receive(socket)?, Vec::new()),
    };

    // 3. Shut ourselves off before anything of the container's is touched. Not earlier: the files of
    //    a process that cannot be dumped are root's, and a user could not write its id map.
    cred::set_undumpable()?;

    // 4. Open what lies on the host while we still are the caller, who may go there.
    //    Devices first: what covers the container's directory then shows none.
    let mut more = MoreDevices::open(&spec.devices, plan.mapped.then_some(plan.dir))?;
    let sources = filesystem::Sources::open(plan, trees, files)?;

    // 5. Become container root: from here on what we make belongs to it. A change of ids clears the
    //    death signal, so that it is set now, and the supervisor might have died before.
    rootfs::become_root(plan.single_id || spec.process.keep_groups)?;
    cred::set_pdeathsig(libc::SIGKILL)?;
    // Not by the socket's end: others that the supervisor has started may hold it a moment longer.
    if poll::poll(&[plan.supervisor.as_fd()], 0)?[0] {
        return Err(Error::new("the supervisor ended"));
    }

    for device in more.useless() {
        let text = "can be opened by nobody in the container: its owner and mode on this host are against it";
        filesystem::note(socket, &format!("--device {} {text}", device.display()));
    }
    if spec.security.privileged {
        more.add_openable();
    }

    // 6. The root file system, then the kernel's own on top of it, then what the user mounts: each may
    //    hide what was there before.
    let root_dir = filesystem::mount_root(plan, &sources, socket)?;
    let (mut cover, late) = (Cover::new(devices.null()), spec.shut_late());
    let shut = (&mut cover, &spec.shut, &late[..]);
    procfs::mount_proc(root_dir.as_fd(), &spec.kernel.proc, &spec.settings, shut)?;
    if let Some(sys) = &spec.kernel.sys {
        let shut = (&mut cover, &spec.shut, &late[..]);
        procfs::mount_sys(root_dir.as_fd(), sys, spec.network.is_own(), shut)?;
    }
    if !plan.cgroup.is_none() && spec.cgroup_namespace {
        // Not by clone3, which would have its root where the supervisor is: this one has it where we are.
        namespace::unshare(process::CLONE_NEWCGROUP)?;
    }
    if spec.kernel.cgroup {
        plan.cgroup.mount_view(root_dir.as_fd(), spec.cgroup_namespace)?;
    }
    let dev = devices::mount_dev(root_dir.as_fd(), &devices, &spec.kernel.dev)?;
    filesystem::mount_extras(plan, sources, root_dir.as_fd())?;
    more.mount(root_dir.as_fd())?;
    procfs::shut_late(root_dir.as_fd(), &mut cover, &spec.shut, &late)?;

    // 7. The terminal, while /dev is at hand by descriptor.
    let terminal = if spec.process.has_terminal() {
        let Terminal { master, peer } = Terminal::open(dev.as_fd())?;
        tty::set_controlling(peer.as_fd())?;
        socket::send(socket.as_fd(), &[message::TERMINAL], &[master.as_fd()])?;
        Some(peer)
    } else {
        None
    };

    // 8. Leave the host's tree for good.
    rootfs::pivot_to(&root_dir)?;

    // 9. What is left are the namespaces without files.
    if !spec.hostname.is_empty() {
        namespace::sethostname(&spec.hostname)?;
    }
    spec.domainname.as_ref().map_or(Ok(()), |name| namespace::setdomainname(name))?;
    if spec.network.is_own() {
        network::bring_up()?;
    }
    Ok(terminal)
}

/// What an init does: hands every signal on to the command, takes in every orphan's end, and ends when
/// the command does. The kernel then kills what is left (pid_namespaces(7)).
fn reap(command: pid_t, reports: Option<&OwnedFd>, mut next_signal: impl FnMut() -> Result<i32>) -> Result<i32> {
    loop {
        match next_signal()? {
            libc::SIGCHLD => {
                while let Some((pid, status)) = process::wait4(-1, libc::WNOHANG | libc::WUNTRACED).unwrap_or(None) {
                    if pid != command {
                        continue;
                    }
                    jobs::tell(reports, command, status);
                    if !matches!(status, Status::Stopped(_)) {
                        return Ok(status.code().into());
                    }
                }
            }
            other => jobs::hand_on(command, other),
        }
    }
}
