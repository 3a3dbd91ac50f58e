//! What the exporter says of itself: `saas_exporter_*` about its services and its own parts, `process_*`.
//!
//! The poller fills the families of a service together with the source's own, so that they change at one moment;
//! those of the process are made at the scrape. Reads /proc, which is no disk.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

use crate::cache::Cache;
use crate::fetch::{KINDS, Upstream};
use crate::gate::Counters;
use crate::model::{Families, Family, FamilyMeta};
use crate::notify::Notifier;
use crate::shard::Shard;
use crate::sorted::SortedMap;

static SERVICE_INFO: Family<3> = Family::gauge(
    "saas_exporter_service_info",
    "What the service is; always 1.",
    ["service", "type", "name"],
);
static SERVICE_UP: Family<1> = Family::gauge(
    "saas_exporter_service_up",
    "1 if the last poll of the service succeeded, else 0.",
    ["service"],
);
static POLL_INTERVAL: Family<1> = Family::gauge(
    "saas_exporter_poll_interval_seconds",
    "Time between two polls of the service, start to start, as configured.",
    ["service"],
);
static POLLS: Family<1> = Family::counter(
    "saas_exporter_polls_total",
    "Polls of the service.",
    ["service"],
);
static POLL_FAILURES: Family<2> = Family::counter(
    "saas_exporter_poll_failures_total",
    "Polls of the service that failed, by failure kind.",
    ["service", "kind"],
);
static POLL_DURATION: Family<1> = Family::gauge(
    "saas_exporter_poll_duration_seconds",
    "Duration of the last poll, with retries and pauses.",
    ["service"],
);
static LAST_SUCCESS: Family<1> = Family::gauge(
    "saas_exporter_last_success_timestamp_seconds",
    "When the last good poll ended, as Unix time.",
    ["service"],
);
static UPSTREAM_REQUESTS: Family<2> = Family::counter(
    "saas_exporter_upstream_requests_total",
    "Requests to the upstream by HTTP status, error where no answer came.",
    ["service", "code"],
);
static BUILD_INFO: Family<2> = Family::gauge(
    "saas_exporter_build_info",
    "What was built; always 1.",
    ["version", "revision"],
);
static NOTIFICATIONS: Family<1> = Family::counter(
    "saas_exporter_notifications_total",
    "Notifications by outcome of the attempt.",
    ["outcome"],
);
static CACHE_WRITABLE: Family<0> = Family::gauge(
    "saas_exporter_cache_writable",
    "1 if the last write to the cache folder succeeded, else 0.",
    [],
);
static RELOAD_SUCCESSFUL: Family<0> = Family::gauge(
    "saas_exporter_config_last_reload_successful",
    "1 if the configuration that was read last runs, 0 if it was refused and the one before it runs on.",
    [],
);
static RELOAD_SUCCESS_TIME: Family<0> = Family::gauge(
    "saas_exporter_config_last_reload_success_timestamp_seconds",
    "When the running configuration was read, as Unix time.",
    [],
);
static SHARD_ORDINAL: Family<0> = Family::gauge(
    "saas_exporter_shard_ordinal",
    "Which part of the services runs here, counted from 0.",
    [],
);
static SHARDS: Family<0> = Family::gauge(
    "saas_exporter_shards",
    "Exporters that divide the services among them; 1 runs all of them.",
    [],
);
static REQUESTS_REFUSED: Family<0> = Family::counter(
    "saas_exporter_gate_requests_refused_total",
    "Requests to the exporter that the gate refused, being none that a scraper sends.",
    [],
);
static CONNECTIONS_DROPPED: Family<1> = Family::counter(
    "saas_exporter_gate_connections_dropped_total",
    "Connections to the exporter that were ended early: evicted for want of room, expired, or not accepted.",
    ["reason"],
);
static CPU_SECONDS: Family<0> = Family::counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    [],
);
static OPEN_FDS: Family<0> =
    Family::gauge("process_open_fds", "Number of open file descriptors.", []);
