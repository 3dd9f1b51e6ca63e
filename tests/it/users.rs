//! The users that the tests run as, and the copy of ccrun and its fixtures that all of them can read.

use crate::sandbox::Mode;
use crate::{hub, sys};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const WITH: &str = "ccrun-sub";
pub const WITHOUT: &str = "ccrun-nosub";

/// The place of one run of all tests.
pub struct Base {
    pub dir: PathBuf,
    pub modes: Vec<(Mode, u32, u32)>,
    /// Modes that this machine cannot have, and why.
    pub without: Vec<(Mode, String)>,
    pub hub: Option<&'static str>,
    made_users: bool,
    _lock: Option<File>,
}

/// Where the fixtures and ccrun lie before they are copied.
fn find(variable: &str, candidates: &[&str]) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let beside = std::env::current_exe().ok()?.parent()?.to_owned();
    let beside = candidates.iter().map(|name| beside.join(name));
    beside.chain(candidates.iter().map(PathBuf::from)).find(|path| path.exists())
}

pub fn fixtures() -> Option<PathBuf> {
    find("CCRUN_FIXTURES", &["fixtures", concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs-fixtures/out")])
}

pub fn ccrun() -> Option<PathBuf> {
    const RELEASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/x86_64-unknown-linux-musl/release/ccrun");
    find("CCRUN_BIN", &["ccrun", env!("CARGO_BIN_EXE_ccrun"), RELEASE, "/usr/local/bin/ccrun"])
}

impl Base {
    pub fn make() -> Base {
        let ccrun = ccrun().expect("no ccrun to test: run `make`, or set CCRUN_BIN");
        let fixtures = fixtures().expect("no fixtures: run `make fixtures`, or set CCRUN_FIXTURES");
        // Not /tmp: it may be a tmpfs, which is no place for what users really have.
        let parent = std::env::var_os("CCRUN_IT_DIR").map_or(PathBuf::from("/var/tmp"), PathBuf::from);
        let dir = parent.join(format!("ccrun-it.{}", std::process::id()));
        // What a killed run has left.
        for name in crate::sandbox::list(&parent) {
            let pid = name.strip_prefix("ccrun-it.").filter(|pid| !Path::new("/proc").join(pid).exists());
            if pid.is_some() {
                let _ = std::fs::remove_dir_all(parent.join(name));
            }
        }
        std::fs::create_dir_all(&dir).expect("mkdir");
        shell(&format!(
            "chmod 755 {0} && cp {1} {0}/ccrun && cp /proc/{2}/exe {0}/it && chmod 755 {0}/ccrun {0}/it",
            dir.display(),
            ccrun.display(),
            std::process::id()
        ));

        let wanted = std::env::var("CCRUN_IT_MODES").unwrap_or_default();
        let wanted = |mode: Mode| wanted.is_empty() || wanted.split(',').any(|word| word == mode.name());
        let mut base = Base { dir, modes: Vec::new(), without: Vec::new(), hub: None, made_users: false, _lock: None };
        if sys::uid() == 0 {
            base.as_root(&wanted);
        } else {
            base.as_user();
        }
        // Not there when it could not be made.
        shell(&format!(
            "cp -al {1}/debian {0}/ 2>/dev/null || cp -a {1}/debian {0}/ 2>/dev/null || :",
            base.dir.display(),
            fixtures.display()
        ));
        for &(mode, uid, gid) in &base.modes {
            let own = base.dir.join(mode.name());
            // `|| :`: a user who finds fixtures made by root may not read /etc/shadow in them.
            shell(&format!(
                "mkdir -p {0} && {{ cp -a {1}/busybox {1}/alpine {0}/ 2>/dev/null || :; }}",
                own.display(),
                fixtures.display()
            ));
            if mode != Mode::Root && sys::uid() == 0 {
                shell(&format!("chown -R {uid}:{gid} {}", own.display()));
            }
        }
        base.hub = hub::missing();
        if base.hub.is_none() {
            hub::make_certificates(&base.dir.join("hub"));
            shell(&format!("chmod 755 {}", base.dir.join("hub").display()));
        }
        base
    }

    fn as_root(&mut self, wanted: &dyn Fn(Mode) -> bool) {
        if wanted(Mode::Root) {
            self.modes.push((Mode::Root, 0, 0));
        }
        if !wanted(Mode::Subuid) && !wanted(Mode::Nosubuid) {
            return;
        }
        // Several runs at once share the users; the last one out removes them.
        let _making = Base::making();
        let lock = lock_file("/run/ccrun-it.lock");
        sys::flock(lock.as_raw_fd(), libc::LOCK_SH);
        for (mode, user) in [(Mode::Subuid, WITH), (Mode::Nosubuid, WITHOUT)] {
            if !wanted(mode) {
                continue;
            }
            if mode == Mode::Subuid && !have("newuidmap") {
                self.without.push((mode, "newuidmap is not installed".into()));
                continue;
            }
            match make_user(user, mode == Mode::Subuid) {
                Ok((uid, gid)) => self.modes.push((mode, uid, gid)),
                Err(why) => self.without.push((mode, why)),
            }
            self.made_users = true;
        }
        self._lock = Some(lock);
    }

    /// Held for the moment in which users are made or removed.
    fn making() -> File {
        let lock = lock_file("/run/ccrun-it.making");
        sys::flock(lock.as_raw_fd(), libc::LOCK_EX);
        lock
    }

    fn as_user(&mut self) {
        let (uid, gid) = (sys::uid(), sys::gid());
        let name = std::env::var("USER").unwrap_or_default();
        let subuid = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
        let named = |line: &str| line.split(':').next().is_some_and(|who| who == uid.to_string() || who == name);
        let mode = if have("newuidmap") && subuid.lines().any(named) { Mode::Subuid } else { Mode::Nosubuid };
        self.modes.push((mode, uid, gid));
        for other in Mode::ALL.into_iter().filter(|other| *other != mode) {
            self.without.push((other, format!("started as an ordinary user, whose mode is {}", mode.name())));
        }
    }

    pub fn remove(self) {
        let dir = self.dir.display();
        if sys::uid() == 0 {
            shell(&format!("rm -rf {dir}"));
        } else {
            // Files of a subuid range can only be removed by the root of that range.
            shell(&format!(
                "unshare --map-root-user --map-auto rm -rf {dir} 2>/dev/null || chmod -R u+rwX {dir} 2>/dev/null; rm -rf {dir}"
            ));
        }
        let _making = self.made_users.then(Base::making);
        if let Some(lock) = self._lock.filter(|_| self.made_users)
            && sys::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB)
        {
            for user in [WITH, WITHOUT] {
                shell(&format!("(userdel -r {user} || deluser --remove-home {user}) >/dev/null 2>&1 || :"));
                shell(&format!("sed -i '/^{user}:/d' /etc/subuid /etc/subgid 2>/dev/null || :"));
            }
        }
    }
}

fn lock_file(path: &str) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("lock")
}

