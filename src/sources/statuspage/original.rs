//! The cache folder of the Python exporter, read once when ours replaces it: no alert fires twice, no history is lost.
//!
//! Its files are never changed. Labels are taken as it showed them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::reading::{
    Component, IncidentLabels, MaintenanceLabels, Standing, Verdict, join_affected, judge,
    parse_ms, time_label,
};
use super::state::{Incident, Maintenance, State};
use super::words::{ComponentStatus, Impact, Indicator, MaintenanceStatus};
use super::{NAME_LIMIT_CHARS, reading};
use crate::model::{LABEL_LIMIT_CHARS, cut};

/// Longest line of a sample file; a real one has 60 bytes.
const LINE_LIMIT_BYTES: u64 = 4 * 1024;
/// Most samples that are read: one a second for thirty days.
const SAMPLES_LIMIT: usize = 30 * 24 * 3600;

/// The state that the file `{service_key}.json` holds, if it can be understood. A missing time is `now`.
pub(super) fn state(text: &str, now: Timestamp) -> Option<State> {
    let document: Value = serde_json::from_str(text).ok()?;
    let data = document
        .get("response_data")
        .filter(|data| data.is_object())?;
    let components: Vec<Component> = objects(data, "component_metadata").map(component).collect();
    let incidents: Vec<Incident> = objects(data, "incident_metadata")
        .filter_map(incident)
        .collect();
    let maintenances: Vec<Maintenance> = objects(data, "maintenance_metadata")
        .filter_map(maintenance)
        .collect();
    let indicator = text_of(data, "raw_status")
        .map(Indicator::read)
        .filter(|read| !matches!(read, Indicator::Unknown(_)));
    let verdict = verdict(data, indicator.as_ref(), &components, &incidents);
    let seen_at_ms = document
        .get("timestamp")
        .and_then(time_ms)
        .unwrap_or_else(|| now.as_millisecond());
    Some(State {
        indicator,
        verdict,
        components,
        removed_components: Vec::new(),
        incidents,
        maintenances,
        page_updated_ms: None,
        seen_at_ms: seen_at_ms.min(now.as_millisecond()),
    })
}

/// The samples of `{service_key}_uptime.jsonl`, oldest first as they stand there.
pub(super) fn samples(file: File) -> Vec<(Timestamp, bool)> {
    #[derive(Deserialize)]
    struct Line {
        ts: Value,
        status: Value,
    }
    let mut reader = BufReader::new(file);
    let mut samples = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader
            .by_ref()
            .take(LINE_LIMIT_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return samples,
            Ok(_) if samples.len() >= SAMPLES_LIMIT => return samples,
            Ok(_) => {}
        }
        let Ok(Line { ts, status }) = serde_json::from_slice(&line) else {
            continue;
        };
        let at = time_ms(&ts).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        if let (Some(at), Some(status)) = (at, status.as_f64()) {
            samples.push((at, status == 1.0));
        }
    }
}

fn objects<'a>(data: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    data.get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|item| item.is_object())
}

fn text_of<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

/// RFC 3339, the same without a zone (then UTC), or Unix seconds.
fn time_ms(time: &Value) -> Option<i64> {
    match time {
        Value::Number(seconds) => seconds.as_f64().map(|seconds| (seconds * 1000.0) as i64),
        Value::String(text) => parse_ms(text).or_else(|| parse_ms(&format!("{text}Z"))),
        _ => None,
    }
}

/// The original's own number decides between operational and not; its parts say how bad it is.
fn verdict(
    data: &Value,
    indicator: Option<&Indicator>,
    components: &[Component],
    incidents: &[Incident],
) -> Verdict {
    let read = |one: &Incident| reading::Incident {
        id: one.id.clone(),
        labels: one.labels.clone(),
        impact: one.impact,
        started_ms: one.started_ms,
        updated_ms: one.updated_ms,
    };
    let incidents: Vec<_> = incidents.iter().map(read).collect();
    let judged = judge(indicator, components, &incidents, &[]);
    match data.get("status").and_then(Value::as_f64) {
        Some(1.0) => Verdict {
            standing: Standing::Operational,
            ..judged
        },
        Some(_) if judged.severity == 0 => Verdict {
            severity: 2,
            standing: Standing::Trouble,
        },
        _ => judged,
    }
}

fn component(object: &Value) -> Component {
    let status = match (
        text_of(object, "status"),
        object.get("status_value").and_then(Value::as_f64),
    ) {
        (Some(word), _) => ComponentStatus::read(word),
        (None, Some(1.0)) => ComponentStatus::Operational,
        _ => ComponentStatus::Unknown,
    };
    let name = cut(
        text_of(object, "name").unwrap_or("Unknown"),
        LABEL_LIMIT_CHARS,
    );
    Component {
        id: reading::NO_ID.into(),
        name: name.into(),
        status,
        group: "".into(),
        is_group: false,
    }
}

