//! What `--config.check` prints: what would run, what of it comes from where, and what a person should know.
//!
//! A secret is never shown: only that it is set, and the file or variable that it comes from.

use std::fmt::Write;
use std::time::Duration;

use super::settings::{self, Given, SETTINGS};
use super::{Config, Listen, Mode, Secret, Service, shown, shown_path, shown_value};
use crate::sources::SOURCES;

/// Widest column; a longer key moves only its own line.
const COLUMN_CHARS: usize = 24;

impl Config {
    /// What would run, for `--config.check`.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let plural = if self.services.len() == 1 { "" } else { "s" };
        let (file, count) = (&self.services_file, self.services.len());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{file}: {count} service{plural}");
        for kind in SOURCES {
            let is_of_kind = |service: &&Service| service.kind.name == kind.name;
            let services: Vec<&Service> = self.services.iter().filter(is_of_kind).collect();
            if !services.is_empty() {
                let _ = writeln!(text, "\n{}", kind.name);
                add_services(&mut text, &services);
            }
        }
        text.push_str("\nprocess\n");
        add_lines(&mut text, &self.process());
        text.push_str("\nsettings that are given\n");
        add_lines(&mut text, &self.given);
        text.push_str("\nwarnings\n");
        for warning in &self.warnings {
            let _ = writeln!(text, "  {warning}");
        }
        if self.warnings.is_empty() {
            text.push_str("  none\n");
        }
        text
    }

    fn process(&self) -> Vec<(String, String)> {
        let places: Vec<String> = self.listen.iter().map(place).collect();
        let run = match self.intended {
            Mode::Once => format!("polls once, writes {}", self.textfile.display()),
            _ => format!("polls and serves at {}", places.join(", ")),
        };
        let webhook = self.slack_webhook.as_ref();
        let webhook = webhook.map(|secret| origin(secret, Some(settings::SLACK_WEBHOOK.variable)));
        let cleared = if self.clear_cache {
            ", emptied first"
        } else {
            ""
        };
        let format = if self.log.json { "JSON" } else { "text" };
        let lines = [
            ("run", run),
            ("requests", format!("at most {} at once", self.concurrency)),
            ("cache", format!("{}{cleared}", self.cache_dir.display())),
            ("Slack", webhook.unwrap_or_else(|| "not told".to_owned())),
            (
                "log",
                format!("{} as {format}", self.log.level).to_lowercase(),
            ),
        ];
        lines.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Every setting that was given, as it was given: name and value. The check itself is none of what would run.
pub(super) fn given_settings(given: &Given) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let is_of_run = |variable| variable != settings::CONFIG_CHECK.variable;
    for setting in SETTINGS
        .iter()
        .filter(|setting| is_of_run(setting.variable))
    {
        let lower = setting.variable.to_ascii_lowercase();
        if let Some(value) = given.get(setting) {
            let shown = match is_secret(setting.variable) {
                true => "set (not shown)".to_owned(),
                false => shown_text(value.text),
            };
            lines.push((value.name, shown));
        } else if setting.variable.ends_with("_PROXY") && given.variable(&lower).is_some() {
            lines.push((lower, "set (not shown)".to_owned()));
        }
    }
    lines
}

/// The webhook is one; the address of a proxy may hold a password.
fn is_secret(variable: &str) -> bool {
    variable == settings::SLACK_WEBHOOK.variable
        || (variable.ends_with("_PROXY") && variable != settings::NO_PROXY.variable)
}

fn shown_text(text: &str) -> String {
    match text.contains('/') {
        true => shown_path(text),
        false => shown_value(text).trim_matches('"').to_owned(),
    }
}

fn add_services(text: &mut String, services: &[&Service]) {
    let rows = services.iter().map(|service| {
        let (interval, timeout) = (words(service.interval), words(service.upstream.timeout));
        let pace = format!("every {interval}, timeout {timeout}");
        (service.key.escape_debug().to_string(), pace)
    });
    let rows: Vec<(String, String)> = rows.collect();
    let (keys, paces) = (width(&rows, |row| &row.0), width(&rows, |row| &row.1));
    for (service, (key, pace)) in services.iter().zip(&rows) {
        let about = service.settings.about();
        let _ = writeln!(text, "  {key:keys$}  {pace:paces$}  {about}");
        for detail in details(service) {
            let _ = writeln!(text, "  {:keys$}  {detail}", "");
        }
    }
}

fn width(rows: &[(String, String)], column: impl Fn(&(String, String)) -> &String) -> usize {
    let widths = rows.iter().map(|row| column(row).chars().count());
    widths
        .filter(|width| *width <= COLUMN_CHARS)
        .max()
        .unwrap_or(0)
}

fn add_lines(text: &mut String, lines: &[(String, String)]) {
    let names = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in lines {
        let _ = writeln!(text, "  {name:names$}  {value}");
    }
    if lines.is_empty() {
        text.push_str("  none\n");
    }
}

/// What is set for a service beside its address and interval, and where that comes from.
fn details(service: &Service) -> Vec<String> {
    let mut details = Vec::new();
    if service.upstream.ca.is_some() {
        details.push("own certificate authorities".to_owned());
    }
    let variable = |field: &str| service.origins.get(field).map(String::as_str);
    let mut secrets = Vec::new();
    for (field, secret) in service.settings.secrets() {
        details.push(format!("{field} {}", origin(secret, variable(field))));
        secrets.push(field.to_owned());
    }
    for (name, secret) in &service.upstream.headers {
        let field = format!("headers.{name}");
        details.push(format!(
            "header {name} {}",
            origin(secret, variable(&field))
        ));
        secrets.push(field);
    }
    for (name, value) in &service.labels {
        details.push(format!("label {name}={}", shown(value)));
    }
    for (field, variable) in &service.origins {
        if !secrets.contains(field) {
            details.push(format!("{field} from {variable}"));
        }
    }
    details
}

/// That a secret is set, and where it comes from: a file, a variable, or the place of the field itself.
fn origin(secret: &Secret, variable: Option<&str>) -> String {
    match (secret.path(), variable) {
        (Some(path), _) => format!("set (from file {})", path.display()),
        (None, Some(variable)) => format!("set (from {variable})"),
        (None, None) => "set (in the list of services)".to_owned(),
    }
}

fn place(listen: &Listen) -> String {
    match listen {
        Listen::Everywhere(0) => "any free port of all addresses".to_owned(),
        Listen::Everywhere(port) => format!("port {port} of all addresses"),
        Listen::At(address) => address.to_string(),
    }
}

/// `20m`, `1m 30s`, `500ms`.
fn words(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| String::new(), |duration| format!("{duration:#}"))
}
