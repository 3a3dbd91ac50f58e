//! The checked settings of a Pantheon service, and the fields and variables they come from.

use std::time::Duration;

use crate::config::{Field, Fields, Form, Secret, Unreadable, shown_value};
use crate::fetch::Url;

/// The upstream (contract, section 2).
const API_BASE: &str = "https://terminus.pantheon.io/api";
/// Longest whole minutes: 366 days, the limit of every interval.
const MINUTES_LIMIT: i64 = 366 * 24 * 60;
/// Largest limit of sites; an account beyond it could not be listed anyway.
const SITE_LIMIT_MOST: i64 = 1_000_000;
/// Longest name of an environment, Pantheon's own rule for multidevs.
const ENVIRONMENT_LIMIT_CHARS: usize = 11;
/// Limit of one request unless set otherwise (contract, section 2).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The shortest and longest limit of one request, those of every service.
const TIMEOUT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));
/// The variable with the tokens; its presence alone describes a service.
pub(super) const TOKENS_VARIABLE: &str = "PANTHEON_MACHINE_TOKENS";

/// The fields in services.json.
pub(super) const FIELDS: &[Field] = &[
    Field::optional(
        "machine_tokens",
        Form::SecretList,
        "Machine tokens, one an account; PANTHEON_MACHINE_TOKENS when absent.",
    ),
    Field::optional(
        "machine_tokens_file",
        Form::Path,
        "File of machine tokens with white space between them, read again at each refresh of the site list.",
    ),
    Field::optional(
        "environment",
        Form::Text,
        "Environment whose traffic is asked for: live, test, dev or a multidev; PANTHEON_ENV or live when absent.",
    ),
    Field::optional(
        "refresh_interval_minutes",
        Form::Integer(1, MINUTES_LIMIT),
        "Time between two refreshes of the site list, and of each site's traffic; 60 when absent.",
    ),
    Field::optional(
        "site_limit",
        Form::Integer(0, SITE_LIMIT_MOST),
        "Most sites over all accounts; 0, the default, is no limit.",
    ),
    Field::optional(
        "org_id",
        Form::Text,
        "Only the sites of the organisation with this id.",
    ),
    Field::optional(
        "api_base",
        Form::Url,
        "Address of the API, for tests and proxies; https://terminus.pantheon.io/api when absent.",
    ),
    Field::optional(
        "request_timeout",
        Form::Duration,
        "Limit of one request; 30s when absent.",
    ),
    Field::optional(
        "metric_names",
        Form::Word(&Names::WORDS),
        "Which names the site metrics have: those of the original's readme, those of its releases since 0.5.0 (v1), or both, the default.",
    ),
    Field::optional(
        "latest_timestamp",
        Form::Word(&Latest::WORDS),
        "Time of a site's newest point: that of the scrape (now, the default) or its own day (bucket).",
    ),
    Field::optional(
        "history",
        Form::Word(&History::WORDS),
        "Which older points are shown: all until a site's first refresh (bootstrap, the default), always, or never.",
    ),
    Field::optional(
        "zero_guard_minutes",
        Form::Integer(0, MINUTES_LIMIT),
        "For how long all-zero answers for a site with traffic are not believed; 60 when absent, 0 believes them at once.",
    ),
];

/// Which names the site metrics have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Readme,
    V1,
    Both,
}

impl Names {
    const WORDS: [&'static str; 3] = ["readme", "v1", "both"];

    fn from_word(word: &str) -> Names {
        match word {
            "readme" => Names::Readme,
            "v1" => Names::V1,
            _ => Names::Both,
        }
    }
}

/// Which time a site's newest point carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latest {
    Now,
    Bucket,
}

impl Latest {
    const WORDS: [&'static str; 2] = ["now", "bucket"];

    fn from_word(word: &str) -> Latest {
        match word {
            "bucket" => Latest::Bucket,
            _ => Latest::Now,
        }
    }
}

/// Which older points are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    Bootstrap,
    Always,
    Never,
}

