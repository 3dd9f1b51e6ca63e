//! The bytes of a blob from some byte on, as HTTP gives them (RFC 9110, 14).

use super::curl::{Body, Response};
use crate::error::Error;
use crate::image::retry::Failure;

/// A header of a request.
pub type Header = (&'static str, String);

/// The body from byte `from` on. `ask` asks for it, with a header where only the rest is wanted, and
/// gives an answer with the status 200 or 206.
pub fn open(
    from: u64,
    ask: impl Fn(Option<Header>) -> std::result::Result<Response, Failure>,
) -> std::result::Result<Body, Failure> {
    if from > 0 {
        let response = ask(Some(("Range", format!("bytes={from}-"))))?;
        match response.status {
            206 if start(response.header("content-range").unwrap_or_default()) == Some(from) => {
                return Ok(response.body);
            }
            200 => return response.body.skip(from),
            // Other bytes than were asked for: who cannot do that gets an easier question.
            _ => {}
        }
    }
    let response = ask(None)?;
    if response.status == 206 {
        return Err(Error::new("a part came of what was asked for as a whole").into());
    }
    response.body.skip(from)
}

/// Where an answer begins that is a part: the 5 of `bytes 5-9/10`.
fn start(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_begins() {
        assert_eq!(start("bytes 5-9/10"), Some(5));
        assert_eq!(start("bytes 0-9/*"), Some(0));
        for bad in ["", "bytes */10", "5-9/10", "items 5-9/10", "bytes -9/10"] {
            assert_eq!(start(bad), None, "{bad}");
        }
    }
}
