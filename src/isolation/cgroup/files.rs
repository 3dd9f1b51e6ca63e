//! Reading and writing the files of a cgroup.

use crate::error::Result;
use crate::sys::fs;
use std::fmt::Display;
use std::path::Path;

pub fn read(path: &Path) -> Result<String> {
    fs::read_record(path)
}

/// Writes a value. The kernel makes these files: a missing one means that it does not have what is asked for.
pub fn write(dir: &Path, file: &str, value: impl Display) -> Result<()> {
    fs::write_text(dir.join(file), &value.to_string())
}

pub fn write_if_there(dir: &Path, file: &str, value: impl Display) -> Result<()> {
    absent_is_fine(write(dir, file, value))
}

/// No failure where the kernel has no such file.
pub fn absent_is_fine(written: Result<()>) -> Result<()> {
    match written {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// A limit as v2 writes it: -1 stands for none.
pub fn or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// Makes a cgroup, for which making a directory is all there is to do.
pub fn mkdir(dir: &Path) -> Result<()> {
    fs::ensure_dir(dir, 0o777).map_err(|error| error.renamed(format_args!("mkdir {}", dir.display())))
}
