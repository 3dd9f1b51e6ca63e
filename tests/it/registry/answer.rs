//! What the registry answers when nothing goes wrong.

use super::wire::Request;
use super::{Shared, State, Token};
use crate::image::Blob;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Hub's own words, which say that trying again makes no sense.
const RATE_LIMITED: &str =
    "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit";
/// What makes an address of a blob a signed one.
const SIGNATURE: &str = "verify=1700000000-s3cret%3D";

pub struct Answer {
    pub status: u16,
    /// Whole lines.
    pub headers: String,
    pub body: Arc<Vec<u8>>,
}

pub fn answer(status: u16, headers: impl Into<String>, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: headers.into(), body: Arc::new(body.into()) }
}

fn refusal(status: u16, headers: &str, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    answer(status, format!("{headers}Content-Type: application/json\r\n"), body.to_string())
}

impl Shared {
    pub fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state.lock().expect("lock");
        state.log.push(request.clone());
        let is_form = request.method == "POST" && request.path == "/token";
        if !matches!(request.method.as_str(), "GET" | "HEAD") && !is_form {
            return refusal(405, "", "UNSUPPORTED", "read only");
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if request.cdn {
            return cdn_answer(&state, request, path, query);
        }
        if path == "/token" && self.realm.is_some() {
            let query = if is_form { &request.body } else { query };
            return token_answer(&mut state, request, query);
        }
        let Some(rest) = path.strip_prefix("/v2/") else { return answer(404, "", "<html>no such page</html>") };
        let parts = ["/manifests/", "/blobs/", "/tags/"].iter().find_map(|kind| {
            let (repository, name) = rest.rsplit_once(kind)?;
            Some((repository, *kind, name))
        });
        let repository = parts.map_or("", |(repository, ..)| repository);
        if let Some(refused) = self.unauthorized(&mut state, request, repository) {
            return refused;
        }
        match parts {
            None if rest.is_empty() => answer(200, "Content-Type: application/json\r\n", "{}"),
            None => refusal(404, "", "NAME_UNKNOWN", "no such thing"),
            Some((_, "/manifests/", name)) => manifest_answer(&mut state, request, repository, name),
            Some((_, "/tags/", _)) => tags_answer(&state, repository, query),
            Some((_, _, digest)) => match (state.blobs.get(digest), &self.cdn) {
                (None, _) => refusal(404, "", "BLOB_UNKNOWN", "blob unknown to registry"),
                (Some(_), Some(cdn)) => answer(307, format!("Location: {cdn}/data/{digest}?{SIGNATURE}\r\n"), ""),
                (Some(blob), None) => blob_answer(&state, request, blob),
            },
        }
    }

    fn unauthorized(&self, state: &mut State, request: &Request, repository: &str) -> Option<Answer> {
        let realm = self.realm.as_ref()?;
        if let Some(door) = state.switches.door.as_ref().filter(|door| door.basic) {
            let refused = refusal(401, "WWW-Authenticate: Basic realm=\"a door\"\r\n", "UNAUTHORIZED", "no entry");
            return (!door.knows(request)).then_some(refused);
        }
        let (lifetime, life) = (state.switches.token_uses, state.switches.token_life);
        let refuse = state.switches.refuse_tokens || (has_token(request) && state.switches.refusals_left > 0);
        if has_token(request) {
            state.switches.refusals_left = state.switches.refusals_left.saturating_sub(1);
        }
        let authorization = request.header("authorization");
        let token = authorization.strip_prefix("Bearer ").and_then(|token| state.tokens.get_mut(token));
        let wanted = format!("repository:{repository}:pull");
        if let Some(token) = token.filter(|_| !refuse) {
            token.uses += 1;
            let fits = repository.is_empty() || token.scope == wanted;
            let lives = life.is_none_or(|life| token.issued.elapsed() <= life);
            if fits && lives && lifetime.is_none_or(|lifetime| token.uses <= lifetime) {
                return None;
            }
        }
        let error = if authorization.is_empty() { "" } else { ",error=\"invalid_token\"" };
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"registry.docker.io\",scope=\"{wanted}\"{error}\r\n"
        );
        Some(refusal(401, &challenge, "UNAUTHORIZED", "authentication required"))
    }
}

fn has_token(request: &Request) -> bool {
    request.header("authorization").starts_with("Bearer ")
}

