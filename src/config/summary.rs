//! What `--config.check` prints: what would run, what of it comes from where, and what a person should know.
//!
//! A secret is never shown: only that it is set, and the file or variable that it comes from. The start of
//! the program prints it.

use std::time::Duration;

use super::settings::{self, Given, SETTINGS};
use super::{Config, Listen, Mode, Secret, Service, shown, shown_path, shown_value};
use crate::sources::SOURCES;

/// Widest column of keys; a longer key moves only its own line.
const KEY_CHARS: usize = 24;
/// Width of `every 1m 30s, timeout 15s`; a longer one moves only its own line.
const PACE_CHARS: usize = 25;
/// Width of the names of what the process does.
const PROCESS_CHARS: usize = 8;

impl Config {
    /// What would run, for `--config.check`.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let count = self.services.len();
        let plural = if count == 1 { "" } else { "s" };
        put(
            &mut text,
            &[
                &self.services_file,
                ": ",
                &count.to_string(),
                " service",
                plural,
            ],
        );
        let longest = self.services.iter().map(|service| service.key.len()).max();
        let keys = longest.unwrap_or(0).min(KEY_CHARS);
        for kind in SOURCES {
            let mut is_headed = false;
            for service in &self.services {
                if service.kind.name == kind.name {
                    if !is_headed {
                        put(&mut text, &["\n", kind.name]);
                    }
                    is_headed = true;
                    add_service(&mut text, service, keys);
                }
            }
        }
        text.push_str(&self.elsewhere_summary());
        self.add_process(&mut text);
        put(&mut text, &["\nsettings that are given"]);
        let given = given_settings(&self.inputs);
        text.push_str(if given.is_empty() {
            "  none
"
        } else {
            &given
        });
        put(&mut text, &["\nwarnings"]);
        for warning in &self.warnings {
            put(&mut text, &["  ", warning]);
        }
        if self.warnings.is_empty() {
            put(&mut text, &["  none"]);
        }
        text
    }

    fn add_process(&self, text: &mut String) {
        put(text, &["\nprocess"]);
        let run = match self.intended {
            Mode::Once => ["polls once, writes ", &self.textfile.to_string_lossy()].concat(),
            _ => {
                let places: Vec<String> = self.listen.iter().map(place).collect();
                ["polls and serves at ", &places.join(", ")].concat()
            }
        };
        add_row(text, "run", &run);
        let requests = ["at most ", &self.concurrency.to_string(), " at once"].concat();
        add_row(text, "requests", &requests);
        let cleared = if self.clear_cache {
            ", emptied first"
        } else {
            ""
        };
        let cache = [&self.cache_dir.to_string_lossy(), cleared].concat();
        add_row(text, "cache", &cache);
        let slack = match &self.slack_webhook {
            Some(secret) => origin(secret, Some(settings::SLACK_WEBHOOK.variable)),
            None => "not told".to_owned(),
        };
        add_row(text, "Slack", &slack);
        let format = if self.log.json {
            " as JSON"
        } else {
            " as text"
        };
        let log = [&self.log.level.as_str().to_ascii_lowercase(), format].concat();
        add_row(text, "log", &log);
    }
}

/// Every setting that was given, as it was given, a line each. The check itself is none of what would run.
fn given_settings(given: &Given) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let lower = setting.variable.to_ascii_lowercase();
        let (name, value) = match given.get(setting) {
            _ if setting.variable == settings::CONFIG_CHECK.variable => continue,
            Some(value) => (value.name, value.text),
            // Other programs take the variables of proxies in lower case, and so do we.
            None if lower.ends_with("_proxy") => match given.variable(&lower) {
                Some(value) => (lower, value),
                None => continue,
            },
            None => continue,
        };
        let value = match value {
            _ if is_secret(setting.variable) => "(not shown)".to_owned(),
            path if path.contains('/') => shown_path(path),
            text => shown_value(text),
        };
        put(&mut text, &["  ", &name, "=", value.trim_matches('"')]);
    }
    text
}

/// The webhook is one; the address of a proxy may hold a password.
fn is_secret(variable: &str) -> bool {
    variable == settings::SLACK_WEBHOOK.variable
        || (variable.ends_with("_PROXY") && variable != settings::NO_PROXY.variable)
}

/// One line with address and pace, and one for whatever else is set, with the place it comes from.
fn add_service(text: &mut String, service: &Service, keys: usize) {
    let (interval, timeout) = (words(service.interval), words(service.upstream.timeout));
    let pace = ["every ", &interval, ", timeout ", &timeout].concat();
    let about = service.settings.about();
    let key = padded(shown(&service.key).trim_matches('"'), keys);
    put(
        text,
        &["  ", &key, "  ", &padded(&pace, PACE_CHARS), "  ", &about],
    );
    let indent = padded("", keys + 4);
    if service.upstream.ca.is_some() {
        put(text, &[&indent, "own certificate authorities"]);
    }
    let variable = |field: &str| service.origins.get(field).map(String::as_str);
    let secrets = service.settings.secrets();
    for (field, secret) in &secrets {
        let origin = origin(secret, variable(field));
        put(text, &[&indent, field, " ", &origin]);
    }
    for (name, secret) in &service.upstream.headers {
        let origin = origin(secret, variable(&["headers.", name].concat()));
        put(text, &[&indent, "header ", name, " ", &origin]);
    }
    for (name, value) in &service.labels {
        put(text, &[&indent, "label ", name, "=", &shown(value)]);
    }
    for (field, variable) in &service.origins {
        let is_told =
            field.starts_with("headers.") || secrets.iter().any(|(name, _)| name == field);
        if !is_told {
            put(text, &[&indent, field, " from ", variable]);
        }
    }
}

/// That a secret is set, and where it comes from: a file, a variable, or the place of the field itself.
fn origin(secret: &Secret, variable: Option<&str>) -> String {
    match (secret.path(), variable) {
        (Some(path), _) => ["set (from file ", &path.to_string_lossy(), ")"].concat(),
        (None, Some(variable)) => ["set (from ", variable, ")"].concat(),
        (None, None) => "set (in the list of services)".to_owned(),
    }
}

fn place(listen: &Listen) -> String {
    match listen {
        Listen::Everywhere(0) => "any free port of all addresses".to_owned(),
        Listen::Everywhere(port) => ["port ", &port.to_string(), " of all addresses"].concat(),
        Listen::At(address) => address.to_string(),
    }
}

/// `20m`, `1m 30s`, `500ms`.
fn words(duration: Duration) -> String {
    let duration = jiff::SignedDuration::try_from(duration).unwrap_or_default();
    format!("{duration:#}")
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:width$}")
}

fn add_row(text: &mut String, name: &str, value: &str) {
    put(text, &["  ", &padded(name, PROCESS_CHARS), "  ", value]);
}

/// Adds a line. The linker keeps one copy: most of this module are calls of it.
#[inline(never)]
fn put(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
    text.push('\n');
}
