//! A repository for reading: what its mirrors have of it, and else its registry.

pub mod auth;
pub mod credentials;
pub mod curl;
pub mod endpoint;
pub mod http_date;
pub mod mirrors;
pub mod range;
pub mod refusal;
pub mod tags;

use super::digest::Digest;
use super::manifest::{self, Descriptor, Document};
use super::origin::{Blob, Origin};
use super::reference::Reference;
use super::retry::{Failure, Outlook, retry};
use super::url::Url;
use crate::error::{Error, Result};
use crate::store::Store;
use curl::{Body, Request};
use endpoint::Endpoint;
use std::cell::Cell;

pub struct Repository<'s> {
    reference: Reference,
    /// The mirrors in their order, then the registry itself.
    places: Vec<Endpoint<'s>>,
    /// The place that is asked now; those before it were of no use.
    at: Cell<usize>,
    jobs: usize,
}

/// A manifest as it was served.
pub struct Served {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub document: Document,
}

impl Repository<'_> {
    /// The repository that `reference` names, `jobs` of whose blobs may be read at once.
    pub fn new<'s>(store: &'s Store, reference: &Reference, jobs: usize) -> Result<Repository<'s>> {
        let registry = Url::parse(&format!("{}://{}/", reference.scheme(), reference.api_host()))?;
        let mut places = mirrors::of(reference.domain())?;
        places.push(registry);
        let places = places.iter().map(|base| Endpoint::new(store, base, reference)).collect();
        Ok(Repository { reference: reference.clone(), places, at: Cell::new(0), jobs })
    }

    /// Gets the manifest or index that a tag or digest names.
    pub fn manifest(&self, wanted: &str) -> Result<Served> {
        let accepted = manifest::ACCEPTED.join(", ");
        let mut missing = false;
        let got = retry(|| {
            self.anywhere(|place| {
                let response =
                    place.get("manifests", wanted, Some(("Accept", accepted.clone())), manifest::MANIFEST_MAX);
                missing = response.as_ref().is_err_and(|failure| failure.outlook == Outlook::Missing);
                let response = response?;
                let content_type = response.header("content-type").map(str::to_owned);
                let bytes = response.read(manifest::MANIFEST_MAX)?;
                let digest = Digest::of(&bytes);
                if Digest::parse(wanted).is_ok_and(|wanted| wanted != digest) {
                    return Err(Error::new(format_args!("{wanted} is wrong: what came has the digest {digest}")).into());
                }
                let document = Document::parse(&bytes, content_type.as_deref())?;
                Ok(Served { bytes, digest, document })
            })
        });
        match got {
            Err(error) if missing && self.reference.digest().is_none() => {
                let hint = self.places.get(self.at.get()).and_then(|place| tags::hint(place, wanted));
                Err(match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
            got => got,
        }
    }

    /// Gets a small blob whole, and checks it.
    pub fn small_blob(&self, blob: &Descriptor, max: u64) -> Result<Vec<u8>> {
        retry(|| {
            self.anywhere(|place| {
                let response = place.get("blobs", &blob.digest.to_string(), None, max)?;
                Ok(check(blob, response.read(max)?)?)
            })
        })
    }

    /// Asks one place after the other until one has it. Those that have not are not asked again.
    fn anywhere<T>(
        &self,
        mut ask: impl FnMut(&Endpoint<'_>) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        loop {
            let place = self.places.get(self.at.get()).ok_or_else(|| Error::new("no registry to ask"))?;
            match ask(place) {
                Err(_) if self.go_on() => {}
                outcome => return outcome,
            }
        }
    }

    /// Turns to the next place; the last one is never left.
    fn go_on(&self) -> bool {
        let next = self.at.get() + 1;
        let is_place = next < self.places.len();
        if is_place {
            self.at.set(next);
        }
        is_place
    }
}

impl Origin for Repository<'_> {
    fn open(&self, blob: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
        match self.anywhere(|place| place.blob(blob, from)) {
            Err(missing) if missing.outlook == Outlook::Missing => Ok(Box::new(open_foreign(blob, from, missing)?)),
            opened => Ok(Box::new(opened?)),
        }
    }

    fn turn_away(&self, _blob: &Descriptor) -> bool {
        self.go_on()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn jobs(&self) -> usize {
        self.jobs
    }
}

/// Opens a foreign layer: a blob that a registry may not serve itself, and whose manifest says where it is. Returns the
/// failure of the last of its URLs if none has it.
///
/// A manifest is a stranger's word. So these URLs never get credentials, and hosts that only we can reach are refused:
/// manifest.rs has left out URLs of such hosts, and [`curl::get_public`] refuses redirects to them.
fn open_foreign(blob: &Descriptor, from: u64, missing: Failure) -> std::result::Result<Body, Failure> {
    let mut failure = missing;
    for url in &blob.urls {
        match open_at(url, blob, from) {
            Ok(body) => return Ok(body),
            Err(failed) => failure = failed,
        }
    }
    Err(failure)
}

fn open_at(url: &Url, blob: &Descriptor, from: u64) -> std::result::Result<Body, Failure> {
    range::open(from, |header| {
        let headers = header.into_iter().collect();
        let response = curl::get_public(Request { url: url.clone(), headers, max_size: blob.size, time: None })?;
        match response.status {
            200 | 206 => Ok(response),
            status => {
                let error = Error::new(format_args!("{}: HTTP status {status}", url.without_query()));
                Err(Failure { error, outlook: Outlook::of_status(status), retry_after: response.retry_after() })
            }
        }
    })
}

/// Bytes that are what their descriptor says.
pub fn check(blob: &Descriptor, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let digest = Digest::of(&bytes);
    if bytes.len() as u64 != blob.size {
        return Err(Error::new(format_args!("{} has {} bytes instead of {}", blob.digest, bytes.len(), blob.size)));
    }
    if digest != blob.digest {
        return Err(Error::new(format_args!("{} is wrong: what came has the digest {digest}", blob.digest)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_checked_by_size_and_digest() {
        let blob = Descriptor { media_type: String::new(), digest: Digest::of(b"abc"), size: 3, urls: Vec::new() };
        assert_eq!(check(&blob, b"abc".to_vec()).unwrap(), b"abc");
        assert!(check(&blob, b"abd".to_vec()).is_err());
        assert!(check(&blob, b"abcd".to_vec()).is_err());
    }
}
