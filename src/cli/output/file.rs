//! Where a command writes a file of bytes: to stdout, or with `-o` to a file that is there when it is whole.

use crate::error::{Error, Result};
use crate::store::path;
use crate::sys::{cstr, fs, process, tty};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Links on one path, as the kernel's own limit.
const LINKS_MAX: u32 = 40;

/// What is written at once.
const BUFFER: usize = 256 << 10;

pub struct Output {
    to: io::BufWriter<File>,
    /// The file that it becomes at the end, when it is not written to directly.
    path: Option<PathBuf>,
    /// The name that it has until then, on a file system that has no files without a name.
    half: Option<PathBuf>,
}

impl Output {
    /// Opens what `-o` says, or else stdout, which must not be a terminal; `verb` is what is refused then.
    pub fn open(path: Option<&OsStr>, verb: &str) -> Result<Output> {
        let Some(path) = path else {
            let stdout = io::stdout();
            if tty::isatty(stdout.as_fd()) {
                return Err(Error::new(format_args!("cowardly refusing to {verb} to a terminal"))
                    .hint("use the -o flag or redirect"));
            }
            let copy = stdout.as_fd().try_clone_to_owned().map_err(|error| Error::io("share stdout", &error))?;
            return Ok(Output::to(File::from(copy), None, None));
        };
        let path = followed(Path::new(path))?;
        let failed = |error: io::Error| Error::io(format_args!("write {}", path.display()), &error);
        if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            // A device, say, or a pipe with a name.
            return Ok(Output::to(File::options().write(true).open(&path).map_err(failed)?, None, None));
        }
        sweep(&path);
        let unnamed = File::options().write(true).custom_flags(libc::O_TMPFILE).open(directory(&path));
        let (file, half) = match unnamed {
            Ok(file) => (file, None),
            Err(_) => {
                let made = fs::create_temporary(&half_name(&path), 0o666);
                let (file, half) = made.map_err(|error| error.renamed(format_args!("write {}", path.display())))?;
                (file.into(), Some(half))
            }
        };
        // Held as long as we live: without it a sweeper knows that the file is nobody's any more. Where a file
        // system has no locks nobody gets one, and nothing is swept.
        let _ = fs::flock(file.as_fd(), libc::LOCK_EX);
        Ok(Output::to(file, Some(path), half))
    }

    fn to(file: File, path: Option<PathBuf>, half: Option<PathBuf>) -> Output {
        Output { to: io::BufWriter::with_capacity(BUFFER, file), path, half }
    }

    /// The file that bytes may go to directly, as long as none have been written here.
    pub fn file(&self) -> &File {
        self.to.get_ref()
    }

    /// All has been written: now the file is there under its name.
    pub fn finish(mut self) -> Result<()> {
        let shown = self.path.as_ref().map_or("stdout".to_owned(), |path| path.display().to_string());
        let failed = |error: io::Error| Error::io(format_args!("write {shown}"), &error);
        self.to.flush().map_err(failed)?;
        let Some(path) = &self.path else { return Ok(()) };
        self.to.get_ref().sync_all().map_err(failed)?;
        if self.half.is_none() {
            let itself = cstr(format!("/proc/self/fd/{}", self.to.get_ref().as_raw_fd()))?;
            let dir = File::open(directory(path)).map_err(failed)?;
            let link =
                |name: &OsStr| fs::linkat(dir.as_fd(), &itself, dir.as_fd(), &cstr(name)?, libc::AT_SYMLINK_FOLLOW);
            match link(name_of(path)) {
                Err(error) if error.errno() == Some(libc::EEXIST) => {}
                done => return done,
            }
            // A file without a name cannot take the place of another, but a new one of ours can.
            for half in fs::temporary_names(&half_name(path)) {
                match link(name_of(&half)) {
                    Err(error) if error.errno() == Some(libc::EEXIST) => continue,
                    done => done?,
                }
                self.half = Some(half);
                break;
            }
        }
        let Some(half) = &self.half else { return Ok(()) };
        std::fs::rename(half, path).map_err(failed)?;
        self.half = None;
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Half a file is worth nothing.
        if let Some(half) = &self.half {
            let _ = std::fs::remove_file(half);
        }
    }
}

/// The file that is written to: where a symbolic link leads, so that the link stays. But where others can write, a
/// link or a pipe may be theirs, and leads where they want.
fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = std::path::absolute(path).map_err(|e| Error::io(format_args!("write {}", path.display()), &e))?;
    for _ in 0..LINKS_MAX {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { return Ok(path) };
        let is_open_to_others = || path::others_can_write(&directory(&path));
        let refused = |what: &str| {
            Error::new(format_args!("write {}: it is {what} in a directory that others can write to", path.display()))
        };
        if !meta.is_symlink() {
            if !meta.is_file() && !meta.is_dir() && !path::is_trusted(&meta) && is_open_to_others() {
                return Err(refused("somebody else's"));
            }
            return Ok(path);
        }
        if is_open_to_others() {
            return Err(refused("a symbolic link").hint("name the file that it leads to"));
        }
        // What /proc/self/fd and /dev/stdout lead to may have no path.
        if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Ok(path);
        }
        let target = std::fs::read_link(&path).map_err(|e| Error::io(format_args!("write {}", path.display()), &e))?;
        path = directory(&path).join(target);
    }
    Err(Error::call(format_args!("write {}", path.display()), libc::ELOOP))
}

/// The directory that a file is in.
fn directory(path: &Path) -> PathBuf {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// A name beside the file that no other process of ours uses.
pub fn half_name(path: &Path) -> PathBuf {
    let mut name = half_prefix(path);
    name.push(process::getpid().to_string());
    directory(path).join(name)
}

fn half_prefix(path: &Path) -> OsString {
    [OsStr::new("."), name_of(path), OsStr::new(".ccrun-")].into_iter().collect()
}

/// Removes what killed writers of the same file have left beside it.
fn sweep(path: &Path) {
    let prefix = half_prefix(path);
    let Ok(entries) = std::fs::read_dir(directory(path)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.as_bytes().strip_prefix(prefix.as_bytes()).unwrap_or_default();
        if number.is_empty() || !number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
            continue;
        }
        let options = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let Ok(file) = File::options().read(true).custom_flags(options).open(entry.path()) else { continue };
        if fs::flock(file.as_fd(), libc::LOCK_EX | libc::LOCK_NB).is_ok() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