static MAX_FDS: Family<0> = Family::gauge(
    "process_max_fds",
    "Maximum number of open file descriptors.",
    [],
);
static VIRTUAL_MEMORY: Family<0> = Family::gauge(
    "process_virtual_memory_bytes",
    "Virtual memory size in bytes.",
    [],
);
static VIRTUAL_MEMORY_MAX: Family<0> = Family::gauge(
    "process_virtual_memory_max_bytes",
    "Maximum amount of virtual memory available in bytes.",
    [],
);
static RESIDENT_MEMORY: Family<0> = Family::gauge(
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    [],
);
static START_TIME: Family<0> = Family::gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    [],
);
static THREADS: Family<0> =
    Family::gauge("process_threads", "Number of threads of the process.", []);

/// Ticks of a second in /proc, the same on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The families that every service has.
pub fn service_families() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 8] = [
        SERVICE_INFO.meta(),
        SERVICE_UP.meta(),
        POLL_INTERVAL.meta(),
        POLLS.meta(),
        POLL_FAILURES.meta(),
        POLL_DURATION.meta(),
        LAST_SUCCESS.meta(),
        UPSTREAM_REQUESTS.meta(),
    ];
    &ALL
}

/// The families of the process.
pub fn process_families() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 17] = [
        BUILD_INFO.meta(),
        NOTIFICATIONS.meta(),
        CACHE_WRITABLE.meta(),
        RELOAD_SUCCESSFUL.meta(),
        RELOAD_SUCCESS_TIME.meta(),
        SHARD_ORDINAL.meta(),
        SHARDS.meta(),
        REQUESTS_REFUSED.meta(),
        CONNECTIONS_DROPPED.meta(),
        CPU_SECONDS.meta(),
        OPEN_FDS.meta(),
        MAX_FDS.meta(),
        VIRTUAL_MEMORY.meta(),
        VIRTUAL_MEMORY_MAX.meta(),
        RESIDENT_MEMORY.meta(),
        START_TIME.meta(),
        THREADS.meta(),
    ];
    &ALL
}

/// Every family of the exporter itself, in the order of the documentation.
pub fn all_families() -> impl Iterator<Item = FamilyMeta> {
    service_families().iter().chain(process_families()).copied()
}

/// How the polls of one service went.
#[derive(Clone, Debug)]
pub struct Health {
    interval: Duration,
    polls: u64,
    failures: SortedMap<&'static str, u64>,
    is_up: Option<bool>,
    duration: Duration,
    last_success: Option<Timestamp>,
}

impl Health {
    /// Of a service that is to be polled so often, and was not yet.
    pub fn new(interval: Duration) -> Health {
        Health {
            interval,
            polls: 0,
            failures: SortedMap::default(),
            is_up: None,
            duration: Duration::ZERO,
            last_success: None,
        }
    }

    /// Counts a poll that ended now: with a failure kind, or well.
    pub fn note_poll(&mut self, failure: Option<&'static str>, duration: Duration, now: Timestamp) {
        self.polls += 1;
        self.duration = duration;
        self.is_up = Some(failure.is_none());
        match failure {
            Some(kind) => *self.failures.or_default(kind) += 1,
            None => self.last_success = Some(now),
        }
    }

    /// Polls so far.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// When the last good poll of this process ended.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.last_success
    }

    /// Adds the families of the service, which is of a type and has a name; those about its last poll only after the
    /// first one.
    pub fn add(
        &self,
        [service, kind, name]: [&str; 3],
        upstream: &Upstream,
        families: &mut Families,
    ) {
        families.add(&SERVICE_INFO, [service, kind, name], 1.0);
        families.add(&POLL_INTERVAL, [service], self.interval.as_secs_f64());
        families.add(&POLLS, [service], self.polls as f64);
        for kind in KINDS {
            let count = self.failures.get(kind).copied().unwrap_or(0);
            families.add(&POLL_FAILURES, [service, kind], count as f64);
        }
        for (code, count) in upstream.requests() {
            families.add(&UPSTREAM_REQUESTS, [service, &code], count as f64);
        }
        if let Some(is_up) = self.is_up {
            families.add(&SERVICE_UP, [service], f64::from(u8::from(is_up)));
            families.add(&POLL_DURATION, [service], self.duration.as_secs_f64());
        }
        if let Some(moment) = self.last_success {
            families.add(
                &LAST_SUCCESS,
                [service],
                moment.as_millisecond() as f64 / 1000.0,
            );
        }
    }
}

