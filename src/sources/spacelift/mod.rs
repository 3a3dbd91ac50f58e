//! Spacelift: worker pools, billing usage, stack and drift counts of one account, out of its GraphQL API.
//!
//! [`round`] asks each [`question::Collector`] by itself, one after another; [`session`] keeps the token, [`api`] says
//! what an answer is, [`reading`] what its data means; [`details`] are lists of stacks and resources at a slower pace,
//! [`standing`] is each collector's health, and [`families`] shows it all. [`settings`] reads the [`fields`].

mod api;
mod details;
mod families;
mod fields;
mod notation;
mod overview;
mod question;
mod reading;
mod round;
mod session;
mod settings;
mod standing;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Parts, Poll, Source, SourceKind};
use crate::cache::Kept;
use crate::fetch::Failure;
use crate::model::Families;
use crate::overview::Overview;
use crate::sorted::SortedMap;
use api::Http;
use details::{KeptDetails, Resources, Stacks};
use question::Collector;
use reading::{Aggregates, Pools, PublicPool, Usage};
use session::Session;
use settings::Settings;
use standing::{Reminder, Standing};

/// The row of the table of sources.
pub const KIND: SourceKind = SourceKind {
    name: "spacelift",
    fields: fields::FIELDS,
    families: families::all,
    is_in_environment: settings::is_in_environment,
    own_listen: settings::own_listen,
    stand_ins: settings::stand_ins,
    configure: Settings::configure,
};

/// One account.
struct Spacelift {
    settings: Settings,
    parts: Parts,
    session: Session,
    /// Of every collector that is on, in the order in which they are asked.
    standings: SortedMap<Collector, Standing>,
    learned: Learned,
    /// When a collector of details is asked next; it is due when it is not here.
    details_due: SortedMap<Collector, Instant>,
    /// Of the last whole poll.
    poll_duration: Option<Duration>,
    exchange_reminder: Reminder,
    has_told_of_duplicates: bool,
    /// Whether the details differ from those on disk.
    is_unsaved: bool,
}

/// What is known of the account; none of what was never learned or could not be learned last time.
#[derive(Default)]
struct Learned {
    public_pool: Option<PublicPool>,
    pools: Option<Pools>,
    usage: Option<Usage>,
    aggregates: Option<Aggregates>,
    stacks: Option<Stacks>,
    resources: Option<Resources>,
}

impl Learned {
    /// True if that is worth a write: a detail was known.
    fn forget(&mut self, collector: Collector) -> bool {
        match collector {
            Collector::PublicWorkerPool => self.public_pool = None,
            Collector::WorkerPools => self.pools = None,
            Collector::Usage => self.usage = None,
            Collector::Aggregates => self.aggregates = None,
            Collector::Stacks => return self.stacks.take().is_some(),
            Collector::Resources => return self.resources.take().is_some(),
        }
        false
    }

    fn has_duplicates(&self) -> bool {
        let of_pools = self
            .pools
            .as_ref()
            .is_some_and(|pools| pools.has_duplicates);
        let aggregates = self.aggregates.as_ref();
        of_pools
            || aggregates
                .is_some_and(|all| all.stacks.has_duplicates || all.resources.has_duplicates)
    }
}

impl Spacelift {
    fn new(settings: Settings, parts: Parts) -> Spacelift {
        let collectors = settings.collectors.iter();
        let clock = Arc::clone(&parts.clock);
        Spacelift {
            session: Session::new(parts.key.clone(), settings.key.clone(), clock),
            standings: collectors
                .map(|collector| (*collector, Standing::default()))
                .collect(),
            settings,
            parts,
            learned: Learned::default(),
            details_due: SortedMap::new(),
            poll_duration: None,
            exchange_reminder: Reminder::default(),
            has_told_of_duplicates: false,
            is_unsaved: false,
        }
    }

