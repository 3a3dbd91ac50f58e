//! The settings of one account: fields of services.json, and the variables of the exporter that we replace.

use std::time::Duration;

use super::Spacelift;
use super::fields::{
    DETAILS_PAGES_MOST, DEVELOPMENT_VARIABLE, LISTEN_VARIABLE, PARTIAL_VARIABLE, SWITCHES,
    VARIABLES,
};
use super::notation::{go_duration, go_truth};
use super::question::Collector;
use super::session::Key;
use crate::config::settings::Given;
use crate::config::{Fields, Listen, Problem, Secret, parse_listen, shown_value};
use crate::fetch::{Roots, Url};
use crate::model::StaticLabels;
use crate::sorted::SortedSet;
use crate::sources::{Defaults, Parts, Source, SourceSettings, Usual, WantedLog};

/// Where the exporter that we replace listens when nothing else is said (contract, section 2).
const OWN_PORT: u16 = 9953;
/// Time between two polls (contract, section 2).
const INTERVAL: Duration = Duration::from_secs(60);
/// The shortest one that `poll_interval` takes (contract, section 2).
const INTERVAL_LEAST: Duration = Duration::from_secs(10);
/// Limit of one request (contract, section 2).
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest limit of one request: beyond it a poll would only hang.
const TIMEOUT_MOST: Duration = Duration::from_secs(3_600);
/// Time between two readings of the details (contract, section 2).
const DETAILS_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// The shortest one (contract, section 2).
const DETAILS_INTERVAL_LEAST: Duration = Duration::from_secs(60);
/// The longest interval of any kind: a year.
const INTERVAL_MOST: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Most pages of a list (contract, section 2): 20,000 stacks.
const DETAILS_PAGES: u32 = 400;
/// What is appended to the address of an account.
const GRAPHQL_PATH: &str = "/graphql";

/// What the label `space` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpaceLabel {
    Name,
    Id,
}

impl SpaceLabel {
    pub(super) const WORDS: [&'static str; 2] = ["name", "id"];
}

/// The checked settings of one account.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Ends in `/graphql`.
    pub(super) url: Url,
    pub(super) key: Key,
    pub(super) collectors: SortedSet<Collector>,
    pub(super) details_interval: Duration,
    pub(super) details_max_pages: u32,
    pub(super) space_label: SpaceLabel,
    interval: Duration,
    timeout: Duration,
    ca: Option<Roots>,
    is_development: bool,
    /// What the original was told about partial scrapes; ours are always partial.
    wants_partial_scrapes: bool,
}

/// Whether the environment holds an account or a part of one.
pub(super) fn is_in_environment(given: &Given) -> bool {
    let account = VARIABLES.iter().take(4);
    account
        .into_iter()
        .any(|(_, variable)| given.variable(variable).is_some())
}

/// Where the original would listen: as it is told, else at its port if the environment describes its account.
pub(super) fn own_listen(given: &Given) -> Result<Option<Listen>, Problem> {
    match given.variable(LISTEN_VARIABLE) {
        Some(address) => parse_listen(address)
            .map(Some)
            .map_err(|what| Problem::new(format!("{LISTEN_VARIABLE}: {what}"))),
        None => Ok(is_in_environment(given).then_some(Listen::Everywhere(OWN_PORT))),
    }
}

/// Lets the original's variables stand in for fields.
pub(super) fn stand_ins(fields: &mut Fields<'_>) {
    for (field, variable) in VARIABLES {
        fields.or_variable(field, variable);
    }
}

