//! Logging in and out: how credentials come in, and what they open.

use crate::image::Image;
use crate::pty::Pty;
use crate::registry::{Door, Fault, Registry, base64};
use crate::sandbox::{Cmd, Sandbox, eventually, walk};
use crate::tar::Tar;
use crate::{cases, skip, users};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

cases! {
    Every:
        a_login_opens_what_was_closed_until_the_logout,
        a_registry_may_want_the_password_itself,
        an_identity_token_takes_the_passwords_place,
        a_wrong_password_changes_nothing,
        login_asks_at_the_terminal_and_shows_no_password,
        misuse_is_said,
        the_real_registry_takes_our_login_and_skopeo_our_file;
    Hub:
        docker_hub_is_the_default;
}

pub const PASSWORD: &str = Door::ALICE.password;
const IDENTITY: &str = "identity-0123456789abcdef";
pub const BASIC: Door = Door { basic: true, ..Door::ALICE };
pub const WITH_IDENTITY: Door = Door { identity: Some(IDENTITY), ..Door::ALICE };

pub fn app(t: &Sandbox) -> Image {
    Image::busybox(&t.busybox).layer(Tar::new().file("motd", 0o644, "served\n"))
}

/// A registry with an image behind a door, and the image's name.
pub fn closed(t: &Sandbox, door: Door) -> (Registry, String) {
    let registry = Registry::closed(door);
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    (registry, name)
}

pub fn login(t: &Sandbox, host: &str, password: &str) -> Cmd {
    t.ccrun(&["login", "-u", "alice", "--password-stdin", host]).stdin(format!("{password}\n"))
}

pub fn config(t: &Sandbox) -> PathBuf {
    t.dir.join("home/.docker/config.json")
}

pub fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON")
}

/// A file with one entry, and nothing else in it.
pub fn entry(key: &str, door: &Door) -> String {
    let auth = base64(&format!("{}:{}", door.username, door.password));
    json!({ "auths": { key: { "auth": auth } } }).to_string()
}

/// The small files below a directory that hold a text; the large ones are an image's own.
pub fn holding(dir: PathBuf, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&dir, &mut |path| {
        let is_small = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() < 65536);
        if is_small && std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)) {
            found.push(path.to_owned());
        }
    });
    found
}

