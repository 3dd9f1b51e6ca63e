//! The distribution API of one repository: manifests and blobs.

use super::auth::{Access, Answer, Challenge};
use super::curl::{self, Request, Response};
use super::digest::Digest;
use super::manifest::{self, Descriptor};
use super::origin::{Blob, Origin};
use super::reference::Reference;
use super::retry::{Failure, retry};
use super::url::Url;
use crate::error::{Error, Result};
use crate::store::Store;
use serde_json::Value;
use std::time::Duration;

/// Answers that are no content are not longer.
const ANSWER_MAX: u64 = 64 << 10;

/// A repository in a registry, for reading.
pub struct Repository<'s> {
    registry: Url,
    reference: Reference,
    access: Access<'s>,
}

/// A manifest as it was served.
pub struct Served {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
}

impl Repository<'_> {
    /// The repository that `reference` names.
    pub fn new<'s>(store: &'s Store, reference: &Reference) -> Result<Repository<'s>> {
        let registry = Url::parse(&format!("{}://{}/", reference.scheme(), reference.api_host()))?;
        let access = Access::to(store, &registry, reference.path())?;
        Ok(Repository { registry, reference: reference.clone(), access })
    }

    /// Gets the manifest or index that a tag or digest names; a digest is checked by the caller.
    pub fn manifest(&self, wanted: &str) -> Result<Served> {
        let accepted = manifest::ACCEPTED.join(", ");
        let url = self.url("manifests", wanted)?;
        retry(
            || {},
            || {
                let response = self.get(&url, Some(&accepted), manifest::MANIFEST_MAX)?;
                let response = self.accept(response, wanted)?;
                let content_type = response.header("content-type").map(str::to_owned);
                Ok(Served { bytes: response.read(manifest::MANIFEST_MAX)?, content_type })
            },
        )
    }

    /// Gets a small blob whole, and checks it.
    pub fn small_blob(&self, blob: &Descriptor, max: u64) -> Result<Vec<u8>> {
        let digest = blob.digest.to_string();
        let url = self.url("blobs", &digest)?;
        let read = |this: &Repository<'_>| {
            let response = this.get(&url, None, max)?;
            this.accept(response, &digest)?.read(max)
        };
        check(blob, retry(|| {}, || read(self))?)
    }

    fn url(&self, kind: &str, wanted: &str) -> Result<Url> {
        self.registry.join(&format!("/v2/{}/{kind}/{wanted}", self.reference.path()))
    }

    /// One GET, with what lets us in; when that is refused or missing, it is got anew once.
    fn get(&self, url: &Url, accept: Option<&str>, max_size: u64) -> std::result::Result<Response, Failure> {
        let response = curl::get(self.request(url, accept, max_size))?;
        if response.status != 401 {
            return Ok(response);
        }
        let challenges: Vec<Challenge> = response.headers("www-authenticate").flat_map(Challenge::parse).collect();
        match self.access.answer(&challenges)? {
            Answer::Unknown => Ok(response),
            Answer::Refused(why) => Err(self.denied(&why).into()),
            Answer::Again => {
                drop(response);
                curl::get(self.request(url, accept, max_size))
            }
        }
    }

    fn request(&self, url: &Url, accept: Option<&str>, max_size: u64) -> Request {
        let accept = accept.map(|accept| ("Accept", accept.to_owned()));
        let authorization = self.access.authorization().map(|value| ("Authorization", value));
        // An error's text may be longer than what was asked for.
        Request {
            url: url.clone(),
            headers: accept.into_iter().chain(authorization).collect(),
            max_size: max_size.max(ANSWER_MAX),
        }
    }

    fn denied(&self, why: &str) -> Error {
        Error::new(format!(
            "pull access denied for {}, repository does not exist or may require 'ccrun login': {why}",
            self.reference.familiar_name()
        ))
    }

    /// The answer if it is what was asked for; else what it means.
    fn accept(&self, response: Response, wanted: &str) -> std::result::Result<Response, Failure> {
        let status = response.status;
        if status == 200 {
            return Ok(response);
        }
        let retry_after = response.header("retry-after").and_then(|seconds| seconds.parse().ok());
        let body = response.read(ANSWER_MAX).unwrap_or_default();
        let said = RegistryError::read(&body);
        let name = self.reference.familiar_name();
        let error = match (status, said.code.as_str()) {
            (401 | 403, _) | (_, "DENIED" | "UNAUTHORIZED") => self.denied(&said.to_string()),
            (404, "NAME_UNKNOWN") => Error::new(format!("repository {name} not found: {said}")),
            (404, "BLOB_UNKNOWN") => Error::new(format!("blob {wanted} of {name} not found: {said}")),
            (404, _) => {
                let separator = if Digest::parse(wanted).is_ok() { '@' } else { ':' };
                Error::new(format!("manifest for {name}{separator}{wanted} not found: {said}"))
            }
            (429, _) => Error::new(format!("{} limits how much is pulled: {said}", self.reference.api_host()))
                .hint("wait, or pull from a mirror"),
            _ => Error::new(format!("{}: HTTP status {status}: {said}", self.reference.api_host())),
        };
        // Hub's pull limit lasts for hours; trying again only makes it worse.
        let is_quota = said.message.contains("pull rate limit");
        let transient = matches!(status, 408 | 429 | 500 | 502 | 503 | 504) && !is_quota;
        Err(Failure { error, transient, retry_after: retry_after.map(Duration::from_secs) })
    }
}

