//! The fields of one service in services.json: read by name and type, every mistake collected, none lost.
//!
//! Sources read their own fields through it; [`super::services`] reads the fields that every service may have.

use std::hash::{DefaultHasher, Hash};
use std::time::Duration;

use serde_json::Value;

use super::problem::{Problem, did_you_mean, shown, shown_name, shown_path, shown_value};
use super::secret::Secret;
use super::settings::Given;
use crate::fetch::{BadUrl, Url};
use crate::sorted::SortedMap;

/// One field of a service: a row of the documentation and of the schema. `a.b` is field `b` of the object `a`.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub form: Form,
    /// Whether a service without it is an error.
    pub required: bool,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

impl Field {
    /// A field that a service must have.
    pub const fn required(name: &'static str, form: Form, meaning: &'static str) -> Field {
        Field {
            name,
            form,
            required: true,
            meaning,
        }
    }

    /// A field that a service may have.
    pub const fn optional(name: &'static str, form: Form, meaning: &'static str) -> Field {
        Field {
            required: false,
            ..Field::required(name, form, meaning)
        }
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text but an empty one.
    Text,
    /// An absolute http(s) address.
    Url,
    /// `90s`, `5m`, `1h30m`, or a number of seconds.
    Duration,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A whole number in this range.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// A list of texts, a secret each.
    SecretList,
    /// A text that is never shown.
    Secret,
    /// The path of a file.
    Path,
    /// An object of texts.
    Labels,
    /// An object whose values are a text, `{"env": "VARIABLE"}` or `{"file": "/path"}`.
    Headers,
}

/// The fields of one service while they are being read.
pub struct Fields<'a> {
    file: &'a str,
    key: &'a str,
    given: &'a Given,
    values: SortedMap<String, Value>,
    /// The variables that values came from, by field.
    origins: SortedMap<String, String>,
    reach: Reach,
    /// Of everything that the service is made of: a reload keeps a service for which it is the same.
    fingerprint: DefaultHasher,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<String>,
}

/// Which variables may stand in for the fields of a service: each describes one service only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// None: there are several services of its type.
    Nothing,
    /// Those whose name tells the type: it is the only service of it.
    OwnNames,
    /// Those with a name that any program could use, too: it is the only service.
    AnyName,
}

