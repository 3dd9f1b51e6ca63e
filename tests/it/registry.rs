//! A stand-in for a registry: token service, manifests, blobs that live on
//! another host, a log of all requests, and faults on demand.

use crate::image::{Blob, Image, index};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    /// Asked of the host that holds the blobs.
    pub cdn: bool,
}

/// What goes wrong instead of the right answer.
#[derive(Clone)]
pub enum Fault {
    /// A status with headers and a body.
    Status(u16, &'static str, &'static str),
    /// The right length, one bit wrong.
    WrongByte,
    /// The body ends here, though its length was promised, and the connection with it.
    CutAt(usize),
    /// Nothing at all comes back; the connection is reset.
    Reset,
    /// Some of the body, then silence.
    Stall(Duration),
    /// More bytes than there should be.
    Longer,
}

struct Planned {
    part: String,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    /// (repository, tag or digest) → (media type, document)
    manifests: HashMap<(String, String), (String, Blob)>,
    blobs: HashMap<String, Blob>,
    log: Vec<Request>,
    faults: Vec<Planned>,
    tokens: HashMap<String, String>,
    issued: usize,
}

struct Shared {
    state: Mutex<State>,
    /// `None`: everybody may read without a token.
    realm: Option<String>,
    /// Where blobs are; `None`: here.
    cdn: Option<String>,
}

pub struct Registry {
    /// `localhost:PORT`
    pub host: String,
    shared: Arc<Shared>,
}

impl Registry {
    /// On loopback, with tokens, blobs on another port.
    pub fn start() -> Registry {
        let (api, cdn) = (listen(0), listen(0));
        let realm = format!("http://localhost:{}/token", port(&api));
        let away = format!("http://127.0.0.1:{}", port(&cdn));
        Registry::serve(api, Some(cdn), Some(realm), Some(away))
    }

    /// The simplest kind there is: no tokens, no redirects.
    pub fn open() -> Registry {
        Registry::serve(listen(0), None, None, None)
    }

    /// As Docker Hub looks behind its TLS (see hub.rs).
    pub fn hub() -> Registry {
        let realm = "https://auth.docker.io/token".to_owned();
        let away = format!("https://{}", crate::hub::CDN);
        Registry::serve(listen(crate::hub::PORT), None, Some(realm), Some(away))
    }

    fn serve(api: TcpListener, cdn: Option<TcpListener>, realm: Option<String>, away: Option<String>) -> Registry {
        let host = format!("localhost:{}", port(&api));
        let shared = Arc::new(Shared { state: Mutex::default(), realm, cdn: away });
        for (listener, is_cdn) in std::iter::once((api, false)).chain(cdn.map(|cdn| (cdn, true))) {
            let shared = shared.clone();
            std::thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    let shared = shared.clone();
                    std::thread::spawn(move || {
                        let _ = shared.connection(connection, is_cdn);
                    });
                }
            });
        }
        Registry { host, shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("lock")
    }

    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        for blob in image.blobs() {
            self.push_blob(blob);
        }
        self.push_manifest(repository, tag, image.media_type(), &image.manifest())
    }

    /// An index over these images.
    pub fn push_index(&self, repository: &str, tag: &str, images: &[&Image], docker: bool) -> String {
        for (at, image) in images.iter().enumerate() {
            self.push(repository, &format!("{tag}-{at}"), image);
        }
        let index = index(images, docker);
        let media_type = index["mediaType"].as_str().expect("mediaType").to_owned();
        self.push_manifest(repository, tag, &media_type, &index)
    }

    pub fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: &Value) -> String {
        self.push_raw_manifest(repository, tag, media_type, Blob::json(manifest))
    }

    pub fn push_raw_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: Blob) -> String {
        let digest = manifest.digest.clone();
        for name in [tag, &digest] {
            let key = (repository.to_owned(), name.to_owned());
            self.state().manifests.insert(key, (media_type.to_owned(), manifest.clone()));
        }
        digest
    }

    pub fn push_blob(&self, blob: Blob) {
        self.state().blobs.insert(blob.digest.clone(), blob);
    }

    /// The next `times` requests whose path holds `part` go wrong.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.state().faults.push(Planned { part: part.to_owned(), times, fault });
    }

    pub fn no_faults(&self) {
        self.state().faults.clear();
    }

    pub fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    pub fn forget_log(&self) {
        self.state().log.clear();
    }

    /// How many GETs there were whose path holds `part`.
    pub fn gets(&self, part: &str) -> usize {
        self.log().iter().filter(|request| request.method == "GET" && request.path.contains(part)).count()
    }
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).expect("bind")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map(|address: SocketAddr| address.port()).expect("a port")
}

