//! HTTP as it is spoken, and everything that can go wrong on the way.

use super::Shared;
use super::answer::{Answer, answer};
use crate::sys;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// Asked of the host that holds the blobs.
    pub cdn: bool,
}

impl Request {
    /// A header's value; empty when it isn't there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The host that was asked, as the client named it.
    pub fn host(&self) -> &str {
        self.header("host")
    }
}

/// What goes wrong instead of the right answer. Faults of a body leave a redirect alone:
/// they are meant for what is behind it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A status with headers and a body.
    Status(u16, &'static str, &'static str),
    /// A web page where something else was asked for.
    Html,
    /// To the same address again.
    RedirectLoop,
    RedirectTo(String),
    /// The right length, one bit wrong.
    WrongByte,
    /// The body ends here, though its length was promised, and the connection with it.
    CutAt(usize),
    /// Nothing at all comes back; the connection is closed.
    Reset,
    /// Half of the body, then the connection is reset.
    ResetAtHalf,
    /// Half of the body, then silence.
    Stall(Duration),
    /// Half of the body, with a length that fits it.
    ShortBody,
    /// More bytes than there should be, with a length that fits them.
    Longer,
    /// The right body; its length is said to be so many bytes more or less.
    WrongLength(i64),
    /// The right body, so many bytes a second.
    Drip(usize),
}

/// Answers what comes over a connection.
pub fn talk(shared: &Shared, stream: TcpStream, is_cdn: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader, is_cdn)? {
        let fault = planned(shared, &request);
        let close = request.header("connection") == "close";
        let answer = shared.answer(&request);
        if !send(&mut writer, &request, answer, fault)? || close {
            break;
        }
    }
    Ok(())
}

fn planned(shared: &Shared, request: &Request) -> Option<Fault> {
    let mut state = shared.state.lock().expect("lock");
    let planned = state.faults.iter_mut().find(|fault| fault.times > 0 && request.path.contains(&fault.part))?;
    planned.times = planned.times.saturating_sub(usize::from(planned.times != usize::MAX));
    Some(planned.fault.clone())
}

fn read_request(reader: &mut BufReader<TcpStream>, is_cdn: bool) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.by_ref().take(65536).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let mut headers: HashMap<String, String> = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        // One header on several lines is a list.
        let list = headers.entry(name.to_ascii_lowercase()).or_default();
        *list = if list.is_empty() { value.trim().to_owned() } else { format!("{list}, {}", value.trim()) };
    }
    let cdn = is_cdn || headers.get("host").is_some_and(|host| host == crate::hub::CDN);
    Ok(Some(Request { method, path, headers, cdn }))
}

/// Sends the answer; says whether the connection is still good.
fn send(stream: &mut TcpStream, request: &Request, right: Answer, fault: Option<Fault>) -> std::io::Result<bool> {
    let Answer { status, headers, mut body } = match &fault {
        Some(Fault::Status(status, headers, body)) => answer(*status, *headers, *body),
        Some(Fault::Html) => answer(200, "Content-Type: text/html\r\n", "<!doctype html><title>Sign in</title>"),
        Some(Fault::RedirectLoop) => answer(307, format!("Location: {}\r\n", request.path), ""),
        Some(Fault::RedirectTo(url)) => answer(307, format!("Location: {url}\r\n"), ""),
        _ => right,
    };
    match &fault {
        Some(Fault::WrongByte) => {
            let middle = body.len() / 2;
            if let Some(byte) = Arc::make_mut(&mut body).get_mut(middle) {
                *byte ^= 1;
            }
        }
        Some(Fault::ShortBody) => {
            let half = body.len() / 2;
            Arc::make_mut(&mut body).truncate(half);
        }
        Some(Fault::Longer) if status < 300 => Arc::make_mut(&mut body).extend_from_slice(&[0; 4096]),
        Some(Fault::Reset) => return Ok(false),
        _ => {}
    }
    let (mut promised, mut sent) = (body.len(), body.len());
    match &fault {
        Some(Fault::CutAt(at)) => sent = sent.min(*at),
        Some(Fault::Stall(_) | Fault::ResetAtHalf) => sent = body.len() / 2,
        Some(Fault::WrongLength(by)) if status < 300 => promised = promised.saturating_add_signed(*by as isize),
        _ => {}
    }
    let reason = if status < 400 { "OK" } else { "No" };
    write!(stream, "HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {promised}\r\n\r\n")?;
    let body = if request.method == "HEAD" { &[][..] } else { &body[..sent] };
    match fault {
        Some(Fault::Drip(rate)) => {
            for piece in body.chunks((rate / 10).max(1)) {
                stream.write_all(piece)?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        _ => stream.write_all(body)?,
    }
    stream.flush()?;
    match fault {
        Some(Fault::Stall(how_long)) => std::thread::sleep(how_long),
        // What the other side has not yet read is lost to it as well.
        Some(Fault::ResetAtHalf) => sys::reset_on_close(stream.as_raw_fd()),
        _ => {}
    }
    Ok(sent == promised)
}
