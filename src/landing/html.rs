//! Texts, moments, links and lines as HTML, and what every page begins and ends with.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::State;
use crate::overview::{Line, Section};

/// Units of a distance in time, in seconds, the largest first.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// Appends a text as HTML shows it literally, in an element or an attribute.
pub(super) fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(place) = rest.find(['&', '<', '>', '"', '\'']) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        out.push_str(match from.as_bytes().first() {
            Some(b'&') => "&amp;",
            Some(b'<') => "&lt;",
            Some(b'>') => "&gt;",
            Some(b'"') => "&quot;",
            _ => "&#39;",
        });
        rest = from.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// Appends a template, in which each `{}` stands for the next of the texts, escaped. Arguments of `format!` are not
/// escaped, and each of its calls takes more of the binary.
pub(super) fn fill(out: &mut String, template: &str, texts: &[&str]) {
    let mut texts = texts.iter();
    let mut pieces = template.split('{');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        escape(texts.next().unwrap_or(&""), out);
        out.push_str(piece.get(1..).unwrap_or_default());
    }
}

/// The beginning of a page; `up` leads from it to the root.
pub(super) fn begin(title: &str, up: &str, out: &mut String) {
    fill(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title>\n\
         <link rel=\"icon\" href=\"{}assets/icon.svg\"><link rel=\"stylesheet\" href=\"{}assets/page.css\">\
         <script src=\"{}assets/page.js\" defer></script></head>\n<body>\n",
        &[title, up, up, up],
    );
}

/// The end of a page, with the moment of which it tells.
pub(super) fn end(up: &str, json: &str, now: Timestamp, out: &mut String) {
    let now = whole_second(now).replace('T', " ").replace('Z', " UTC");
    fill(
        out,
        "</main>\n<footer><p>As of {}, saas-exporter {}</p><nav aria-label=\"More\"><a href=\"{}metrics\">Metrics</a> \
         <a href=\"{}\">This page as JSON</a> <a href=\"{}-/ready\">Ready</a></nav></footer>\n</body></html>\n",
        &[&now, crate::VERSION, up, json, up],
    );
}

/// `5m 3s ago`, `in 20m 0s`, with the moment itself in the element for machines and as a tip.
pub(super) fn ago(moment: Timestamp, now: Timestamp, out: &mut String) {
    let (moment_s, now_s) = (moment.as_second(), now.as_second());
    let moment = whole_second(moment);
    let distance = distance(moment_s.abs_diff(now_s));
    let (before, after) = match moment_s.cmp(&now_s) {
        Ordering::Greater => ("in ", ""),
        Ordering::Equal => ("", ""),
        Ordering::Less => ("", " ago"),
    };
    fill(
        out,
        "<time datetime=\"{}\" title=\"{}\">{}{}{}</time>",
        &[&moment, &moment, before, &distance, after],
    );
}

/// `2026-11-20T08:00:00Z`
fn whole_second(moment: Timestamp) -> String {
    let second = Timestamp::from_second(moment.as_second());
    second.unwrap_or(moment).to_string()
}

/// The two largest units of a time.
pub(super) fn distance(seconds: u64) -> String {
    let mut units = UNITS.iter().skip_while(|(unit, _)| seconds < *unit);
    let Some((unit, letter)) = units.next() else {
        return "now".to_owned();
    };
    let first = format!("{}{letter}", seconds / unit);
    let rest = seconds % unit;
    match units.next() {
        Some((unit, letter)) if rest >= *unit => format!("{first} {}{letter}", rest / unit),
        _ => first,
    }
}

/// The state in words, shape and colour.
pub(super) fn badge(state: State, out: &mut String) {
    fill(
        out,
        "<span class=\"state\"><span class=\"mark\" aria-hidden=\"true\">{}</span> {}</span>",
        &[state.mark(), state.title()],
    );
}

/// A section with its heading.
pub(super) fn section(section: &Section, now: Timestamp, out: &mut String) {
    fill(
        out,
        "<section><h2>{}</h2><ul class=\"lines\">",
        &[section.title],
    );
    lines(section, section.lines.len(), false, now, out);
    out.push_str("</ul></section>\n");
}

/// The first lines of a section as items of a list.
///
/// With `has_word` each begins with the section's word, since it stands under no heading.
pub(super) fn lines(
    section: &Section,
    limit: usize,
    has_word: bool,
    now: Timestamp,
    out: &mut String,
) {
    for line in section.lines.iter().take(limit) {
        let state = line.level.map(State::from);
        let class = state.map_or("", State::word);
        fill(out, "<li class=\"{}\">", &[class]);
        if let Some(state) = state {
            fill(
                out,
                "<span class=\"mark\" role=\"img\" aria-label=\"{}\">{}</span>",
                &[state.title(), state.mark()],
            );
        }
        out.push_str("<div>");
        line_text(section.news.filter(|_| has_word), line, now, out);
        out.push_str("</div></li>");
    }
    let left_out = section.left_out + section.lines.len().saturating_sub(limit);
    if left_out > 0 {
        let count = left_out.to_string();
        fill(out, "<li class=\"more\">and {} more</li>", &[&count]);
    }
}

fn line_text(word: Option<&str>, line: &Line, now: Timestamp, out: &mut String) {
    if let Some(word) = word {
        fill(out, "<span class=\"word\">{}</span> ", &[word]);
    }
    match &line.link {
        Some(link) => fill(
            out,
            "<a class=\"title\" rel=\"noreferrer noopener\" href=\"{}\">{}</a>",
            &[link, &line.title],
        ),
        None => fill(out, "<span class=\"title\">{}</span>", &[&line.title]),
    }
    if !line.text.is_empty() {
        fill(out, " <span class=\"text\">{}</span>", &[&line.text]);
    }
    for (word, moment) in &line.moments {
        fill(out, " <span class=\"moment\">{} ", &[word]);
        ago(*moment, now, out);
        out.push_str("</span>");
    }
}
