//! The ways into the kernel: each architecture has its own numbers for system
//! calls, and a 64-bit kernel takes those of its 32-bit ancestors too. A filter
//! that doesn't look which one is used can be walked around: mount is 165 on
//! x86_64, and 21 through `int 0x80`.

use super::syscalls::{self, Row};

/// A set of system call numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Abi {
    /// As in profiles.
    pub name: &'static str,
    /// AUDIT_ARCH_*, as the kernel tells it to a filter.
    pub audit: u32,
    /// What is set in each number.
    pub bit: u32,
    /// Its column in the table of system calls.
    column: usize,
}

/// x32 counts as x86_64 with this bit in the number: 64-bit registers, 32-bit pointers.
pub const X32_BIT: u32 = 0x4000_0000;
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;

/// In the order of their numbers from 1 on (linux/net.h).
const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// linux/ipc.h.
const IPC: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

#[cfg(target_arch = "x86_64")]
pub const ABIS: &[Abi] = &[
    Abi { name: "SCMP_ARCH_X86_64", audit: AUDIT_X86_64, bit: 0, column: 0 },
    Abi { name: "SCMP_ARCH_X86", audit: AUDIT_I386, bit: 0, column: 1 },
    Abi { name: "SCMP_ARCH_X32", audit: AUDIT_X86_64, bit: X32_BIT, column: 2 },
];
#[cfg(target_arch = "aarch64")]
pub const ABIS: &[Abi] = &[
    Abi { name: "SCMP_ARCH_AARCH64", audit: 0xc000_00b7, bit: 0, column: 0 },
    Abi { name: "SCMP_ARCH_ARM", audit: 0x4000_0028, bit: 0, column: 1 },
];

impl Abi {
    /// Whether an architecture's numbers may carry a bit of another ABI.
    pub fn has_bits(audit: u32) -> bool {
        audit == AUDIT_X86_64
    }

    /// The number of a system call, if this ABI has it; without the ABI's bit.
    pub fn number(&self, name: &str) -> Option<u32> {
        let at = syscalls::TABLE.binary_search_by(|row| row.name().cmp(name)).ok()?;
        self.of_row(&syscalls::TABLE[at])
    }

    /// Whether arguments have 32 bits. Those of x32 have 64, but its programs know of 32.
    pub fn is_narrow(&self) -> bool {
        *self != ABIS[0]
    }

    /// i386 had one system call for all of networking, and one for all of System V IPC: which of them is
    /// meant stands in the first argument (ipc takes a version in the upper half of it). Returns the number of the
    /// system call and that argument.
    pub fn multiplexed(&self, name: &str) -> Option<(u32, u32)> {
        if self.audit != AUDIT_I386 {
            return None;
        }
        let of = |names: &[&str]| names.iter().position(|known| *known == name).map(|at| at as u32 + 1);
        let call = match of(&SOCKETCALL) {
            Some(call) => ("socketcall", call),
            None => ("ipc", IPC.iter().find(|(known, _)| *known == name)?.1),
        };
        Some((self.number(call.0)?, call.1))
    }

    /// The number in a row of the table.
    pub fn of_row(&self, row: &Row) -> Option<u32> {
        row.number(self.column)
    }
}
