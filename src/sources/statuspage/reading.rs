//! What one answer means: the verdict, the components, the active incidents and maintenances, ready to be shown.
//!
//! Pure: bytes come in, a [`Reading`] goes out. What was known before is joined to it in [`super::state`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::wire;
use super::words::{
    ComponentStatus, INCIDENT_OPEN, INCIDENT_OVER, Impact, Indicator, MAINTENANCE_OVER,
    MaintenanceStatus, is_one_of,
};
use super::{AFFECTED_LIMIT_CHARS, NAME_LIMIT_CHARS, product};
use crate::fetch::{Body, Failure};
use crate::model::{LABEL_LIMIT_CHARS, cut};
use crate::sorted::SortedSet;

/// What stands for an id that is missing.
pub(super) const NO_ID: &str = "unknown";

/// The words and items that were not understood, by the label `field`.
pub(super) const FIELDS: [&str; 6] = [
    "indicator",
    "component_status",
    "impact",
    "incident_status",
    "maintenance_status",
    "item",
];

/// One answer, understood.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) indicator: Option<Indicator>,
    pub(super) verdict: Verdict,
    pub(super) components: Vec<Component>,
    pub(super) incidents: Vec<Incident>,
    pub(super) maintenances: Vec<Maintenance>,
    pub(super) page_updated_ms: Option<i64>,
    pub(super) not_understood: NotUnderstood,
}

/// How the service is, the worst of all parts of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// 0 none, 1 maintenance, 2 minor, 3 major, 4 critical.
    pub(super) severity: u8,
    pub(super) standing: Standing,
}

/// The verdict in the words of the old metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    Operational,
    Maintenance,
    Trouble,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Component {
    /// [`NO_ID`] if it has none.
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) status: ComponentStatus,
    /// Name of its group, empty without one.
    pub(super) group: Box<str>,
    pub(super) is_group: bool,
}

impl Component {
    /// What tells it apart from every other component of its page: id, name, name of its group.
    pub(super) fn identity(&self) -> (&str, &str, &str) {
        (&self.id, &self.name, &self.group)
    }
}

/// An active incident.
#[derive(Clone, Debug)]
pub(super) struct Incident {
    pub(super) id: Box<str>,
    pub(super) labels: IncidentLabels,
    pub(super) impact: Impact,
    pub(super) started_ms: Option<i64>,
    pub(super) updated_ms: Option<i64>,
}

/// The labels of an incident beside its id; those first seen stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IncidentLabels {
    pub(super) name: Box<str>,
    pub(super) impact: Box<str>,
    pub(super) shortlink: Box<str>,
    pub(super) started_at: Box<str>,
    pub(super) affected_components: Box<str>,
}

/// A maintenance that is scheduled or under way.
#[derive(Clone, Debug)]
pub(super) struct Maintenance {
    pub(super) id: Box<str>,
    pub(super) labels: MaintenanceLabels,
    pub(super) status: MaintenanceStatus,
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
}

/// The labels of a maintenance beside its id; those first seen stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MaintenanceLabels {
    pub(super) name: Box<str>,
    pub(super) scheduled_start: Box<str>,
    pub(super) scheduled_end: Box<str>,
    pub(super) shortlink: Box<str>,
    pub(super) affected_components: Box<str>,
}

/// How many words and items of each of [`FIELDS`] were not understood, and the first few of them.
#[derive(Clone, Debug, Default)]
pub(super) struct NotUnderstood {
    pub(super) counts: [u64; FIELDS.len()],
    pub(super) examples: SortedSet<String>,
}

impl NotUnderstood {
    /// Words that are remembered for the log.
    const EXAMPLES_LIMIT: usize = 8;

    fn note(&mut self, field: &'static str, word: &str) {
        let counts = FIELDS
            .iter()
            .zip(&mut self.counts)
            .find(|(name, _)| **name == field);
        if let Some((_, count)) = counts {
            *count += 1;
        }
        if self.examples.len() < Self::EXAMPLES_LIMIT {
            self.examples
                .insert(format!("{field}={}", cut(word, super::WORD_LIMIT_CHARS)));
        }
    }

    /// The objects of a list; everything else in it is counted.
    fn objects<T>(&mut self, items: Option<Vec<Option<T>>>) -> Vec<T> {
        let items = items.into_iter().flatten();
        items
            .filter_map(|item| item.or_else(|| self.no_object()))
            .collect()
    }

    fn no_object<T>(&mut self) -> Option<T> {
        self.note("item", "no object");
        None
    }
}

