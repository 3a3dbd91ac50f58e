//! The configuration as a validated whole: flags, variables, services.json. Only here is the environment read.
//!
//! [`Config::load`] either gives a configuration that can be run, or every mistake at once.

mod fields;
mod healthcheck;
mod places;
mod problem;
mod reader;
mod schema;
mod secret;
mod services;
pub mod settings;
mod summary;
mod supervision;
mod values;

pub use fields::{Field, Fields, Form, Reach, parse_duration};
pub use problem::{Problem, shown, shown_path, shown_value};
pub use schema::schema;
pub use secret::{Secret, Unreadable};
pub use services::{GENERAL_FIELDS, Service};
pub use supervision::{Supervision, is_journal};
pub use values::{parse_listen, parse_truth};

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::fetch::{Proxies, Roots};
use crate::shard::{self, Shard};
use settings::{Ask, Given};

/// What to run.
#[derive(Debug)]
pub struct Config {
    /// Serve, poll once, or only check.
    pub mode: Mode,
    /// What would be done without the check.
    pub intended: Mode,
    /// Where to serve.
    pub listen: Vec<Listen>,
    /// The name of the list of services, for people.
    pub services_file: String,
    /// The services, by key: those of this shard.
    pub services: Vec<Service>,
    /// Keys of the services that other shards run.
    pub elsewhere: Vec<String>,
    /// This process's share of the services.
    pub shard: Shard,
    /// Whether POST /-/reload is answered.
    pub has_reload_route: bool,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Proxies for upstreams.
    pub proxies: Proxies,
    /// Trust roots instead of the built-in ones.
    pub roots: Option<Roots>,
    /// Folder of cache and history.
    pub cache_dir: PathBuf,
    /// Whether that folder is emptied first.
    pub clear_cache: bool,
    /// What `Mode::Once` writes.
    pub textfile: PathBuf,
    /// Where incidents are announced.
    pub slack_webhook: Option<Secret>,
    /// What is logged.
    pub log: LogSettings,
    /// What the supervisor says, if there is one.
    pub supervision: Supervision,
    /// What a person should know although it is no error.
    pub warnings: Vec<String>,
    /// What it was read out of, for [`Config::again`]; there it is left empty.
    pub inputs: Given,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Poll and serve until told to stop.
    Daemon,
    /// Poll every service once, write the text file, exit.
    Once,
    /// Say what would run, exit.
    Check,
}

/// One place to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// All addresses, IPv6 and IPv4.
    Everywhere(u16),
    /// One address.
    At(SocketAddr),
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level that is shown.
    pub level: log::LevelFilter,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Lines of text are for the journal: without the time, which it has, and with the level as it reads it.
    pub to_journal: bool,
}

/// What the command line asked for.
#[derive(Debug)]
pub enum Request {
    /// Print this text and exit.
    Print(String),
    /// Ask the exporter that listens there whether it is well, and exit; an error is a failed check too.
    Healthcheck(Result<Listen, Problem>),
    /// Run this configuration.
    Run(Box<Config>),
}

