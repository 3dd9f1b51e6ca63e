//! Streams that a program decompresses for us: zstd, xz and bzip2.

use crate::error::{Error, Result};
use crate::sys::process::{die_with_parent, find_program};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A program that decompresses its standard input.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    pub name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// The package that has it in Debian; elsewhere it is called as the program.
    debian: &'static str,
}

/// A frame may ask for so much memory, and no more.
pub static ZSTD: Program = Program {
    name: "zstd",
    arguments: &["--decompress", "--stdout", "--quiet", "--memory=128MB"],
    environment: &[],
    debian: "zstd",
};
/// BusyBox has these two as well, which know the short options alone.
pub static XZ: Program = Program {
    name: "xz",
    arguments: &["-dc"],
    environment: &[("XZ_DEFAULTS", "--memlimit-decompress=256MiB --threads=1")],
    debian: "xz-utils",
};
pub static BZIP2: Program = Program { name: "bzip2", arguments: &["-dc"], environment: &[], debian: "bzip2" };

impl Program {
    /// Where it is.
    pub fn find(&self) -> Result<PathBuf> {
        let Program { name, debian, .. } = self;
        find_program(name).ok_or_else(|| {
            Error::new(format_args!("compressed with {name}, and the program {name} is not on PATH"))
                .hint(format_args!("install it: apt-get install {debian}, apk add {name} or dnf install {name}"))
        })
    }

    fn start(&self) -> Result<Child> {
        let path = self.find()?;
        let mut command = Command::new(&path);
        die_with_parent(&mut command)
            .args(self.arguments)
            .env_clear()
            .envs(self.environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(format_args!("start {}", path.display()), &error))
    }

    /// Waits for it; its own words if it failed.
    fn end(&self, mut child: Child) -> Result<()> {
        let mut message = Vec::new();
        if let Some(stderr) = &mut child.stderr {
            let _ = stderr.take(4096).read_to_end(&mut message);
        }
        let name = self.name;
        let status = child.wait().map_err(|error| Error::io(format_args!("wait for {name}"), &error))?;
        if status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&message);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("failed");
        let own = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
        Err(Error::new(format_args!("{name}: {own} ({status})")))
    }
}

/// Decompresses `source`, which this thread reads, into what `drain` reads in another thread. Gives what
/// `drain` made of it and, apart from that, how the program ended. That the source failed is for the caller
/// to find out: what came until then is decompressed.
pub fn decompress<T: Send>(
    program: &Program,
    source: &mut dyn Read,
    drain: impl FnOnce(&mut dyn BufRead) -> T + Send,
) -> Result<(T, Result<()>)> {
    let mut child = program.start()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::new(format_args!("{}: no pipes", program.name)));
    };
    let drained = std::thread::scope(|scope| {
        let drain = scope.spawn(move || {
            let mut plain = BufReader::with_capacity(128 << 10, stdout);
            let drained = drain(&mut plain);
            // A program that still has something to say would wait for us for ever.
            drop(plain);
            drained
        });
        feed(source, &mut stdin);
        drop(stdin);
        drain.join()
    });
    let ended = program.end(child);
    let early = || Error::new(format_args!("the thread that reads from {} ended early", program.name));
    drained.map(|drained| (drained, ended)).map_err(|_| early())
}

/// Copies until one side has enough. That the program takes no more it says itself at its end.
fn feed(source: &mut dyn Read, stdin: &mut dyn Write) {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if stdin.write_all(&buffer[..length]).is_err() => return,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
