//! References: what a user types to name an image, by Docker's grammar and defaults.
//!
//! `alpine` is `docker.io/library/alpine:latest`. The grammar is checked here once;
//! whatever holds a [`Reference`] may use its parts in paths and URLs.

use super::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// The longest repository path that registries accept.
const PATH_MAX: usize = 255;

/// An image in a registry. It always has a tag or a digest; the digest wins when it has both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
    tag_defaulted: bool,
}

impl Reference {
    /// Reads what a user typed.
    pub fn parse(text: &str) -> Result<Reference> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::new(format_args!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let invalid = || {
            Error::new("invalid reference format")
                .hint(format_args!("'{text}' is not [REGISTRY/]NAME[:TAG][@sha256:DIGEST]"))
        };
        let (domain, remainder) = split_domain(text);
        let name_end = remainder.find(':').unwrap_or(remainder.len());
        let name = &remainder[..name_end];
        if name.chars().any(char::is_uppercase) {
            return Err(Error::new(format_args!(
                "invalid reference format: repository name ({name}) must be lowercase"
            )));
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !is_domain(domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
            return Err(invalid());
        }
        let is_hex = |hex: &str| hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let digest = match digest {
            Some(digest) if !digest.split_once(':').is_some_and(|(_, hex)| is_hex(hex)) => return Err(invalid()),
            Some(digest) => Some(Digest::parse(digest)?),
            None => None,
        };
        if path.len() > PATH_MAX {
            return Err(Error::new(format_args!("repository name must not be more than {PATH_MAX} characters")));
        }
        let tag_defaulted = tag.is_none() && digest.is_none();
        Ok(Reference {
            domain: domain.to_owned(),
            path: path.to_owned(),
            tag: if tag_defaulted { Some(DEFAULT_TAG.to_owned()) } else { tag.map(str::to_owned) },
            digest,
            tag_defaulted,
        })
    }

    /// `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether `latest` was our idea and not the user's.
    pub fn tag_defaulted(&self) -> bool {
        self.tag_defaulted
    }

    /// The repository with everything in it: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as a Docker user writes it: `alpine`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(image) if !image.contains('/') => image.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as a Docker user writes it: `alpine:latest`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// The part behind the repository's name: `:tag`, `@digest` or both.
    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }

    /// What the registry is asked for: the digest, or else the tag.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned()),
        }
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Reference {
        Reference { tag: Some(tag.to_owned()), digest: None, tag_defaulted: false, ..self.clone() }
    }

    /// The same repository, and the image in it that has this digest, whatever its tags.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), tag_defaulted: false, ..self.clone() }
    }

    /// The host, and port where there is one, that speaks the registry's protocol.
    pub fn api_host(&self) -> &str {
        if self.domain == DEFAULT_DOMAIN { "registry-1.docker.io" } else { &self.domain }
    }

    /// How to talk to the registry: plain http only on this machine itself, as Docker does.
    pub fn scheme(&self) -> &'static str {
        if super::url::is_loopback(super::url::host_of(&self.domain)) { "http" } else { "https" }
    }
}

/// The canonical form, `docker.io/library/alpine:latest`; parsing it gives the same reference.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

/// Docker's rule for what stands before the first slash: it is a registry if it
/// cannot be a user's name, that is if it is `localhost` or has a dot, a colon
/// or an upper-case letter.
fn split_domain(text: &str) -> (&str, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    };
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain, format!("library/{remainder}"));
    }
    (domain, remainder.to_owned())
}

