//! `ccrun login`.

use crate::cli::args::{Command, One, Parsed, Switch, one, switch};
use crate::cli::output::progress::Stream;
use crate::cli::{output, prompt};
use crate::error::{Error, Result, Visible};
use crate::image::registry::auth;
use crate::image::registry::credentials::{self, Credential, Kept, Secret, Server};
use crate::sys::process;
use std::io::{IsTerminal, Read};

/// No password is longer; some are tokens of several thousand characters.
const PASSWORD_MAX: u64 = 64 << 10;

const USERNAME: One = one(Some('u'), "username", "NAME", "Username");
const PASSWORD: One =
    one(Some('p'), "password", "PASSWORD", "Password or access token; everybody on the machine can see it here");
const PASSWORD_STDIN: Switch = switch(None, "password-stdin", "Read the password or access token from standard input");

pub static COMMAND: Command = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    summary: "Log in to a registry, Docker Hub unless it is named",
    flags: &[USERNAME.flag, PASSWORD.flag, PASSWORD_STDIN.flag],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let server = server(parsed)?;
    let username = parsed.text(USERNAME)?.map(str::trim).filter(|name| !name.is_empty());
    let password = given_password(parsed, username)?;
    if username.is_none()
        && password.is_none()
        && let Some(known) = credentials::find(&server, "")?
    {
        return again(&server, &known);
    }
    let credential = complete(&server, username, password)?;
    let kept = auth::verify(&server.api()?, &credential)?;
    if let Kept::File(path) = credentials::keep(&server, &kept)? {
        Stream::Stderr.line(&format!(
            "WARNING! Your credentials are stored unencrypted in '{}'. Configure a credential helper to remove this warning.",
            Visible(&path.to_string_lossy())
        ));
    }
    output::print("Login Succeeded\n")?;
    Ok(0)
}

/// The registry that the command line names.
pub fn server(parsed: &Parsed) -> Result<Server> {
    parsed.words()?.first().map_or_else(|| Ok(Server::hub()), |word| Server::parse(word))
}

/// The password, if the command line or stdin has it.
fn given_password(parsed: &Parsed, username: Option<&str>) -> Result<Option<String>> {
    let from_stdin = parsed.is_on(PASSWORD_STDIN);
    if let Some(password) = parsed.one(PASSWORD) {
        // It has been seen already, but need not be seen any longer.
        let _ = process::set_title("ccrun login");
        Stream::Stderr.line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if from_stdin {
            return Err(Error::new("--password and --password-stdin are mutually exclusive"));
        }
        let password = password.to_str().ok_or_else(|| Error::new("the password is not valid UTF-8"))?;
        return Ok(Some(password.to_owned()).filter(|password| !password.is_empty()));
    }
    if !from_stdin {
        return Ok(None);
    }
    if username.is_none() {
        return Err(Error::new("must provide --username with --password-stdin"));
    }
    let mut password = String::new();
    let read = std::io::stdin().take(PASSWORD_MAX).read_to_string(&mut password);
    read.map_err(|error| Error::io("read the password from stdin", &error))?;
    let line = password.strip_suffix('\n').unwrap_or(&password);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Error::new("password is required").hint("nothing came from stdin"));
    }
    Ok(Some(line.to_owned()))
}

/// Asks at the terminal for what is not given.
fn complete(server: &Server, username: Option<&str>, password: Option<String>) -> Result<Credential> {
    if (username.is_none() || password.is_none()) && !std::io::stdin().is_terminal() {
        return Err(Error::new("cannot perform an interactive login from a non TTY device")
            .hint("give --username, and the password with --password-stdin"));
    }
    if username.is_none() && *server == Server::hub() {
        output::print("Log in with your Docker ID or email address to pull images from Docker Hub.\n")?;
    }
    let username = username.map_or_else(|| prompt::line("Username: "), |username| Ok(username.to_owned()))?;
    let username = username.trim();
    if username.is_empty() {
        return Err(Error::new("username is required"));
    }
    if username.contains(':') {
        return Err(Error::new("a username cannot have a colon in it"));
    }
    let password = password.map_or_else(|| prompt::hidden_line("Password: "), Ok)?;
    if password.is_empty() {
        return Err(Error::new("password is required"));
    }
    Ok(Credential::password(username, password))
}

/// Nobody is asked for what is known; that it still opens the door is all there is to see.
fn again(server: &Server, known: &Credential) -> Result<u8> {
    let name = match &known.secret {
        Secret::Password(_) => format!(" [Username: {}]", Visible(&known.username)),
        Secret::IdentityToken(_) => String::new(),
    };
    output::print(&format!("Authenticating with existing credentials...{name}\n"))?;
    auth::verify(&server.api()?, known).map_err(|error| {
        error.hint(format_args!("to log in with a different account, run 'ccrun logout {server}' or give --username"))
    })?;
    output::print("Login Succeeded\n")?;
    Ok(0)
}
