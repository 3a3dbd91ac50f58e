//! The configuration as a validated whole: flags, variables, services.json. Only here is the environment read.
//!
//! [`Config::load`] either gives a configuration that can be run, or every mistake at once.

mod fields;
mod healthcheck;
mod problem;
mod schema;
mod secret;
mod services;
pub mod settings;
mod summary;
mod supervision;

pub use fields::{Field, Fields, Form, Reach, parse_duration};
pub use problem::{Problem, shown, shown_path, shown_value};
pub use schema::schema;
pub use secret::{Secret, Unreadable};
pub use services::{GENERAL_FIELDS, Service};
pub use supervision::{Supervision, is_journal};

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fetch::{Proxies, Roots, Url};
use crate::shard::{self, Shard};
use crate::sorted::sort_by;
use crate::sources::{Defaults, SOURCES, Scale};
use settings::{Ask, Given, Setting};

/// Where services.json is looked for when none is given: here, and where the Python exporter's image had it.
const USUAL_PLACES: [&str; 2] = ["./services.json", "/app/statuspage-exporter/services.json"];
/// Where the Python exporter's image had its cache: our default while something is mounted there.
const OLD_CACHE: &str = "/app/statuspage-exporter/cache";
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
                let config = read(&given, problems)?;
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
        read(given, Vec::new())
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
    let listen = reader.listen(&services);
    // What depends on all services is known by now.
    let shard = reader.shard();
    let (services, elsewhere): (Vec<_>, Vec<_>) = services
        .into_iter()
        .partition(|service| shard.owns(&service.key));
    let intended = reader.intended();
    let config = Config {
        mode: reader.mode(intended),
        intended,
        listen,
        services_file,
        services,
        elsewhere: elsewhere.into_iter().map(|service| service.key).collect(),
        shard,
        has_reload_route: reader.value(&settings::ENABLE_RELOAD, true, parse_truth),
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
        inputs: Given::default(),
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

    /// What is done unless the configuration is only checked.
    fn intended(&mut self) -> Mode {
        self.value(&settings::RUN_MODE, Mode::Daemon, |text| {
            match text.to_ascii_lowercase().as_str() {
                "daemon" => Ok(Mode::Daemon),
                "once" => Ok(Mode::Once),
                _ => Err("is neither daemon nor once".to_owned()),
            }
        })
    }

    fn mode(&mut self, intended: Mode) -> Mode {
        let check = self.value(&settings::CONFIG_CHECK, false, parse_truth);
        if check { Mode::Check } else { intended }
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

    /// Which services are ours: all of them unless there is a number of shards.
    fn shard(&mut self) -> Shard {
        let total = self.value(&settings::TOTAL_SHARDS, 0, parse_total_shards);
        let (given, given_total) = (
            self.given.get(&settings::SHARD),
            self.given.get(&settings::TOTAL_SHARDS),
        );
        let Some(given_total) = given_total.filter(|_| total > 0) else {
            if let (Some(value), None) = (given, self.given.get(&settings::TOTAL_SHARDS)) {
                let what = "a shard of how many? say it with --total-shards";
                self.problems.push(value.problem(what));
            }
            return Shard::WHOLE;
        };
        let ordinal = match given.filter(|value| value.text != "auto") {
            Some(value) => match value.text.trim().parse() {
                Ok(ordinal) if ordinal < total => Ok(ordinal),
                _ => {
                    let last = total - 1;
                    Err(value.problem(&format!(
                        "neither auto nor a number from 0 to {last}, as there are {total} shards"
                    )))
                }
            },
            // The only one needs no name.
            None if total == 1 => Ok(0),
            None => {
                let host = self.host_name();
                let name = shown(&host);
                match shard::ordinal_of_host(&host) {
                    Some(ordinal) if ordinal < total => Ok(ordinal),
                    Some(ordinal) => Err(given_total.problem(&format!(
                        "the host name {name} says shard {ordinal}, but shards are counted from 0; raise it to the number of replicas"
                    ))),
                    None => Err(given_total.problem(&format!(
                        "the host name {name} does not end in a dash and a number, as in a StatefulSet; say which shard this is with --shard"
                    ))),
                }
            }
        };
        match ordinal {
            Ok(ordinal) => Shard { ordinal, total },
            Err(problem) => {
                self.problems.push(problem);
                Shard::WHOLE
            }
        }
    }

    /// As containers are told, else as the system says.
    fn host_name(&self) -> String {
        match self.given.variable("HOSTNAME") {
            Some(name) => name.to_owned(),
            None => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        }
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
        let usual = of_systemd.unwrap_or_else(|| match is_mounted(OLD_CACHE.as_ref()) {
            true => OLD_CACHE,
            false => "./cache",
        });
        self.value(&settings::CACHE_DIR, usual.into(), |text| Ok(text.into()))
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

/// Whether a folder exists and is, or lies in, something that is mounted. That it exists is not enough: the image brings
/// it, so that a fresh volume there belongs to the right user.
fn is_mounted(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    folder.is_dir() && mounts.is_ok_and(|mounts| has_mount(&mounts, folder))
}

/// `mounts` has a line for each mount, the fifth word of which is the place; see proc_pid_mountinfo(5).
fn has_mount(mounts: &str, folder: &Path) -> bool {
    let mut places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    places.any(|place| place != "/" && folder.starts_with(place))
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

fn parse_total_shards(text: &str) -> Result<u32, String> {
    let most = shard::SHARDS_LIMIT;
    let total = text.trim().parse().ok();
    total
        .filter(|total| (1..=most).contains(total))
        .ok_or_else(|| format!("not a number from 1 to {most}"))
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

    fn check_mount(places: &[&str], expected: bool) {
        let line =
            |place: &&str| format!("36 35 98:0 /mnt1 {place} rw,noatime - ext3 /dev/root rw\n");
        let mounts: String = places.iter().map(line).collect();
        assert_eq!(
            has_mount(&mounts, OLD_CACHE.as_ref()),
            expected,
            "{places:?}"
        );
    }

    #[test]
    fn the_old_cache_counts_as_mounted_when_it_or_a_folder_around_it_is() {
        check_mount(&["/", "/app/statuspage-exporter/cache"], true);
        check_mount(&["/", "/app/statuspage-exporter"], true);
        check_mount(&["/", "/app"], true);
        check_mount(&["/", "/proc"], false);
        check_mount(&["/", "/app/statuspage-exporter/services.json"], false);
        check_mount(&["/", "/app/statuspage-exporter/cac"], false);
        check_mount(&[], false);
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
