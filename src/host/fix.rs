//! What root can do once so that a user has all of ccrun: `ccrun check --fix USER`.
//!
//! Each step looks first, and does nothing where all is well, so that it may be
//! called any number of times. Nothing is installed and nothing is switched off.

mod delegation;
mod namespaces;
mod subids;

use crate::error::{Error, Result};
use crate::sys::process::find_program;
use crate::sys::{accounts, fs};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// For whom it is done.
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// What became of one step.
pub enum Step {
    /// It was done.
    Done(String),
    /// There was nothing to do.
    Already(String),
    /// It is left to the caller, and why.
    Left(String),
}

/// Does what there is to do for `user`, and gives what that was; a step that failed does not keep the others.
pub fn fix(user: &User) -> Vec<Result<Step>> {
    let mut steps = namespaces::switch_on();
    steps.extend(namespaces::give_profile(user));
    if user.uid != 0 {
        steps.push(subids::grant(user));
        steps.push(delegation::delegate(user));
    }
    steps
}

impl User {
    /// The user called `name`, or of this number. Those who are in no file (LDAP) are asked of id(1).
    pub fn find(name: &str) -> Result<User> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut users = accounts::users(&passwd).filter(|user| user.name == name || user.uid == name);
        let found =
            users.find_map(|user| Some(User { name: user.name.to_owned(), uid: user.uid()?, gid: user.gid()? }));
        let asked = || Some(User { name: name.to_owned(), uid: ask(&["-u", name])?, gid: ask(&["-g", name])? });
        // What id(1) takes for an option, or a line of /etc/subuid for more than a name, is none.
        let is_name = !name.is_empty() && !name.starts_with('-') && !name.contains([':', '\n', '\0']);
        found
            .or_else(|| if is_name { asked() } else { None })
            .ok_or_else(|| Error::new(format_args!("unknown user: {name}")))
    }
}

fn ask(args: &[&str]) -> Option<u32> {
    let output =
        Command::new(find_program("id")?).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success())
}

/// Writes a file whole or not at all, for everybody to read; what it was keeps its mode and owner.
fn write_file(path: &Path, text: &str) -> Result<()> {
    let (mode, uid, gid) = fs::stat(path).map_or((0o644, 0, 0), |old| (old.mode & 0o7777, old.uid, old.gid));
    let finish = |file: BorrowedFd<'_>| {
        fs::fchown(file, uid, gid)?;
        fs::fchmod(file, mode)?;
        fs::fsync(file)
    };
    fs::replace_file(path, &fs::name_beside(path), text.as_bytes(), 0o600, &finish)
}

fn make_directory(path: &Path) -> Result<()> {
    fs::mkdir_all(path, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", path.display())))
}

/// Runs a program of the host's; its own words if it fails.
fn run(program: &str, args: &[&str]) -> Result<()> {
    let failed = |what: String| Error::new(format_args!("{program} {}: {what}", args.join(" ")));
    let path = find_program(program).ok_or_else(|| failed("not on PATH".into()))?;
    let output =
        Command::new(path).args(args).stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().next().unwrap_or("failed").to_owned()))
}
