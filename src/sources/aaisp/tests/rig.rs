//! One service against one simulated API, with a clock that is turned by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use log::kv::{Error, Key, Value as LogValue, VisitSource};
use serde_json::Value;

use super::aaisp_upstream::{self, Chaos, LOGIN, PASSWORD};
use crate::cache::Cache;
use crate::clock::Clock;
use crate::clock::fake::FakeClock;
use crate::config::settings::Given;
use crate::config::{Fields, Reach};
use crate::fetch::{Failure, Fetcher, Proxies, Upstream, UpstreamSettings};
use crate::model::Families;
use crate::notify::Notifier;
use crate::sorted::SortedMap;
use crate::sources::aaisp::KIND;
use crate::sources::{Defaults, Next, Parts, Poll, Scale, Source};

/// Nothing here waits for an answer longer than this.
const TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// One service against one simulated API.
pub(super) struct Rig {
    pub(super) chaos: Chaos,
    key: String,
    clock: Arc<FakeClock>,
    pub(super) start: Instant,
    upstream: Upstream,
    pub(super) source: Box<dyn Source>,
    folder: PathBuf,
    has_been_polled: bool,
    pub(super) settings_in_words: String,
}

impl Drop for Rig {
    fn drop(&mut self) {
        aaisp_upstream::remove_folder(&self.folder);
    }
}

impl Rig {
    /// `fields` are added to the login, the password and the address.
    pub(super) fn new(key: &str, chaos: Chaos, fields: Value) -> Rig {
        Rig::with_timeout(key, chaos, fields, TIMEOUT)
    }

    pub(super) fn with_timeout(key: &str, chaos: Chaos, fields: Value, timeout: Duration) -> Rig {
        capture_log();
        let mut values: SortedMap<String, Value> =
            SortedMap::from([("base_url".to_owned(), chaos.url().into())]);
        if fields.get("control_password_file").is_none() {
            values.insert("control_password".to_owned(), PASSWORD.into());
        }
        values.insert("control_login".to_owned(), LOGIN.into());
        let fields = fields.as_object().cloned().unwrap_or_default();
        values.extend(fields);
        let (given, mut problems, mut warnings) = (Given::default(), Vec::new(), Vec::new());
        let mut reader = Fields::new(
            "services.json",
            key,
            &given,
            values,
            Reach::Nothing,
            &mut problems,
            &mut warnings,
        );
        let defaults = Defaults {
            interval: SECOND,
            scale: Scale::Binary,
            resolved_retention: SECOND,
        };
        (KIND.stand_ins)(&mut reader);
        let settings = (KIND.configure)(&mut reader, &defaults);
        assert!(problems.is_empty(), "{problems:?}");
        let clock = Arc::new(FakeClock::at("2026-11-20T08:00:00Z"));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let fetcher = Arc::new(Fetcher::new(32, Proxies::default(), None));
        let upstream_settings = UpstreamSettings {
            timeout,
            headers: Vec::new(),
            ca: None,
        };
        let upstream = Upstream::new(
            Arc::clone(&fetcher),
            Arc::clone(&as_clock),
            &upstream_settings,
        );
        let folder = aaisp_upstream::scratch_folder(key);
        let cache = Arc::new(Cache::open(&folder, false));
        let notifier = Notifier::start(None, fetcher, Arc::clone(&as_clock), Arc::clone(&cache));
        let parts = Parts {
            key: key.to_owned(),
            interval: SECOND,
            clock: as_clock,
            cache,
            notifier,
        };
        let settings = settings.expect("no problem was noted");
        Rig {
            settings_in_words: format!("{settings:?} {}", settings.about()),
            source: settings.build(parts),
            key: key.to_owned(),
            start: clock.instant(),
            chaos,
            clock,
            upstream,
            folder,
            has_been_polled: false,
        }
    }

    pub(super) fn poll(&mut self) -> Result<(), Failure> {
        self.has_been_polled = true;
        let mut publish = |_: &dyn Source| {};
        let mut poll = Poll {
            upstream: &self.upstream,
            until: self.clock.instant(),
            publish: &mut publish,
        };
        self.source.poll(&mut poll)
    }

