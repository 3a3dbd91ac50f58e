//! The pages for people and their JSON: `/`, `/services/KEY`, `/api/v1/services`, and what these pages are made of.
//!
//! It reads entries of the snapshot and writes text; the server puts headers around it. Everything from outside is
//! escaped in [`html`] or [`json`], and bounded: see [`front`] and [`service`].

mod api;
mod front;
mod html;
mod json;
mod service;

use std::borrow::Cow;

use jiff::Timestamp;

use crate::overview::Level;
use crate::snapshot::{KeyedEntry, ServiceStatus};

/// Style, script and icon come from here, nothing from anywhere else, and nothing in a page runs.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                               base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// Where the page of a service is: its key follows, percent-encoded.
const SERVICES: &str = "/services/";
/// Where its JSON is.
const API_SERVICES: &str = "/api/v1/services";

/// An answer for people or their programs.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: Cow<'static, str>,
}

impl Page {
    /// The headers of every such answer. What it shows is of this moment, and links tell no upstream where they stood.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let header = |name, value: &str| (name, value.to_owned());
        vec![
            header("Content-Type", self.content_type),
            header("Content-Security-Policy", SECURITY_POLICY),
            header("X-Content-Type-Options", "nosniff"),
            header("Referrer-Policy", "no-referrer"),
            header("Cache-Control", "no-store"),
        ]
    }
}

/// What stands at a path; none where nothing does.
pub fn page(path: &str, entries: &[KeyedEntry], now: Timestamp) -> Option<Page> {
    let page = |content_type, body| Page {
        status: 200,
        content_type,
        body,
    };
    let asset = |content_type, body| Some(page(content_type, Cow::Borrowed(body)));
    match path {
        "/" => Some(page(HTML, front::page(entries, now).into())),
        "/assets/page.css" => asset("text/css; charset=utf-8", include_str!("page.css")),
        "/assets/page.js" => asset("text/javascript; charset=utf-8", include_str!("page.js")),
        "/assets/icon.svg" => asset("image/svg+xml", include_str!("icon.svg")),
        API_SERVICES => Some(page(JSON, api::services(entries, now).into())),
        _ => of_service(path, entries, now),
    }
}

fn of_service(path: &str, entries: &[KeyedEntry], now: Timestamp) -> Option<Page> {
    let of_people = path.strip_prefix(SERVICES);
    let of_programs = || path.strip_prefix(API_SERVICES)?.strip_prefix('/');
    let written = of_people.or_else(of_programs)?;
    let key = decode(written);
    let found = entries.iter().find(|(known, _)| **known == *key);
    let (status, body) = match (found, of_people) {
        (Some((key, entry)), Some(_)) => (200, service::page(key, entry, now)),
        (Some((key, entry)), None) => (200, api::service(key, entry, now)),
        (None, Some(written)) => (404, service::unknown(&key, written, entries)),
        (None, None) => (404, api::unknown()),
    };
    Some(Page {
        status,
        content_type: of_people.map_or(JSON, |_| HTML),
        body: body.into(),
    })
}

/// The state of a service as people are told it, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Outage,
    /// The last poll failed: what is shown is as last seen, or nothing is known.
    Failing,
    Degraded,
    Waiting,
    Maintenance,
    Operational,
}

impl State {
    const ALL: [State; 6] = [
        State::Outage,
        State::Failing,
        State::Degraded,
        State::Waiting,
        State::Maintenance,
        State::Operational,
    ];

    fn of(status: &ServiceStatus) -> State {
        let is_known = status.headline.is_some();
        match (status.overview.level, &status.failure) {
            // What was known to be down is not taken for better because it cannot be asked now.
            (Level::Outage, _) if is_known => State::Outage,
            (_, Some(_)) => State::Failing,
            _ if !is_known && status.last_poll.is_none() => State::Waiting,
            (level, None) => State::from(level),
        }
    }

    /// The word in JSON and in class names.
    fn word(self) -> &'static str {
        match self {
            State::Outage => "outage",
            State::Failing => "failing",
            State::Degraded => "degraded",
            State::Waiting => "waiting",
            State::Maintenance => "maintenance",
            State::Operational => "operational",
        }
    }

    /// The words on a page.
    fn title(self) -> &'static str {
        match self {
            State::Outage => "Outage",
            State::Failing => "Poll failing",
            State::Degraded => "Degraded",
            State::Waiting => "Waiting",
            State::Maintenance => "Maintenance",
            State::Operational => "Operational",
        }
    }

    /// A shape, for those who do not see the colour. None of these is an emoji anywhere.
    fn mark(self) -> &'static str {
        match self {
            State::Outage => "×",
            State::Failing => "?",
            State::Degraded => "▲",
            State::Waiting => "…",
            State::Maintenance => "◆",
            State::Operational => "✓",
        }
    }

    /// Whether somebody should look.
    fn is_trouble(self) -> bool {
        self <= State::Degraded
    }
}

impl From<Level> for State {
    fn from(level: Level) -> State {
        match level {
            Level::Outage => State::Outage,
            Level::Degraded => State::Degraded,
            Level::Maintenance => State::Maintenance,
            Level::Good => State::Operational,
        }
    }
}

/// The state in the source's words, with the remark that it may have changed.
fn headline(status: &ServiceStatus) -> Cow<'_, str> {
    match (&status.headline, &status.failure, status.last_poll) {
        (Some(headline), None, Some(_)) => headline.into(),
        (Some(headline), _, _) => format!("{headline} (as last seen)").into(),
        (None, Some(_), _) => "nothing known yet".into(),
        (None, None, Some(_)) => "".into(),
        (None, None, None) => "waiting for its first poll".into(),
    }
}

/// When the shown data was learned.
fn data_time(status: &ServiceStatus) -> Option<Timestamp> {
    status.overview.seen.or(status.last_success)
}

/// A key as one segment of a path.
fn encode(key: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(digit(byte >> 4)));
            out.push(char::from(digit(byte & 15)));
        }
    }
}

/// The text of a percent-encoded path; what is no escape stands for itself.
fn decode(written: &str) -> String {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |place: usize| char::from(*after.get(place)?).to_digit(16);
        let escaped = digit(0).zip(digit(1)).filter(|_| *byte == b'%');
        // Two hexadecimal digits make a byte.
        bytes.push(escaped.map_or(*byte, |(high, low)| (high << 4 | low) as u8));
        rest = after.get(escaped.map_or(0, |_| 2)..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
