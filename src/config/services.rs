//! services.json: an object of services, each read by the source of its type, every mistake reported at once.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::fields::{Field, Fields, Form, Reach};
use super::problem::{Problem, did_you_mean, shown, shown_name, shown_value};
use super::settings::Given;
use crate::fetch::{Roots, UpstreamSettings};
use crate::model::{StaticLabels, is_label_name};
use crate::sorted::{SortedMap, SortedSet};
use crate::sources::{Defaults, SOURCES, SourceKind, SourceSettings};
use crate::telemetry;

/// The shortest and longest interval between two polls.
pub(super) const INTERVAL_RANGE: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600));
/// The shortest and longest time-out of one request.
const TIMEOUT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));
/// Limit of one request unless a service says otherwise (contract of status pages, section 2).
const TIMEOUT: Duration = Duration::from_secs(15);
/// The type of a service that names none.
const DEFAULT_TYPE: &str = "statuspage";

/// Fields that a service of any type may have.
pub const GENERAL_FIELDS: &[Field] = &[
    Field::optional(
        "type",
        Form::Text,
        "What kind of service it is; statuspage when absent.",
    ),
    Field::optional(
        "interval",
        Form::Duration,
        "Time between two polls, start to start; the process's setting when absent.",
    ),
    Field::optional(
        "timeout",
        Form::Duration,
        "Limit of one request, from looking up the name to the last byte; 15s when absent.",
    ),
    Field::optional(
        "headers",
        Form::Headers,
        "Headers added to every request; a value is a text, {\"env\": \"VARIABLE\"} or {\"file\": \"/path\"}.",
    ),
    Field::optional(
        "ca_file",
        Form::Path,
        "PEM file of certificate authorities trusted for this service, beside the usual ones.",
    ),
    Field::optional(
        "labels",
        Form::Labels,
        "Labels added to every series of this service.",
    ),
];

/// One service, checked.
#[derive(Debug)]
pub struct Service {
    /// Its key in services.json, the `service` label.
    pub key: String,
    /// Its kind.
    pub kind: &'static SourceKind,
    /// Time between two polls, start to start.
    pub interval: Duration,
    /// How its upstream is asked.
    pub upstream: UpstreamSettings,
    /// Labels added to every series.
    pub labels: StaticLabels,
    /// What its source wants to know.
    pub settings: Box<dyn SourceSettings>,
    /// The variables that fields came from, by field.
    pub origins: SortedMap<String, String>,
    /// Another number when anything above is configured differently, secrets included; says nothing about them.
    pub fingerprint: u64,
}

