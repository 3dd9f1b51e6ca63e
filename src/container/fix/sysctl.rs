//! The switches of user namespaces, where a host has them off (sysctl.d(5)).

use super::{Step, make_directory, write_file};
use crate::error::{Error, Result};
use std::path::Path;

const FILE: &str = "/etc/sysctl.d/99-ccrun.conf";

/// Their names, the value that forbids, and one that does not.
const SWITCHES: [(&str, &str, &str); 2] =
    [("user.max_user_namespaces", "0", "15000"), ("kernel.unprivileged_userns_clone", "0", "1")];

/// Switches on what is off, now and after the next boot.
pub fn namespaces_on() -> Vec<Result<Step>> {
    let value = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    let off = SWITCHES.iter().filter(|(name, off, _)| value(name).trim() == *off);
    let steps: Vec<Result<Step>> = off.map(|(name, _, on)| switch(name, on)).collect();
    if steps.is_empty() { vec![Ok(Step::Already("no sysctl forbids user namespaces".into()))] } else { steps }
}

fn switch(name: &str, on: &str) -> Result<Step> {
    keep(name, on)?;
    std::fs::write(path(name), on).map_err(|e| Error::io(format!("write {}", path(name)), &e))?;
    Ok(Step::Done(format!("set {name} to {on}, in {FILE} too")))
}

fn path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// The line in the file, once whatever was there of it.
fn keep(name: &str, on: &str) -> Result<()> {
    let old = std::fs::read_to_string(FILE).unwrap_or_default();
    let others = old.lines().filter(|line| line.split('=').next().is_none_or(|key| key.trim() != name));
    let text: String = others.map(|line| format!("{line}\n")).collect();
    make_directory(Path::new("/etc/sysctl.d"))?;
    write_file(Path::new(FILE), &format!("{text}{name} = {on}\n"))
}
