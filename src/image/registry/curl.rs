//! HTTP and TLS, which `curl` does for us. This is the only place that starts it.
//!
//! What is asked for goes to curl's stdin as a config file, because argv can be read
//! by everybody on the machine. curl follows no redirect: we do, so that an
//! `Authorization:` header is only ever sent to the host it was made for.

use super::http_date;
use crate::decimal;
use crate::error::{Error, Result};
use crate::image::origin::Blob;
use crate::image::retry::{Failure, Outlook};
use crate::image::url::{self, Url};
use crate::sys::fs;
use crate::sys::process::{die_with_parent, find_program};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

/// The longest head of an answer, all its header lines together.
const HEAD_MAX: u64 = 64 << 10;
const REDIRECTS_MAX: usize = 5;
/// What lies between curl and us.
const PIPE: usize = 1 << 20;

/// What curl needs of our environment: the way through a proxy, and whom to trust.
const ENVIRONMENT: [&str; 11] = [
    "PATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
];

/// One request.
pub struct Request {
    pub url: Url,
    /// Names and values; an `Authorization` is dropped when a redirect leaves the host.
    pub headers: Vec<(&'static str, String)>,
    /// The body is not longer than this.
    pub max_size: u64,
    /// All of it is there within this time, if it is worth no longer.
    pub time: Option<Duration>,
}

/// An answer, whose body is still to be read.
pub struct Response {
    pub status: u16,
    /// Where it came from, after all redirects.
    url: Url,
    headers: Vec<(String, String)>,
    pub body: Body,
}

/// Sends a request and follows its redirects.
pub fn get(request: Request) -> std::result::Result<Response, Failure> {
    follow(request, |_| true)
}

/// The same, but refuses hosts that are not public, as far as their names show.
pub fn get_public(request: Request) -> std::result::Result<Response, Failure> {
    follow(request, |url| url.is_secure() && !url::is_internal(url.host()))
}

fn follow(mut request: Request, may_ask: impl Fn(&Url) -> bool) -> std::result::Result<Response, Failure> {
    for _ in 0..=REDIRECTS_MAX {
        if !may_ask(&request.url) {
            let place = request.url.without_query();
            return Err(Error::new(format_args!("{place} is in a private network, or has no TLS; refused")).into());
        }
        let response = send(&request, None)?;
        let (301 | 302 | 303 | 307 | 308, Some(location)) = (response.status, response.header("location")) else {
            return Ok(response);
        };
        let next = request.url.join(location).map_err(|error| error.context("redirect"))?;
        if request.url.is_secure() && !next.is_secure() {
            let error = Error::new(format_args!("redirect from https to {}; refused", next.without_query()));
            return Err(error.into());
        }
        if !next.same_origin(&request.url) {
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        }
        request.url = next;
    }
    let error = Error::new(format_args!("{}: more than {REDIRECTS_MAX} redirects", request.url.without_query()));
    Err(error.into())
}

/// Sends a form (`application/x-www-form-urlencoded`) by POST. Forms hold secrets, so that no redirect is followed.
pub fn post(request: Request, form: &str) -> std::result::Result<Response, Failure> {
    send(&request, Some(form))
}

fn send(request: &Request, form: Option<&str>) -> std::result::Result<Response, Failure> {
    let config = config(request, form)?;
    let mut child = spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A curl that ended already says itself why, on stderr.
        let _ = stdin.write_all(config.as_bytes());
    }
    let stdout = child.stdout.take().ok_or_else(|| Error::new("curl: no stdout"))?;
    // With more room curl and we wait less for each other; with less it works as well.
    let _ = fs::set_pipe_size(stdout.as_fd(), PIPE);
    let place = request.url.without_query();
    let stdout = BufReader::with_capacity(128 << 10, stdout);
    let mut body = Body { child, stdout, left: request.max_size, place, ended: None };
    match head(&mut body.stdout) {
        Ok((status, headers)) => Ok(Response { status, url: request.url.clone(), headers, body }),
        Err(error) => Err(match body.end() {
            Some(failure) => failure,
            None => error.context(body.place.clone()).into(),
        }),
    }
}

fn spawn() -> Result<Child> {
    let curl = find_program("curl").ok_or_else(|| {
        Error::new("curl is not on PATH, and ccrun needs it to talk to registries")
            .hint("install it: apt-get install curl, apk add curl or dnf install curl")
    })?;
    let environment = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(&curl);
    die_with_parent(&mut command)
        // First of all: whatever a .curlrc says, it does not count.
        .args(["--disable", "--config", "-"])
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io(format_args!("start {}", curl.display()), &error))
}

