//! The process that the user started, where the container has the user's terminal: only a client of the supervisor's.
//!
//! What is typed and written goes through a pair of sockets, as bytes; all else are messages on a channel. So the
//! client can leave, and the container stays; and its death is the end of the terminal, as a hang-up of a modem is.

use super::detach_keys::DetachKeys;
use super::flow::{End, Flow};
use super::front::{Behind, Front};
use super::notice::Notice;
use super::outcome::{self, Outcome};
use crate::error::{Error, Result};
use crate::sys::channel::{Channel, Message, Next};
use crate::sys::fd::OwnedFd;
use crate::sys::poll::{self, Readiness};
use crate::sys::process::Child;
use crate::sys::signal::SignalFd;
use crate::sys::tty::WindowSize;
use std::os::fd::AsFd;

/// Its connections with the supervisor.
pub struct Connection {
    pub channel: Channel,
    /// Leads to the container's terminal.
    pub terminal: OwnedFd,
    /// What the supervisor says to the user.
    pub said: OwnedFd,
}

/// The container as the client sees it.
struct Far {
    channel: Channel,
    is_running: bool,
    /// Whether the command has stopped since the last look.
    is_stopped: bool,
    ended: Option<u8>,
}

impl Behind for Far {
    // With the supervisor gone there is nobody to be told, which the next look finds out.
    fn signal(&self, number: i32) {
        let _ = self.channel.send(&Message::Signal(number), &[]);
    }

    fn resize(&self, size: WindowSize) {
        let _ = self.channel.send(&Message::Resize(size.to_words()), &[]);
    }

    fn hang_up(&mut self) {
        let _ = self.channel.send(&Message::HangUp, &[]);
    }

    fn forget_stops(&mut self) -> Result<()> {
        self.hear()?;
        self.is_stopped = false;
        Ok(())
    }
}

impl Far {
    /// Takes what the supervisor has told by now.
    fn hear(&mut self) -> Result<()> {
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

/// Stands between the user and the container until one of them leaves. All signals must be blocked.
pub fn run(connection: Connection, supervisor: &Child, tell: &mut dyn FnMut(Notice)) -> Result<Outcome> {
    let Connection { channel, terminal, said } = connection;
    let signals = SignalFd::new()?;
    let mut front = Front::new(vec![Flow::new(End::Ours(said), End::Caller(2))], true);
    let mut far = Far { channel, is_running: false, is_stopped: false, ended: None };
    let stood = stand_between(&mut far, terminal, &signals, &mut front);
    if front.is_detached {
        front.leave();
        return Ok(Outcome { code: 0, interrupted: false });
    }
    // First what the container has written, then what the supervisor has said.
    front.finish(&signals, &mut far)?;
    front.hold_others(false);
    front.finish(&signals, &mut far)?;
    let _ = supervisor.wait();
    stood?;
    let code = outcome::code_with(far.ended.unwrap_or_default(), front.lost.take(), tell);
    Ok(Outcome { code, interrupted: false })
}

fn stand_between(far: &mut Far, terminal: OwnedFd, signals: &SignalFd, front: &mut Front) -> Result<()> {
    while !far.is_running {
        wait(far, None, front, -1)?;
    }
    front.hold_others(true);
    front.connect(&terminal, true, far)?;
    front.detach_by(DetachKeys::docker());
    // Its end shows at the other side.
    drop(terminal);
    while far.ended.is_none() && !front.is_detached {
        let timeout = front.timeout(far);
        wait(far, Some(signals), front, timeout)?;
        if std::mem::take(&mut far.is_stopped) {
            front.stop(far)?;
        }
    }
    if front.is_detached {
        front.flush()?;
        far.channel.send(&Message::Detach, &[])?;
    }
    Ok(())
}

/// Waits for something, and does what is to be done. Without `signals`, those that come wait.
fn wait(far: &mut Far, signals: Option<&SignalFd>, front: &mut Front, timeout: i32) -> Result<()> {
    let read = Readiness { read: true, write: false };
    let mut wanted = vec![(far.channel.as_fd(), read)];
    wanted.extend(front.wants());
    wanted.extend(signals.map(|signals| (signals.as_fd(), read)));
    let ready = poll::poll_all(&wanted, timeout)?;
    while let Some(signal) = signals.and_then(SignalFd::next) {
        // The supervisor's end shows on the channel.
        if signal.number != libc::SIGCHLD {
            front.take(signal, far)?;
        }
    }
    front.copy(&ready[1..], far)?;
    far.hear()
}
