//! One question to an upstream and what comes of it: which statuses count, when it is asked again, the answer.

use std::time::{Duration, Instant};

use ureq::http::HeaderMap;

use super::{Body, Failure, Follow, Mask, Slots, Url};

/// One question to an upstream.
pub struct Request<'a> {
    /// Where to.
    pub url: &'a Url,
    /// Headers of this request, beside those of the service.
    pub headers: Vec<(&'static str, String)>,
    /// The body of a POST; none makes a GET.
    pub body: Option<Vec<u8>>,
    /// Which redirects are followed.
    pub follow: Follow,
    /// Which statuses are answers and which are failures.
    pub statuses: Statuses,
    /// When to ask again.
    pub retry: Retry<'a>,
    /// Held during each attempt and never during a pause, beside the gate of the whole process.
    pub slots: Option<&'a Slots>,
    /// Is told of every attempt.
    pub observe: Option<&'a (dyn Fn(&Attempt<'_>) + Sync)>,
    /// The address as log lines show it, where its path holds what they must not.
    pub shown: Option<&'a str>,
    /// What it holds that no text may show, beside the headers of the service: an answer could repeat it.
    pub secrets: &'a [&'a str],
}

impl<'a> Request<'a> {
    /// A GET that is sent once, follows redirects and wants a good status.
    pub fn get(url: &'a Url) -> Request<'a> {
        Request {
            url,
            headers: Vec::new(),
            body: None,
            follow: Follow::Anywhere,
            statuses: Statuses::Good,
            retry: Retry::NEVER,
            slots: None,
            observe: None,
            shown: None,
            secrets: &[],
        }
    }

    /// A POST that is sent once, follows no redirect and wants a good status.
    pub fn post(url: &'a Url, content_type: &str, body: Vec<u8>) -> Request<'a> {
        let headers = vec![("content-type", content_type.to_owned())];
        Request {
            headers,
            body: Some(body),
            follow: Follow::Nowhere,
            ..Request::get(url)
        }
    }

    /// Whether 304 is an answer to it.
    pub(super) fn is_conditional(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| ["if-none-match", "if-modified-since"].contains(name))
    }
}

/// Which statuses `decode` gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// 200 to 299, and 304 for a conditional request; every other one is a failure.
    Good,
    /// All but redirects.
    Any,
}

/// When a request that failed is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// The pause before each further attempt.
    pub pauses: &'a [Duration],
    /// A pause is longer by up to this share, so that many clients do not come back at once.
    pub jitter_share: f64,
    /// Which failures may pass.
    pub is_passing: fn(&Failure) -> bool,
    /// What a `Retry-After` does.
    pub retry_after: RetryAfter,
}

impl Retry<'_> {
    /// One attempt only.
    pub const NEVER: Retry<'static> = Retry {
        pauses: &[],
        jitter_share: 0.0,
        is_passing: Failure::is_passing,
        retry_after: RetryAfter::AtMost(Duration::ZERO),
    };
}

/// What a `Retry-After` that is longer than the next pause does.
#[derive(Clone, Copy, Debug)]
pub enum RetryAfter {
    /// It is waited for, unless it ends later than this: then the request ends at once.
    NotPast(Instant),
    /// It is waited for, but no longer than this.
    AtMost(Duration),
}

/// One attempt of a request, for whoever counts them.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The status, if an answer came.
    pub status: Option<u16>,
    /// Why it failed, if it did. What `decode` said counts too.
    pub failure: Option<&'a Failure>,
    /// How long it took.
    pub duration: Duration,
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status, one that [`Request::statuses`] lets through.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decompressed.
    pub body: Body,
    /// For texts of the answer that are cut before they are shown; those of failures are masked in any case.
    pub mask: Mask,
}

/// What was made of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<T> {
    /// What `decode` gave.
    pub value: T,
    /// From sending the request to the last byte, without retries and pauses.
    pub duration: Duration,
}

impl Answer {
    /// A header's value, if it is there and readable.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}
