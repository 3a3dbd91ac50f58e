//! Reads a request head as it arrives, judges it, and rewrites it.
//!
//! What it does: looks at every byte once, refuses as soon as the fault is visible, and turns a complete head into a
//! canonical one of which every byte is ours or allow-listed. What it leaves to others: the socket and the clock
//! (`connection`), what the paths mean (the main loop). Who calls it: `connection`, with each piece that arrives.

use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::policy::{Method, Policy};
use super::refusal::Refusal;

/// Header lines of one request. A browser behind two proxies sends about 30; more are answered with 431.
const HEADER_LINES: usize = 64;

/// The headers that reach the main loop. Whatever is not in this list cannot surprise tiny_http.
const FORWARDED: [&str; 2] = ["Accept", "Accept-Encoding"];

/// The header that numbers a request on the private connection, so that its body is never given to another one.
pub(super) const SERIAL: &str = "X-Gate-Serial";

/// A request that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub method: Method,
    /// The canonical head without its last, empty line: the serial is added on the way.
    pub canonical: Vec<u8>,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
    /// HTTP/1.0 keeps a connection only when the answer says so.
    pub is_http_1_0: bool,
}

/// The bytes of a head so far.
///
/// `scanned` bytes have been looked at; `line_start` is where the unfinished line begins; `head_start` is where the
/// request line begins (a client may send empty lines before it), known once that line is complete.
#[derive(Default)]
pub(super) struct HeadReader {
    bytes: Vec<u8>,
    scanned: usize,
    line_start: usize,
    head_start: Option<usize>,
}

impl HeadReader {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a refusal would answer a HEAD request, as far as can be told.
    pub(super) fn is_head_request(&self) -> bool {
        self.bytes.starts_with(b"HEAD ")
    }

    /// Looks at the bytes that are new. `None`: the head is not complete yet.
    ///
    /// A complete head is taken out; what a pipelining client sent behind it stays for the next call.
    ///
    /// # Errors
    ///
    /// The refusal to answer with, after which the connection must be closed: where a next request would begin is
    /// unknown.
    pub(super) fn advance(
        &mut self,
        limit_bytes: usize,
        policy: &Policy,
    ) -> Result<Option<Admitted>, Refusal> {
        let Some(end) = self.find_end()? else {
            return if self.bytes.len() < limit_bytes {
                Ok(None)
            } else {
                Err(Refusal::HeadTooLarge)
            };
        };
        let head = self
            .bytes
            .get(self.head_start.unwrap_or(0)..end)
            .unwrap_or_default();
        let admitted = judge(head, policy)?;
        self.bytes.drain(..end);
        self.bytes.shrink_to(1024); // A client that once sent a long head need not hold its memory while it rests.
        (self.scanned, self.line_start, self.head_start) = (0, 0, None);
        Ok(Some(admitted))
    }

    /// The length of the head, its empty line included, once that line is there.
    ///
    /// Lines end in CR LF and nothing else: a lone CR or LF is what request smuggling is made of.
    fn find_end(&mut self) -> Result<Option<usize>, Refusal> {
        let new = self.bytes.get(self.scanned..).unwrap_or_default();
        let mut previous = self
            .scanned
            .checked_sub(1)
            .and_then(|before| self.bytes.get(before))
            .copied();
        for (offset, &byte) in new.iter().enumerate() {
            let at = self.scanned + offset;
            match (previous, byte) {
                (Some(b'\r'), b'\n') => {
                    let line = self.bytes.get(self.line_start..at - 1).unwrap_or_default();
                    match (line.is_empty(), self.head_start) {
                        (true, Some(_)) => return Ok(Some(at + 1)),
                        (true, None) => {}
                        (false, Some(_)) => {}
                        (false, None) => {
                            judge_version(line)?;
                            self.head_start = Some(self.line_start);
                        }
                    }
                    self.line_start = at + 1;
                }
                (Some(b'\r'), _) | (_, b'\n') => {
                    return Err(Refusal::Malformed("Lines must end in CR LF."));
                }
                (_, b'\r' | b'\t' | b' '..=b'~') => {}
                _ => {
                    return Err(Refusal::Malformed(
                        "Only printable ASCII is allowed in a request head.",
                    ));
                }
            }
            previous = Some(byte);
        }
        self.scanned = self.bytes.len();
        Ok(None)
    }
}

/// Judges the version as soon as the request line is complete: a client of another version never sends the rest.
fn judge_version(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.split(|&byte| byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (_, _, Some(b"HTTP/1.1" | b"HTTP/1.0"), None) => Ok(()),
        (_, _, Some(version), None) if is_version(version) => Err(Refusal::Version),
        // HTTP/0.9 knew nothing but "GET /path".
        (Some(b"GET"), Some(target), None, None) if target.starts_with(b"/") => {
            Err(Refusal::Version)
        }
        _ => Err(Refusal::Malformed(
            "The request line is not of the form: GET /path HTTP/1.1.",
        )),
    }
}