impl History {
    const WORDS: [&'static str; 3] = ["bootstrap", "always", "never"];

    fn from_word(word: &str) -> History {
        match word {
            "always" => History::Always,
            "never" => History::Never,
            _ => History::Bootstrap,
        }
    }
}

/// Where the machine tokens are.
#[derive(Clone, Debug)]
pub(super) enum Tokens {
    /// In the configuration.
    Given(Vec<Secret>),
    /// In a file that is read again at each refresh of the site list.
    File(Secret),
}

impl Tokens {
    /// The tokens as they are now, each once.
    ///
    /// # Errors
    /// The file has gone or is blank; the caller goes on with the tokens it has.
    pub(super) fn reveal(&self) -> Result<Vec<String>, Unreadable> {
        let texts = match self {
            Tokens::Given(secrets) => secrets
                .iter()
                .map(Secret::reveal)
                .collect::<Result<Vec<_>, _>>()?,
            Tokens::File(secret) => vec![secret.reveal()?],
        };
        Ok(split(texts.iter().map(String::as_str)))
    }
}

/// The words of all texts, each once, in order.
fn split<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for token in texts.flat_map(str::split_whitespace) {
        if !tokens.iter().any(|known| known == token) {
            tokens.push(token.to_owned());
        }
    }
    tokens
}

/// What is asked and shown.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) tokens: Tokens,
    /// Matches `[a-z0-9-]{1,11}`.
    pub(super) environment: String,
    pub(super) refresh_interval: Duration,
    /// None is no limit.
    pub(super) site_limit: Option<usize>,
    pub(super) org_id: Option<String>,
    /// Without a slash at its end.
    pub(super) api_base: String,
    pub(super) request_timeout: Duration,
    pub(super) names: Names,
    pub(super) latest: Latest,
    pub(super) history: History,
    pub(super) zero_guard: Duration,
}

/// Lets the original's variables stand in for fields.
pub(super) fn stand_ins(fields: &mut Fields<'_>) {
    if !fields.is_given("machine_tokens_file") {
        fields.or_variable("machine_tokens", TOKENS_VARIABLE);
    }
    fields.or_variable("environment", "PANTHEON_ENV");
    // The original's compose file made flags of these; other programs use such names too.
    fields.or_shared_variable("refresh_interval_minutes", "REFRESH_INTERVAL");
    fields.or_shared_variable("site_limit", "SITE_LIMIT");
    fields.or_shared_variable("org_id", "ORG_ID");
}

impl Settings {
    /// Reads and checks all fields, so that every mistake is reported at once.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Settings> {
        let tokens = read_tokens(fields);
        let environment = read_environment(fields);
        let minutes = |number: Option<i64>, default: u64| {
            let minutes = number.and_then(|number| u64::try_from(number).ok());
            Duration::from_secs(minutes.unwrap_or(default) * 60)
        };
        let refresh = fields.integer("refresh_interval_minutes", 1..=MINUTES_LIMIT);
        let limit = fields.integer("site_limit", 0..=SITE_LIMIT_MOST);
        let org_id = fields.text("org_id").map(|id| id.trim().to_owned());
        let api_base = read_api_base(fields);
        let timeout = fields.duration("request_timeout", TIMEOUT_RANGE.0, TIMEOUT_RANGE.1);
        let names = fields.word("metric_names", &Names::WORDS);
        let latest = fields.word("latest_timestamp", &Latest::WORDS);
        let history = fields.word("history", &History::WORDS);
        let guard = fields.integer("zero_guard_minutes", 0..=MINUTES_LIMIT);
        Some(Settings {
            tokens: tokens?,
            environment: environment?,
            refresh_interval: minutes(refresh, 60),
            site_limit: limit
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| *limit > 0),
            org_id,
            api_base: api_base?,
            request_timeout: timeout.unwrap_or(REQUEST_TIMEOUT),
            names: names.map_or(Names::Both, Names::from_word),
            latest: latest.map_or(Latest::Now, Latest::from_word),
            history: history.map_or(History::Bootstrap, History::from_word),
            zero_guard: minutes(guard, 60),
        })
    }
}

