//! Ubuntu's AppArmor lets programs have user namespaces only by a profile (apparmor.d(5)).

use super::{Step, make_directory, run, write_file};
use crate::container::check::install;
use crate::error::{Error, Result};
use crate::sys::process::find_program;
use std::path::{Path, PathBuf};

const RESTRICTION: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// Gives this very program a profile that allows them and confines nothing, where one is needed.
pub fn allow() -> Option<Result<Step>> {
    let is_on = std::fs::read_to_string(RESTRICTION).is_ok_and(|text| text.trim() == "1");
    is_on.then(load)
}

fn load() -> Result<Step> {
    let exe = std::env::current_exe().map_err(|e| Error::io("readlink /proc/self/exe", &e))?;
    let exe = exe.to_str().ok_or_else(|| Error::new("the path of ccrun is not valid UTF-8"))?;
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
    fn a_profile_is_for_one_path() {
        let (file, text) = profile("/home/a b/cc[1]");
        assert_eq!(file, Path::new("/etc/apparmor.d/home.a b.cc[1]"));
        assert!(text.contains("\nprofile \"/home/a b/cc\\[1\\]\" flags=(unconfined) {\n  userns,\n}\n"), "{text}");
    }
}