struct Answer {
    status: u16,
    headers: String,
    body: Arc<Vec<u8>>,
}

fn answer(status: u16, headers: impl Into<String>, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: headers.into(), body: Arc::new(body.into()) }
}

fn refusal(status: u16, headers: &str, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    answer(status, format!("{headers}Content-Type: application/json\r\n"), body.to_string())
}

impl Shared {
    fn connection(&self, stream: TcpStream, is_cdn: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(request) = read_request(&mut reader, is_cdn)? {
            let fault = self.planned(&request);
            let close = request.headers.get("connection").is_some_and(|value| value == "close");
            let head = request.method == "HEAD";
            let answer = self.answer(request);
            if !send(&mut writer, head, answer, fault)? || close {
                break;
            }
        }
        Ok(())
    }

    fn planned(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state.lock().expect("lock");
        let planned = state.faults.iter_mut().find(|fault| fault.times > 0 && request.path.contains(&fault.part))?;
        planned.times -= 1;
        Some(planned.fault.clone())
    }

    fn answer(&self, request: Request) -> Answer {
        let mut state = self.state.lock().expect("lock");
        state.log.push(request.clone());
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return refusal(405, "", "UNSUPPORTED", "read only");
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if request.cdn {
            return self.cdn_answer(&state, &request, path, query);
        }
        if path == "/token" && self.realm.is_some() {
            let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or("");
            state.issued += 1;
            let token = format!("token-{}-{}", state.issued, std::process::id());
            state.tokens.insert(token.clone(), decode(scope));
            let body = json!({ "token": token, "access_token": token, "expires_in": 300 });
            return answer(200, "Content-Type: application/json\r\n", body.to_string());
        }
        let Some(rest) = path.strip_prefix("/v2/") else { return answer(404, "", "<html>no such page</html>") };
        let parts = rest.rsplit_once("/manifests/").map(|parts| (parts, true));
        let parts = parts.or_else(|| rest.rsplit_once("/blobs/").map(|parts| (parts, false)));
        let repository = parts.map_or("", |((repository, _), _)| repository);
        if let Some(refused) = self.unauthorized(&state, &request, repository) {
            return refused;
        }
        match parts {
            None if rest.is_empty() => answer(200, "Content-Type: application/json\r\n", "{}"),
            None => refusal(404, "", "NAME_UNKNOWN", "no such thing"),
            Some(((repository, reference), true)) => manifest_answer(&state, &request, repository, reference),
            Some(((_, digest), false)) => match (state.blobs.get(digest), &self.cdn) {
                (None, _) => refusal(404, "", "BLOB_UNKNOWN", "blob unknown to registry"),
                (Some(_), Some(cdn)) => {
                    answer(307, format!("Location: {cdn}/data/{digest}?verify=1700000000-s3cret%3D\r\n"), "")
                }
                (Some(blob), None) => blob_answer(blob),
            },
        }
    }

    /// The host of the blobs knows only signed addresses, and takes a token for an attack.
    fn cdn_answer(&self, state: &State, request: &Request, path: &str, query: &str) -> Answer {
        if request.headers.contains_key("authorization") {
            return answer(400, "", "only one auth mechanism allowed");
        }
        let blob = path.strip_prefix("/data/").and_then(|digest| state.blobs.get(digest));
        match blob {
            Some(blob) if query == "verify=1700000000-s3cret%3D" => blob_answer(blob),
            Some(_) => answer(403, "", "bad signature"),
            None => answer(404, "", "no such blob"),
        }
    }

