//! How a registry asks for authorization, and where we may go to get it.
//!
//! A registry answers 401 with challenges (RFC 7235); for `Bearer` a token is asked
//! for at the realm that it names. Everything here is anonymous: what is sent to a
//! realm is made in [`token_url`] alone, the one place where credentials can join.

use super::url::{self, Url};
use crate::error::{Error, Result};
use serde_json::Value;

/// One way that a registry offers to let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `bearer`, `basic`, …: in lower case.
    scheme: String,
    /// Names are in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads the value of one `WWW-Authenticate:` header, which may hold several challenges.
    /// What cannot be understood is left out: another challenge may do.
    pub fn parse(header: &str) -> Vec<Challenge> {
        let mut cursor = Cursor { rest: header };
        let mut challenges = Vec::new();
        while let Some(scheme) = cursor.next_word() {
            let mut parameters = Vec::new();
            while let Some(parameter) = cursor.next_parameter() {
                parameters.push(parameter);
            }
            challenges.push(Challenge { scheme: scheme.to_ascii_lowercase(), parameters });
        }
        challenges
    }

    pub fn is(&self, scheme: &str) -> bool {
        self.scheme == scheme
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The URL that gives a token to pull from `path`, for a challenge of the registry at `registry`.
pub fn token_url(challenge: &Challenge, registry: &Url, path: &str) -> Result<Url> {
    let realm = challenge.get("realm").ok_or_else(|| Error::new("the registry's challenge names no realm"))?;
    let realm = Url::parse(realm).map_err(|error| error.context("realm of the registry"))?;
    check_realm(&realm, registry)?;
    // What the registry says for `scope` may ask for more than we need, or for another repository.
    let scope = format!("repository:{path}:pull");
    let mut parameters = Vec::new();
    parameters.extend(challenge.get("service").map(|service| ("service", service)));
    parameters.push(("scope", &scope));
    Ok(realm.with_query(&parameters))
}

/// A registry is a stranger: it may send us to a token server on the internet, but
/// neither away from TLS nor into networks that only we can reach.
fn check_realm(realm: &Url, registry: &Url) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(format!("the registry's token server {} {why}", realm.without_query())));
    let both_here = url::is_loopback(realm.host()) && url::is_loopback(registry.host());
    let same_host = realm.host() == registry.host() || both_here;
    if registry.is_secure() && !realm.is_secure() {
        return refuse("does not use https");
    }
    if url::is_internal(realm.host()) && !same_host {
        return refuse("is in a private network; refused");
    }
    Ok(())
}

/// The token in a token server's answer.
pub fn token(answer: &[u8]) -> Result<String> {
    let value: Value = serde_json::from_slice(answer)
        .map_err(|error| Error::new(format!("the token server's answer is no JSON: {error}")))?;
    let text = ["token", "access_token"]
        .iter()
        .filter_map(|name| value.get(name).and_then(Value::as_str))
        .find(|token| !token.is_empty())
        .ok_or_else(|| Error::new("the token server's answer has no token"))?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::new("the token server's answer has a token with odd characters"));
    }
    Ok(text.to_owned())
}

