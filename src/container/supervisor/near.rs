//! The supervisor's watch over a container that runs.

use crate::container::control::Control;
use crate::container::flow::{End, Flow};
use crate::container::front::{Behind, Front};
use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::fs;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::{Child, Status};
use crate::sys::signal::{self, SignalFd};
use crate::sys::tty::{self, WindowSize};
use std::os::fd::AsFd;
use std::path::Path;

/// How a container ended.
pub struct Ended {
    pub status: Status,
    /// Whether the user typed Ctrl-C and the command died of it, so that the shell has to know.
    pub interrupted: bool,
    /// What of the output could not be written.
    pub lost: Option<Error>,
}

/// Somebody at the other end of a channel who is in front of the container's terminal.
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

/// The container, seen from the process that made it.
pub struct Near<'a> {
    child: &'a Child,
    /// Of its terminal.
    master: Option<OwnedFd>,
    /// What PID 1 says of the command, if a shell may want to know.
    reports: Option<Channel>,
    is_stopped: Option<u8>,
    killed_by: Option<u8>,
}

impl Behind for Near<'_> {
    fn signal(&self, number: i32) {
        // These two are about our own streams (moby, cli/command/container/signals.go).
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

    fn forget_stops(&mut self) -> Result<()> {
        self.hear()?;
        self.is_stopped = None;
        Ok(())
    }
}

const READ: Readiness = Readiness { read: true, write: false };

