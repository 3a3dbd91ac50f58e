//! When refreshes of sites may start: spread evenly over the interval, and never too many in a minute.
//!
//! Pure: moments come in and go out. [`super`] decides whose turn it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The first refresh of a site with new history waits for so long, or for half the interval if that is less: until
/// then all its history is shown, and a scraper, every minute or so, should come by.
const HISTORY_SHOWN: Duration = Duration::from_secs(5 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// The grid of turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    grid: Option<Grid>,
    /// The newest starts, as many as may lie in a minute.
    recent: VecDeque<Instant>,
}

/// When the very first refresh starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    /// Late enough for new history to be seen.
    AfterHistory,
    /// As if the first fetches had been a turn.
    AfterFetches,
    /// Now: nothing was fetched yet.
    AtOnce,
}

#[derive(Clone, Copy, Debug)]
enum Grid {
    /// Nothing has started yet.
    First(Instant),
    /// A turn was due then.
    After(Instant),
}

impl Turns {
    /// Begins the grid now unless it has begun.
    pub(super) fn begin(&mut self, now: Instant, sites: usize, interval: Duration, first: First) {
        let spacing = spacing(sites, interval);
        let wait = match first {
            First::AfterHistory => spacing.max(HISTORY_SHOWN.min(interval / 2)),
            First::AfterFetches => spacing,
            First::AtOnce => Duration::ZERO,
        };
        self.grid.get_or_insert(Grid::First(now + wait));
    }

    /// When the next refresh may start; none before the grid has begun.
    pub(super) fn next(&self, sites: usize, interval: Duration) -> Option<Instant> {
        let due = self.due(sites, interval)?;
        let limit = starts_a_minute(sites, interval);
        let room = self.recent.len().checked_sub(limit);
        let earliest = room.and_then(|place| self.recent.get(place));
        Some(earliest.map_or(due, |start| due.max(*start + MINUTE)))
    }

    fn due(&self, sites: usize, interval: Duration) -> Option<Instant> {
        Some(match self.grid? {
            Grid::First(moment) => moment,
            Grid::After(last) => last + spacing(sites, interval),
        })
    }

    /// A refresh starts now. The grid stays where it is unless a whole turn was missed.
    pub(super) fn started(&mut self, now: Instant, sites: usize, interval: Duration) {
        let due = self.due(sites, interval).unwrap_or(now);
        let is_missed = now >= due + spacing(sites, interval);
        self.grid = Some(Grid::After(if is_missed { now } else { due }));
        self.recent.push_back(now);
        while self.recent.len() > starts_a_minute(sites, interval) {
            self.recent.pop_front();
        }
    }
}

/// The interval's share of one site.
pub(super) fn spacing(sites: usize, interval: Duration) -> Duration {
    interval / u32::try_from(sites.max(1)).unwrap_or(u32::MAX)
}

/// Most starts in any minute: all sites, spread over the minutes of the interval, rounded up.
fn starts_a_minute(sites: usize, interval: Duration) -> usize {
    let starts = (sites as u128 * MINUTE.as_millis()).div_ceil(interval.as_millis().max(1));
    usize::try_from(starts).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn check(sites: usize, expected: usize) {
        assert_eq!(starts_a_minute(sites, HOUR), expected, "{sites} sites");
    }

    #[test]
    fn the_starts_of_a_minute_are_the_sites_over_the_minutes_rounded_up() {
        check(1, 1);
        check(59, 1);
        check(60, 1);
        check(61, 2);
        check(100, 2);
        check(120, 2);
        check(121, 3);
    }

    #[test]
    fn a_late_start_is_not_made_up_for_within_the_minute_and_missed_turns_are_passed_over() {
        let begun = Instant::now();
        let minute = |count: u32| begun + MINUTE * count;
        let mut turns = Turns::default();
        assert_eq!(turns.next(60, HOUR), None);
        turns.begin(begun, 60, HOUR, First::AtOnce);
        assert_eq!(turns.next(60, HOUR), Some(begun));
        // Thirty seconds late: the next one stands in the grid but a whole minute after this one.
        turns.started(begun + MINUTE / 2, 60, HOUR);
        assert_eq!(turns.next(60, HOUR), Some(minute(1) + MINUTE / 2));
        turns.started(minute(10), 60, HOUR);
        assert_eq!(turns.next(60, HOUR), Some(minute(11)));
    }

    #[test]
    fn new_history_is_shown_for_some_minutes_before_the_first_refresh() {
        let begun = Instant::now();
        let first = |sites, interval, first| {
            let mut turns = Turns::default();
            turns.begin(begun, sites, interval, first);
            turns.next(sites, interval).map(|moment| moment - begun)
        };
        assert_eq!(first(1_000, HOUR, First::AfterHistory), Some(HISTORY_SHOWN));
        assert_eq!(first(1_000, MINUTE, First::AfterHistory), Some(MINUTE / 2));
        assert_eq!(first(1, HOUR, First::AfterHistory), Some(HOUR));
        assert_eq!(first(1_000, HOUR, First::AtOnce), Some(Duration::ZERO));
    }
}
