//! The configuration as a validated whole: flags, variables, services.json. Only here is the environment read.
//!
//! [`Config::load`] either gives a configuration that can be run, or every mistake at once.

mod fields;
mod problem;
mod schema;
mod secret;
mod services;
pub mod settings;
mod supervision;

pub use fields::{Field, Fields, Form, Reach, parse_duration};
pub use problem::{Problem, shown, shown_path, shown_value};
pub use schema::schema;
pub use secret::{Secret, Unreadable};
pub use services::{GENERAL_FIELDS, Service};
pub use supervision::{Supervision, is_journal};

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::{Proxies, Roots, Url};
use crate::sorted::sort_by;
use crate::sources::{Defaults, SOURCES, Scale};
use settings::{Ask, Given, Setting};

/// Where services.json is looked for when none is given: here, and where the Python exporter's image had it.
const USUAL_PLACES: [&str; 2] = ["./services.json", "/app/statuspage-exporter/services.json"];
/// The list that runs when there is no services.json at all.
const BUILT_IN: &str = include_str!("../../services.json.example");
/// The name of that list in messages.
const BUILT_IN_NAME: &str = "built-in list (services.json.example)";
/// The port that is listened at when nothing else is said.
const DEFAULT_PORT: u16 = 9001;
/// Largest services.json; 10,000 services need about 2 MB.
const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// What to run.
#[derive(Debug)]
pub struct Config {
    /// Serve, poll once, or only check.
    pub mode: Mode,
    /// Where to serve.
    pub listen: Vec<Listen>,
    /// The name of the list of services, for people.
    pub services_file: String,
    /// The services, by key.
    pub services: Vec<Service>,
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
#[derive(Clone, Copy, Debug)]
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
        let (ask, given) = Given::read(arguments, variables, &mut problems);
        match ask {
            Ask::Help => Ok(Request::Print(settings::help())),
            Ask::Version => Ok(Request::Print(format!(
                "{}
",
                crate::version_line()
            ))),
            Ask::Run => read(&given, problems).map(|config| Request::Run(Box::new(config))),
        }
    }

    /// What would run, for `--config.check`.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {} services\n", self.services_file, self.services.len());
        for service in &self.services {
            let (name, about) = (&service.key, service.settings.about());
            text.push_str(&format!(
                "  {name}: {} {about}, every {:?}\n",
                service.kind.name, service.interval
            ));
        }
        text
    }
}

fn read(given: &Given, problems: Vec<Problem>) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader {
        given,
        problems,
        warnings: Vec::new(),
    };
    let defaults = Defaults {
        interval: reader.value(
            &settings::POLL_INTERVAL,
            Duration::from_secs(20 * 60),
            parse_interval,
        ),
        scale: reader.value(&settings::STATUS_SCALE, Scale::Binary, parse_scale),
        resolved_retention: reader.value(
            &settings::RESOLVED_RETENTION,
            Duration::from_secs(24 * 3600),
            parse_retention,
        ),
    };
    let (services_file, services) = reader.services(&defaults);
    let log = reader.log(&services);
    let supervision = Supervision::read(given, std::process::id(), &mut reader.problems);
    let config = Config {
        mode: reader.mode(),
        listen: reader.listen(&services),
        services_file,
        services,
        concurrency: reader.value(&settings::POLL_CONCURRENCY, 32, parse_concurrency),
        proxies: reader.proxies(),
        roots: reader.roots(),
        cache_dir: reader.cache_dir(),
        clear_cache: reader.value(&settings::CLEAR_CACHE, false, parse_truth),
        textfile: reader.value(
            &settings::TEXTFILE_PATH,
            "metrics/statuspage.prom".into(),
            |text| Ok(text.into()),
        ),
        slack_webhook: reader.slack_webhook(),
        log,
        supervision,
        warnings: reader.warnings,
    };
    if reader.problems.is_empty() {
        Ok(config)
    } else {
        Err(reader.problems)
    }
}