fn token_answer(state: &mut State, request: &Request, query: &str) -> Answer {
    if state.switches.door.as_ref().is_some_and(|door| !door.knows(request)) {
        return answer(401, "Content-Type: application/json\r\n", r#"{"details":"incorrect username or password"}"#);
    }
    let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or("");
    state.issued += 1;
    let token = format!("token-{}-{}", state.issued, std::process::id());
    state.tokens.insert(token.clone(), Token { scope: decode(scope), uses: 0, issued: Instant::now() });
    let lifetime = state.switches.token_lifetime.unwrap_or(300);
    let mut body = json!({ "token": token, "access_token": token, "expires_in": lifetime });
    if query.contains("offline_token=true")
        && let Some(identity) = state.switches.door.as_ref().and_then(|door| door.identity)
    {
        body["refresh_token"] = identity.into();
    }
    answer(200, "Content-Type: application/json\r\n", body.to_string())
}

/// The host of the blobs knows only signed addresses, and takes a token for an attack.
fn cdn_answer(state: &State, request: &Request, path: &str, query: &str) -> Answer {
    if request.headers.contains_key("authorization") {
        return answer(400, "", "only one auth mechanism allowed");
    }
    match path.strip_prefix("/data/").and_then(|digest| state.blobs.get(digest)) {
        Some(blob) if query == SIGNATURE => blob_answer(state, request, blob),
        Some(_) => answer(403, "", "bad signature"),
        None => answer(404, "", "no such blob"),
    }
}

fn manifest_answer(state: &mut State, request: &Request, repository: &str, reference: &str) -> Answer {
    let limits = match &mut state.switches.pulls_left {
        None => String::new(),
        // Hub counts GETs, not HEADs.
        Some(left) => {
            let over = request.method == "GET" && *left == 0;
            *left = left.saturating_sub(usize::from(request.method == "GET"));
            let limits = format!(
                "ratelimit-limit: 100;w=21600\r\nratelimit-remaining: {left};w=21600\r\n\
                 docker-ratelimit-source: 192.0.2.7\r\n"
            );
            if over {
                return refusal(429, &limits, "TOOMANYREQUESTS", RATE_LIMITED);
            }
            limits
        }
    };
    let found = state.manifests.get(&(repository.to_owned(), reference.to_owned()));
    let Some((media_type, manifest)) = found else {
        if state.manifests.keys().any(|(name, _)| name == repository) {
            return refusal(404, "", "MANIFEST_UNKNOWN", "manifest unknown");
        }
        // Docker Hub doesn't tell strangers what exists.
        return refusal(401, "", "UNAUTHORIZED", "authentication required");
    };
    if !request.header("accept").contains(media_type.as_str()) {
        let message = format!("found a manifest of type {media_type}, but the Accept header does not support it");
        return refusal(404, "", "MANIFEST_UNKNOWN", &message);
    }
    let headers = format!("{limits}Content-Type: {media_type}\r\nDocker-Content-Digest: {}\r\n", manifest.digest);
    Answer { status: 200, headers, body: manifest.bytes.clone() }
}

/// The tags in order, a page of them if the registry or the client wants pages.
fn tags_answer(state: &State, repository: &str, query: &str) -> Answer {
    let of_it = state.manifests.keys().filter(|(name, tag)| name == repository && !tag.contains(':'));
    let mut tags: Vec<&str> = of_it.map(|(_, tag)| tag.as_str()).collect();
    if tags.is_empty() {
        return refusal(404, "", "NAME_UNKNOWN", "repository name not known to registry");
    }
    tags.sort();
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let after = parameter("last").unwrap_or("");
    tags.retain(|tag| *tag > after);
    let asked = parameter("n").and_then(|n| n.parse().ok());
    let page = [state.switches.page, asked].into_iter().flatten().min().unwrap_or(usize::MAX);
    let mut headers = "Content-Type: application/json\r\n".to_owned();
    if tags.len() > page {
        tags.truncate(page);
        let last = tags.last().unwrap_or(&"");
        headers += &format!("Link: </v2/{repository}/tags/list?last={last}&n={page}>; rel=\"next\"\r\n");
    }
    answer(200, headers, json!({ "name": repository, "tags": tags }).to_string())
}

/// A blob, or as much of it as is asked for.
fn blob_answer(state: &State, request: &Request, blob: &Blob) -> Answer {
    let total = blob.bytes.len();
    let headers = "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n";
    let range = request.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((from, to)) = range.filter(|_| !state.switches.ignore_ranges) else {
        return Answer { status: 200, headers: headers.into(), body: blob.bytes.clone() };
    };
    let from = if state.switches.wrong_range { 0 } else { from.parse().expect("a number of bytes") };
    let end = to.parse().map_or(total, |to: usize| total.min(to + 1));
    if from >= end {
        return answer(416, format!("Content-Range: bytes */{total}\r\n"), "");
    }
    let headers = format!("{headers}Content-Range: bytes {from}-{}/{total}\r\n", end - 1);
    answer(206, headers, &blob.bytes[from..end])
}

/// Percent-decoding, as far as a scope needs it.
fn decode(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/")
}
