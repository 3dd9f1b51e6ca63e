//! Credentials: who we are to a registry.

mod base64;

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

    /// The `Authorization:` header that shows name and secret themselves (RFC 7617).
    pub fn basic(&self) -> String {
        let (Secret::Password(secret) | Secret::IdentityToken(secret)) = &self.secret;
        format!("Basic {}", base64::encode(format!("{}:{secret}", self.username).as_bytes()))
    }
}
