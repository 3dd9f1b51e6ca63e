//! Tokens, as token servers give them.

use crate::error::{Error, Result};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a token lasts whose server doesn't say or says less, in seconds.
const LIFETIME_MIN: u64 = 60;
/// A token isn't used in its last seconds, which the request itself may take.
const MARGIN: u64 = 10;

/// A token that lets us in for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// Seconds since 1970, by our clock.
    pub expires: u64,
    /// What may be shown the next time instead of a password, where the server gives such a thing.
    pub identity: Option<String>,
}

impl Token {
    /// The token in a token server's answer. Its life is counted from now on: `issued_at` is by the
    /// server's clock, and a token that ends earlier than we think is refused and made anew anyway.
    pub fn read(answer: &[u8]) -> Result<Token> {
        let value: Value = serde_json::from_slice(answer)
            .map_err(|error| Error::new(format_args!("the token server's answer is no JSON: {error}")))?;
        let text = ["token", "access_token"]
            .iter()
            .filter_map(|name| value.get(name).and_then(Value::as_str))
            .find(|token| !token.is_empty())
            .ok_or_else(|| Error::new("the token server's answer has no token"))?;
        if !is_token(text) {
            return Err(Error::new("the token server's answer has a token with odd characters"));
        }
        let lifetime = value.get("expires_in").and_then(Value::as_u64).unwrap_or(0).max(LIFETIME_MIN);
        let identity = value.get("refresh_token").and_then(Value::as_str).filter(|text| is_token(text));
        Ok(Token { identity: identity.map(str::to_owned), ..Token::new(text, now().saturating_add(lifetime)) })
    }

    pub fn new(text: &str, expires: u64) -> Token {
        Token { text: text.to_owned(), expires, identity: None }
    }

    /// Whether the token is good for a request that is made now.
    pub fn is_fresh(&self) -> bool {
        self.expires > now() + MARGIN
    }
}

/// Whether a text may stand in a header.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Seconds since 1970; 0 where the clock is before that.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_under_either_name() {
        let text = |answer: &str| Token::read(answer.as_bytes()).map(|token| token.text);
        assert_eq!(text(r#"{"token":"","access_token":"abc"}"#).unwrap(), "abc");
        assert_eq!(text(r#"{"token":"t","expires_in":300}"#).unwrap(), "t");
        for bad in ["", "{}", "<html>", r#"{"token":7}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":"a b"}"#] {
            assert!(text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_lasts_as_its_server_says_and_a_minute_at_least() {
        for (lifetime, seconds) in [("300", 300), ("5", 60), ("-1", 60), ("\"x\"", 60), ("1e99", 60)] {
            let token = Token::read(format!(r#"{{"token":"t","expires_in":{lifetime}}}"#).as_bytes()).unwrap();
            let left = token.expires - now();
            assert!((seconds - 1..=seconds).contains(&left) && token.is_fresh(), "{lifetime}: {left}");
        }
        let endless = format!(r#"{{"token":"t","expires_in":{}}}"#, u64::MAX);
        assert!(Token::read(endless.as_bytes()).unwrap().is_fresh());
        assert!(!Token::new("t", now() + 5).is_fresh());
    }
}
