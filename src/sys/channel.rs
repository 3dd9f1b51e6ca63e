//! Typed messages between two of our own processes, and the one place where such a process is forked.
//!
//! A channel is one end of a pair of connected sockets (unix(7), SOCK_SEQPACKET): each message arrives whole, with the
//! descriptors that belong to it, and the end of one side shows at the other.

use super::fd::OwnedFd;
use super::poll::Readiness;
use super::process::{self, Child, pid_t};
use super::{poll, socket};
use crate::error::{Error, Result};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The longest message in bytes; of an error no more is sent.
const MOST_BYTES: usize = 16 << 10;

/// What one process tells the other.
#[derive(Debug)]
pub enum Message {
    /// What the other has waited for is there.
    Go,
    /// Something has failed, and the sender ends.
    Failed(Error),
    /// All is done, with this result.
    Done(Vec<u8>),
    /// Mounts, which the descriptors are, by what each is for; whether they are the last ones.
    Mounts {
        keys: Vec<OsString>,
        is_last: bool,
    },
    /// The descriptor is the master of the container's terminal.
    Terminal,
    /// A process has been made; the descriptor is its pidfd.
    Started(pid_t),
    /// The descriptor is the listener of a system call filter (seccomp_unotify(2)); whoever is behind it has this uid,
    /// this gid and these groups.
    Listener {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// Whom the command runs as, by number.
    User {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// The command was stopped by this signal.
    Stopped(u8),
    /// The command was ended by this signal.
    Killed(u8),
    /// The container's command runs.
    Running,
    /// The container has ended with this status.
    Ended(u8),
    /// A signal for the container.
    Signal(i32),
    /// The size of the container's terminal, as [`super::tty::WindowSize::to_words`] gives it.
    Resize([u16; 4]),
    /// The sender goes, and the container stays.
    Detach,
    /// The sender's terminal is gone.
    HangUp,
    /// A device that nobody in the container can open.
    UselessDevice(PathBuf),
    /// There is no overlay here, for this reason (errno): the files are copied.
    NoOverlay(i32),
    /// A device node is to be made in the directory that the descriptor is.
    MakeDevice {
        mode: u32,
        major: u32,
        minor: u32,
        name: CString,
    },
    /// So many bytes have been downloaded.
    Downloading(u64),
    Downloaded,
    /// The download begins again.
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

    /// `None` for what none of ours has sent.
    fn decode(bytes: &[u8]) -> Option<Message> {
        let (tag, rest) = bytes.split_first()?;
        let word = |at: usize| rest.get(4 * at..4 * at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let behind = |words: usize| rest.get(4 * words..);
        Some(match tag {
            b'G' => Message::Go,
            b'E' => Message::Failed(Error::from_bytes(rest)),
            b'D' => Message::Done(rest.to_vec()),
            b'M' => {
                let keys = behind(1)?.split(|byte| *byte == 0).filter(|key| !key.is_empty());
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
                name: CString::new(behind(3)?).ok()?,
            },
            b'B' => Message::Downloading(u64::from_ne_bytes(rest.try_into().ok()?)),
            b'C' => Message::Downloaded,
            b'r' => Message::Retrying,
            _ => return None,
        })
    }
}

/// What [`Channel::next`] has found.
pub enum Next {
    Message(Message),
    /// The other side is closed.
    Gone,
}

/// One end. The other one sees it close when the last copy is closed.
pub struct Channel(OwnedFd);

impl Channel {
    pub fn pair() -> Result<(Channel, Channel)> {
        socket::socketpair().map(|(one, other)| (Channel(one), Channel(other)))
    }

    pub fn try_clone(&self) -> Result<Channel> {
        self.0.try_clone().map(Channel)
    }

    /// Closes this process's copy in a fresh clone, where nobody will drop it.
    pub fn close_copy(&self) {
        process::close(&self.0);
    }

    pub fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
        socket::send(self.0.as_fd(), &message.encode(), fds)
    }

    /// The same if the other side has room for it now, which one that does not read has not for long.
    pub fn send_now(&self, message: &Message) -> Result<()> {
        let room = poll::poll_all(&[(self.as_fd(), Readiness { read: false, write: true })], 0)?;
        if room[0].write { self.send(message, &[]) } else { Err(Error::new("the other side does not read")) }
    }

    /// The next message with its descriptors; `None` when the other side is gone.
    pub fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut buffer = [0; MOST_BYTES];
        let (size, fds) = match socket::receive(self.0.as_fd(), &mut buffer) {
            // The other side has closed without reading all; what it has sent before that is still here.
            Err(error) if error.errno() == Some(libc::ECONNRESET) => socket::receive(self.0.as_fd(), &mut buffer)?,
            received => received?,
        };
        if size == 0 {
            return Ok(None);
        }
        let message = Message::decode(&buffer[..size]).ok_or_else(|| Error::new("a message is garbled"))?;
        Ok(Some((message, fds)))
    }

    /// The next message if there is one now. It ends where the other side does.
    pub fn next(&self) -> Result<Option<Next>> {
        if !poll::poll(&[self.as_fd()], 0)?[0] {
            return Ok(None);
        }
        Ok(Some(self.receive()?.map_or(Next::Gone, |(message, _)| Next::Message(message))))
    }

    /// The same where the other side has failed or is gone: `who` is named then.
    pub fn receive_from(&self, who: &str) -> Result<(Message, Vec<OwnedFd>)> {
        match self.receive()? {
            Some((Message::Failed(error), _)) => Err(error),
            Some(other) => Ok(other),
            None => Err(Error::new(format_args!("{who} ended"))),
        }
    }

    /// Tells the other side that all is over; returns the status to end with.
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

/// Forks a helper with new namespaces (`flags`: `CLONE_NEW*`): it runs `child` with its end of a channel, and ends with
/// its value. See [`process::clone3`].
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
        // Its last words arrive, also if it was not listening.
        one.send(&Message::Go, &[]).unwrap();
        other.send(&Message::Downloaded, &[]).unwrap();
        drop(one);
        assert!(matches!(other.receive().unwrap(), Some((Message::Go, _))));
        assert!(other.receive().unwrap().is_none());
        assert_eq!(other.receive_from("the helper").err().unwrap().to_string(), "the helper ended");
    }

    #[test]
    fn a_helper_talks_and_its_end_shows() {
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
