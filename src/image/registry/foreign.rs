//! Foreign layers: blobs that a registry may not give itself, and whose manifest says where they are.
//!
//! A manifest is a stranger's word. So nothing is shown there that is ours, and no place is asked that
//! only we could reach; manifest.rs has left those out that look so, and redirects are looked at here.

use super::curl::{self, Body, Request};
use super::range;
use crate::error::Error;
use crate::image::manifest::Descriptor;
use crate::image::retry::{Failure, Outlook};
use crate::image::url::Url;

/// The blob's bytes from `from` on, from the first of its places that has it; else why the last has not.
pub fn open(blob: &Descriptor, from: u64, missing: Failure) -> std::result::Result<Body, Failure> {
    let mut failure = missing;
    for url in &blob.urls {
        match at(url, blob, from) {
            Ok(body) => return Ok(body),
            Err(failed) => failure = failed,
        }
    }
    Err(failure)
}

fn at(url: &Url, blob: &Descriptor, from: u64) -> std::result::Result<Body, Failure> {
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
