//! Credential helpers: programs that keep secrets for Docker (`docker-credential-NAME`).
//!
//! The program is started with `get`, `store` or `erase`; what it is about goes to its
//! stdin, and what it says, errors too, comes from its stdout.

use super::server::Server;
use super::{Credential, Secret};
use crate::error::{Error, Result};
use crate::json::json;
use crate::sys::fs;
use crate::sys::poll::poll;
use crate::sys::process::{die_with_parent, find_program};
use serde_json::Value;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long one may take, which may ask the user for something.
const PATIENCE: Duration = Duration::from_secs(120);
const ANSWER_MAX: usize = 64 << 10;
/// The name under which an identity token is kept.
const TOKEN: &str = "<token>";

/// A helper, and the file that says to use it.
pub struct Helper<'a> {
    pub name: &'a str,
    pub file: &'a Path,
}

impl Helper<'_> {
    /// What it has for a registry.
    pub fn get(&self, server: &Server) -> Result<Option<Credential>> {
        let (status, said) = self.run("get", server.key())?;
        if status.success() {
            return read(&said).ok_or_else(|| self.failed("get", "its answer holds no credentials"));
        }
        let said = String::from_utf8_lossy(&said);
        // The protocol has no other way to say so.
        if said.contains("credentials not found") { Ok(None) } else { Err(self.failed("get", &said)) }
    }

    pub fn store(&self, server: &Server, credential: &Credential) -> Result<()> {
        let (username, secret) = match &credential.secret {
            Secret::Password(password) => (credential.username.as_str(), password),
            Secret::IdentityToken(token) => (TOKEN, token),
        };
        let input = json!({ "ServerURL": server.key(), "Username": username, "Secret": secret });
        self.succeed("store", &input.to_string())
    }

    pub fn erase(&self, server: &Server) -> Result<()> {
        self.succeed("erase", server.key())
    }

    fn succeed(&self, action: &str, input: &str) -> Result<()> {
        let (status, said) = self.run(action, input)?;
        if status.success() { Ok(()) } else { Err(self.failed(action, &String::from_utf8_lossy(&said))) }
    }

    /// Runs it with its input; gives how it ended and what it said.
    fn run(&self, action: &str, input: &str) -> Result<(ExitStatus, Vec<u8>)> {
        let program = format!("docker-credential-{}", self.name);
        let file = self.file.display();
        // A name with a slash would be a path to anywhere.
        let path = if self.name.contains('/') { None } else { find_program(&program) };
        let path = path.ok_or_else(|| {
            Error::new(format_args!("the credential helper {program} is not on PATH"))
                .hint(format_args!("install it, or take it out of {file}"))
        })?;
        let mut command = Command::new(&path);
        let child = die_with_parent(&mut command)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(format_args!("start {}", path.display()), &error))?;
        converse(child, input).map_err(|error| error.context(program))
    }

    fn failed(&self, action: &str, said: &str) -> Error {
        let said = said.trim().lines().next().filter(|line| !line.is_empty()).unwrap_or("it did not say why");
        let said: String = said.chars().take(300).collect();
        Error::new(format_args!("the credential helper docker-credential-{} failed to {action}: {said}", self.name))
            .hint(format_args!("it is named in {}", self.file.display()))
    }
}

/// Gives a program its input, and takes what it says until it ends.
fn converse(mut child: Child, input: &str) -> Result<(ExitStatus, Vec<u8>)> {
    let deadline = Instant::now() + PATIENCE;
    if let Some(mut stdin) = child.stdin.take() {
        // It is less than a pipe holds. Whoever doesn't read it says why, or not.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut said = Vec::new();
    let heard = child.stdout.as_ref().map_or(Ok(()), |stdout| listen(stdout.as_fd(), &mut said, deadline));
    let ended = heard.and_then(|()| end(&mut child, deadline));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok((ended?, said))
}

/// Waits for the end of a program that has nothing more to say.
fn end(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => return Err(too_late()),
            Err(error) => return Err(Error::io("wait for its end", &error)),
        }
    }
}

/// Reads to the end, or until it is too late.
fn listen(stdout: BorrowedFd<'_>, said: &mut Vec<u8>, deadline: Instant) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_late());
        }
        if poll(&[stdout], left.as_millis() as i32)?.first() != Some(&true) {
            continue;
        }
        match fs::read(stdout, &mut buffer)? {
            0 => return Ok(()),
            length => said.extend_from_slice(&buffer[..length]),
        }
        if said.len() > ANSWER_MAX {
            return Err(Error::new("it says too much"));
        }
    }
}

fn too_late() -> Error {
    Error::new(format_args!("no answer within {} seconds", PATIENCE.as_secs()))
}

/// The answer to `get`. An empty one means that there is nothing, too.
fn read(answer: &[u8]) -> Option<Option<Credential>> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (username, secret) = (text("Username")?, text("Secret")?);
    Some(match username {
        TOKEN => Some(Credential::identity_token("", secret)),
        _ if username.is_empty() && secret.is_empty() => None,
        _ => Some(Credential::password(username, secret)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    #[test]
    fn a_program_that_never_ends_is_ended() {
        for script in ["exec sleep 60", "exec >&-; exec sleep 60"] {
            let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
            let soon = Instant::now() + Duration::from_millis(200);
            let heard = listen(child.stdout.as_ref().unwrap().as_fd(), &mut Vec::new(), soon);
            let error = heard.and_then(|()| end(&mut child, soon)).err().unwrap();
            assert_eq!(error.to_string(), "no answer within 120 seconds");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn answers_are_read_in_all_their_forms() {
        let read = |answer: &str| read(answer.as_bytes());
        let found = read(r#"{"ServerURL":"r.io","Username":"u","Secret":"p"}"#);
        assert!(found == Some(Some(Credential::password("u", "p"))));
        let found = read(r#"{"ServerURL":"r.io","Username":"<token>","Secret":"t"}"#);
        assert!(found == Some(Some(Credential::identity_token("", "t"))));
        assert!(read(r#"{"Username":"","Secret":""}"#) == Some(None));
        for bad in ["", "{}", "[]", r#"{"Username":"u"}"#, r#"{"Username":7,"Secret":"p"}"#] {
            assert!(read(bad).is_none(), "{bad}");
        }
        mutation::each(&[r#"{"ServerURL":"r.io","Username":"<token>","Secret":"t"}"#], 2000, |bytes| {
            drop(super::read(bytes));
        });
    }

    #[test]
    fn a_helper_that_is_not_there_is_named_with_its_file() {
        let server = Server::parse("r.io").unwrap();
        for name in ["no-such", "../../bin/sh"] {
            let helper = Helper { name, file: Path::new("/h/config.json") };
            let error = helper.get(&server).err().unwrap().to_string();
            let start = format!("the credential helper docker-credential-{name} is not on PATH; ");
            assert!(error.starts_with(&start) && error.ends_with("/h/config.json"), "{error}");
        }
    }
}
