//! Which services run: begins, keeps and ends their workers as the configuration wants it.
//!
//! How a worker works is the poller's business; when the configuration is read again, that of [`crate::reload`],
//! which calls it, as start-up does.

use std::io;

use crate::config::Service;
use crate::lease::Lease;
use crate::poller::{self, Rounds, Running, Shared};

/// Workers of removed or changed services whose last poll has not ended; with more, nothing is changed. Each has two
/// threads until its upstream has answered or its time-out is over, and a reload a second could make more and more.
const LEAVING_LIMIT: usize = 1_000;

/// The services at work.
pub struct Roster {
    shared: Shared,
    rounds: Rounds,
    /// By key.
    running: Vec<Running>,
    /// Those of workers that were ended, until their threads have.
    leaving: Vec<Lease>,
}

/// What became of the services.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys of services that were not there before.
    pub added: Vec<String>,
    /// Keys of those that are not there any more.
    pub removed: Vec<String>,
    /// Keys of those that are configured differently, and began again with what their cache holds.
    pub changed: Vec<String>,
    /// How many go on as if nothing had happened.
    pub unchanged: usize,
}

impl Roster {
    /// No service yet.
    pub fn new(shared: Shared, rounds: Rounds) -> Roster {
        Roster {
            shared,
            rounds,
            running: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Runs these services, which are sorted by key, and no other from now on. The page changes at one moment.
    ///
    /// # Errors
    /// There are too many threads; nothing was changed.
    pub fn change(&mut self, services: Vec<Service>) -> io::Result<Changes> {
        self.leaving.retain(|lease| !lease.is_the_last());
        if self.leaving.len() > LEAVING_LIMIT {
            return Err(io::Error::other(
                "services of earlier reloads have not ended their last poll",
            ));
        }
        let (changes, begin) = self.compare(services);
        let hired = poller::hire(begin, &self.shared, self.rounds)?;
        // From here on nothing fails.
        let mut gone = Vec::new();
        for key in changes.removed.iter().chain(&changes.changed) {
            if let Ok(place) = self.place(key) {
                let leaving = self.running.remove(place);
                gone.push(leaving.key.clone());
                self.leaving.push(leaving.end());
            }
        }
        let shown = hired.restore();
        self.shared.snapshot.replace(&gone, shown);
        for running in hired.begin() {
            // What is new has been found in none of the places.
            let (Ok(place) | Err(place)) = self.place(&running.key);
            self.running.insert(place, running);
        }
        Ok(changes)
    }

    /// What would change, and the services that must begin.
    fn compare(&self, services: Vec<Service>) -> (Changes, Vec<Service>) {
        let mut changes = Changes::default();
        for running in &self.running {
            let place = services.binary_search_by(|service| service.key.cmp(&running.key));
            if place.is_err() {
                changes.removed.push(running.key.clone());
            }
        }
        let mut begin = Vec::new();
        for service in services {
            let place = self.place(&service.key).ok();
            match place.and_then(|place| self.running.get(place)) {
                Some(running) if running.fingerprint == service.fingerprint => {
                    changes.unchanged += 1;
                    continue;
                }
                Some(_) => changes.changed.push(service.key.clone()),
                None => changes.added.push(service.key.clone()),
            }
            begin.push(service);
        }
        (changes, begin)
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.running
            .binary_search_by(|running| running.key.as_str().cmp(key))
    }

    /// Waits until every worker has ended.
    pub fn join(self) {
        self.running.into_iter().for_each(Running::join);
    }
}