impl<'a> Fields<'a> {
    /// `values` are the fields of service `key` in `file`. Variables may stand in for them as far as `reach` says.
    pub fn new(
        file: &'a str,
        key: &'a str,
        given: &'a Given,
        values: SortedMap<String, Value>,
        reach: Reach,
        problems: &'a mut Vec<Problem>,
        warnings: &'a mut Vec<String>,
    ) -> Fields<'a> {
        let origins = SortedMap::new();
        let mut fingerprint = DefaultHasher::new();
        for (name, value) in values.iter() {
            // What begins like this is a comment.
            if !name.starts_with('_') {
                (name, value.to_string()).hash(&mut fingerprint);
            }
        }
        Fields {
            file,
            key,
            given,
            values,
            origins,
            reach,
            fingerprint,
            problems,
            warnings,
        }
    }

    /// Notes a problem with a field, or with the variable that stands in for it.
    pub fn problem(&mut self, field: &str, what: &str) {
        let sentence = match self.origins.get(field) {
            Some(variable) => format!("{variable}: {what}"),
            None => format!(
                "{}: service {}, field \"{field}\": {what}",
                self.file,
                shown(self.key)
            ),
        };
        self.problems.push(Problem::new(sentence));
    }

    /// Notes a problem with the service as a whole.
    pub fn service_problem(&mut self, what: &str) {
        let sentence = format!("{}: service {}: {what}", self.file, shown(self.key));
        self.problems.push(Problem::new(sentence));
    }

    /// Notes a problem that is none of a field, such as a variable that is unknown.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes what a person should know although it is no error.
    pub fn warn(&mut self, sentence: String) {
        self.warnings.push(sentence);
    }

    /// Forgets an empty text, so that the field counts as not given.
    pub fn drop_empty(&mut self, field: &str) {
        if self.values.get(field).is_some_and(|value| value == "") {
            self.values.remove(field);
        }
    }

    /// Lets a variable stand in for a field that is not there.
    pub fn or_variable(&mut self, field: &str, variable: &str) {
        if self.reach != Reach::Nothing
            && !self.is_given(field)
            && let Some(text) = self.given.variable(variable)
        {
            (field, text).hash(&mut self.fingerprint);
            self.values.insert(field.to_owned(), Value::from(text));
            self.origins.insert(field.to_owned(), variable.to_owned());
        }
    }

    /// Like [`Fields::or_variable`], for a variable whose name tells nothing of the type: it counts for the only
    /// service, and beside others it is ignored with a warning.
    pub fn or_shared_variable(&mut self, field: &str, variable: &str) {
        match self.reach {
            Reach::AnyName => self.or_variable(field, variable),
            _ if self.given.variable(variable).is_some() => {
                let place = format!("{}: service {}", self.file, shown(self.key));
                self.warnings.push(format!(
                    "{variable} is ignored beside other services; {place} takes \"{field}\""
                ));
            }
            _ => {}
        }
    }

    /// The variables, for a source that knows them in a form of its own; none when they may not be used.
    pub fn variables(&mut self) -> Option<&'a Given> {
        // They cannot change while the process runs, only whether they count.
        self.reach.hash(&mut self.fingerprint);
        (self.reach != Reach::Nothing).then_some(self.given)
    }

    /// The variables that values came from, by field; to be taken once all fields are read.
    pub(super) fn take_origins(&mut self) -> SortedMap<String, String> {
        std::mem::take(&mut self.origins)
    }

    /// Whether a field is there, by itself or by a variable.
    pub fn is_given(&self, field: &str) -> bool {
        match field.split_once('.') {
            _ if self.values.contains_key(field) => true,
            Some((object, name)) => self
                .values
                .get(object)
                .is_some_and(|object| object.get(name).is_some()),
            None => false,
        }
    }

    /// Takes the value of a field out; of `a.b`, field `b` of the object `a`.
    fn take(&mut self, field: &str) -> Option<Value> {
        if let Some(value) = self.values.remove(field) {
            return Some(value);
        }
        let (object, name) = field.split_once('.')?;
        self.values.get_mut(object)?.as_object_mut()?.remove(name)
    }

    /// A whole number in a range. One out of a variable is a text, with or without spaces around it.
    pub fn integer(&mut self, field: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(field)?;
        let number = match &value {
            Value::String(text) if self.origins.contains_key(field) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.problem(
                field,
                &format!(
                    "{} is no whole number from {least} to {most}",
                    shown_json(&value)
                ),
            );
        }
        number
    }

    /// Narrows a field of every service to whole seconds in a range, before it is read as what it is.
    pub fn narrow_to_seconds(&mut self, field: &str, range: std::ops::RangeInclusive<i64>) {
        if let Some(seconds) = self.integer(field, range) {
            self.values.insert(field.to_owned(), seconds.into());
        }
    }

    /// A truth value. One out of a variable is a word that `parse` knows.
    pub fn boolean(&mut self, field: &str, parse: impl Fn(&str) -> Option<bool>) -> Option<bool> {
        let value = self.take(field)?;
        let truth = match &value {
            Value::String(text) if self.origins.contains_key(field) => parse(text.trim()),
            other => other.as_bool(),
        };
        if truth.is_none() {
            self.problem(
                field,
                &format!("{} is neither true nor false", shown_json(&value)),
            );
        }
        truth
    }

    /// A secret given by `field` as it is, or by `field_file` in a file; both are an error, neither is none.
    pub fn secret(&mut self, field: &str, field_file: &str) -> Option<Secret> {
        if self.is_given(field) && self.is_given(field_file) {
            self.problem(
                field,
                &format!("is given, and \"{field_file}\" too; keep one"),
            );
        }
        let path = self.path(field_file);
        let of_file = path.and_then(|path| {
            Secret::file(path)
                .map_err(|cause| self.problem(field_file, &cause.to_string()))
                .ok()
        });
        let literal = match self.take(field) {
            None => None,
            Some(Value::String(text)) if !text.trim().is_empty() => Some(Secret::literal(text)),
            // The value is not shown.
            Some(_) => {
                self.problem(field, "is empty or no text (not shown)");
                None
            }
        };
        of_file.or(literal)
    }

    /// A list of secrets.
    pub fn secret_list(&mut self, field: &str) -> Option<Vec<Secret>> {
        let texts = match self.take(field)? {
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(Secret::literal))
                .collect(),
            Value::String(text) => Some(text.split_whitespace().map(Secret::literal).collect()),
            _ => None,
        };
        if texts.is_none() {
            self.problem(field, "is no list of texts (not shown)");
        }
        texts
    }

    /// A text. An empty one is an error.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) if text.trim().is_empty() => {
                self.problem(field, "is empty; give it a text or leave it out");
                None
            }
            Value::String(text) => Some(text),
            other => self.wrong(field, &other, "a text"),
        }
    }

    /// The path of a file; see [`Given::path`].
    pub fn path(&mut self, field: &str) -> Option<String> {
        self.text(field).map(|text| self.given.path(&text))
    }

    /// A text that must be there.
    pub fn required_text(&mut self, field: &str) -> Option<String> {
        if !self.is_given(field) {
            self.problem(field, "is missing");
            return None;
        }
        self.text(field)
    }

    /// An absolute http(s) address that must be there.
    pub fn required_url(&mut self, field: &str) -> Option<Url> {
        if !self.is_given(field) {
            self.problem(field, "is missing");
            return None;
        }
        self.url(field)
    }

    /// An absolute http(s) address.
    pub fn url(&mut self, field: &str) -> Option<Url> {
        let text = self.text(field)?;
        match Url::parse(&text) {
            Ok(url) => Some(url),
            Err(bad) => {
                // A password in the address or a key in its query is not repeated.
                let address = text.split(['?', '#']).next().unwrap_or_default();
                let value = match bad {
                    BadUrl::UserInfo => "the address".to_owned(),
                    _ => shown_value(address),
                };
                let is_shown = value.starts_with('"');
                let remedy = match bad {
                    BadUrl::NoScheme if is_shown => {
                        format!("; write {:?}", format!("https://{address}"))
                    }
                    BadUrl::UserInfo => "; give credentials with \"headers\"".to_owned(),
                    _ => "; write it like \"https://status.example.com\"".to_owned(),
                };
                self.problem(field, &format!("{value} {bad}{remedy}"));
                None
            }
        }
    }

    /// One of `words`.
    pub fn word(&mut self, field: &str, words: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text(field)?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let hint = did_you_mean(&text, words.iter().copied());
            self.problem(
                field,
                &format!(
                    "{} is none of {}{hint}",
                    shown_value(&text),
                    words.join(", ")
                ),
            );
        }
        found
    }

    /// A duration between `least` and `most`.
    pub fn duration(&mut self, field: &str, least: Duration, most: Duration) -> Option<Duration> {
        let value = self.take(field)?;
        let parsed = match &value {
            Value::String(text) => parse_duration(text),
            Value::Number(seconds) => seconds
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            _ => None,
        };
        match parsed {
            Some(duration) if (least..=most).contains(&duration) => Some(duration),
            Some(_) => {
                self.problem(
                    field,
                    &format!(
                        "{} is not between {least:?} and {most:?}",
                        shown_json(&value)
                    ),
                );
                None
            }
            None => self.wrong(
                field,
                &value,
                "a duration such as \"90s\", \"5m\" or a number of seconds",
            ),
        }
    }

    /// An object of texts.
    pub fn texts(&mut self, field: &str) -> SortedMap<String, String> {
        let mut texts = SortedMap::new();
        for (name, value) in self.object(field) {
            match value {
                Value::String(text) => drop(texts.insert(name, text)),
                other => drop(self.wrong::<()>(&format!("{field}.{name}"), &other, "a text")),
            }
        }
        texts
    }

    /// An object of secrets.
    pub fn secrets(&mut self, field: &str) -> Vec<(String, Secret)> {
        let mut secrets = Vec::new();
        for (name, value) in self.secret_object(field) {
            let place = format!("{field}.{}", shown_name(&name).trim_matches('"'));
            let variable = value.get("env").and_then(Value::as_str).map(str::to_owned);
            if let Some(secret) = self.secret_value(&place, value) {
                if let Some(variable) = variable {
                    self.origins.insert(format!("{field}.{name}"), variable);
                }
                secrets.push((name, secret));
            }
        }
        secrets
    }

    /// Reads the bytes of the file that a field names.
    pub fn file_content(&mut self, field: &str) -> Option<Vec<u8>> {
        let path = self.path(field)?;
        match std::fs::read(&path) {
            Ok(content) => {
                content.hash(&mut self.fingerprint);
                Some(content)
            }
            Err(cause) => {
                self.problem(
                    field,
                    &format!("file {} cannot be read: {cause}", shown_path(&path)),
                );
                None
            }
        }
    }

    /// Whatever is left is unknown: an error each, with the nearest of `known`. Gives what the fields were, hashed;
    /// of a file, only one whose content is not read again at each use.
    pub fn finish(mut self, known: &[&str]) -> DefaultHasher {
        let mut left = Vec::new();
        for (name, value) in std::mem::take(&mut self.values) {
            let inner = known.iter().any(|known| {
                known
                    .split_once('.')
                    .is_some_and(|(object, _)| object == name)
            });
            match value {
                Value::Object(entries) if inner => left.extend(
                    entries
                        .into_iter()
                        .map(|(field, _)| format!("{name}.{field}")),
                ),
                _ => left.push(name),
            }
        }
        for name in left.into_iter().filter(|name| !name.starts_with('_')) {
            let hint = did_you_mean(&name, known.iter().copied());
            self.problem(
                &name,
                &format!("is unknown{hint}; known are {}", known.join(", ")),
            );
        }
        self.fingerprint
    }

    fn object(&mut self, field: &str) -> serde_json::Map<String, Value> {
        match self.take(field) {
            None => serde_json::Map::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                let _: Option<()> = self.wrong(field, &other, "an object");
                serde_json::Map::new()
            }
        }
    }

    /// An object whose values are secrets: what stands there instead of it is not shown.
    fn secret_object(&mut self, field: &str) -> serde_json::Map<String, Value> {
        match self.take(field) {
            None => serde_json::Map::new(),
            Some(Value::Object(entries)) => entries,
            Some(_) => {
                self.problem(field, "is no object (not shown)");
                serde_json::Map::new()
            }
        }
    }

    fn secret_value(&mut self, field: &str, value: Value) -> Option<Secret> {
        let source = match &value {
            Value::String(text) => return Some(Secret::literal(text)),
            Value::Object(entries) if entries.len() == 1 => entries.iter().next(),
            _ => None,
        };
        match source {
            Some((place, Value::String(name))) if place == "env" => match self.given.variable(name)
            {
                Some(text) => Some(Secret::literal(text)),
                None => {
                    let name = shown_variable(name);
                    self.problem(field, &format!("variable {name} is not set"));
                    None
                }
            },
            Some((place, Value::String(path))) if place == "file" => {
                Secret::file(self.given.path(path))
                    .map_err(|cause| self.problem(field, &cause.to_string()))
                    .ok()
            }
            _ => {
                // The value is not shown: it may be meant as a secret.
                self.problem(
                    field,
                    "is neither a text nor {\"env\": \"VARIABLE\"} nor {\"file\": \"/path\"}",
                );
                None
            }
        }
    }

    fn wrong<T>(&mut self, field: &str, value: &Value, expected: &str) -> Option<T> {
        self.problem(field, &format!("{} is not {expected}", shown_json(value)));
        None
    }
}

/// The name of a variable, unless it is none and so could be the secret itself.
fn shown_variable(name: &str) -> &str {
    let is_name =
        |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_';
    match name.bytes().all(is_name) {
        true => name,
        false => "(not shown: names of variables are capital letters, digits and _)",
    }
}

/// A wrong value as an error shows it: a text quoted, a number or word as it is, a list or object by its kind.
fn shown_json(value: &Value) -> String {
    match value {
        Value::String(text) => shown_value(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// `500ms`, `90s`, `1.5s`, `1h30m`: a unit is needed.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    // The parser also knows other notations; all that we promise begin with a digit.
    text.starts_with(|first: char| first.is_ascii_digit())
        .then_some(())?;
    Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(
            parse_duration(text),
            expected_ms.map(Duration::from_millis),
            "{text:?}"
        );
    }

    #[test]
    fn durations_need_a_unit_and_may_be_added_up() {
        check("500ms", Some(500));
        check("1.5s", Some(1_500));
        check("1m30s", Some(90_000));
        check("2h", Some(7_200_000));
        check("0s", Some(0));
        check("5", None);
        check("-1s", None);
        check("", None);
        check("5 parsecs", None);
    }
}
