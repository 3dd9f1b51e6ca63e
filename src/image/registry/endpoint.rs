//! A place that speaks the distribution API for a repository: its registry, or a mirror of it.

use super::auth::{Access, Answer};
use super::curl::{self, Body, Request, Response};
use super::range::{self, Header};
use super::refusal::{Refusal, denied};
use crate::image::manifest::Descriptor;
use crate::image::reference::Reference;
use crate::image::retry::Failure;
use crate::image::url::Url;
use crate::store::Store;
use std::time::Duration;

/// Refusals may be longer than what was asked for, up to this.
const REFUSAL_MAX: u64 = 64 << 10;

/// How often what lets us in is got anew for one request.
const RENEWALS: usize = 2;

pub struct Endpoint<'s> {
    /// What stands before `/v2/`.
    base: Url,
    /// The repository there.
    path: String,
    /// How its user calls it.
    name: String,
    access: Access<'s>,
}

impl Endpoint<'_> {
    /// The repository of `reference` at `base`, with the credentials that we have for that place.
    pub fn new<'s>(store: &'s Store, base: &Url, reference: &Reference) -> Endpoint<'s> {
        let access = Access::to(store, base, reference.path());
        let path = reference.path().to_owned();
        Endpoint { base: base.clone(), path, name: reference.familiar_name(), access }
    }

    /// GETs what is called `wanted` among the `kind` (`manifests`, `blobs`) of the repository; an answer with
    /// at most `max_size` bytes.
    pub fn get(
        &self,
        kind: &str,
        wanted: &str,
        header: Option<Header>,
        max_size: u64,
    ) -> std::result::Result<Response, Failure> {
        let response = self.authorized(&format!("{kind}/{wanted}"), header, max_size, None)?;
        match response.status {
            200 | 206 => Ok(response),
            status => {
                let failure = Refusal::read(response).explain(self.base.authority(), &self.name, wanted);
                let is_ours = matches!(status, 401 | 403);
                let error = if is_ours { self.access.excuse(failure.error) } else { failure.error };
                Err(Failure { error, ..failure })
            }
        }
    }

    /// The bytes of a blob from `from` on.
    pub fn blob(&self, blob: &Descriptor, from: u64) -> std::result::Result<Body, Failure> {
        let digest = blob.digest.to_string();
        range::open(from, |header| self.get("blobs", &digest, header, blob.size))
    }

    /// GETs a list, unless it takes longer than nobody would wait for it.
    pub fn list(&self, target: &str, max_size: u64, time: Duration) -> std::result::Result<Response, Failure> {
        let response = self.authorized(target, None, max_size, Some(time))?;
        match response.status {
            200 => Ok(response),
            _ => Err(Refusal::read(response).explain(self.base.authority(), &self.name, target)),
        }
    }

    /// One GET below the repository, with what lets us in. That is got anew when it is missing or has expired, and once
    /// more when what is new is refused as well: some tokens live no longer than a slow request takes.
    fn authorized(
        &self,
        target: &str,
        header: Option<Header>,
        max_size: u64,
        time: Option<Duration>,
    ) -> std::result::Result<Response, Failure> {
        let url = self.base.below(&format!("/v2/{}/{target}", self.path))?;
        let send = || {
            let access = self.access.authorization().map(|value| ("Authorization", value));
            let headers = header.clone().into_iter().chain(access).collect();
            curl::get(Request { url: url.clone(), headers, max_size: max_size.max(REFUSAL_MAX), time })
        };
        let mut response = send()?;
        for renewal in 0..RENEWALS {
            if response.status != 401 || (renewal > 0 && !self.access.may_heal(&response)) {
                break;
            }
            match self.access.answer(&response)? {
                Answer::Unknown => break,
                Answer::Refused(why) => return Err(self.access.excuse(denied(&self.name, &why)).into()),
                Answer::Again => {
                    drop(response);
                    response = send()?;
                }
            }
        }
        Ok(response)
    }
}