impl Settings {
    pub(super) fn configure(
        fields: &mut Fields<'_>,
        _: &Defaults,
    ) -> Option<Box<dyn SourceSettings>> {
        Some(Box::new(Settings::read(fields)?))
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Settings> {
        let url = read_endpoint(fields);
        let key = read_key(fields);
        Some(Settings {
            timeout: read_timeout(fields),
            ca: read_ca(fields),
            interval: fields
                .duration("poll_interval", INTERVAL_LEAST, INTERVAL_MOST)
                .unwrap_or(INTERVAL),
            collectors: read_collectors(fields),
            details_interval: fields
                .duration("details_interval", DETAILS_INTERVAL_LEAST, INTERVAL_MOST)
                .unwrap_or(DETAILS_INTERVAL),
            details_max_pages: fields
                .integer("details_max_pages", 1..=DETAILS_PAGES_MOST)
                .and_then(|pages| u32::try_from(pages).ok())
                .unwrap_or(DETAILS_PAGES),
            space_label: match fields.word("space_label", &SpaceLabel::WORDS) {
                Some("id") => SpaceLabel::Id,
                _ => SpaceLabel::Name,
            },
            is_development: read_switch(fields, "is_development", DEVELOPMENT_VARIABLE, false),
            wants_partial_scrapes: read_switch(fields, "partial_scrapes", PARTIAL_VARIABLE, true),
            url: url?,
            key: key?,
        })
    }
}

fn read_endpoint(fields: &mut Fields<'_>) -> Option<Url> {
    require(fields, "api_endpoint");
    let url = fields
        .is_given("api_endpoint")
        .then(|| fields.required_url("api_endpoint"))??;
    if url.has_query() {
        fields.problem(
            "api_endpoint",
            "has a query; write it like \"https://acme.app.spacelift.io\"",
        );
        return None;
    }
    let account = url.to_string();
    let account = account.trim_end_matches('/');
    let account = account.strip_suffix(GRAPHQL_PATH).unwrap_or(account);
    Url::parse(&format!("{}{GRAPHQL_PATH}", account.trim_end_matches('/')))
        .map_err(|bad| fields.problem("api_endpoint", &bad.to_string()))
        .ok()
}

fn read_key(fields: &mut Fields<'_>) -> Option<Key> {
    require(fields, "api_key_id");
    let id = fields.text("api_key_id").map(Secret::literal);
    if !fields.is_given("api_key_secret") && !fields.is_given("api_key_secret_file") {
        let variables = "SPACELIFT_PROMEX_API_KEY_SECRET or SPACELIFT_PROMEX_API_KEY_SECRET_FILE";
        fields.problem(
            "api_key_secret",
            &format!("is missing, and \"api_key_secret_file\" too; give one of them, here or by {variables}"),
        );
    }
    let secret = fields.secret("api_key_secret", "api_key_secret_file");
    Some(Key {
        id: id?,
        secret: secret?,
    })
}

/// Notes what is missing, with the variable that could stand in for it.
fn require(fields: &mut Fields<'_>, field: &str) {
    let variable = VARIABLES.iter().find(|(name, _)| *name == field);
    if let (false, Some((_, variable))) = (fields.is_given(field), variable) {
        let rule = "variables describe one service of a type only";
        fields.problem(
            field,
            &format!("is missing; give it here, or by {variable} ({rule})"),
        );
    }
}

fn read_timeout(fields: &mut Fields<'_>) -> Duration {
    const FIELD: &str = "scrape_timeout";
    let Some(text) = fields.text(FIELD) else {
        return TIMEOUT;
    };
    match go_duration(&text) {
        Some(timeout) if !timeout.is_zero() && timeout <= TIMEOUT_MOST => timeout,
        Some(_) => {
            let what = format!(
                "{} is not between 1ns and {TIMEOUT_MOST:?}",
                shown_value(&text)
            );
            fields.problem(FIELD, &what);
            TIMEOUT
        }
        None => {
            let what = format!(
                "{} is no duration above zero such as \"5s\" or \"1m30s\"",
                shown_value(&text)
            );
            fields.problem(FIELD, &what);
            TIMEOUT
        }
    }
}

fn read_ca(fields: &mut Fields<'_>) -> Option<Roots> {
    let content = fields.file_content("ca_cert_path")?;
    Roots::from_pem(&content)
        .map_err(|what| fields.problem("ca_cert_path", &format!("the file {what}")))
        .ok()
}

fn read_collectors(fields: &mut Fields<'_>) -> SortedSet<Collector> {
    let mut collectors = SortedSet::new();
    for (field, collector) in SWITCHES {
        if fields.boolean(field, go_truth).unwrap_or(true) {
            collectors.insert(collector);
        }
    }
    if collectors.is_empty() {
        fields.problem("collectors", "all four are off; leave at least one on");
    }
    let details = [
        ("stack_details", Collector::Stacks),
        ("resource_details", Collector::Resources),
    ];
    for (field, collector) in details {
        if fields.boolean(field, go_truth).unwrap_or(false) {
            collectors.insert(collector);
        }
    }
    collectors
}

/// A truth value that only the environment may hold: as a field the name is unknown, and reported as such.
fn read_switch(fields: &mut Fields<'_>, name: &str, variable: &str, default: bool) -> bool {
    if fields.is_given(name) {
        return default;
    }
    fields.or_variable(name, variable);
    fields.boolean(name, go_truth).unwrap_or(default)
}

impl SourceSettings for Settings {
    fn name(&self) -> &str {
        self.url.host()
    }

