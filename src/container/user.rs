//! Who `--user` and an image's `User` mean, looked up in the container's own
//! /etc/passwd and /etc/group: names of the host mean nothing inside.

use crate::error::{Error, Result};
use crate::sys::fs;
use std::io::Read;
use std::os::fd::AsFd;

/// The longest passwd or group file that is read; an image may hold one without an end.
const MOST_BYTES: u64 = 1 << 20;

/// A user as the kernel wants it.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Finds the user of this process's own root: `text` is empty (root), or `user`, `uid`, `user:group`, `uid:gid`
/// or a mix. A number is never looked up as a name (CVE-2016-3697).
pub fn find(text: &str) -> Result<User> {
    let passwd = read("/etc/passwd")?;
    resolve(text, &passwd, &read("/etc/group")?)
}

fn resolve(text: &str, passwd: &str, group: &str) -> Result<User> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user)?;
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| match number {
        Some(uid) => field(fields, 2) == Some(uid),
        None => fields.first() == Some(&user),
    });
    let uid = match (number, &entry) {
        (Some(uid), _) => uid,
        (None, Some(fields)) => field(fields, 2)
            .ok_or_else(|| Error::new(format!("user {user} has no valid uid in the image's /etc/passwd")))?,
        (None, None) => {
            return Err(Error::new(format!("unable to find user {user}: no matching entries in passwd file")));
        }
    };
    let name = entry.as_ref().and_then(|fields| fields.first().copied());
    let gid = match wanted_group {
        Some(wanted) => group_id(wanted, group)?,
        None => entry.as_ref().and_then(|fields| field(fields, 3)).unwrap_or(0),
    };
    // Who names a group gets that one alone.
    let groups = match (wanted_group, name) {
        (None, Some(name)) => memberships(name, group),
        _ => Vec::new(),
    };
    let home = entry.as_ref().and_then(|fields| fields.get(5)).filter(|home| !home.is_empty());
    Ok(User { uid, gid, groups, home: home.copied().unwrap_or("/").to_owned() })
}

fn group_id(wanted: &str, group: &str) -> Result<u32> {
    if let Some(gid) = id(wanted)? {
        return Ok(gid);
    }
    let mut entries = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries
        .find(|fields| fields.first() == Some(&wanted))
        .and_then(|fields| field(&fields, 2))
        .ok_or_else(|| Error::new(format!("unable to find group {wanted}: no matching entries in group file")))
}

fn memberships(name: &str, group: &str) -> Vec<u32> {
    let member = |fields: &[&str]| fields.get(3).is_some_and(|users| users.split(',').any(|user| user == name));
    let entries = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.filter(|fields| member(fields)).filter_map(|fields| field(&fields, 2)).collect()
}

fn field(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

/// The number that `text` is, `None` if it is a name. One that is no id is an error, never a name.
fn id(text: &str) -> Result<Option<u32>> {
    if !text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('-') {
        return Ok(None);
    }
    // The last id, (uid_t) -1, means "no change" to the kernel.
    match text.parse::<u32>() {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(Error::new(format!("{text} is not a user or group id")).hint("ids go from 0 to 4294967294")),
    }
}

/// A regular file of at most 1 MiB; nothing if it is missing. It is the image's: a FIFO there must not stop us.
fn read(path: &str) -> Result<String> {
    let name = crate::sys::cstr(path)?;
    let file = match fs::open(&name, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0) {
        Ok(file) => file,
        Err(error) if [Some(libc::ENOENT), Some(libc::ENOTDIR)].contains(&error.errno()) => return Ok(String::new()),
        Err(error) => return Err(error.context("the image's user files")),
    };
    if fs::fstat(file.as_fd())?.kind() != libc::S_IFREG {
        return Err(Error::new(format!("{path} of the image is not a regular file")));
    }
    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(file).take(MOST_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(|e| Error::io(format!("read {path}"), &e))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::new(format!("{path} of the image is larger than 1 MiB")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/sh\n4242:x:7:7::/:\nbad:x:y:z\n";
    const GROUP: &str = "root:x:0:root\nstaff:x:50:alice,bob\nbob:x:1001:\nwheel:x:10:bob\n";

    fn user(text: &str) -> std::result::Result<(u32, u32, Vec<u32>, String), String> {
        resolve(text, PASSWD, GROUP).map(|u| (u.uid, u.gid, u.groups, u.home)).map_err(|e| e.to_string())
    }

    #[test]
    fn every_form_of_docker_is_understood() {
        assert_eq!(user(""), Ok((0, 0, vec![0], "/root".into())));
        assert_eq!(user("bob"), Ok((1000, 1001, vec![50, 10], "/home/bob".into())));
        assert_eq!(user("1000"), Ok((1000, 1001, vec![50, 10], "/home/bob".into())));
        assert_eq!(user("bob:staff"), Ok((1000, 50, vec![], "/home/bob".into())));
        assert_eq!(user("77:88"), Ok((77, 88, vec![], "/".into())));
        assert_eq!(user("77"), Ok((77, 0, vec![], "/".into())));
        assert_eq!(user(":5"), Ok((0, 5, vec![], "/root".into())));
    }

    #[test]
    fn a_number_is_a_number_even_if_a_user_is_called_so() {
        assert_eq!(user("4242").unwrap().0, 4242);
        for text in ["4294967296", "4294967295", "-1", "99999999999:0", "0:-1"] {
            assert!(user(text).unwrap_err().contains("is not a user or group id"), "{text}");
        }
    }

    #[test]
    fn unknown_names_are_named() {
        assert_eq!(user("eve").unwrap_err(), "unable to find user eve: no matching entries in passwd file");
        assert_eq!(user("0x0").unwrap_err(), "unable to find user 0x0: no matching entries in passwd file");
        assert_eq!(user("bob:grp").unwrap_err(), "unable to find group grp: no matching entries in group file");
        assert!(user("bad").unwrap_err().contains("no valid uid"));
    }
}
