//! Files that lie under a name of their own until they are whole and are renamed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `name`, then `name-1`, `name-2`, …: names to try until one is free.
pub fn temporary_names(name: &Path) -> impl Iterator<Item = PathBuf> {
    const TRIES: u32 = 100;
    let numbered = |at| [name.as_os_str(), format!("-{at}").as_ref()].into_iter().collect::<OsString>().into();
    std::iter::once(name.to_owned()).chain((1..TRIES).map(numbered))
}

/// Creates a file under the first of these names that is free, and returns it with its name. Never opens what is there
/// already: such a name can be guessed, and another user may have put a file or a link there.
pub fn create_temporary(name: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW);
    for path in temporary_names(name) {
        match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, path)),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EEXIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_opened() {
        let dir = std::env::temp_dir().join(format!("ccrun-temporary-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let (name, other) = (dir.join("new"), dir.join("other"));
        std::fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &name).unwrap();
        std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("new-1")).unwrap();
        std::fs::write(dir.join("new-2"), "theirs").unwrap();
        let (mut file, path) = create_temporary(&name, 0o600).unwrap();
        io::Write::write_all(&mut file, b"ours").unwrap();
        assert_eq!(path, dir.join("new-3"));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
        assert_eq!(std::fs::read_to_string(dir.join("new-2")).unwrap(), "theirs");
        assert!(!dir.join("nowhere").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
