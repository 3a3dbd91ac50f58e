//! The account in lines for people: collectors, worker pools, the billing period, stacks and drift.

use super::reading::Counts;
use super::standing::Standing;
use super::{Collector, Learned, Spacelift};
use crate::overview::{LINES_LIMIT, Level, Line, Overview, Section};

pub(super) fn overview(account: &Spacelift) -> Overview {
    let mut overview = Overview::default();
    let mut collectors = Section::new("Collectors");
    for (collector, standing) in &account.standings {
        if standing.is_good == Some(false) {
            overview.level = Level::Degraded;
        }
        collectors.push(of_collector(*collector, standing), LINES_LIMIT);
    }
    overview.add(collectors);
    overview.add(pools(&account.learned));
    let mut period = Section::new("Billing period");
    if let Some(usage) = &account.learned.usage {
        let text = format!(
            "{} private and {} public minutes, {} seats",
            usage.private_minutes, usage.public_minutes, usage.seats
        );
        let line = Line::new(None, "Used", &text)
            .with_moment("began", Some((usage.period_start_s * 1000.0) as i64))
            .with_moment("ends", Some((usage.period_end_s * 1000.0) as i64));
        period.push(line, LINES_LIMIT);
    }
    overview.add(period);
    let aggregates = account.learned.aggregates.as_ref();
    match (&account.learned.stacks, aggregates) {
        (Some(stacks), _) => {
            let counts = stacks.counts(account.settings.space_label);
            overview.add(by_state("Stacks by state", &counts));
        }
        (None, Some(all)) => overview.add(by_state("Stacks by state", &all.stacks)),
        (None, None) => {}
    }
    if let Some(all) = aggregates {
        overview.add(by_state("Resources by drift", &all.resources));
    }
    overview
}

fn pools(learned: &Learned) -> Section {
    let mut section = Section::new("Worker pools");
    if let Some(pool) = &learned.public_pool {
        let (busy, most, pending) = (pool.busy_workers, pool.parallelism, pool.pending_runs);
        let text = format!("{busy} of {most} workers busy, {pending} runs pending");
        section.push(Line::new(None, "Public pool", &text), LINES_LIMIT);
    }
    for ([_, name], pool) in learned.pools.iter().flat_map(|pools| &pools.by_labels) {
        let text = format!(
            "{} of {} workers busy, {} drained, {} runs pending",
            pool.busy_workers, pool.workers, pool.drained, pool.pending_runs
        );
        section.push(Line::new(None, name, &text), LINES_LIMIT);
    }
    section
}

fn of_collector(collector: Collector, standing: &Standing) -> Line {
    let (level, text) = match (standing.is_good, &standing.failure) {
        (None, _) => (None, "not asked yet".to_owned()),
        (Some(_), _) if standing.is_unsupported => {
            (None, "not supported by the account or the key".to_owned())
        }
        (Some(true), _) => {
            let took_s = standing.duration.as_secs_f64();
            (Some(Level::Good), format!("works, took {took_s:.2} s"))
        }
        (Some(false), Some(failure)) => (
            Some(Level::Degraded),
            format!("{}: {failure}", failure.kind()),
        ),
        (Some(false), None) => (Some(Level::Degraded), "failing".to_owned()),
    };
    let last_good = standing.last_success.map(|moment| moment.as_millisecond());
    Line::new(level, collector.name(), &text).with_moment("last good", last_good)
}

/// How many there are in each state, whatever their stack and space.
fn by_state(title: &'static str, counts: &Counts) -> Section {
    let mut section = Section::new(title);
    let mut by_state: Vec<(&str, f64)> = Vec::new();
    // Sorted by state in the first place.
    for ([state, _, _], count) in &counts.by_labels {
        match by_state.last_mut() {
            Some((last, sum)) if last == state => *sum += count,
            _ => by_state.push((state, *count)),
        }
    }
    for (state, count) in by_state {
        section.push(Line::new(None, state, &count.to_string()), LINES_LIMIT);
    }
    section
}