/// The config file that curl reads from stdin.
fn config(request: &Request, form: Option<&str>) -> Result<String> {
    let mut config = String::from("silent\nshow-error\ninclude\nsuppress-connect-headers\ngloboff\n");
    let mut option = |name: &str, value: &str| {
        config.push_str(&format!("{name} = {}\n", quoted(value)?));
        Ok::<(), Error>(())
    };
    option("proto", if request.url.is_secure() { "=https" } else { "=http" })?;
    option("connect-timeout", "15")?;
    // Silence of so many seconds.
    option("speed-limit", "1")?;
    option("speed-time", "20")?;
    if let Some(time) = request.time {
        option("max-time", &decimal::fixed(time.as_secs_f64().max(0.001), 3))?;
    }
    option("max-filesize", &request.max_size.to_string())?;
    option("user-agent", concat!("ccrun/", env!("CARGO_PKG_VERSION")))?;
    if url::is_loopback(request.url.host()) {
        // A proxy would look for the registry on its own machine.
        option("noproxy", "*")?;
    }
    for (name, value) in &request.headers {
        option("header", &format!("{name}: {value}"))?;
    }
    if let Some(form) = form {
        option("data-raw", form)?;
    }
    option("url", &request.url.to_string())?;
    Ok(config)
}

/// A value as curl's config files quote it.
fn quoted(value: &str) -> Result<String> {
    if let Some(c) = value.chars().find(|c| c.is_control()) {
        return Err(Error::new(format_args!("a request to a registry with the character {c:?} in it")));
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Reads the status and the headers; those of interim answers (1xx) are passed over.
fn head(stdout: &mut BufReader<ChildStdout>) -> Result<(u16, Vec<(String, String)>)> {
    let mut input = stdout.take(HEAD_MAX);
    loop {
        let status_line = line(&mut input)?;
        let status = status_line.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1));
        let status: u16 = status
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| Error::new(format_args!("no HTTP answer but '{status_line}'")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut input)?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        if status >= 200 {
            return Ok((status, headers));
        }
    }
}