/// Reads the text of a services.json, none if only the environment describes services. `file` is its name in errors.
pub(super) fn read(
    file: &str,
    text: Option<&str>,
    given: &Given,
    defaults: &Defaults,
    warnings: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Vec<Service> {
    let before = problems.len();
    let mut entries = text
        .map(|text| read_entries(file, text, problems))
        .unwrap_or_default();
    if problems.len() == before {
        let described = of_environment(&entries, given);
        for (key, _) in &described {
            warnings.push(format!(
                "service {} is in the environment alone: its variables are set, and no entry of {file} has that type",
                shown(key)
            ));
        }
        entries.extend(described);
    }
    let mut services = Vec::new();
    let mut keys = SortedSet::new();
    for (key, entry) in &entries {
        if !keys.insert(key) {
            let what = "stands there twice; rename or remove one";
            problems.push(Problem::new(format!(
                "{file}: service {} {what}",
                shown(key)
            )));
            continue;
        }
        let type_of = |entry: &Value| {
            entry
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or(DEFAULT_TYPE)
                .to_owned()
        };
        let same_type = entries
            .iter()
            .filter(|(_, other)| type_of(other) == type_of(entry))
            .count();
        let place = Place {
            file,
            key,
            given,
            reach: match same_type {
                1 if entries.len() == 1 => Reach::AnyName,
                1 => Reach::OwnNames,
                _ => Reach::Nothing,
            },
        };
        services.extend(read_service(&place, entry, defaults, problems, warnings));
    }
    if problems.len() == before {
        check_collisions(file, &services, problems);
    }
    services
}

fn read_entries(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<(String, Value)> {
    let entries = match serde_json::from_str::<Entries>(text.trim_start_matches('\u{feff}')) {
        Ok(document) => document.0,
        Err(cause) => {
            // Of JSON of another form the words would show a value.
            let cause = match cause.is_data() {
                true => format!("at line {} column {}", cause.line(), cause.column()),
                false => cause.to_string(),
            };
            problems.push(Problem::new(format!(
                "{file}: is not a JSON object of services: {cause}"
            )));
            return Vec::new();
        }
    };
    let entries: Vec<_> = entries
        .into_iter()
        .filter(|(key, _)| !is_ignored(key))
        .collect();
    if entries.is_empty() {
        let remedy = "{\"name\": \"GitHub\", \"url\": \"https://www.githubstatus.com\"}";
        problems.push(Problem::new(format!(
            "{file}: holds no service; add one, such as \"github\": {remedy}"
        )));
    }
    entries
}

/// A service for every type that the environment describes and no entry names. Its key is the name of the type.
fn of_environment(entries: &[(String, Value)], given: &Given) -> Vec<(String, Value)> {
    let is_named = |kind: &SourceKind| {
        entries
            .iter()
            .any(|(_, entry)| entry.get("type").is_some_and(|name| name == kind.name))
    };
    let described = SOURCES
        .iter()
        .filter(|kind| (kind.is_in_environment)(given) && !is_named(kind));
    described
        .map(|kind| (kind.name.to_owned(), serde_json::json!({"type": kind.name})))
        .collect()
}

/// Comments, and the address of the schema for editors.
fn is_ignored(key: &str) -> bool {
    key.starts_with('_') || key == "$schema"
}

/// Where a service stands.
struct Place<'a> {
    file: &'a str,
    key: &'a str,
    given: &'a Given,
    reach: Reach,
}

fn read_service(
    place: &Place<'_>,
    entry: &Value,
    defaults: &Defaults,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<Service> {
    let Place {
        file,
        key,
        given,
        reach,
    } = *place;
    let before = problems.len();
    let values = entry
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let mut fields = Fields::new(file, key, given, values, reach, problems, warnings);
    if !entry.is_object() {
        fields.service_problem("is no object; write {\"name\": …, \"url\": …}");
        return None;
    }
    let kind = read_kind(&mut fields)?;
    (kind.stand_ins)(&mut fields);
    let interval = fields.duration("interval", INTERVAL_RANGE.0, INTERVAL_RANGE.1);
    let timeout = fields.duration("timeout", TIMEOUT_RANGE.0, TIMEOUT_RANGE.1);
    let headers = read_headers(&mut fields);
    let ca = read_ca(&mut fields);
    let labels = read_labels(&mut fields, kind);
    let settings = (kind.configure)(&mut fields, defaults);
    let known: Vec<&str> = GENERAL_FIELDS
        .iter()
        .chain(kind.fields)
        .map(|field| field.name)
        .collect();
    let origins = fields.take_origins();
    let mut fingerprint = fields.finish(&known);
    let settings = settings.filter(|_| problems.len() == before)?;
    let usual = settings.usual();
    let upstream = UpstreamSettings {
        timeout: timeout.or(usual.timeout).unwrap_or(TIMEOUT),
        headers,
        ca: ca.or(usual.ca),
    };
    let interval = interval.or(usual.interval).unwrap_or(defaults.interval);
    (upstream.timeout, interval, defaults).hash(&mut fingerprint);
    Some(Service {
        key: key.to_owned(),
        kind,
        interval,
        upstream,
        labels,
        settings,
        origins,
        fingerprint: fingerprint.finish(),
    })
}

fn read_kind(fields: &mut Fields<'_>) -> Option<&'static SourceKind> {
    let name = fields.text("type");
    let name = name.as_deref().unwrap_or(DEFAULT_TYPE);
    let kind = SOURCES.iter().find(|kind| kind.name == name);
    if kind.is_none() {
        let known: Vec<&str> = SOURCES.iter().map(|kind| kind.name).collect();
        let hint = did_you_mean(name, known.iter().copied());
        fields.problem(
            "type",
            &format!(
                "unknown type {}{hint}; known are {}",
                shown_value(name),
                known.join(", ")
            ),
        );
    }
    kind
}

fn read_headers(fields: &mut Fields<'_>) -> Vec<(String, super::Secret)> {
    let headers = fields.secrets("headers");
    for (name, value) in &headers {
        let sendable = value
            .reveal()
            .is_ok_and(|value| ureq::http::HeaderValue::from_str(&value).is_ok());
        if ureq::http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            fields.problem(
                "headers",
                &format!("{} is no name of a header", shown_name(name)),
            );
        } else if !sendable {
            fields.problem(
                "headers",
                &format!(
                    "the value of {} holds characters that cannot be sent",
                    shown(name)
                ),
            );
        }
    }
    headers
}

fn read_ca(fields: &mut Fields<'_>) -> Option<Roots> {
    let content = fields.file_content("ca_file")?;
    Roots::from_pem(&content)
        .map_err(|what| fields.problem("ca_file", &format!("the file {what}")))
        .ok()
}

fn read_labels(fields: &mut Fields<'_>, kind: &SourceKind) -> StaticLabels {
    let labels = fields.texts("labels");
    for name in labels.keys() {
        let mut own = (kind.families)()
            .iter()
            .chain(telemetry::service_families())
            .flat_map(|family| family.labels);
        if !is_label_name(name) {
            fields.problem(
                "labels",
                &format!(
                    "{} is no label name; use letters, digits and _",
                    shown(name)
                ),
            );
        } else if name == "le" || own.any(|label| label == name) {
            fields.problem(
                "labels",
                &format!(
                    "{} is a label of our own metrics; choose another name",
                    shown(name)
                ),
            );
        }
    }
    labels
}

/// Two services whose series could not be told apart.
fn check_collisions(file: &str, services: &[Service], problems: &mut Vec<Problem>) {
    let mut seen = SortedMap::new();
    for service in services {
        let (field, value) = service.settings.identity(&service.labels);
        if let Some(other) = seen.insert((service.kind.name, field, value.clone()), &service.key) {
            problems.push(Problem::new(format!(
                "{file}: service {}, field \"{field}\": {} is also that of service {}; their series would collide",
                shown(&service.key),
                shown(&value),
                shown(other),
            )));
        }
    }
}

/// A JSON object in the order of the text, so that a key that stands there twice is seen.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object: service key -> service")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}
