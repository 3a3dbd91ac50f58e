//! One worker thread per service: wait, poll, publish, keep. It knows no service by name.
//!
//! A worker sleeps on a small stack; its polls run on short-lived threads, since TLS and JSON take stack. A panic ends
//! one poll, not the process.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::allocator;
use crate::cache::Cache;
use crate::clock::{Clock, SystemClock, jitter};
use crate::config::Service;
use crate::exposition::Blocks;
use crate::fetch::{Failure, Fetcher, Upstream, panic_text};
use crate::lease::Lease;
use crate::model::{Families, StaticLabels};
use crate::notify::Notifier;
use crate::packing::Packer;
use crate::snapshot::{Entry, FailureNote, ServiceStatus, Snapshot};
use crate::sources::{Next, Parts, Poll, Source};
use crate::telemetry::Health;

/// Stack of a worker, which only waits: address space, of which a sleeping one has touched 8 KB.
const STACK_BYTES: usize = 128 * 1024;
/// Stack of a round: TLS and nested JSON need up to 192 KB in a debug build.
const ROUND_STACK_BYTES: usize = 512 * 1024;
/// First polls begin this far apart, so that many services do not ask all at once.
const FIRST_POLL_SPACING: Duration = Duration::from_millis(1);
/// All first polls begin within this.
const FIRST_POLL_SPREAD: Duration = Duration::from_secs(3);
/// A poll begins later than its tick by up to this share of the interval, at most [`JITTER_LIMIT`].
const JITTER_SHARE: f64 = 0.05;
/// Largest delay of a poll behind its tick.
const JITTER_LIMIT: Duration = Duration::from_secs(10);
/// Threads that read the cache at start-up, most of the time waiting for the disk.
const RESTORING_THREADS: usize = 4;
/// A service that keeps failing is logged again after this.
const REMINDER: Duration = Duration::from_secs(3600);

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The time, and the switch that ends all waiting; a worker has its own.
    pub clock: Arc<dyn Clock>,
    /// The way to all upstreams.
    pub fetcher: Arc<Fetcher>,
    /// The cache folder.
    pub cache: Arc<Cache>,
    /// Where incidents are announced.
    pub notifier: Notifier,
    /// Where entries are published.
    pub snapshot: Arc<Snapshot>,
    /// Packs the lines of an entry; guarded since it is large and used for a moment.
    pub packer: Arc<Mutex<Packer>>,
}

/// How long workers work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Until the clock is stopped.
    Endless,
    /// One poll each.
    One,
}

/// Workers that are ready but for the word to begin. Dropped without it, they go again: nothing has happened.
pub struct Hired {
    workers: Vec<Arc<Mutex<Worker>>>,
    running: Vec<Running>,
    word: Arc<Word>,
}

/// A service at work, for whoever may end it.
pub struct Running {
    /// The service's key.
    pub key: String,
    /// Of its configuration.
    pub fingerprint: u64,
    stopper: Arc<SystemClock>,
    lease: Lease,
    thread: JoinHandle<()>,
}

/// What the threads of new workers wait for: to begin, or to go.
#[derive(Default)]
struct Word {
    /// Guards what was said, if anything was.
    said: Mutex<Option<bool>>,
    changed: Condvar,
}

/// Makes a worker for each service, with its thread: whatever of a start can fail.
///
/// # Errors
/// The system gives no further thread.
pub fn hire(services: Vec<Service>, shared: &Shared, rounds: Rounds) -> io::Result<Hired> {
    let spacing = FIRST_POLL_SPACING.min(FIRST_POLL_SPREAD / services.len().max(1) as u32);
    let unpolled = Arc::new(AtomicUsize::new(services.len()));
    let mut hired = Hired {
        workers: Vec::new(),
        running: Vec::new(),
        word: Arc::default(),
    };
    for (place, service) in (0..).zip(services) {
        let (stopper, lease) = (Arc::new(SystemClock::default()), Lease::default());
        let (key, fingerprint) = (service.key.clone(), service.fingerprint);
        let shared = Shared {
            clock: stopper.clone(),
            ..shared.clone()
        };
        let worker = Worker::new(service, shared, lease.clone());
        let worker = Arc::new(Mutex::new(worker));
        let (word, unpolled, own) = (hired.word.clone(), unpolled.clone(), worker.clone());
        let thread = Builder::new()
            .name("worker".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                if word.wait() {
                    let mut worker = own.lock().unwrap_or_else(PoisonError::into_inner);
                    worker.run(spacing * place, rounds, &unpolled);
                }
            })?;
        hired.workers.push(worker);
        hired.running.push(Running {
            key,
            fingerprint,
            stopper,
            lease,
            thread,
        });
    }
    Ok(hired)
}