/// Reads the body of `summary.json`. `page` is the page's address, for links that the answer leaves out.
///
/// # Errors
/// `Json` for what is no JSON, `Shape` for JSON that is no summary; both name the product that it looks like.
pub(super) fn read(body: &Body, page: &str) -> Result<Reading, Failure> {
    let summary = body
        .json::<Option<wire::Summary>>()
        .map_err(|failure| match failure {
            Failure::Json(what) => Failure::Json(format!("{what}{}", product::hint(body.head()))),
            other => other,
        })?;
    let shape = |what: &str| Failure::Shape(format!("{what}{}", product::hint(body.head())));
    let summary = summary.ok_or_else(|| shape("no JSON object"))?;
    let indicator = summary
        .status
        .as_ref()
        .and_then(|status| status.indicator.as_deref())
        .filter(|word| !word.is_empty())
        .map(Indicator::read);
    let has_components = summary.components.iter().flatten().any(Option::is_some);
    if indicator.is_none() && !has_components {
        return Err(shape("neither a \"status.indicator\" nor components"));
    }
    let mut not_understood = NotUnderstood::default();
    if let Some(Indicator::Unknown(word)) = &indicator {
        not_understood.note("indicator", word);
    }
    let components = read_components(summary.components, &mut not_understood);
    let incidents = read_incidents(summary.incidents, page, &mut not_understood);
    let maintenances = read_maintenances(summary.scheduled_maintenances, &mut not_understood);
    let reading = Reading {
        verdict: judge(indicator.as_ref(), &components, &incidents, &maintenances),
        indicator,
        components,
        incidents: first_of_each(incidents, |incident| &incident.id),
        maintenances: first_of_each(maintenances, |maintenance| &maintenance.id),
        page_updated_ms: summary.page.and_then(|page| parse_ms(&page.updated_at?)),
        not_understood,
    };
    Ok(reading)
}

/// The worst of all parts: the page's own word is often milder than what it lists.
pub(super) fn judge(
    indicator: Option<&Indicator>,
    components: &[Component],
    incidents: &[Incident],
    maintenances: &[Maintenance],
) -> Verdict {
    let of_page = indicator.map_or(0, Indicator::severity);
    let of_incidents = incidents
        .iter()
        .map(|incident| incident.impact.severity())
        .max()
        .unwrap_or(0);
    let of_components = components
        .iter()
        .map(|component| component.status.severity())
        .max()
        .unwrap_or(0);
    let severity = of_page.max(of_incidents).max(of_components);
    if severity == 0
        && maintenances
            .iter()
            .any(|maintenance| maintenance.status.is_under_way())
    {
        // A maintenance that shows on no component never turned the old metric to 0.
        return Verdict {
            severity: 1,
            standing: Standing::Operational,
        };
    }
    let standing = match severity {
        0 => Standing::Operational,
        1 => Standing::Maintenance,
        _ => Standing::Trouble,
    };
    Verdict { severity, standing }
}

fn read_components(
    items: Option<Vec<Option<wire::Component>>>,
    not_understood: &mut NotUnderstood,
) -> Vec<Component> {
    let components = not_understood.objects(items);
    // A group usually stands after some of its children: names first.
    let group_names: crate::sorted::SortedMap<String, Box<str>> = components
        .iter()
        .filter(|component| component.is_group)
        .filter_map(|group| Some((group.id.clone()?, component_name(group))))
        .collect();
    let mut seen = SortedSet::new();
    let mut read = Vec::with_capacity(components.len());
    for component in components {
        // Components without an id are told apart by their names.
        if component
            .id
            .as_ref()
            .is_some_and(|id| !seen.insert(id.clone()))
        {
            continue;
        }
        let status = ComponentStatus::read(component.status.as_deref().unwrap_or_default());
        if let (ComponentStatus::Unknown, Some(word)) = (status, &component.status) {
            not_understood.note("component_status", word);
        }
        let group = component
            .group_id
            .as_ref()
            .and_then(|id| group_names.get(id))
            .cloned();
        read.push(Component {
            name: component_name(&component),
            id: id(component.id.as_deref()),
            status,
            group: group.unwrap_or_default(),
            is_group: component.is_group,
        });
    }
    read
}

fn component_name(component: &wire::Component) -> Box<str> {
    cut(
        component.name.as_deref().unwrap_or("Unknown"),
        LABEL_LIMIT_CHARS,
    )
    .into()
}

