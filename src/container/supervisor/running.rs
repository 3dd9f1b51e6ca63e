//! A running container as its supervisor sees it: PID 1 is its child, and its terminal's master is open here.

use crate::container::control::Control;
use crate::container::flow::{End, Flow};
use crate::container::frontend::{Backend, Frontend};
use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::{Child, Status};
use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::tty::{self, WindowSize};
use std::os::fd::AsFd;
use std::path::Path;

/// How a container ended.
pub struct Ended {
    pub status: Status,
    /// Whether the user typed Ctrl-C and the command died of it, so that the shell has to know.
    pub interrupted: bool,
    /// Why output could not be written.
    pub lost: Option<Error>,
}

/// The client: a process at the other end of a channel, which has the user's terminal.
pub struct Client {
    pub channel: Channel,
    /// Leads to the client's own terminal.
    terminal: OwnedFd,
}

impl Client {
    pub fn new(channel: Channel, terminal: OwnedFd) -> Client {
        Client { channel, terminal }
    }
}

/// A container whose command runs.
pub struct RunningContainer<'a> {
    child: &'a Child,
    /// The master of its terminal.
    master: Option<OwnedFd>,
    /// PID 1's reports about the command, if a shell may need them.
    reports: Option<Channel>,
    is_stopped: Option<u8>,
    killed_by: Option<u8>,
}

impl Backend for RunningContainer<'_> {
    fn signal(&self, number: i32) {
        // These two concern our own streams (moby, cli/command/container/signals.go).
        if ![libc::SIGPIPE, libc::SIGURG].contains(&number) {
            // It may have ended just now; its SIGCHLD is on the way.
            let _ = self.child.signal(number);
        }
    }

    fn resize(&self, size: WindowSize) {
        if let Some(master) = &self.master {
            let _ = tty::set_window_size(master.as_fd(), size);
        }
    }

    /// The kernel sends SIGHUP to PID 1, which leads the terminal's session, when the last master is closed.
    fn hang_up(&mut self) {
        self.master = None;
    }

    fn discard_stops(&mut self) -> Result<()> {
        self.read_reports()?;
        self.is_stopped = None;
        Ok(())
    }
}

const READ: Readiness = Readiness::READ;

