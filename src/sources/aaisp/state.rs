//! What is known of lines, telephone numbers and prices, and for how long it may be shown.

use std::time::{Duration, Instant};

use super::reading::{LineInfo, NumberInfo, Quota, RateCard};
use crate::sorted::{SortedMap, SortedSet};

/// A value and the tick of the run that got it.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    value: T,
    good_at: Instant,
}

/// For how long a value that could not be read again is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// None for ever.
    limit: Option<Duration>,
}

/// One broadband line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) info: Option<Kept<LineInfo>>,
    pub(super) quota: Option<Kept<Quota>>,
    /// The login of the last `info`, also when that is no longer shown.
    pub(super) own_login: Option<String>,
    /// Whether it has shown a quota since the start.
    has_had_quota: bool,
    /// What was said of it once and is not said again.
    said: SortedSet<Remark>,
}

/// What is logged once for each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remark {
    IsTunnel,
    HasNoQuota,
}

/// Everything that the polls have found.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By id; none before the first successful discovery.
    pub(super) lines: Option<SortedMap<String, Line>>,
    /// Lines that only the options of `info` name, as last seen.
    pub(super) only_in_options: SortedSet<String>,
    pub(super) numbers: SortedMap<String, Option<Kept<NumberInfo>>>,
    pub(super) rate_card: Option<Kept<RateCard>>,
}

impl<T> Kept<T> {
    pub(super) fn new(value: T, good_at: Instant) -> Kept<T> {
        Kept { value, good_at }
    }

    /// The value, unless it is too old to be shown.
    pub(super) fn shown(&self, now: Instant, patience: Patience) -> Option<&T> {
        let is_old = self.end(patience).is_some_and(|end| end <= now);
        (!is_old).then_some(&self.value)
    }

    /// When it is too old to be shown.
    fn end(&self, patience: Patience) -> Option<Instant> {
        patience.limit.map(|limit| self.good_at + limit)
    }
}

impl Patience {
    /// So many intervals; 0 is for ever.
    pub(super) fn of(intervals: u32, interval: Duration) -> Patience {
        Patience {
            limit: (intervals > 0).then(|| interval * intervals),
        }
    }
}

impl Line {
    /// Takes up a good answer to `info`.
    pub(super) fn learn_info(&mut self, info: Option<LineInfo>, tick: Instant) {
        if let Some(info) = &info {
            self.own_login = info.login.clone();
        }
        self.info = info.map(|info| Kept::new(info, tick));
    }

    /// Takes up a good answer to `quota`.
    pub(super) fn learn_quota(&mut self, quota: Option<Quota>, tick: Instant) {
        let quota = quota.filter(Quota::is_known);
        self.has_had_quota |= quota.is_some();
        self.quota = quota.map(|quota| Kept::new(quota, tick));
    }

    /// Whether it has shown a quota since the start.
    pub(super) fn has_had_quota(&self) -> bool {
        self.has_had_quota
    }

    /// Whether this is said for the first time.
    pub(super) fn is_news(&mut self, remark: Remark) -> bool {
        self.said.insert(remark)
    }
}

impl State {
    /// Takes up a successful discovery. Lines that are not listed any more are forgotten at once.
    pub(super) fn set_lines(&mut self, ids: &SortedSet<String>) {
        let mut earlier = self.lines.take().unwrap_or_default();
        let lines = ids
            .iter()
            .map(|id| (id.clone(), earlier.remove(id).unwrap_or_default()));
        self.lines = Some(lines.collect());
    }

    /// The same for telephone numbers.
    pub(super) fn set_numbers(&mut self, ids: &SortedSet<String>) {
        let mut earlier = std::mem::take(&mut self.numbers);
        let numbers = ids
            .iter()
            .map(|id| (id.clone(), earlier.remove(id).flatten()));
        self.numbers = numbers.collect();
    }

    /// The ids of the known lines; none before the first successful discovery.
    pub(super) fn line_ids(&self) -> Option<SortedSet<String>> {
        let lines = self.lines.as_ref()?;
        Some(lines.keys().cloned().collect())
    }

    pub(super) fn line_mut(&mut self, id: &str) -> Option<&mut Line> {
        self.lines.as_mut()?.get_mut(id)
    }

    /// The next moment after `now` at which something becomes too old to be shown. Patience with medium, fast and slow
    /// values in this order.
    pub(super) fn next_end(&self, now: Instant, patience: [Patience; 3]) -> Option<Instant> {
        let [medium, fast, slow] = patience;
        let lines = || self.lines.iter().flat_map(SortedMap::values);
        let infos = lines().filter_map(|line| line.info.as_ref()?.end(medium));
        let quotas = lines().filter_map(|line| line.quota.as_ref()?.end(fast));
        let numbers = self.numbers.values();
        let numbers = numbers.filter_map(|number| number.as_ref()?.end(medium));
        let prices = self.rate_card.iter().filter_map(|card| card.end(slow));
        let ends = infos.chain(quotas).chain(numbers).chain(prices);
        ends.filter(|end| *end > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ids(ids: &[&str]) -> SortedSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_value_is_shown_for_so_many_intervals() {
        let start = Instant::now();
        let kept = Kept::new(1, start);
        let patience = Patience::of(3, MINUTE);
        assert!(kept.shown(start + 179 * MINUTE / 60, patience).is_some());
        assert!(kept.shown(start + 3 * MINUTE, patience).is_none());
        let for_ever = Patience::of(0, MINUTE);
        assert!(kept.shown(start + 100_000 * MINUTE, for_ever).is_some());
    }

    #[test]
    fn a_line_that_is_not_listed_any_more_is_forgotten() {
        let mut state = State::default();
        assert_eq!(state.line_ids(), None);
        state.set_lines(&ids(&["1", "2"]));
        let quota = Quota {
            total: Some(1.0),
            ..Quota::default()
        };
        let line = state.line_mut("2").expect("a line");
        line.learn_quota(Some(quota), Instant::now());
        state.set_lines(&ids(&["2", "3"]));
        assert_eq!(state.line_ids(), Some(ids(&["2", "3"])));
        assert!(state.line_mut("2").expect("a line").quota.is_some());
    }
}
