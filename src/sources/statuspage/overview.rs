//! The state of a page in lines for people: the words that led to the verdict, incidents, maintenances, components.

use jiff::Timestamp;

use super::state::State;
use super::words::{ComponentStatus, Indicator};
use crate::overview::{LINES_LIMIT, Level, Line, Overview, Section};
use crate::sorted::SortedSet;

/// Components that are listed: on a page in flames hundreds are not well, and a thousand such pages must have room.
const COMPONENTS_LIMIT: usize = 20;
/// Severities in the order of the lines. Nothing is sorted: a sort of each kind of item would cost 5 KB of the binary.
const WORST_FIRST: [u8; 5] = [4, 3, 2, 1, 0];
/// What the severities of the verdict are called.
const SEVERITIES: [&str; 5] = ["none", "maintenance", "minor", "major", "critical"];

pub(super) fn overview(state: &State, strange_words: &SortedSet<String>) -> Overview {
    let mut overview = Overview {
        level: level(state.verdict.severity),
        seen: Timestamp::from_millisecond(state.seen_at_ms).ok(),
        ..Overview::default()
    };
    overview.add(incidents(state));
    overview.add(maintenances(state));
    overview.add(decision(state));
    overview.add(components(state));
    let mut words = Section::new("Words not understood");
    for word in strange_words {
        let (field, word) = word.split_once('=').unwrap_or(("word", word));
        words.push(Line::new(None, field, word), LINES_LIMIT);
    }
    overview.add(words);
    overview
}

fn level(severity: u8) -> Level {
    match severity {
        0 => Level::Good,
        1 => Level::Maintenance,
        2 => Level::Degraded,
        _ => Level::Outage,
    }
}

fn incidents(state: &State) -> Section {
    let mut section = Section::new("Open incidents");
    section.news = Some("Incident");
    for severity in WORST_FIRST {
        let incidents = state.active_incidents();
        for incident in incidents.filter(|one| one.impact.severity() == severity) {
            let labels = &incident.labels;
            let text = affecting(incident.impact.word(), &labels.affected_components);
            let line = Line::new(Some(level(severity)), &labels.name, &text)
                .with_link(&labels.shortlink)
                .with_moment("began", incident.started_ms)
                .with_moment("updated", incident.updated_ms);
            section.push(line, LINES_LIMIT);
        }
    }
    section
}

fn maintenances(state: &State) -> Section {
    let mut section = Section::new("Maintenances");
    section.news = Some("Maintenance");
    for is_under_way in [true, false] {
        let maintenances = state.active_maintenances();
        for maintenance in maintenances.filter(|one| one.status.is_under_way() == is_under_way) {
            let labels = &maintenance.labels;
            let text = affecting(maintenance.status.word(), &labels.affected_components);
            let line = Line::new(Some(Level::Maintenance), &labels.name, &text)
                .with_link(&labels.shortlink)
                .with_moment("begins", maintenance.start_ms)
                .with_moment("ends", maintenance.end_ms);
            section.push(line, LINES_LIMIT);
        }
    }
    section
}

/// A word of the page, as people write it, and what is affected.
fn affecting(word: &str, components: &str) -> String {
    let mut text = word.replace('_', " ");
    if !components.is_empty() && components != "N/A" {
        text.push_str(", affects ");
        text.push_str(components);
    }
    text
}

/// The words of the page from which the verdict follows: the worst one counts.
fn decision(state: &State) -> Section {
    let mut section = Section::new("Decision");
    let severity = state.verdict.severity;
    let word = SEVERITIES.get(usize::from(severity)).unwrap_or(&"unknown");
    let verdict = format!("severity {severity} of 4 ({word}), the worst of the words below");
    let mut add = |severity: u8, title: &str, text: &str| {
        let line = Line::new(Some(level(severity)), title, text);
        section.push(line, LINES_LIMIT);
    };
    add(severity, "Verdict", &verdict);
    match &state.indicator {
        Some(indicator) => {
            let remark = match indicator {
                Indicator::Unknown(_) => ", an unknown word, which counts as minor",
                _ => "",
            };
            let text = format!("status.indicator is \"{}\"{remark}", indicator.word());
            add(Indicator::severity(indicator), "The page's own word", &text);
        }
        None => add(0, "The page's own word", "none is given"),
    }
    let incidents = state.active_incidents();
    if let Some(worst) = incidents.max_by_key(|incident| incident.impact.severity()) {
        let text = format!(
            "impact \"{}\" of {:?}",
            worst.impact.word(),
            worst.labels.name
        );
        add(worst.impact.severity(), "Worst incident", &text);
    }
    // Where all is well there is no worst one. Reversed, since the last of several is taken, and groups stand behind
    // their components.
    let components = state.components.iter().rev();
    let components = components.filter(|component| component.status.severity() > 0);
    if let Some(worst) = components.max_by_key(|component| component.status.severity()) {
        let text = format!("status \"{}\" of {:?}", worst.status.word(), worst.name);
        add(worst.status.severity(), "Worst component", &text);
    }
    let mut maintenances = state.active_maintenances();
    if let Some(one) = maintenances.find(|maintenance| maintenance.status.is_under_way()) {
        let text = format!("status \"{}\" of {:?}", one.status.word(), one.labels.name);
        add(1, "Maintenance under way", &text);
    }
    section
}

fn components(state: &State) -> Section {
    let mut section = Section::new("Components");
    let leaves = || {
        let components = state.components.iter();
        components.filter(|component| !component.is_group)
    };
    let well = leaves().filter(|one| one.status == ComponentStatus::Operational);
    let counted = format!("{} of {}", well.count(), leaves().count());
    section.push(Line::new(None, "Operational", &counted), COMPONENTS_LIMIT);
    for severity in WORST_FIRST.into_iter().filter(|severity| *severity > 0) {
        for component in leaves().filter(|one| one.status.component_severity() == severity) {
            let name = match &*component.group {
                "" => component.name.to_string(),
                group => format!("{group} / {}", component.name),
            };
            let level = level(component.status.severity());
            let word = component.status.word().replace('_', " ");
            section.push(Line::new(Some(level), &name, &word), COMPONENTS_LIMIT);
        }
    }
    section
}