/// Understands the given values and collects what is wrong with them.
struct Reader<'a> {
    given: &'a Given,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// A setting's value, understood by `parse`, else its default.
    fn value<T>(
        &mut self,
        setting: &'static Setting,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let Some(value) = self.given.get(setting) else {
            return default;
        };
        match parse(value.text) {
            Ok(parsed) => parsed,
            Err(what) => {
                self.problems.push(value.problem(&what));
                default
            }
        }
    }

    fn mode(&mut self) -> Mode {
        let mode = self.value(&settings::RUN_MODE, Mode::Daemon, |text| {
            match text.to_ascii_lowercase().as_str() {
                "daemon" => Ok(Mode::Daemon),
                "once" => Ok(Mode::Once),
                _ => Err("is neither daemon nor once".to_owned()),
            }
        });
        let check = self.value(&settings::CONFIG_CHECK, false, parse_truth);
        if check { Mode::Check } else { mode }
    }

    /// Where to listen: as set, else as the program that the only service replaces would, else at port 9001.
    fn listen(&mut self, services: &[Service]) -> Vec<Listen> {
        let own = self.own_listen(services);
        let port = self.value(&settings::METRICS_PORT, None, |text| {
            parse_port(text).map(Some)
        });
        let usual = port
            .map(Listen::Everywhere)
            .or(own)
            .or(usual_listen(services))
            .unwrap_or(Listen::Everywhere(DEFAULT_PORT));
        self.value(&settings::LISTEN_ADDRESS, vec![usual], |text| {
            text.split(',')
                .map(|address| parse_listen(address.trim()))
                .collect()
        })
    }

    /// What the programs that we replace had for a port; it counts only where its kind runs alone.
    fn own_listen(&mut self, services: &[Service]) -> Option<Listen> {
        let mut own = None;
        for kind in SOURCES {
            let is_alone = services.len() == 1
                && services
                    .iter()
                    .all(|service| service.kind.name == kind.name);
            match (kind.own_listen)(self.given) {
                Ok(None) => {}
                Ok(listen) if is_alone => own = listen,
                Ok(Some(_)) => {
                    let name = kind.name;
                    self.warnings.push(format!(
                        "beside other services the listen address of {name}'s own exporter is not used; set METRICS_PORT or --web.listen-address"
                    ));
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        own
    }

    fn services(&mut self, defaults: &Defaults) -> (String, Vec<Service>) {
        let is_in_environment = SOURCES
            .iter()
            .any(|kind| (kind.is_in_environment)(self.given));
        let (file, text) = match self.services_text() {
            Ok(Some((file, text))) => (file, Some(text)),
            Ok(None) if is_in_environment => ("environment".to_owned(), None),
            Ok(None) => {
                let places = USUAL_PLACES.join(" nor ");
                self.warnings.push(format!(
                    "neither {places} exists; running the {BUILT_IN_NAME}"
                ));
                (BUILT_IN_NAME.to_owned(), Some(BUILT_IN.to_owned()))
            }
            Err(problem) => {
                self.problems.push(problem);
                return (String::new(), Vec::new());
            }
        };
        let mut services = services::read(
            &file,
            text.as_deref(),
            self.given,
            defaults,
            &mut self.warnings,
            &mut self.problems,
        );
        sort_by(&mut services, |a, b| a.key.cmp(&b.key));
        (file, services)
    }

    /// Name and text of the services.json that was given or stands at a usual place.
    fn services_text(&self) -> Result<Option<(String, String)>, Problem> {
        if let Some(value) = self.given.get(&settings::CONFIG_FILE) {
            let text = read_file(&self.given.path(value.text))
                .map_err(|cause| value.path_problem(&format!("cannot be read: {cause}")))?;
            return Ok(Some((value.text.to_owned(), text)));
        }
        for place in USUAL_PLACES {
            match read_file(place) {
                Ok(text) => return Ok(Some((place.to_owned(), text))),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => {
                    return Err(Problem::new(format!("{place}: cannot be read: {cause}")));
                }
            }
        }
        Ok(None)
    }

    fn proxies(&mut self) -> Proxies {
        let either = |setting: &'static Setting| {
            self.given
                .variable(setting.variable)
                .or_else(|| self.given.variable(&setting.variable.to_ascii_lowercase()))
        };
        let variables = [
            &settings::HTTPS_PROXY,
            &settings::HTTP_PROXY,
            &settings::ALL_PROXY,
        ];
        let [https, http, all] = variables.map(either);
        match Proxies::new(
            https,
            http,
            all,
            either(&settings::NO_PROXY).unwrap_or_default(),
        ) {
            Ok(proxies) => proxies,
            Err(place) => {
                // The value is not shown: it may hold a password.
                let name = variables
                    .get(place)
                    .map(|setting| setting.variable)
                    .unwrap_or_default();
                self.problems.push(Problem::new(format!(
                    "{name}: is no HTTP proxy; write it like http://proxy:3128"
                )));
                Proxies::default()
            }
        }
    }

    fn roots(&mut self) -> Option<Roots> {
        let value = self.given.get(&settings::SSL_CERT_FILE)?;
        let roots = std::fs::read(self.given.path(value.text))
            .map_err(|cause| format!("cannot be read: {cause}"))
            .and_then(|pem| Roots::from_pem(&pem));
        roots
            .map_err(|what| self.problems.push(value.path_problem(&what)))
            .ok()
    }

    fn cache_dir(&mut self) -> PathBuf {
        // systemd gives a list with colons when a unit names several folders.
        let of_systemd = self
            .given
            .variable("CACHE_DIRECTORY")
            .and_then(|list| list.split(':').next());
        self.value(
            &settings::CACHE_DIR,
            of_systemd.unwrap_or("./cache").into(),
            |text| Ok(text.into()),
        )
    }

    fn slack_webhook(&mut self) -> Option<Secret> {
        let (literal, file) = (
            self.given.get(&settings::SLACK_WEBHOOK),
            self.given.get(&settings::SLACK_WEBHOOK_FILE),
        );
        let (name, secret) = match (literal, file) {
            (None, None) => return None,
            (Some(_), Some(file)) => {
                self.problems.push(Problem::new(format!(
                    "{} and SLACK_WEBHOOK_URL are both set; keep one",
                    file.name
                )));
                return None;
            }
            (Some(literal), None) => (literal.name, Ok(Secret::literal(literal.text))),
            (None, Some(file)) => (file.name, Secret::file(self.given.path(file.text))),
        };
        let checked =
            secret.and_then(|secret| secret.reveal().map(|url| (Url::parse(&url), secret)));
        match checked {
            Ok((Ok(_), secret)) => Some(secret),
            Ok((Err(bad), _)) => {
                self.problems.push(Problem::new(format!(
                    "{name}: the webhook (not shown) {bad}"
                )));
                None
            }
            Err(cause) => {
                self.problems.push(Problem::new(format!("{name}: {cause}")));
                None
            }
        }
    }

    /// What is logged: as set, else as the programs that the services replace were told.
    fn log(&mut self, services: &[Service]) -> LogSettings {
        let wanted = || services.iter().map(|service| service.settings.wanted_log());
        let usual_level = wanted().filter_map(|wanted| wanted.level).max();
        let usual_level = usual_level.unwrap_or(log::LevelFilter::Info);
        let usual_json = wanted().find_map(|wanted| wanted.json).unwrap_or(false);
        let level = self.value(&settings::LOG_LEVEL, usual_level, |text| {
            let words = "is none of error, warn, info, debug, trace";
            text.parse()
                .ok()
                .filter(|level| *level != log::LevelFilter::Off)
                .ok_or_else(|| words.to_owned())
        });
        let debug = self.value(&settings::DEBUG, false, parse_truth);
        let json = self.value(&settings::LOG_FORMAT, usual_json, |text| {
            match text.to_ascii_lowercase().as_str() {
                "text" => Ok(false),
                "json" => Ok(true),
                _ => Err("is neither text nor json".to_owned()),
            }
        });
        LogSettings {
            level: if debug {
                level.max(log::LevelFilter::Debug)
            } else {
                level
            },
            json,
            to_journal: is_journal(self.given.variable("JOURNAL_STREAM")),
        }
    }
}

/// Where the only service would be listened for when nothing is said.
fn usual_listen(services: &[Service]) -> Option<Listen> {
    match services {
        [alone] => alone.settings.usual().listen,
        _ => None,
    }
}

fn read_file(path: &str) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_LIMIT_BYTES {
        return Err(std::io::Error::other(format!(
            "{size} bytes are too many for a list of services"
        )));
    }
    std::fs::read_to_string(path)
}

