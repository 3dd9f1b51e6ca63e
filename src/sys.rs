//! Thin wrappers around the kernel: the only unsafe code of ccrun.
//!
//! Most functions are one system call under the kernel's own name. They take and
//! give safe types, and when one fails the error shows the call, its arguments
//! and the errno. Every call of a start that can fail ends in [`returned`].

pub mod accounts;
#[cfg(all(no_backtrace, not(test)))]
mod backtrace;
pub mod channel;
pub mod cred;
pub mod fd;
pub mod fs;
pub mod helper;
pub mod kernel;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod notify;
pub mod poll;
pub mod proc;
pub mod process;
pub mod report;
pub mod resource;
pub mod seccomp;
mod shown;
pub mod signal;
pub mod socket;
pub mod tty;

use crate::error::{Error, Result};
use std::ffi::CString;
use std::fmt;

/// The one way out of a system call: its value, or an [`Error`] that shows the call.
/// `call` is only formatted when it is needed.
fn returned(value: i64, call: fmt::Arguments<'_>) -> Result<i64> {
    answered(value, call).map_err(|errno| Error::call(call.to_string(), errno))
}

/// [`returned`] for a failure that is an answer: no error is made of it but its errno.
fn answered(value: i64, call: fmt::Arguments<'_>) -> std::result::Result<i64, i32> {
    let errno = if value < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
    report::call(call, value, errno);
    if value >= 0 { Ok(value) } else { Err(errno) }
}

/// A path or name as the kernel takes it. The only possible error is a NUL byte inside.
pub fn cstr(bytes: impl AsRef<std::ffi::OsStr>) -> Result<CString> {
    c_string(bytes.as_ref())
}

fn c_string(bytes: &std::ffi::OsStr) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(bytes.as_bytes())
        .map_err(|_| Error::new(format_args!("{}: a NUL byte inside a name", bytes.display())))
}
