//! The page of one service: what it is asked, what came back, what follows from it, and the series it produced.

use std::borrow::Cow;

use jiff::Timestamp;

use super::front::{TEXT_LIMIT_CHARS, failure};
use super::html::{ago, badge, begin, end, escape, fill, section};
use super::{API_SERVICES, State, data_time, encode, headline};
use crate::exposition::{Format, text_of};
use crate::fetch::Exchange;
use crate::model::cut;
use crate::overview::is_web_address;
use crate::snapshot::{Entry, KeyedEntry, ServiceStatus};

/// Bytes of series on the page; some 2,000 lines. `/metrics` has all of them.
const SERIES_LIMIT_BYTES: usize = 256 * 1024;
/// Keys that are proposed where one is unknown.
const PROPOSALS_LIMIT: usize = 20;

/// The series of a service as the exposition has them: those that are shown, and the number of lines left out.
pub(super) fn series(entry: &Entry, now: Timestamp) -> (String, usize) {
    let mut text = text_of([&entry.blocks], Format::Text, now.as_millisecond(), |_| {
        true
    })
    .text;
    if text.len() <= SERIES_LIMIT_BYTES {
        return (text, 0);
    }
    let bytes = text
        .as_bytes()
        .get(..SERIES_LIMIT_BYTES)
        .unwrap_or_default();
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |place| place + 1);
    let rest = text.split_off(end);
    let is_sample = |line: &&str| !line.starts_with('#');
    (text, rest.lines().filter(is_sample).count())
}

pub(super) fn page(key: &str, entry: &Entry, now: Timestamp) -> String {
    let status = &entry.status;
    let state = State::of(status);
    let name = cut(&status.name, TEXT_LIMIT_CHARS);
    let mut out = String::with_capacity(16 * 1024);
    begin(
        &format!("{name}: {} · saas-exporter", state.title()),
        "../",
        &mut out,
    );
    out.push_str("<header><p><a class=\"back\" href=\"../\">← All services</a></p>");
    fill(
        &mut out,
        "<h1>{}</h1><p class=\"service-state {}\">",
        &[name, state.word()],
    );
    badge(state, &mut out);
    let headline = headline(status);
    if !headline.eq_ignore_ascii_case(state.title()) {
        fill(
            &mut out,
            " <span class=\"headline\">{}</span>",
            &[&headline],
        );
    }
    out.push_str("</p></header>\n<main>\n");
    if let Some(note) = &status.failure {
        failure(note, status.last_success, now, &mut out);
    }
    for part in &status.overview.sections {
        section(part, now, &mut out);
    }
    facts(key, status, now, &mut out);
    if let Some(exchange) = &status.exchange {
        last_request(exchange, now, &mut out);
    }
    if let Some(note) = &status.past_failure {
        out.push_str("<section><h2>Last failure, over by now</h2>");
        failure(note, status.last_success, now, &mut out);
        out.push_str("</section>\n");
    }
    let (text, left_out) = series(entry, now);
    fill(
        &mut out,
        "<section><h2>Its series</h2>\
         <pre role=\"region\" tabindex=\"0\" aria-label=\"Series\">{}</pre>",
        &[&text],
    );
    if left_out > 0 {
        let count = left_out.to_string();
        fill(
            &mut out,
            "<p>and {} more, see <a href=\"../metrics\">/metrics</a></p>",
            &[&count],
        );
    }
    out.push_str("</section>\n");
    let mut json = format!("..{API_SERVICES}/");
    encode(key, &mut json);
    end("../", &json, now, &mut out);
    out
}

/// What it is, and when it was and will be asked.
fn facts(key: &str, status: &ServiceStatus, now: Timestamp, out: &mut String) {
    out.push_str("<section><h2>Polling</h2><dl>");
    fact("Key", key, out);
    fact("Type", status.kind, out);
    out.push_str("<dt>Address</dt><dd>");
    let address = &*status.address;
    match is_web_address(address) {
        true => fill(
            out,
            "<a rel=\"noreferrer noopener\" href=\"{}\">{}</a>",
            &[address, address],
        ),
        false => escape(address, out),
    }
    out.push_str("</dd>");
    fact("Settings", &status.about, out);
    let moments = [
        ("Data from", data_time(status)),
        ("Last poll", status.last_poll),
        ("Last good poll", status.last_success),
        ("Next poll", status.next_poll),
    ];
    for (name, moment) in moments {
        if let Some(moment) = moment {
            fill(out, "<dt>{}</dt><dd>", &[name]);
            ago(moment, now, out);
            out.push_str("</dd>");
        }
    }
    if let Some(took) = status.last_duration {
        fact("Poll took", &format!("{:.2} s", took.as_secs_f64()), out);
    }
    out.push_str("</dl></section>\n");
}

fn fact(name: &str, text: &str, out: &mut String) {
    fill(out, "<dt>{}</dt><dd>{}</dd>", &[name, text]);
}

fn last_request(exchange: &Exchange, now: Timestamp, out: &mut String) {
    out.push_str("<section><h2>Last request</h2><dl>");
    fact(
        "Request",
        &format!("{} {}", exchange.method, exchange.url),
        out,
    );
    out.push_str("<dt>Ended</dt><dd>");
    ago(exchange.ended, now, out);
    out.push_str("</dd>");
    let took_s = exchange.duration.as_secs_f64();
    let took = format!("{took_s:.3} s, attempt {}", exchange.attempt);
    fact("Took", &took, out);
    let answer: Cow<'_, str> = match exchange.status {
        Some(status) => format!("status {status}").into(),
        None => "none came".into(),
    };
    fact("Answer", &answer, out);
    if let Some(bytes) = exchange.body_bytes {
        fact("Body", &format!("{bytes} bytes, decompressed"), out);
    }
    out.push_str("</dl>");
    if !exchange.head.is_empty() {
        fill(
            out,
            "<pre role=\"region\" tabindex=\"0\" aria-label=\"Head of the answer\">{}</pre>",
            &[&exchange.head],
        );
    }
    out.push_str("</section>\n");
}

/// The page for a key that no service has. `written` is the key as it stands in the path.
pub(super) fn unknown(key: &str, written: &str, entries: &[KeyedEntry]) -> String {
    // A slash that is not encoded is one more step down.
    let up = "../".repeat(written.matches('/').count() + 1);
    let mut out = String::new();
    begin("No such service · saas-exporter", &up, &mut out);
    fill(
        &mut out,
        "<header><p><a class=\"back\" href=\"{}\">← All services</a></p><h1>No such service</h1></header>\n\
         <main><p>No service has the key <code>{}</code>. The keys are those of services.json, percent-encoded in the \
         address: write <code>%2F</code> for a slash.</p>",
        &[&up, cut(key, TEXT_LIMIT_CHARS)],
    );
    let wanted = key.to_ascii_lowercase();
    let is_like = |candidate: &&KeyedEntry| {
        let known = candidate.0.to_ascii_lowercase();
        !wanted.is_empty() && (known.contains(&wanted) || wanted.contains(&known))
    };
    let mut alike = entries
        .iter()
        .filter(is_like)
        .take(PROPOSALS_LIMIT)
        .peekable();
    if alike.peek().is_some() {
        out.push_str("<p>Did you mean:</p><ul class=\"lines\">");
        for (key, _) in alike {
            fill(&mut out, "<li><a href=\"{}services/", &[&up]);
            encode(key, &mut out);
            fill(&mut out, "\">{}</a></li>", &[key]);
        }
        out.push_str("</ul>");
    }
    out.push_str("</main></body></html>\n");
    out
}