impl Hired {
    /// Takes up what an earlier process, or worker, kept. Gives what is to be shown of each before its first poll, so
    /// that no series is missing from the first page.
    pub fn restore(&self) -> Vec<(Arc<str>, Entry)> {
        let share = self.workers.len().div_ceil(RESTORING_THREADS).max(1);
        let restore = |workers: &[Arc<Mutex<Worker>>]| -> Vec<_> {
            let lock = |worker: &Arc<Mutex<Worker>>| {
                let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
                worker.restore()
            };
            workers.iter().filter_map(lock).collect()
        };
        std::thread::scope(|scope| {
            let shares = self.workers.chunks(share).map(|workers| {
                // Of the default size: the cache is JSON. Its pages are given back with the thread.
                let thread = Builder::new().name("restore".to_owned());
                let thread = thread.spawn_scoped(scope, move || restore(workers));
                thread.map_err(|_| workers)
            });
            let shares: Vec<_> = shares.collect();
            let entries = shares.into_iter().flat_map(|share| match share {
                Ok(thread) => thread.join().unwrap_or_default(),
                Err(workers) => restore(workers),
            });
            entries.collect()
        })
    }

    /// Begins to poll.
    pub fn begin(mut self) -> Vec<Running> {
        self.word.say(true);
        std::mem::take(&mut self.running)
    }
}

impl Drop for Hired {
    fn drop(&mut self) {
        self.word.say(false);
    }
}

impl Word {
    /// What is said first counts.
    fn say(&self, word: bool) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.get_or_insert(word);
        self.changed.notify_all();
    }

    fn wait(&self) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = self.changed.wait_while(said, |said| said.is_none());
        said.unwrap_or_else(PoisonError::into_inner)
            .unwrap_or(false)
    }
}

impl Running {
    /// Ends it. What it is writing is written first; a poll that waits for its upstream ends on its own and leaves no
    /// trace. Gives its lease, which is the last when its threads have ended.
    pub fn end(self) -> Lease {
        self.stopper.stop();
        self.lease.end();
        self.lease
    }

    /// Waits until its thread has ended.
    pub fn join(self) {
        // A worker that panicked has been logged; the others still count.
        let _ = self.thread.join();
    }
}

/// One service at work.
struct Worker {
    source: Box<dyn Source>,
    interval: Duration,
    shown: Shown,
    trouble: Option<Trouble>,
}

/// What is shown of a service beside what its source knows.
struct Shown {
    key: Arc<str>,
    labels: StaticLabels,
    upstream: Upstream,
    health: Health,
    status: ServiceStatus,
    shared: Shared,
    /// Held while anything of it is published or written.
    lease: Lease,
}

impl Shown {
    /// Publishes the source's families and those about its polls, at one moment.
    fn publish(&self, source: &dyn Source) {
        let entry = self.entry(source);
        self.shared.snapshot.publish(&self.key, entry);
    }

    fn entry(&self, source: &dyn Source) -> Entry {
        let mut families = Families::new(&self.labels);
        source.families(&mut families);
        let what = [&*self.key, self.status.kind, &*self.status.name];
        self.health.add(what, &self.upstream, &mut families);
        let blocks = Blocks::new(&families.finish());
        let mut packer = self
            .shared
            .packer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let blocks = blocks.packed(&mut packer);
        drop(packer);
        Entry {
            blocks,
            status: ServiceStatus {
                overview: Arc::new(source.overview()),
                exchange: self.upstream.last_exchange(),
                ..self.status.clone()
            },
            version: 0,
        }
    }
}

/// A service that has been failing for a while.
struct Trouble {
    since: Instant,
    failures: u64,
    last_logged: Instant,
    kind: &'static str,
}

