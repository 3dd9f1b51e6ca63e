//! What registries are called where credentials are kept.

use crate::error::{Error, Result};
use crate::image::url::{self, Url};
use std::fmt;

/// The name by which Docker keeps credentials for Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB: &str = "docker.io";

/// A registry, by the one name that all its names stand for: `docker.io`, `localhost:5000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(String);

impl Server {
    /// The registry that a user names: a host, perhaps as a URL. What stands behind the host says nothing, as for Docker.
    pub fn parse(text: &str) -> Result<Server> {
        let (host, _) = split(text);
        let url = Url::parse(&format!("https://{host}/"));
        let url =
            url.map_err(|_| Error::new(format_args!("'{text}' is no registry's name")).hint("name it HOST[:PORT]"))?;
        Ok(Server::of(&url))
    }

    /// The registry whose API is at `url`.
    pub fn of(url: &Url) -> Server {
        Server(usual(url.authority()))
    }

    /// Docker Hub.
    pub fn hub() -> Server {
        Server(HUB.to_owned())
    }

    /// Where its API is. Plain http only on this machine itself.
    pub fn api(&self) -> Result<Url> {
        let host = if self.0 == HUB { "registry-1.docker.io" } else { &self.0 };
        let scheme = if url::is_loopback(url::host_of(host)) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/"))
    }

    /// What Docker calls it, in its files and to credential helpers.
    pub fn key(&self) -> &str {
        if self.0 == HUB { HUB_KEY } else { &self.0 }
    }

    /// Whether what is kept under `key` is for the whole registry.
    pub fn is_named(&self, key: &str) -> bool {
        self.fits(key, "") == Some(0)
    }

    /// Whether what is kept under `key` is for this repository, and how closely: the length of the path in it.
    pub fn fits(&self, key: &str, repository: &str) -> Option<usize> {
        let (host, path) = split(key);
        let rest = repository.strip_prefix(path)?;
        let whole = path.is_empty() || rest.is_empty() || rest.starts_with('/');
        (usual(host) == self.0 && whole).then_some(path.len())
    }
}

/// As Docker names it when it is the default: `https://index.docker.io/v1/`, else the host.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// The host of a key, and the path that podman's keys may have. A URL's path is only an API's version.
fn split(key: &str) -> (&str, &str) {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let path = path.trim_end_matches('/');
    (host, if bare.is_some() || matches!(path, "v1" | "v2") { "" } else { path })
}

/// The usual name of a host.
fn usual(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_registry_stand_for_one() {
        for (text, key, api) in [
            ("docker.io", HUB_KEY, "https://registry-1.docker.io/"),
            ("index.docker.io", HUB_KEY, "https://registry-1.docker.io/"),
            ("registry-1.docker.io", HUB_KEY, "https://registry-1.docker.io/"),
            (HUB_KEY, HUB_KEY, "https://registry-1.docker.io/"),
            ("GHCR.io", "ghcr.io", "https://ghcr.io/"),
            ("https://ghcr.io/v2/", "ghcr.io", "https://ghcr.io/"),
            ("ghcr.io/owner", "ghcr.io", "https://ghcr.io/"),
            ("localhost:5000", "localhost:5000", "http://localhost:5000/"),
            ("[::1]:5000", "[::1]:5000", "http://[::1]:5000/"),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!((server.key(), server.api().unwrap().to_string().as_str()), (key, api));
            assert_eq!(Server::of(&server.api().unwrap()), server);
        }
        for bad in ["", "-", "a b", "https://", "u:p@r.io", "r.io:x", "r.io\n", "é.io"] {
            assert!(bad == "-" || Server::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_fits_its_registry_and_what_is_below_its_path() {
        let fits = |server: &str, key: &str, path: &str| Server::parse(server).unwrap().fits(key, path);
        for key in ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "index.docker.io/v1/", "Docker.io"] {
            assert_eq!(fits("docker.io", key, "library/alpine"), Some(0), "{key}");
        }
        assert_eq!(fits("r.io", "https://r.io/some/path", "a"), Some(0));
        assert_eq!(fits("r.io", "r.io/a", "a/b"), Some(1));
        assert_eq!(fits("r.io", "r.io/a/b", "a/b"), Some(3));
        assert_eq!(fits("docker.io", "docker.io/library/alpine", "library/alpine"), Some(14));
        for (key, path) in [("r.io/a", "ab"), ("r.io/a/b", "a"), ("r.io:443", "a"), ("x.r.io", "a"), ("r.io.x", "a")] {
            assert_eq!(fits("r.io", key, path), None, "{key}");
        }
        assert!(Server::hub().is_named(HUB_KEY) && !Server::hub().is_named("docker.io/library"));
    }
}
