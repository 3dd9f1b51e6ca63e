//! The way into a repository: what its registry asks for, and what we show.
//!
//! A registry answers 401 with challenges (RFC 7235). For `Bearer` a token is asked
//! for at the realm that it names; for `Basic` the credentials themselves are shown.

mod challenge;
mod server;
mod token;

use super::credentials::{Credential, Secret};
use super::retry::Failure;
use super::url::Url;
use std::cell::RefCell;

pub use challenge::Challenge;
use server::{Grant, TokenServer};
use token::Token;

/// Our access to one repository of one registry. What it shows is for this registry alone:
/// curl.rs leaves it out wherever a redirect leads away.
#[derive(Clone)]
pub struct Access {
    registry: Url,
    path: String,
    credential: Option<Credential>,
    server: RefCell<Option<TokenServer>>,
    pass: RefCell<Option<Pass>>,
}

/// What lets us in.
#[derive(Clone)]
enum Pass {
    Token(Token),
    Basic,
}

/// What comes of a registry's challenges.
pub enum Answer {
    /// The same request may be let in now.
    Again,
    /// There is no way in for us; why.
    Refused(String),
    /// The registry asks for nothing that we know of; its own words must do.
    Unknown,
}

impl Access {
    /// To the repository `path` of the registry whose API is at `registry`, as whom the credential says.
    pub fn new(registry: &Url, path: &str, credential: Option<Credential>) -> Access {
        Access {
            registry: registry.clone(),
            path: path.to_owned(),
            credential,
            server: RefCell::default(),
            pass: RefCell::default(),
        }
    }

    /// The `Authorization:` header of the next request, where it needs one as far as we know.
    pub fn authorization(&self) -> Option<String> {
        let stale = matches!(&*self.pass.borrow(), Some(Pass::Token(token)) if !token.is_fresh());
        if stale {
            // When this fails, the registry's refusal leads to another try that is told of.
            let _ = self.new_token();
        }
        match &*self.pass.borrow() {
            Some(Pass::Token(token)) => Some(format!("Bearer {}", token.text)),
            Some(Pass::Basic) => self.credential.as_ref().map(Credential::basic),
            None => None,
        }
    }

    /// Does what a 401 asks for. It is for the caller to ask only once for each request.
    pub fn answer(&self, challenges: &[Challenge]) -> Result<Answer, Failure> {
        let shown = self.pass.take();
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("bearer")) {
            self.server.replace(Some(TokenServer::of(bearer, &self.registry)?));
            return self.new_token();
        }
        if !challenges.iter().any(|challenge| challenge.is("basic")) {
            return Ok(Answer::Unknown);
        }
        let refused = |why: &str| Ok(Answer::Refused(why.to_owned()));
        match self.credential.as_ref().map(|credential| &credential.secret) {
            None => refused("no basic auth credentials"),
            Some(Secret::IdentityToken(_)) => refused("an identity token is no password, which the registry asks for"),
            Some(_) if !self.registry.keeps_secrets() => refused("credentials are not sent without TLS"),
            Some(_) if matches!(shown, Some(Pass::Basic)) => refused("unauthorized: incorrect username or password"),
            Some(_) => {
                self.pass.replace(Some(Pass::Basic));
                Ok(Answer::Again)
            }
        }
    }

    /// Gets a token from the server that is known.
    fn new_token(&self) -> Result<Answer, Failure> {
        self.pass.take();
        let Some(server) = self.server.borrow().clone() else { return Ok(Answer::Unknown) };
        match server.ask(&self.path, self.credential.as_ref())? {
            Grant::Refused(why) => Ok(Answer::Refused(why)),
            Grant::Token(token) => {
                self.pass.replace(Some(Pass::Token(token)));
                Ok(Answer::Again)
            }
        }
    }
}