impl Worker {
    fn new(service: Service, shared: Shared, lease: Lease) -> Worker {
        let parts = Parts {
            key: service.key.clone(),
            interval: service.interval,
            clock: Arc::clone(&shared.clock),
            cache: Arc::clone(&shared.cache),
            notifier: shared.notifier.clone(),
            lease: lease.clone(),
        };
        let status = ServiceStatus {
            kind: service.kind.name,
            name: service.settings.name().to_owned(),
            address: service.settings.address(),
            about: service.settings.about(),
            own_health: service.settings.own_health(),
            due: Some(shared.clock.instant()),
            ..ServiceStatus::default()
        };
        let upstream = Upstream::new(
            Arc::clone(&shared.fetcher),
            Arc::clone(&shared.clock),
            &service.upstream,
        );
        Worker {
            source: service.settings.build(parts),
            interval: service.interval,
            shown: Shown {
                key: service.key.into(),
                labels: service.labels,
                upstream,
                health: Health::new(service.interval),
                status,
                shared,
                lease,
            },
            trouble: None,
        }
    }

    fn run(&mut self, first_wait: Duration, rounds: Rounds, unpolled: &AtomicUsize) {
        let clock = Arc::clone(&self.shown.shared.clock);
        let started = clock.instant();
        let mut due = started + first_wait;
        while clock
            .pause(due.saturating_duration_since(clock.instant()))
            .is_ok()
        {
            let tick = next_tick(started + first_wait, self.interval, clock.instant());
            due = self.round_aside(tick, tick + delay(self.interval));
            if self.shown.health.polls() == 1 && unpolled.fetch_sub(1, Ordering::Relaxed) == 1 {
                // What the first round left behind is given back; later rounds need little.
                allocator::trim();
            }
            if rounds == Rounds::One {
                return;
            }
        }
    }

    fn restore(&mut self) -> Option<(Arc<str>, Entry)> {
        let now = self.shown.shared.clock.now();
        let (cache, key, source) = (&self.shown.shared.cache, &self.shown.key, &mut self.source);
        match catch_unwind(AssertUnwindSafe(|| source.restore(cache.load(key), now))) {
            Ok(has_state) => self.shown.status.is_ready |= has_state,
            Err(panic) => {
                log::error!(service = self.shown.key, cause = panic_text(panic.as_ref()); "cached state not taken up; please report this");
            }
        }
        self.shown.status.headline = self.source.headline();
        let (shown, source) = (&self.shown, &*self.source);
        let entry = self.safely(|| shown.entry(source))?;
        Some((Arc::clone(&shown.key), entry))
    }

    /// A round on a thread of its own. A sleeping worker keeps what its thread has touched: stack, and the blocks that
    /// the allocator sets aside for each thread. With a thousand of them that was half of all memory.
    fn round_aside(&mut self, tick: Instant, next: Instant) -> Instant {
        let spawned = std::thread::scope(|scope| {
            let thread = Builder::new()
                .name("poll".to_owned())
                .stack_size(ROUND_STACK_BYTES);
            let round = thread.spawn_scoped(scope, || self.round(tick, next))?;
            // A round turns panics into failures; should one come through, the next tick tries again.
            Ok(round.join().unwrap_or(next))
        });
        spawned.unwrap_or_else(|cause: io::Error| {
            log::warn!(service = self.shown.key, cause:% = cause; "no thread for a poll; raise the limit of processes");
            self.shown.health.note_poll(Some("internal"), Duration::ZERO, self.shown.shared.clock.now());
            self.shown.status.due = Some(next);
            let lease = self.shown.lease.clone();
            if let Some(_held) = lease.hold() {
                self.publish_safely();
            }
            next
        })
    }