/// `true`, `1`, `yes`, `on` and their opposites, in any case.
///
/// # Errors
/// The list of words, for any other.
pub fn parse_truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true, 1, yes, on nor false, 0, no, off".to_owned()),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| "not a port (0 to 65535)".to_owned())
}

/// An address to listen at: `127.0.0.1:9001`, `[::1]:9001`, or `:9001` for all addresses.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn parse_listen(address: &str) -> Result<Listen, String> {
    if let Some(port) = address.strip_prefix(':') {
        return parse_port(port).map(Listen::Everywhere);
    }
    match address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
    {
        Some(found) => Ok(Listen::At(found)),
        None => Err(format!(
            "{} is no address to listen on; write it like 127.0.0.1:9001 or :9001",
            shown_value(address)
        )),
    }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let minutes = text.trim().parse::<f64>().ok();
    let interval = match minutes {
        Some(minutes) => Duration::try_from_secs_f64(minutes * 60.0).ok(),
        None => parse_duration(text),
    };
    let (least, most) = services::INTERVAL_RANGE;
    match interval {
        Some(interval) if (least..=most).contains(&interval) => Ok(interval),
        Some(_) => Err("not between 1 second and 366 days".to_owned()),
        None => Err("neither a number of minutes nor a duration such as 90s".to_owned()),
    }
}

