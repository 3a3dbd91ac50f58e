//! Flags, variables and services.json read into a [`Config`], with everything that is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use super::places::{BUILT_IN, BUILT_IN_NAME, OLD_CACHE, USUAL_PLACES, is_mounted, read_file};
use super::problem::{Problem, shown};
use super::services::{self, Service};
use super::settings::{self, Given, Setting};
use super::values::{
    parse_concurrency, parse_interval, parse_listen, parse_port, parse_retention, parse_scale,
    parse_total_shards, parse_truth,
};
use super::{Config, Listen, LogSettings, Mode, Secret, Supervision, is_journal};
use crate::fetch::{Proxies, Roots, Url};
use crate::shard::{self, Shard};
use crate::sorted::sort_by;
use crate::sources::{Defaults, SOURCES, Scale};

/// The port that is listened at when nothing else is said.
const DEFAULT_PORT: u16 = 9001;

/// Everything at once: what depends on all services comes last.
///
/// # Errors
/// Every mistake found.
pub(super) fn read(given: &Given, problems: Vec<Problem>) -> Result<Config, Vec<Problem>> {
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
pub(super) struct Reader<'a> {
    pub(super) given: &'a Given,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
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
    pub(super) fn listen(&mut self, services: &[Service]) -> Vec<Listen> {
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

    pub(super) fn services(&mut self, defaults: &Defaults) -> (String, Vec<Service>) {
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
