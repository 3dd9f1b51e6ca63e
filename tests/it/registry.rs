//! A stand-in for a registry: token service, manifests, tags, blobs that live on
//! another host, a log of all requests, switches and faults on demand.

mod answer;
mod door;
mod wire;

use crate::image::{Blob, Image, index};
use serde_json::Value;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use door::{Door, base64};
pub use wire::{Fault, Request};

/// How this registry differs from a plain one, for as long as it is switched so.
#[derive(Clone, Default)]
pub struct Switches {
    /// `Range:` is not looked at: 200 and all of the blob.
    pub ignore_ranges: bool,
    /// 206, but from the blob's first byte on, and saying so.
    pub wrong_range: bool,
    /// How many requests a token is good for.
    pub token_uses: Option<usize>,
    /// How long a token is good for, whatever `expires_in` says.
    pub token_life: Option<Duration>,
    /// How many good tokens are still refused.
    pub refusals_left: usize,
    /// Every token is refused, the newest as well.
    pub refuse_tokens: bool,
    /// How many manifests may still be got before there is only Hub's 429.
    pub pulls_left: Option<usize>,
    /// Whom it lets in; `None`: everybody.
    pub door: Option<Door>,
    /// `expires_in` of its tokens; 300 seconds unless it says otherwise.
    pub token_lifetime: Option<u64>,
    /// How many tags are listed at once; the rest is behind a `Link:`.
    pub page: Option<usize>,
}

struct Planned {
    part: String,
    times: usize,
    fault: Fault,
}

struct Token {
    scope: String,
    uses: usize,
    issued: Instant,
}

#[derive(Default)]
struct State {
    /// (repository, tag or digest) → (media type, document)
    manifests: HashMap<(String, String), (String, Blob)>,
    blobs: HashMap<String, Blob>,
    log: Vec<Request>,
    faults: Vec<Planned>,
    switches: Switches,
    tokens: HashMap<String, Token>,
    issued: usize,
    /// Answers with blobs that are on their way, and the most there ever were.
    on_their_way: usize,
    most_at_once: usize,
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

    /// On loopback, open to one user alone.
    pub fn closed(door: Door) -> Registry {
        let registry = Registry::start();
        registry.switch(|switches| switches.door = Some(door));
        registry
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
                        let _ = wire::talk(&shared, connection, is_cdn);
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

    /// The next `times` requests whose path holds `part` go wrong. With several plans
    /// for a path the first that is not used up counts.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.state().faults.push(Planned { part: part.to_owned(), times, fault });
    }

    pub fn no_faults(&self) {
        self.state().faults.clear();
    }

    /// `registry.switch(|switches| switches.ignore_ranges = true)`
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.state().switches);
    }

    pub fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    pub fn forget_log(&self) {
        self.state().log.clear();
    }

    /// Whether blobs are on another host.
    pub fn has_cdn(&self) -> bool {
        self.shared.cdn.is_some()
    }

    /// How many blobs were given at once at the most.
    pub fn most_at_once(&self) -> usize {
        self.state().most_at_once
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
