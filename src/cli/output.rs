//! Where an archive goes: to stdout, or to the file of `-o`.

use crate::error::{Error, Result};
use crate::sys::tty;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Calls `make` with the file that it is to fill. A file by name has it when all of it is there, and not before.
pub fn write(name: Option<&OsStr>, make: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let out = std::io::stdout();
        if tty::isatty(out.as_fd()) {
            return Err(Error::new("cowardly refusing to save to a terminal").hint("use the -o flag or redirect"));
        }
        let out = out.as_fd().try_clone_to_owned().map_err(|error| Error::io("dup stdout", &error))?;
        return make(&File::from(out));
    };
    let path = Path::new(name);
    let failed = |path: &Path, error: &std::io::Error| Error::io(format!("write {}", path.display()), error);
    if path.is_dir() {
        return Err(Error::new(format!("invalid output path: {} is a directory", path.display())));
    }
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) {
        return Err(Error::new(format!("invalid output path: directory \"{}\" does not exist", dir.display())));
    }
    // Others keep what they are: /dev/null, a FIFO.
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return make(&File::options().write(true).open(path).map_err(|error| failed(path, &error))?);
    }
    let half = half_name(path);
    let out = File::create(&half).map_err(|error| failed(path, &error))?;
    let made = make(&out).and_then(|()| std::fs::rename(&half, path).map_err(|error| failed(path, &error)));
    if made.is_err() {
        let _ = std::fs::remove_file(&half);
    }
    made
}

/// The file beside `path` that becomes it.
fn half_name(path: &Path) -> PathBuf {
    let mut name = OsStr::new(".").to_owned();
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
