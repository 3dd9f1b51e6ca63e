//! The registry that others are measured by, `docker-registry`, with skopeo to fill it:
//! over plain HTTP, over TLS, and with tokens that it checks itself.

use crate::image::Image;
use crate::sandbox::{Sandbox, pause};
use crate::{cases, skip, sys, users};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

cases! {
    Hub:
        what_skopeo_pushes_is_pulled,
        tokens_that_the_registry_checks,
}

/// The ports are this test's own: it has a network namespace for itself.
const PORT: u16 = 5000;
const REALM_PORT: u16 = 5001;

/// docker-registry with an empty store; ends with the test.
struct Distribution(Child);

impl Distribution {
    fn start(t: &Sandbox, more: &str) -> Distribution {
        if !users::have("docker-registry") || !users::have("skopeo") {
            skip!("docker-registry and skopeo are not both installed");
        }
        let storage = format!("{{ filesystem: {{ rootdirectory: {} }} }}", t.path("storage"));
        let config = format!("version: 0.1\nlog: {{ level: error }}\nstorage: {storage}\n{more}\n");
        let config = t.file("registry.yml", config);
        let log = std::fs::File::create(t.dir.join("registry.log")).expect("create");
        let mut command = Command::new("docker-registry");
        command.args(["serve", &config]).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("dup")).stderr(log);
        sys::dies_with_us(&mut command);
        let mut registry = Distribution(command.spawn().expect("docker-registry"));
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", PORT)).is_ok() {
                return registry;
            }
            if registry.0.try_wait().expect("wait").is_some() {
                break;
            }
            pause(10);
        }
        panic!("docker-registry: {}", std::fs::read_to_string(t.dir.join("registry.log")).unwrap_or_default());
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pushes an image by skopeo.
fn push(t: &Sandbox, image: &Image, flags: &[&str], name: &str) {
    image.write_layout(&t.dir.join("layout"));
    let to = format!("docker://{name}");
    t.command("skopeo", &[&["--insecure-policy", "copy"], flags, &["oci:layout:v1", &to]].concat()).ok();
}

fn what_skopeo_pushes_is_pulled(t: &Sandbox) {
    let image = Image::busybox(&t.busybox).layer(crate::tar::Tar::new().file("from", 0o644, "skopeo"));
    let hub = Path::new(&t.it).with_file_name("hub").display().to_string();
    let tls = format!("tls: {{ certificate: {hub}/server.pem, key: {hub}/server.pem }}");
    for (host, tls, flags) in
        [("localhost", "", &["--dest-tls-verify=false"][..]), ("registry-1.docker.io", &tls, &["--format=v2s2"][..])]
    {
        let registry = Distribution::start(t, &format!("http: {{ addr: 127.0.0.1:{PORT}, {tls} }}"));
        let name = format!("{host}:{PORT}/some/app:v1");
        push(t, &image, flags, &name);
        t.ccrun(&["run", "--rm", &name, "cat", "/from"]).ok().prints("skopeo");
        t.ccrun(&["pull", &name]).ok().has("Image is up to date");
        t.ccrun(&["pull", &format!("{host}:{PORT}/some/other:v1")]).out().error(1, "some/other");
        t.ccrun(&["rmi", &name]).ok();
        drop(registry);
        std::fs::remove_dir_all(t.dir.join("storage")).expect("remove the registry's store");
    }
    t.nothing_left();
}

fn tokens_that_the_registry_checks(t: &Sandbox) {
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout key.pem -out cert.pem";
    t.command("sh", &["-c", make]).ok();
    let realm = Realm::start(t);
    let auth = format!(
        "auth: {{ token: {{ realm: 'http://localhost:{REALM_PORT}/token', service: tests, issuer: tests, \
         rootcertbundle: {} }} }}",
        t.path("cert.pem")
    );
    let _registry = Distribution::start(t, &format!("http: {{ addr: 127.0.0.1:{PORT} }}\n{auth}"));
    let [one, other] = ["one", "other"].map(|name| format!("localhost:{PORT}/some/{name}:v1"));
    for name in [&one, &other] {
        push(t, &Image::busybox(&t.busybox), &["--dest-tls-verify=false"], name);
    }
    t.ccrun(&["run", "--rm", &one, "echo", "with a token"]).ok().prints("with a token\n");
    // A token for something else is of no use, and that is said.
    realm.grant_only("some/one");
    t.ccrun(&["pull", &other]).out().error(1, "some/other");
    t.nothing_left();
}

/// Signs whatever it is asked for, as a token server does when it knows who asks.
struct Realm(std::sync::Arc<std::sync::Mutex<Option<String>>>);

impl Realm {
    fn start(t: &Sandbox) -> Realm {
        let listener = TcpListener::bind(("127.0.0.1", REALM_PORT)).expect("bind");
        let only = Realm(std::sync::Arc::default());
        let (shared, dir) = (only.0.clone(), t.dir.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let only = shared.lock().expect("lock").clone();
                let body = json!({ "token": token(&dir, &request, only), "expires_in": 60 }).to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                let _ = write!(&stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        only
    }

    fn grant_only(&self, repository: &str) {
        *self.0.lock().expect("lock") = Some(repository.to_owned());
    }
}

/// A JSON Web Token for the scope in a request line `GET /token?service=tests&scope=repository:NAME:ACTIONS HTTP/1.1`.
fn token(dir: &Path, request: &str, only: Option<String>) -> String {
    let query = request.split(' ').nth(1).and_then(|path| path.split_once('?')).map_or("", |(_, query)| query);
    let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
    let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let mut access = Vec::new();
    if let [kind, name, actions] = scope.split(':').collect::<Vec<_>>()[..] {
        let actions: Vec<&str> = actions.split(',').collect();
        access.push(json!({ "type": kind, "name": only.as_deref().unwrap_or(name), "actions": actions }));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = json!({
        "iss": "tests", "aud": "tests", "sub": "", "jti": "1", "access": access,
        "iat": now, "nbf": now - 10, "exp": now + 60,
    });
    let script = r#"
        b64() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
        chain=$(openssl x509 -in cert.pem -outform DER | openssl base64 -A)
        head=$(printf '{"typ":"JWT","alg":"RS256","x5c":["%s"]}' "$chain" | b64)
        body=$head.$(printf %s "$0" | b64)
        printf %s "$body.$(printf %s "$body" | openssl dgst -sha256 -sign key.pem | b64)""#;
    let out = Command::new("sh").args(["-c", script, &claims.to_string()]).current_dir(dir).output().expect("sh");
    String::from_utf8(out.stdout).expect("UTF-8")
}
