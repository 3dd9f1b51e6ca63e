//! The files in which Docker and podman keep credentials: config.json, auth.json, .dockercfg.

use super::base64;
use super::helper::Helper;
use super::server::Server;
use super::{Credential, Secret};
use crate::error::{Error, Result};
use crate::json::json;
use crate::sys::fs;
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// One of these files as it was read.
pub struct AuthFile {
    path: PathBuf,
    /// All of it: what is not ours is written back as it was.
    content: Map<String, Value>,
}

impl AuthFile {
    /// What is in the file; nothing where there is none.
    pub fn read(path: &Path) -> Result<AuthFile> {
        let bytes = match std::fs::read(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Vec::new(),
            other => other.map_err(|error| {
                Error::io(format_args!("read the credentials in {}", path.display()), &error)
                    .hint("name another file in $REGISTRY_AUTH_FILE, or another directory in $DOCKER_CONFIG")
            })?,
        };
        Ok(AuthFile { path: path.to_owned(), content: parse(&bytes).map_err(|why| damaged(path, &why))? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program that keeps the credentials for a registry, if the file says that one does.
    pub fn helper(&self, server: &Server) -> Option<Helper<'_>> {
        let own = self.object("credHelpers").find(|(key, _)| server.is_named(key)).map(|(_, name)| name);
        let name = own.or_else(|| self.content.get("credsStore"))?.as_str()?;
        // An empty name takes one registry out of what `credsStore` says of all.
        (!name.is_empty()).then_some(Helper { name, file: &self.path })
    }

    /// Whether there is anything in the file for this registry in particular.
    pub fn knows(&self, server: &Server) -> bool {
        let has_one = |entry: &Value| entry.as_object().is_some_and(|entry| !entry.is_empty());
        self.object("credHelpers").any(|(key, _)| server.is_named(key))
            || self.auths().any(|(key, entry)| server.is_named(key) && has_one(entry))
    }

    /// The credentials in the file itself for a repository, those for the longest part of its name.
    pub fn credential(&self, server: &Server, repository: &str) -> Result<Option<Credential>> {
        let mut best = None;
        for (key, entry) in self.auths() {
            let Some(length) = server.fits(key, repository) else { continue };
            let credential = read_entry(entry).map_err(|why| damaged(&self.path, &format!("{key}: {why}")))?;
            // Docker's own spelling counts more than others of the same name.
            let rank = (length, key == server.key());
            if credential.is_some() && best.as_ref().is_none_or(|(known, _)| rank > *known) {
                best = Some((rank, credential));
            }
        }
        Ok(best.and_then(|(_, credential)| credential))
    }

    /// Puts credentials in the place of those that are there; `None`: they are with a helper.
    pub fn set(&mut self, server: &Server, credential: Option<&Credential>) {
        self.remove(server);
        let entry = credential.map_or_else(|| json!({}), write_entry);
        if let Some(auths) = self.content.entry("auths").or_insert_with(|| json!({})).as_object_mut() {
            auths.insert(server.key().to_owned(), entry);
        }
    }

    /// Takes out what is there for the registry as a whole, under whatever name; tells whether there was anything.
    pub fn remove(&mut self, server: &Server) -> bool {
        let legacy = self.is_legacy();
        let auths =
            if legacy { Some(&mut self.content) } else { self.content.get_mut("auths").and_then(Value::as_object_mut) };
        let Some(auths) = auths else { return false };
        let before = auths.len();
        auths.retain(|key, _| !server.is_named(key));
        auths.len() < before
    }

    /// Writes the file whole or not at all, readable for its owner alone.
    pub fn write(&self) -> Result<()> {
        let path = target(&self.path);
        let what = format!("write the credentials to {}", path.display());
        if let Some(dir) = path.parent() {
            fs::mkdir_all(dir, 0o700).map_err(|error| error.renamed(what.clone()))?;
        }
        let finish = |file: BorrowedFd<'_>| {
            // With sudo, a user's file stays the user's.
            if let Ok(old) = fs::stat(&path) {
                let _ = fs::fchown(file, old.uid, old.gid);
            }
            fs::fsync(file)
        };
        fs::replace_file(&path, &fs::name_beside(&path), indented(&self.content).as_bytes(), 0o600, &finish)
            .map_err(|error| error.renamed(what))
    }

    /// Docker's old file has the entries at its top.
    fn is_legacy(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == ".dockercfg")
    }

    fn auths(&self) -> Box<dyn Iterator<Item = (&String, &Value)> + '_> {
        if self.is_legacy() { Box::new(self.content.iter()) } else { Box::new(self.object("auths")) }
    }

    fn object(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.content.get(name).and_then(Value::as_object).into_iter().flatten()
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(format_args!("the credentials in {} are damaged: {why}", path.display()))
}

fn parse(bytes: &[u8]) -> std::result::Result<Map<String, Value>, String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes).map_err(|error| error.to_string())? {
        Value::Object(content) if content.get("auths").is_none_or(|auths| auths.is_object() || auths.is_null()) => {
            Ok(content)
        }
        _ => Err("no object".to_owned()),
    }
}

/// The credentials of one entry; none where it is empty, because a helper has them.
fn read_entry(entry: &Value) -> std::result::Result<Option<Credential>, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (username, password) = match text("auth") {
        None => (text("username").unwrap_or_default().to_owned(), text("password").unwrap_or_default().to_owned()),
        Some(auth) => {
            let decoded = base64::decode(auth).and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or("its auth is no base64")?;
            let (username, password) = decoded.split_once(':').ok_or("its auth is no name and password")?;
            (username.to_owned(), password.trim_matches('\0').to_owned())
        }
    };
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::identity_token(username, token)));
    }
    Ok((!username.is_empty() && !password.is_empty()).then(|| Credential::password(username, password)))
}

fn write_entry(credential: &Credential) -> Value {
    let auth = |password: &str| base64::encode(format!("{}:{password}", credential.username).as_bytes());
    match &credential.secret {
        Secret::Password(password) => json!({ "auth": auth(password) }),
        Secret::IdentityToken(token) => json!({ "auth": auth(""), "identitytoken": token }),
    }
}

/// JSON as Docker writes it: indented by tabs.
fn indented(content: &Map<String, Value>) -> String {
    let pretty = format!("{:#}", Value::Object(content.clone()));
    let line = |line: &str| {
        let text = line.trim_start_matches(' ');
        "\t".repeat((line.len() - text.len()) / 2) + text + "\n"
    };
    pretty.lines().map(line).collect()
}

/// Where a file really is: a symlink to it stays one.
fn target(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| match std::fs::read_link(path) {
        Ok(link) => path.parent().map_or_else(|| link.clone(), |dir| dir.join(&link)),
        Err(_) => path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
