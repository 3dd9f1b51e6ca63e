//! The way into a repository: what its registry asks for, and what we show.
//!
//! A registry answers 401 with challenges (RFC 7235). For `Bearer` a token is asked
//! for at the realm that it names; for `Basic` the credentials themselves are shown.

mod challenge;
mod login;
mod memory;
mod server;
mod token;

use super::credentials::{self, Credential, Secret, Server};
use super::curl::Response;
use crate::error::Error;
use crate::image::retry::Failure;
use crate::image::url::Url;
use crate::store::Store;
use std::cell::RefCell;

use challenge::Challenge;
pub use login::verify;
use memory::Memory;
use server::{Aim, Grant, TokenServer};
use token::Token;

/// What Docker says of a wrong password.
const WRONG: &str = "unauthorized: incorrect username or password";

/// Our access to one repository of one registry. What it shows is for this registry alone:
/// curl.rs leaves it out wherever a redirect leads away.
pub struct Access<'s> {
    registry: Url,
    path: String,
    credential: Option<Credential>,
    /// Why the user's credentials could not be read. Most images need none, so it counts only when we are refused.
    unread: Option<String>,
    memory: Memory<'s>,
    way: RefCell<Option<Way>>,
    token: RefCell<Option<Token>>,
}

/// How a registry lets people in.
#[derive(Clone)]
enum Way {
    Token(TokenServer),
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

impl Access<'_> {
    /// To the repository `path` of the registry whose API is at `registry`, as whom the user's
    /// credentials say. It begins where the last one ended that the store knows of.
    pub fn to<'s>(store: &'s Store, registry: &Url, path: &str) -> Access<'s> {
        let (credential, unread) = match credentials::find(&Server::of(registry), path) {
            Ok(credential) => (credential, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let memory = Memory::of(store, registry);
        Access {
            registry: registry.clone(),
            path: path.to_owned(),
            way: RefCell::new(memory.way()),
            // Whoever has credentials may see and pull more with a token of his own.
            token: RefCell::new(if credential.is_none() { memory.token(path) } else { None }),
            credential,
            unread,
            memory,
        }
    }

    /// A refusal, with the reason that may lie with us.
    pub fn excuse(&self, refusal: Error) -> Error {
        match &self.unread {
            Some(why) => refusal.hint(why.as_str()),
            None => refusal,
        }
    }

    /// The `Authorization:` header of the next request, where it needs one as far as we know.
    pub fn authorization(&self) -> Option<String> {
        let is_basic = match &*self.way.borrow() {
            None => return None,
            Some(Way::Basic) => true,
            Some(Way::Token(_)) => false,
        };
        if is_basic {
            return self.password().ok().map(Credential::basic);
        }
        let is_fresh = self.token.borrow().as_ref().is_some_and(Token::is_fresh);
        if !is_fresh && !matches!(self.new_token(), Ok(Answer::Again)) {
            // The registry may see it differently. If it doesn't, there is another try, whose failure is told.
            self.way.take();
        }
        self.token.borrow().as_ref().map(|token| format!("Bearer {}", token.text))
    }

    /// Whether a token that was got just now may be refused by chance: not where it lacks a right, as with a repository that
    /// is not for us.
    pub fn may_heal(&self, refusal: &Response) -> bool {
        let challenges = Challenge::of(refusal, &self.registry);
        let bearer = challenges.iter().find(|challenge| challenge.is("bearer"));
        bearer.is_some_and(|bearer| bearer.get("error") != Some("insufficient_scope"))
    }

    /// Does what a 401 asks for. It is for the caller to ask only once for each request.
    pub fn answer(&self, refusal: &Response) -> Result<Answer, Failure> {
        let challenges = Challenge::of(refusal, &self.registry);
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("bearer")) {
            self.way.replace(Some(Way::Token(TokenServer::of(bearer, &self.registry)?)));
            return self.new_token();
        }
        if !challenges.iter().any(|challenge| challenge.is("basic")) {
            return Ok(Answer::Unknown);
        }
        let before = self.way.replace(Some(Way::Basic));
        self.memory.keep(&Way::Basic, None);
        match self.password() {
            Err(why) => Ok(Answer::Refused(why.to_owned())),
            Ok(_) if matches!(before, Some(Way::Basic)) => Ok(Answer::Refused(WRONG.to_owned())),
            Ok(_) => Ok(Answer::Again),
        }
    }

    /// What may be shown to the registry itself; or why there is nothing.
    fn password(&self) -> Result<&Credential, &'static str> {
        match &self.credential {
            None => Err("no basic auth credentials"),
            Some(_) if !self.registry.keeps_secrets() => Err("no credentials are sent without TLS"),
            Some(Credential { secret: Secret::IdentityToken(_), .. }) => {
                Err("the registry asks for a password, and what is stored for it is an identity token")
            }
            Some(credential) => Ok(credential),
        }
    }

    /// Gets a token from the server that is known.
    fn new_token(&self) -> Result<Answer, Failure> {
        self.token.take();
        let Some(Way::Token(server)) = self.way.borrow().clone() else { return Ok(Answer::Unknown) };
        match server.ask(Aim::Pull(&self.path), self.credential.as_ref())? {
            Grant::Refused(why) => Ok(Answer::Refused(why)),
            Grant::Token(token) => {
                let for_all = self.credential.is_none().then_some((self.path.as_str(), &token));
                self.memory.keep(&Way::Token(server), for_all);
                self.token.replace(Some(token));
                Ok(Answer::Again)
            }
        }
    }
}