fn line(input: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    input.read_until(b'\n', &mut bytes).map_err(|error| Error::io("read the answer", &error))?;
    if bytes.pop() != Some(b'\n') {
        return Err(Error::new("the head of the answer is cut off or too long"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Response {
    /// Whether it is the word of who is at `place`, and not of somebody that he has sent us to.
    pub fn is_from(&self, place: &Url) -> bool {
        self.url.same_origin(place)
    }

    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All headers of this name, which is given in lower case.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How long the server asks us to wait: seconds, or a date by its own clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?;
        let seconds = value.parse().ok().or_else(|| {
            let ours = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
            let now = self.header("date").and_then(http_date::parse).unwrap_or_else(ours);
            Some(http_date::parse(value)?.saturating_sub(now))
        })?;
        Some(Duration::from_secs(seconds))
    }

    /// The whole body, which must not be longer than `max`.
    pub fn read(mut self, max: u64) -> std::result::Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        if let Err(error) = (&mut self.body).take(max + 1).read_to_end(&mut bytes) {
            return Err(self.body.failure(error));
        }
        if bytes.len() as u64 > max {
            return Err(Error::new(format_args!("{}: the answer is longer than {max} bytes", self.body.place)).into());
        }
        Ok(bytes)
    }
}

/// The body of an answer, as it comes from curl. Its end is only reported as one
/// when curl says that the transfer was whole; dropping it ends curl.
pub struct Body {
    child: Child,
    stdout: BufReader<ChildStdout>,
    left: u64,
    place: String,
    /// What curl ended with.
    ended: Option<Failure>,
}

impl Body {
    /// Waits for curl and gives its failure, if it is one.
    fn end(&mut self) -> Option<Failure> {
        let mut message = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.take(4096).read_to_end(&mut message);
        }
        match self.child.wait() {
            Ok(status) if status.success() => None,
            Ok(status) => Some(explain(status.code(), &String::from_utf8_lossy(&message), &self.place)),
            Err(error) => Some(Error::io("wait for curl", &error).into()),
        }
    }
}

impl Body {
    /// Leaves out what comes first.
    pub fn skip(mut self, length: u64) -> std::result::Result<Body, Failure> {
        match io::copy(&mut (&mut self).take(length), &mut io::sink()) {
            Err(error) => Err(self.failure(error)),
            Ok(skipped) if skipped < length => Err(self.failure(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(self),
        }
    }
}

impl Blob for Body {
    /// curl's own words where there are any.
    fn failure(&mut self, error: io::Error) -> Failure {
        let own = || Error::io(format_args!("read {}", self.place), &error);
        match self.ended.take() {
            Some(ended) => ended,
            // Something between us and the server has ended it, and told us nothing.
            None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::passing(own()),
            None => own().into(),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended.is_some() {
            return Err(io::Error::other("curl failed"));
        }
        let length = self.stdout.read(buffer)?;
        if length == 0
            && !buffer.is_empty()
            && let Some(ended) = self.end()
        {
            self.ended = Some(ended);
            return Err(io::Error::other("curl failed"));
        }
        match self.left.checked_sub(length as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("the answer is longer than was declared")),
        }
        Ok(length)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Has no effect on a curl that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl's exit status means for the user.
fn explain(code: Option<i32>, message: &str, place: &str) -> Failure {
    let line = message.lines().find(|line| line.starts_with("curl:")).unwrap_or("curl failed");
    let text = line.trim_start_matches("curl:").trim_start();
    // `(6) Could not resolve host: …`
    let text = text.split_once(") ").filter(|(number, _)| number.starts_with('(')).map_or(text, |(_, text)| text);
    let code = code.unwrap_or(-1);
    let error = Error::new(format_args!("{place}: {text} (curl {code})"));
    let error = match code {
        5 | 97 => error.hint("is the proxy right that $https_proxy or $http_proxy names?"),
        6 => error.hint("is this machine on a network, and does DNS work?"),
        7 => error.hint("nothing answers there; is the address right, is a firewall or proxy in the way?"),
        28 => error.hint("the network is slow or a firewall drops the packets; try again"),
        35 => error.hint("does the registry speak TLS on that port?"),
        60 | 77 => error.hint("install the package ca-certificates, or name your CA's file in $SSL_CERT_FILE"),
        _ => error,
    };
    let outlook = match code {
        // No name, no answer, no handshake.
        5..=7 | 35 => Outlook::Unreached,
        // Cut off, timed out or reset, on any layer of the connection.
        16 | 18 | 28 | 52 | 55 | 56 | 92 => Outlook::Passing,
        _ => Outlook::Lasting,
    };
    Failure { error, outlook, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_cannot_be_broken_out_of() {
        assert_eq!(quoted(r#"a"b\c"#).unwrap(), r#""a\"b\\c""#);
        for bad in ["a\nurl = x", "a\r", "a\0", "a\x1b"] {
            assert!(quoted(bad).is_err());
        }
        let request = Request {
            url: Url::parse("https://r.io/v2/").unwrap(),
            headers: vec![("Authorization", "Bearer \"x\"\\".to_owned())],
            max_size: 7,
            time: None,
        };
        let config = config(&request, Some("a=%22")).unwrap();
        assert!(config.contains("header = \"Authorization: Bearer \\\"x\\\"\\\\\"\n"), "{config}");
        assert!(config.contains("proto = \"=https\"\n") && config.contains("max-filesize = \"7\"\n"));
        assert!(config.contains("data-raw = \"a=%22\"\n"), "{config}");
        assert!(!config.contains("noproxy"));
    }

    #[test]
    fn a_stranger_cannot_send_us_into_our_own_network() {
        for url in ["https://10.0.0.1/x", "https://localhost/x", "https://169.254.169.254/x", "http://example.org/x"] {
            let request = Request { url: Url::parse(url).unwrap(), headers: Vec::new(), max_size: 1, time: None };
            let Err(failure) = get_public(request) else { panic!("{url} was asked") };
            assert_eq!(failure.error.to_string(), format!("{url} is in a private network, or has no TLS; refused"));
        }
    }

    #[test]
    fn curls_failures_are_explained_in_one_line() {
        let ended = explain(Some(6), "curl: (6) Could not resolve host: r.io\n", "https://r.io/v2/");
        assert_eq!(
            ended.error.to_string(),
            "https://r.io/v2/: Could not resolve host: r.io (curl 6); is this machine on a network, and does DNS work?"
        );
        assert_eq!(ended.outlook, Outlook::Unreached);
        assert_eq!(explain(Some(18), "", "x").outlook, Outlook::Passing);
        assert_eq!(explain(None, "", "x").error.to_string(), "x: curl failed (curl -1)");
    }
}
