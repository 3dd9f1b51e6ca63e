//! What registries say when they give nothing, and what it means.

use super::curl::Response;
use crate::error::Error;
use crate::image::digest::Digest;
use crate::image::manifest;
use crate::image::retry::{Failure, Outlook, WAIT_MAX};
use serde_json::Value;
use std::time::Duration;

/// Refusals are not longer.
const ANSWER_MAX: u64 = 64 << 10;

/// An answer that is not what was asked for.
pub struct Refusal {
    status: u16,
    said: RegistryError,
    /// What Docker Hub's headers tell of its pull limit.
    limit: Option<String>,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub fn read(response: Response) -> Refusal {
        let header = |name: &str| response.header(name);
        let limit = header("ratelimit-limit")
            .and_then(|limit| pull_limit(limit, header("ratelimit-remaining"), header("docker-ratelimit-source")));
        let (status, retry_after) = (response.status, response.retry_after());
        let said = RegistryError::read(&response.read(ANSWER_MAX).unwrap_or_default());
        Refusal { status, said, limit, retry_after }
    }

    /// What it means when `wanted` (a tag or a digest) of the repository `name` was asked for at `host`.
    pub fn explain(self, host: &str, name: &str, wanted: &str) -> Failure {
        let Refusal { status, said, limit, retry_after } = self;
        // Hub's pull limit lasts for hours; trying again only makes it worse. But a registry knows best how long to wait.
        let is_quota = said.message.contains("pull rate limit");
        let passes_soon = status == 429 && retry_after.is_some_and(|wait| wait <= WAIT_MAX);
        let error = match (status, said.code.as_str()) {
            (401 | 403, _) | (_, "DENIED" | "UNAUTHORIZED") => denied(name, &said.to_string()),
            (404, "NAME_UNKNOWN") => Error::new(format_args!("repository {name} not found: {said}")),
            (404, "BLOB_UNKNOWN") => Error::new(format_args!("blob {wanted} of {name} not found: {said}")),
            (404, _) => {
                let separator = if Digest::parse(wanted).is_ok() { '@' } else { ':' };
                Error::new(format_args!("manifest for {name}{separator}{wanted} not found: {said}"))
            }
            (429, _) if is_quota => {
                let limit = limit.map(|limit| format!(" ({limit})")).unwrap_or_default();
                Error::new(format_args!("{host} limits how much is pulled: {said}{limit}"))
                    .hint("log in with 'ccrun login', name a mirror in $CCRUN_REGISTRY_MIRRORS, or wait")
            }
            (429, _) => Error::new(format_args!("{host} limits how much is pulled: {said}")),
            _ => Error::new(format_args!("{host}: HTTP status {status}: {said}")),
        };
        let outlook = match status {
            404 => Outlook::Missing,
            _ if is_quota && !passes_soon => Outlook::Lasting,
            _ => Outlook::of_status(status),
        };
        Failure { error, outlook, retry_after }
    }
}

/// Docker's words for whatever may not be seen.
pub fn denied(name: &str, why: &str) -> Error {
    Error::new(format_args!(
        "pull access denied for {name}, repository does not exist or may require 'ccrun login': {why}"
    ))
}

/// `100;w=21600` and `0;w=21600` in words: `0 of 100 pulls in 6 hours are left for 192.0.2.7`.
fn pull_limit(limit: &str, remaining: Option<&str>, source: Option<&str>) -> Option<String> {
    let number = |text: &str| text.split(';').next().and_then(|number| number.trim().parse::<u64>().ok());
    let seconds = limit.split("w=").nth(1).and_then(|seconds| seconds.parse::<u64>().ok());
    let pulls = match seconds {
        Some(seconds) => format!("{} pulls in {} hours", number(limit)?, seconds.div_ceil(3600)),
        None => format!("{} pulls", number(limit)?),
    };
    let left = match remaining.and_then(number) {
        Some(left) => format!("{left} of {pulls} are left"),
        None => format!("the limit is {pulls}"),
    };
    Some(source.map_or(left.clone(), |source| format!("{left} for {source}")))
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
        let code = self.code.to_ascii_lowercase().replace('_', " ");
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
    fn hubs_headers_are_put_into_words() {
        let say = |limit, remaining, source| pull_limit(limit, remaining, source).unwrap_or_default();
        assert_eq!(
            say("100;w=21600", Some("0;w=21600"), Some("192.0.2.7")),
            "0 of 100 pulls in 6 hours are left for 192.0.2.7"
        );
        assert_eq!(say("10", None, None), "the limit is 10 pulls");
        assert_eq!(say("many", Some("0"), None), "");
    }

    #[test]
    fn only_what_passes_is_worth_another_try() {
        let after = |status, message: &str, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            let said = RegistryError { code: "TOOMANYREQUESTS".to_owned(), message: message.to_owned() };
            let limit = Some("0 of 100 pulls are left".to_owned());
            Refusal { status, said, limit, retry_after }.explain("r.io", "app", "v1")
        };
        let failure = |status, message: &str| after(status, message, None);
        assert_eq!(failure(503, "").outlook, Outlook::Passing);
        assert_eq!(failure(429, "slow down").outlook, Outlook::Passing);
        assert_eq!(failure(404, "").outlook, Outlook::Missing);
        let quota = failure(429, "You have reached your unauthenticated pull rate limit");
        assert_eq!(quota.outlook, Outlook::Lasting);
        for (wait, outlook) in [(0, Outlook::Passing), (60, Outlook::Passing), (61, Outlook::Lasting)] {
            assert_eq!(after(429, "You have reached your pull rate limit", Some(wait)).outlook, outlook, "{wait}");
        }
        assert_eq!(
            quota.error.to_string(),
            "r.io limits how much is pulled: toomanyrequests: You have reached your unauthenticated pull rate limit \
             (0 of 100 pulls are left); log in with 'ccrun login', name a mirror in $CCRUN_REGISTRY_MIRRORS, or wait"
        );
    }
}
