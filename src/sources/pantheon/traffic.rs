//! What is known of one site's traffic: its days, merged from answers, held back while the upstream rebuilds, and
//! which of them are shown.
//!
//! Pure: answers and a time come in, points come out. [`super::families`] shows them, [`super::kept`] keeps them.

use std::time::Duration;

use jiff::Timestamp;

use super::settings::{History, Latest};
use super::wire::Day;
use crate::model::Stamp;
use crate::sorted::SortedMap;

/// Days are kept for so long before the newest one (contract, section 5).
const KEPT_S: i64 = 28 * DAY_S;
const DAY_S: i64 = 24 * 3600;
/// Most points of a site; 28 days have 29, unless an upstream sends other times than midnights.
const POINTS_LIMIT: usize = 128;
/// Latest moment that is believed, in Unix seconds: the end of the year 9999. Beyond it no date can be written.
const LATEST_S: f64 = 253_402_300_799.0;
/// A turn comes a little late or early. Without this a guard as long as the interval would last two of them.
const GUARD_SLACK: Duration = Duration::from_secs(10);

/// The counts of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) visits: f64,
    pub(super) pages_served: f64,
    pub(super) cache_hits: f64,
    pub(super) cache_misses: f64,
}

impl Counts {
    fn is_zero(&self) -> bool {
        *self == Counts::default()
    }

    /// Hits per page served, percent with two decimals; 0 without pages.
    pub(super) fn hit_percent(&self) -> f64 {
        if self.pages_served == 0.0 {
            return 0.0;
        }
        let percent = self.cache_hits / self.pages_served * 100.0;
        // Rounded as text, as the original does.
        format!("{percent:.2}").parse().unwrap_or(percent)
    }
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Its points are stored.
    Stored,
    /// It held no point; everything stays.
    Empty,
    /// It was all zeros and is not believed yet; everything stays.
    HeldBack,
}

/// The days of one site.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    /// By Unix seconds of the day's beginning.
    pub(super) points: SortedMap<i64, Counts>,
    /// Whether a short answer has come after the last long one.
    pub(super) is_refreshed: bool,
    /// Whether a count was ever above zero.
    pub(super) has_had_traffic: bool,
    /// When the present run of all-zero answers began.
    pub(super) zeros_since: Option<Timestamp>,
}

impl Traffic {
    /// Takes an answer up. `is_long` tells the one with history from the later ones; a `guard` of zero is none.
    pub(super) fn take(
        &mut self,
        days: &[Day],
        is_long: bool,
        guard: Duration,
        now: Timestamp,
    ) -> Taken {
        let points: SortedMap<i64, Counts> = days.iter().filter_map(point).collect();
        if points.is_empty() {
            return Taken::Empty;
        }
        if points.values().all(Counts::is_zero) {
            if self.holds_back_zeros(guard, now) {
                return Taken::HeldBack;
            }
        } else {
            self.has_had_traffic = true;
            self.zeros_since = None;
        }
        self.points.extend(points);
        self.forget_old();
        self.is_refreshed = !is_long;
        Taken::Stored
    }

    fn holds_back_zeros(&mut self, guard: Duration, now: Timestamp) -> bool {
        if !self.has_had_traffic || guard.is_zero() {
            return false;
        }
        let since = *self.zeros_since.get_or_insert(now);
        let lasted = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        lasted + GUARD_SLACK < guard
    }

    fn forget_old(&mut self) {
        if let Some(newest) = self.newest() {
            let oldest = newest.saturating_sub(KEPT_S);
            self.points.retain(|day, _| *day >= oldest);
        }
        self.points.keep_last(POINTS_LIMIT);
    }

    fn newest(&self) -> Option<i64> {
        self.points.last().map(|(day, _)| *day)
    }

