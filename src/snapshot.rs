//! The state map: what a scrape shows now. One entry a service, replaced whole, so that no scrape sees half of it.
//!
//! The poller publishes; the server reads. The lock is held to put one `Arc` in or to copy the `Arc`s out, never
//! while a page is made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::exposition::Blocks;

/// What is shown of one service.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its series, and those of the exporter about it.
    pub blocks: Blocks,
    /// Its line on the landing page.
    pub status: ServiceStatus,
}

/// What the landing page says of a service.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    /// The type in services.json.
    pub kind: &'static str,
    /// Its name for people.
    pub name: String,
    /// Where it is asked, without query.
    pub address: String,
    /// Its state in words, if it is known.
    pub headline: Option<String>,
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
    /// Why the last poll failed, if it did.
    pub failure: Option<FailureNote>,
}

/// A failed poll, for people.
#[derive(Clone, Debug)]
pub struct FailureNote {
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
    /// Guards the map from service key to entry.
    entries: Mutex<BTreeMap<String, Arc<Entry>>>,
}

impl Snapshot {
    /// Shows this entry from now on, in the place of the service's earlier one.
    pub fn publish(&self, key: &str, entry: Entry) {
        let earlier = self
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.to_owned(), Arc::new(entry));
        // Freed after the lock is open again.
        drop(earlier);
    }

    /// The entries as they are now, by key.
    pub fn entries(&self) -> Vec<(String, Arc<Entry>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Whether every service was polled, or loaded from the cache, once.
    pub fn is_ready(&self) -> bool {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .all(|entry| entry.status.is_ready)
    }
}
