//! The one table of settings: flag, variable, default, meaning. `--help` and the README's table come from it.
//!
//! A flag wins over its variable, the variable over the default; an empty variable counts as unset.

use std::ffi::OsString;
use std::fmt::{self, Write};

use super::problem::{Problem, did_you_mean, shown_name, shown_path, shown_value};
use crate::sorted::SortedMap;

/// One setting of the process.
#[derive(Debug)]
pub struct Setting {
    /// The flag, without its dashes; none for what does not belong on a command line.
    pub flag: Option<&'static str>,
    /// The environment variable.
    pub variable: &'static str,
    /// What a flag without a value stands for; none if the flag needs a value.
    pub switch: Option<&'static str>,
    /// The default, in words where it is not a fixed value.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($name:ident: $flag:expr, $variable:literal, $switch:expr, $default:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: Setting =
                Setting { flag: $flag, variable: $variable, switch: $switch, default: $default, meaning: $meaning };
        )*
        /// Every setting, in the order of the documentation.
        pub static SETTINGS: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    CONFIG_FILE: Some("config.file"), "SERVICES_JSON_PATH", None, "./services.json, else /app/statuspage-exporter/services.json, else the built-in list",
        "File that lists the services.";
    CONFIG_CHECK: Some("config.check"), "CONFIG_CHECK", Some("true"), "false",
        "Check the configuration, print what would run, and exit: 0 if it is good, 2 if not.";
    LISTEN_ADDRESS: Some("web.listen-address"), "WEB_LISTEN_ADDRESS", None, "port of METRICS_PORT on all addresses",
        "Address to listen on, such as `127.0.0.1:9001`, `[::1]:9001` or `:9001`; several with commas, or the flag more than once.";
    METRICS_PORT: Some("web.port"), "METRICS_PORT", None, "9001",
        "Port to listen on at all addresses, unless --web.listen-address says otherwise; 0 takes any free port.";
    POLL_INTERVAL: Some("poll.interval"), "CHECK_INTERVAL_MINUTES", None, "20",
        "Time between two polls of a service, start to start: minutes (fractions allowed) or a duration such as 90s; at least 1s.";
    POLL_CONCURRENCY: Some("poll.concurrency"), "POLL_CONCURRENCY", None, "32",
        "Requests to upstreams under way at once, over all services.";
    RUN_MODE: Some("once"), "RUN_MODE", Some("once"), "daemon",
        "daemon, or once: poll every service once, write the text file, exit.";
    TEXTFILE_PATH: Some("textfile.path"), "METRICS_TEXTFILE_PATH", None, "metrics/statuspage.prom",
        "Text file that --once writes, for node_exporter's textfile collector.";
    CACHE_DIR: Some("cache.dir"), "CACHE_DIR", None, "$CACHE_DIRECTORY (systemd), else ./cache",
        "Folder of the cache and history files.";
    CLEAR_CACHE: Some("cache.clear"), "CLEAR_CACHE", Some("true"), "false",
        "Delete every cache and history file on start-up, and take nothing over from the Python exporter.";
    STATUS_SCALE: Some("statuspage.status-scale"), "STATUS_SCALE", None, "binary",
        "binary (1 operational, 0 anything else) or ternary (1 operational, 0 maintenance, -1 anything else).";
    RESOLVED_RETENTION: Some("statuspage.resolved-retention"), "RESOLVED_RETENTION_HOURS", None, "24",
        "For how long resolved incidents, completed maintenances and removed components are shown with value 0: hours or a duration; 0 until the next poll.";
    SLACK_WEBHOOK: None, "SLACK_WEBHOOK_URL", None, "none",
        "Slack webhook (a secret): one post per incident opened and one per incident resolved.";
    SLACK_WEBHOOK_FILE: Some("notify.slack-webhook-url-file"), "SLACK_WEBHOOK_URL_FILE", None, "none",
        "File that holds the Slack webhook, instead of SLACK_WEBHOOK_URL.";
    LOG_LEVEL: Some("log.level"), "LOG_LEVEL", None, "info",
        "error, warn, info, debug or trace.";
    LOG_FORMAT: Some("log.format"), "LOG_FORMAT", None, "text",
        "text or json.";
    DEBUG: Some("debug"), "DEBUG", Some("true"), "false",
        "The same as --log.level=debug.";
    SSL_CERT_FILE: None, "SSL_CERT_FILE", None, "none",
        "PEM file of the trust roots to use instead of the built-in ones.";
    HTTPS_PROXY: None, "HTTPS_PROXY", None, "none",
        "HTTP proxy for https upstreams, such as http://proxy:3128; also in lower case.";
    HTTP_PROXY: None, "HTTP_PROXY", None, "none",
        "HTTP proxy for http upstreams (a CONNECT tunnel); also in lower case.";
    ALL_PROXY: None, "ALL_PROXY", None, "none",
        "Proxy for both, where the one above is unset; also in lower case.";
    NO_PROXY: None, "NO_PROXY", None, "none",
        "Hosts, domains, addresses and networks that are reached without proxy, with commas; * for all; also in lower case.";
}