fn read_incidents(
    items: Option<Vec<Option<wire::Incident>>>,
    page: &str,
    not_understood: &mut NotUnderstood,
) -> Vec<Incident> {
    let mut read = Vec::new();
    for incident in not_understood.objects(items) {
        let is_internal = incident
            .name
            .as_deref()
            .is_some_and(|name| name.starts_with("_system_metadata:"));
        if is_internal || is_over(&incident, &INCIDENT_OVER) {
            continue;
        }
        if let Some(word) = incident
            .status
            .as_deref()
            .filter(|word| !is_one_of(word, &INCIDENT_OPEN))
        {
            not_understood.note("incident_status", word);
        }
        let impact = Impact::read(incident.impact.as_deref().unwrap_or_default());
        let unknown_impact = incident
            .impact
            .as_deref()
            .filter(|word| !is_one_of(word, &["maintenance", "unknown"]));
        if let (Impact::Unknown, Some(word)) = (impact, unknown_impact) {
            not_understood.note("impact", word);
        }
        let started_at = incident
            .started_at
            .as_deref()
            .or(incident.created_at.as_deref());
        let labels = IncidentLabels {
            name: cut(
                incident.name.as_deref().unwrap_or("Unnamed incident"),
                NAME_LIMIT_CHARS,
            )
            .into(),
            impact: impact_label(impact, incident.impact.as_deref()),
            shortlink: shortlink(&incident, page),
            started_at: time_label(started_at),
            affected_components: join_affected(names(&incident.components)),
        };
        read.push(Incident {
            id: id(incident.id.as_deref()),
            labels,
            impact,
            started_ms: started_at.and_then(parse_ms),
            updated_ms: incident.updated_at.as_deref().and_then(parse_ms),
        });
    }
    read
}

fn read_maintenances(
    items: Option<Vec<Option<wire::Incident>>>,
    not_understood: &mut NotUnderstood,
) -> Vec<Maintenance> {
    let mut read = Vec::new();
    for maintenance in not_understood.objects(items) {
        if is_over(&maintenance, &MAINTENANCE_OVER) {
            continue;
        }
        let status = MaintenanceStatus::read(maintenance.status.as_deref().unwrap_or_default());
        if let (MaintenanceStatus::Unknown, Some(word)) = (status, &maintenance.status) {
            not_understood.note("maintenance_status", word);
        }
        let start = maintenance
            .scheduled_for
            .as_deref()
            .or(maintenance.created_at.as_deref());
        let end = maintenance
            .scheduled_until
            .as_deref()
            .or(maintenance.scheduled_for.as_deref());
        let labels = MaintenanceLabels {
            name: cut(
                maintenance.name.as_deref().unwrap_or("Unnamed maintenance"),
                NAME_LIMIT_CHARS,
            )
            .into(),
            scheduled_start: time_label(start),
            scheduled_end: time_label(end),
            shortlink: cut(
                maintenance.shortlink.as_deref().unwrap_or_default(),
                LABEL_LIMIT_CHARS,
            )
            .into(),
            affected_components: join_affected(names(&maintenance.components)),
        };
        read.push(Maintenance {
            id: id(maintenance.id.as_deref()),
            labels,
            status,
            start_ms: start.and_then(parse_ms),
            end_ms: end.and_then(parse_ms),
        });
    }
    read
}

fn is_over(incident: &wire::Incident, words: &[&str]) -> bool {
    let is_resolved = incident
        .resolved_at
        .as_deref()
        .is_some_and(|time| !time.is_empty());
    is_resolved
        || incident
            .status
            .as_deref()
            .is_some_and(|status| is_one_of(status, words))
}

fn id(id: Option<&str>) -> Box<str> {
    cut(
        id.filter(|id| !id.is_empty()).unwrap_or(NO_ID),
        LABEL_LIMIT_CHARS,
    )
    .into()
}

/// The known word, or the page's own so that it is seen.
fn impact_label(impact: Impact, word: Option<&str>) -> Box<str> {
    match (impact, word) {
        (Impact::Unknown, Some(word)) => cut(word, super::WORD_LIMIT_CHARS).into(),
        (known, _) => known.word().into(),
    }
}

fn shortlink(incident: &wire::Incident, page: &str) -> Box<str> {
    let given = incident
        .shortlink
        .as_deref()
        .filter(|link| !link.is_empty());
    let id = incident.id.as_deref().filter(|id| !id.is_empty());
    match (given, id) {
        (Some(link), _) => cut(link, LABEL_LIMIT_CHARS).into(),
        (None, Some(id)) => cut(&format!("{page}/incidents/{id}"), LABEL_LIMIT_CHARS).into(),
        (None, None) => Box::default(),
    }
}

fn names(components: &[Option<wire::Component>]) -> impl Iterator<Item = &str> {
    let components = components.iter().flatten();
    components.filter_map(|component| component.name.as_deref())
}