fn a_login_opens_what_was_closed_until_the_logout(t: &Sandbox) {
    let (registry, name) = closed(t, Door::ALICE);
    t.ccrun(&["pull", &name]).out().error(1, "may require 'ccrun login'");
    t.file("home/.docker/config.json", r#"{"psFormat":"{{.ID}}","auths":{"other.example":{"auth":"eDp5"}}}"#);
    let out = login(t, &registry.host, PASSWORD).ok().prints("Login Succeeded\n");
    out.says("WARNING! Your credentials are stored unencrypted in '").says("/home/.docker/config.json'");
    let kept = read(config(t));
    assert_eq!(kept["auths"][&registry.host]["auth"], base64(&format!("alice:{PASSWORD}")));
    assert_eq!((&kept["psFormat"], &kept["auths"]["other.example"]["auth"]), (&json!("{{.ID}}"), &json!("eDp5")));
    let mode = std::fs::metadata(config(t)).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    registry.forget_log();
    t.ccrun(&["run", "--rm", &name, "cat", "/motd"]).ok().prints("served\n");
    let log = registry.log();
    let tokens: Vec<_> = log.iter().filter(|request| request.path.starts_with("/token")).collect();
    assert!(!tokens.is_empty() && tokens.iter().all(|request| request.header("authorization") == Door::ALICE.header()));
    for request in &log {
        assert!(!request.cdn || request.header("authorization").is_empty(), "{request:?}");
        let is_bearer = request.header("authorization").starts_with("Bearer ");
        assert!(!request.path.starts_with("/v2/") || is_bearer || request.header("authorization").is_empty());
        assert!(!request.path.contains("pa55"), "{}", request.path);
    }
    // Neither the password nor what it has bought is in the store.
    let found = [holding(t.store.clone(), "token-"), holding(t.store.clone(), "pa55")].concat();
    assert!(found.is_empty(), "{found:?}");
    // What is known is not asked for again.
    let again = t.ccrun(&["login", &registry.host]).ok();
    again.has("Authenticating with existing credentials... [Username: alice]\n").has("Login Succeeded\n").quiet();
    let removed = format!("Removing login credentials for {}\n", registry.host);
    t.ccrun(&["logout", &registry.host]).ok().prints(&removed).quiet();
    t.ccrun(&["logout", &registry.host]).ok().prints(&format!("Not logged in to {}\n", registry.host));
    assert_eq!(read(config(t))["auths"], json!({ "other.example": { "auth": "eDp5" } }));
    t.ccrun(&["pull", &name]).out().error(1, "may require 'ccrun login'");
}

fn a_registry_may_want_the_password_itself(t: &Sandbox) {
    let (registry, name) = closed(t, BASIC);
    t.ccrun(&["pull", &name]).out().error(1, "no basic auth credentials");
    login(t, &registry.host, "wrong").out().error(1, "unauthorized: incorrect username or password");
    login(t, &format!("https://{}/v2/", registry.host), PASSWORD).ok();
    registry.forget_log();
    t.ccrun(&["pull", &name]).ok();
    let log = registry.log();
    assert!(log.iter().any(|request| request.cdn), "{log:#?}");
    assert!(log.iter().all(|request| !request.cdn || request.header("authorization").is_empty()), "{log:#?}");
    assert!(!log.iter().any(|request| request.path.starts_with("/token")), "{log:#?}");
    // An old password gets what a wrong one gets.
    t.file("home/.docker/config.json", entry(&registry.host, &Door { password: "old", ..BASIC }));
    t.ccrun(&["pull", &name]).out().error(1, "unauthorized: incorrect username or password");
}

fn an_identity_token_takes_the_passwords_place(t: &Sandbox) {
    let (registry, name) = closed(t, WITH_IDENTITY);
    login(t, &registry.host, PASSWORD).ok();
    let kept = read(config(t));
    let kept = &kept["auths"][&registry.host];
    assert_eq!(kept, &json!({ "auth": base64("alice:"), "identitytoken": IDENTITY }));
    registry.forget_log();
    t.ccrun(&["pull", &name]).ok();
    let log = registry.log();
    assert!(log.iter().any(|request| request.method == "POST" && request.body.contains("client_id=ccrun")));
    for request in &log {
        assert!(!format!("{} {:?}", request.path, request.headers).contains(IDENTITY), "{request:?}");
        assert_eq!(request.body.contains(IDENTITY), request.method == "POST", "{request:?}");
    }
    assert!(holding(t.store.clone(), IDENTITY).is_empty());
    t.ccrun(&["login", &registry.host]).ok().has("Login Succeeded");
    // One that has been taken back.
    registry.switch(|switches| switches.door = Some(Door { identity: Some("another"), ..Door::ALICE }));
    t.ccrun(&["pull", &name]).out().error(1, "unauthorized: incorrect username or password");
}

fn a_wrong_password_changes_nothing(t: &Sandbox) {
    let (registry, _) = closed(t, Door::ALICE);
    let out = login(t, &registry.host, "wr0ng-password").out();
    let out = out.error(1, "unauthorized: incorrect username or password").prints("");
    assert!(!out.stderr.contains("wr0ng"), "{}", out.stderr);
    assert!(!config(t).exists());
    login(t, &registry.host, PASSWORD).ok();
    let before = std::fs::read(config(t)).expect("read");
    login(t, &registry.host, "wr0ng-password").out().error(1, "unauthorized");
    assert_eq!(std::fs::read(config(t)).expect("read"), before);
    // Nobody there, and somebody who is no registry.
    login(t, "localhost:1", PASSWORD).out().error(1, "localhost:1");
    let other = Registry::open();
    other.fault("/v2/", 1, Fault::Status(404, "", "<html>"));
    login(t, &other.host, PASSWORD).out().error(1, "there is no registry");
    assert_eq!(std::fs::read(config(t)).expect("read"), before);
}

fn login_asks_at_the_terminal_and_shows_no_password(t: &Sandbox) {
    let (registry, _) = closed(t, Door::ALICE);
    let start = || {
        let mut command = Command::new(&t.ccrun);
        command.args(["login", &registry.host]).env_clear().current_dir(&t.dir);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", t.dir.join("home"));
        let mut pty = Pty::spawn(command);
        let before = pty.flags();
        pty.expect("Username: ");
        pty.send("alice\n");
        pty.expect("Password: ");
        (pty, before)
    };
    for (key, status) in [("\x03", 130), ("\x1c", 131)] {
        let (mut pty, before) = start();
        assert_ne!(pty.flags(), before, "echo is off");
        pty.send(key);
        assert_eq!(pty.wait().0, status);
        assert_eq!(pty.flags(), before, "the terminal is as it was");
    }
    let (mut pty, before) = start();
    pty.send(&format!("{PASSWORD}\n"));
    let seen = pty.expect("Login Succeeded");
    assert!(!seen.contains("pa55"), "{seen}");
    let (status, seen) = pty.wait();
    assert!(status == 0 && !seen.contains("pa55"), "{status} {seen}");
    assert_eq!(pty.flags(), before);
    assert!(config(t).exists());
}

fn misuse_is_said(t: &Sandbox) {
    let (registry, _) = closed(t, Door::ALICE);
    let host = registry.host.as_str();
    let warning = "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n";
    t.ccrun(&["login", "-u", "alice", "-p", PASSWORD, host]).ok().says(warning);
    let out = t.ccrun(&["login", "-u", "alice", "-p", "x", "--password-stdin", host]).out().exit(1);
    out.says("--password and --password-stdin are mutually exclusive");
    t.ccrun(&["login", "--password-stdin", host]).out().error(1, "must provide --username with --password-stdin");
    t.ccrun(&["login", "-u", "alice", "--password-stdin", host]).stdin("\n").out().error(1, "password is required");
    t.ccrun(&["login", "-u", "al:ice", "--password-stdin", host]).stdin("x").out().error(1, "colon");
    t.ccrun(&["login", "-u", "alice", host]).out().error(1, "non TTY device");
    t.ccrun(&["login", "-u", "alice", "--password-stdin", "not a host"]).stdin("x").out().error(1, "'not a host'");
    t.ccrun(&["login", "a.example", "b.example"]).out().exit(1);
    // What --password tells everybody is not told for longer than needed.
    registry.fault("/v2/", 1, Fault::Stall(std::time::Duration::from_secs(2)));
    let running = t.ccrun(&["login", "-u", "alice", "-p", PASSWORD, host]).spawn();
    let cmdline = || std::fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).unwrap_or_default();
    // Before its exec it still has our own command line.
    eventually("the password is gone from the command line", || {
        cmdline().contains("login") && !cmdline().contains("pa55")
    });
    running.wait();
}

