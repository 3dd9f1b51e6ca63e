//! What each test gets: a directory with a store of its own, and ccrun run in it as a user would.

use crate::sys;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who runs the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Root,
    /// An ordinary user with newuidmap and a subuid range.
    Subuid,
    /// An ordinary user without: only one id exists inside.
    Nosubuid,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Root, Mode::Subuid, Mode::Nosubuid];

    pub fn name(self) -> &'static str {
        match self {
            Mode::Root => "root",
            Mode::Subuid => "subuid",
            Mode::Nosubuid => "nosubuid",
        }
    }
}

#[derive(Clone)]
pub struct Sandbox {
    pub mode: Mode,
    /// A directory for this test alone; removed afterwards.
    pub dir: PathBuf,
    /// $CCRUN_ROOT of every ccrun of this test.
    pub store: PathBuf,
    pub ccrun: String,
    /// The tests' own binary.
    pub it: String,
    pub busybox: String,
    pub alpine: String,
}

impl Sandbox {
    pub fn ccrun(&self, args: &[&str]) -> Cmd {
        let mut cmd = self.command(&self.ccrun, args);
        cmd.command.env("CCRUN_ROOT", &self.store);
        cmd
    }

    /// The same with another store.
    pub fn with_store(&self, name: &str) -> Sandbox {
        Sandbox { store: self.dir.join(name), ..self.clone() }
    }

    /// `ccrun run --rm --rootfs BUSYBOX` with more arguments.
    pub fn run(&self, args: &[&str]) -> Cmd {
        self.ccrun(&[&["run", "--rm", "--rootfs", &self.busybox], args].concat())
    }

    /// `ccrun run --rm --rootfs BUSYBOX /bin/sh -c SCRIPT`.
    pub fn sh(&self, script: &str) -> Cmd {
        self.run(&["/bin/sh", "-c", script])
    }

    /// Any program, in the environment that ccrun gets.
    pub fn command(&self, program: &str, args: &[&str]) -> Cmd {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir(&self.dir);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.dir.join("home"));
        Cmd { command, shown: shown(program, args), stdin: None, timeout: Duration::from_secs(60) }
    }

    /// A file of this test's directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(&path, content).expect("write");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// No container, half-made layer or mount of this store is left.
    pub fn nothing_left(&self) {
        for sub in ["containers", "tmp"] {
            let left = list(&self.store.join(sub));
            assert!(left.is_empty(), "left in the store's {sub}: {left:?}");
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let store = self.store.to_str().expect("UTF-8");
        assert!(!mounts.contains(store), "a mount of the store is left:\n{mounts}");
    }

    /// The names of all files below the store, to compare before and after.
    pub fn store_listing(&self) -> Vec<String> {
        let mut all = Vec::new();
        walk(&self.store, &mut |path| all.push(path.strip_prefix(&self.store).expect("below").display().to_string()));
        all.sort();
        all
    }

    /// The layers in the store, by diff id; what lies beside them is the store's own affair.
    pub fn layers(&self) -> Vec<String> {
        self.names_in("layers").into_iter().filter(|name| !name.contains('.')).collect()
    }

    /// What can be seen in the store without asking ccrun.
    pub fn names_in(&self, sub: &str) -> Vec<String> {
        list(&self.store.join(sub))
    }
}

/// Sorted names in a directory; empty when it isn't there.
pub fn list(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("read_dir").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every path below `dir`, links not followed.
pub fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        visit(&path);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, visit);
        }
    }
}

fn shown(program: &str, args: &[&str]) -> String {
    let program = program.rsplit('/').next().unwrap_or(program);
    let mut shown = std::iter::once(&program).chain(args).fold(String::new(), |all, arg| all + arg + " ");
    shown.truncate(shown.char_indices().nth(300).map_or(shown.len(), |(at, _)| at));
    shown.trim_end().to_owned()
}

/// A command about to be run.
pub struct Cmd {
    command: Command,
    shown: String,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
}

impl Cmd {
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Cmd {
        self.command.env(name, value);
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Cmd {
        self.stdin = Some(bytes.into());
        self
    }

    pub fn with_all_signals_blocked(mut self) -> Cmd {
        sys::blocks_all_signals(&mut self.command);
        self
    }

    /// As another user; only root can.
    pub fn user(mut self, uid: u32, gid: u32) -> Cmd {
        self.command.uid(uid).gid(gid);
        self
    }

    /// The same with supplementary groups.
    pub fn user_in_groups(mut self, uid: u32, gid: u32, groups: &[u32]) -> Cmd {
        sys::becomes_user(&mut self.command, uid, gid, groups.to_vec());
        self
    }

    pub fn timeout(mut self, seconds: u64) -> Cmd {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Runs it to its end.
    pub fn out(self) -> Out {
        self.spawn().wait()
    }

    /// Runs it to its end; it must succeed.
    pub fn ok(self) -> Out {
        self.out().exit(0)
    }

    /// Runs it to its end with our own output, however long that takes; its status.
    pub fn through(mut self) -> i32 {
        let status =
            self.command.stdin(Stdio::null()).status().unwrap_or_else(|error| panic!("{}: {error}", self.shown));
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    pub fn spawn(mut self) -> Running {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.shown));
        if let Some(bytes) = self.stdin {
            let mut pipe = child.stdin.take().expect("stdin");
            // Not joined: a command that doesn't read its input must not hold up the test.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let stdout = collect(child.stdout.take().expect("stdout"));
        let stderr = collect(child.stderr.take().expect("stderr"));
        Running { child, shown: self.shown, stdout, stderr, deadline: Instant::now() + self.timeout }
    }
}

/// What a pipe has brought so far, and whether it is at its end.
type Collected = std::sync::Arc<std::sync::Mutex<(Vec<u8>, bool)>>;

fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let all = Collected::default();
    let filled = all.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(n) = pipe.read(&mut buffer)
            && n > 0
        {
            filled.lock().expect("lock").0.extend_from_slice(&buffer[..n]);
        }
        filled.lock().expect("lock").1 = true;
    });
    all
}

