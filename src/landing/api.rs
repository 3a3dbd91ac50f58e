//! The same as JSON: all services at `/api/v1/services`, one at `/api/v1/services/KEY`.

use jiff::Timestamp;

use super::front::{LINES_LIMIT, sorted};
use super::json::Json;
use super::service::series;
use super::{State, data_time};
use crate::fetch::Exchange;
use crate::snapshot::{Entry, FailureNote, KeyedEntry, ServiceStatus};

/// All services, worst first, with the lines that the page at `/` shows.
pub(super) fn services(entries: &[KeyedEntry], now: Timestamp) -> String {
    let mut json = Json::default();
    json.open('{');
    json.text("version", Some(crate::VERSION));
    json.moment("time", Some(now));
    json.name("services");
    json.open('[');
    for (state, key, status) in sorted(entries) {
        json.open('{');
        add_status(state, key, status, &mut json);
        add_sections(status, true, &mut json);
        json.close('}');
    }
    json.close(']');
    json.close('}');
    json.into_text()
}

/// One service, with everything that its page shows.
pub(super) fn service(key: &str, entry: &Entry, now: Timestamp) -> String {
    let status = &entry.status;
    let mut json = Json::default();
    json.open('{');
    json.moment("time", Some(now));
    add_status(State::of(status), key, status, &mut json);
    add_sections(status, false, &mut json);
    json.name("last_request");
    match &status.exchange {
        Some(exchange) => add_exchange(exchange, &mut json),
        None => json.plain("null"),
    }
    let (text, left_out) = series(entry, now);
    json.name("series");
    json.open('[');
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        json.item(line);
    }
    json.close(']');
    json.number("series_left_out", Some(left_out as f64));
    json.close('}');
    json.into_text()
}

/// For a key that no service has.
pub(super) fn unknown() -> String {
    "{\"error\":\"no service has this key; /api/v1/services lists all of them\"}\n".to_owned()
}

fn add_status(state: State, key: &str, status: &ServiceStatus, json: &mut Json) {
    json.text("key", Some(key));
    json.text("name", Some(&status.name));
    json.text("type", Some(status.kind));
    json.text("address", Some(&status.address));
    json.text("state", Some(state.word()));
    json.text("headline", status.headline.as_deref());
    json.moment("data_time", data_time(status));
    json.moment("last_poll_time", status.last_poll);
    let took_s = status.last_duration.map(|took| took.as_secs_f64());
    json.number("last_poll_duration_seconds", took_s);
    json.moment("last_success_time", status.last_success);
    json.moment("next_poll_time", status.next_poll);
    let notes = [
        ("failure", &status.failure),
        ("past_failure", &status.past_failure),
    ];
    for (name, note) in notes {
        json.name(name);
        match note {
            Some(note) => add_failure(note, json),
            None => json.plain("null"),
        }
    }
}

fn add_failure(note: &FailureNote, json: &mut Json) {
    json.open('{');
    json.moment("time", Some(note.time));
    json.text("kind", Some(note.kind));
    json.text("message", Some(&note.sentence));
    json.text("remedy", Some(note.remedy));
    json.close('}');
}

/// All sections, or the beginnings of those that stand on the page of all services.
fn add_sections(status: &ServiceStatus, is_news: bool, json: &mut Json) {
    let limit = if is_news { LINES_LIMIT } else { usize::MAX };
    json.name("sections");
    json.open('[');
    let sections = status.overview.sections.iter();
    for section in sections.filter(|section| !is_news || section.news.is_some()) {
        json.open('{');
        json.text("title", Some(section.title));
        json.name("lines");
        json.open('[');
        for line in section.lines.iter().take(limit) {
            json.open('{');
            json.text("state", line.level.map(|level| State::from(level).word()));
            json.text("title", Some(&line.title));
            json.text("text", Some(&line.text));
            json.text("link", line.link.as_deref());
            json.name("times");
            json.open('{');
            for (word, moment) in &line.moments {
                json.moment(word, Some(*moment));
            }
            json.close('}');
            json.close('}');
        }
        json.close(']');
        let left_out = section.left_out + section.lines.len().saturating_sub(limit);
        json.number("left_out", Some(left_out as f64));
        json.close('}');
    }
    json.close(']');
}

fn add_exchange(exchange: &Exchange, json: &mut Json) {
    json.open('{');
    json.text("method", Some(exchange.method));
    json.text("url", Some(&exchange.url));
    json.moment("time", Some(exchange.ended));
    json.number("duration_seconds", Some(exchange.duration.as_secs_f64()));
    json.number("attempt", Some(f64::from(exchange.attempt)));
    json.number("status", exchange.status.map(f64::from));
    json.number("body_bytes", exchange.body_bytes.map(|bytes| bytes as f64));
    json.name("headers");
    json.open('{');
    for line in exchange.head.lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        json.text(name, Some(value));
    }
    json.close('}');
    json.close('}');
}
