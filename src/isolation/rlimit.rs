//! Resource limits: what one process may use at most (getrlimit(2)).
//!
//! They are older than cgroups and count by process or by user, not by container.
//! A container has the caller's, but its programs leave no core files unless asked to.
//! The *soft* limit is what counts, and a program may raise it up to the *hard* one.
//! Only root of the host can raise that, and nobody in a user namespace is: so the
//! supervisor raises what has to be, before the container is made.

use crate::error::{Error, Result};
use crate::sys::resource::{self, Rlimit};

/// Docker's names and the kernel's numbers (docker/go-units, ulimit.go). It has no `as`: nothing would start.
pub const NAMES: [(&str, u32); 15] = [
    ("core", 4),
    ("cpu", 0),
    ("data", 2),
    ("fsize", 1),
    ("locks", 10),
    ("memlock", 8),
    ("msgqueue", 12),
    ("nice", 13),
    ("nofile", 7),
    ("nproc", 6),
    ("rss", 5),
    ("rtprio", 14),
    ("rttime", 15),
    ("sigpending", 11),
    ("stack", 3),
];

/// The lines of /proc/PID/limits (proc_pid_limits(5)), which names its limits in words.
const WORDS: [(&str, &str); 15] = [
    ("core", "Max core file size"),
    ("cpu", "Max cpu time"),
    ("data", "Max data size"),
    ("fsize", "Max file size"),
    ("locks", "Max file locks"),
    ("memlock", "Max locked memory"),
    ("msgqueue", "Max msgqueue size"),
    ("nice", "Max nice priority"),
    ("nofile", "Max open files"),
    ("nproc", "Max processes"),
    ("rss", "Max resident set"),
    ("rtprio", "Max realtime priority"),
    ("rttime", "Max realtime timeout"),
    ("sigpending", "Max pending signals"),
    ("stack", "Max stack size"),
];

/// A limit by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub name: &'static str,
    pub limit: Rlimit,
}

/// The name of the limit on core files.
pub const CORE: &str = "core";

impl Ulimit {
    /// The calling process's own limit of one of [`NAMES`].
    pub fn of_caller(name: &'static str) -> Result<Ulimit> {
        let number = NAMES.iter().find(|(known, _)| *known == name).map_or(u32::MAX, |(_, number)| *number);
        Ok(Ulimit { name, limit: resource::getrlimit(number)? })
    }

    fn number(&self) -> u32 {
        NAMES.iter().find(|(name, _)| *name == self.name).map_or(u32::MAX, |(_, number)| *number)
    }

    fn set(&self, limit: Rlimit) -> Result<()> {
        resource::setrlimit(self.number(), limit).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: Error) -> Error {
        let (Some(libc::EPERM), Ok(now)) = (error.errno(), resource::getrlimit(self.number())) else { return error };
        let shown = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
        let (name, most) = (self.name, shown(now.hard));
        Error::new(format_args!(
            "--ulimit {name}: a hard limit of {} is above this user's of {most}",
            shown(self.limit.hard)
        ))
        .hint(format_args!("ask for at most {most}, or raise it on the host in /etc/security/limits.conf"))
    }
}

/// The supervisor's part: makes room for limits above the caller's own.
pub fn raise(wanted: &[Ulimit]) -> Result<()> {
    for ulimit in wanted {
        let now = resource::getrlimit(ulimit.number())?;
        if ulimit.limit.hard > now.hard {
            ulimit.set(Rlimit { hard: ulimit.limit.hard, ..now })?;
        }
    }
    Ok(())
}

/// The command's part, the last before it starts: a limit that is too low for us may be all right for it.
pub fn apply(wanted: &[Ulimit]) -> Result<()> {
    const CORE: u32 = 4;
    let core = resource::getrlimit(CORE)?;
    if core.soft > 0 {
        resource::setrlimit(CORE, Rlimit { soft: 0, ..core })?;
    }
    wanted.iter().try_for_each(|ulimit| ulimit.set(ulimit.limit))
}

/// The limits that a /proc/PID/limits tells of.
pub fn parse(text: &str) -> Vec<Ulimit> {
    let value = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let one = |(name, words): &(&'static str, &str)| {
        let mut rest = text.lines().find_map(|line| line.strip_prefix(words))?.split_whitespace();
        let limit = Rlimit { soft: value(rest.next()?)?, hard: value(rest.next()?)? };
        Some(Ulimit { name, limit })
    };
    WORDS.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_table_is_read() {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        let all = parse(&text);
        assert_eq!(all.iter().map(|ulimit| ulimit.name).collect::<Vec<_>>(), NAMES.map(|(name, _)| name));
        for ulimit in all {
            assert_eq!(resource::getrlimit(ulimit.number()).unwrap(), ulimit.limit, "{}", ulimit.name);
        }
    }
}
