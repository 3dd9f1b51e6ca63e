//! The system call filter: which doors into the kernel a container finds at all
//! (seccomp(2)).
//!
//! Namespaces say what a process sees, capabilities what it may do; both are
//! checked somewhere inside a system call, in code that has had holes. A filter
//! answers before any of that code runs. It sees the number and the arguments of
//! the call as plain numbers, never what a pointer leads to, and is passed on to
//! every child; nothing takes it away again.
//!
//! Rules go by name ([`default`], [`json`]), an architecture's table makes numbers
//! of them ([`abi`]), and the compiler a program that the kernel runs ([`compile`]).

pub mod abi;
pub mod compile;
mod default;
#[cfg(test)]
pub mod interpret;
mod json;
mod profile;
mod syscalls;

use crate::error::{Error, Result};
use crate::isolation::capabilities::Set;
use crate::sys::kernel;
use crate::sys::seccomp::{self, Instruction};
use compile::Action;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest profile that is read; Docker's own has 15 KiB.
const MOST_BYTES: u64 = 1 << 20;

/// A filter, ready to be loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    program: Vec<Instruction>,
    flags: u64,
}

impl Filter {
    /// Docker's default profile, for a container that has at most these capabilities.
    pub fn docker(capabilities: Set) -> Result<Filter> {
        let answers = default::Answers::new();
        let program = compile::compile(&answers.rules(capabilities), Action::KillProcess)?;
        Ok(Filter { program, flags: 0 })
    }

    /// The profile in a file of the user's, of which a filter can be made.
    pub fn read(path: &Path, capabilities: Set) -> Result<serde_json::Value> {
        let text = text(path)?;
        let machine = json::Machine { capabilities, kernel: kernel::version() };
        let made = json::parse(&text, &machine).and_then(|profile| profile.compile());
        let profile = made.and_then(|_| serde_json::from_slice(&text).map_err(|error| Error::new(error.to_string())));
        profile.map_err(|error| error.context(format_args!("seccomp profile {}", path.display())))
    }

    /// A profile in the words of the OCI runtime specification, `linux.seccomp`.
    pub fn of_profile(profile: &serde_json::Value, capabilities: Set) -> Result<Filter> {
        let machine = json::Machine { capabilities, kernel: kernel::version() };
        json::parse(profile.to_string().as_bytes(), &machine).and_then(|profile| profile.compile())
    }

    /// From here on it holds for this process and all that it starts. It needs CAP_SYS_ADMIN in this
    /// user namespace, or no_new_privs: nobody may put a set-user-id program behind a filter that lies to it.
    pub fn load(&self) -> Result<()> {
        seccomp::set_mode_filter(&self.program, self.flags).map(drop)
    }
}

fn text(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let failed = |call: &str, error| {
        Error::io(format_args!("{call} {shown}"), &error)
            .context(format_args!("opening seccomp profile ({shown}) failed"))
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| failed("open", error))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(|error| failed("read", error))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Error::new(format_args!("seccomp profile {shown}: more than 1 MiB")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
