//! A range of subordinate ids for a user (subuid(5)), as useradd(8) gives it.

use super::{Step, User, write_file};
use crate::error::{Error, Result};
use crate::isolation::idmap::{IDS, free_range_from, subordinate};
use crate::sys::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// Where useradd looks for free ranges, if login.defs(5) does not say otherwise.
const LEAST: u32 = 100_000;
const MOST: u32 = 600_100_000;

pub fn grant(user: &User) -> Result<Step> {
    // Whoever else gives ranges takes the same locks, in this order.
    let _locks = FILES.iter().map(|file| Lock::take(file)).collect::<Result<Vec<Lock>>>()?;
    let read = |file: &str| match std::fs::read_to_string(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format_args!("read {file}"), &error))
        }
        other => Ok(other.unwrap_or_default()),
    };
    let texts = FILES.iter().map(|file| read(file)).collect::<Result<Vec<String>>>()?;
    let names = [user.name.as_str(), &user.uid.to_string()];
    let without: Vec<usize> = (0..FILES.len()).filter(|at| subordinate(&texts[*at], &names).is_none()).collect();
    if without.is_empty() {
        return Ok(Step::Already(format!("{} has subordinate ids", user.name)));
    }
    let ids: Vec<String> = ["/etc/passwd", "/etc/group"].iter().map(|file| read(file)).collect::<Result<_>>()?;
    let defs = read("/etc/login.defs")?;
    let bound = |names: [&str; 2], default, of: fn(u32, u32) -> u32| {
        names
            .iter()
            .filter_map(|name| setting(&defs, name))
            .fold(None, |all, one| Some(all.map_or(one, |all| of(all, one))))
            .unwrap_or(default)
    };
    let least = bound(["SUB_UID_MIN", "SUB_GID_MIN"], LEAST, u32::max);
    let most = bound(["SUB_UID_MAX", "SUB_GID_MAX"], MOST, u32::min);
    // One range for both kinds of ids, which is easier to read. Users and groups stand in the third field.
    let start = free_range_from(least, most, &[&texts[0], &texts[1]], &ids.concat())
        .ok_or_else(|| Error::new(format_args!("no {IDS} ids are free between {least} and {most}")))?;
    for at in &without {
        let end = if texts[*at].is_empty() || texts[*at].ends_with('\n') { "" } else { "\n" };
        write_file(Path::new(FILES[*at]), &format!("{}{end}{}:{start}:{IDS}\n", texts[*at], user.name))?;
    }
    let files: Vec<&str> = without.iter().map(|at| FILES[*at]).collect();
    Ok(Step::Done(format!("gave {} the ids {start}-{} in {}", user.name, start + IDS - 1, files.join(" and "))))
}

fn setting(defs: &str, name: &str) -> Option<u32> {
    defs.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next()? == name { words.next()?.parse().ok() } else { None }
    })
}

/// The lock file of shadow's programs: it holds the number of the process that works on the file.
struct Lock(PathBuf);

impl Lock {
    fn take(file: &str) -> Result<Lock> {
        let path = PathBuf::from(format!("{file}.lock"));
        let failed = |error: std::io::Error| Error::io(format_args!("lock {file}"), &error);
        let own = PathBuf::from(format!("{file}.{}", std::process::id()));
        let (written, own) = fs::create_temporary(&own, 0o600)?;
        fs::write_all(written.as_fd(), format!("{}\0", std::process::id()).as_bytes())?;
        let end = Instant::now() + Duration::from_secs(10);
        let outcome = loop {
            match std::fs::hard_link(&own, &path) {
                Ok(()) => break Ok(Lock(path)),
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => break Err(failed(error)),
                Err(_) if is_stale(&path) => {
                    let _ = std::fs::remove_file(&path);
                }
                Err(_) if Instant::now() > end => {
                    break Err(Error::new(format_args!("{} is held by another program", path.display())));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        let _ = std::fs::remove_file(&own);
        outcome
    }
}

/// Its holder is dead. One that says nothing of itself is left alone.
fn is_stale(lock: &Path) -> bool {
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let pid: Option<u32> = text.trim_end_matches(['\0', '\n']).parse().ok();
    pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_shadow_does() {
        let defs = "# SUB_UID_MIN 1\nSUB_UID_MIN\t\t   200000\nSUB_UID_MAX x\n";
        assert_eq!(setting(defs, "SUB_UID_MIN"), Some(200_000));
        assert_eq!(setting(defs, "SUB_UID_MAX"), None);
        assert_eq!(setting(defs, "SUB_GID_MIN"), None);
    }
}
