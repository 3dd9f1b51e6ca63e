//! Keyrings: the kernel's purses for secrets (keyrings(7)).
//!
//! No namespace divides them by process: a program inherits the *session keyring*
//! of whoever started it, and with it the caller's Kerberos tickets and disk keys.
//! So the command gets an empty one of its own.

use crate::error::Result;
use crate::sys::cred;

/// Leaves the caller's session keyring for a new one. It belongs to, and counts for, the user we are now.
pub fn join_own() -> Result<()> {
    match cred::join_session_keyring() {
        // A kernel without keys has nothing to leave.
        Err(error) if error.errno() == Some(libc::ENOSYS) => Ok(()),
        Err(error) if error.errno() == Some(libc::EDQUOT) => {
            Err(error.hint("this user has too many keys: as root, sysctl kernel.keys.maxkeys=2000"))
        }
        other => other,
    }
}