impl Origin for Repository<'_> {
    fn open(&self, blob: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
        if from > 0 {
            return Err(Error::new("blobs are got from their beginning").into());
        }
        let digest = blob.digest.to_string();
        let url = self.url("blobs", &digest)?;
        let response = self.get(&url, None, blob.size)?;
        Ok(Box::new(self.accept(response, &digest)?.body))
    }
}

/// Bytes that are what their descriptor says.
pub fn check(blob: &Descriptor, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let digest = Digest::of(&bytes);
    if bytes.len() as u64 != blob.size {
        return Err(Error::new(format!("{} has {} bytes instead of {}", blob.digest, bytes.len(), blob.size)));
    }
    if digest != blob.digest {
        return Err(Error::new(format!("{} is wrong: what came has the digest {digest}", blob.digest)));
    }
    Ok(bytes)
}

/// The first error in a registry's answer.
#[derive(Default)]
struct RegistryError {
    code: String,
    message: String,
}

impl RegistryError {
    fn read(body: &[u8]) -> RegistryError {
        if manifest::looks_like_html(body) {
            return RegistryError { code: String::new(), message: "an HTML page and no registry's answer".to_owned() };
        }
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = value.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&value);
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        RegistryError { code: text("code"), message: text("message") }
    }
}

/// `manifest unknown: manifest unknown`, as Docker writes it.
impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.to_lowercase().replace('_', " ");
        match (code.as_str(), self.message.as_str()) {
            ("", "") => f.write_str("the registry did not say why"),
            (code, "") => f.write_str(code),
            ("", message) => f.write_str(message),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_errors_read_as_dockers() {
        for (body, text) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#,
                "manifest unknown: manifest unknown",
            ),
            (r#"{"errors":[{"code":"DENIED"}]}"#, "denied"),
            (r#"{"message":"no"}"#, "no"),
            ("<html>", "an HTML page and no registry's answer"),
            ("", "the registry did not say why"),
            (r#"{"errors":{}}"#, "the registry did not say why"),
            ("[1]", "the registry did not say why"),
        ] {
            assert_eq!(RegistryError::read(body.as_bytes()).to_string(), text, "{body}");
        }
    }

    #[test]
    fn a_blob_is_checked_by_size_and_digest() {
        let blob = Descriptor { media_type: String::new(), digest: Digest::of(b"abc"), size: 3, urls: Vec::new() };
        assert_eq!(check(&blob, b"abc".to_vec()).unwrap(), b"abc");
        assert!(check(&blob, b"abd".to_vec()).is_err());
        assert!(check(&blob, b"abcd".to_vec()).is_err());
    }
}
