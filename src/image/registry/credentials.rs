//! Credentials: who we are to a registry, found where Docker and podman keep them.
//!
//! Files are looked through in podman's order, and each as Docker does: a credential
//! helper that it names first, then its own entries. The first that has credentials
//! for the registry has the word, and what it says goes to that registry alone.

mod auth_files;
mod base64;
mod file;
mod helper;
mod server;

use crate::error::{Error, Result};
use crate::sys::cred;
use auth_files::AuthFiles;
use file::AuthFile;
use std::path::PathBuf;

pub use server::Server;

/// A name and what proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub username: String,
    pub secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Password(String),
    /// A long-lived token, which token servers take for short-lived ones (OAuth 2's refresh token).
    IdentityToken(String),
}

impl Credential {
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Credential {
        Credential { username: username.into(), secret: Secret::Password(password.into()) }
    }

    pub fn identity_token(username: impl Into<String>, token: impl Into<String>) -> Credential {
        Credential { username: username.into(), secret: Secret::IdentityToken(token.into()) }
    }

    /// The `Authorization:` header that shows name and secret themselves (RFC 7617).
    pub fn basic(&self) -> String {
        let (Secret::Password(secret) | Secret::IdentityToken(secret)) = &self.secret;
        format!("Basic {}", base64::encode(format!("{}:{secret}", self.username).as_bytes()))
    }
}

/// Where credentials were put.
pub enum Kept {
    /// In the clear, in this file.
    File(PathBuf),
    /// With a credential helper.
    Helper,
}

/// The credentials for a repository of a registry, if there are any.
pub fn find(server: &Server, repository: &str) -> Result<Option<Credential>> {
    for path in auth_files().files() {
        let file = AuthFile::read(&path)?;
        if let Some(helper) = file.helper(server)
            && let Some(credential) = helper.get(server)?
        {
            return Ok(Some(credential));
        }
        if let Some(credential) = file.credential(server, repository)? {
            return Ok(Some(credential));
        }
    }
    Ok(None)
}

/// Keeps the credentials for a registry: where it has some already, because others would hide behind
/// those; else in the file that Docker would take.
pub fn keep(server: &Server, credential: &Credential) -> Result<Kept> {
    let files = auth_files();
    let mut chosen = None;
    for path in files.files() {
        let file = AuthFile::read(&path)?;
        if file.knows(server) {
            chosen = Some(file);
            break;
        }
    }
    let mut file = match chosen {
        Some(file) => file,
        None => AuthFile::read(files.for_login().ok_or_else(|| {
            Error::new("no place for credentials: HOME is not set").hint("set HOME, or $REGISTRY_AUTH_FILE")
        })?)?,
    };
    let kept = match file.helper(server) {
        Some(helper) => {
            helper.store(server, credential)?;
            // As Docker does: the file still says for which registries there are credentials.
            file.set(server, None);
            Kept::Helper
        }
        None => {
            file.set(server, Some(credential));
            Kept::File(file.path().to_owned())
        }
    };
    file.write()?;
    Ok(kept)
}

/// Forgets the credentials for a registry, wherever they are; tells whether there were any.
pub fn forget(server: &Server) -> Result<bool> {
    let mut any = false;
    for path in auth_files().files() {
        let mut file = AuthFile::read(&path)?;
        if let Some(helper) = file.helper(server)
            && helper.get(server)?.is_some()
        {
            helper.erase(server)?;
            any = true;
        }
        if file.remove(server) {
            file.write()?;
            any = true;
        }
    }
    Ok(any)
}

fn auth_files() -> AuthFiles {
    AuthFiles::new(|name| std::env::var_os(name), cred::geteuid())
}
