//! Root emulation between the command, whose calls are asked about, and who answers.

use super::user::User;
use crate::error::Result;
use crate::isolation::capabilities::{self, Set};
use crate::isolation::emulation::credentials::Credentials;
use crate::isolation::emulation::{self, Emulator};
use crate::sys::channel::{Channel, Message};
use crate::sys::notify::Listener;
use std::os::fd::AsFd;

/// As many supplementary groups as one message carries.
const MOST_GROUPS: usize = 1024;

/// The command's side: from here on its calls are asked about at the other end of `channel`.
pub fn begin(channel: &Channel, user: &User) -> Result<()> {
    let groups = user.groups[..user.groups.len().min(MOST_GROUPS)].to_vec();
    let listener = emulation::listen()?;
    channel.send(&Message::Listener { uid: user.uid, gid: user.gid, groups }, &[listener.as_fd()])
}

/// The other side, for a container whose command has the capabilities `set`. Waits for the command; None if it
/// does without emulation, or could not be started.
pub fn answerer(channel: &Channel, set: Set) -> Result<Option<Emulator>> {
    let Some((Message::Listener { uid, gid, groups }, fds)) = channel.receive()? else { return Ok(None) };
    let Some(listener) = fds.into_iter().next() else { return Ok(None) };
    let emulator = Emulator::new(Listener::new(listener), Credentials::new(uid, gid, &groups, set.bits()))?;
    capabilities::keep_emulation(set)?;
    Ok(Some(emulator))
}