    /// The pauses that a poll asked for, in seconds.
    pub(super) fn pauses_of_a_poll(&mut self) -> Vec<u64> {
        let before = self.clock.pauses().len();
        let _ = self.poll();
        let pauses = self.clock.pauses();
        pauses.iter().skip(before).map(Duration::as_secs).collect()
    }

    /// Turns the clock to a second after the start, and polls whenever the source wants it until then.
    pub(super) fn go_to(&mut self, second: u64) {
        let end = self.start + SECOND * second as u32;
        if !self.has_been_polled {
            let _ = self.poll();
        }
        while let Next::At(due) = self.source.next() {
            if due > end {
                break;
            }
            self.turn_to(due);
            let _ = self.poll();
        }
        self.turn_to(end);
    }

    pub(super) fn turn_to(&self, moment: Instant) {
        let wait = moment.saturating_duration_since(self.clock.instant());
        self.clock.pause(wait).expect("it never stops");
    }

    /// Every series with its value.
    pub(super) fn page(&self) -> BTreeMap<String, f64> {
        let mut families = Families::default();
        self.source.families(&mut families);
        let samples = families.finish().into_iter().flat_map(|family| {
            let name = family.meta.name;
            let samples = family.samples.into_iter();
            samples.map(move |sample| {
                (
                    format!("{name}{}{}", sample.suffix, sample.labels),
                    sample.value,
                )
            })
        });
        samples.collect()
    }

    pub(super) fn value(&self, series: &str) -> Option<f64> {
        self.page().get(series).copied()
    }

    /// The names of the series that begin like this.
    pub(super) fn series(&self, begin: &str) -> Vec<String> {
        let page = self.page();
        let names = page.into_keys().filter(|name| name.starts_with(begin));
        names.collect()
    }

    pub(super) fn errors(&self, collector: &str, class: &str) -> Option<f64> {
        let page = self.page();
        let mut found = page.iter().filter(|(name, _)| {
            name.starts_with("aaisp_collector_errors_total")
                && name.contains(&format!("\"{collector}\""))
                && name.contains(&format!("\"{class}\""))
        });
        found.next().map(|(_, value)| *value)
    }

    pub(super) fn attempts(&self, subsystem: &str, command: &str, status: &str) -> Option<f64> {
        self.value(&format!(
            "aaisp_api_requests_total{{command=\"{command}\",status_code=\"{status}\",subsystem=\"{subsystem}\"}}"
        ))
    }

    pub(super) fn last_success(&self, collector: &str) -> Option<f64> {
        self.value(&format!(
            "aaisp_collector_last_successful_collection_timestamp{{collector_name=\"{collector}\"}}"
        ))
    }

    /// The log lines about this service that hold a text.
    pub(super) fn logged(&self, text: &str) -> Vec<String> {
        let lines = LINES
            .lock()
            .expect("no test panics while it holds the lock");
        let own = format!(" service={} ", self.key);
        lines
            .iter()
            .filter(|line| line.contains(&own) && line.contains(text))
            .cloned()
            .collect()
    }
}

/// What all tests of this process have logged.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Pairs(String);
        impl<'kvs> VisitSource<'kvs> for Pairs {
            fn visit_pair(&mut self, key: Key<'kvs>, value: LogValue<'kvs>) -> Result<(), Error> {
                self.0.push_str(&format!("{key}={value} "));
                Ok(())
            }
        }
        let mut pairs = Pairs(String::new());
        record
            .key_values()
            .visit(&mut pairs)
            .expect("the visitor never fails");
        let line = format!("{} {} {}", record.level(), record.args(), pairs.0);
        LINES
            .lock()
            .expect("no test panics while it holds the lock")
            .push(line);
    }

    fn flush(&self) {}
}

fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("no other test of this process sets one");
        log::set_max_level(log::LevelFilter::Trace);
    });
}