fn incident(object: &Value) -> Option<Incident> {
    let impact = text_of(object, "impact").unwrap_or(reading::NO_ID);
    Some(Incident {
        id: known_id(object)?,
        labels: IncidentLabels {
            name: name(object),
            impact: cut(impact, LABEL_LIMIT_CHARS).into(),
            shortlink: cut(
                text_of(object, "shortlink").unwrap_or_default(),
                LABEL_LIMIT_CHARS,
            )
            .into(),
            started_at: time_label(text_of(object, "started_at")),
            affected_components: affected(object),
        },
        impact: Impact::read(impact),
        started_ms: text_of(object, "started_at").and_then(parse_ms),
        updated_ms: text_of(object, "updated_at").and_then(parse_ms),
        gone_at_ms: None,
    })
}

fn maintenance(object: &Value) -> Option<Maintenance> {
    let (start, end) = (
        text_of(object, "scheduled_start"),
        text_of(object, "scheduled_end"),
    );
    Some(Maintenance {
        id: known_id(object)?,
        labels: MaintenanceLabels {
            name: name(object),
            scheduled_start: time_label(start),
            scheduled_end: time_label(end),
            shortlink: cut(
                text_of(object, "shortlink").unwrap_or_default(),
                LABEL_LIMIT_CHARS,
            )
            .into(),
            affected_components: affected(object),
        },
        status: MaintenanceStatus::read(text_of(object, "status").unwrap_or_default()),
        start_ms: start.and_then(parse_ms),
        end_ms: end.and_then(parse_ms),
        gone_at_ms: None,
    })
}

/// The id, unless it is that of the placeholder for "no incident".
fn known_id(object: &Value) -> Option<Box<str>> {
    text_of(object, "id")
        .filter(|id| !["", "none"].contains(id))
        .map(|id| cut(id, LABEL_LIMIT_CHARS).into())
}

fn name(object: &Value) -> Box<str> {
    cut(
        text_of(object, "name").unwrap_or_default(),
        NAME_LIMIT_CHARS,
    )
    .into()
}

fn affected(object: &Value) -> Box<str> {
    match object.get("affected_components") {
        Some(Value::String(text)) => join_affected(std::iter::once(text.as_str())),
        Some(Value::Array(names)) => join_affected(names.iter().filter_map(Value::as_str)),
        _ => Box::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"service_key":"github","timestamp":"2026-11-19T12:00:00.5","response_data":{
        "status":0,"raw_status":"minor","details":"x","success":true,
        "incident_metadata":[{"id":"i1","name":"Slow","status":"investigating","impact":"minor",
            "started_at":"2026-11-19T11:00:00.123Z","updated_at":"2026-11-19T11:30:00Z","shortlink":"https://stspg.io/x",
            "affected_components":["API","Web"]}, 7],
        "maintenance_metadata":[{"id":"m1","name":"Work","status":"scheduled","scheduled_start":"2026-11-21T00:00:00.000Z",
            "scheduled_end":"2026-11-21T02:00:00.000Z","shortlink":"","affected_components":[]}],
        "component_metadata":[{"name":"API","status":"degraded_performance","status_value":0},{"name":"Web","status":"operational","status_value":1}]}}"#;

    #[test]
    fn the_last_answer_is_taken_over_with_the_labels_it_was_shown_with() {
        let now = "2026-11-20T00:00:00Z".parse().expect("valid");
        let state = state(FILE, now).expect("understood");
        assert_eq!(
            state.verdict,
            Verdict {
                severity: 2,
                standing: Standing::Trouble
            }
        );
        assert_eq!(state.seen_at_ms, 1_795_089_600_500);
        let incident = &state.incidents[0];
        assert_eq!(
            (
                &*incident.id,
                &*incident.labels.name,
                &*incident.labels.impact
            ),
            ("i1", "Slow", "minor")
        );
        assert_eq!(
            (
                &*incident.labels.started_at,
                &*incident.labels.affected_components
            ),
            ("2026-11-19T11:00:00Z", "API, Web")
        );
        assert_eq!(
            &*state.maintenances[0].labels.scheduled_start,
            "2026-11-21T00:00:00Z"
        );
        assert_eq!(state.components.len(), 2);
    }

    #[test]
    fn an_operational_service_stays_operational_and_damage_is_refused() {
        let now = Timestamp::UNIX_EPOCH;
        let state = state(&FILE.replace("\"status\":0", "\"status\":1"), now).expect("understood");
        assert_eq!(state.verdict.standing, Standing::Operational);
        assert!(super::state("{}", now).is_none());
        assert!(super::state("{\"response_data\":[]}", now).is_none());
        assert!(super::state(&FILE[..200], now).is_none());
    }

    #[test]
    fn unreadable_sample_lines_are_passed_over() {
        let path = std::env::temp_dir().join(format!(
            "saas-exporter-original-{}.jsonl",
            std::process::id()
        ));
        let long = "x".repeat(10_000);
        let text = format!(
            "{{\"ts\":\"2026-11-19T12:00:00Z\",\"status\":1}}\nnonsense\n{long}\n{{\"ts\":\"2026-11-19T13:00:00+01:00\",\"status\":0}}\n{{\"ts\":\"2026-11-19T12"
        );
        std::fs::write(&path, text).expect("written");
        let samples = samples(File::open(&path).expect("opened"));
        std::fs::remove_file(&path).expect("removed");
        let noon = "2026-11-19T12:00:00Z".parse().expect("valid");
        assert_eq!(samples, [(noon, true), (noon, false)]);
    }
}