    fn address(&self) -> String {
        self.url.to_string()
    }

    /// Nearly all series are without labels, so those of the service must tell two accounts apart.
    fn identity(&self, labels: &StaticLabels) -> (&'static str, String) {
        // To Prometheus an empty label is none.
        let telling = labels.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = telling
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        ("labels", pairs.join(","))
    }

    fn about(&self) -> String {
        let names: Vec<&str> = self
            .collectors
            .iter()
            .map(|collector| collector.name())
            .collect();
        format!("at {}, {}", self.url, names.join(" "))
    }

    fn usual(&self) -> Usual {
        Usual {
            interval: Some(self.interval),
            timeout: Some(self.timeout),
            ca: self.ca.clone(),
            ..Usual::default()
        }
    }

    fn wanted_log(&self) -> WantedLog {
        WantedLog {
            level: self.is_development.then_some(log::LevelFilter::Debug),
            json: None,
        }
    }

    fn build(&self, parts: Parts) -> Box<dyn Source> {
        if !self.wants_partial_scrapes {
            log::info!(service = parts.key, variable = PARTIAL_VARIABLE; "partial mode is always on: a failed collector never hides the others");
        }
        Box::new(Spacelift::new(self.clone(), parts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::ENDPOINT_VARIABLE;
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Given {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Given::read([], variables, &mut Vec::new()).1
    }

    #[test]
    fn the_original_listens_where_it_is_told_and_else_at_its_port() {
        let account = (ENDPOINT_VARIABLE, "https://acme.example");
        let check = |variables: &[(&str, &str)], expected: Option<Listen>| {
            assert_eq!(own_listen(&given(variables)).expect("valid"), expected);
        };
        check(&[], None);
        check(&[account], Some(Listen::Everywhere(9953)));
        check(
            &[account, (LISTEN_VARIABLE, ":8000")],
            Some(Listen::Everywhere(8000)),
        );
        check(&[(LISTEN_VARIABLE, ":0")], Some(Listen::Everywhere(0)));
        let wrong = own_listen(&given(&[(LISTEN_VARIABLE, "9953")])).expect_err("no address");
        assert!(wrong.to_string().starts_with(LISTEN_VARIABLE), "{wrong}");
    }

    #[test]
    fn any_part_of_an_account_in_the_environment_is_one_and_other_variables_are_not() {
        assert!(is_in_environment(&given(&[(
            "SPACELIFT_PROMEX_API_KEY_ID",
            "01KEY"
        )])));
        assert!(!is_in_environment(&given(&[(
            "SPACELIFT_PROMEX_SCRAPE_TIMEOUT",
            "5s"
        )])));
        assert!(
            !is_in_environment(&given(&[(ENDPOINT_VARIABLE, "")])),
            "empty is unset"
        );
    }
}
