//! Chooses what the command's stdin, stdout and stderr are connected to, depending on the caller's.

use crate::cli::args::{Parsed, Switch, switch};
use crate::container::spec::Stream;
use crate::container::streams::is_unnamed_pipe;
use crate::error::{Error, Result};
use crate::sys::fs::{self, Stat, standard_stream};
use crate::sys::{cred, tty};

pub const INTERACTIVE: Switch = switch(Some('i'), "interactive", "Pass stdin on, to the terminal too");
pub const TTY: Switch = switch(Some('t'), "tty", "Give the container a terminal");

const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The caller's streams, and the flags about them.
pub struct Streams {
    callers: [Callers; 3],
    /// Whether the container has a terminal, and whether the command gets the caller's stdin.
    pub terminal: bool,
    pub interactive: bool,
    /// Whether -i or -t was given.
    pub explicit: bool,
}

/// The kind of one of the caller's streams.
enum Callers {
    Terminal,
    /// A file, device or pipe, and whether it is an unnamed pipe that belongs to the caller.
    Other(Stat, bool),
}

/// The ids of the processes that may open /dev/stdout inside.
#[derive(Clone, Copy)]
pub struct Ids {
    /// Whether the container has a single id, which is the caller's.
    pub single: bool,
    /// Whether the command starts as the container's root.
    pub root: bool,
}

impl Streams {
    /// Reads -i and -t, and the kinds of the caller's streams. Refuses a directory, through which the container could reach
    /// the host's files (/proc/self/fd).
    pub fn read(parsed: &Parsed) -> Result<Streams> {
        let callers = [look(0)?, look(1)?, look(2)?];
        let is_terminal = |number: usize| matches!(callers[number], Callers::Terminal);
        let explicit = parsed.switch(INTERACTIVE).is_some() || parsed.switch(TTY).is_some();
        if !explicit {
            let both = is_terminal(0) && is_terminal(1);
            let automatic = both && is_foreground(0) && is_foreground(1);
            return Ok(Streams { callers, terminal: automatic, interactive: automatic, explicit });
        }
        let (terminal, interactive) = (parsed.is_on(TTY), parsed.is_on(INTERACTIVE));
        if terminal && interactive && !is_terminal(0) {
            return Err(Error::new("cannot attach stdin to a TTY-enabled container because stdin is not a terminal")
                .hint("leave out -t, or -i")
                .with_status(1));
        }
        Ok(Streams { callers, terminal, interactive, explicit })
    }

    /// The streams for a container without a terminal.
    pub fn without_terminal() -> Result<Streams> {
        Ok(Streams { callers: [look(0)?, look(1)?, look(2)?], terminal: false, interactive: false, explicit: false })
    }

    /// Whether the user asked to send keys from the caller's terminal.
    pub fn asks_for_keys(&self) -> bool {
        self.explicit && self.interactive && matches!(self.callers[0], Callers::Terminal)
    }

    /// Whether stdin, stdout and stderr are the container's terminal.
    fn terminals(&self) -> [bool; 3] {
        // Without -t, stderr may be the user's file.
        let stderr = self.explicit || matches!(self.callers[2], Callers::Terminal) && is_same_terminal(1, 2);
        [self.terminal, self.terminal, self.terminal && stderr]
    }

    /// The command's streams. `keeps_stdin`: a stdin that is not a terminal is passed on even without -i.
    pub fn of_command(&self, keeps_stdin: bool, ids: Ids) -> [Stream; 3] {
        let terminals = self.terminals();
        std::array::from_fn(|number| match &self.callers[number] {
            _ if terminals[number] => Stream::Terminal,
            Callers::Terminal if number == 0 && !self.interactive => Stream::Null,
            Callers::Terminal => Stream::Pipe,
            Callers::Other(..) if number == 0 && !self.interactive && !keeps_stdin => Stream::Null,
            // Copying stdin would read more than the command does, and break a loop over lines.
            Callers::Other(..) if number == 0 => Stream::Inherit,
            Callers::Other(stat, is_own_pipe) if *is_own_pipe || can_reopen(stat, ids) => Stream::Inherit,
            Callers::Other(..) => Stream::Pipe,
        })
    }
}

fn look(number: usize) -> Result<Callers> {
    let fd = standard_stream(number);
    let stat = fs::fstat(fd)?;
    let refused = |what: &str| {
        Err(Error::new(format_args!("{} is {what}, which a container cannot be given", NAMES[number]))
            .hint("redirect it from or to a file, a pipe or /dev/null"))
    };
    if fs::flags(fd)? & libc::O_PATH != 0 {
        return refused("a descriptor opened with O_PATH");
    }
    match stat.kind() {
        libc::S_IFCHR if tty::isatty(fd) => Ok(Callers::Terminal),
        libc::S_IFIFO => {
            let is_own_pipe = stat.uid == cred::geteuid() && is_unnamed_pipe(fd)?;
            Ok(Callers::Other(stat, is_own_pipe))
        }
        libc::S_IFCHR | libc::S_IFREG | libc::S_IFSOCK => Ok(Callers::Other(stat, false)),
        libc::S_IFDIR => refused("a directory"),
        libc::S_IFBLK => refused("a block device"),
        _ => refused("neither a file nor a pipe, a socket or a device"),
    }
}

/// Whether any user inside can open the stream again by its name in /proc, as /dev/stdout does. If not, the command gets a
/// pipe: the owner and mode of a file are never changed for this.
fn can_reopen(stat: &Stat, ids: Ids) -> bool {
    // Nobody can open a socket.
    if stat.kind() == libc::S_IFSOCK || stat.mode & 0o002 != 0 {
        return true;
    }
    let euid = cred::geteuid();
    euid != 0 && stat.uid == euid && stat.mode & 0o200 != 0 && (ids.single || ids.root)
}

/// Whether the stream is a terminal, and this process is its foreground job.
fn is_foreground(number: usize) -> bool {
    tty::is_foreground(standard_stream(number)) == Some(true)
}

fn is_same_terminal(a: usize, b: usize) -> bool {
    let number = |stream| fs::fstat(standard_stream(stream)).map(|stat| stat.rdev).ok();
    // /dev/tty is another name of the controlling terminal.
    number(a) == number(b) || is_foreground(a) && is_foreground(b)
}
