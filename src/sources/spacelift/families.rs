//! Every metric family of a Spacelift account, and how what was learned becomes their samples.
//!
//! Names, labels and values are fixed by the contract, section 4.

use std::time::Duration;

use super::question::Collector;
use super::reading::{Aggregates, Counts, Pools, PublicPool, Usage};
use super::standing::Standing;
use crate::model::{Families, Family, FamilyMeta};

static PUBLIC_PENDING: Family<0> = Family::gauge(
    "spacelift_public_worker_pool_runs_pending",
    "Runs that wait for a public worker.",
    [],
);
static PUBLIC_BUSY: Family<0> = Family::gauge(
    "spacelift_public_worker_pool_workers_busy",
    "Busy public workers.",
    [],
);
static PUBLIC_PARALLELISM: Family<0> = Family::gauge(
    "spacelift_public_worker_pool_parallelism",
    "Most runs that public workers carry out at once.",
    [],
);
static POOL_PENDING: Family<2> = Family::gauge(
    "spacelift_worker_pool_runs_pending",
    "Runs that wait for a worker of the pool.",
    ["worker_pool_id", "worker_pool_name"],
);
static POOL_BUSY: Family<2> = Family::gauge(
    "spacelift_worker_pool_workers_busy",
    "Busy workers of the pool.",
    ["worker_pool_id", "worker_pool_name"],
);
static POOL_WORKERS: Family<2> = Family::gauge(
    "spacelift_worker_pool_workers",
    "Workers of the pool, drained ones included.",
    ["worker_pool_id", "worker_pool_name"],
);
static POOL_DRAINED: Family<2> = Family::gauge(
    "spacelift_worker_pool_workers_drained",
    "Drained workers of the pool.",
    ["worker_pool_id", "worker_pool_name"],
);
static PERIOD_START: Family<0> = Family::gauge(
    "spacelift_current_billing_period_start_timestamp_seconds",
    "Start of the billing period, as Unix time.",
    [],
);
static PERIOD_END: Family<0> = Family::gauge(
    "spacelift_current_billing_period_end_timestamp_seconds",
    "End of the billing period, as Unix time.",
    [],
);
static USED_PRIVATE: Family<0> = Family::gauge(
    "spacelift_current_billing_period_used_private_seconds",
    "Time of private workers used in the billing period.",
    [],
);
static USED_PUBLIC: Family<0> = Family::gauge(
    "spacelift_current_billing_period_used_public_seconds",
    "Time of public workers used in the billing period.",
    [],
);
static USED_SEATS: Family<0> = Family::gauge(
    "spacelift_current_billing_period_used_seats",
    "Seats used in the billing period.",
    [],
);
static STACKS_BY_STATE: Family<3> = Family::gauge(
    "spacelift_current_stacks_count_by_state",
    "Stacks by state; with stack_details one series for each stack.",
    ["state", "stack", "space"],
);
static RESOURCES_BY_DRIFT: Family<3> = Family::gauge(
    "spacelift_current_resources_count_by_drift",
    "Resources by drift state; with resource_details by stack too.",
    ["state", "stack", "space"],
);
static STACK_SIZE: Family<0> = Family::gauge(
    "spacelift_current_avg_stack_size_by_resource_count",
    "Mean number of resources of a stack.",
    [],
);
static AVERAGE_RUN: Family<0> = Family::gauge(
    "spacelift_current_average_run_duration",
    "Mean duration of the runs of 30 days, in nanoseconds as Spacelift gives it.",
    [],
);
static MEDIAN_RUN: Family<0> = Family::gauge(
    "spacelift_current_median_run_duration",
    "Median duration of the runs of 30 days, in nanoseconds as Spacelift gives it.",
    [],
);
static RUN_DURATION: Family<1> = Family::gauge(
    "spacelift_exporter_run_duration_seconds",
    "Duration of the runs of 30 days: their average and their median.",
    ["statistic"],
);
static SCRAPE_DURATION: Family<0> = Family::gauge(
    "spacelift_scrape_duration_seconds",
    "Duration of the last whole poll.",
    [],
);
static SCRAPE_DURATION_OLD: Family<0> = Family::gauge(
    "spacelift_scrape_duration",
    "The same as spacelift_scrape_duration_seconds.",
    [],
);
static BUILD_INFO: Family<3> = Family::gauge(
    "spacelift_build_info",
    "What was built, goversion being the compiler; always 1.",
    ["version", "commit", "goversion"],
);
static COLLECTOR_SUCCESS: Family<1> = Family::gauge(
    "spacelift_scrape_collector_success",
    "1 if the last attempt of the collector worked or is not supported, else 0.",
    ["collector"],
);
static COLLECTOR_SUPPORTED: Family<1> = Family::gauge(
    "spacelift_scrape_collector_supported",
    "0 if this key or deployment cannot serve the collector, else 1.",
    ["collector"],
);
static COLLECTOR_DURATION: Family<1> = Family::gauge(
    "spacelift_scrape_collector_duration_seconds",
    "Duration of the last requests of the collector.",
    ["collector"],
);
static LAST_SUCCESS: Family<1> = Family::gauge(
    "spacelift_exporter_last_success_timestamp_seconds",
    "When the collector last worked, as Unix time.",
    ["collector"],
);
static API_REQUESTS: Family<2> = Family::counter(
    "spacelift_exporter_api_requests_total",
    "Requests to the API by collector (or token, viewer) and outcome.",
    ["operation", "outcome"],
);