fn read_tokens(fields: &mut Fields<'_>) -> Option<Tokens> {
    let is_literal = fields.is_given("machine_tokens");
    let is_file = fields.is_given("machine_tokens_file");
    let literal = fields.secret_list("machine_tokens");
    let path = fields.path("machine_tokens_file");
    match (is_literal, is_file) {
        (true, true) => {
            fields.problem(
                "machine_tokens",
                "is given, and \"machine_tokens_file\" too; keep one",
            );
            None
        }
        (false, false) => {
            fields.problem(
                "machine_tokens",
                "is missing; give it, \"machine_tokens_file\" or PANTHEON_MACHINE_TOKENS",
            );
            None
        }
        (true, false) => {
            let tokens = Tokens::Given(literal?);
            if tokens.reveal().is_ok_and(|tokens| tokens.is_empty()) {
                fields.problem("machine_tokens", "holds no token (not shown)");
                return None;
            }
            Some(tokens)
        }
        (false, true) => Secret::file(path?)
            .map_err(|cause| fields.problem("machine_tokens_file", &cause.to_string()))
            .ok()
            .map(Tokens::File),
    }
}

fn read_environment(fields: &mut Fields<'_>) -> Option<String> {
    if !fields.is_given("environment") {
        return Some("live".to_owned());
    }
    let name = fields.text("environment")?;
    let is_good = name.len() <= ENVIRONMENT_LIMIT_CHARS
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_good {
        let shown = shown_value(&name);
        fields.problem(
            "environment",
            &format!("{shown} is no name of an environment; use 1 to 11 of a-z, 0-9 and -"),
        );
    }
    is_good.then_some(name)
}

fn read_api_base(fields: &mut Fields<'_>) -> Option<String> {
    if !fields.is_given("api_base") {
        return Some(API_BASE.to_owned());
    }
    let url: Url = fields.required_url("api_base")?;
    if url.has_query() {
        fields.problem("api_base", "has a query; leave it out");
        return None;
    }
    Some(url.to_string().trim_end_matches('/').to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{Config, Listen, Request};

    // Contract test 1 (see also the tests of the binary).
    #[test]
    fn tokens_stand_between_any_white_space_and_repeated_ones_count_once() {
        assert_eq!(split(["a  b\tc\n"].into_iter()), ["a", "b", "c"]);
        assert_eq!(split(["a b", "b\r\na c"].into_iter()), ["a", "b", "c"]);
        assert!(split([" \t\n"].into_iter()).is_empty());
    }

    #[test]
    fn the_environment_alone_describes_a_service_that_listens_where_the_original_did() {
        let load = |variables: &[(&str, &str)]| {
            let variables = variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value)));
            match Config::load([], variables) {
                Ok(Request::Run(config)) => config,
                _ => panic!("a configuration to run"),
            }
        };
        let tokens = (TOKENS_VARIABLE, "some-machine-token");
        assert_eq!(load(&[tokens]).listen, [Listen::Everywhere(8080)]);
        assert_eq!(load(&[tokens]).services.len(), 1);
        let with_port = load(&[tokens, ("METRICS_PORT", "9100")]);
        assert_eq!(with_port.listen, [Listen::Everywhere(9100)]);
    }

    #[test]
    fn debug_output_of_the_settings_holds_no_token() {
        let tokens = Tokens::Given(vec![Secret::literal("recognisable-secret")]);
        assert!(
            !format!("{tokens:?}").contains("recognisable"),
            "{tokens:?}"
        );
        assert_eq!(tokens.reveal().unwrap(), ["recognisable-secret"]);
    }
}
