//! The page at `/`: every service, worst first, with what is open and what is wrong.
//!
//! A service takes about 700 bytes, with the longest texts and all its lines less than 10 KB; the services of a process
//! are as many as services.json lists.

use jiff::Timestamp;

use super::html::{ago, badge, begin, end, fill, lines, section};
use super::{SERVICES, State, data_time, encode, headline};
use crate::model::cut;
use crate::overview::Overview;
use crate::snapshot::{FailureNote, KeyedEntry, ServiceStatus};

/// Lines of a section of one service: its incidents, its maintenances.
pub(super) const LINES_LIMIT: usize = 3;
/// Such lines on the whole page; the worst services get them.
const ALL_LINES_LIMIT: usize = 1_000;
/// Longest text of a service, in characters. Names are as long as services.json has them, failures quote upstreams.
pub(super) const TEXT_LIMIT_CHARS: usize = 400;

/// The services, worst first, those of one state by key.
pub(super) fn sorted(entries: &[KeyedEntry]) -> Vec<(State, &str, &ServiceStatus)> {
    let services = entries.iter();
    let services = services.map(|(key, entry)| (State::of(&entry.status), &**key, &entry.status));
    let services: Vec<_> = services.collect();
    // They come by key, so that picking them is all the sorting that is needed.
    let of_state = |state| {
        let services = services.iter();
        services.filter(move |(own, _, _)| *own == state).copied()
    };
    State::ALL.into_iter().flat_map(of_state).collect()
}

pub(super) fn page(entries: &[KeyedEntry], now: Timestamp) -> String {
    let services = sorted(entries);
    let count = |state| services.iter().filter(|(one, _, _)| *one == state).count();
    let counts = State::ALL.map(|state| (state, count(state)));
    let mut out = String::with_capacity(4_096 + services.len() * 1_024);
    open(&counts, services.len(), &mut out);
    let mut lines_left = ALL_LINES_LIMIT;
    for (state, _) in counts.iter().filter(|(_, count)| *count > 0) {
        fill(
            &mut out,
            "<section id=\"{}\" class=\"group\"><h2>{}</h2>\n<ul class=\"services\">\n",
            &[state.word(), state.title()],
        );
        for (_, key, status) in services.iter().filter(|(own, _, _)| own == state) {
            row(*state, key, status, now, &mut lines_left, &mut out);
        }
        out.push_str("</ul></section>\n");
    }
    if let [(_, alone)] = entries {
        of_original(&alone.status, now, &mut out);
    }
    end("", "api/v1/services", now, &mut out);
    out
}

/// Everything above the services.
fn open(counts: &[(State, usize)], all: usize, out: &mut String) {
    let troubled = counts.iter().filter(|(state, _)| state.is_trouble());
    let title = match troubled.map(|(_, count)| count).sum::<usize>() {
        0 => "saas-exporter".to_owned(),
        troubled => format!("{troubled} in trouble · saas-exporter"),
    };
    begin(&title, "", out);
    let all = all.to_string();
    let plural = if all == "1" { "" } else { "s" };
    fill(
        out,
        "<header><h1>saas-exporter</h1>\n<nav class=\"counts\" aria-label=\"{} service{} by state\">",
        &[&all, plural],
    );
    for (state, count) in counts.iter().filter(|(_, count)| *count > 0) {
        let (word, count) = (state.word(), count.to_string());
        fill(
            out,
            "<a class=\"{}\" href=\"#{}\"><span class=\"mark\" aria-hidden=\"true\">{}</span> \
             <b>{}</b> {}</a> ",
            &[word, word, state.mark(), &count, state.title()],
        );
    }
    // Shown by the script, since it does nothing without.
    out.push_str(
        "</nav>\n<div id=\"search\" role=\"search\" hidden><label for=\"filter\">Filter <kbd>/</kbd></label>\
         <input id=\"filter\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\">\
         <output id=\"found\" for=\"filter\"></output></div></header>\n<main>\n",
    );
}

fn row(
    state: State,
    key: &str,
    status: &ServiceStatus,
    now: Timestamp,
    lines_left: &mut usize,
    out: &mut String,
) {
    fill(out, "<li class=\"service {}\">", &[state.word()]);
    badge(state, out);
    // The address is relative, so that a proxy may serve all this below a path of its own.
    fill(
        out,
        "<div class=\"what\"><h3><a href=\"{}",
        &[SERVICES.trim_start_matches('/')],
    );
    encode(key, out);
    let name = cut(&status.name, TEXT_LIMIT_CHARS);
    fill(
        out,
        "\">{}</a> <span class=\"kind\">{} · {}</span></h3>",
        &[name, cut(key, TEXT_LIMIT_CHARS), status.kind],
    );
    let headline = headline(status);
    // What the badge says already is not said again.
    if !headline.eq_ignore_ascii_case(state.title()) {
        fill(out, "<p class=\"headline\">{}</p>", &[&headline]);
    }
    news(&status.overview, now, lines_left, out);
    if let Some(note) = &status.failure {
        failure(note, status.last_success, now, out);
    }
    out.push_str("</div><p class=\"when\">");
    if let Some(moment) = data_time(status) {
        out.push_str("<span>data ");
        ago(moment, now, out);
        out.push_str("</span> ");
    }
    if let Some(moment) = status.next_poll {
        out.push_str("<span>next poll ");
        ago(moment, now, out);
        out.push_str("</span>");
    }
    out.push_str("</p></li>\n");
}

/// What the program that the only service replaces has on its root page: settings, collectors, sites.
fn of_original(status: &ServiceStatus, now: Timestamp, out: &mut String) {
    fill(
        out,
        "<section><h2>Settings</h2><p>{}</p></section>\n",
        &[&status.about],
    );
    let sections = status.overview.sections.iter();
    for part in sections.filter(|section| section.news.is_none()) {
        section(part, now, out);
    }
}

/// Open incidents and maintenances.
fn news(overview: &Overview, now: Timestamp, lines_left: &mut usize, out: &mut String) {
    let news = || {
        overview
            .sections
            .iter()
            .filter(|section| section.news.is_some())
    };
    if news().next().is_none() {
        return;
    }
    out.push_str("<ul class=\"lines\">");
    for section in news() {
        let limit = LINES_LIMIT.min(*lines_left);
        lines(section, limit, true, now, out);
        *lines_left -= limit.min(section.lines.len());
    }
    out.push_str("</ul>");
}

/// Why the last poll failed, and what to do.
pub(super) fn failure(
    note: &FailureNote,
    last_success: Option<Timestamp>,
    now: Timestamp,
    out: &mut String,
) {
    let sentence = cut(&note.sentence, TEXT_LIMIT_CHARS);
    fill(
        out,
        "<p class=\"failure\"><code>{}</code> {}<br><span class=\"remedy\">{}</span><br>\
         <span class=\"moment\">failed ",
        &[note.kind, sentence, note.remedy],
    );
    ago(note.time, now, out);
    match last_success {
        Some(moment) => {
            out.push_str(", last good poll ");
            ago(moment, now, out);
        }
        None => out.push_str(", no good poll since the start"),
    }
    out.push_str("</span></p>");
}
