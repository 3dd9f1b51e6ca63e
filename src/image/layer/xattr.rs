//! Extended attributes: which an image may have, and overlay's own.

use crate::error::Result;
use crate::sys::fs;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// The xattr that makes overlay hide what lower layers have in a directory.
pub const OPAQUE: &CStr = c"user.overlay.opaque";

/// Hides what lower layers have in this directory.
pub fn make_opaque(dir: BorrowedFd<'_>) -> Result<()> {
    fs::fsetxattr(dir, OPAQUE, b"y").map_err(|error| match error.errno() {
        Some(libc::EOPNOTSUPP) => error.hint("the store's file system keeps no user xattrs; move it with --root"),
        _ => error,
    })
}

pub const CAPABILITY: &[u8] = b"security.capability";

/// Whether an image may have this extended attribute.
pub fn is_allowed(xattr: &[u8]) -> bool {
    xattr == CAPABILITY || is_acl(xattr) || (xattr.starts_with(b"user.") && !xattr.starts_with(b"user.overlay."))
}

/// Whether it is an access control list (acl(5)).
pub fn is_acl(xattr: &[u8]) -> bool {
    matches!(xattr, b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// File capabilities for the user namespace that we are in. Version 3 names the root of some other one
/// (the builder's); version 2 lets the kernel put in ours.
pub fn capability(value: &[u8]) -> Vec<u8> {
    match *value {
        [flags, a, b, 3, ref rest @ ..] if rest.len() == 20 => [&[flags, a, b, 2], &rest[..16]].concat(),
        _ => value.to_vec(),
    }
}