/// What the process was asked to do before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run.
    Run,
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// The values as given, before they are understood.
#[derive(Default)]
pub struct Given {
    flags: SortedMap<&'static str, String>,
    variables: SortedMap<String, String>,
}

/// A given value and the name under which it was given. `Debug` shows the name alone: it may be a secret.
#[derive(PartialEq, Eq)]
pub struct Value<'a> {
    /// `--flag` or the variable's name.
    pub name: String,
    /// The text as given.
    pub text: &'a str,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.name)
    }
}

impl Value<'_> {
    /// `METRICS_PORT=90001: not a port (0 to 65535)`
    pub fn problem(&self, what: &str) -> Problem {
        let text = shown_value(self.text);
        Problem::new(format!("{}={}: {what}", self.name, text.trim_matches('"')))
    }

    /// `SSL_CERT_FILE=/etc/none.pem: cannot be read`
    pub fn path_problem(&self, what: &str) -> Problem {
        let path = shown_path(self.text);
        Problem::new(format!("{}={path}: {what}", self.name))
    }
}

/// The names alone: some of the values are secrets.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("flags", &self.flags.keys().collect::<Vec<_>>())
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Given {
    /// Sorts the arguments (without the program's name) and the environment; every argument that is not understood
    /// is a problem.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        problems: &mut Vec<Problem>,
    ) -> (Ask, Given) {
        let mut given = Given::default();
        for (name, value) in variables {
            if let (Ok(name), false) = (name.into_string(), value.is_empty()) {
                given
                    .variables
                    .insert(name, value.to_string_lossy().into_owned());
            }
        }
        let ask = given.read_flags(arguments, problems);
        (ask, given)
    }

    fn read_flags(
        &mut self,
        arguments: impl IntoIterator<Item = OsString>,
        problems: &mut Vec<Problem>,
    ) -> Ask {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut ask = Ask::Run;
        loop {
            let name = match parser.next() {
                Ok(None) => return ask,
                Ok(Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h'))) => {
                    ask = Ask::Help;
                    continue;
                }
                Ok(Some(lexopt::Arg::Long("version") | lexopt::Arg::Short('V'))) => {
                    ask = Ask::Version;
                    continue;
                }
                Ok(Some(lexopt::Arg::Long(name))) => name.to_owned(),
                // The original of a source may take a secret on its command line.
                Ok(Some(lexopt::Arg::Value(_))) => {
                    let what = "an argument that is no flag (not shown) is not understood";
                    problems.push(Problem::new(format!("{what}; see --help")));
                    continue;
                }
                Ok(Some(lexopt::Arg::Short(letter))) => {
                    // What follows the letter could be its value.
                    drop(parser.optional_value());
                    let what = format!("unknown flag -{}", letter.escape_debug());
                    problems.push(Problem::new(format!("{what}; see --help")));
                    continue;
                }
                Err(_) => {
                    let what = "a flag that takes no value has one (not shown)";
                    problems.push(Problem::new(format!("{what}; see --help")));
                    return ask;
                }
            };
            if let Err(problem) = self.read_flag(&name, &mut parser) {
                problems.push(problem);
            }
        }
    }

    fn read_flag(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<(), Problem> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.flag == Some(name)) else {
            let known = SETTINGS
                .iter()
                .filter_map(|setting| setting.flag)
                .chain(["help", "version"]);
            // Its value, if there is one, belongs to it.
            drop(parser.optional_value());
            let hint = did_you_mean(name, known).replacen('"', "\"--", 1);
            let name = shown_name(name);
            return Err(Problem::new(format!(
                "unknown flag --{}{hint}; see --help",
                name.trim_matches('"')
            )));
        };
        let text = match (setting.switch, parser.optional_value()) {
            (_, Some(value)) => value.to_string_lossy().into_owned(),
            (Some(switch), None) => switch.to_owned(),
            (None, None) => match parser.value() {
                Ok(value) => value.to_string_lossy().into_owned(),
                Err(_) => {
                    return Err(Problem::new(format!(
                        "--{name} needs a value: --{name}=VALUE"
                    )));
                }
            },
        };
        // The only flag that may be given more than once collects its values.
        match self.flags.get_mut(setting.variable) {
            Some(earlier) if setting.variable == LISTEN_ADDRESS.variable => {
                write!(earlier, ",{text}").unwrap_or(())
            }
            _ => drop(self.flags.insert(setting.variable, text)),
        }
        Ok(())
    }

    /// What was given for a setting, by flag or else by variable.
    pub fn get(&self, setting: &'static Setting) -> Option<Value<'_>> {
        if let (Some(text), Some(flag)) = (self.flags.get(setting.variable), setting.flag) {
            return Some(Value {
                name: format!("--{flag}"),
                text,
            });
        }
        let text = self.variable(setting.variable)?;
        Some(Value {
            name: setting.variable.to_owned(),
            text,
        })
    }

    /// A variable of the environment, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A path, where it begins with `${CREDENTIALS_DIRECTORY}/` in the folder of the credentials that systemd gives.
    pub fn path(&self, text: &str) -> String {
        let name = text.strip_prefix("${CREDENTIALS_DIRECTORY}/");
        match (name, self.variable("CREDENTIALS_DIRECTORY")) {
            (Some(name), Some(folder)) => [folder, name].join("/"),
            // Without the variable the path is shown as it is in the error that follows.
            _ => text.to_owned(),
        }
    }

    /// Every variable that is not empty, for programs whose variables have names of a pattern.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "saas-exporter tells Prometheus how the hosted services a team depends on are doing.\n\n\
         Usage: saas-exporter [flags]\n\nFlags, each with its environment variable:\n",
    );
    for setting in SETTINGS {
        let flag = setting
            .flag
            .map(|flag| format!("--{flag}"))
            .unwrap_or_default();
        let value = if setting.flag.is_some() && setting.switch.is_none() {
            "=VALUE"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n  {flag}{value}{}{}\n      {}\n      Default: {}\n",
            if flag.is_empty() { "" } else { "  " },
            setting.variable,
            setting.meaning,
            setting.default
        );
    }
    text.push_str("\n  --version, --help\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], variables: &[(&str, &str)]) -> (Ask, Given, Vec<String>) {
        let mut problems = Vec::new();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let (ask, given) = Given::read(
            arguments.iter().map(OsString::from),
            variables,
            &mut problems,
        );
        (
            ask,
            given,
            problems.iter().map(Problem::to_string).collect(),
        )
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_an_empty_variable_is_unset() {
        let (_, given, _) = read(
            &["--web.port=1"],
            &[("METRICS_PORT", "2"), ("LOG_LEVEL", "")],
        );
        assert_eq!(
            given.get(&METRICS_PORT),
            Some(Value {
                name: "--web.port".to_owned(),
                text: "1"
            })
        );
        assert_eq!(given.get(&LOG_LEVEL), None);
    }

    #[test]
    fn flags_take_their_value_after_a_space_or_an_equals_sign_and_switches_need_none() {
        let (ask, given, _) = read(&["--log.level", "warn", "--once", "--version"], &[]);
        assert_eq!(ask, Ask::Version);
        assert_eq!(
            given.get(&LOG_LEVEL).map(|value| value.text.to_owned()),
            Some("warn".to_owned())
        );
        assert_eq!(
            given.get(&RUN_MODE).map(|value| value.text.to_owned()),
            Some("once".to_owned())
        );
    }

    #[test]
    fn every_unknown_argument_is_reported_at_once_with_the_nearest_known_one() {
        let (_, _, problems) = read(&["--web.prot=1", "extra", "--log.level"], &[]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].contains("unknown flag --web.prot (did you mean \"--web.port\"?)"),
            "{problems:?}"
        );
        assert!(
            problems[1].contains("no flag") && !problems[1].contains("extra"),
            "{problems:?}"
        );
        assert!(
            problems[2].contains("--log.level needs a value"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_listen_address_may_be_given_more_than_once() {
        let (_, given, _) = read(&["--web.listen-address=:1", "--web.listen-address=:2"], &[]);
        assert_eq!(
            given
                .get(&LISTEN_ADDRESS)
                .map(|value| value.text.to_owned()),
            Some(":1,:2".to_owned())
        );
    }

    #[test]
    fn debug_output_shows_names_and_no_value() {
        let (_, given, _) = read(&["--log.level=trace"], &[("API_KEY", "hunter2")]);
        let shown = format!("{given:?}");
        assert!(
            shown.contains("API_KEY") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_path_may_begin_with_the_folder_of_the_credentials() {
        let (_, given, _) = read(
            &[],
            &[("CREDENTIALS_DIRECTORY", "/run/credentials/x.service")],
        );
        assert_eq!(
            given.path("${CREDENTIALS_DIRECTORY}/key"),
            "/run/credentials/x.service/key"
        );
        for other in [
            "/etc/key",
            "$CREDENTIALS_DIRECTORY/key",
            "/${CREDENTIALS_DIRECTORY}/key",
        ] {
            assert_eq!(given.path(other), other);
        }
        let (_, without, _) = read(&[], &[]);
        let path = "${CREDENTIALS_DIRECTORY}/key";
        assert_eq!(without.path(path), path);
    }

    #[test]
    fn help_shows_every_setting() {
        let help = help();
        for setting in SETTINGS {
            assert!(
                help.contains(setting.variable) && help.contains(setting.meaning),
                "{}",
                setting.variable
            );
        }
    }
}
