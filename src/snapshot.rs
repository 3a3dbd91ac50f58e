//! The state map: what a scrape shows now. One entry a service, replaced whole, so that no scrape sees half of it.
//!
//! The poller publishes; the server reads. The lock is held to put one `Arc` in or to copy the `Arc`s out, never
//! while a page is made.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::exposition::Blocks;
use crate::fetch::Exchange;
use crate::overview::Overview;
use crate::sorted::SortedMap;

/// What is shown of one service.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its series, and those of the exporter about it.
    pub blocks: Blocks,
    /// What the pages for people say of it.
    pub status: ServiceStatus,
    /// Another number for every entry ever published; given by [`Snapshot::publish`].
    pub version: u64,
}

/// A service's key and its entry.
pub type KeyedEntry = (Arc<str>, Arc<Entry>);

/// What the pages for people say of a service.
#[derive(Clone, Debug, Default)]
pub struct ServiceStatus {
    /// The type in services.json.
    pub kind: &'static str,
    /// Its name for people.
    pub name: String,
    /// Where it is asked, without query.
    pub address: String,
    /// Its settings in words.
    pub about: String,
    /// What a process with no other service answers at `/health`, as JSON, if it has a form of its own.
    pub own_health: Option<String>,
    /// Its state in words, if it is known.
    pub headline: Option<String>,
    /// How good that is, and what it is made of.
    pub overview: Arc<Overview>,
    /// The last request to its upstream, if there was one.
    pub exchange: Option<Arc<Exchange>>,
    /// Whether it was polled, or loaded from the cache, once.
    pub is_ready: bool,
    /// When the last poll ended.
    pub last_poll: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Option<Duration>,
    /// When the last good poll ended.
    pub last_success: Option<Timestamp>,
    /// When the next one begins.
    pub next_poll: Option<Timestamp>,
    /// The same for the watchdog, which must not be misled when somebody sets the time of day.
    pub due: Option<Instant>,
    /// Why the last poll failed, if it did.
    pub failure: Option<FailureNote>,
    /// The last failure, when polls have succeeded since.
    pub past_failure: Option<FailureNote>,
}

/// A failed poll, for people.
#[derive(Clone, Debug)]
pub struct FailureNote {
    /// When the poll ended.
    pub time: Timestamp,
    /// The failure kind.
    pub kind: &'static str,
    /// What happened.
    pub sentence: String,
    /// What to do.
    pub remedy: &'static str,
}

/// The entries of all services by key, in a mutex.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Guards the map from service key to entry, and the number of changes so far.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: SortedMap<Arc<str>, Arc<Entry>>,
    version: u64,
    was_ready: bool,
}

impl Snapshot {
    /// Shows this entry from now on, in the place of the service's earlier one.
    pub fn publish(&self, key: &Arc<str>, mut entry: Entry) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.version += 1;
        entry.version = state.version;
        let earlier = state.entries.insert(Arc::clone(key), Arc::new(entry));
        drop(state);
        // Freed after the lock is open again.
        drop(earlier);
    }

    /// Removes and shows services at one moment: what a reload changes, or what a process begins with.
    pub fn replace(&self, removed: &[String], shown: Vec<(Arc<str>, Entry)>) {
        let mut earlier = Vec::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Once ready is ready for good: a service that a reload adds must not take all others out of service.
        state.was_ready |= state.version > 0 && state.is_ready();
        state.version += 1;
        for key in removed {
            earlier.extend(state.entries.remove(key.as_str()));
        }
        for (key, mut entry) in shown {
            state.version += 1;
            entry.version = state.version;
            earlier.extend(state.entries.insert(key, Arc::new(entry)));
        }
        drop(state);
        // Freed after the lock is open again.
        drop(earlier);
    }

    /// The entries as they are now, by key, and a number that grows with every change.
    pub fn entries(&self) -> (u64, Vec<KeyedEntry>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = state
            .entries
            .iter()
            .map(|(key, entry)| (Arc::clone(key), Arc::clone(entry)));
        (state.version, entries.collect())
    }

    /// Whether every service that the process began with was polled, or loaded from the cache, once.
    pub fn is_ready(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.was_ready || state.is_ready()
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.entries.values().all(|entry| entry.status.is_ready)
    }
}