fn parse_retention(text: &str) -> Result<Duration, String> {
    let hours = text.trim().parse::<f64>().ok();
    let retention = match hours {
        Some(hours) => Duration::try_from_secs_f64(hours * 3600.0).ok(),
        None => parse_duration(text),
    };
    let year = Duration::from_secs(366 * 24 * 3600);
    retention
        .filter(|retention| *retention <= year)
        .ok_or_else(|| "not a number of hours from 0 to a year".to_owned())
}

fn parse_concurrency(text: &str) -> Result<usize, String> {
    let count = text
        .trim()
        .parse()
        .ok()
        .filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| "not a number from 1 to 1024".to_owned())
}

fn parse_scale(text: &str) -> Result<Scale, String> {
    Scale::from_word(text).ok_or_else(|| "is neither binary nor ternary".to_owned())
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

    fn check_interval(text: &str, expected_ms: Option<u64>) {
        assert_eq!(
            parse_interval(text).ok(),
            expected_ms.map(Duration::from_millis),
            "{text:?}"
        );
    }

    #[test]
    fn the_interval_is_minutes_or_a_duration_of_any_length_from_a_second() {
        check_interval("20", Some(1_200_000));
        check_interval("0.05", Some(3_000));
        check_interval("90s", Some(90_000));
        check_interval("60", Some(3_600_000));
        check_interval("10000", Some(600_000_000));
        check_interval("0.001", None);
        check_interval("0", None);
        check_interval("-5", None);
        check_interval("NaN", None);
        check_interval("1e300", None);
        check_interval("often", None);
    }

    #[test]
    fn truth_words_are_the_original_ones_in_any_case() {
        assert!(
            ["true", "1", "YES", "On"]
                .into_iter()
                .all(|word| parse_truth(word) == Ok(true))
        );
        assert!(
            ["false", "0", "NO", "off"]
                .into_iter()
                .all(|word| parse_truth(word) == Ok(false))
        );
        assert!(parse_truth("y").is_err());
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
    fn the_built_in_list_is_valid() {
        assert_eq!(
            problems(&["--config.file=services.json.example"], &[]),
            Vec::<String>::new()
        );
    }
}