/// The names of affected components as the label has them.
pub(super) fn join_affected<'a>(names: impl Iterator<Item = &'a str>) -> Box<str> {
    let mut joined = String::new();
    for name in names {
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(name);
        if joined.len() > AFFECTED_LIMIT_CHARS * 4 {
            // A character has at most four bytes: the rest would be cut anyway.
            break;
        }
    }
    cut(&joined, AFFECTED_LIMIT_CHARS).into()
}

/// A time as received, without the fraction of its second; empty without a time.
pub(super) fn time_label(time: Option<&str>) -> Box<str> {
    let time = cut(time.unwrap_or_default(), super::WORD_LIMIT_CHARS);
    match (parse_ms(time), time.split_once('.')) {
        (Some(_), Some((whole, rest))) => {
            let zone = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{whole}{zone}").into()
        }
        _ => time.into(),
    }
}

/// Unix milliseconds of an RFC 3339 time.
pub(super) fn parse_ms(time: &str) -> Option<i64> {
    time.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

/// Of items with one id the first counts.
fn first_of_each<T>(items: Vec<T>, id: impl Fn(&T) -> &str) -> Vec<T> {
    let mut seen = SortedSet::new();
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if seen.insert(id(&item).to_owned()) {
            kept.push(item);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(json: &str) -> Reading {
        read(&json.as_bytes().into(), "https://status.example.com").expect("a summary")
    }

    fn check_verdict(json: &str, severity: u8, standing: Standing) {
        assert_eq!(
            reading(json).verdict,
            Verdict { severity, standing },
            "{json}"
        );
    }

    #[test]
    fn the_verdict_is_never_milder_than_its_parts() {
        check_verdict(
            r#"{"status":{"indicator":"none"}}"#,
            0,
            Standing::Operational,
        );
        check_verdict(
            r#"{"status":{"indicator":"maintenance"}}"#,
            1,
            Standing::Maintenance,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"incidents":[{"impact":"none"}]}"#,
            0,
            Standing::Operational,
        );
        check_verdict(
            r#"{"status":{"indicator":"minor"},"incidents":[{"impact":"major"}]}"#,
            3,
            Standing::Trouble,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"components":[{"status":"major_outage"}]}"#,
            3,
            Standing::Trouble,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"components":[{"status":"sunny"}]}"#,
            2,
            Standing::Trouble,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"components":[{}]}"#,
            2,
            Standing::Trouble,
        );
        check_verdict(
            r#"{"components":[{"status":"under_maintenance"}]}"#,
            1,
            Standing::Maintenance,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"incidents":[{"id":"a","impact":"critical"},{"impact":"minor"}]}"#,
            4,
            Standing::Trouble,
        );
    }

    #[test]
    fn a_maintenance_that_shows_on_no_component_leaves_the_service_operational() {
        let maintenance = r#""scheduled_maintenances":[{"id":"m","status":"in_progress"}]"#;
        check_verdict(
            &format!(r#"{{"status":{{"indicator":"none"}},{maintenance}}}"#),
            1,
            Standing::Operational,
        );
        check_verdict(
            &format!(r#"{{"status":{{"indicator":"maintenance"}},{maintenance}}}"#),
            1,
            Standing::Maintenance,
        );
        let component = r#""components":[{"status":"under_maintenance"}]"#;
        check_verdict(
            &format!(r#"{{"status":{{"indicator":"none"}},{component},{maintenance}}}"#),
            1,
            Standing::Maintenance,
        );
        check_verdict(
            r#"{"status":{"indicator":"none"},"scheduled_maintenances":[{"status":"scheduled"}]}"#,
            0,
            Standing::Operational,
        );
    }

    fn check_failure(body: &str, kind: &str) {
        assert_eq!(
            read(&body.as_bytes().into(), "p")
                .map(|_| ())
                .map_err(|failure| failure.kind()),
            Err(kind),
            "{body}"
        );
    }

    #[test]
    fn what_is_no_summary_never_reads_as_all_is_well() {
        check_failure("", "json");
        check_failure("<html>", "json");
        check_failure(r#"{"status":{"indicator":"none"}"#, "json");
        check_failure("[]", "shape");
        check_failure("null", "shape");
        check_failure("{}", "shape");
        check_failure(r#"{"status":{"indicator":null},"components":[]}"#, "shape");
        check_failure(r#"{"status":{"indicator":""},"components":{}}"#, "shape");
        check_failure(r#"{"status":"none"}"#, "shape");
        check_failure(r#"{"components":[1,null]}"#, "shape");
    }

    #[test]
    fn what_is_over_or_internal_or_there_already_is_no_active_incident() {
        let json = r#"{"status":{"indicator":"none"},"incidents":[
            {"id":"1","status":"resolved"},{"id":"2","status":"Postmortem"},{"id":"3","status":"completed"},
            {"id":"4","status":"monitoring","resolved_at":"2026-01-01T00:00:00Z"},
            {"id":"5","name":"_system_metadata: x"},{"id":"6","name":"first"},{"id":"6","name":"second"},
            {"name":"no id"},{"name":"no id either"},null,7,"x",[]]}"#;
        let reading = reading(json);
        let names: Vec<_> = reading
            .incidents
            .iter()
            .map(|incident| (&*incident.id, &*incident.labels.name))
            .collect();
        assert_eq!(names, [("6", "first"), ("unknown", "no id")]);
        assert_eq!(reading.not_understood.counts, [0, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn labels_are_cut_by_characters_and_missing_texts_have_their_words() {
        let name = "ü".repeat(140);
        let affected = (0..60)
            .map(|_| r#"{"name":"Ä"}"#)
            .collect::<Vec<_>>()
            .join(",");
        let json = format!(
            r#"{{"status":{{"indicator":"minor"}},"incidents":[
                {{"id":"a","name":"{name}","components":[{affected}],"created_at":"2026-07-01T10:00:00.123+01:00"}},{{}}],
                "scheduled_maintenances":[{{"created_at":"c","scheduled_for":"2026-07-01T10:00:00.5Z"}}]}}"#
        );
        let reading = reading(&json);
        let labels = &reading.incidents[0].labels;
        assert_eq!(labels.name.chars().count(), 100);
        assert_eq!(labels.affected_components.chars().count(), 150);
        assert_eq!(
            (&*labels.impact, &*labels.shortlink),
            ("unknown", "https://status.example.com/incidents/a")
        );
        assert_eq!(&*labels.started_at, "2026-07-01T10:00:00+01:00");
        assert_eq!(
            reading.incidents[1].labels.name.as_ref(),
            "Unnamed incident"
        );
        assert_eq!(
            (
                &*reading.incidents[1].labels.shortlink,
                &*reading.incidents[1].labels.started_at
            ),
            ("", "")
        );
        let labels = &reading.maintenances[0].labels;
        assert_eq!(
            (&*labels.name, &*labels.shortlink),
            ("Unnamed maintenance", "")
        );
        assert_eq!(
            (&*labels.scheduled_start, &*labels.scheduled_end),
            ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00Z")
        );
    }

    #[test]
    fn groups_are_resolved_wherever_they_stand_and_the_first_of_one_id_counts() {
        let json = r#"{"components":[{"id":"c","name":"child","status":"operational","group_id":"g"},
            {"id":"g","name":"Group","status":"operational","group":true},{"id":"c","name":"again","status":"major_outage"},
            {"id":"o","name":"orphan","status":"operational","group_id":"elsewhere"},{"name":"x","status":"operational"},
            {"name":"y","status":"operational"}]}"#;
        let reading = reading(json);
        let shown: Vec<_> = reading
            .components
            .iter()
            .map(|c| (&*c.id, &*c.name, &*c.group))
            .collect();
        let expected = [
            ("c", "child", "Group"),
            ("g", "Group", ""),
            ("o", "orphan", ""),
            ("unknown", "x", ""),
            ("unknown", "y", ""),
        ];
        assert_eq!(shown, expected);
        assert_eq!(reading.verdict.severity, 0);
    }

    #[test]
    fn unknown_words_are_counted_by_field_and_missing_ones_are_not() {
        let json = r#"{"status":{"indicator":"odd"},"components":[{"status":"odd"},{"status":"odd"},{}],
            "incidents":[{"id":"1","status":"odd","impact":"odd"},{"id":"2","impact":"maintenance"},{"id":"3"}],
            "scheduled_maintenances":[{"status":"odd","impact":"odd"},{}, 1]}"#;
        assert_eq!(reading(json).not_understood.counts, [1, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let good = br#"{"page":{"updated_at":"x"},"status":{"indicator":"none"},"components":[{"id":"a","group":true}],"incidents":[{"id":"i","components":[{"name":"n"}]}]}"#;
        let mut seed = 99u64;
        for _ in 0..20_000 {
            let mut body = good.to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = (seed >> 33) as usize % body.len();
                body[place] = (seed >> 25) as u8;
            }
            let _ = read(&body.as_slice().into(), "p");
        }
    }
}
