//! Logging in: whether a registry takes the credentials, before they are kept.

use super::WRONG;
use super::challenge::Challenge;
use super::server::{Aim, Grant, TokenServer};
use crate::error::{Error, Result};
use crate::image::registry::credentials::Credential;
use crate::image::registry::curl::{self, Request, Response};
use crate::image::retry::{Failure, Outlook, retry};
use crate::image::url::Url;

/// No answer to the question whether we may come in is longer.
const ANSWER_MAX: u64 = 64 << 10;

/// Shows credentials to the registry whose API is at `registry`. Gives what is to be kept of them:
/// an identity token where the registry gives one, for it can be taken back and a password is told nobody.
pub fn verify(registry: &Url, credential: &Credential) -> Result<Credential> {
    let url = registry.join("/v2/")?;
    retry(|| attempt(registry, &url, credential))
}

fn attempt(registry: &Url, url: &Url, credential: &Credential) -> std::result::Result<Credential, Failure> {
    let response = get(url, None)?;
    if response.status != 401 {
        // Whoever lets everybody in takes every name.
        return let_in(&response, url).map(|()| credential.clone());
    }
    let challenges = Challenge::of(&response, registry);
    drop(response);
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("bearer")) {
        let token = match TokenServer::of(bearer, registry)?.ask(Aim::Login, Some(credential))? {
            Grant::Refused(why) => return Err(failed(url, &why).into()),
            Grant::Token(token) => token,
        };
        let_in(&get(url, Some(format!("Bearer {}", token.text)))?, url)?;
        let identity = token.identity.map(|identity| Credential::identity_token(&credential.username, identity));
        return Ok(identity.unwrap_or_else(|| credential.clone()));
    }
    if !challenges.iter().any(|challenge| challenge.is("basic")) {
        return Err(failed(url, "the registry asks for something else than a password").into());
    }
    if !registry.keeps_secrets() {
        return Err(failed(url, "no credentials are sent without TLS").into());
    }
    let_in(&get(url, Some(credential.basic()))?, url).map(|()| credential.clone())
}

fn get(url: &Url, authorization: Option<String>) -> std::result::Result<Response, Failure> {
    let headers = authorization.into_iter().map(|value| ("Authorization", value)).collect();
    curl::get(Request { url: url.clone(), headers, max_size: ANSWER_MAX, time: None })
}

fn let_in(response: &Response, url: &Url) -> std::result::Result<(), Failure> {
    match response.status {
        200 => Ok(()),
        401 | 403 => Err(failed(url, WRONG).into()),
        404 => Err(failed(url, "there is no registry").hint("is the name right?").into()),
        status => {
            let error = failed(url, &format!("HTTP status {status}"));
            Err(Failure { error, outlook: Outlook::of_status(status), retry_after: response.retry_after() })
        }
    }
}

fn failed(url: &Url, why: &str) -> Error {
    Error::new(why).context(url.to_string())
}
