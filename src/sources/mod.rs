//! What a source is, and the table of all sources.
//!
//! A source knows what to ask one kind of upstream and what the answers mean. When it is asked, what happens to a
//! failure, how its state is kept and shown is written once, in [`crate::poller`]. To add one: write its file, add
//! its row to [`SOURCES`], its document under docs/sources and a golden file.

pub mod aaisp;
pub mod pantheon;
pub mod spacelift;
pub mod statuspage;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use statuspage::Scale;

use crate::cache::{Cache, Kept};
use crate::clock::Clock;
use crate::config::settings::Given;
use crate::config::{Field, Fields, Listen, Problem, Secret};
use crate::fetch::{Failure, Roots, Upstream};
use crate::lease::Lease;
use crate::model::{Families, FamilyMeta, StaticLabels};
use crate::notify::Notifier;
use crate::overview::Overview;

/// Every source, by its name in services.json.
pub static SOURCES: &[SourceKind] = &[
    statuspage::KIND,
    spacelift::KIND,
    pantheon::KIND,
    aaisp::KIND,
];

/// A row of the table of sources.
#[derive(Debug)]
pub struct SourceKind {
    /// The value of `type`.
    pub name: &'static str,
    /// Its fields in services.json, beside those that every service may have.
    pub fields: &'static [Field],
    /// Every metric family it may emit.
    pub families: fn() -> &'static [FamilyMeta],
    /// Whether the environment alone describes a service of this kind, as the program that it replaces wants it.
    pub is_in_environment: fn(&Given) -> bool,
    /// Where that program listens, for a process with no other service.
    pub own_listen: fn(&Given) -> Result<Option<Listen>, Problem>,
    /// Lets variables stand in for fields, before any field is read.
    pub stand_ins: fn(&mut Fields<'_>),
    /// Reads and checks its fields; none when a mistake was noted.
    pub configure: fn(&mut Fields<'_>, &Defaults) -> Option<Box<dyn SourceSettings>>,
}

/// Settings of the process that a service may override.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Defaults {
    /// Time between two polls.
    pub interval: Duration,
    /// Which numbers stand for maintenance and trouble on status pages.
    pub scale: Scale,
    /// For how long what is over is shown with value 0.
    pub resolved_retention: Duration,
}

/// What a kind of service has instead of the usual defaults.
#[derive(Clone, Debug, Default)]
pub struct Usual {
    /// Time between two polls.
    pub interval: Option<Duration>,
    /// Limit of one request.
    pub timeout: Option<Duration>,
    /// Trust roots beside the usual ones.
    pub ca: Option<Roots>,
    /// Where to listen when it is the only service and nothing else is said.
    pub listen: Option<Listen>,
}

/// What the program that a service replaces was told to log; the process's own settings win.
#[derive(Clone, Copy, Debug, Default)]
pub struct WantedLog {
    /// The least important level that is shown.
    pub level: Option<log::LevelFilter>,
    /// One JSON object a line instead of text.
    pub json: Option<bool>,
}

/// The checked settings of one service.
pub trait SourceSettings: fmt::Debug + Send + Sync {
    /// The service's name for people.
    fn name(&self) -> &str;
    /// Where it is asked, without query.
    fn address(&self) -> String;
    /// The field, and its value, that two services of this type may not share, since their series would collide.
    fn identity(&self, labels: &StaticLabels) -> (&'static str, String);
    /// One line for `--config.check` and for the page at `/`.
    fn about(&self) -> String;
    /// The fields whose values are never shown, so that `--config.check` can tell where they come from.
    fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        Vec::new()
    }
    /// What stands for the fields that every service may have where they are not given.
    fn usual(&self) -> Usual {
        Usual::default()
    }
    /// What the program that it replaces answers at `/health` while it works, as JSON, for checks that look into it.
    fn own_health(&self) -> Option<String> {
        None
    }
    /// What the program that it replaces was told to log.
    fn wanted_log(&self) -> WantedLog {
        WantedLog::default()
    }
    /// Makes the source.
    fn build(&self, parts: Parts) -> Box<dyn Source>;
}

/// What a source is handed when it is made.
#[derive(Clone)]
pub struct Parts {
    /// Its key in services.json.
    pub key: String,
    /// Time between two polls.
    pub interval: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The cache folder, for its own histories and those of an earlier program.
    pub cache: Arc<Cache>,
    /// Where it announces what a person wants to be told.
    pub notifier: Notifier,
    /// Its right to write there.
    pub lease: Lease,
}

/// One poll, as its source sees it.
pub struct Poll<'a> {
    /// The way to the upstream.
    pub upstream: &'a Upstream,
    /// When the next poll is due: a longer `Retry-After` is not waited for.
    pub until: Instant,
    /// Shows what the source knows so far, before the poll has ended.
    pub publish: &'a mut dyn FnMut(&dyn Source),
}

