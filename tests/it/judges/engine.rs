//! The real Docker Engine, for one test: its own directories, its own mount
//! namespace, no network, and nothing left of it afterwards.

use crate::procs;
use crate::sandbox::{Cmd, Sandbox, pause};
use crate::{skip, sys, users};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Engine<'t> {
    t: &'t Sandbox,
    daemon: Child,
    dir: PathBuf,
    /// Of the directory in /run and of the cgroup.
    name: String,
}

impl Engine<'_> {
    /// Starts it and waits until it answers.
    pub fn start(t: &Sandbox) -> Engine<'_> {
        if !users::have("dockerd") || !users::have("docker") {
            skip!("Docker (docker.io) is not installed");
        }
        // A socket's path is short.
        let name = format!("ccrun-it-{}", std::process::id());
        let dir = Path::new("/run").join(&name);
        std::fs::create_dir_all(&dir).expect("mkdir");
        let log = File::create(dir.join("log")).expect("create");
        // Engines of the age of Debian's take a host that has both kinds of cgroups for one of the new kind.
        let script = format!(
            "mount --make-rprivate /; umount /sys/fs/cgroup/unified 2>/dev/null
            mkdir -p /etc/docker; mount -t tmpfs none /etc/docker
            exec dockerd --bridge=none --iptables=false --ip6tables=false --data-root {} --exec-root $PWD/exec \
                -p $PWD/pid -H unix://$PWD/socket --cgroup-parent=/{name}",
            t.path("docker")
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script]).current_dir(&dir).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("dup")).stderr(log);
        sys::dies_with_us(&mut command);
        let daemon = command.spawn().expect("unshare");
        let mut engine = Engine { t, daemon, dir, name };
        let deadline = Instant::now() + Duration::from_secs(20);
        while engine.docker(&["version"]).out().status != 0 {
            let ended = engine.daemon.try_wait().expect("wait").is_some();
            if ended || Instant::now() > deadline {
                let log = std::fs::read_to_string(engine.dir.join("log")).unwrap_or_default();
                let fatal = log.lines().rfind(|line| !line.contains("level=")).or(log.lines().last());
                skip!("dockerd does not start here: {}", fatal.unwrap_or_default());
            }
            pause(100);
        }
        engine
    }

    pub fn docker(&self, args: &[&str]) -> Cmd {
        let socket = format!("unix://{}", self.dir.join("socket").display());
        self.t.command("docker", &[&["-H", &socket], args].concat()).timeout(120)
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let pid = self.daemon.id() as i32;
        let _ = sys::kill(pid, libc::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(15);
        while !matches!(self.daemon.try_wait(), Ok(Some(_)) | Err(_)) && Instant::now() < deadline {
            pause(20);
        }
        // What did not go with it; its mounts end with the last of them.
        for process in procs::descendants(std::process::id() as i32) {
            let _ = sys::kill(process.pid, libc::SIGKILL);
        }
        let _ = self.daemon.wait();
        for controller in crate::sandbox::list("/sys/fs/cgroup".as_ref()) {
            let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/{controller}/{}", self.name));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