impl<'a> Near<'a> {
    pub fn new(child: &'a Child, master: Option<OwnedFd>, reports: Option<Channel>) -> Near<'a> {
        Near { child, master, reports, is_stopped: None, killed_by: None }
    }

    /// Takes what PID 1 has reported by now.
    fn hear(&mut self) -> Result<()> {
        while let Some(reports) = &self.reports
            && let Some(next) = reports.next()?
        {
            match next {
                Next::Message(Message::Stopped(signal)) => self.is_stopped = Some(signal),
                Next::Message(Message::Killed(signal)) => self.killed_by = Some(signal),
                Next::Message(_) => {}
                // PID 1 has ended, or is the command itself.
                Next::Gone => self.reports = None,
            }
        }
        Ok(())
    }

    /// Watches with the caller's streams in this process. `flows`: pipes between them and the container's.
    pub fn watch_here(mut self, flows: Vec<Flow>, interactive: bool, explicit: bool) -> Result<Ended> {
        if flows.is_empty() && self.master.is_none() && self.reports.is_none() {
            return Ok(Ended { status: self.wait()?, interrupted: false, lost: None });
        }
        let signals = SignalFd::new()?;
        let mut front = Front::new(flows, explicit);
        if let Some(master) = self.master.as_ref().map(OwnedFd::try_clone).transpose()? {
            front.connect(&master, interactive, &self)?;
        }
        let status = loop {
            let timeout = front.timeout(&self);
            let ready = self.poll(&signals, &front, timeout)?;
            let mut ended = None;
            while let Some(signal) = signals.next() {
                match signal.number {
                    // Another child's may have come before; PID 1 can be waited for once.
                    libc::SIGCHLD if ended.is_some() => {}
                    libc::SIGCHLD => ended = self.child.try_wait()?,
                    _ => front.take(signal, &mut self)?,
                }
            }
            if let Some(status) = ended {
                break status;
            }
            self.hear()?;
            if self.is_stopped.take().is_some() {
                front.stop(&mut self)?;
            }
            front.copy(&ready, &mut self)?;
        };
        self.hear()?;
        front.killed_by = self.killed_by;
        front.finish(&signals, &mut self)?;
        Ok(Ended { status, interrupted: front.is_interrupted(), lost: front.lost.take() })
    }

    /// Waits for a signal, a report, or one of the front's flows; tells which of these are ready.
    fn poll(&self, signals: &SignalFd, front: &Front, timeout: i32) -> Result<Vec<Readiness>> {
        let mut wanted = vec![(signals.as_fd(), READ)];
        wanted.extend(front.wants());
        wanted.extend(self.reports.as_ref().map(|reports| (reports.as_fd(), READ)));
        let mut ready = poll::poll_all(&wanted, timeout)?;
        ready.remove(0);
        Ok(ready)
    }

    /// Waits where there is nothing but signals.
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

    /// Watches for a client, and goes on without it. `dir`: the container's, where the control socket is.
    pub fn watch_for(mut self, client: Client, dir: &Path) -> Result<Ended> {
        let signals = SignalFd::new()?;
        let (mut control, mut killed) = (Control::listen(dir)?, false);
        let mut attached = Some(client.channel);
        let mut flows = self.flows_to(client.terminal)?;
        let status = loop {
            let mut wanted = vec![(signals.as_fd(), READ), (control.listener(), READ)];
            wanted.extend(self.reports.iter().chain(&attached).chain(&control.visitors).map(|one| (one.as_fd(), READ)));
            let others = wanted.len();
            let nothing = (signals.as_fd(), Readiness::default());
            wanted.extend(flows.iter().map(|flow| flow.wants().unwrap_or(nothing)));
            let ready = poll::poll_all(&wanted, -1)?;
            let mut ended = None;
            while let Some(signal) = signals.next() {
                match signal.number {
                    // Another child's may have come before; PID 1 can be waited for once.
                    libc::SIGCHLD if ended.is_some() => {}
                    libc::SIGCHLD => ended = self.child.try_wait()?,
                    other => self.signal(other),
                }
            }
            if let Some(status) = ended {
                break status;
            }
            for (flow, _) in flows.iter_mut().zip(&ready[others..]).filter(|(_, ready)| ready.read || ready.write) {
                // What becomes of the client shows on its channel.
                let _ = flow.step(&mut |_| ());
            }
            if ready[1].read {
                control.let_in()?;
            }
            control.serve(&mut |number| {
                killed |= number == libc::SIGKILL;
                self.signal(number);
            });
            self.hear()?;
            match (self.is_stopped.take(), &attached) {
                (Some(signal), Some(client)) => drop(client.send_now(&Message::Stopped(signal))),
                // There is no shell that could continue it.
                (Some(signal), None) if i32::from(signal) != libc::SIGSTOP => self.signal(libc::SIGCONT),
                _ => {}
            }
            match attached.as_ref().map(|client| self.obey(client)).transpose()?.flatten() {
                None => {}
                Some(Left::Detached) => {
                    attached = None;
                    // What was typed before still goes through.
                    flows.retain(|flow| !flow.is_output());
                    flows.extend(self.flow_to_nobody()?);
                }
                Some(Left::HungUp) => {
                    flows.clear();
                    self.hang_up();
                }
                Some(Left::Dead) => {
                    (attached, flows) = (None, Vec::new());
                    self.hang_up();
                }
            }
        };
        flows.retain(Flow::is_output);
        if let Some(client) = &attached {
            show_the_rest(&mut flows, client, &mut control, killed)?;
        }
        control.close(dir);
        Ok(Ended { status, interrupted: false, lost: None })
    }

    /// Between the container's terminal and a client's.
    fn flows_to(&self, terminal: OwnedFd) -> Result<Vec<Flow>> {
        let Some(master) = &self.master else { return Ok(Vec::new()) };
        fs::set_nonblocking(master.as_fd())?;
        fs::set_nonblocking(terminal.as_fd())?;
        let output = Flow::new(End::Ours(master.try_clone()?), End::Ours(terminal.try_clone()?));
        let input = Flow::new(End::Ours(terminal), End::Ours(master.try_clone()?));
        Ok(vec![output.of_terminal(), input])
    }

    /// A program that writes does not wait for somebody to come.
    fn flow_to_nobody(&self) -> Result<Option<Flow>> {
        let Some(master) = &self.master else { return Ok(None) };
        let null = fs::open(c"/dev/null", libc::O_WRONLY, 0)?;
        Ok(Some(Flow::new(End::Ours(master.try_clone()?), End::Ours(null)).of_terminal()))
    }

    /// Does what the client wants.
    fn obey(&mut self, client: &Channel) -> Result<Option<Left>> {
        while let Some(next) = client.next()? {
            match next {
                Next::Message(Message::Signal(number)) => self.signal(number),
                Next::Message(Message::Resize(size)) => self.resize(WindowSize::of_words(size)),
                Next::Message(Message::Detach) => return Ok(Some(Left::Detached)),
                Next::Message(Message::HangUp) => return Ok(Some(Left::HungUp)),
                Next::Message(_) => {}
                Next::Gone => return Ok(Some(Left::Dead)),
            }
        }
        Ok(None)
    }
}

/// How long a client may take for what is left, in milliseconds, where somebody wants the container to be gone.
const PATIENCE: i32 = 100;

/// What was written before the end still goes to the client, until that one wants no more. `killed`: whether somebody
/// has asked for the end at the control socket, who does not wait for a client that does not read.
fn show_the_rest(flows: &mut [Flow], client: &Channel, control: &mut Control, mut killed: bool) -> Result<()> {
    while flows.iter_mut().map(Flow::fill).filter(|waits| *waits).count() > 0 {
        let mut wanted = vec![(client.as_fd(), READ), (control.listener(), READ)];
        wanted.extend(control.visitors.iter().map(|visitor| (visitor.as_fd(), READ)));
        wanted.extend(flows.iter().filter_map(Flow::wants));
        let ready = poll::poll_all(&wanted, if killed { PATIENCE } else { -1 })?;
        if killed && !ready.iter().any(|ready| ready.read || ready.write) {
            return Ok(());
        }
        if ready[1].read {
            control.let_in()?;
        }
        control.serve(&mut |number| killed |= number == libc::SIGKILL);
        let ends = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
        while let Some(next) = client.next()? {
            match next {
                Next::Message(Message::Signal(number)) if !ends.contains(&number) => {}
                Next::Message(Message::Resize(_)) => {}
                _ => return Ok(()),
            }
        }
        flows.iter_mut().for_each(|flow| drop(flow.step(&mut |_| ())));
    }
    Ok(())
}

/// How a client has left.
enum Left {
    /// By its keys.
    Detached,
    /// Its terminal is gone, but it waits for the end.
    HungUp,
    Dead,
}