pub fn have(program: &str) -> bool {
    let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    dirs.iter().any(|dir| Path::new(dir).join(program).exists())
}

fn shell(script: &str) {
    let status = Command::new("sh").arg("-c").arg(script).status().expect("sh");
    assert!(status.success(), "{script}: {status}");
}

/// An ordinary user, with a range of subordinate ids or surely without.
fn make_user(name: &str, subuid: bool) -> Result<(u32, u32), String> {
    let script = format!(
        "id {name} >/dev/null 2>&1 || useradd -m -s /bin/sh {name} 2>/dev/null || adduser -D -s /bin/sh {name}"
    );
    if !Command::new("sh").arg("-c").arg(script).status().is_ok_and(|status| status.success()) {
        return Err(format!("no user {name} could be made"));
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        let old = std::fs::read_to_string(file).unwrap_or_default();
        // Another run may be using it.
        if subuid && old.lines().any(|line| line.starts_with(&format!("{name}:"))) {
            continue;
        }
        let others: Vec<&str> = old.lines().filter(|line| !line.starts_with(&format!("{name}:"))).collect();
        let mut new = others.iter().map(|line| format!("{line}\n")).collect::<String>();
        if subuid {
            let ends = others.iter().filter_map(|line| {
                let mut fields = line.split(':').skip(1).filter_map(|field| field.parse::<u64>().ok());
                Some(fields.next()? + fields.next()?)
            });
            let start = ends.max().unwrap_or(0).max(1_000_000);
            new += &format!("{name}:{start}:65536\n");
        }
        if new == old {
            continue;
        }
        let mut file = File::create(file).map_err(|error| format!("{file}: {error}"))?;
        file.write_all(new.as_bytes()).map_err(|error| error.to_string())?;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).ok_or("not in /etc/passwd")?;
    let ids: Vec<u32> = line.split(':').skip(2).take(2).filter_map(|id| id.parse().ok()).collect();
    Ok((ids[0], ids[1]))
}
