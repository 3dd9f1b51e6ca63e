//! The tags of a repository, for those who asked for one that is not there.

use super::endpoint::Endpoint;
use crate::image::retry::Outlook;
use serde_json::Value;
use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// How many tags are looked through, a page at a time, and how long a page may be in bytes.
const PAGE: usize = 1000;
const PAGES: usize = 4;
const PAGE_MAX: u64 = 256 << 10;
/// Nobody waits longer for a hint.
const TIME: Duration = Duration::from_secs(3);
const NEAREST: usize = 3;
/// No tag is longer.
const TAG_MAX: usize = 128;

/// What to tell somebody who asked for the tag `wanted` in vain; nothing when the place does not answer
/// well and soon.
pub fn hint(place: &Endpoint<'_>, wanted: &str) -> Option<String> {
    let began = Instant::now();
    let mut tags: Vec<String> = Vec::new();
    for _ in 0..PAGES {
        let Some(left) = TIME.checked_sub(began.elapsed()) else { break };
        let last = tags.last().map(|last| format!("&last={last}")).unwrap_or_default();
        let response = match place.list(&format!("tags/list?n={PAGE}{last}"), PAGE_MAX, left) {
            Err(failure) if failure.outlook == Outlook::Missing && tags.is_empty() => {
                return Some("there is no repository of this name".to_owned());
            }
            Err(_) => break,
            Ok(response) => response,
        };
        let has_more = response.header("link").is_some();
        let Ok(page) = response.read(PAGE_MAX) else { break };
        tags.extend(read(&page));
        if !has_more {
            break;
        }
    }
    let near = nearest(wanted, tags);
    (!near.is_empty()).then(|| format!("the nearest tags are {}", near.join(", ")))
}

/// The tags on a page. One that is none is left out: it may not get into a URL, nor before the user.
fn read(page: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(page).unwrap_or_default();
    let tags = value.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let is_tag = |tag: &&str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        !tag.is_empty() && tag.len() <= TAG_MAX && tag.bytes().all(allowed)
    };
    tags.filter(is_tag).map(str::to_owned).collect()
}

/// Those that begin like `wanted` first, then those with the fewest other letters; the newest of equals,
/// as most tags are versions.
fn nearest(wanted: &str, mut tags: Vec<String>) -> Vec<String> {
    crate::sort::by_key(&mut tags, |tag| (!tag.starts_with(wanted), distance(wanted, tag), Reverse(tag.clone())));
    tags.dedup();
    tags.truncate(NEAREST);
    tags
}

/// How many letters must be put in, taken out or exchanged to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let exchanged = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_tags_come_first() {
        let near = |wanted: &str, tags: &str| nearest(wanted, tags.split(' ').map(str::to_owned).collect()).join(" ");
        assert_eq!(near("lates", "1.0 2.0 latest edge"), "latest edge 2.0");
        assert_eq!(near("3.99", "20190228 3 3.19 3.9 edge latest"), "3.9 3.19 3");
        assert_eq!(near("22", "20.04 22.04 22.10 noble 7"), "22.10 22.04 7");
        assert_eq!(near("bookworm-slm", "bookworm bookworm-slim sid"), "bookworm-slim bookworm sid");
        assert_eq!(near("x", "only"), "only");
    }

    #[test]
    fn what_is_no_list_of_tags_gives_none() {
        assert_eq!(read(br#"{"name":"a","tags":["v1","a b","\u001b[2J","v2","",7]}"#), ["v1", "v2"]);
        for bad in [&b""[..], b"<html>", b"[]", br#"{"tags":null}"#, br#"{"tags":{}}"#] {
            assert!(read(bad).is_empty());
        }
    }
}
