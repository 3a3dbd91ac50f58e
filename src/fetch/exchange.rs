//! The last request of a service and the head of its answer, for the page that shows why a service is as it is.
//!
//! [`super::Upstream`] notes it after every attempt; the poller shows it. Nothing secret is in it: the address has no
//! query, only the headers named here are kept, and all of it is masked.

use std::time::Duration;

use jiff::Timestamp;
use ureq::Body;
use ureq::http::Response;

use super::{Mask, Request};

/// The headers that tell why an answer is as it is; all others, cookies above all, are not kept.
const HEADERS: [&str; 12] = [
    "content-type",
    "content-length",
    "content-encoding",
    "date",
    "age",
    "cache-control",
    "etag",
    "last-modified",
    "retry-after",
    "server",
    "x-cache",
    "x-request-id",
];
/// Longest value of a header that is kept, in bytes: real ones are shorter. All of an exchange is then below 2 KB.
const VALUE_LIMIT_BYTES: usize = 100;
/// Longest address that is kept, in bytes.
const URL_LIMIT_BYTES: usize = 300;

/// One attempt of a request, and the head of its answer.
#[derive(Debug)]
pub struct Exchange {
    /// GET or POST.
    pub method: &'static str,
    /// The address as log lines show it.
    pub url: Box<str>,
    /// When it ended.
    pub ended: Timestamp,
    /// How long this attempt took, with its redirects.
    pub duration: Duration,
    /// The number of this attempt, 1 for the first one.
    pub attempt: u32,
    /// The status of the last answer, if one came.
    pub status: Option<u16>,
    /// Its headers that matter, a line each: name, colon, space, value.
    pub head: Box<str>,
    /// The size of its body, decompressed, if it was read to its end.
    pub body_bytes: Option<usize>,
}

/// What is seen of the answers to one attempt.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) status: Option<u16>,
    pub(super) head: String,
    pub(super) body_bytes: Option<usize>,
}

impl Seen {
    /// Takes up the head of an answer, in the place of that of an earlier hop.
    pub(super) fn note(&mut self, response: &Response<Body>, mask: &Mask) {
        self.status = Some(response.status().as_u16());
        self.head.clear();
        for name in HEADERS {
            let value = response.headers().get(name);
            if let Some(value) = value.and_then(|value| value.to_str().ok()) {
                self.head.push_str(name);
                self.head.push_str(": ");
                self.head.push_str(&mask.excerpt(value, VALUE_LIMIT_BYTES));
                self.head.push('\n');
            }
        }
    }
}

/// The address of a request as it may be shown.
pub(super) fn shown_url(request: &Request<'_>, mask: &Mask) -> Box<str> {
    let url = request
        .shown
        .map_or_else(|| request.url.to_string(), str::to_owned);
    mask.excerpt(&url, URL_LIMIT_BYTES).into()
}