/// Every family, in the order of the documentation.
pub(super) fn all() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 26] = [
        PUBLIC_PENDING.meta(),
        PUBLIC_BUSY.meta(),
        PUBLIC_PARALLELISM.meta(),
        POOL_PENDING.meta(),
        POOL_BUSY.meta(),
        POOL_WORKERS.meta(),
        POOL_DRAINED.meta(),
        PERIOD_START.meta(),
        PERIOD_END.meta(),
        USED_PRIVATE.meta(),
        USED_PUBLIC.meta(),
        USED_SEATS.meta(),
        STACKS_BY_STATE.meta(),
        RESOURCES_BY_DRIFT.meta(),
        STACK_SIZE.meta(),
        AVERAGE_RUN.meta(),
        MEDIAN_RUN.meta(),
        RUN_DURATION.meta(),
        SCRAPE_DURATION.meta(),
        SCRAPE_DURATION_OLD.meta(),
        BUILD_INFO.meta(),
        COLLECTOR_SUCCESS.meta(),
        COLLECTOR_SUPPORTED.meta(),
        COLLECTOR_DURATION.meta(),
        LAST_SUCCESS.meta(),
        API_REQUESTS.meta(),
    ];
    &ALL
}

pub(super) fn add_public_pool(pool: &PublicPool, families: &mut Families) {
    families.add(&PUBLIC_PENDING, [], pool.pending_runs);
    families.add(&PUBLIC_BUSY, [], pool.busy_workers);
    families.add(&PUBLIC_PARALLELISM, [], pool.parallelism);
}

pub(super) fn add_pools(pools: &Pools, families: &mut Families) {
    for (labels, pool) in &pools.by_labels {
        let labels = labels.each_ref().map(String::as_str);
        families.add(&POOL_PENDING, labels, pool.pending_runs);
        families.add(&POOL_BUSY, labels, pool.busy_workers);
        families.add(&POOL_WORKERS, labels, pool.workers);
        families.add(&POOL_DRAINED, labels, pool.drained);
    }
}

pub(super) fn add_usage(usage: &Usage, families: &mut Families) {
    families.add(&PERIOD_START, [], usage.period_start_s);
    families.add(&PERIOD_END, [], usage.period_end_s);
    families.add(&USED_PRIVATE, [], usage.private_minutes * 60.0);
    families.add(&USED_PUBLIC, [], usage.public_minutes * 60.0);
    families.add(&USED_SEATS, [], usage.seats);
}

/// The single values; the counts come from here or from the details.
pub(super) fn add_aggregates(aggregates: &Aggregates, families: &mut Families) {
    if let Some(size) = aggregates.stack_size {
        families.add(&STACK_SIZE, [], size);
    }
    let runs = [
        (&AVERAGE_RUN, "average", aggregates.average_run_ns),
        (&MEDIAN_RUN, "median", aggregates.median_run_ns),
    ];
    for (family, statistic, nanoseconds) in runs {
        if let Some(nanoseconds) = nanoseconds {
            families.add(family, [], nanoseconds);
            families.add(&RUN_DURATION, [statistic], nanoseconds / 1e9);
        }
    }
}

pub(super) fn add_stacks(counts: &Counts, families: &mut Families) {
    add_counts(&STACKS_BY_STATE, counts, families);
}

pub(super) fn add_resources(counts: &Counts, families: &mut Families) {
    add_counts(&RESOURCES_BY_DRIFT, counts, families);
}

fn add_counts(family: &'static Family<3>, counts: &Counts, families: &mut Families) {
    for (labels, value) in &counts.by_labels {
        families.add(family, labels.each_ref().map(String::as_str), *value);
    }
}

pub(super) fn add_standing(collector: Collector, standing: &Standing, families: &mut Families) {
    let name = collector.name();
    if let Some(is_good) = standing.is_good {
        let is_supported = !standing.is_unsupported;
        families.add(&COLLECTOR_SUCCESS, [name], f64::from(u8::from(is_good)));
        families.add(
            &COLLECTOR_SUPPORTED,
            [name],
            f64::from(u8::from(is_supported)),
        );
        families.add(&COLLECTOR_DURATION, [name], standing.duration.as_secs_f64());
    }
    if let Some(moment) = standing.last_success {
        let seconds = moment.as_millisecond() as f64 / 1000.0;
        families.add(&LAST_SUCCESS, [name], seconds);
    }
}

/// What is said of the exporter's own work: its build, the last poll, all requests.
pub(super) fn add_exporter(
    poll_duration: Option<Duration>,
    requests: impl Iterator<Item = ([&'static str; 2], u64)>,
    families: &mut Families,
) {
    let build = [crate::VERSION, crate::REVISION, crate::COMPILER];
    families.add(&BUILD_INFO, build, 1.0);
    if let Some(duration) = poll_duration {
        families.add(&SCRAPE_DURATION, [], duration.as_secs_f64());
        families.add(&SCRAPE_DURATION_OLD, [], duration.as_secs_f64());
    }
    for (labels, count) in requests {
        families.add(&API_REQUESTS, labels, count as f64);
    }
}
