//! The store's file system: room, overlay, owners, and mounts with mapped ids.

use super::{Finding, Host};
use crate::decimal;
use crate::error::{Error, Result};
use crate::isolation::idmap::IdMap;
use crate::store::Sandbox;
use crate::sys::fs::StatFs;
use crate::sys::mount::MOUNT_ATTR_NODEV;
use crate::sys::process::{self, CLONE_NEWUSER};
use crate::sys::{channel, cstr, fs, mount};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const STORE: &str = "store";
const OVERLAY: &str = "overlay";
const MAPPED: &str = "id-mapped mounts";

/// Below this no image of any use can be unpacked; below the other, few.
const NO_ROOM: u64 = 64 << 20;
const LITTLE_ROOM: u64 = 1 << 30;

/// File systems by their magic numbers (statfs(2)).
const KINDS: [(u64, &str); 14] = [
    (0xef53, "ext4"),
    (0x9123_683e, "btrfs"),
    (0x5846_5342, "xfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x6969, "NFS"),
    (0x6573_5546, "FUSE"),
    (0x2fc1_2fc1, "ZFS"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x0102_1997, "9p"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x8584_58f6, "ramfs"),
];

/// `sandbox`: behind which things are tried, if there can be any.
pub fn check(host: &Host, sandbox: Option<&dyn Sandbox>) -> Vec<Finding> {
    let probe = match ProbeDir::make(&host.store, host.map.root_ids()) {
        Ok(probe) => probe,
        Err(error) => {
            let elsewhere = "choose another place by --root DIR or $CCRUN_ROOT";
            return vec![Finding::fails(STORE, error.hint(elsewhere).to_string())];
        }
    };
    let tried = sandbox.map(|sandbox| try_overlay(host, sandbox, &probe.0));
    let mut findings = vec![store(host, &probe, tried.as_ref())];
    match tried {
        Some(Ok(None)) => findings.push(Finding::ok(OVERLAY, "container root can mount it on the store's file system")),
        Some(Ok(Some(why))) => {
            findings.push(Finding::less(OVERLAY, format!("{why}; each container gets a copy of its image instead")));
        }
        _ => {}
    }
    if sandbox.is_some() && host.map.is_shifted() {
        findings.push(match try_mapped(&host.map) {
            Ok(()) => Finding::ok(MAPPED, "of the root file system"),
            Err(error) => {
                Finding::less(MAPPED, format!("{error}; -v and --rootfs show files as nobody's, or copy them"))
            }
        });
    }
    findings
}

fn store(host: &Host, probe: &ProbeDir, tried: Option<&Result<Option<String>>>) -> Finding {
    let (stat, flags) = match look(&probe.0) {
        Ok(seen) => seen,
        Err(error) => return Finding::fails(STORE, error.to_string()),
    };
    let kind = KINDS
        .iter()
        .find(|(magic, _)| *magic == stat.kind as u64 & 0xffff_ffff)
        .map_or("a file system", |(_, name)| name);
    let shown = format!("{} on {kind}", host.store.display());
    let room = format!("{} GB free", decimal::fixed(stat.available as f64 / 1e9, 1));
    let no_overlay = matches!(tried, Some(Ok(Some(_))));
    match tried {
        Some(Err(error)) => return Finding::fails(STORE, format!("{shown}: {error}")),
        // Overlay's own mount decides, if there is one.
        Some(Ok(Some(_))) if flags & libc::ST_NOEXEC != 0 => {
            return Finding::fails(STORE, format!("{shown}: mounted noexec, and no overlay there; choose --root DIR"));
        }
        _ => {}
    }
    if stat.available < NO_ROOM {
        return Finding::fails(STORE, format!("{shown}: {room}"));
    }
    if no_overlay && flags & libc::ST_NOSUID != 0 {
        return Finding::less(STORE, format!("{shown}: mounted nosuid, so that su and sudo give nothing inside"));
    }
    if stat.available < LITTLE_ROOM {
        return Finding::less(STORE, format!("{shown}: only {room}"));
    }
    let room = if stat.available == u64::MAX { "room enough".to_owned() } else { room };
    Finding::ok(STORE, format!("{shown}, {room}"))
}

fn look(dir: &Path) -> Result<(StatFs, u64)> {
    let dir = fs::open(&cstr(dir)?, libc::O_PATH, 0)?;
    Ok((fs::fstatfs(dir.as_fd())?, fs::mount_flags(dir.as_fd())?))
}

/// A directory on the store's file system that goes away again.
struct ProbeDir(PathBuf);

impl ProbeDir {
    /// In the store, or where it would be made; container root owns it.
    fn make(store: &Path, (uid, gid): (u32, u32)) -> Result<ProbeDir> {
        let there = store.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        let meta = std::fs::metadata(there).map_err(|e| Error::io(there.display().to_string(), &e))?;
        if there == store && meta.uid() != crate::sys::cred::geteuid() {
            return Err(Error::new(format_args!("{} belongs to uid {}", store.display(), meta.uid())));
        }
        if there == store && meta.mode() & 0o077 != 0 {
            return Err(Error::new(format_args!("{0} is open to other users: chmod 700 {0}", store.display())));
        }
        let dir = there.join(format!(".ccrun-check-{}", process::getpid()));
        fs::mkdir(&dir, 0o700)
            .and_then(|()| fs::fchownat(fs::CWD, &cstr(&dir)?, uid, gid, libc::AT_SYMLINK_NOFOLLOW))
            .map_err(|error| error.renamed(format_args!("make a directory in {}", there.display())))?;
        Ok(ProbeDir(dir))
    }
}

impl Drop for ProbeDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Uses the directory as a start does. Gives why there is no overlay, if that is all that is missing.
fn try_overlay(host: &Host, sandbox: &dyn Sandbox, dir: &Path) -> Result<Option<String>> {
    let single = host.map.is_single();
    let sandboxed = sandbox.spawn(dir, &mut || {
        let mounted = fill(single).map(|()| mount_overlay());
        // Overlay leaves a directory that only container root can remove.
        let _ = mount::umount2(c"/merged", mount::MNT_DETACH);
        for name in ["/lower", "/upper", "/work", "/merged"] {
            let _ = std::fs::remove_dir_all(name);
        }
        Ok(mounted?.err().map(|error| error.to_string()).unwrap_or_default().into_bytes())
    })?;
    let why = String::from_utf8_lossy(&sandboxed.wait()?).into_owned();
    Ok((!why.is_empty()).then_some(why))
}

/// Files as a layer has them: some belong to others than root.
fn fill(single: bool) -> Result<()> {
    let made = ["/lower", "/upper", "/work", "/merged"].iter().try_for_each(|dir| fs::mkdir(dir, 0o777));
    made.and_then(|()| fs::write_file("/lower/file", b"below", 0o666)).map_err(|error| error.renamed("make files"))?;
    if single {
        return Ok(());
    }
    std::os::unix::fs::chown("/lower/file", Some(1), Some(1))
        .map_err(|e| Error::io("give a file to another id of the container's", &e))
}

/// Copy-up and whiteout are tried too: a file system may lack what they need.
fn mount_overlay() -> Result<()> {
    let options = c"userxattr,lowerdir=/lower,upperdir=/upper,workdir=/work";
    mount::mount(c"overlay", c"/merged", c"overlay", 0, options)?;
    let used = std::fs::write("/merged/file", "above").and_then(|()| std::fs::remove_file("/merged/file"));
    used.map_err(|e| Error::io("write and remove a file in an overlay", &e))
}

/// The host's root file system under the ids of a container, as -v and --rootfs have it.
fn try_mapped(map: &IdMap) -> Result<()> {
    // It lives until the other side is closed.
    let (child, channel) = channel::fork(CLONE_NEWUSER, None, |parent| i32::from(parent.receive().is_err()))?;
    let outcome = (|| {
        map.write(child.pid())?;
        let userns = fs::open(&cstr(format!("/proc/{}/ns/user", child.pid()))?, libc::O_RDONLY, 0)?;
        let root = fs::open(c"/", libc::O_PATH, 0)?;
        let tree = mount::open_tree(root.as_fd(), c"", false)?;
        mount::mount_setattr(tree.as_fd(), false, MOUNT_ATTR_NODEV, Some(userns.as_fd()))
    })();
    drop(channel);
    child.wait()?;
    outcome
}