/// Reads the tokens of RFC 7235's grammar, skipping what is none.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// The next token; whatever stands before it is skipped.
    fn next_word(&mut self) -> Option<&'a str> {
        let start = self.rest.find(is_token)?;
        self.rest = &self.rest[start..];
        Some(self.token())
    }

    fn token(&mut self) -> &'a str {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    fn skip(&mut self, characters: &[char]) {
        self.rest = self.rest.trim_start_matches(characters);
    }

    /// The next `name=value`. None leaves the cursor before the word that starts another challenge.
    fn next_parameter(&mut self) -> Option<(String, String)> {
        loop {
            self.skip(&[' ', '\t', ',']);
            let before = self.rest;
            let name = self.token();
            self.skip(&[' ', '\t']);
            let Some(value) = self.rest.strip_prefix('=').filter(|_| !name.is_empty()) else {
                self.rest = before;
                return None;
            };
            self.rest = value;
            self.skip(&[' ', '\t']);
            if let Some(quoted) = self.rest.strip_prefix('"') {
                self.rest = quoted;
                return Some((name.to_ascii_lowercase(), self.quoted()));
            }
            let value = self.token();
            if !value.is_empty() {
                return Some((name.to_ascii_lowercase(), value.to_owned()));
            }
            // The end of a token68 (`Negotiate YWJj==`), which no scheme of ours uses.
            self.skip(&['=']);
        }
    }

    /// The rest of a quoted string, whose opening quote is gone.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        self.rest = "";
        value
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    fn shown(header: &str) -> Vec<String> {
        let show = |challenge: &Challenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            challenge.scheme.clone() + &parameters.collect::<String>()
        };
        Challenge::parse(header).iter().map(show).collect()
    }

    #[test]
    fn challenges_are_read_in_all_their_forms() {
        for (header, challenges) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#,
                &["bearer realm=https://auth.docker.io/token service=registry.docker.io scope=a:b:pull,push"][..],
            ),
            (r#"Basic realm="a, \"b\"", Bearer realm=x"#, &["basic realm=a, \"b\"", "bearer realm=x"]),
            (r#"Negotiate, Basic Realm = "x" , charset="UTF-8""#, &["negotiate", "basic realm=x charset=UTF-8"]),
            (r#"Negotiate YWJjZA==, Bearer realm="x""#, &["negotiate", "bearer realm=x"]),
            (r#"BEARER realm="unclosed"#, &["bearer realm=unclosed"]),
            ("Basic", &["basic"]),
            ("", &[]),
            (",,; ", &[]),
        ] {
            let read = shown(header);
            assert_eq!(read, challenges, "{header}");
        }
    }

    #[test]
    fn the_token_is_asked_for_with_our_own_scope() {
        let header = r#"Bearer realm="https://auth.io/t?x=1",service="a b",scope="repository:other:pull,push""#;
        let registry = Url::parse("https://r.io/").unwrap();
        let url = token_url(&Challenge::parse(header)[0], &registry, "library/alpine").unwrap();
        assert_eq!(url.to_string(), "https://auth.io/t?x=1&service=a%20b&scope=repository:library/alpine:pull");
    }

    #[test]
    fn a_realm_cannot_lead_astray() {
        let go = |registry: &str, realm: &str| {
            let challenge = Challenge::parse(&format!("Bearer realm=\"{realm}\"")).remove(0);
            token_url(&challenge, &Url::parse(registry).unwrap(), "a").is_ok()
        };
        assert!(go("https://r.io/", "https://auth.io/t"));
        assert!(go("https://10.0.0.1/", "https://10.0.0.1:8443/t"));
        assert!(go("http://localhost:5000/", "http://127.0.0.1:5001/t"));
        for (registry, realm) in [
            ("https://r.io/", "http://auth.io/t"),
            ("https://r.io/", "https://127.0.0.1/t"),
            ("https://r.io/", "https://localhost/t"),
            ("https://r.io/", "https://169.254.169.254/t"),
            ("https://r.io/", "https://2130706433/t"),
            ("https://r.io/", "https://[::ffff:10.0.0.1]/t"),
            ("http://localhost:5000/", "http://169.254.169.254/latest"),
            ("http://localhost:5000/", "http://10.0.0.1/"),
            ("https://r.io/", "file:///etc/passwd"),
            ("https://r.io/", "https://u:p@auth.io/"),
        ] {
            assert!(!go(registry, realm), "{registry} {realm}");
        }
    }

    #[test]
    fn tokens_come_under_either_name() {
        assert_eq!(token(br#"{"token":"","access_token":"abc"}"#).unwrap(), "abc");
        assert_eq!(token(br#"{"token":"t","expires_in":300}"#).unwrap(), "t");
        for bad in ["", "{}", "<html>", r#"{"token":7}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":"a b"}"#] {
            assert!(token(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_header_makes_the_parser_panic() {
        let seeds = [r#"Bearer realm="https://a/b",service="c, \"d\"" , scope=e"#, "Negotiate YWJj==, Basic realm=x"];
        mutation::each(&seeds, 5000, |bytes| {
            for challenge in Challenge::parse(&String::from_utf8_lossy(bytes)) {
                drop(token_url(&challenge, &Url::parse("https://r.io/").unwrap(), "a"));
            }
        });
    }
}
