//! The login in lines for people: what runs how often and how it went, lines, telephone numbers.

use super::Aaisp;
use super::schedule::Tier;
use super::state::Line as Broadband;
use super::tally::{Collector, Runs};
use crate::overview::{LINES_LIMIT, Level, Line, Overview, Section};

pub(super) fn overview(login: &Aaisp) -> Overview {
    let mut overview = Overview::default();
    let mut section = Section::new("Collectors");
    for (collector, runs) in Collector::ALL.into_iter().zip(&login.runs) {
        if runs.failure.is_some() {
            overview.level = Level::Degraded;
        }
        section.push(of_collector(login, collector, runs), LINES_LIMIT);
    }
    overview.add(section);
    let now = login.parts.clock.instant();
    let mut section = Section::new("Lines");
    for (id, line) in login.state.lines.iter().flatten() {
        let quota = line.quota.as_ref();
        let quota = quota.and_then(|quota| quota.shown(now, login.patience(Tier::Fast)));
        let quota = quota.map(|quota| (quota.remaining, quota.total));
        section.push(Line::new(None, id, &of_line(line, quota)), LINES_LIMIT);
    }
    overview.add(section);
    let mut section = Section::new("Telephone numbers");
    for (id, number) in &login.state.numbers {
        let number = number.as_ref();
        let number = number.and_then(|number| number.shown(now, login.patience(Tier::Medium)));
        let status = number.map_or("not read", |number| &number.status);
        section.push(Line::new(None, id, status), LINES_LIMIT);
    }
    overview.add(section);
    overview
}

fn of_collector(login: &Aaisp, collector: Collector, runs: &Runs) -> Line {
    let on = login.settings().collectors;
    let (tier, is_on) = match collector {
        Collector::BroadbandInfo => (Tier::Medium, on.broadband),
        Collector::BroadbandQuota => (Tier::Fast, on.broadband),
        Collector::TelephonyInfo => (Tier::Medium, on.telephony),
        Collector::RateCard => (Tier::Slow, on.rate_card),
    };
    let interval_s = login.settings().interval(tier).as_secs();
    let (level, how) = match (is_on, &runs.failure, runs.last_success) {
        (false, _, _) => (None, "switched off".to_owned()),
        (true, Some(failure), _) => (
            Some(Level::Degraded),
            format!("{}: {failure}", failure.kind()),
        ),
        (true, None, Some(_)) => (Some(Level::Good), "works".to_owned()),
        (true, None, None) => (None, "has not run yet".to_owned()),
    };
    let [name, _] = collector.labels();
    let text = format!("{} tier, every {interval_s} s: {how}", tier.word());
    let last_good = runs.last_success.map(|moment| moment.as_millisecond());
    Line::new(level, name, &text).with_moment("last good", last_good)
}

/// Bytes of a gigabyte, as the provider sells them.
const GB: f64 = 1e9;

/// Whose line it is, and its quota.
fn of_line(line: &Broadband, quota: Option<(Option<f64>, Option<f64>)>) -> String {
    let mut text = line.own_login.clone().unwrap_or_default();
    if let Some((Some(remaining), Some(total))) = quota {
        let comma = if text.is_empty() { "" } else { ", " };
        let (remaining, total) = (remaining / GB, total / GB);
        text.push_str(&format!("{comma}{remaining:.1} of {total:.1} GB left"));
    }
    if text.is_empty() {
        text.push_str("nothing read yet");
    }
    text
}