/// When a source wants to be polled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At the next tick of the service's interval.
    Interval,
    /// At a moment of its own.
    At(Instant),
}

/// One service's source: its state, and how that changes with every poll.
pub trait Source: Send {
    /// Takes up what an earlier process kept, before the first poll. True if there is something to show.
    fn restore(&mut self, kept: Option<Kept>, now: Timestamp) -> bool;

    /// One round of requests. The state changes only by what was learned.
    ///
    /// # Errors
    /// Why nothing, or not everything, was learned; it becomes the service's failure.
    fn poll(&mut self, poll: &mut Poll<'_>) -> Result<(), Failure>;

    /// When to be polled next.
    fn next(&self) -> Next {
        Next::Interval
    }

    /// What is shown now.
    fn families(&self, families: &mut Families);

    /// The state in words, for people.
    fn headline(&self) -> Option<String>;

    /// How good the state is and what it is made of, for people.
    fn overview(&self) -> Overview {
        Overview::default()
    }

    /// The state to keep, as JSON, if something worth a write has changed since the last [`Source::saved`].
    fn unsaved(&self) -> Option<String>;

    /// What [`Source::unsaved`] gave last is on disk.
    fn saved(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry;

    /// Gauges whose names the programs that we replace have fixed.
    const GAUGES_NAMED_AS_COUNTERS: [&str; 5] = [
        "aaisp_telephony_prefixes_total",
        "pantheon_visits_total",
        "pantheon_pages_served_total",
        "pantheon_cache_hits_total",
        "pantheon_cache_misses_total",
    ];

    fn all_families() -> Vec<FamilyMeta> {
        let of_sources = SOURCES
            .iter()
            .flat_map(|kind| (kind.families)().iter().copied());
        of_sources.chain(telemetry::all_families()).collect()
    }

    #[test]
    fn family_names_follow_the_rules_of_the_field() {
        for family in all_families() {
            let is_name = |name: &str| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            };
            assert!(is_name(family.name), "{}", family.name);
            assert!(
                family.labels.iter().all(|label| is_name(label)),
                "{}",
                family.name
            );
            let is_counter = family.kind == crate::model::Kind::Counter;
            assert_eq!(
                is_counter || GAUGES_NAMED_AS_COUNTERS.contains(&family.name),
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
            // The formats escape HELP texts differently; ours need no escape in either.
            assert!(
                family.help.ends_with('.') && !family.help.contains(['\\', '"', '\n']),
                "{}",
                family.name
            );
        }
    }

    #[test]
    fn no_family_is_declared_twice() {
        let mut names: Vec<_> = all_families().iter().map(|family| family.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_source_has_its_document_and_its_golden_file() {
        for kind in SOURCES {
            for file in [
                format!("docs/sources/{}.md", kind.name),
                format!("tests/it/golden/{}.prom", kind.name),
            ] {
                assert!(std::path::Path::new(&file).exists(), "{file} is missing");
            }
        }
    }
}