    /// One poll and what follows from it; gives the time of the next one.
    fn round(&mut self, tick: Instant, next: Instant) -> Instant {
        let clock = Arc::clone(&self.shown.shared.clock);
        let begun = clock.instant();
        let outcome = self.poll(tick);
        let lease = self.shown.lease.clone();
        let Some(_held) = lease.hold() else {
            return next;
        };
        let (ended, now) = (clock.instant(), clock.now());
        let duration = ended.saturating_duration_since(begun);
        let due = self.due(next, ended, outcome.as_ref().err());
        self.shown
            .health
            .note_poll(outcome.as_ref().err().map(Failure::kind), duration, now);
        self.log(outcome.as_ref().err(), ended, due);
        let wait = due.saturating_duration_since(ended);
        let earlier = self.shown.status.failure.take();
        let past_failure = earlier.or(self.shown.status.past_failure.take());
        self.shown.status = ServiceStatus {
            is_ready: true,
            last_poll: Some(now),
            last_duration: Some(duration),
            last_success: self.shown.health.last_success(),
            next_poll: now.checked_add(wait).ok(),
            due: Some(due),
            failure: outcome.err().map(|failure| FailureNote {
                time: now,
                kind: failure.kind(),
                sentence: failure.to_string(),
                remedy: failure.remedy(),
            }),
            past_failure,
            ..self.shown.status.clone()
        };
        // The end of the process waits for this write, and so for the page that it belongs to.
        let cache = Arc::clone(&self.shown.shared.cache);
        let _writing = cache.begin_write();
        self.publish_safely();
        self.keep();
        due
    }

    fn poll(&mut self, until: Instant) -> Result<(), Failure> {
        let (shown, source) = (&self.shown, &mut self.source);
        let mut publish = |source: &dyn Source| {
            if let Some(_held) = shown.lease.hold() {
                shown.publish(source);
            }
        };
        let mut poll = Poll {
            upstream: &shown.upstream,
            until,
            publish: &mut publish,
        };
        catch_unwind(AssertUnwindSafe(|| source.poll(&mut poll)))
            .unwrap_or_else(|panic| Err(Failure::Internal(panic_text(panic.as_ref()))))
    }

    fn due(&self, next: Instant, now: Instant, failure: Option<&Failure>) -> Instant {
        let wanted = match self.source.next() {
            Next::Interval => next,
            Next::At(moment) => moment,
        };
        let asked_for = failure
            .and_then(Failure::retry_after)
            .map(|wait| now + wait);
        asked_for.map_or(wanted, |moment| moment.max(wanted))
    }

    fn publish_safely(&mut self) {
        self.shown.status.headline = self.source.headline();
        let (shown, source) = (&self.shown, &*self.source);
        self.safely(|| shown.publish(source));
    }

    fn safely<T>(&self, show: impl FnOnce() -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(show));
        let logged = |panic: Box<dyn Any + Send>| {
            log::error!(service = self.shown.key, cause = panic_text(panic.as_ref()); "page of the service not renewed; please report this");
        };
        outcome.map_err(logged).ok()
    }

    fn keep(&mut self) {
        let Some(state) = self.source.unsaved() else {
            return;
        };
        if self.shown.shared.cache.save(
            &self.shown.key,
            self.shown.status.kind,
            &state,
            self.shown.shared.clock.now(),
        ) {
            self.source.saved();
        }
    }

    /// Logs the change, not the repetition.
    fn log(&mut self, failure: Option<&Failure>, now: Instant, due: Instant) {
        let next_in_s = due.saturating_duration_since(now).as_secs();
        let (service, url) = (&self.shown.key, &self.shown.status.address);
        let Some(failure) = failure else {
            if let Some(trouble) = self.trouble.take() {
                let after_s = now.saturating_duration_since(trouble.since).as_secs();
                log::info!(service = service, after_s = after_s, failures = trouble.failures; "poll recovered");
            }
            crate::logging::debug!(service = service, url = url, next_in_s = next_in_s; "poll succeeded");
            return;
        };
        let kind = failure.kind();
        let trouble = self.trouble.get_or_insert(Trouble {
            since: now,
            failures: 0,
            last_logged: now,
            kind,
        });
        trouble.failures += 1;
        let is_new = trouble.failures == 1 || trouble.kind != kind;
        if is_new || now.saturating_duration_since(trouble.last_logged) >= REMINDER {
            (trouble.kind, trouble.last_logged) = (kind, now);
            log::warn!(service = service, kind = kind, url = url, next_in_s = next_in_s, failures = trouble.failures, cause:% = failure, remedy = failure.remedy(); "poll failing");
        } else {
            crate::logging::debug!(service = service, kind = kind, url = url, next_in_s = next_in_s, cause:% = failure; "poll failing still");
        }
    }
}

/// The first tick after `now`; ticks that a long poll missed are passed over.
fn next_tick(first: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(first).as_secs_f64() / interval.as_secs_f64();
    // A year of one-second polls is far below the precision of f64.
    first + interval.mul_f64(passed.floor() + 1.0)
}

