//! Whether a path can be trusted: nobody but its user and root can make it lead elsewhere.
//!
//! As sudo and ssh judge their files: each directory on the way belongs to root or to the caller, and nobody else may
//! rename what is in it. Symbolic links are followed by hand, and only those of root's or the caller's.

use crate::error::{Error, Result};
use crate::sys::{accounts, cred, cstr, fs};
use libc::{O_DIRECTORY, O_RDONLY};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Links on one path, as the kernel's own limit.
const LINKS_MAX: u32 = 40;

const STICKY: u32 = 0o1000;

/// Where a path leads.
pub struct Walked {
    /// Without links; what is missing at its end is as it was given.
    pub path: PathBuf,
    /// The first reason not to trust it.
    pub refusal: Option<Error>,
}

/// Follows the absolute `path`. The last component is followed too, but not judged.
pub fn walk(path: &Path) -> Result<Walked> {
    let root = lstat(Path::new("/"))?;
    let mut way = Way { path: "/".into(), here: root, owners: Owners::new(root_owner()?), refusal: None };
    let mut rest: Vec<OsString> = components(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            way.path.pop();
            way.here = lstat(&way.path)?;
            continue;
        }
        way.judge_directory();
        let next = way.path.join(&name);
        let meta = match std::fs::symlink_metadata(&next) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let missing = rest.iter().rev().fold(next, |path, name| path.join(name));
                return Ok(Walked { path: missing, refusal: way.refusal });
            }
            Err(error) => return Err(Error::io(next.display().to_string(), &error)),
        };
        way.judge_entry(&next, &meta);
        if meta.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(Error::call(path.display().to_string(), libc::ELOOP));
            }
            let target = std::fs::read_link(&next).map_err(|error| Error::io(next.display().to_string(), &error))?;
            if target.is_absolute() {
                way.path = "/".into();
                way.here = lstat(&way.path)?;
            }
            rest.extend(components(&target));
            continue;
        }
        (way.path, way.here) = (next, meta);
    }
    Ok(Walked { path: way.path, refusal: way.refusal })
}

/// The names of a path, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).rev().collect()
}

fn lstat(path: &Path) -> Result<Metadata> {
    std::fs::symlink_metadata(path).map_err(|error| Error::io(path.display().to_string(), &error))
}

fn root_owner() -> Result<u32> {
    lstat(Path::new("/")).map(|meta| meta.uid())
}

struct Way {
    path: PathBuf,
    here: Metadata,
    owners: Owners,
    refusal: Option<Error>,
}

impl Way {
    fn refuse(&mut self, why: impl FnOnce() -> String) {
        if self.refusal.is_none() {
            self.refusal = Some(Error::new(why()));
        }
    }

    /// Judges the directory that the way has come to, as one that something is looked up in.
    fn judge_directory(&mut self) {
        let (shown, uid) = (self.path.display().to_string(), self.here.uid());
        if !self.here.is_dir() {
            return;
        }
        if !self.owners.trust(uid) {
            self.refuse(|| format!("{shown} belongs to uid {uid}, who could put something else in its place"));
        } else if self.here.mode() & STICKY == 0 && self.owners.others_write(&self.path, &self.here) {
            self.refuse(|| format!("other users can rename what is in {shown}"));
        }
    }

    /// Judges what was found in that directory: a link, or what belongs to somebody else where all may write.
    fn judge_entry(&mut self, path: &Path, meta: &Metadata) {
        let uid = meta.uid();
        if self.owners.trust(uid) {
            return;
        }
        if meta.is_symlink() {
            self.refuse(|| format!("the symbolic link {} belongs to uid {uid}", path.display()));
        } else if self.here.mode() & STICKY != 0 {
            self.refuse(|| format!("{} belongs to uid {uid}, who can rename it", path.display()));
        }
    }
}

/// Those who may change a directory without harm.
struct Owners {
    me: u32,
    /// Who has `/` can change every path; in a user namespace that is not uid 0.
    root: u32,
}

impl Owners {
    fn new(root: u32) -> Owners {
        Owners { me: cred::geteuid(), root }
    }