/// Adds the families about the exporter's own parts.
pub fn add_exporter(cache: &Cache, notifier: &Notifier, families: &mut Families) {
    families.add(&BUILD_INFO, [crate::VERSION, crate::REVISION], 1.0);
    families.add(
        &CACHE_WRITABLE,
        [],
        f64::from(u8::from(cache.is_writable())),
    );
    for (outcome, count) in notifier.outcomes() {
        families.add(&NOTIFICATIONS, [outcome], count as f64);
    }
}

/// How the configuration was last read. Written by whoever reads it.
#[derive(Debug)]
pub struct ConfigHealth {
    /// Whether the configuration that was read last runs.
    pub is_good: AtomicBool,
    /// When the running one was read, in Unix milliseconds.
    pub read_at_ms: AtomicI64,
}

impl ConfigHealth {
    /// A configuration that was read now.
    pub fn good(now: Timestamp) -> ConfigHealth {
        ConfigHealth {
            is_good: AtomicBool::new(true),
            read_at_ms: AtomicI64::new(now.as_millisecond()),
        }
    }
}

/// Adds the families about the configuration.
pub fn add_config(health: &ConfigHealth, shard: Shard, families: &mut Families) {
    let is_good = health.is_good.load(Ordering::Relaxed);
    let read_at_ms = health.read_at_ms.load(Ordering::Relaxed);
    families.add(&RELOAD_SUCCESSFUL, [], f64::from(u8::from(is_good)));
    families.add(&RELOAD_SUCCESS_TIME, [], read_at_ms as f64 / 1000.0);
    families.add(&SHARD_ORDINAL, [], f64::from(shard.ordinal));
    families.add(&SHARDS, [], f64::from(shard.total));
}

/// Adds the families about the door for scrapers.
pub fn add_gate(counters: &Counters, families: &mut Families) {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    families.add(&REQUESTS_REFUSED, [], value(&counters.refused));
    families.add(&CONNECTIONS_DROPPED, ["evicted"], value(&counters.evicted));
    families.add(&CONNECTIONS_DROPPED, ["expired"], value(&counters.expired));
    families.add(
        &CONNECTIONS_DROPPED,
        ["not_accepted"],
        value(&counters.accept_failures),
    );
}

/// Adds the `process_*` families; what the system does not tell is left out.
///
/// Every scrape pays for this, so it reads one small file and one folder; what never changes is read once.
pub fn add_process(families: &mut Families) {
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|text| Stat::parse(&text))
    {
        families.add(&CPU_SECONDS, [], stat.cpu_ticks / TICKS_PER_SECOND);
        families.add(&THREADS, [], stat.threads);
        families.add(&VIRTUAL_MEMORY, [], stat.virtual_bytes);
        families.add(
            &RESIDENT_MEMORY,
            [],
            stat.resident_pages * page_size() as f64,
        );
        if let Some(boot) = boot_time() {
            families.add(&START_TIME, [], boot + stat.start_ticks / TICKS_PER_SECOND);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        families.add(&OPEN_FDS, [], open.count().saturating_sub(1) as f64);
    }
    families.add(&MAX_FDS, [], limit_of(Resource::Nofile));
    families.add(&VIRTUAL_MEMORY_MAX, [], limit_of(Resource::As));
}

/// The fields of /proc/self/stat that we show.
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The name in brackets may hold spaces; behind it stands field 3 of proc(5).
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Unix time of the start of the machine, as it was when first asked for: the process began at one moment only.
fn boot_time() -> Option<f64> {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()
    })
}

fn limit_of(resource: Resource) -> f64 {
    getrlimit(resource)
        .current
        .map_or(f64::INFINITY, |limit| limit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_shows_the_standard_set() {
        let mut families = Families::default();
        add_process(&mut families);
        let names: Vec<_> = families
            .finish()
            .iter()
            .map(|family| family.meta.name)
            .collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes",
                "process_virtual_memory_max_bytes",
            ]
        );
    }

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let rest = (3..=52)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        let stat = Stat::parse(&format!("1 (a) b (c)) {rest}")).expect("parsed");
        assert_eq!(
            (
                stat.cpu_ticks,
                stat.threads,
                stat.start_ticks,
                stat.virtual_bytes,
                stat.resident_pages
            ),
            (29.0, 20.0, 22.0, 23.0, 24.0)
        );
    }
}
