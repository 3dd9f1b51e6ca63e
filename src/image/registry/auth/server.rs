//! Token servers: where a registry may send us for a token, and how one is asked for.

use super::challenge::Challenge;
use super::token::Token;
use crate::error::{Error, Result};
use crate::image::registry::credentials::{Credential, Secret};
use crate::image::registry::curl::{self, Request, Response};
use crate::image::retry::{Failure, Outlook};
use crate::image::url::{self, Url};
use serde_json::Value;

/// No token and no refusal is longer.
const ANSWER_MAX: u64 = 64 << 10;
/// What token servers know us by.
const CLIENT: &str = "ccrun";

/// A place that gives tokens for a registry, as the registry's challenge names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenServer {
    realm: Url,
    service: Option<String>,
}

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aim<'a> {
    /// To pull from this repository.
    Pull(&'a str),
    /// To see whether the credentials are good. An identity token is asked for as well.
    Login,
}

/// What a token server says.
pub enum Grant {
    Token(Token),
    /// Not to us; why.
    Refused(String),
}

impl TokenServer {
    /// The server that a `Bearer` challenge of the registry names.
    pub fn of(challenge: &Challenge, registry: &Url) -> Result<TokenServer> {
        let realm = challenge.get("realm").ok_or_else(|| Error::new("the registry's challenge names no realm"))?;
        TokenServer::new(realm, challenge.get("service"), registry)
    }

    /// The server at `realm`, if the registry may send us there.
    pub fn new(realm: &str, service: Option<&str>, registry: &Url) -> Result<TokenServer> {
        let realm = Url::parse(realm).map_err(|error| error.context("realm of the registry"))?;
        check_realm(&realm, registry)?;
        Ok(TokenServer { realm, service: service.map(str::to_owned) })
    }

    pub fn realm(&self) -> &Url {
        &self.realm
    }

    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Asks for a token. Whoever has credentials shows them here: a name and password as HTTP's
    /// Basic header, an identity token in the body of a POST.
    pub fn ask(&self, aim: Aim<'_>, credential: Option<&Credential>) -> std::result::Result<Grant, Failure> {
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        parameters.extend(self.service().map(|service| ("service", service)));
        let scope = match aim {
            // What the registry says for `scope` may ask for more than we need, or for another repository.
            Aim::Pull(path) => format!("repository:{path}:pull"),
            Aim::Login => String::new(),
        };
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        let response = match credential {
            None => curl::get(self.request(&parameters, None))?,
            Some(_) if !self.realm.keeps_secrets() => {
                let place = self.realm.without_query();
                return Err(
                    Error::new(format_args!("{place} does not use https; no credentials are sent there")).into()
                );
            }
            Some(credential) => match &credential.secret {
                Secret::Password(_) => {
                    parameters.push(("account", &credential.username));
                    if aim == Aim::Login {
                        parameters.extend([("offline_token", "true"), ("client_id", CLIENT)]);
                    }
                    curl::get(self.request(&parameters, Some(credential.basic())))?
                }
                Secret::IdentityToken(token) => {
                    let grant = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)];
                    parameters.extend(grant);
                    curl::post(self.request(&[], None), &url::form(&parameters))?
                }
            },
        };
        self.read(response, credential)
    }

    fn request(&self, parameters: &[(&str, &str)], authorization: Option<String>) -> Request {
        let authorization = authorization.map(|value| ("Authorization", value));
        Request {
            url: self.realm.clone().with_query(parameters),
            headers: authorization.into_iter().collect(),
            max_size: ANSWER_MAX,
            time: None,
        }
    }

    fn read(&self, response: Response, credential: Option<&Credential>) -> std::result::Result<Grant, Failure> {
        let (place, status) = (self.realm.without_query(), response.status);
        match (status, credential) {
            (200, _) => {
                let token = Token::read(&response.read(ANSWER_MAX)?).map_err(|error| error.context(place))?;
                Ok(Grant::Token(token))
            }
            // OAuth 2 answers 400 to an identity token that is no longer good.
            (401 | 403, Some(_)) | (400, Some(Credential { secret: Secret::IdentityToken(_), .. })) => {
                Ok(Grant::Refused(refusal(&response.read(ANSWER_MAX).unwrap_or_default())))
            }
            (401 | 403, None) => Ok(Grant::Refused("the token server refused".to_owned())),
            _ => {
                let error = Error::new(format_args!("{place}: HTTP status {status} instead of a token"));
                Err(Failure { error, outlook: Outlook::of_status(status), retry_after: response.retry_after() })
            }
        }
    }
}

/// A registry is a stranger: it may send us to a token server on the internet, but
/// neither away from TLS nor into networks that only we can reach.
fn check_realm(realm: &Url, registry: &Url) -> Result<()> {
    let refuse =
        |why: &str| Err(Error::new(format_args!("the registry's token server {} {why}", realm.without_query())));
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

/// Why credentials were refused: Docker Hub says it under `details`, others as registries do.
fn refusal(answer: &[u8]) -> String {
    let value: Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = [value.get("details"), value.pointer("/errors/0/message"), value.get("error_description")];
    let said = said.into_iter().flatten().find_map(Value::as_str).unwrap_or("incorrect username or password");
    format!("unauthorized: {said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(registry: &str, challenge: &str) -> Result<TokenServer> {
        TokenServer::of(&Challenge::parse(challenge)[0], &Url::parse(registry).unwrap())
    }

    #[test]
    fn a_realm_cannot_lead_astray() {
        let go = |registry: &str, realm: &str| server(registry, &format!("Bearer realm=\"{realm}\"")).is_ok();
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
        assert!(server("https://r.io/", "Bearer service=\"x\"").is_err());
    }

    #[test]
    fn no_credentials_go_where_there_is_no_tls() {
        let server = server("http://localhost:5000/", "Bearer realm=\"http://auth.example/t\"").unwrap();
        let credential = Credential::password("u", "secret");
        let Err(failure) = server.ask(Aim::Pull("a"), Some(&credential)) else { panic!("asked") };
        assert_eq!(
            failure.error.to_string(),
            "http://auth.example/t does not use https; no credentials are sent there"
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        for (answer, said) in [
            (r#"{"details":"incorrect username or password"}"#, "unauthorized: incorrect username or password"),
            (r#"{"errors":[{"code":"DENIED","message":"no, you"}]}"#, "unauthorized: no, you"),
            (r#"{"error":"invalid_grant","error_description":"it is old"}"#, "unauthorized: it is old"),
            (r#"{"details":7}"#, "unauthorized: incorrect username or password"),
            ("<html>", "unauthorized: incorrect username or password"),
        ] {
            assert_eq!(refusal(answer.as_bytes()), said);
        }
    }
}