fn is_version(word: &[u8]) -> bool {
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Judges a complete head and rewrites it.
fn judge(head: &[u8], policy: &Policy) -> Result<Admitted, Refusal> {
    let mut lines = [EMPTY_HEADER; HEADER_LINES];
    let mut request = Request::new(&mut lines);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Refusal::Malformed("The request head is not complete.")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(_) => return Err(Refusal::Malformed("The request head cannot be read.")),
    }
    let (Some(word), Some(target), Some(version)) = (request.method, request.path, request.version)
    else {
        return Err(Refusal::Malformed("The request line is not complete."));
    };
    let is_http_1_0 = version == 0;
    let announces_body = judge_framing(request.headers)?;
    judge_host(request.headers, is_http_1_0)?;
    let target = origin_form(target)?;
    let path = target.split('?').next().unwrap_or_default();
    let allowed = policy.methods(path);
    let method = Method::parse(word)
        .filter(|method| allowed.contains(method))
        .ok_or(Refusal::Method(allowed))?;
    if announces_body {
        return Err(Refusal::Body);
    }
    Ok(Admitted {
        method,
        canonical: rewrite(method, &target, request.headers),
        keep_alive: wants_keep_alive(request.headers, is_http_1_0),
        is_http_1_0,
    })
}

/// The values of every line of this name, in order.
fn values<'a>(headers: &'a [Header<'_>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Whether the request announces a body. Two lengths, or a length beside a coding, are refused whatever they say:
/// two servers in a row may choose differently, and the rest of the body is then a request of its own.
fn judge_framing(headers: &[Header<'_>]) -> Result<bool, Refusal> {
    let codings = values(headers, "Transfer-Encoding").count();
    let mut lengths = values(headers, "Content-Length");
    let length = lengths.next();
    if lengths.next().is_some() || (length.is_some() && codings > 0) {
        return Err(Refusal::Malformed("The length of the body is ambiguous."));
    }
    match length {
        None => Ok(codings > 0),
        Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            Ok(digits.iter().any(|&digit| digit != b'0'))
        }
        Some(_) => Err(Refusal::Malformed("Content-Length is not a number.")),
    }
}

/// HTTP/1.1 demands exactly one Host, and an answer of 400 otherwise (RFC 9112, 3.2).
fn judge_host(headers: &[Header<'_>], is_http_1_0: bool) -> Result<(), Refusal> {
    match values(headers, "Host").count() {
        1 => Ok(()),
        0 if is_http_1_0 => Ok(()),
        _ => Err(Refusal::Malformed("Exactly one Host header is needed.")),
    }
}

/// The path and query of a target. The absolute form must be accepted (RFC 9112, 3.2.2); `*` and `host:port` have no
/// path that could be answered.
fn origin_form(target: &str) -> Result<String, Refusal> {
    const OTHER: Refusal =
        Refusal::Malformed("The target must be a path that begins with a slash.");
    if target.starts_with('/') {
        return Ok(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://").ok_or(OTHER)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(OTHER);
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match (host, path.strip_prefix('/')) {
        ("", _) => Err(OTHER),
        (_, Some(_)) => Ok(path.to_owned()),
        (_, None) => Ok(format!("/{path}")),
    }
}

/// The same wish in words that are all ours: only the target and two header values come from the client, and both are
/// printable ASCII without a line break by now. Several lines of one name become one (RFC 9110, 5.3).
fn rewrite(method: Method, target: &str, headers: &[Header<'_>]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(256);
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\nHost: gate\r\n"] {
        canonical.extend_from_slice(part.as_bytes());
    }
    for name in FORWARDED {
        let lines: Vec<&[u8]> = values(headers, name)
            .map(<[u8]>::trim_ascii)
            .filter(|v| !v.is_empty())
            .collect();
        if !lines.is_empty() {
            canonical.extend_from_slice(name.as_bytes());
            canonical.extend_from_slice(b": ");
            canonical.extend(
                lines
                    .join(&b", "[..])
                    .iter()
                    .map(|&byte| if byte == b'\t' { b' ' } else { byte }),
            );
            canonical.extend_from_slice(b"\r\n");
        }
    }
    canonical
}

/// HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 the other way round.
fn wants_keep_alive(headers: &[Header<'_>], is_http_1_0: bool) -> bool {
    let says = |wish: &str| {
        values(headers, "Connection")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(wish.as_bytes()))
    };
    !says("close") && (!is_http_1_0 || says("keep-alive"))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