/// A command that runs in the background.
pub struct Running {
    child: Child,
    shown: String,
    stdout: Collected,
    stderr: Collected,
    deadline: Instant,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: i32) {
        sys::kill(self.pid(), signal).expect("kill");
    }

    /// Waits until standard output holds `text`.
    pub fn until(&self, text: &str) -> &Running {
        while !String::from_utf8_lossy(&self.stdout.lock().expect("lock").0).contains(text) {
            let ended = self.stdout.lock().expect("lock").1;
            if ended || Instant::now() > self.deadline {
                let stderr = String::from_utf8_lossy(&self.stderr.lock().expect("lock").0).into_owned();
                panic!("`{}` never printed {text:?}; stderr: {stderr}", self.shown);
            }
            pause(5);
        }
        self
    }

    pub fn wait(mut self) -> Out {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > self.deadline {
                let _ = sys::kill(-self.pid(), libc::SIGKILL);
                let _ = self.child.wait();
                let (out, err) = (self.stdout.lock().expect("lock"), self.stderr.lock().expect("lock"));
                let (out, err) = (String::from_utf8_lossy(&out.0), String::from_utf8_lossy(&err.0));
                panic!("`{}` did not end in time\nstdout: {out:.2000}\nstderr: {err:.2000}", self.shown);
            }
            pause(2);
        };
        // Its pipes end with it, unless it left someone behind who holds them.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(self.stdout.lock().expect("lock").1 && self.stderr.lock().expect("lock").1) {
            assert!(Instant::now() < deadline, "`{}` ended, but someone still holds its output", self.shown);
            pause(2);
        }
        let bytes = std::mem::take(&mut self.stdout.lock().expect("lock").0);
        let stderr = String::from_utf8_lossy(&self.stderr.lock().expect("lock").0).into_owned();
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Out { shown: self.shown, status, stdout, stderr }
    }
}

/// How a command ended. The methods check one thing each and hand it on.
pub struct Out {
    pub shown: String,
    /// The exit status, 128 + N for a signal, as a shell says it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let Out { shown, status, stdout, stderr, .. } = self;
        panic!("{what}\n  command: {shown}\n  status: {status}\n  stdout: {stdout:.3000}\n  stderr: {stderr:.3000}")
    }

    #[track_caller]
    pub fn exit(self, status: i32) -> Out {
        if self.status != status {
            self.fail(&format!("status should be {status}"));
        }
        self
    }

    #[track_caller]
    pub fn prints(self, stdout: &str) -> Out {
        if self.stdout != stdout {
            self.fail(&format!("stdout should be {stdout:?}"));
        }
        self
    }

    #[track_caller]
    pub fn has(self, text: &str) -> Out {
        if !self.stdout.contains(text) {
            self.fail(&format!("stdout should hold {text:?}"));
        }
        self
    }

    #[track_caller]
    pub fn lacks(self, text: &str) -> Out {
        if self.stdout.contains(text) {
            self.fail(&format!("stdout should not hold {text:?}"));
        }
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Out {
        if !self.stderr.contains(text) {
            self.fail(&format!("stderr should hold {text:?}"));
        }
        self
    }

    #[track_caller]
    pub fn quiet(self) -> Out {
        if !self.stderr.is_empty() {
            self.fail("stderr should be empty");
        }
        self
    }

    /// One clear line of ccrun's own, and nothing else.
    #[track_caller]
    pub fn error(self, status: i32, text: &str) -> Out {
        let out = self.exit(status).says(text);
        let line = out.stderr.strip_suffix('\n').unwrap_or(&out.stderr);
        if !out.stderr.starts_with("ccrun: ") || line.contains('\n') {
            out.fail("stderr should be one line that begins with \"ccrun: \"");
        }
        if line.bytes().any(|byte| byte < b' ') {
            out.fail("an error line should have no control characters");
        }
        out
    }

    pub fn line(&self) -> &str {
        self.stdout.trim_end_matches('\n')
    }
}

pub fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Tries until it is so, or ten seconds have passed.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        pause(10);
    }
}
