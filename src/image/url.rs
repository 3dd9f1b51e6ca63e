//! URLs, as far as a registry needs them: http and https, a host, a path.

use crate::error::{Error, Result};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An absolute http or https URL without user, password or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    /// Host and port as they were written, in lower case.
    authority: String,
    /// Path and query, from the first slash on.
    target: String,
}

impl Url {
    /// Reads an absolute URL that a registry gave us. What does not look like one is
    /// refused, because curl and we must never understand a URL differently.
    pub fn parse(text: &str) -> Result<Url> {
        let invalid = || Error::new(format_args!("invalid URL '{text}'"));
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Error::new(format_args!("URL '{text}': neither http nor https"))),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if !is_authority(authority) || !is_target(target) {
            return Err(invalid());
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { secure, authority: authority.to_ascii_lowercase(), target })
    }

    /// The URL that a `Location:` header of this one's answer means.
    pub fn join(&self, location: &str) -> Result<Url> {
        let scheme = if self.secure { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        let is_absolute = location.find("://").is_some_and(|at| !location[..at].contains(['/', '?', '#']));
        if is_absolute {
            Url::parse(location)
        } else if let Some(rest) = location.strip_prefix("//") {
            Url::parse(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            Url::parse(&format!("{scheme}://{}{location}", self.authority))
        } else {
            let directory = &path[..=path.rfind('/').unwrap_or(0)];
            Url::parse(&format!("{scheme}://{}{directory}{location}", self.authority))
        }
    }

    /// The URL of something below this one's path; `path` begins with a slash.
    pub fn below(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}{path}", self.without_query().trim_end_matches('/')))
    }

    /// The URL with more parameters in its query; the values are escaped here.
    pub fn with_query(mut self, parameters: &[(&str, &str)]) -> Url {
        if !parameters.is_empty() {
            self.target.push(if self.target.contains('?') { '&' } else { '?' });
            self.target.push_str(&form(parameters));
        }
        self
    }

    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether nobody on the way can read what is sent: by TLS, or because it doesn't leave this machine.
    pub fn keeps_secrets(&self) -> bool {
        self.secure || is_loopback(self.host())
    }

    /// Host and port as they were written, in lower case.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        host_of(&self.authority)
    }

    /// Whether what may be said to one may be said to the other: same scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        let port = |url: &Url| match url.authority[url.host().len()..].strip_prefix(':') {
            Some(port) => port.parse().unwrap_or(0),
            None if url.secure => 443u16,
            None => 80,
        };
        self.secure == other.secure && self.host() == other.host() && port(self) == port(other)
    }

    /// The URL without its query, which in redirects often holds a signature as good as a password.
    pub fn without_query(&self) -> String {
        let text = self.to_string();
        text.split('?').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "https" } else { "http" }, self.authority, self.target)
    }
}

/// Names and values as a query or the body of a POST holds them, the values escaped.
pub fn form(parameters: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in parameters {
        form.push_str(if form.is_empty() { "" } else { "&" });
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                    form.push(char::from(byte));
                }
                _ => form.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    form
}

fn is_authority(authority: &str) -> bool {
    let host = host_of(authority);
    let port = &authority[host.len()..];
    let host_is_right = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    let port_is_right = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    host_is_right && port_is_right
}

fn is_target(target: &str) -> bool {
    target.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'^' | b'`' | b'#'))
}

/// The host in a `host:port`; an IPv6 address keeps its brackets.
pub fn host_of(authority: &str) -> &str {
    match authority.find(']') {
        Some(end) if authority.starts_with('[') => &authority[..=end],
        _ => authority.split(':').next().unwrap_or_default(),
    }
}

/// The address that a host is when it is written as a number. Only the usual notation
/// is one: a resolver that also takes `0x7f.1` gets a name here, so the caller must
/// refuse such names where an address matters (see [`is_internal`]).
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(|address| match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(address),
        }),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Whether a host can only be this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.is_loopback())
}

/// Whether a host is by its spelling in no public network: loopback, private or
/// link-local addresses (the cloud's metadata service is one), in any notation.
pub fn is_internal(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    match address(host) {
        Some(IpAddr::V4(v4)) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.octets()[0] == 0 || shared
        }
        Some(IpAddr::V6(v6)) => {
            let embeds_v4 = v6.segments()[..6].iter().all(|segment| *segment == 0);
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local() || embeds_v4
        }
        None => {
            // inet_aton, which resolvers fall back to, also reads 2130706433, 0x7f.1 and 0177.0.0.1.
            let last = host.rsplit('.').next().unwrap_or_default();
            is_loopback(host)
                || host.to_ascii_lowercase().ends_with(".localhost")
                || last.bytes().all(|b| b.is_ascii_digit())
                || last.starts_with("0x")
                || last.starts_with("0X")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_read() {
        for (text, shown, host) in [
            ("https://auth.docker.io/token", "https://auth.docker.io/token", "auth.docker.io"),
            ("HTTP://Example.COM", "http://example.com/", "example.com"),
            ("https://a?x=1#frag", "https://a/?x=1", "a"),
            ("https://[::1]:5000/a%20b?c={d}", "https://[::1]:5000/a%20b?c={d}", "[::1]"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.host()), (shown, host));
        }
        for bad in [
            "",
            "a",
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://user:pw@a/",
            "https://a@b/",
            "https://a:x/",
            "https://a:99999/",
            "https://[::1/",
            "https://[x]/",
            "https://a b/",
            "https://a/ b",
            "https://a/\r\nX: y",
            "https://a/\"",
            "https://a/\\b",
            "https://é/",
            "https://a\\@b/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_are_joined_as_browsers_do() {
        let base = Url::parse("https://r.io/v2/a/blobs/x?y=/z").unwrap();
        for (location, url) in [
            ("https://cdn.io/b?sig=https://q", "https://cdn.io/b?sig=https://q"),
            ("//cdn.io/b", "https://cdn.io/b"),
            ("/b?u=http://x", "https://r.io/b?u=http://x"),
            ("b", "https://r.io/v2/a/blobs/b"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), url);
        }
        assert!(base.join("ftp://x/").is_err());
    }

    #[test]
    fn a_path_is_put_below_anothers() {
        let below = |base: &str| Url::parse(base).unwrap().below("/v2/").unwrap().to_string();
        assert_eq!(below("https://r.io"), "https://r.io/v2/");
        assert_eq!(below("https://r.io/a/b/?q"), "https://r.io/a/b/v2/");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("https://a/x", "https://A:443/y"));
        assert!(!same("https://a/", "http://a/"));
        assert!(!same("https://a/", "https://a:444/"));
        assert!(!same("https://a/", "https://b.a/"));
    }

    #[test]
    fn query_values_are_escaped() {
        let url = Url::parse("https://a/t?k=v").unwrap().with_query(&[("service", "a b&c=\"d\""), ("scope", "x:y/z")]);
        assert_eq!(url.to_string(), "https://a/t?k=v&service=a%20b%26c%3D%22d%22&scope=x:y/z");
        assert_eq!(Url::parse("https://a/t").unwrap().with_query(&[]).to_string(), "https://a/t");
    }

    #[test]
    fn internal_hosts_are_known_in_every_notation() {
        for host in [
            "localhost",
            "x.localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0x7f000001",
            "0177.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "169.254.169.254.",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[fe80::1]",
            "[fd00::1]",
        ] {
            assert!(is_internal(host), "{host}");
        }
        for host in ["auth.docker.io", "8.8.8.8", "[2606:4700::1]", "10.example.com", "172.32.0.1"] {
            assert!(!is_internal(host), "{host}");
        }
    }
}