    /// The points that are shown, oldest first, each with the time it carries.
    pub(super) fn shown(
        &self,
        history: History,
        latest: Latest,
    ) -> impl Iterator<Item = (Stamp, &Counts)> {
        let newest = self.newest().unwrap_or_default();
        let is_shown = move |day: i64| match history {
            History::Always => true,
            History::Bootstrap if !self.is_refreshed => true,
            History::Bootstrap => day == newest || day == newest.saturating_sub(DAY_S),
            History::Never => day == newest,
        };
        let stamp = move |day: i64| match latest {
            Latest::Now if day == newest => Stamp::Scrape,
            _ => Stamp::At(day.saturating_mul(1000)),
        };
        let shown = self.points.iter().filter(move |(day, _)| is_shown(**day));
        shown.map(move |(day, counts)| (stamp(*day), counts))
    }
}

/// A day's time and counts; missing counts are 0, a day without time is none.
fn point(day: &Day) -> Option<(i64, Counts)> {
    let seconds = day
        .timestamp
        .filter(|seconds| (0.0..=LATEST_S).contains(seconds))?;
    let counts = Counts {
        visits: day.visits.unwrap_or(0.0),
        pages_served: day.pages_served.unwrap_or(0.0),
        cache_hits: day.cache_hits.unwrap_or(0.0),
        cache_misses: day.cache_misses.unwrap_or(0.0),
    };
    Some((seconds as i64, counts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FIRST: i64 = 1_762_732_800;
    const HOUR: Duration = Duration::from_secs(3600);

    fn day(place: i64, visits: f64) -> Day {
        Day {
            timestamp: Some((FIRST + place * DAY_S) as f64),
            visits: Some(visits),
            ..Day::default()
        }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(FIRST + minutes * 60).unwrap()
    }

    fn traffic(days: &[Day]) -> Traffic {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.take(days, true, HOUR, at(0)), Taken::Stored);
        traffic
    }

    /// What is shown: a day's place, or none for "at the scrape", and its visits.
    fn check(traffic: &Traffic, history: History, latest: Latest, expected: &[(Option<i64>, f64)]) {
        let shown: Vec<_> = traffic
            .shown(history, latest)
            .map(|(stamp, counts)| {
                let place = match stamp {
                    Stamp::At(ms) => Some((ms / 1000 - FIRST) / DAY_S),
                    _ => None,
                };
                (place, counts.visits)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    fn check_percent(hits: f64, pages: f64, expected: f64) {
        let counts = Counts {
            cache_hits: hits,
            pages_served: pages,
            ..Counts::default()
        };
        assert_eq!(counts.hit_percent(), expected, "{hits} of {pages}");
    }

    // Contract test 9.
    #[test]
    fn the_hit_ratio_has_two_decimals_and_is_zero_without_pages() {
        check_percent(0.0, 0.0, 0.0);
        check_percent(5.0, 0.0, 0.0);
        check_percent(119.0, 3081.0, 3.86);
        check_percent(151.0, 2950.0, 5.12);
        check_percent(1.0, 1600.0, 0.06);
        check_percent(7.0, 7.0, 100.0);
    }

    // Contract test 11.
    #[test]
    fn the_newest_point_carries_the_scrape_and_its_own_day_is_absent_unless_bucket_is_chosen() {
        let traffic = traffic(&[day(0, 837.0), day(1, 824.0)]);
        check(
            &traffic,
            History::Bootstrap,
            Latest::Now,
            &[(Some(0), 837.0), (None, 824.0)],
        );
        let stamps: Vec<Stamp> = traffic
            .shown(History::Bootstrap, Latest::Bucket)
            .map(|(stamp, _)| stamp)
            .collect();
        assert_eq!(
            stamps,
            [Stamp::At(1_762_732_800_000), Stamp::At(1_762_819_200_000)]
        );
    }

    // Contract test 13.
    #[test]
    fn history_goes_after_the_first_short_answer_but_for_the_last_closed_day_and_stays_with_always()
    {
        let mut traffic = traffic(&[day(0, 1.0), day(1, 2.0), day(2, 3.0)]);
        let all = [(Some(0), 1.0), (Some(1), 2.0), (None, 3.0)];
        check(&traffic, History::Bootstrap, Latest::Now, &all);
        check(&traffic, History::Never, Latest::Now, &[(None, 3.0)]);
        traffic.take(&[day(2, 4.0)], false, HOUR, at(60));
        let last = [(Some(1), 2.0), (None, 4.0)];
        check(&traffic, History::Bootstrap, Latest::Now, &last);
        let all = [(Some(0), 1.0), (Some(1), 2.0), (None, 4.0)];
        check(&traffic, History::Always, Latest::Now, &all);
        // A day is missing in between: the day before the newest one is not known.
        traffic.take(&[day(4, 5.0)], false, HOUR, at(120));
        check(&traffic, History::Bootstrap, Latest::Now, &[(None, 5.0)]);
    }

    // Contract test 14.
    #[test]
    fn a_changed_value_for_a_known_day_replaces_it_and_of_two_in_one_answer_the_last_wins() {
        let mut traffic = traffic(&[day(0, 1.0), day(1, 2.0), day(1, 3.0)]);
        let before = [(Some(0), 1.0), (None, 3.0)];
        check(&traffic, History::Always, Latest::Now, &before);
        traffic.take(&[day(1, 9.0)], false, HOUR, at(60));
        let after = [(Some(0), 1.0), (None, 9.0)];
        check(&traffic, History::Always, Latest::Now, &after);
    }

    // Contract test 15.
    #[test]
    fn points_that_arrive_unsorted_are_shown_in_ascending_order() {
        let traffic = traffic(&[day(2, 3.0), day(0, 1.0), day(1, 2.0)]);
        let sorted = [(Some(0), 1.0), (Some(1), 2.0), (None, 3.0)];
        check(&traffic, History::Always, Latest::Now, &sorted);
    }

    #[test]
    fn points_older_than_28_days_before_the_newest_are_dropped() {
        let mut traffic = traffic(&[day(0, 1.0), day(1, 2.0), day(28, 3.0)]);
        assert_eq!(traffic.points.len(), 3);
        traffic.take(&[day(29, 4.0)], false, HOUR, at(60));
        let days: Vec<i64> = traffic
            .points
            .keys()
            .map(|seconds| (seconds - FIRST) / DAY_S)
            .collect();
        assert_eq!(days, [1, 28, 29]);
    }

    #[test]
    fn a_point_without_a_believable_time_is_none_and_missing_counts_are_zero() {
        let wrong = |timestamp| Day {
            timestamp,
            visits: Some(1.0),
            ..Day::default()
        };
        let mut traffic = Traffic::default();
        let days = [wrong(None), wrong(Some(-1.0)), wrong(Some(1e300))];
        assert_eq!(traffic.take(&days, true, HOUR, at(0)), Taken::Empty);
        assert_eq!(traffic, Traffic::default());
        traffic.take(&[wrong(Some(1.0))], true, HOUR, at(0));
        assert_eq!(traffic.points.get(&1).unwrap().cache_hits, 0.0);
    }

    // Contract test 18.
    #[test]
    fn zeros_are_held_back_for_the_guard_unless_the_site_never_had_traffic() {
        let mut busy = traffic(&[day(0, 5.0)]);
        let zeros = [day(0, 0.0)];
        assert_eq!(busy.take(&zeros, false, HOUR, at(0)), Taken::HeldBack);
        assert_eq!(busy.take(&zeros, false, HOUR, at(59)), Taken::HeldBack);
        check(&busy, History::Always, Latest::Now, &[(None, 5.0)]);
        assert!(!busy.is_refreshed);
        // Something else resets the clock.
        busy.take(&[day(0, 6.0)], false, HOUR, at(59));
        assert_eq!(busy.take(&zeros, false, HOUR, at(60)), Taken::HeldBack);
        assert_eq!(busy.take(&zeros, false, HOUR, at(120)), Taken::Stored);
        check(&busy, History::Always, Latest::Now, &[(None, 0.0)]);

        let mut idle = traffic(&zeros);
        assert_eq!(idle.take(&zeros, false, HOUR, at(0)), Taken::Stored);

        let mut unguarded = traffic(&[day(0, 5.0)]);
        let taken = unguarded.take(&zeros, false, Duration::ZERO, at(0));
        assert_eq!(taken, Taken::Stored);
    }
}