impl Config {
    /// Reads arguments (without the program's name), environment and services.json.
    ///
    /// # Errors
    /// Every mistake found; the caller prints them and exits with status 2.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Request, Vec<Problem>> {
        let mut problems = Vec::new();
        let (ask, mut given) = Given::read(arguments, variables, &mut problems);
        match ask {
            Ask::Help => Ok(Request::Print(settings::help())),
            Ask::Version => Ok(Request::Print(format!(
                "{}
",
                crate::version_line()
            ))),
            Ask::Healthcheck => Ok(Request::Healthcheck(healthcheck::place(
                &mut given, problems,
            ))),
            Ask::Run => {
                let config = reader::read(&given, problems)?;
                Ok(Request::Run(Box::new(Config {
                    inputs: given,
                    ..config
                })))
            }
        }
    }

    /// Reads every file again, with the flags and variables that the process was started with.
    ///
    /// # Errors
    /// Every mistake found; the running configuration should be kept.
    pub fn again(given: &Given) -> Result<Config, Vec<Problem>> {
        reader::read(given, Vec::new())
    }

    /// What other shards would run; nothing where there are none.
    fn elsewhere_summary(&self) -> String {
        let Shard { ordinal, total } = self.shard;
        if total == 1 {
            return String::new();
        }
        let count = self.elsewhere.len();
        let mut text = format!(
            "\n{count} more run elsewhere; this is shard {ordinal} of {total}, counted from 0\n"
        );
        for key in &self.elsewhere {
            let owner = shard::owner(key, total);
            text.push_str(&format!("  {key}: shard {owner}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let loaded = Config::load(
            arguments.iter().map(OsString::from),
            variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        );
        match loaded {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(Problem::to_string).collect(),
        }
    }

    #[test]
    fn every_wrong_setting_is_reported_at_once_with_its_name() {
        let found = problems(
            &["--log.level=loud", "--poll.concurrency=0"],
            &[
                ("METRICS_PORT", "90001"),
                ("CHECK_INTERVAL_MINUTES", "0.001"),
                ("DEBUG", "maybe"),
                ("RUN_MODE", "twice"),
            ],
        );
        assert_eq!(found.len(), 6, "{found:#?}");
        assert!(
            found.contains(&"METRICS_PORT=90001: not a port (0 to 65535)".to_owned()),
            "{found:#?}"
        );
        assert!(
            found
                .iter()
                .any(|text| text.starts_with("--log.level=loud: ")),
            "{found:#?}"
        );
    }

    #[test]
    fn a_secret_webhook_is_never_part_of_an_error() {
        let found = problems(&[], &[("SLACK_WEBHOOK_URL", "hooks.example/secret-part")]);
        assert_eq!(
            found,
            ["SLACK_WEBHOOK_URL: the webhook (not shown) has no scheme"]
        );
    }

    #[test]
    fn a_service_is_the_same_unless_a_field_or_an_inherited_default_differs() {
        let path = std::env::temp_dir().join(format!("saas-exporter-same-{}", std::process::id()));
        let fingerprint = |fields: &str, more: &str, argument: &str| {
            let text = format!("{{\"a\": {{\"name\": \"A\", {fields}}} {more}}}");
            std::fs::write(&path, text).expect("a temporary file can be written");
            let arguments = [format!("--config.file={}", path.display()), argument.into()];
            match Config::load(arguments.map(OsString::from), []) {
                Ok(Request::Run(config)) => config.services.first().map(|one| one.fingerprint),
                other => panic!("{other:?}"),
            }
        };
        let url = "\"url\": \"https://a.example\"";
        let first = fingerprint(url, "", "--once");
        let is_same = |fields: &str, more: &str, argument: &str| {
            let fields = format!("{fields} {url}");
            fingerprint(&fields, more, argument) == first
        };
        assert!(is_same("", "", "--once"));
        assert!(is_same("\"_comment\": 1,", ", \"_b\": {}", "--once"));
        assert!(is_same("", "", "--poll.concurrency=7"));
        assert!(!is_same("\"interval\": \"7s\",", "", "--once"));
        assert!(!is_same("\"headers\": {\"X\": \"secret\"},", "", "--once"));
        assert!(!is_same("", "", "--poll.interval=7"));
        assert!(!is_same("", "", "--statuspage.status-scale=ternary"));
        assert!(!is_same("", "", "--statuspage.resolved-retention=7"));
        // Another one beside it is no change of this one.
        let other = ", \"b\": {\"name\": \"B\", \"url\": \"https://b.example\"}";
        assert!(is_same("", other, "--once"));
        std::fs::remove_file(path).expect("the file is ours");
    }

    #[test]
    fn the_built_in_list_is_valid() {
        assert_eq!(
            problems(&["--config.file=services.json.example"], &[]),
            Vec::<String>::new()
        );
    }
}
