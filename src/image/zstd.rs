//! Streams compressed with zstd, which the `zstd` program decompresses for us.

use crate::error::{Error, Result};
use crate::sys::process::{die_with_parent, find_program};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A frame may ask for so much memory, and no more.
const MEMORY: &str = "--memory=128MB";

/// Where the program is; said before anything is downloaded.
pub fn program() -> Result<PathBuf> {
    find_program("zstd").ok_or_else(|| {
        Error::new("the image has layers compressed with zstd, and the program zstd is not on PATH")
            .hint("install it: apt-get install zstd, apk add zstd or dnf install zstd")
    })
}

/// Decompresses `source`, which this thread reads, into what `drain` reads in another thread. Gives what
/// `drain` made of it and, apart from that, how the program ended. That the source failed is for the caller
/// to find out: what came until then is decompressed.
pub fn decompress<T: Send>(
    source: &mut dyn Read,
    drain: impl FnOnce(&mut dyn BufRead) -> T + Send,
) -> Result<(T, Result<()>)> {
    let mut child = spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::new("zstd: no pipes"));
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
    let ended = end(child);
    drained.map(|drained| (drained, ended)).map_err(|_| Error::new("the thread that reads from zstd ended early"))
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

fn spawn() -> Result<Child> {
    let zstd = program()?;
    let mut command = Command::new(&zstd);
    die_with_parent(&mut command)
        .args(["--decompress", "--stdout", "--quiet", MEMORY])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io(format!("start {}", zstd.display()), &error))
}

/// Waits for the program; its own words if it failed.
fn end(mut child: Child) -> Result<()> {
    let mut message = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        let _ = stderr.take(4096).read_to_end(&mut message);
    }
    let status = child.wait().map_err(|error| Error::io("wait for zstd", &error))?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&message);
    Err(Error::new(format!("zstd: {} ({status})", text.lines().next().unwrap_or("failed"))))
}
