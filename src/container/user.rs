//! Looks up `--user` and an image's `User` in the container's own /etc/passwd and /etc/group: the host's names mean
//! nothing inside.

use super::spec::Process;
use crate::error::{Error, Result};
use crate::sys::accounts::{self, Group};
use crate::sys::fs;
use std::os::fd::AsFd;

/// The longest passwd or group file that is read; an image's may be endless (CVE-2026-47262).
const MOST_BYTES: usize = 1 << 20;
/// The longest line of a passwd file, as in moby. A group file may have longer ones, for its members.
const LONGEST_LINE: usize = 64 << 10;
/// The largest id that Docker accepts (moby/sys, user/user.go).
const LAST_ID: u32 = i32::MAX as u32;

/// A user by ids, as the kernel takes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// All groups, the primary one first (CVE-2022-36109), without duplicates.
    pub groups: Vec<u32>,
    /// The groups that --group-add or the document asks for.
    pub added: Vec<u32>,
    pub home: String,
}

/// Finds the user and groups of `process` in the files below our own root directory. The user is empty (root), or
/// `user`, `uid`, `user:group`, `uid:gid` or a mix. A number is never looked up as a name (CVE-2016-3697).
pub fn find(process: &Process) -> Result<User> {
    let passwd = read("etc/passwd")?;
    if passwd.lines().any(|line| line.len() > LONGEST_LINE) {
        return Err(Error::new("/etc/passwd of the image has a line longer than 64 KiB"));
    }
    let user = resolve(&process.user, &process.groups, &passwd, &read("etc/group")?)?;
    Ok(if process.only_groups { User { groups: user.added.clone(), ..user } } else { user })
}

fn resolve(text: &str, additional: &[String], passwd: &str, group: &str) -> Result<User> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user)?;
    let entry = lines(passwd).map(accounts::User::parse).find(|entry| match number {
        Some(uid) => id(entry.uid).is_ok_and(|id| id == Some(uid)),
        None => entry.name == user,
    });
    let invalid = |what: &str| Error::new(format_args!("user {user} has no valid {what} in the image's /etc/passwd"));
    let in_passwd = |error: Error| error.context(format_args!("user {user} in the image's /etc/passwd"));
    let uid = match (number, &entry) {
        (Some(uid), _) => uid,
        (None, Some(entry)) => id(entry.uid).map_err(in_passwd)?.ok_or_else(|| invalid("uid"))?,
        (None, None) => {
            return Err(Error::new(format_args!("unable to find user {user}: no matching entries in passwd file")));
        }
    };
    let gid = match (wanted_group, &entry) {
        (Some(wanted), _) => group_id(wanted, group)?.ok_or_else(|| {
            Error::new(format_args!("unable to find group {wanted}: no matching entries in group file"))
        })?,
        (None, Some(entry)) if !entry.gid.is_empty() => {
            id(entry.gid).map_err(in_passwd)?.ok_or_else(|| invalid("gid"))?
        }
        (None, _) => 0,
    };
    let mut groups = vec![gid];
    // A named group replaces all memberships.
    if let (None, Some(entry)) = (wanted_group, entry) {
        groups.extend(memberships(entry.name, group)?);
    }
    let find = |wanted: &String| {
        group_id(wanted, group)?.ok_or_else(|| {
            Error::new(format_args!("Unable to find group {wanted}: no matching entries in group file"))
                .hint("a group that the image does not name can be given by number")
        })
    };
    let added = additional.iter().map(find).collect::<Result<Vec<u32>>>()?;
    groups.extend(&added);
    for at in (1..groups.len()).rev() {
        if groups[..at].contains(&groups[at]) {
            groups.remove(at);
        }
    }
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty());
    Ok(User { uid, gid, groups, added, home: home.unwrap_or("/").to_owned() })
}

/// The lines of a passwd or group file without comments and blank lines, as in Docker.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    lines(text).map(Group::parse)
}

/// The gid of a number or name, `None` if no group has that name.
fn group_id(wanted: &str, group: &str) -> Result<Option<u32>> {
    if let Some(gid) = id(wanted)? {
        return Ok(Some(gid));
    }
    let entry = groups(group).find(|entry| entry.name == wanted);
    Ok(entry.map(gid_of).transpose()?.flatten())
}

fn memberships(name: &str, group: &str) -> Result<Vec<u32>> {
    let ids = groups(group).filter(|group| group.members().any(|user| user == name)).map(gid_of);
    ids.filter_map(Result::transpose).collect()
}

/// The gid in a line of a group file, `None` if it is not a number. A number out of range is an error: read as 0, it
/// would be root's.
fn gid_of(group: Group<'_>) -> Result<Option<u32>> {
    id(group.gid).map_err(|error| error.context(format_args!("group {} in the image's /etc/group", group.name)))
}

/// `text` as an id, `None` if it is a name. A number out of range is an error, never a name.
fn id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= LAST_ID => Ok(Some(id)),
        _ => {
            Err(Error::new(format_args!("uids and gids must be in range 0-{LAST_ID}"))
                .hint(format_args!("{text} is not")))
        }
    }
}