fn delay(interval: Duration) -> Duration {
    interval.mul_f64(JITTER_SHARE * jitter()).min(JITTER_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_from_the_first_poll_and_missed_ones_are_passed_over() {
        let first = Instant::now();
        let second = Duration::from_secs(1);
        let check = |now_ms: u64, expected_s: u64| {
            let tick = next_tick(first, 10 * second, first + Duration::from_millis(now_ms));
            assert_eq!(
                tick,
                first + Duration::from_secs(expected_s),
                "after {now_ms} ms"
            );
        };
        check(0, 10);
        check(9_999, 10);
        check(10_000, 20);
        check(35_000, 40);
    }

    #[test]
    fn jitter_is_a_small_share_of_the_interval_and_bounded() {
        assert!((0..100).all(|_| delay(Duration::from_secs(10)) <= Duration::from_millis(500)));
        assert!((0..100).all(|_| delay(Duration::from_secs(100_000)) <= JITTER_LIMIT));
    }

    /// A source that panics in its first poll and is well from then on.
    #[derive(Debug)]
    struct Moody {
        polls: u32,
    }

    impl crate::sources::SourceSettings for Moody {
        fn name(&self) -> &str {
            "Moody"
        }
        fn address(&self) -> String {
            "http://nowhere/".to_owned()
        }
        fn identity(&self, _: &StaticLabels) -> (&'static str, String) {
            ("name", "Moody".to_owned())
        }
        fn about(&self) -> String {
            String::new()
        }
        fn build(&self, _: Parts) -> Box<dyn Source> {
            Box::new(Moody { polls: 0 })
        }
    }

    impl Source for Moody {
        fn restore(&mut self, _: Option<crate::cache::Kept>, _: jiff::Timestamp) -> bool {
            false
        }
        fn poll(&mut self, _: &mut Poll<'_>) -> Result<(), Failure> {
            self.polls += 1;
            assert!(self.polls > 1, "in a bad mood");
            Ok(())
        }
        fn families(&self, _: &mut Families) {}
        fn headline(&self) -> Option<String> {
            None
        }
        fn unsaved(&self) -> Option<String> {
            None
        }
        fn saved(&mut self) {}
    }

    fn worker(folder: &std::path::Path) -> Worker {
        let clock: Arc<dyn Clock> =
            Arc::new(crate::clock::fake::FakeClock::at("2026-11-20T08:00:00Z"));
        let fetcher = Arc::new(Fetcher::new(1, crate::fetch::Proxies::default(), None));
        let cache = Arc::new(Cache::open(folder, false));
        let notifier = Notifier::start(
            None,
            Arc::clone(&fetcher),
            Arc::clone(&clock),
            Arc::clone(&cache),
        );
        let shared = Shared {
            clock,
            fetcher,
            cache,
            notifier,
            snapshot: Arc::default(),
            packer: Arc::default(),
        };
        let upstream = crate::fetch::UpstreamSettings {
            timeout: Duration::from_secs(1),
            headers: Vec::new(),
            ca: None,
        };
        let service = Service {
            key: "moody".to_owned(),
            kind: &crate::sources::SOURCES[0],
            interval: Duration::from_secs(60),
            upstream,
            labels: StaticLabels::new(),
            settings: Box::new(Moody { polls: 0 }),
            origins: crate::sorted::SortedMap::new(),
            fingerprint: 0,
        };
        Worker::new(service, shared, Lease::default())
    }

    #[test]
    fn a_panic_is_the_failure_of_that_poll_and_of_no_other() {
        let folder =
            std::env::temp_dir().join(format!("saas-exporter-poller-{}", std::process::id()));
        let mut worker = worker(&folder);
        let now = worker.shown.shared.clock.instant();
        worker.round(now, now + Duration::from_secs(60));
        let shown = |worker: &Worker| worker.shown.shared.snapshot.entries().1[0].1.status.clone();
        let failure = shown(&worker).failure.expect("the first poll failed");
        assert_eq!(
            (failure.kind, failure.sentence.as_str()),
            ("internal", "internal: panic: in a bad mood")
        );
        worker.round(now, now + Duration::from_secs(60));
        assert!(shown(&worker).failure.is_none());
        std::fs::remove_dir_all(folder).expect("the folder is ours");
    }
}
