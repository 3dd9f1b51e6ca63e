//! What is remembered of a registry from one pull to the next, so that the next needs fewer round trips.
//!
//! `registries/<host>.json` in the store holds how the registry lets people in and the
//! tokens that it gives to everybody. What credentials have bought is never written down.
//! It is a memory and no more: damaged, missing or out of date, it costs a round trip.

use super::Way;
use super::server::TokenServer;
use super::token::{Token, is_token};
use crate::error::Result;
use crate::image::url::Url;
use crate::json::json;
use crate::store::Store;
use crate::store::drafts::Draft;
use crate::sys::fs;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The memory of one registry.
pub struct Memory<'s> {
    store: &'s Store,
    registry: Url,
}

impl Memory<'_> {
    pub fn of<'s>(store: &'s Store, registry: &Url) -> Memory<'s> {
        Memory { store, registry: registry.clone() }
    }

    /// How the registry let people in the last time.
    pub fn way(&self) -> Option<Way> {
        let value = self.read()?;
        if value.get("basic").and_then(Value::as_bool) == Some(true) {
            return Some(Way::Basic);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        // Where we may go is looked at again: a file is no better reason to go there than a header.
        TokenServer::new(text("realm")?, text("service"), &self.registry).ok().map(Way::Token)
    }

    /// The token that everybody gets for a repository, if it is still good.
    pub fn token(&self, path: &str) -> Option<Token> {
        let value = self.read()?;
        read_token(value.get("tokens")?.get(path)?)
    }

    /// Remembers the way in, and a token that everybody gets for a repository.
    pub fn keep(&self, way: &Way, token: Option<(&str, &Token)>) {
        let old = self.read().unwrap_or_default();
        let mut value = match way {
            Way::Basic => json!({ "basic": true }),
            Way::Token(server) => json!({ "realm": server.realm().to_string(), "service": server.service() }),
        };
        let mut tokens = Map::new();
        for (path, token) in old.get("tokens").and_then(Value::as_object).into_iter().flatten() {
            if read_token(token).is_some() {
                tokens.insert(path.clone(), token.clone());
            }
        }
        if let Some((path, token)) = token {
            tokens.insert(path.to_owned(), json!({ "token": token.text, "expires": token.expires }));
        }
        value["tokens"] = tokens.into();
        if value != old {
            // A full disk is no reason not to pull: what fails for it fails later and says so.
            let _ = self.write(&value.to_string());
        }
    }

    fn file(&self) -> PathBuf {
        self.store.root().join("registries").join(format!("{}.json", self.registry.authority()))
    }

    fn read(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.file()).ok()?).ok()
    }

    fn write(&self, text: &str) -> Result<()> {
        self.store.dir("registries")?;
        let draft = Draft::new(self.store)?;
        fs::replace_file(&self.file(), &draft.path().join("file"), text.as_bytes(), 0o600, &|_| Ok(()))
    }
}

fn read_token(value: &Value) -> Option<Token> {
    let text = value.get("token")?.as_str().filter(|text| is_token(text))?;
    Some(Token::new(text, value.get("expires")?.as_u64()?)).filter(Token::is_fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;
    use crate::store::testing::TestStore;
    use std::os::unix::fs::MetadataExt;

    fn token(text: &str) -> Token {
        Token::read(format!(r#"{{"token":"{text}"}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn what_is_kept_is_remembered_for_its_registry_alone() {
        let store = TestStore::new();
        let registry = Url::parse("https://r.io/").unwrap();
        let memory = Memory::of(&store, &registry);
        assert!(memory.way().is_none() && memory.token("a/b").is_none());
        let server = TokenServer::new("https://auth.io/t", Some("s"), &registry).unwrap();
        let way = Way::Token(server.clone());
        memory.keep(&way, Some(("a/b", &token("one"))));
        memory.keep(&way, Some(("a/c", &token("two"))));
        memory.keep(&way, Some(("a/d", &Token::new("old", 7))));
        memory.keep(&way, None);
        assert!(matches!(memory.way(), Some(Way::Token(known)) if known == server));
        let texts = ["a/b", "a/c", "a/d", "a"].map(|path| memory.token(path).map(|token| token.text));
        assert_eq!(texts, [Some("one".to_owned()), Some("two".to_owned()), None, None]);
        let other = Memory::of(&store, &Url::parse("https://r.io:444/").unwrap());
        assert!(other.way().is_none() && other.token("a/b").is_none());
        let mode = std::fs::metadata(memory.file()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        memory.keep(&Way::Basic, None);
        assert!(matches!(memory.way(), Some(Way::Basic)));
    }

    #[test]
    fn a_damaged_memory_is_none() {
        let store = TestStore::new();
        let registry = Url::parse("https://r.io/").unwrap();
        let memory = Memory::of(&store, &registry);
        let server = TokenServer::new("https://auth.io/t", Some("s"), &registry).unwrap();
        memory.keep(&Way::Token(server), Some(("a/b", &token("one"))));
        let seeds = [std::fs::read(memory.file()).unwrap(), br#"{"realm":"http://10.0.0.1/","basic":0}"#.to_vec()];
        mutation::each(&seeds, 2000, |bytes| {
            std::fs::write(memory.file(), bytes).unwrap();
            if let Some(Way::Token(server)) = memory.way() {
                assert!(server.realm().is_secure());
            }
            assert!(memory.token("a/b").is_none_or(|token| is_token(&token.text) && token.is_fresh()));
        });
    }
}