    fn trust(&self, uid: u32) -> bool {
        [0, self.me, self.root].contains(&uid)
    }

    /// Whether somebody who is not trusted may write to a directory that has a trusted owner.
    fn others_write(&self, path: &Path, meta: &Metadata) -> bool {
        let mode = meta.mode();
        // Where there is an access control list, the group's bits are the most that it gives to anybody.
        mode & 0o002 != 0 || mode & 0o020 != 0 && (has_acl(path) || !self.is_private(meta.gid(), meta.uid()))
    }

    /// Whether a group has no member but `owner` and those who are trusted anyway, as most users have one.
    fn is_private(&self, gid: u32, owner: u32) -> bool {
        let read = |path: &str| fs::read_text(path).unwrap_or_default();
        let (groups, users) = (read("/etc/group"), read("/etc/passwd"));
        members(gid, &groups, &users).map_or(gid == owner && gid != 0, |members| {
            members.iter().all(|uid| *uid == Some(owner) || uid.is_some_and(|uid| self.trust(uid)))
        })
    }
}

/// The users in a group by the texts of group(5) and passwd(5); one that passwd does not know has no number. `None` for
/// a group that group(5) does not know: it may come from a directory service, and have any members.
fn members(gid: u32, groups: &str, users: &str) -> Option<Vec<Option<u32>>> {
    let mut groups = accounts::groups(groups).filter(|group| group.gid() == Some(gid)).peekable();
    groups.peek()?;
    let names = groups.flat_map(|group| group.members()).map(str::trim).filter(|name| !name.is_empty());
    let uid_of = |name: &str| accounts::users(users).find(|user| user.name == name)?.uid();
    let mut members: Vec<Option<u32>> = names.map(uid_of).collect();
    members.extend(accounts::users(users).filter(|user| user.gid() == Some(gid)).map(|user| user.uid()));
    Some(members)
}

/// Whether a directory has an access control list; one that cannot be opened may have.
fn has_acl(path: &Path) -> bool {
    let opened = cstr(path).and_then(|path| fs::open(&path, O_RDONLY | O_DIRECTORY, 0));
    opened.map_or(true, |dir| fs::fgetxattr(dir.as_fd(), c"system.posix_acl_access").is_ok())
}

/// Whether somebody else can make or rename files in the directory `dir`, sticky or not.
pub fn others_can_write(dir: &Path) -> bool {
    let (Ok(meta), Ok(root)) = (std::fs::metadata(dir), root_owner()) else { return true };
    let owners = Owners::new(root);
    !owners.trust(meta.uid()) || owners.others_write(dir, &meta)
}

/// Whether a file belongs to root or to the caller.
pub fn is_trusted(meta: &Metadata) -> bool {
    root_owner().is_ok_and(|root| Owners::new(root).trust(meta.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_a_group_are_found() {
        let groups = "root:x:0:\nalice:x:1000:\nteam:x:50:alice,bob, ghost\nteam2:x:50:carol\n";
        let users = "root:x:0:0:\nalice:x:1000:1000:\nbob:x:1001:50:\ncarol:x:1002:1000\n";
        assert_eq!(members(0, groups, users), Some(vec![Some(0)]));
        assert_eq!(members(1000, groups, users), Some(vec![Some(1000), Some(1002)]));
        let team = vec![Some(1000), Some(1001), None, Some(1002), Some(1001)];
        assert_eq!(members(50, groups, users), Some(team));
        assert_eq!(members(7, groups, users), None);
    }

    #[test]
    fn a_path_is_walked_without_its_links() {
        let dir = std::env::temp_dir().join(format!("ccrun-path-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/../a", dir.join("link")).unwrap();
        std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
        let walked = |path: &str| walk(&dir.join(path)).map(|walked| walked.path);
        assert_eq!(walked("link/b").unwrap(), dir.join("a/b"));
        assert_eq!(walked("link/new/store").unwrap(), dir.join("a/new/store"));
        assert_eq!(walked("loop/x").unwrap_err().errno(), Some(libc::ELOOP));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
