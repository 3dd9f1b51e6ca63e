//! Capabilities: root's power in parts (capabilities(7)).
//!
//! Inside its user namespace container root could have them all, but each is one
//! more door into the kernel. It gets the set that Docker gives. The *bounding*
//! set is what matters: no program started later can have more, whatever file
//! capabilities or set-user-id bits it carries.

use crate::error::Result;
use crate::sys::cred;

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

const KILL: u64 = 1 << 5;

/// What lets its holder mount, make namespaces and much more.
pub const SYS_ADMIN: u32 = 21;

/// A number above every capability that a kernel has today; asking for more answers EINVAL.
const END: u32 = 64;

/// Some capabilities, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// What a container gets if nobody says otherwise.
    pub fn docker() -> Set {
        Set(DEFAULT.iter().fold(0, |set, capability| set | 1 << capability))
    }

    pub fn has(self, capability: u32) -> bool {
        self.0 & (1 << capability) != 0
    }
}

/// Takes all but `keep` out of the bounding set. It needs CAP_SETPCAP, so it
/// comes before the change of user, and before [`keep`].
pub fn bound(keep: Set) -> Result<()> {
    for capability in (0..END).filter(|capability| !keep.has(*capability)) {
        match cred::drop_bounding(capability) {
            Err(error) if error.errno() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// What the command runs with: `set` as uid 0, nothing as anybody else.
pub fn keep(set: Set, uid: u32) -> Result<()> {
    cred::capset(if uid == 0 { set.0 } else { 0 })
}

/// What is left to PID 1 once the container stands: passing signals on to any user's process.
pub fn keep_kill() -> Result<()> {
    cred::capset(KILL)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_set_is_dockers() {
        assert_eq!(super::Set::docker().0, 0xa804_25fb);
    }
}
