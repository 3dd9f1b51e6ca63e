//! Root emulation between the command, whose calls are asked about, and who answers.

use super::user::User;
use crate::error::Result;
use crate::isolation::capabilities::{self, Set};
use crate::isolation::emulation::credentials::Credentials;
use crate::isolation::emulation::{self, Emulator};
use crate::sys::fd::OwnedFd;
use crate::sys::notify::Listener;
use crate::sys::socket;
use std::os::fd::AsFd;

/// As many supplementary groups as one message carries.
const MOST_GROUPS: usize = 1024;

/// The command's side: from here on its calls are asked about at the other end of `channel`.
pub fn begin(channel: &OwnedFd, user: &User) -> Result<()> {
    let ids = [&[user.uid, user.gid], &user.groups[..user.groups.len().min(MOST_GROUPS)]].concat();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_ne_bytes()).collect();
    let listener = emulation::listen()?;
    socket::send(channel.as_fd(), &bytes, &[listener.as_fd()])
}

/// The other side, for a container whose command has the capabilities `set`. Waits for the command; None if it
/// does without emulation, or could not be started.
pub fn answerer(channel: &OwnedFd, set: Set) -> Result<Option<Emulator>> {
    let mut bytes = [0; 4 * (MOST_GROUPS + 2)];
    let (size, fds) = socket::receive(channel.as_fd(), &mut bytes)?;
    let ids: Vec<u32> = bytes[..size].chunks_exact(4).flat_map(<[u8; 4]>::try_from).map(u32::from_ne_bytes).collect();
    let (Some(listener), [uid, gid, groups @ ..]) = (fds.into_iter().next(), &ids[..]) else { return Ok(None) };
    let emulator = Emulator::new(Listener::new(listener), Credentials::new(*uid, *gid, groups, set.bits()))?;
    capabilities::keep_emulation(set)?;
    Ok(Some(emulator))
}
