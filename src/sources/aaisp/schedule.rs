//! When each tier runs: a fixed cadence from the start, missed ticks passed over, and a slow-down while the
//! credentials are refused.

use std::time::{Duration, Instant};

/// Runs in a row that fail by their credentials before the requests are cut down (contract, section 5).
const REFUSALS_LIMIT: u32 = 3;

/// What is read how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// Lines and their details, telephone numbers.
    Medium,
    /// Quotas.
    Fast,
    /// Prices.
    Slow,
}

impl Tier {
    /// In the order in which they run when several are due: the fast one needs the list of the medium one.
    pub(super) const ALL: [Tier; 3] = [Tier::Medium, Tier::Fast, Tier::Slow];

    pub(super) fn word(self) -> &'static str {
        match self {
            Tier::Medium => "medium",
            Tier::Fast => "fast",
            Tier::Slow => "slow",
        }
    }
}

/// How a run ended, as far as the credentials are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Worked,
    /// The credentials were refused.
    Refused,
    /// It says nothing of the credentials.
    FailedOtherwise,
}

/// When every tier is due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    start: Instant,
    medium: Cadence,
    fast: Cadence,
    slow: Cadence,
    /// Runs in a row that failed by their credentials.
    refusals: u32,
}

#[derive(Clone, Copy, Debug)]
struct Cadence {
    interval: Duration,
    due: Instant,
}

impl Schedule {
    /// All tiers are due at `start`. `interval` gives the time between two runs of each.
    pub(super) fn new(start: Instant, interval: impl Fn(Tier) -> Duration) -> Schedule {
        let cadence = |tier| Cadence {
            interval: interval(tier),
            due: start,
        };
        Schedule {
            start,
            medium: cadence(Tier::Medium),
            fast: cadence(Tier::Fast),
            slow: cadence(Tier::Slow),
            refusals: 0,
        }
    }

    /// The tick that a tier waits for, or has reached.
    pub(super) fn due(&self, tier: Tier) -> Instant {
        self.cadence(tier).due
    }

    /// The last tick of a tier up to `now`, also when it was passed over.
    pub(super) fn last_tick(&self, tier: Tier, now: Instant) -> Instant {
        self.tick(tier, self.ticks_passed(tier, now))
    }

    /// A run of the tier has ended, or was left out: its next one is at the first tick after `now`.
    pub(super) fn advance(&mut self, tier: Tier, now: Instant) {
        let due = self.tick(tier, self.ticks_passed(tier, now).saturating_add(1));
        self.cadence_mut(tier).due = due;
    }

    fn ticks_passed(&self, tier: Tier, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.start).as_nanos();
        let ticks = passed / self.cadence(tier).interval.as_nanos().max(1);
        // The range of u32 is reached after a thousand years of ten seconds each.
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    fn tick(&self, tier: Tier, number: u32) -> Instant {
        self.start + self.cadence(tier).interval * number
    }

    fn cadence(&self, tier: Tier) -> &Cadence {
        match tier {
            Tier::Medium => &self.medium,
            Tier::Fast => &self.fast,
            Tier::Slow => &self.slow,
        }
    }

    fn cadence_mut(&mut self, tier: Tier) -> &mut Cadence {
        match tier {
            Tier::Medium => &mut self.medium,
            Tier::Fast => &mut self.fast,
            Tier::Slow => &mut self.slow,
        }
    }

    /// Counts a run. A slow-down ends only with a run that works.
    pub(super) fn note_run(&mut self, outcome: Outcome) {
        self.refusals = match outcome {
            Outcome::Refused => self.refusals.saturating_add(1),
            Outcome::FailedOtherwise if self.is_slowed_down() => self.refusals,
            Outcome::Worked | Outcome::FailedOtherwise => 0,
        };
    }

    /// Whether only one probe in each slow interval is sent.
    pub(super) fn is_slowed_down(&self) -> bool {
        self.refusals >= REFUSALS_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> (Instant, Schedule) {
        let start = Instant::now();
        let interval = |tier| match tier {
            Tier::Medium => 300 * SECOND,
            Tier::Fast => 60 * SECOND,
            Tier::Slow => 900 * SECOND,
        };
        (start, Schedule::new(start, interval))
    }

    #[test]
    fn ticks_are_counted_from_the_start_and_missed_ones_are_passed_over() {
        let (start, mut schedule) = schedule();
        assert!(Tier::ALL.iter().all(|tier| schedule.due(*tier) == start));
        schedule.advance(Tier::Fast, start + 5 * SECOND);
        assert_eq!(schedule.due(Tier::Fast), start + 60 * SECOND);
        schedule.advance(Tier::Fast, start + 130 * SECOND);
        assert_eq!(schedule.due(Tier::Fast), start + 180 * SECOND);
        assert_eq!(schedule.due(Tier::Medium), start);
        let now = start + 130 * SECOND;
        assert_eq!(schedule.last_tick(Tier::Fast, now), start + 120 * SECOND);
    }

    #[test]
    fn three_refused_runs_in_a_row_slow_down() {
        use Outcome::{FailedOtherwise, Refused, Worked};
        let (_, mut schedule) = schedule();
        for outcome in [Refused, Refused, FailedOtherwise, Refused, Refused] {
            schedule.note_run(outcome);
            assert!(!schedule.is_slowed_down());
        }
        schedule.note_run(Refused);
        assert!(schedule.is_slowed_down());
        schedule.note_run(FailedOtherwise);
        assert!(schedule.is_slowed_down(), "only what works ends it");
        schedule.note_run(Worked);
        assert!(!schedule.is_slowed_down());
    }
}