    fn unauthorized(&self, state: &State, request: &Request, repository: &str) -> Option<Answer> {
        let realm = self.realm.as_ref()?;
        let authorization = request.headers.get("authorization");
        let scope = authorization.and_then(|value| value.strip_prefix("Bearer ")).and_then(|t| state.tokens.get(t));
        let wanted = format!("repository:{repository}:pull");
        if scope.is_some_and(|scope| repository.is_empty() || *scope == wanted) {
            return None;
        }
        let error = if authorization.is_some() { ",error=\"invalid_token\"" } else { "" };
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"registry.docker.io\",scope=\"{wanted}\"{error}\r\n"
        );
        Some(refusal(401, &challenge, "UNAUTHORIZED", "authentication required"))
    }
}

fn manifest_answer(state: &State, request: &Request, repository: &str, reference: &str) -> Answer {
    let found = state.manifests.get(&(repository.to_owned(), reference.to_owned()));
    let Some((media_type, manifest)) = found else {
        if state.manifests.keys().any(|(name, _)| name == repository) {
            return refusal(404, "", "MANIFEST_UNKNOWN", "manifest unknown");
        }
        // Docker Hub doesn't tell strangers what exists.
        return refusal(401, "", "UNAUTHORIZED", "authentication required");
    };
    let accept = request.headers.get("accept").map_or("", String::as_str);
    if !accept.contains(media_type.as_str()) {
        let message = format!("found a manifest of type {media_type}, but the Accept header does not support it");
        return refusal(404, "", "MANIFEST_UNKNOWN", &message);
    }
    let headers = format!("Content-Type: {media_type}\r\nDocker-Content-Digest: {}\r\n", manifest.digest);
    Answer { status: 200, headers, body: manifest.bytes.clone() }
}

fn blob_answer(blob: &Blob) -> Answer {
    Answer { status: 200, headers: "Content-Type: application/octet-stream\r\n".into(), body: blob.bytes.clone() }
}

fn read_request(reader: &mut BufReader<TcpStream>, is_cdn: bool) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.by_ref().take(65536).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let cdn = is_cdn || headers.get("host").is_some_and(|host| host == crate::hub::CDN);
    Ok(Some(Request { method, path, headers, cdn }))
}

/// Sends the answer; says whether the connection is still good.
fn send(stream: &mut TcpStream, head: bool, answer: Answer, fault: Option<Fault>) -> std::io::Result<bool> {
    let Answer { status, headers, body } = match &fault {
        Some(Fault::Status(status, headers, body)) => self::answer(*status, *headers, *body),
        _ => answer,
    };
    // A redirect goes through whole: the fault is meant for the body behind it.
    let mut bytes = body;
    let mut promised = bytes.len();
    let mut sent = bytes.len();
    match &fault {
        Some(Fault::WrongByte) => {
            let middle = bytes.len() / 2;
            if let Some(byte) = Arc::make_mut(&mut bytes).get_mut(middle) {
                *byte ^= 1;
            }
        }
        Some(Fault::CutAt(at)) => sent = sent.min(*at),
        Some(Fault::Stall(_)) => sent /= 2,
        Some(Fault::Reset) => return Ok(false),
        Some(Fault::Longer) => {
            Arc::make_mut(&mut bytes).extend_from_slice(&[0; 4096]);
            promised = bytes.len();
            sent = bytes.len();
        }
        Some(Fault::Status(..)) | None => {}
    }
    let reason = if status < 400 { "OK" } else { "No" };
    write!(stream, "HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {promised}\r\n\r\n")?;
    if !head {
        stream.write_all(&bytes[..sent])?;
    }
    stream.flush()?;
    if let Some(Fault::Stall(how_long)) = fault {
        std::thread::sleep(how_long);
    }
    Ok(sent == promised)
}

/// Percent-decoding, as far as a scope needs it.
fn decode(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/")
}
