//! How a registry asks for authorization: the challenges of a 401 (RFC 7235).

use crate::image::registry::curl::Response;
use crate::image::url::Url;

/// One way that a registry offers to let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `bearer`, `basic`, …: in lower case.
    scheme: String,
    /// Names are in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// What an answer to a request to the registry asks for. Where a redirect led to somebody else, what he asks
    /// for is nothing: he could send us anywhere with the registry's credentials.
    pub fn of(response: &Response, registry: &Url) -> Vec<Challenge> {
        if !response.is_from(registry) {
            return Vec::new();
        }
        response.headers("www-authenticate").flat_map(Challenge::parse).collect()
    }

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

    /// The parameter of this name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
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
    use crate::image::registry::auth::server::TokenServer;

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
    fn no_header_makes_the_parser_panic() {
        let seeds = [r#"Bearer realm="https://a/b",service="c, \"d\"" , scope=e"#, "Negotiate YWJj==, Basic realm=x"];
        let registry = Url::parse("https://r.io/").unwrap();
        mutation::each(&seeds, 5000, |bytes| {
            for challenge in Challenge::parse(&String::from_utf8_lossy(bytes)) {
                drop(TokenServer::of(&challenge, &registry));
            }
        });
    }
}
