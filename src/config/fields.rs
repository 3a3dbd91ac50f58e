//! The fields of one service in services.json: read by name and type, every mistake collected, none lost.
//!
//! Sources read their own fields through it; [`super::services`] reads the fields that every service may have.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::problem::{Problem, did_you_mean, shown};
use super::secret::Secret;
use super::settings::Given;
use crate::fetch::{BadUrl, Url};

/// One field of a service: a row of the documentation and of the schema.
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
    values: BTreeMap<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// `values` are the fields of service `key` in `file`.
    pub fn new(
        file: &'a str,
        key: &'a str,
        given: &'a Given,
        values: BTreeMap<String, Value>,
        problems: &'a mut Vec<Problem>,
    ) -> Fields<'a> {
        Fields {
            file,
            key,
            given,
            values,
            problems,
        }
    }

    /// Notes a problem with a field.
    pub fn problem(&mut self, field: &str, what: &str) {
        let sentence = format!(
            "{}: service {}, field \"{field}\": {what}",
            self.file,
            shown(self.key)
        );
        self.problems.push(Problem::new(sentence));
    }

    /// A text. An empty one is an error.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.values.remove(field)? {
            Value::String(text) if text.trim().is_empty() => {
                self.problem(field, "is empty; give it a text or leave it out");
                None
            }
            Value::String(text) => Some(text),
            other => self.wrong(field, &other, "a text"),
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, field: &str) -> Option<String> {
        if !self.values.contains_key(field) {
            self.problem(field, "is missing");
            return None;
        }
        self.text(field)
    }

    /// An absolute http(s) address that must be there.
    pub fn required_url(&mut self, field: &str) -> Option<Url> {
        let text = self.required_text(field)?;
        match Url::parse(&text) {
            Ok(url) => Some(url),
            Err(bad) => {
                let remedy = match bad {
                    BadUrl::NoScheme => format!("; write {:?}", format!("https://{text}")),
                    BadUrl::UserInfo => "; give credentials with \"headers\"".to_owned(),
                    _ => "; write it like \"https://status.example.com\"".to_owned(),
                };
                // A password in the address is not repeated.
                let value = if bad == BadUrl::UserInfo {
                    "the address".to_owned()
                } else {
                    shown(&text)
                };
                self.problem(field, &format!("{value} {bad}{remedy}"));
                None
            }
        }
    }

    /// One of `words`, without regard to case.
    pub fn word(&mut self, field: &str, words: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text(field)?;
        let found = words
            .iter()
            .find(|word| word.eq_ignore_ascii_case(&text))
            .copied();
        if found.is_none() {
            let hint = did_you_mean(&text, words.iter().copied());
            self.problem(
                field,
                &format!("{} is none of {}{hint}", shown(&text), words.join(", ")),
            );
        }
        found
    }

    /// A duration between `least` and `most`.
    pub fn duration(&mut self, field: &str, least: Duration, most: Duration) -> Option<Duration> {
        let value = self.values.remove(field)?;
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
                    &format!("{value} is not between {least:?} and {most:?}"),
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
    pub fn texts(&mut self, field: &str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
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
        for (name, value) in self.object(field) {
            if let Some(secret) = self.secret_value(&format!("{field}.{name}"), value) {
                secrets.push((name, secret));
            }
        }
        secrets
    }

    /// Reads the bytes of the file that a field names.
    pub fn file_content(&mut self, field: &str) -> Option<Vec<u8>> {
        let path = self.text(field)?;
        match std::fs::read(&path) {
            Ok(content) => Some(content),
            Err(cause) => {
                self.problem(
                    field,
                    &format!("file {} cannot be read: {cause}", shown(&path)),
                );
                None
            }
        }
    }

    /// Whatever is left is unknown: an error each, with the nearest of `known`.
    pub fn finish(mut self, known: &[&str]) {
        for name in std::mem::take(&mut self.values)
            .into_keys()
            .filter(|name| !name.starts_with('_'))
        {
            let hint = did_you_mean(&name, known.iter().copied());
            self.problem(
                &name,
                &format!("is unknown{hint}; known are {}", known.join(", ")),
            );
        }
    }

    fn object(&mut self, field: &str) -> serde_json::Map<String, Value> {
        match self.values.remove(field) {
            None => serde_json::Map::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                let _: Option<()> = self.wrong(field, &other, "an object");
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
                    self.problem(field, &format!("variable {name} is not set"));
                    None
                }
            },
            Some((place, Value::String(path))) if place == "file" => Secret::file(path)
                .map_err(|cause| self.problem(field, &cause.to_string()))
                .ok(),
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

/// A wrong value as an error shows it: a text quoted, a number or word as it is, a list or object by its kind.
fn shown_json(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
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