    /// Takes up a detail that is not older than the details would be without the restart.
    fn is_young(&mut self, collector: Collector, fetched_ms: i64, now: Timestamp) -> bool {
        let age_ms = u64::try_from(now.as_millisecond() - fetched_ms).ok();
        let left = age_ms.and_then(|age| {
            self.settings
                .details_interval
                .checked_sub(Duration::from_millis(age))
        });
        let (Some(left), Some(standing)) = (left, self.standings.get_mut(&collector)) else {
            return false;
        };
        standing.last_success = Timestamp::from_millisecond(fetched_ms).ok();
        let due = self.parts.clock.instant() + left;
        self.details_due.insert(collector, due);
        true
    }
}

impl Source for Spacelift {
    fn restore(&mut self, kept: Option<Kept>, now: Timestamp) -> bool {
        let Some(kept) = kept else {
            return false;
        };
        let kept: KeptDetails = match serde_json::from_value(kept.state) {
            Ok(kept) => kept,
            Err(cause) => {
                let cache = &self.parts.cache;
                cache.set_aside_state(&self.parts.key, &cause.to_string());
                return false;
            }
        };
        if kept.endpoint != self.settings.url.to_string() {
            return false;
        }
        let stacks = kept.stacks;
        self.learned.stacks =
            stacks.filter(|stacks| self.is_young(Collector::Stacks, stacks.fetched_ms, now));
        let resources = kept.resources;
        self.learned.resources =
            resources.filter(|all| self.is_young(Collector::Resources, all.fetched_ms, now));
        self.learned.stacks.is_some() || self.learned.resources.is_some()
    }

    fn poll(&mut self, poll: &mut Poll<'_>) -> Result<(), Failure> {
        let url = self.settings.url.clone();
        let api = Http {
            upstream: poll.upstream,
            url: &url,
        };
        let clock = Arc::clone(&self.parts.clock);
        let begun = clock.instant();
        let outcome = self.round(&api, poll.publish);
        self.poll_duration = Some(clock.instant().saturating_duration_since(begun));
        outcome
    }

    fn families(&self, families: &mut Families) {
        let requests = self.session.requests();
        families::add_exporter(self.poll_duration, requests, families);
        for (collector, standing) in &self.standings {
            families::add_standing(*collector, standing, families);
        }
        let learned = &self.learned;
        if let Some(pool) = &learned.public_pool {
            families::add_public_pool(pool, families);
        }
        if let Some(pools) = &learned.pools {
            families::add_pools(pools, families);
        }
        if let Some(usage) = &learned.usage {
            families::add_usage(usage, families);
        }
        if let Some(aggregates) = &learned.aggregates {
            families::add_aggregates(aggregates, families);
        }
        // Never both: a sum over the series would count everything twice.
        let (aggregates, space) = (learned.aggregates.as_ref(), self.settings.space_label);
        match (&learned.stacks, aggregates) {
            (Some(stacks), _) => families::add_stacks(&stacks.counts(space), families),
            (None, Some(aggregates)) => families::add_stacks(&aggregates.stacks, families),
            (None, None) => {}
        }
        match (&learned.resources, aggregates) {
            (Some(resources), _) => {
                let counts = resources.counts(learned.stacks.as_ref(), space);
                families::add_resources(&counts, families);
            }
            (None, Some(aggregates)) => families::add_resources(&aggregates.resources, families),
            (None, None) => {}
        }
    }

    fn headline(&self) -> Option<String> {
        let tried = self
            .standings
            .values()
            .filter_map(|standing| standing.is_good);
        let (tried, good) = tried.fold((0, 0), |(tried, good), is_good| {
            (tried + 1, good + usize::from(is_good))
        });
        (tried > 0).then(|| format!("{good} of {tried} collectors work"))
    }

    fn overview(&self) -> Overview {
        overview::overview(self)
    }

    fn unsaved(&self) -> Option<String> {
        if !self.is_unsaved {
            return None;
        }
        let kept = KeptDetails {
            endpoint: self.settings.url.to_string(),
            stacks: self.learned.stacks.clone(),
            resources: self.learned.resources.clone(),
        };
        serde_json::to_string(&kept).ok()
    }

    fn saved(&mut self) {
        self.is_unsaved = false;
    }
}

#[cfg(test)]
mod tests;