/// A host name or a bracketed IPv6 address, with or without a port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if after.is_empty() => (None, None),
                None => return false,
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case letters and digits, joined by one dot, one or two underscores, or any number of hyphens.
fn is_path_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    bytes
        .split(alphanumeric)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    matches!(tag.as_bytes(), [first, rest @ ..]
        if word(*first) && rest.len() < 128 && rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn good_references_get_dockers_defaults() {
        for (text, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"),
            ("ghcr.io/o/r:v1", "ghcr.io/o/r:v1", "ghcr.io/o/r:v1"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/some/app:v1", "localhost:5000/some/app:v1", "localhost:5000/some/app:v1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
            ("a__b/c--d.e_f:T_.-9", "docker.io/a__b/c--d.e_f:T_.-9", "a__b/c--d.e_f:T_.-9"),
            ("alpine:5000/x", "alpine:5000/x:latest", "alpine:5000/x:latest"),
            ("example.com:80/a/b/c/d", "example.com:80/a/b/c/d:latest", "example.com:80/a/b/c/d:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), canonical, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(Reference::parse(canonical).unwrap().to_string(), canonical);
            assert_eq!(Reference::parse(familiar).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn a_digest_wins_over_the_tag_and_keeps_it() {
        let plain = Reference::parse(&format!("alpine@sha256:{HEX}")).unwrap();
        assert_eq!((plain.tag(), plain.wanted()), (None, format!("sha256:{HEX}")));
        assert!(!plain.tag_defaulted());
        let both = Reference::parse(&format!("alpine:3@sha256:{HEX}")).unwrap();
        assert_eq!((both.tag(), both.wanted()), (Some("3"), format!("sha256:{HEX}")));
        assert_eq!(both.to_string(), format!("docker.io/library/alpine:3@sha256:{HEX}"));
    }

    #[test]
    fn bad_references_get_dockers_words() {
        let lower = |name: &str| format!("invalid reference format: repository name ({name}) must be lowercase");
        let long = "a".repeat(256);
        let long_tag = format!("a:{}", "t".repeat(129));
        for (text, error) in [
            ("UPPER", lower("library/UPPER")),
            ("user/Name:tag", lower("user/Name")),
            ("", "invalid reference format".to_owned()),
            ("-oX", "invalid reference format: repository name (library/-oX) must be lowercase".to_owned()),
            ("-o", "invalid reference format".to_owned()),
            ("https://example.com/a", "invalid reference format".to_owned()),
            ("a b", "invalid reference format".to_owned()),
            ("a\nb", "invalid reference format".to_owned()),
            ("a\"b", "invalid reference format".to_owned()),
            ("a:", "invalid reference format".to_owned()),
            ("a:-x", "invalid reference format".to_owned()),
            ("a/", "invalid reference format".to_owned()),
            ("/a", "invalid reference format".to_owned()),
            ("a//b", "invalid reference format".to_owned()),
            ("a/../b", "invalid reference format".to_owned()),
            ("a..b", "invalid reference format".to_owned()),
            ("a___b", "invalid reference format".to_owned()),
            ("a.-b", "invalid reference format".to_owned()),
            ("a[1-9]", "invalid reference format".to_owned()),
            ("a{b,c}", "invalid reference format".to_owned()),
            ("x.y:z/a", "invalid reference format".to_owned()),
            ("-x.y/a", "invalid reference format".to_owned()),
            ("x..y/a", "invalid reference format".to_owned()),
            ("[::1/a", "invalid reference format".to_owned()),
            ("[x:]/a", "invalid reference format".to_owned()),
            ("a@sha256:abc", "invalid reference format".to_owned()),
            ("a@", "invalid reference format".to_owned()),
            ("a@sha256:../../../../../../../../../../../../x", "invalid reference format".to_owned()),
            (&format!("a@sha256:{}", HEX.to_uppercase()), format!("invalid digest 'sha256:{}'", HEX.to_uppercase())),
            (&format!("a@sha512:{HEX}"), format!("digest 'sha512:{HEX}': unsupported digest algorithm")),
            (&long_tag, "invalid reference format".to_owned()),
            (&long, "repository name must not be more than 255 characters".to_owned()),
            (HEX, format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings")),
        ] {
            let said = Reference::parse(text).unwrap_err().to_string();
            assert!(
                error != "invalid reference format" || said.ends_with("' is not [REGISTRY/]NAME[:TAG][@sha256:DIGEST]")
            );
            assert_eq!(said.split("; ").next().unwrap(), error, "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for (text, scheme, host) in [
            ("alpine", "https", "registry-1.docker.io"),
            ("localhost:5000/a", "http", "localhost:5000"),
            ("LOCALHOST/a", "http", "LOCALHOST"),
            ("127.0.0.1:5000/a", "http", "127.0.0.1:5000"),
            ("127.9.9.9/a", "http", "127.9.9.9"),
            ("[::1]:5000/a", "http", "[::1]:5000"),
            ("127.0.0.1.evil.com/a", "https", "127.0.0.1.evil.com"),
            ("localhost.evil.com/a", "https", "localhost.evil.com"),
            ("10.0.0.1:5000/a", "https", "10.0.0.1:5000"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.scheme(), reference.api_host()), (scheme, host), "{text}");
        }
    }

    #[test]
    fn whatever_is_typed_what_is_accepted_reads_back_the_same() {
        let seeds = ["docker.io/library/alpine:latest", "localhost:5000/a/b@sha256:", HEX, "[::1]:5/x__y:T", "Ü/é"];
        crate::image::mutation::each(&seeds, 5000, |bytes| {
            if let Ok(reference) = Reference::parse(&String::from_utf8_lossy(bytes)) {
                let again = Reference::parse(&reference.to_string()).unwrap();
                assert_eq!(again.to_string(), reference.to_string());
                assert!(reference.to_string().bytes().all(|b| b.is_ascii_graphic()));
                assert!(!reference.path().contains(".."));
            }
        });
    }
}
