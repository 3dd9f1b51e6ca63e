//! User namespaces, and the ids that there are in them: made as a run makes them.

use super::{Finding, Host, Verdict};
use crate::error::{Error, Result};
use crate::isolation::idmap::{self, IDS, IdMap};
use crate::isolation::namespaces::{self, Bar};
use crate::isolation::{network, procfs, rootfs};
use crate::store::Sandboxed;
use crate::sys::channel::{self, Channel, Message};
use crate::sys::process::find_program;
use crate::sys::{cstr, fs, namespace};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

const NAMESPACES: &str = "user namespaces";
const IDS_LINE: &str = "ids";

/// Tries the map of a run; when that fails, whether the map or the namespaces are to blame.
pub fn check(host: &Host) -> (Finding, Finding) {
    let whole = try_namespaces(&host.map);
    let alone = match &whole {
        Err(_) if !host.map.is_single() => try_namespaces(&IdMap::single_of_caller()),
        Err(error) => Err(Error::from_bytes(&error.to_bytes())),
        Ok(()) => Ok(()),
    };
    let namespaces = match alone {
        Ok(()) => Finding::ok(NAMESPACES, "all namespaces of a container can be made"),
        Err(error) => forbidden(host, error),
    };
    let ids = match whole {
        _ if namespaces.verdict == Verdict::Fails => Finding::less(IDS_LINE, "not tried without user namespaces"),
        Ok(()) => granted(host),
        Err(error) => not_mapped(host, &error),
    };
    (namespaces, ids)
}

/// A child that does what every start does in its namespaces.
fn try_namespaces(map: &IdMap) -> Result<()> {
    let forked = channel::fork(namespaces::flags(true, false), None, |parent| {
        i32::from(Sandboxed::report(&parent, inside(&parent, map.is_single()).map(|()| Vec::new())).is_err())
    });
    let (child, channel) = forked.map_err(namespaces::explain)?;
    let mapped = map.write(child.pid()).and_then(|()| channel.send(&Message::Go, &[]));
    if mapped.is_err() {
        let _ = child.signal(libc::SIGKILL);
    }
    let outcome = Sandboxed { child, channel }.wait();
    mapped.and(outcome.map(drop))
}

fn inside(parent: &Channel, single: bool) -> Result<()> {
    parent.expect("the parent process")?;
    rootfs::become_root(single)?;
    rootfs::make_private()
        .and_then(|()| procfs::fresh().map(drop))
        .and_then(|()| namespace::sethostname("container"))
        .and_then(|()| network::bring_up())
        .map_err(namespaces::explain)
}

fn forbidden(host: &Host, error: Error) -> Finding {
    let bar = Bar::behind(&error);
    let finding = |text: &str| Finding::fails(NAMESPACES, text);
    match bar {
        Some(Bar::UsedUp) => finding("switched off or used up (user.max_user_namespaces)").mended_by(host.fix()),
        Some(Bar::RootOnly) => {
            finding("only root may make them (kernel.unprivileged_userns_clone)").mended_by(host.fix())
        }
        Some(Bar::AppArmor) => finding(
            "AppArmor forbids them to programs without a profile (kernel.apparmor_restrict_unprivileged_userns)",
        )
        .mended_by(host.fix()),
        _ => finding(&namespaces::explain(error).to_string()),
    }
}

/// The map works; whether it has what images use.
fn granted(host: &Host) -> Finding {
    let span = |start: u32, count: u32| {
        if count == 1 { start.to_string() } else { format!("{start}-{}", u64::from(start) + u64::from(count) - 1) }
    };
    let extents =
        host.map.uids().iter().map(|e| format!("{} is {}", span(e.inside, e.count), span(e.outside, e.count)));
    let map = extents.collect::<Vec<_>>().join(", ");
    let count: u64 = host.map.uids().iter().map(|extent| u64::from(extent.count)).sum();
    match count {
        _ if count >= u64::from(IDS) => Finding::ok(IDS_LINE, format!("inside {map} outside")),
        1 if host.is_root() => Finding::less(IDS_LINE, "this user namespace has no range for containers: one id only"),
        1 => one_id_only(host),
        _ => Finding::less(IDS_LINE, format!("inside {map} outside; images use up to {}", IDS - 1)),
    }
}

/// Why an ordinary user has no range, and what gives him one.
fn one_id_only(host: &Host) -> Finding {
    let text = |why: &str| format!("{why}, so that containers have one id only: root inside, you outside");
    if let Some(missing) = ["newuidmap", "newgidmap"].into_iter().find(|program| find_program(program).is_none()) {
        return Finding::less(IDS_LINE, text(&format!("{missing} is not on PATH")))
            .mended_by(host.install("newuidmap"));
    }
    let uid = crate::sys::cred::geteuid().to_string();
    let has_range = |file: &&str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        idmap::subordinate(&text, &[&host.user, &uid]).is_some()
    };
    let without: Vec<&str> = ["/etc/subuid", "/etc/subgid"].into_iter().filter(|file| !has_range(file)).collect();
    let verb = if without.len() == 1 { "grants" } else { "grant" };
    Finding::less(IDS_LINE, text(&format!("{} {verb} {} nothing", without.join(" and "), host.user)))
        .mended_by(host.fix())
}

/// The range is granted, but newuidmap did not write it: why, and what helps.
fn not_mapped(host: &Host, error: &Error) -> Finding {
    let helpers: Vec<PathBuf> = ["newuidmap", "newgidmap"].into_iter().filter_map(find_program).collect();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1")) {
        return Finding::fails(IDS_LINE, "this session has no_new_privs set, so that newuidmap has no power in it");
    }
    let weak: Vec<String> =
        helpers.iter().filter(|path| !has_power(path)).map(|path| path.display().to_string()).collect();
    if !weak.is_empty() {
        let text = format!("{} must be set-user-id root or have file capabilities", weak.join(" and "));
        return Finding::fails(IDS_LINE, text).mended_by(host.as_root(&format!("chmod u+s {}", weak.join(" "))));
    }
    if let Some(path) = helpers.iter().find(|path| is_nosuid(path)) {
        let point = mount_point(path);
        let text = format!("{} lies on a file system that is mounted nosuid", path.display());
        return Finding::fails(IDS_LINE, text)
            .mended_by(host.as_root(&format!("mount -o remount,suid {}", point.display())));
    }
    Finding::fails(IDS_LINE, error.to_string())
}

fn has_power(program: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_suid = std::fs::metadata(program).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & libc::S_ISUID != 0);
    let capable = || {
        let file = fs::open(&cstr(program)?, libc::O_RDONLY, 0)?;
        fs::fgetxattr(file.as_fd(), c"security.capability")
    };
    is_suid || capable().is_ok()
}

fn is_nosuid(program: &Path) -> bool {
    let flags = || fs::mount_flags(fs::open(&cstr(program)?, libc::O_PATH, 0)?.as_fd());
    flags().is_ok_and(|flags| flags & libc::ST_NOSUID != 0)
}

/// The directory on which the file system of `path` is mounted.
fn mount_point(path: &Path) -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let own = device(path);
    path.ancestors().take_while(|dir| device(dir) == own).last().unwrap_or(path).to_owned()
}
