//! Capabilities: root's power in parts (capabilities(7)).
//!
//! Inside its user namespace container root could have them all, but each is one
//! more door into the kernel. It gets the set that Docker gives. The *bounding*
//! set is what matters: no program started later can have more, whatever file
//! capabilities or set-user-id bits it carries. The *inheritable* and *ambient*
//! sets, by which a program would keep a power that its user does not have, are
//! always empty (CVE-2022-24769).

use crate::error::Result;
use crate::sys::cred;

/// Every name of capabilities(7), at the place of its number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's fourteen (moby, daemon/pkg/oci/caps/defaults.go).
const DEFAULT: [u32; 14] = [
    0,  // CHOWN
    1,  // DAC_OVERRIDE
    3,  // FOWNER
    4,  // FSETID
    5,  // KILL
    6,  // SETGID
    7,  // SETUID
    8,  // SETPCAP
    10, // NET_BIND_SERVICE
    13, // NET_RAW
    18, // SYS_CHROOT
    27, // MKNOD
    29, // AUDIT_WRITE
    31, // SETFCAP
];

const DAC_OVERRIDE: u64 = 1 << 1;
const FOWNER: u64 = 1 << 3;
const FSETID: u64 = 1 << 4;
const KILL: u64 = 1 << 5;
const SYS_CHROOT: u64 = 1 << 18;
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;

/// A number above every capability that a kernel has today; asking for more answers EINVAL.
const END: u32 = 64;

/// Some capabilities, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// All that this kernel has; the kernel leaves out the bits that mean nothing to it.
    pub const ALL: Set = Set(u64::MAX);

    /// What a container gets if nobody says otherwise.
    pub fn docker() -> Set {
        Set(DEFAULT.iter().fold(0, |set, capability| set | 1 << capability))
    }

    /// All that have a name here.
    pub fn known() -> Set {
        Set((1 << NAMES.len()) - 1)
    }

    /// The one called so, without the `CAP_`.
    pub fn named(name: &str) -> Option<Set> {
        NAMES.iter().position(|known| *known == name).map(|number| Set(1 << number))
    }

    /// The set whose bits stand in /proc/PID/status as hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Set> {
        u64::from_str_radix(digits, 16).ok().map(Set)
    }

    /// By number, a bit each.
    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn with(self, others: Set) -> Set {
        Set(self.0 | others.0)
    }

    /// Whether it is there, by the name that `CAP_` would stand before.
    pub fn has(self, name: &str) -> bool {
        Set::named(name).is_some_and(|one| self.0 & one.0 != 0)
    }

    pub fn without(self, others: Set) -> Set {
        Set(self.0 & !others.0)
    }

    /// Their numbers, in order.
    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..END).filter(move |number| self.0 & (1 << number) != 0)
    }

    /// Their names, as Docker shows them; a number where this program knows none.
    pub fn names(self) -> Vec<String> {
        let name = |number: u32| match NAMES.get(number as usize) {
            Some(name) => format!("CAP_{name}"),
            None => format!("CAP_{number}"),
        };
        self.numbers().map(name).collect()
    }

    /// Whether this kernel has all of them.
    pub fn is_known_here(self) -> bool {
        self.numbers().all(cred::has_capability)
    }
}

/// Takes all but `keep` out of the bounding set. It needs CAP_SETPCAP, so it
/// comes before the change of user, and before [`keep`].
pub fn bound(keep: Set) -> Result<()> {
    for capability in Set::ALL.without(keep).numbers() {
        match cred::drop_bounding(capability) {
            Err(error) if error.errno() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// What the command runs with: `set` as uid 0, nothing as anybody else. The inheritable set becomes
/// empty, and the kernel takes out of the ambient one what the inheritable one does not have.
pub fn keep(set: Set, uid: u32) -> Result<()> {
    cred::capset(if uid == 0 { set.0 } else { 0 })
}

/// What it takes to load a system call filter, for one who no longer is root ([`cred::keep_capabilities`]).
pub fn keep_admin() -> Result<()> {
    cred::capset(SYS_ADMIN)
}

/// What is left to PID 1 once the container stands: passing signals on to any user's process.
pub fn keep_kill() -> Result<()> {
    cred::capset(KILL)
}

/// What is left to the one who emulates root for others: looking into their memory, following them into their root
/// directories, and the powers over files that the command has itself (`set`).
pub fn keep_emulation(set: Set) -> Result<()> {
    cred::capset(KILL | SYS_CHROOT | SYS_PTRACE | (DAC_OVERRIDE | FOWNER | FSETID) & set.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_dockers() {
        assert_eq!(Set::docker().0, 0xa804_25fb);
    }

    #[test]
    fn names_and_numbers_are_the_kernels() {
        let number = |name| Set::named(name).map(|set| set.0.trailing_zeros());
        for (name, at) in [("CHOWN", 0), ("SYS_CHROOT", 18), ("SYS_ADMIN", 21), ("SETFCAP", 31), ("SYSLOG", 34)] {
            assert_eq!(number(name), Some(at), "{name}");
        }
        assert_eq!((number("CHECKPOINT_RESTORE"), number("BOGUS"), number("")), (Some(40), None, None));
        assert_eq!(Set(1 << 21 | 1 << 60).names(), ["CAP_SYS_ADMIN", "CAP_60"]);
        assert_eq!(Set::from_hex("00000000a80425fb"), Some(Set::docker()));
        let missing = Set::from_hex("8000000000000000").map(Set::is_known_here);
        assert_eq!((Set::docker().is_known_here(), missing), (true, Some(false)));
    }
}
