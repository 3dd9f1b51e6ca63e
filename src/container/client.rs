//! The process that the user started, where the container has the user's terminal: a client of the supervisor.
//!
//! Terminal input and output are bytes on a pair of sockets; everything else is a message on a channel. So the client
//! can detach, and the container stays. When the client dies, the container's terminal hangs up.

use super::detach_keys::DetachKeys;
use super::flow::{End, Flow};
use super::frontend::{Backend, Frontend};
use super::notice::{self, Notice, Outcome};
use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::Child;
use crate::sys::signal::SignalFd;
use crate::sys::tty::WindowSize;
use std::os::fd::AsFd;

/// The client's connections with the supervisor.
pub struct Connection {
    pub channel: Channel,
    /// Leads to the container's terminal.
    pub terminal: OwnedFd,
    /// The supervisor's messages for the user.
    pub messages: OwnedFd,
}

/// The container as the client sees it: at the other end of the supervisor's channel.
struct RemoteContainer {
    channel: Channel,
    is_running: bool,
    /// Whether the command has stopped since the last look.
    is_stopped: bool,
    ended: Option<u8>,
}

impl Backend for RemoteContainer {
    // If the supervisor is gone, the next read of the channel notices it.
    fn signal(&self, number: i32) {
        let _ = self.channel.send(&Message::Signal(number), &[]);
    }

    fn resize(&self, size: WindowSize) {
        let _ = self.channel.send(&Message::Resize(size.to_words()), &[]);
    }

    fn hang_up(&mut self) {
        let _ = self.channel.send(&Message::HangUp, &[]);
    }

    fn discard_stops(&mut self) -> Result<()> {
        self.read_messages()?;
        self.is_stopped = false;
        Ok(())
    }
}

impl RemoteContainer {
    /// Reads what the supervisor has sent so far.
    fn read_messages(&mut self) -> Result<()> {
        while self.ended.is_none()
            && let Some(next) = self.channel.next()?
        {
            match next {
                Next::Message(Message::Running) => self.is_running = true,
                Next::Message(Message::Stopped(_)) => self.is_stopped = true,
                Next::Message(Message::Ended(code)) => self.ended = Some(code),
                Next::Message(Message::Failed(error)) => return Err(error),
                Next::Message(_) => {}
                Next::Gone => return Err(Error::new("the container's supervisor was killed").with_status(137)),
            }
        }
        Ok(())
    }
}

/// Connects the user and the container until one of them leaves. All signals must be blocked.
pub fn run(connection: Connection, supervisor: &Child, notify: &mut dyn FnMut(Notice)) -> Result<Outcome> {
    let Connection { channel, terminal, messages } = connection;
    let signals = SignalFd::new()?;
    let mut frontend = Frontend::new(vec![Flow::new(End::Ours(messages), End::Caller(2))], true);
    let mut container = RemoteContainer { channel, is_running: false, is_stopped: false, ended: None };
    let relayed = relay(&mut container, terminal, &signals, &mut frontend);
    if frontend.is_detached {
        frontend.restore_terminal();
        return Ok(Outcome { code: 0, interrupted: false });
    }
    // First the container's output, then the supervisor's messages.
    frontend.finish(&signals, &mut container)?;
    frontend.pause_others(false);
    frontend.finish(&signals, &mut container)?;
    let _ = supervisor.wait();
    relayed?;
    let code = notice::code_with(container.ended.unwrap_or_default(), frontend.lost.take(), notify);
    Ok(Outcome { code, interrupted: false })
}

fn relay(
    container: &mut RemoteContainer,
    terminal: OwnedFd,
    signals: &SignalFd,
    frontend: &mut Frontend,
) -> Result<()> {
    while !container.is_running {
        wait(container, None, frontend, -1)?;
    }
    frontend.pause_others(true);
    frontend.connect(&terminal, true, container)?;
    frontend.detach_by(DetachKeys::docker());
    // The supervisor sees this close.
    drop(terminal);
    while container.ended.is_none() && !frontend.is_detached {
        let timeout = frontend.timeout(container);
        wait(container, Some(signals), frontend, timeout)?;
        if std::mem::take(&mut container.is_stopped) {
            frontend.stop(container)?;
        }
    }
    if frontend.is_detached {
        frontend.flush()?;
        container.channel.send(&Message::Detach, &[])?;
    }
    Ok(())
}

/// Waits for an event and handles it. Without `signals`, signals stay pending.
fn wait(
    container: &mut RemoteContainer,
    signals: Option<&SignalFd>,
    frontend: &mut Frontend,
    timeout: i32,
) -> Result<()> {
    let mut wanted = vec![(container.channel.as_fd(), Readiness::READ)];
    wanted.extend(frontend.wants());
    wanted.extend(signals.map(|signals| (signals.as_fd(), Readiness::READ)));
    let ready = poll::poll_all(&wanted, timeout)?;
    while let Some(signal) = signals.and_then(SignalFd::next) {
        // That the supervisor has ended shows on the channel.
        if signal.number != libc::SIGCHLD {
            frontend.handle_signal(signal, container)?;
        }
    }
    frontend.copy(&ready[1..], container)?;
    container.read_messages()
}