/// Reads a regular file of at most 1 MiB; returns an empty text if it is missing. The image is not trusted: a FIFO must
/// not block us, and no magic link may lead to a file that we have open.
fn read(path: &str) -> Result<String> {
    let (root, name) = (fs::open(c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?, crate::sys::cstr(path)?);
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match fs::openat2(root.as_fd(), &name, flags, 0, fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS) {
        Ok(file) => file,
        Err(error) if [Some(libc::ENOENT), Some(libc::ENOTDIR)].contains(&error.errno()) => return Ok(String::new()),
        Err(error) if error.errno() == Some(libc::ELOOP) => {
            return Err(Error::new(format_args!("/{path} of the image is a link that cannot be followed inside")));
        }
        Err(error) => return Err(error.context("the image's user files")),
    };
    if fs::fstat(file.as_fd())?.kind() != libc::S_IFREG {
        return Err(Error::new(format_args!("/{path} of the image is not a regular file")));
    }
    let bytes =
        fs::read_to_end(file.as_fd(), MOST_BYTES).map_err(|error| error.context(format_args!("read /{path}")))?;
    if bytes.len() > MOST_BYTES {
        return Err(Error::new(format_args!("/{path} of the image is larger than 1 MiB")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/sh\n4242:x:7:7::/:\nbad:x:y:z\n";
    const GROUP: &str = "#staff:x:51:bob\n \n  root:x:0:root\nstaff:x:50:alice,bob\nbob:x:1001:\nwheel:x:10:bob\n";

    fn user(text: &str) -> std::result::Result<(u32, u32, Vec<u32>, String), String> {
        in_groups(text, &[])
    }

    fn in_groups(text: &str, more: &[&str]) -> std::result::Result<(u32, u32, Vec<u32>, String), String> {
        let more: Vec<String> = more.iter().map(|group| group.to_string()).collect();
        resolve(text, &more, PASSWD, GROUP).map(|u| (u.uid, u.gid, u.groups, u.home)).map_err(|e| e.to_string())
    }

    #[test]
    fn every_form_that_docker_accepts_is_read() {
        assert_eq!(user(""), Ok((0, 0, vec![0], "/root".into())));
        assert_eq!(user("bob"), Ok((1000, 1001, vec![1001, 50, 10], "/home/bob".into())));
        assert_eq!(user("1000"), Ok((1000, 1001, vec![1001, 50, 10], "/home/bob".into())));
        assert_eq!(user("bob:staff"), Ok((1000, 50, vec![50], "/home/bob".into())));
        assert_eq!(user("77:88"), Ok((77, 88, vec![88], "/".into())));
        assert_eq!(user("77"), Ok((77, 0, vec![0], "/".into())));
        assert_eq!(user(":5"), Ok((0, 5, vec![5], "/root".into())));
    }

    #[test]
    fn a_number_is_never_a_name() {
        assert_eq!(user("4242").unwrap().0, 4242);
        assert_eq!(user("+7").unwrap().0, 7);
        for text in ["4294967296", "4294967295", "2147483648", "-1", "99999999999:0", "0:-1", "-99999999999999999999"] {
            assert!(user(text).unwrap_err().starts_with("uids and gids must be in range 0-2147483647; "), "{text}");
        }
        for text in ["-", "-x", "\u{661}"] {
            assert!(user(text).unwrap_err().starts_with("unable to find user"), "{text}");
        }
    }

    #[test]
    fn an_id_out_of_range_is_an_error_and_never_root() {
        let passwd = "a:x:2147483648:0::/:\nb:x:5:4294967296::/:\nc:x:-1:0::/:\nd:x:6:x::/:\ne:x:7\nf:x:8:::/:\n\
                      g:x:99999999999999999999:0::/:\nh:x:9:9::/:\nbig:x:4294967296:0::/root:\n";
        let group = "wide:x:4294967296:h\nodd:x:y:e\nlow:x:-5:\n";
        let find = |user: &str, more: &[String]| resolve(user, more, passwd, group).map_err(|error| error.to_string());
        for (user, named) in [
            ("a", "user a in the image's /etc/passwd"),
            ("b", "user b in the image's /etc/passwd"),
            ("5", "user 5 in the image's /etc/passwd"),
            ("c", "user c in the image's /etc/passwd"),
            ("g", "user g in the image's /etc/passwd"),
            ("h", "group wide in the image's /etc/group"),
            ("0:wide", "group wide in the image's /etc/group"),
            ("0:low", "group low in the image's /etc/group"),
        ] {
            let error = find(user, &[]).unwrap_err();
            let said = format!("{named}: uids and gids must be in range 0-2147483647; ");
            assert!(error.starts_with(&said), "{user}: {error}");
        }
        assert!(find("0", &["wide".into()]).unwrap_err().contains("must be in range"));
        assert!(find("d", &[]).unwrap_err().contains("user d has no valid gid"));
        // A missing gid is root's, as in Docker. Bad entries of other users do no harm.
        for (user, uid) in [("e", 7), ("f", 8), ("7", 7)] {
            let found = find(user, &[]).unwrap();
            assert_eq!((found.uid, found.gid, found.groups), (uid, 0, vec![0]), "{user}");
        }
        assert_eq!(find("0", &[]).unwrap().home, "/");
    }

    #[test]
    fn errors_name_what_is_missing() {
        assert_eq!(user("eve").unwrap_err(), "unable to find user eve: no matching entries in passwd file");
        assert_eq!(user("0x0").unwrap_err(), "unable to find user 0x0: no matching entries in passwd file");
        assert_eq!(user("bob:grp").unwrap_err(), "unable to find group grp: no matching entries in group file");
        assert!(user("bad").unwrap_err().contains("no valid uid"));
    }

    #[test]
    fn groups_are_added_once() {
        let groups = |text, more: &[&str]| in_groups(text, more).unwrap().2;
        assert_eq!(groups("", &["staff", "77", "0"]), [0, 50, 77]);
        assert_eq!(groups("bob", &["wheel", "77"]), [1001, 50, 10, 77]);
        assert_eq!(groups("bob:staff", &["77"]), [50, 77]);
        let said = |group| in_groups("", &[group]).unwrap_err();
        assert!(said("nope").starts_with("Unable to find group nope: no matching entries in group file"));
        assert!(said("").starts_with("Unable to find group : "));
        assert!(said("-1").contains("must be in range"));
    }
}
