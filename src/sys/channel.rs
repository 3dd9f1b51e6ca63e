//! Typed messages between two of our own processes, and the function that forks such a process.
//!
//! A channel is one end of a pair of connected sockets (unix(7), SOCK_SEQPACKET): each message arrives whole, with its
//! descriptors, and each side sees when the other one closes.

use super::fd::OwnedFd;
use super::poll::Readiness;
use super::process::{self, Child, pid_t};
use super::{poll, socket};
use crate::error::{Error, Result};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The longest message in bytes. Longer errors are cut.
const MOST_BYTES: usize = 16 << 10;

/// A message between two processes.
#[derive(Debug)]
pub enum Message {
    /// The receiver may go on.
    Go,
    /// The sender has failed, and ends.
    Failed(Error),
    /// The sender is done, with this result.
    Done(Vec<u8>),
    /// The descriptors are mounts, with these keys. `is_last`: no more of them follow.
    Mounts {
        keys: Vec<OsString>,
        is_last: bool,
    },
    /// The descriptor is the master of the container's terminal.
    Terminal,
    /// PID 1 has been cloned; the descriptor is its pidfd.
    Started(pid_t),
    /// The descriptor is the listener of the sender's system call filter (seccomp_unotify(2)). The sender has this uid,
    /// gid and these groups.
    Listener {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// The ids of the command's user.
    User {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// The command was stopped by this signal.
    Stopped(u8),
    /// The command was killed by this signal.
    Killed(u8),
    /// The container's command runs.
    Running,
    /// The container has ended with this status.
    Ended(u8),
    /// A signal for the container.
    Signal(i32),
    /// The size of the container's terminal, from [`super::tty::WindowSize::to_words`].
    Resize([u16; 4]),
    /// The sender leaves; the container goes on.
    Detach,
    /// The sender's terminal is gone.
    HangUp,
    /// A device that nobody in the container can open.
    UselessDevice(PathBuf),
    /// Overlay does not work here, for this reason (errno); files are copied.
    NoOverlay(i32),
    /// A request to make a device node in the directory of the descriptor.
    MakeDevice {
        mode: u32,
        major: u32,
        minor: u32,
        name: CString,
    },
    /// This many bytes have been downloaded.
    Downloading(u64),
    Downloaded,
    /// The download starts again.
    Retrying,
}

impl Message {
    /// How many bytes of keys, each with one more behind it, go into one message of [`Message::Mounts`].
    pub const MOST_KEYS: usize = MOST_BYTES - 16;

    fn encode(&self) -> Vec<u8> {
        let words = |tag: u8, words: &[u32], rest: &[u8]| {
            let words = words.iter().flat_map(|word| word.to_ne_bytes());
            std::iter::once(tag).chain(words).chain(rest.iter().copied()).collect()
        };
        match self {
            Message::Go => vec![b'G'],
            Message::Failed(error) => {
                let bytes = error.to_bytes();
                words(b'E', &[], &bytes[..bytes.len().min(MOST_BYTES - 1)])
            }
            Message::Done(bytes) => words(b'D', &[], bytes),
            Message::Mounts { keys, is_last } => {
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
                words(b'M', &[(*is_last).into()], &keys.join(&0))
            }
            Message::Terminal => vec![b'T'],
            Message::Started(pid) => words(b'P', &[pid.cast_unsigned()], &[]),
            Message::Listener { uid, gid, groups } => words(b'L', &[&[*uid, *gid], &groups[..]].concat(), &[]),
            Message::User { uid, gid, groups } => words(b'u', &[&[*uid, *gid], &groups[..]].concat(), &[]),
            Message::Stopped(signal) => vec![b'S', *signal],
            Message::Killed(signal) => vec![b'K', *signal],
            Message::Running => vec![b'R'],
            Message::Ended(status) => vec![b'e', *status],
            Message::Signal(number) => words(b's', &[number.cast_unsigned()], &[]),
            Message::Resize(size) => words(b'w', &size.map(u32::from), &[]),
            Message::HangUp => vec![b'h'],
            Message::Detach => vec![b'd'],
            Message::UselessDevice(path) => words(b'U', &[], path.as_os_str().as_bytes()),
            Message::NoOverlay(errno) => words(b'O', &[errno.cast_unsigned()], &[]),
            Message::MakeDevice { mode, major, minor, name } => words(b'N', &[*mode, *major, *minor], name.to_bytes()),
            Message::Downloading(bytes) => words(b'B', &[], &bytes.to_ne_bytes()),
            Message::Downloaded => vec![b'C'],
            Message::Retrying => vec![b'r'],
        }
    }

    /// Returns `None` for bytes that are not a message.
    fn decode(bytes: &[u8]) -> Option<Message> {
        let (tag, rest) = bytes.split_first()?;
        let word = |at: usize| rest.get(4 * at..4 * at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let after = |words: usize| rest.get(4 * words..);
        Some(match tag {
            b'G' => Message::Go,
            b'E' => Message::Failed(Error::from_bytes(rest)),
            b'D' => Message::Done(rest.to_vec()),
            b'M' => {
                let keys = after(1)?.split(|byte| *byte == 0).filter(|key| !key.is_empty());
                let keys = keys.map(|key| OsString::from_vec(key.to_vec())).collect();
                Message::Mounts { keys, is_last: word(0)? == 1 }
            }
            b'T' => Message::Terminal,
            b'P' => Message::Started(word(0)?.cast_signed()),
            b'L' => Message::Listener { uid: word(0)?, gid: word(1)?, groups: (2..).map_while(word).collect() },
            b'u' => Message::User { uid: word(0)?, gid: word(1)?, groups: (2..).map_while(word).collect() },
            b'S' => Message::Stopped(*rest.first()?),
            b'K' => Message::Killed(*rest.first()?),
            b'R' => Message::Running,
            b'e' => Message::Ended(*rest.first()?),
            b's' => Message::Signal(word(0)?.cast_signed()),
            b'w' => {
                let part = |at: usize| word(at)?.try_into().ok();
                Message::Resize([part(0)?, part(1)?, part(2)?, part(3)?])
            }
            b'h' => Message::HangUp,
            b'd' => Message::Detach,
            b'U' => Message::UselessDevice(OsString::from_vec(rest.to_vec()).into()),
            b'O' => Message::NoOverlay(word(0)?.cast_signed()),
            b'N' => Message::MakeDevice {
                mode: word(0)?,
                major: word(1)?,
                minor: word(2)?,
                name: CString::new(after(3)?).ok()?,
            },
            b'B' => Message::Downloading(u64::from_ne_bytes(rest.try_into().ok()?)),
            b'C' => Message::Downloaded,
            b'r' => Message::Retrying,
            _ => return None,
        })
    }
}

/// The result of [`Channel::next`].
pub enum Next {
    Message(Message),
    /// The other side is closed.
    Gone,
}

/// One end of a channel. The other end sees it close when its last copy is closed.
pub struct Channel(OwnedFd);

impl Channel {
    pub fn pair() -> Result<(Channel, Channel)> {
        socket::socketpair().map(|(one, other)| (Channel(one), Channel(other)))
    }

    pub fn try_clone(&self) -> Result<Channel> {
        self.0.try_clone().map(Channel)
    }

    /// Closes the copy in a fresh clone, where nothing drops it.
    pub fn close_copy(&self) {
        process::close(&self.0);
    }

    pub fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
        socket::send(self.0.as_fd(), &message.encode(), fds)
    }

    /// The same as [`Channel::send`], but fails if the other side has not read enough to leave room for the message.
    pub fn send_now(&self, message: &Message) -> Result<()> {
        let room = poll::poll_all(&[(self.as_fd(), Readiness::WRITE)], 0)?;
        if room[0].write { self.send(message, &[]) } else { Err(Error::new("the other side does not read")) }
    }

    /// Waits for the next message; returns it with its descriptors, or `None` if the other side is closed.
    pub fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut buffer = [0; MOST_BYTES];
        let (size, fds) = match socket::receive(self.0.as_fd(), &mut buffer) {
            // The other side has closed without reading everything. What it has sent before is still to be read.
            Err(error) if error.errno() == Some(libc::ECONNRESET) => socket::receive(self.0.as_fd(), &mut buffer)?,
            received => received?,
        };
        if size == 0 {
            return Ok(None);
        }
        let message = Message::decode(&buffer[..size]).ok_or_else(|| Error::new("a message is garbled"))?;
        Ok(Some((message, fds)))
    }

    /// Returns the next message without its descriptors, or `None` if none has arrived yet.
    pub fn next(&self) -> Result<Option<Next>> {
        if !poll::poll(&[self.as_fd()], 0)?[0] {
            return Ok(None);
        }
        Ok(Some(self.receive()?.map_or(Next::Gone, |(message, _)| Next::Message(message))))
    }

    /// As [`Channel::receive`], but fails if the other side, called `who`, has failed or is closed.
    pub fn receive_from(&self, who: &str) -> Result<(Message, Vec<OwnedFd>)> {
        match self.receive()? {
            Some((Message::Failed(error), _)) => Err(error),
            Some(other) => Ok(other),
            None => Err(Error::new(format_args!("{who} ended"))),
        }
    }

    /// Sends the error as [`Message::Failed`]; returns the exit status.
    pub fn fail(&self, error: Error) -> i32 {
        let _ = self.send(&Message::Failed(error), &[]);
        125
    }
}

impl From<OwnedFd> for Channel {
    fn from(end: OwnedFd) -> Channel {
        Channel(end)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Forks a process with new namespaces (`flags`: `CLONE_NEW*`). It runs `child` with its end of a channel, and exits with
/// the result. See [`process::clone3`].
pub fn fork(
    flags: i32,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(Channel) -> i32,
) -> Result<(Child, Channel)> {
    let (ours, theirs) = Channel::pair()?;
    let child = process::clone3(flags, cgroup, || {
        ours.close_copy();
        child(theirs)
    })?;
    Ok((child, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (one, other) = Channel::pair().unwrap();
        let name = || CString::new("null").unwrap();
        let all = [
            Message::Go,
            Message::Done(vec![0, 1]),
            Message::Mounts { keys: vec!["/a".into(), "layers".into()], is_last: true },
            Message::Mounts { keys: Vec::new(), is_last: false },
            Message::Terminal,
            Message::Started(i32::MAX),
            Message::Listener { uid: 1, gid: u32::MAX, groups: vec![7, 8] },
            Message::User { uid: 0, gid: 5, groups: Vec::new() },
            Message::Stopped(19),
            Message::Killed(64),
            Message::Running,
            Message::Ended(255),
            Message::Signal(15),
            Message::Resize([24, 80, 0, 65535]),
            Message::HangUp,
            Message::Detach,
            Message::UselessDevice("/dev/x".into()),
            Message::NoOverlay(libc::EINVAL),
            Message::MakeDevice { mode: 0o20666, major: 1, minor: 3, name: name() },
            Message::Downloading(u64::MAX),
            Message::Downloaded,
            Message::Retrying,
        ];
        for message in all {
            one.send(&message, &[one.as_fd()]).unwrap();
            let (got, fds) = other.receive().unwrap().unwrap();
            assert_eq!((format!("{got:?}"), fds.len()), (format!("{message:?}"), 1));
        }
        assert_eq!(one.fail(Error::new("x".repeat(1 << 20)).hint("y")), 125);
        let error = other.receive_from("nobody").err().unwrap().to_string();
        assert!(error.starts_with("xxx") || error.ends_with('y'), "{}", error.len());
        for garbled in [&b"?"[..], b"P", b"B1", b"N123456789012\0"] {
            socket::send(one.as_fd(), garbled, &[]).unwrap();
            assert!(other.receive().is_err(), "{garbled:?}");
        }
        // The last message arrives, even if the sender has not read all of ours.
        one.send(&Message::Go, &[]).unwrap();
        other.send(&Message::Downloaded, &[]).unwrap();
        drop(one);
        assert!(matches!(other.receive().unwrap(), Some((Message::Go, _))));
        assert!(other.receive().unwrap().is_none());
        assert_eq!(other.receive_from("the helper").err().unwrap().to_string(), "the helper ended");
    }

    #[test]
    fn a_helper_sends_messages_and_its_end_is_seen() {
        let (child, channel) = fork(0, None, |channel| match channel.receive_from("the parent") {
            Ok((Message::Go, _)) => i32::from(channel.send(&Message::Done(b"x".to_vec()), &[]).is_err()),
            _ => 9,
        })
        .unwrap();
        channel.send(&Message::Go, &[]).unwrap();
        assert!(matches!(channel.receive().unwrap(), Some((Message::Done(bytes), _)) if bytes == b"x"));
        assert!(channel.receive().unwrap().is_none());
        assert_eq!(child.wait().unwrap().code(), 0);
    }
}