impl<'a> RunningContainer<'a> {
    pub fn new(child: &'a Child, master: Option<OwnedFd>, reports: Option<Channel>) -> RunningContainer<'a> {
        RunningContainer { child, master, reports, is_stopped: None, killed_by: None }
    }

    /// Reads what PID 1 has reported so far.
    fn read_reports(&mut self) -> Result<()> {
        while let Some(reports) = &self.reports
            && let Some(next) = reports.next()?
        {
            match next {
                Next::Message(Message::Stopped(signal)) => self.is_stopped = Some(signal),
                Next::Message(Message::Killed(signal)) => self.killed_by = Some(signal),
                Next::Message(_) => {}
                // PID 1 has ended, or it is the command itself.
                Next::Gone => self.reports = None,
            }
        }
        Ok(())
    }

    /// Watches the container where this process has the caller's streams. `flows` copy between them and the container's.
    pub fn watch_with_streams(mut self, flows: Vec<Flow>, interactive: bool, explicit: bool) -> Result<Ended> {
        if flows.is_empty() && self.master.is_none() && self.reports.is_none() {
            return Ok(Ended { status: self.wait()?, interrupted: false, lost: None });
        }
        let signals = SignalFd::new()?;
        let mut frontend = Frontend::new(flows, explicit);
        if let Some(master) = self.master.as_ref().map(OwnedFd::try_clone).transpose()? {
            frontend.connect(&master, interactive, &self)?;
        }
        let status = loop {
            let timeout = frontend.timeout(&self);
            let ready = self.poll(&signals, &frontend, timeout)?;
            if let Some(status) =
                take_signals(self.child, &signals, &mut |signal| frontend.handle_signal(signal, &mut self))?
            {
                break status;
            }
            self.read_reports()?;
            if self.is_stopped.take().is_some() {
                frontend.stop(&mut self)?;
            }
            frontend.copy(&ready, &mut self)?;
        };
        self.read_reports()?;
        frontend.killed_by = self.killed_by;
        frontend.finish(&signals, &mut self)?;
        Ok(Ended { status, interrupted: frontend.is_interrupted(), lost: frontend.lost.take() })
    }

    /// Waits for a signal, a report, or one of the frontend's flows. Returns which flows are ready.
    fn poll(&self, signals: &SignalFd, frontend: &Frontend, timeout: i32) -> Result<Vec<Readiness>> {
        let mut wanted = vec![(signals.as_fd(), READ)];
        wanted.extend(frontend.wants());
        wanted.extend(self.reports.as_ref().map(|reports| (reports.as_fd(), READ)));
        let mut ready = poll::poll_all(&wanted, timeout)?;
        ready.remove(0);
        Ok(ready)
    }

    /// Waits where nothing but signals can arrive.
    fn wait(&self) -> Result<Status> {
        loop {
            match signal::wait_any()? {
                libc::SIGCHLD => {
                    if let Some(status) = self.child.try_wait()? {
                        return Ok(status);
                    }
                }
                other => self.signal(other),
            }
        }
    }

    /// Watches the container for a client, and goes on when the client detaches. The control socket is made in `dir`, the
    /// container's directory.
    pub fn watch_for_client(mut self, client: Client, dir: &Path) -> Result<Ended> {
        let signals = SignalFd::new()?;
        let (mut control, mut killed) = (Control::listen(dir)?, false);
        let mut attached = Some(client.channel);
        let mut flows = self.flows_to(client.terminal)?;
        let status = loop {
            let mut wanted = vec![(signals.as_fd(), READ), (control.listener(), READ)];
            wanted.extend(
                self.reports.iter().chain(&attached).chain(&control.connections).map(|one| (one.as_fd(), READ)),
            );
            let others = wanted.len();
            let nothing = (signals.as_fd(), Readiness::default());
            wanted.extend(flows.iter().map(|flow| flow.wants().unwrap_or(nothing)));
            let ready = poll::poll_all(&wanted, -1)?;
            let mut pass_on = |signal: Signal| {
                self.signal(signal.number);
                Ok(())
            };
            if let Some(status) = take_signals(self.child, &signals, &mut pass_on)? {
                break status;
            }
            for (flow, _) in flows.iter_mut().zip(&ready[others..]).filter(|(_, ready)| ready.read || ready.write) {
                // A client that is gone shows on its channel.
                let _ = flow.step(&mut |_| ());
            }
            if ready[1].read {
                control.accept()?;
            }
            control.handle(&mut |number| {
                killed |= number == libc::SIGKILL;
                self.signal(number);
            });
            self.read_reports()?;
            match (self.is_stopped.take(), &attached) {
                (Some(signal), Some(client)) => drop(client.send_now(&Message::Stopped(signal))),
                // No shell could continue it.
                (Some(signal), None) if i32::from(signal) != libc::SIGSTOP => self.signal(libc::SIGCONT),
                _ => {}
            }
            match attached.as_ref().map(|client| self.handle_client(client)).transpose()?.flatten() {
                None => {}
                Some(ClientGone::Detached) => {
                    attached = None;
                    // Keys typed before still reach the container.
                    flows.retain(|flow| !flow.is_output());
                    flows.extend(self.discard_output()?);
                }
                Some(ClientGone::HungUp) => {
                    flows.clear();
                    self.hang_up();
                }
                Some(ClientGone::Dead) => {
                    (attached, flows) = (None, Vec::new());
                    self.hang_up();
                }
            }
        };
        flows.retain(Flow::is_output);
        if let Some(client) = &attached {
            flush_output(&mut flows, client, &mut control, killed)?;
        }
        control.close(dir);
        Ok(Ended { status, interrupted: false, lost: None })
    }

    /// The flows between the container's terminal and a client's.
    fn flows_to(&self, terminal: OwnedFd) -> Result<Vec<Flow>> {
        let Some(master) = &self.master else { return Ok(Vec::new()) };
        fs::set_nonblocking(master.as_fd())?;
        fs::set_nonblocking(terminal.as_fd())?;
        let output = Flow::new(End::Ours(master.try_clone()?), End::Ours(terminal.try_clone()?));
        let input = Flow::new(End::Ours(terminal), End::Ours(master.try_clone()?));
        Ok(vec![output.of_terminal(), input])
    }

    /// A flow that discards the terminal's output, so that programs without a client do not block.
    fn discard_output(&self) -> Result<Option<Flow>> {
        let Some(master) = &self.master else { return Ok(None) };
        let null = fs::open(c"/dev/null", libc::O_WRONLY, 0)?;
        Ok(Some(Flow::new(End::Ours(master.try_clone()?), End::Ours(null)).of_terminal()))
    }

    /// Handles the client's messages; returns how it has left, if it has.
    fn handle_client(&mut self, client: &Channel) -> Result<Option<ClientGone>> {
        while let Some(next) = client.next()? {
            match next {
                Next::Message(Message::Signal(number)) => self.signal(number),
                Next::Message(Message::Resize(size)) => self.resize(WindowSize::of_words(size)),
                Next::Message(Message::Detach) => return Ok(Some(ClientGone::Detached)),
                Next::Message(Message::HangUp) => return Ok(Some(ClientGone::HungUp)),
                Next::Message(_) => {}
                Next::Gone => return Ok(Some(ClientGone::Dead)),
            }
        }
        Ok(None)
    }
}

/// Reads the pending signals. Returns PID 1's status if it has ended; all other signals go to `handle`.
fn take_signals(
    child: &Child,
    signals: &SignalFd,
    handle: &mut dyn FnMut(Signal) -> Result<()>,
) -> Result<Option<Status>> {
    let mut ended = None;
    while let Some(signal) = signals.next() {
        match signal.number {
            // PID 1 can be waited for only once; another SIGCHLD may be another child's.
            libc::SIGCHLD if ended.is_some() => {}
            libc::SIGCHLD => ended = child.try_wait()?,
            _ => handle(signal)?,
        }
    }
    Ok(ended)
}

/// How long to wait for a client that does not read, in milliseconds, when another command has killed the container.
const PATIENCE: i32 = 100;

/// Copies the rest of the output to the client, until a signal says that the user does not want it. `killed`: whether
/// another command has killed the container through the control socket.
fn flush_output(flows: &mut [Flow], client: &Channel, control: &mut Control, mut killed: bool) -> Result<()> {
    while flows.iter_mut().map(Flow::fill).filter(|waits| *waits).count() > 0 {
        let mut wanted = vec![(client.as_fd(), READ), (control.listener(), READ)];
        wanted.extend(control.connections.iter().map(|connection| (connection.as_fd(), READ)));
        wanted.extend(flows.iter().filter_map(Flow::wants));
        let ready = poll::poll_all(&wanted, if killed { PATIENCE } else { -1 })?;
        if killed && !ready.iter().any(|ready| ready.read || ready.write) {
            return Ok(());
        }
        if ready[1].read {
            control.accept()?;
        }
        control.handle(&mut |number| killed |= number == libc::SIGKILL);
        while let Some(next) = client.next()? {
            match next {
                Next::Message(Message::Signal(number)) if !signal::ENDING.contains(&number) => {}
                Next::Message(Message::Resize(_)) => {}
                _ => return Ok(()),
            }
        }
        flows.iter_mut().for_each(|flow| drop(flow.step(&mut |_| ())));
    }
    Ok(())
}

/// How a client has left.
enum ClientGone {
    /// By the detach keys.
    Detached,
    /// Its terminal is gone, but it waits for the end.
    HungUp,
    /// Its process has ended.
    Dead,
}