fn the_real_registry_takes_our_login_and_skopeo_our_file(t: &Sandbox) {
    if !users::have("docker-registry") || !users::have("skopeo") {
        skip!("docker-registry and skopeo are not both installed");
    }
    let password = "pa:ss wörd";
    // bcrypt, as `htpasswd -nbB user 'pa:ss wörd'` writes it.
    t.file("htpasswd", "user:$2y$05$abcdefghijklmnopqrstuuHYAqSTZaD2G3ZsfHYCUGgOo5vA33Sre\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port();
    let host = format!("127.0.0.1:{port}");
    let settings = json!({
        "version": 0.1, "storage": { "filesystem": { "rootdirectory": t.path("registry") } },
        "http": { "addr": host }, "log": { "level": "error" },
        "auth": { "htpasswd": { "realm": "test", "path": t.path("htpasswd") } },
    });
    let settings = t.file("registry.yml", settings.to_string());
    let real = t.command("docker-registry", &["serve", &settings]).spawn();
    eventually("the registry answers", || std::net::TcpStream::connect(&host).is_ok());
    let login = |password: &str| {
        t.ccrun(&["login", "-u", "user", "--password-stdin", &host])
            .stdin(password)
            .env("DOCKER_CONFIG", t.path("docker"))
    };
    login("wrong").out().error(1, "unauthorized: incorrect username or password");
    login(password).ok();
    let source = Registry::open();
    source.push("some/app", "v1", &app(t));
    let (from, to) = (format!("docker://{}/some/app:v1", source.host), format!("docker://{host}/some/app:v1"));
    let authfile = t.path("docker/config.json");
    let copy = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"];
    t.command("skopeo", &[&copy[..], &["--dest-authfile", &authfile, &from, &to]].concat()).ok();
    let name = format!("{host}/some/app:v1");
    t.ccrun(&["pull", &name]).out().error(1, "no basic auth credentials");
    let run = ["run", "--rm", &name, "cat", "/motd"];
    t.ccrun(&run).env("DOCKER_CONFIG", t.path("docker")).ok().prints("served\n");
    // What skopeo's login writes is found as well.
    let other = t.path("skopeo.json");
    let args = ["login", "--tls-verify=false", "--authfile", &other, "-u", "user", "--password-stdin", &host];
    t.command("skopeo", &args).stdin(password).ok();
    t.ccrun(&["pull", &name]).env("REGISTRY_AUTH_FILE", &other).ok();
    real.signal(libc::SIGTERM);
    real.wait();
}

fn docker_hub_is_the_default(t: &Sandbox) {
    let hub = Registry::hub();
    hub.push("library/alpine", "latest", &app(t));
    hub.switch(|switches| switches.door = Some(Door::ALICE));
    t.ccrun(&["pull", "alpine"]).out().exit(1);
    login(t, "docker.io", "wrong").out().error(1, "unauthorized: incorrect username or password");
    t.ccrun(&["login", "-u", "alice", "--password-stdin"]).stdin(PASSWORD).ok().prints("Login Succeeded\n");
    assert!(read(config(t))["auths"]["https://index.docker.io/v1/"]["auth"].is_string());
    hub.forget_log();
    t.ccrun(&["pull", "alpine"]).ok();
    for request in hub.log() {
        let (host, shown) = (request.host().to_owned(), request.header("authorization"));
        let right = match host.as_str() {
            "auth.docker.io" => shown == Door::ALICE.header(),
            "registry-1.docker.io" => shown.is_empty() || shown.starts_with("Bearer "),
            _ => shown.is_empty(),
        };
        assert!(right, "{request:?}");
    }
    let removed = "Removing login credentials for https://index.docker.io/v1/\n";
    t.ccrun(&["logout", "registry-1.docker.io"]).ok().prints(removed);
}
