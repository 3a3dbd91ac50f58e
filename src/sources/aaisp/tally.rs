//! What the source counts about itself: requests and their durations, runs, errors by class.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::chaos::{Command, ErrorClass};
use crate::fetch::{Attempt, Failure};
use crate::model::{Bound, Histogram};
use crate::sorted::SortedMap;

/// The buckets of the program that this source replaces, in its spelling (contract, section 4).
static BOUNDS: [Bound; 14] = [
    bound(0.005, "0.005"),
    bound(0.01, "0.01"),
    bound(0.025, "0.025"),
    bound(0.05, "0.05"),
    bound(0.075, "0.075"),
    bound(0.1, "0.1"),
    bound(0.25, "0.25"),
    bound(0.5, "0.5"),
    bound(0.75, "0.75"),
    bound(1.0, "1.0"),
    bound(2.5, "2.5"),
    bound(5.0, "5.0"),
    bound(7.5, "7.5"),
    bound(10.0, "10.0"),
];

const fn bound(value: f64, le: &'static str) -> Bound {
    Bound { value, le }
}

/// One of the works whose runs are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Collector {
    BroadbandInfo,
    BroadbandQuota,
    TelephonyInfo,
    RateCard,
}

impl Collector {
    /// In the order of their labels.
    pub(super) const ALL: [Collector; 4] = [
        Collector::BroadbandInfo,
        Collector::BroadbandQuota,
        Collector::TelephonyInfo,
        Collector::RateCard,
    ];

    /// The labels `collector_name` and `subsystem`.
    pub(super) fn labels(self) -> [&'static str; 2] {
        match self {
            Collector::BroadbandInfo => ["BroadbandInfoCollector", "broadbandinfo"],
            Collector::BroadbandQuota => ["BroadbandQuotaCollector", "broadbandquota"],
            Collector::TelephonyInfo => ["TelephonyInfoCollector", "telephonyinfo"],
            Collector::RateCard => ["TelephonyRateCardCollector", "telephonyratecard"],
        }
    }
}

/// Counts of the requests. Threads of one run count at the same time.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Guards the counts by command.
    by_command: Mutex<SortedMap<Command, CommandCounts>>,
}

/// Counts of the requests of one command.
#[derive(Clone, Debug)]
pub(super) struct CommandCounts {
    /// By the label `status_code`.
    pub(super) by_status: SortedMap<String, u64>,
    pub(super) durations: Histogram,
}

impl Requests {
    /// Counts one attempt.
    pub(super) fn count(&self, command: Command, attempt: &Attempt<'_>) {
        let mut by_command = self.lock();
        let counts = by_command.or_insert_with(command, || CommandCounts {
            by_status: SortedMap::new(),
            durations: Histogram::new(&BOUNDS),
        });
        *counts.by_status.or_default(status_label(attempt)) += 1;
        counts.durations.observe(attempt.duration.as_secs_f64());
    }

    /// The counts so far.
    pub(super) fn so_far(&self) -> SortedMap<Command, CommandCounts> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, SortedMap<Command, CommandCounts>> {
        self.by_command
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of an attempt; `0` where no whole answer came.
fn status_label(attempt: &Attempt<'_>) -> String {
    match (attempt.status, attempt.failure) {
        (_, Some(Failure::Timeout { .. } | Failure::BodyCut(_))) | (None, _) => "0".to_owned(),
        (Some(status), _) => status.to_string(),
    }
}

/// How the runs of one collector went.
#[derive(Debug)]
pub(super) struct Runs {
    /// Of those that succeeded.
    pub(super) durations: Histogram,
    pub(super) last_success: Option<Timestamp>,
    pub(super) errors: SortedMap<ErrorClass, u64>,
    /// Why the last run failed, if it did.
    pub(super) failure: Option<Failure>,
}

impl Default for Runs {
    fn default() -> Runs {
        Runs {
            durations: Histogram::new(&BOUNDS),
            last_success: None,
            errors: SortedMap::new(),
            failure: None,
        }
    }
}

impl Runs {
    /// Counts a run that succeeded.
    pub(super) fn note_success(&mut self, duration: Duration, now: Timestamp) {
        self.durations.observe(duration.as_secs_f64());
        self.last_success = Some(now);
        self.failure = None;
    }

    /// Counts an error, of a run or of one line in it.
    pub(super) fn note_error(&mut self, class: ErrorClass) {
        *self.errors.or_default(class) += 1;
    }
}
