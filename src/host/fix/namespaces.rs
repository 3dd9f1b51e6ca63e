//! What keeps users from having user namespaces: sysctls (sysctl.d(5)), and Ubuntu's AppArmor, which lets programs
//! have them only by a profile (apparmor.d(5)).

use super::{Step, User, make_directory, run, write_file};
use crate::error::{Error, Result};
use crate::host::check::install;
use crate::sys::accounts;
use crate::sys::process::find_program;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const SYSCTLS: &str = "/etc/sysctl.d/99-ccrun.conf";

/// The sysctls' names, the value that forbids, and one that does not.
const SWITCHES: [(&str, &str, &str); 2] =
    [("user.max_user_namespaces", "0", "15000"), ("kernel.unprivileged_userns_clone", "0", "1")];

const RESTRICTION: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// Switches on what is off, now and after the next boot.
pub fn switch_on() -> Vec<Result<Step>> {
    let value = |name: &str| std::fs::read_to_string(proc_file(name)).unwrap_or_default();
    let off = SWITCHES.iter().filter(|(name, off, _)| value(name).trim() == *off);
    let steps: Vec<Result<Step>> = off.map(|(name, _, on)| switch(name, on)).collect();
    if steps.is_empty() { vec![Ok(Step::Already("no sysctl forbids user namespaces".into()))] } else { steps }
}

fn switch(name: &str, on: &str) -> Result<Step> {
    keep(name, on)?;
    std::fs::write(proc_file(name), on).map_err(|e| Error::io(format_args!("write {}", proc_file(name)), &e))?;
    Ok(Step::Done(format!("set {name} to {on}, in {SYSCTLS} too")))
}

fn proc_file(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// The line in the file, once whatever was there of it.
fn keep(name: &str, on: &str) -> Result<()> {
    let old = std::fs::read_to_string(SYSCTLS).unwrap_or_default();
    let others = old.lines().filter(|line| line.split('=').next().is_none_or(|key| key.trim() != name));
    let text: String = others.map(|line| format!("{line}\n")).collect();
    make_directory(Path::new("/etc/sysctl.d"))?;
    write_file(Path::new(SYSCTLS), &format!("{text}{name} = {on}\n"))
}

/// Gives this very program a profile that allows them and confines nothing, where one is needed. It holds for whatever
/// program lies at that path: so no other user may be able to put one there.
pub fn give_profile(user: &User) -> Option<Result<Step>> {
    let is_on = std::fs::read_to_string(RESTRICTION).is_ok_and(|text| text.trim() == "1");
    is_on.then(|| load(user))
}

fn load(user: &User) -> Result<Step> {
    let exe = std::env::current_exe().map_err(|e| Error::io("readlink /proc/self/exe", &e))?;
    let exe = exe.to_str().ok_or_else(|| Error::new("the path of ccrun is not valid UTF-8"))?;
    if let Some(part) = replaceable(Path::new(exe), user)? {
        return Ok(Step::Left(format!(
            "{exe} gets no AppArmor profile, as others than root and {} can write to {}: install ccrun in /usr/local/bin",
            user.name,
            part.display()
        )));
    }
    let (file, text) = profile(exe);
    if std::fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(Step::Already(format!("AppArmor has a profile for {exe}")));
    }
    if find_program("apparmor_parser").is_none() {
        let command = install("apparmor_parser").map(|command| format!(": {command}")).unwrap_or_default();
        return Ok(Step::Left(format!("apparmor_parser is not installed{command}")));
    }
    make_directory(Path::new("/etc/apparmor.d"))?;
    write_file(&file, &text)?;
    run("apparmor_parser", &["-r", &file.to_string_lossy()]).inspect_err(|_| {
        // So that the next try does not take it for done.
        let _ = std::fs::remove_file(&file);
    })?;
    Ok(Step::Done(format!("gave {exe} an AppArmor profile, {}", file.display())))
}

/// The first part of the path that others than root and the user can write to or replace.
fn replaceable(path: &Path, user: &User) -> Result<Option<PathBuf>> {
    let parts: Vec<&Path> = path.ancestors().collect();
    for part in parts.into_iter().rev() {
        let meta =
            std::fs::symlink_metadata(part).map_err(|e| Error::io(format_args!("lstat {}", part.display()), &e))?;
        // In a sticky directory only the owner of a file replaces it.
        let writers = if meta.is_dir() && meta.mode() & libc::S_ISVTX != 0 { 0 } else { meta.mode() & 0o022 };
        let is_owned = [0, user.uid].contains(&meta.uid());
        let by_group = writers & 0o020 != 0 && !is_private(meta.gid(), user);
        if !is_owned || by_group || writers & 0o002 != 0 {
            return Ok(Some(part.to_owned()));
        }
    }
    Ok(None)
}

/// Whether only root and the user are in a group, as its members or because it is their own.
fn is_private(gid: u32, user: &User) -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    are_alone(gid, user, &read("/etc/passwd"), &read("/etc/group"))
}

fn are_alone(gid: u32, user: &User, passwd: &str, group: &str) -> bool {
    let is_ours = |name: &str| name == "root" || name == user.name;
    let owners = accounts::users(passwd).filter(|user| user.gid() == Some(gid)).map(|user| user.name);
    let groups = accounts::groups(group).filter(|group| group.gid() == Some(gid));
    owners.chain(groups.flat_map(|group| group.members())).all(|name| name.is_empty() || is_ours(name))
}

/// The file, called after the program as AppArmor's own are, and what it says.
fn profile(exe: &str) -> (PathBuf, String) {
    let name = exe.trim_start_matches('/').replace('/', ".");
    // Its name is a pattern.
    let special = |c: char| "?*[]{}^\\\"".contains(c).then_some('\\').into_iter().chain([c]);
    let pattern: String = exe.chars().flat_map(special).collect();
    let text = format!(
        "# Made by ccrun check --fix: a program without a profile has no user namespaces.\nabi <abi/4.0>,\n\
         include <tunables/global>\n\nprofile \"{pattern}\" flags=(unconfined) {{\n  userns,\n}}\n"
    );
    (Path::new("/etc/apparmor.d").join(name), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_group_has_no_other_member() {
        let user = User { name: "ann".into(), uid: 7, gid: 7 };
        let passwd = "root:x:0:0::/:\nann:x:7:7::/:\nbob:x:8:8::/:\n";
        let group = "root:x:0:\nann:x:7:\nbob:x:8:\nours:x:9:ann,root\nall:x:10:ann,bob\nnone:x:11:\n";
        for gid in [0, 7, 9, 11] {
            assert!(are_alone(gid, &user, passwd, group), "{gid}");
        }
        for gid in [8, 10] {
            assert!(!are_alone(gid, &user, passwd, group), "{gid}");
        }
    }

    #[test]
    fn a_profile_is_for_one_path() {
        let (file, text) = profile("/home/a b/cc[1]");
        assert_eq!(file, Path::new("/etc/apparmor.d/home.a b.cc[1]"));
        assert!(text.contains("\nprofile \"/home/a b/cc\\[1\\]\" flags=(unconfined) {\n  userns,\n}\n"), "{text}");
    }
}
