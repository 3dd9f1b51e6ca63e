//! Whom a registry lets in.

use super::Request;

/// One user, and how he shows that he is the one.
#[derive(Clone)]
pub struct Door {
    pub username: &'static str,
    pub password: &'static str,
    /// The registry itself asks for the password, and not a token server.
    pub basic: bool,
    /// What the token server gives at a login and takes instead of the password from then on.
    pub identity: Option<&'static str>,
}

impl Door {
    pub const ALICE: Door = Door { username: "alice", password: "pa55:w0rd-älice", basic: false, identity: None };

    /// Whether a request, to the registry or to its token server, shows the right credentials.
    pub fn knows(&self, request: &Request) -> bool {
        if request.method == "POST" {
            let token = request.body.split('&').find_map(|pair| pair.strip_prefix("refresh_token="));
            let is_grant = request.body.split('&').any(|pair| pair == "grant_type=refresh_token");
            return is_grant && self.identity.is_some() && token == self.identity;
        }
        request.header("authorization") == self.header()
    }

    /// The header that shows name and password.
    pub fn header(&self) -> String {
        format!("Basic {}", base64(&format!("{}:{}", self.username, self.password)))
    }
}

pub fn base64<T: AsRef<[u8]> + ?Sized>(bytes: &T) -> String {
    let digits: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let group = |group: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*group.get(at).unwrap_or(&0)));
        (0..4).map(|at| if at > group.len() { '=' } else { digits[bits >> (18 - 6 * at) & 63] }).collect()
    };
    bytes.as_ref().chunks(3).map(group).collect()
}
